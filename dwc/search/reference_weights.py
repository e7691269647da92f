"""Reference weights: the image weights of many queries, to compare one query's weights with.

A weight is a mixing coefficient, not a share: the parts it mixes may have different lengths. And a
weight of 0.6 means little unless it is known that most queries' weights are 0.7.
"""

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dwc.checkpoints.load import REFERENCE_WEIGHTS, Checkpoint
from dwc.errors import CheckpointError, QueryError
from dwc.files import write_text
from dwc.modeling.composition import ComposedQuery, Composition


@dataclass(frozen=True)
class ReferenceQueries:
    """The queries behind reference weights; entry i of every list belongs to query i.

    Attributes:
        references: ids in the gallery that was searched.
        words: the text as a person would type it, on one line.
        picture_shares: how much of the wanted image only the reference tells, in [0, 1]; None where
            the truth is not known.
        image_weights: by stream, in [0, 1].
    """

    references: list[str]
    words: list[str]
    picture_shares: list[float] | None
    image_weights: dict[str, list[float]]

    def __len__(self) -> int:
        return len(self.references)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the weights, which have their own place in the file."""
        return {
            "references": self.references,
            "words": self.words,
            "picture_shares": self.picture_shares,
        }


HISTOGRAM_BINS = 40
"""The number of bins of `ReferenceWeights.histogram`."""

_DIGITS = 6  # of weights, more than the page shows
_QUERIES = "asked"  # the file's field with the queries
_OTHER_FIELDS = ("queries", "protocol", _QUERIES)
_CURE = "Delete it, or collect the weights again"
_STREAM_NAMES = {"clip": "CLIP", "cnn": "CNN"}


@dataclass(frozen=True)
class ReferenceWeights:
    """The image weights that a checkpoint gave to a set of queries.

    They are typical of that set alone.

    Attributes:
        weights: by stream, ascending, in [0, 1].
        queries: the number of queries.
        protocol: which queries, in words.
        reference_queries: the queries one by one; None for older files, which have only weights.
    """

    weights: dict[str, list[float]]
    queries: int
    protocol: str
    reference_queries: ReferenceQueries | None = None

    @cached_property
    def histogram(self) -> list[float]:
        """How frequent each weight is, all streams together, in `HISTOGRAM_BINS` bins from 0 to 1.

        Each is the mean of a bin and its neighbors, as a share (0 to 1) of the most frequent.
        """
        counts = [0] * HISTOGRAM_BINS
        for weights in self.weights.values():
            for weight in weights:
                counts[min(int(weight * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        smooth = [sum(counts[max(n - 1, 0) : n + 2]) / 3 for n in range(HISTOGRAM_BINS)]
        return [height / max(smooth) for height in smooth]

    @classmethod
    def load(cls, folder: str | Path) -> "ReferenceWeights | None":
        """Read the file in a checkpoint's folder; None where there is none.

        Raises:
            CheckpointError: for a file that is not as `save` writes it.
        """
        file = Path(folder) / REFERENCE_WEIGHTS
        if not file.is_file():
            return None
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{file} cannot be read: {error}. {_CURE}") from error
        for problem in _problems(content):
            raise CheckpointError(f"{file}: {problem}. {_CURE}")
        count, protocol = content.pop("queries"), content.pop("protocol")
        fields = content.pop(_QUERIES, None)
        queries = None if fields is None else ReferenceQueries(**fields, image_weights=content)
        weights = {name: sorted(weights) for name, weights in content.items()}
        return cls(weights, count, protocol, queries)

    @classmethod
    def from_queries(cls, queries: ReferenceQueries, protocol: str) -> "ReferenceWeights":
        """The weights of these queries, with the queries themselves."""
        weights = {name: sorted(weights) for name, weights in queries.image_weights.items()}
        return cls(weights, len(queries), protocol, queries)

    def save(self, folder: str | Path) -> Path:
        """Write the file into a checkpoint's folder; return its path."""
        file = Path(folder) / REFERENCE_WEIGHTS
        content: dict[str, Any] = {"queries": self.queries, "protocol": self.protocol}
        if self.reference_queries is None:
            content |= self.weights
        else:  # the weights in the queries' order
            content |= {
                **self.reference_queries.image_weights,
                _QUERIES: self.reference_queries.to_dict(),
            }
        write_text(file, json.dumps(content) + "\n")
        return file

    def percentile(self, stream: str, image_weight: float) -> float | None:
        """The share (0 to 100) of the set's weights below this one; ties count half.

        None for a stream that the set lacks.
        """
        known = self.weights.get(stream)
        if not known:
            return None
        weight = round(image_weight, _DIGITS)
        return 50.0 * (bisect_left(known, weight) + bisect_right(known, weight)) / len(known)


def load_reference_weights(checkpoint: Checkpoint) -> ReferenceWeights | None:
    """The reference weights beside a checkpoint; None where it has none, or is in no folder.

    Raises:
        CheckpointError: for a file that is not as `ReferenceWeights.save` writes it.
    """
    return None if checkpoint.folder is None else ReferenceWeights.load(checkpoint.folder)


@dataclass(frozen=True)
class StreamWeight:
    """One stream's weight and the lengths of the parts that it mixes.

    Attributes:
        image_weight: w, in [0, 1].
        image_length: |w i|, from 0.
        text_length: |(1-w) t|, from 0.
        image_share: the first length over the sum of both, in [0, 1]; None where both are 0. It
            tells how strongly the parts enter the mix, not how much of a score is theirs: parts may
            point away from every gallery vector, or against each other. A joint part is not
            counted.
        percentile: the weight's among the reference weights, 0 to 100; None without them.
    """

    image_weight: float
    image_length: float
    text_length: float
    image_share: float | None
    percentile: float | None


@dataclass(frozen=True)
class QueryWeights:
    """One query's weights beside the reference weights.

    Attributes:
        streams: by stream.
        queries: the number of reference queries; None without them.
        protocol: which queries, in words; None without them.
        summary: all of it in a sentence.
    """

    streams: dict[str, StreamWeight]
    queries: int | None
    protocol: str | None
    summary: str

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, numbers and strings."""
        return asdict(self)


def describe_weights(
    composed: ComposedQuery, reference: ReferenceWeights | None = None, shift: float = 0.0
) -> QueryWeights:
    """Describe the weights of one query (N is 1) at a shift.

    A query of one modality, whose weights are exactly 0 or 1, is compared with nothing.

    Raises:
        QueryError: for a shift that is NaN.
    """
    if math.isnan(shift):
        raise QueryError("the shift is not a number. Give 0 for the learned weight.")
    has_both = any(0 < float(s.image_weight) < 1 for s in composed.streams.values())
    compared = reference if has_both else None
    streams = {
        name: _stream_weight(name, stream, compared)
        for name, stream in composed.shifted(shift).streams.items()
    }
    return QueryWeights(
        streams=streams,
        queries=None if compared is None else compared.queries,
        protocol=None if compared is None else compared.protocol,
        summary=_summarize(streams, compared),
    )


def _stream_weight(
    name: str, stream: Composition, reference: ReferenceWeights | None
) -> StreamWeight:
    weight = float(stream.image_weight)
    image_length = float((stream.image_weight * stream.image_part).norm())
    text_length = float(((1 - stream.image_weight) * stream.text_part).norm())
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
    """The problems of a file's content, none for a valid one."""
    if not isinstance(content, dict):
        return ["holds no table"]
    queries, protocol = content.get("queries"), content.get("protocol")
    if not isinstance(queries, int) or isinstance(queries, bool) or queries < 1:
        return [f"says {queries!r} queries; a count of 1 or more is expected"]
    if not isinstance(protocol, str):
        return [f"has the protocol {protocol!r}; a text is expected"]
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
    """The problems of `ReferenceQueries.to_dict` as it was read from a file."""
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
