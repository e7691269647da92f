"""The queries behind a checkpoint's reference weights, one by one.

What a weight means: how long the parts are that it mixes, and how unusual it is.

A weight is a mixing coefficient, not a share: the parts it mixes may have different lengths. And
that a query's weight is 0.6 says little before one knows that most queries' are 0.7.
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
from dwc.modeling.composition import ComposedQuery, Composition


@dataclass(frozen=True)
class ReferenceQueries:
    """What was asked, and what weight each question was given; entry i of every list is query i's.

    `references` are ids of the gallery that was asked; `words` as a person would type them, on one
    line. `picture_shares`, in [0, 1], is how much of what was wished for only the picture tells;
    None where the truth is not known. `image_weights` by stream, in [0, 1].
    """

    references: list[str]
    words: list[str]
    picture_shares: list[float] | None
    image_weights: dict[str, list[float]]

    def __len__(self) -> int:
        return len(self.references)

    def to_dict(self) -> dict[str, Any]:
        """What is kept beside the weights; these have their own place in the file."""
        return {
            "references": self.references,
            "words": self.words,
            "picture_shares": self.picture_shares,
        }


def problems_of(content: Any, queries: int) -> list[str]:
    """What is wrong with `to_dict`'s table as it was read from a file; empty if nothing is."""
    if not isinstance(content, dict):
        return ["the queries asked are no table"]
    problems = [
        f"{name!r} of the queries asked is not a list of {queries} texts"
        for name in ("references", "words")
        if not _is_list_of(content.get(name), str, queries)
    ]
    shares = content.get("picture_shares")
    if shares is not None and not (
        _is_list_of(shares, (int, float), queries) and all(0 <= share <= 1 for share in shares)
    ):
        problems.append(f"'picture_shares' is not a list of {queries} numbers from 0 to 1, or null")
    return problems


def _is_list_of(values: Any, kind: type | tuple[type, ...], count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, kind) and not isinstance(value, bool) for value in values)
    )


HISTOGRAM_BINS = 40
"""Steps of `WeightContext.spread`."""

_DIGITS = 6  # as many as tell weights apart that a page could show apart
_ASKED = "asked"
_NO_STREAMS = ("queries", "protocol", _ASKED)
_CURE = "Delete it, or collect the weights again"
_SPOKEN = {"clip": "CLIP", "cnn": "CNN"}


@dataclass(frozen=True)
class ReferenceWeights:
    """The image weights that a checkpoint gave to a set of queries, to compare one with.

    `weights` by stream, each ascending, in [0, 1]; `queries` how many they are; `protocol` says in
    words which ones. They are typical of that set alone: other queries, other weights. `asked` has
    them one by one; None where only the weights were kept, as files did before there was more.
    """

    weights: dict[str, list[float]]
    queries: int
    protocol: str
    reference_queries: ReferenceQueries | None = None

    @cached_property
    def spread(self) -> list[float]:
        """How often each weight was given, all streams together: of `BINS` equal steps from 0 to 1.

        Each the mean of a step and its neighbours, as a share (0 to 1) of the most frequent.
        """
        counts = [0] * HISTOGRAM_BINS
        for weights in self.weights.values():
            for weight in weights:
                counts[min(int(weight * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        smooth = [sum(counts[max(place - 1, 0) : place + 2]) / 3 for place in range(HISTOGRAM_BINS)]
        return [height / max(smooth) for height in smooth]

    @classmethod
    def load(cls, folder: str | Path) -> "ReferenceWeights | None":
        """Read the file in a checkpoint's folder; None where there is none.

        Raises CheckpointError for a file that is not as `save` writes it.
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
        queries, protocol = content.pop("queries"), content.pop("protocol")
        told = content.pop(_ASKED, None)
        asked = None if told is None else ReferenceQueries(**told, image_weights=content)
        weights = {name: sorted(weights) for name, weights in content.items()}
        return cls(weights, queries, protocol, asked)

    @classmethod
    def of(cls, asked: ReferenceQueries, protocol: str) -> "ReferenceWeights":
        """The weights of these queries, with the queries themselves."""
        weights = {name: sorted(weights) for name, weights in asked.image_weights.items()}
        return cls(weights, len(asked), protocol, asked)

    def save(self, folder: str | Path) -> Path:
        """Write the file into a checkpoint's folder; return its path."""
        file = Path(folder) / REFERENCE_WEIGHTS
        content: dict[str, Any] = {"queries": self.queries, "protocol": self.protocol}
        if self.reference_queries is None:
            content |= self.weights
        else:  # the weights in the queries' order, so that each is found beside its own
            content |= {
                **self.reference_queries.image_weights,
                _ASKED: self.reference_queries.to_dict(),
            }
        file.write_text(json.dumps(content) + "\n", encoding="utf-8")
        return file

    def percentile(self, stream: str, image_weight: float) -> float | None:
        """The share (0 to 100) of the set's weights below this one; ties count half.

        None for a stream that the set does not have.
        """
        known = self.weights.get(stream)
        if not known:
            return None
        weight = round(image_weight, _DIGITS)
        return 50.0 * (bisect_left(known, weight) + bisect_right(known, weight)) / len(known)


@dataclass(frozen=True)
class StreamWeight:
    """One stream's weight in its context.

    `image_length` and `text_length` are |w i| and |(1-w) t|, from 0, without unit; `image_share` is
    the first over their sum, in [0, 1], None where both are 0. It says how strongly the parts enter
    the mix, not how much of a score is theirs: parts may point past every picture of the gallery,
    or against each other; a joint part is not counted. `percentile` (0 to 100) is the weight's
    among the reference weights, None without.
    """

    image_weight: float
    image_length: float
    text_length: float
    image_share: float | None
    percentile: float | None


@dataclass(frozen=True)
class QueryWeights:
    """One query's weights in their context, by stream; `summary` says it in a sentence.

    `queries` and `protocol` are the reference set's, None without one.
    """

    streams: dict[str, StreamWeight]
    queries: int | None
    protocol: str | None
    summary: str

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, numbers and strings."""
        return asdict(self)


def load_reference_weights(checkpoint: Checkpoint) -> ReferenceWeights | None:
    """The reference weights kept with a checkpoint; None where it has none, or lies in no folder.

    Raises CheckpointError for a file that is not as `WeightContext.save` writes it.
    """
    return None if checkpoint.folder is None else ReferenceWeights.load(checkpoint.folder)


def reference_weights(queries: Iterable[ComposedQuery], protocol: str) -> ReferenceWeights:
    """Collect the weights of composed queries, of N each, as the set to compare with.

    A query of one modality, whose weights are exactly 0 or 1 in every stream, has none to collect.
    Raises QueryError where nothing is left.
    """
    collected: dict[str, list[float]] = {}
    for composed in queries:
        columns = {
            name: stream.image_weight[:, 0].double().tolist()
            for name, stream in composed.streams.items()
        }
        for row in zip(*columns.values(), strict=True):
            if all(weight in (0.0, 1.0) for weight in row):
                continue
            for name, weight in zip(columns, row, strict=True):
                collected.setdefault(name, []).append(round(weight, _DIGITS))
    if not collected:
        raise QueryError(
            "no query has both a picture and words, so none has a weight to compare with. "
            "Give some that have both."
        )
    weights = {name: sorted(values) for name, values in collected.items()}
    return ReferenceWeights(weights, len(next(iter(weights.values()))), protocol)


def describe_weights(
    composed: ComposedQuery, context: ReferenceWeights | None = None, shift: float = 0.0
) -> QueryWeights:
    """Put one query's weights (N is 1) into context.

    The lengths are those at the shift. The percentile is of the weight at the shift as well; for a
    query of one modality, whose weights are exactly 0 or 1, there is none. Raises QueryError for a
    shift that is NaN.
    """
    if math.isnan(shift):
        raise QueryError("the shift is not a number. Give 0 for the learned weight.")
    has_both = any(0 < float(s.image_weight) < 1 for s in composed.streams.values())
    compared = context if has_both else None
    streams = {
        name: _in_context(name, stream, compared)
        for name, stream in composed.shifted(shift).streams.items()
    }
    return QueryWeights(
        streams=streams,
        queries=None if compared is None else compared.queries,
        protocol=None if compared is None else compared.protocol,
        summary=_summarise(streams, compared),
    )


def _in_context(name: str, stream: Composition, context: ReferenceWeights | None) -> StreamWeight:
    weight = float(stream.image_weight)
    image_length = float((stream.image_weight * stream.image_part).norm())
    text_length = float(((1 - stream.image_weight) * stream.text_part).norm())
    total = image_length + text_length
    return StreamWeight(
        image_weight=weight,
        image_length=image_length,
        text_length=text_length,
        image_share=image_length / total if total > 0 else None,
        percentile=None if context is None else context.percentile(name, weight),
    )


def _summarise(streams: Mapping[str, StreamWeight], context: ReferenceWeights | None) -> str:
    if all(stream.image_weight == 1 for stream in streams.values()):
        return "The query is its picture alone."
    if all(stream.image_weight == 0 for stream in streams.values()):
        return "The query is its words alone."
    shares = _list(
        f"{_percent(stream.image_share)} ({_SPOKEN.get(name, name)})"
        for name, stream in streams.items()
        if stream.image_share is not None
    )
    if not shares:
        return "Neither the picture nor the words say anything to the model."
    told = f"By length, the picture is {shares} of what is mixed"
    places = _list(
        f"{_percent(stream.percentile / 100)} ({_SPOKEN.get(name, name)})"
        for name, stream in streams.items()
        if stream.percentile is not None
    )
    if context is None or not places:
        return f"{told}."
    compared = f"of {context.queries:,} reference queries"
    return f"{told}, and its weight is higher than in {places} {compared}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _list(pieces: Iterable[str]) -> str:
    return " and ".join(pieces)


def _problems(content: Any) -> list[str]:
    """What is wrong with a file's content, empty if nothing is."""
    if not isinstance(content, dict):
        return ["holds no table"]
    queries, protocol = content.get("queries"), content.get("protocol")
    if not isinstance(queries, int) or isinstance(queries, bool) or queries < 1:
        return [f"says {queries!r} queries; a count of 1 or more is expected"]
    if not isinstance(protocol, str):
        return [f"has the protocol {protocol!r}; a text is expected"]
    streams = {name: value for name, value in content.items() if name not in _NO_STREAMS}
    if not streams:
        return ["has no stream's weights"]
    problems = [
        f"{name!r} is not a list of {queries} weights from 0 to 1"
        for name, weights in streams.items()
        if not _are_weights(weights, queries)
    ]
    told = content.get(_ASKED)
    return problems if told is None else problems + problems_of(told, queries)


def _are_weights(weights: Any, count: int) -> bool:
    return (
        isinstance(weights, list)
        and len(weights) == count
        and all(
            isinstance(weight, (int, float)) and not isinstance(weight, bool) and 0 <= weight <= 1
            for weight in weights
        )
    )
