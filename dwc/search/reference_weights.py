"""Reference weights: the image weights of the reference queries, which are a fixed set of queries.

A checkpoint's model computes these weights, and they are stored in a file of the checkpoint's
folder. They show whether the image weight of another query is high or low. For example, a weight of
0.6 is low if most reference queries have a weight of 0.7 or more.

Without such a comparison, an image weight means little. It is the factor by which a query's image
part is multiplied. It is not a share of the result, since the image part and the text part may have
different lengths.
"""

import json
import logging
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dwc.checkpoints.load import REFERENCE_WEIGHTS, Checkpoint
from dwc.errors import CheckpointError, QueryError
from dwc.files import refuse_lfs_pointer, write_text
from dwc.modeling.combiners import ComposedQuery, Composition, shift_one_weight

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceQueries:
    """The reference queries, a fixed set of queries, with a checkpoint's image weights for them.

    Entry i of each list belongs to query i.

    Attributes:
        references: ids of the queries' reference images in the gallery that was searched.
        words: the queries' texts as a person would type them, without line breaks.
        picture_shares: true image weights in [0, 1]: the fraction of the target's attributes that
            come from the reference image and not from the text; None if they are unknown.
        image_weights: for each stream's name, the image weights in [0, 1] that the checkpoint
            computes for the queries.
    """

    references: list[str]
    words: list[str]
    picture_shares: list[float] | None
    image_weights: dict[str, list[float]]

    def __len__(self) -> int:
        return len(self.references)

    def to_dict(self) -> dict[str, Any]:
        """Return the queries as JSON-compatible lists by field name, without `image_weights`."""
        return {
            "references": self.references,
            "words": self.words,
            "picture_shares": self.picture_shares,
        }


HISTOGRAM_BINS = 40
"""The number of bins of `ReferenceWeights.histogram`."""

_DIGITS = 6  # decimal places of weights in the file, more than the page shows
_QUERIES = "asked"  # name of the field in the file that contains the queries
_FINGERPRINT = "fingerprint"
_OTHER_FIELDS = ("queries", "protocol", _QUERIES, _FINGERPRINT)
_CURE = "Delete it, or collect the weights again"
_STREAM_NAMES = {"clip": "CLIP", "cnn": "CNN"}


@dataclass(frozen=True)
class ReferenceWeights:
    """A checkpoint's image weights for the reference queries, which are a fixed set of queries.

    The weights are representative of that set only.

    Attributes:
        weights: the image weights by the stream's name, in [0, 1] and in ascending order.
        queries: the number of queries.
        protocol: a sentence that describes the set of queries.
        reference_queries: the individual queries; None if the file has only the weights, as older
            files do.
        fingerprint: the fingerprint of the checkpoint that computed the weights; None if the file
            does not have it, as older files do not.
    """

    weights: dict[str, list[float]]
    queries: int
    protocol: str
    reference_queries: ReferenceQueries | None = None
    fingerprint: str | None = None

    @cached_property
    def histogram(self) -> list[float]:
        """Smoothed histogram of the image weights of all streams, `HISTOGRAM_BINS` numbers.

        The bins divide [0, 1] evenly. The count of each bin is replaced by the mean of itself and
        of the two counts next to it. Then all numbers are divided by the largest, so that they are
        in [0, 1].
        """
        counts = [0] * HISTOGRAM_BINS
        for weights in self.weights.values():
            for weight in weights:
                counts[min(int(weight * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        smooth = [sum(counts[max(n - 1, 0) : n + 2]) / 3 for n in range(HISTOGRAM_BINS)]
        return [height / max(smooth) for height in smooth]

    @classmethod
    def load(cls, folder: str | Path) -> "ReferenceWeights | None":
        """Read the file of reference weights in a checkpoint's folder; None if there is no file.

        Raises:
            CheckpointError: if the file does not have the format of `save`.
        """
        file = Path(folder) / REFERENCE_WEIGHTS
        if not file.is_file():
            return None
        refuse_lfs_pointer(file, CheckpointError)
        try:
            content = json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{file} cannot be read: {error}. {_CURE}") from error
        for problem in _problems(content):
            raise CheckpointError(f"{file}: {problem}. {_CURE}")
        count, protocol = content.pop("queries"), content.pop("protocol")
        fields, fingerprint = content.pop(_QUERIES, None), content.pop(_FINGERPRINT, None)
        queries = None if fields is None else ReferenceQueries(**fields, image_weights=content)
        weights = {name: sorted(weights) for name, weights in content.items()}
        return cls(weights, count, protocol, queries, fingerprint)

    @classmethod
    def from_queries(
        cls, queries: ReferenceQueries, protocol: str, fingerprint: str | None = None
    ) -> "ReferenceWeights":
        """Create the object from the reference queries, which include their image weights.

        Args:
            queries: the queries; they also become the attribute `reference_queries`.
            protocol: a sentence that describes the set of queries.
            fingerprint: the fingerprint of the checkpoint that computed the weights, if known.
        """
        weights = {name: sorted(weights) for name, weights in queries.image_weights.items()}
        return cls(weights, len(queries), protocol, queries, fingerprint)

    def save(self, folder: str | Path) -> Path:
        """Write the reference weights to a file in a checkpoint's folder; return its path."""
        file = Path(folder) / REFERENCE_WEIGHTS
        content: dict[str, Any] = {"queries": self.queries, "protocol": self.protocol}
        if self.fingerprint is not None:
            content[_FINGERPRINT] = self.fingerprint
        if self.reference_queries is None:
            content |= self.weights
        else:  # save the weights in the order of the queries
            content |= {
                **self.reference_queries.image_weights,
                _QUERIES: self.reference_queries.to_dict(),
            }
        write_text(file, json.dumps(content) + "\n")
        return file

    def percentile(self, stream: str, image_weight: float) -> float | None:
        """Return the percentage (0 to 100) of a stream's reference weights below a given weight.

        Reference weights equal to the given weight count half. The result is None if the stream has
        no reference weights.

        Args:
            stream: the stream's name.
            image_weight: the weight to compare, in [0, 1].
        """
        known = self.weights.get(stream)
        if not known:
            return None
        weight = round(image_weight, _DIGITS)
        return 50.0 * (bisect_left(known, weight) + bisect_right(known, weight)) / len(known)


def load_reference_weights(checkpoint: Checkpoint) -> ReferenceWeights | None:
    """Load a checkpoint's image weights for the reference queries, a fixed set of queries.

    The result is None if the checkpoint was not loaded from a folder, or its folder has no file of
    these weights. It is also None if the file has the fingerprint of another checkpoint or no
    fingerprint; then a warning is logged.

    Raises:
        CheckpointError: if the file does not have the format of `ReferenceWeights.save`.
    """
    if checkpoint.folder is None:
        return None
    weights = ReferenceWeights.load(checkpoint.folder)
    if weights is None or weights.fingerprint == checkpoint.fingerprint:
        return weights
    owner = weights.fingerprint
    logger.warning(
        "%s %s, not to %s; weights are not compared with it. If you changed the checkpoint, "
        "renew it: python -m dwc weights %s",
        Path(checkpoint.folder) / REFERENCE_WEIGHTS,
        "belongs to an unnamed model" if owner is None else f"belongs to model {owner}",
        checkpoint.fingerprint,
        checkpoint.folder,
    )
    return None


@dataclass(frozen=True)
class StreamWeight:
    """One stream's image weight for a query, and the lengths of the two weighted parts.

    A stream adds w i and (1-w) t, where w is the image weight, i the image part and t the text part
    of the query.

    Attributes:
        image_weight: w, in [0, 1].
        image_length: length of the weighted image part, |w i|, 0 or more.
        text_length: length of the weighted text part, |(1-w) t|, 0 or more.
        image_share: `image_length` divided by the sum of both lengths, in [0, 1]; None if both are
            0. It compares lengths only, and is not the image part's contribution to a score: the
            two parts may point away from every gallery vector, or in opposite directions. A joint
            part, which some combiners add without a weight, is not counted.
        percentile: percentage of the reference weights that are below this weight, 0 to 100; None
            if there are no reference weights to compare with.
    """

    image_weight: float
    image_length: float
    text_length: float
    image_share: float | None
    percentile: float | None


@dataclass(frozen=True)
class QueryWeights:
    """One query's image weights, compared with those of the reference queries (a fixed set).

    Attributes:
        streams: the weight in each stream, by the stream's name.
        queries: the number of reference queries; None if the weights were not compared.
        protocol: a description of the reference queries; None if the weights were not compared.
        summary: a summary in one sentence.
    """

    streams: dict[str, StreamWeight]
    queries: int | None
    protocol: str | None
    summary: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict with JSON-compatible values."""
        return asdict(self)


def describe_weights(
    composed: ComposedQuery, reference: ReferenceWeights | None = None, shift: float = 0.0
) -> QueryWeights:
    """Describe one query's image weights, and compare them with those of the reference queries.

    A query with only an image or only a text is described but not compared, since its weights are
    always exactly 1 or 0.

    Args:
        composed: the query, a batch of one, with the learned weights.
        reference: the image weights of the reference queries; None to omit the comparison.
        shift: number added to the logit of every image weight before it is described.

    Raises:
        QueryError: if the shift is NaN.
    """
    if math.isnan(shift):
        raise QueryError("the shift is not a number. Give 0 for the learned weight.")
    has_both = any(0 < float(s.image_weight) < 1 for s in composed.streams.values())
    compared = reference if has_both else None
    streams = {
        name: _stream_weight(name, stream, compared, shift)
        for name, stream in composed.streams.items()
    }
    return QueryWeights(
        streams=streams,
        queries=None if compared is None else compared.queries,
        protocol=None if compared is None else compared.protocol,
        summary=_summarize(streams, compared),
    )


def _stream_weight(
    name: str, stream: Composition, reference: ReferenceWeights | None, shift: float
) -> StreamWeight:
    weight = shift_one_weight(float(stream.image_weight), shift)
    image_length = weight * math.hypot(*stream.image_part[0].tolist())
    text_length = (1 - weight) * math.hypot(*stream.text_part[0].tolist())
    total = image_length + text_length
    return StreamWeight(
        image_weight=weight,
        image_length=image_length,
        text_length=text_length,
        image_share=image_length / total if total > 0 else None,
        percentile=None if reference is None else reference.percentile(name, weight),
    )


def _summarize(streams: Mapping[str, StreamWeight], reference: ReferenceWeights | None) -> str:
    if all(stream.image_weight == 1 for stream in streams.values()):
        return "The query is its picture alone."
    if all(stream.image_weight == 0 for stream in streams.values()):
        return "The query is its words alone."
    shares = _join(
        f"{_percent(stream.image_share)} ({_STREAM_NAMES.get(name, name)})"
        for name, stream in streams.items()
        if stream.image_share is not None
    )
    if not shares:
        return "Neither the picture nor the words say anything to the model."
    sentence = f"By length, the picture is {shares} of what is mixed"
    percentiles = _join(
        f"{_percent(stream.percentile / 100)} ({_STREAM_NAMES.get(name, name)})"
        for name, stream in streams.items()
        if stream.percentile is not None
    )
    if reference is None or not percentiles:
        return f"{sentence}."
    compared = f"of {reference.queries:,} reference queries"
    return f"{sentence}, and its weight is higher than in {percentiles} {compared}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _join(pieces: Iterable[str]) -> str:
    return " and ".join(pieces)


def _problems(content: Any) -> list[str]:
    """Return the errors in the content of a file of reference weights; empty if it is valid.

    Each error is a phrase for an error message about the file, such as "holds no table".
    """
    if not isinstance(content, dict):
        return ["holds no table"]
    queries, protocol = content.get("queries"), content.get("protocol")
    if not isinstance(queries, int) or isinstance(queries, bool) or queries < 1:
        return [f"says {queries!r} queries; a count of 1 or more is expected"]
    if not isinstance(protocol, str):
        return [f"has the protocol {protocol!r}; a text is expected"]
    fingerprint = content.get(_FINGERPRINT)
    if fingerprint is not None and not isinstance(fingerprint, str):
        return [f"has the fingerprint {fingerprint!r}; a text is expected"]
    streams = {name: value for name, value in content.items() if name not in _OTHER_FIELDS}
    if not streams:
        return ["has no stream's weights"]
    problems = [
        f"{name!r} is not a list of {queries} weights from 0 to 1"
        for name, weights in streams.items()
        if not _are_shares(weights, queries)
    ]
    fields = content.get(_QUERIES)
    return problems if fields is None else problems + _query_problems(fields, queries)


def _query_problems(fields: Any, queries: int) -> list[str]:
    """Return the errors in the queries of a file of reference weights; empty if they are valid.

    Args:
        fields: the queries as read from the file; expected in the form of
            `ReferenceQueries.to_dict`.
        queries: the expected number of queries.
    """
    if not isinstance(fields, dict):
        return ["the queries asked are no table"]
    problems = [
        f"{name!r} of the queries asked is not a list of {queries} texts"
        for name in ("references", "words")
        if not _is_list_of(fields.get(name), str, queries)
    ]
    shares = fields.get("picture_shares")
    if shares is not None and not _are_shares(shares, queries):
        problems.append(f"'picture_shares' is not a list of {queries} numbers from 0 to 1, or null")
    return problems


def _are_shares(values: Any, count: int) -> bool:
    return _is_list_of(values, (int, float), count) and all(0 <= value <= 1 for value in values)


def _is_list_of(values: Any, kind: type | tuple[type, ...], count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, kind) and not isinstance(value, bool) for value in values)
    )
