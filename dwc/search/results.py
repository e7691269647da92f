"""What a search answers: plain data, no tensors, ready for JSON.

Ranked positions -> the hits of an answer.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.gallery.exact_search import Vectors


@dataclass(frozen=True)
class TracedItem:
    """One gallery picture's rank at every shift of a trace; None below the trace's limit."""

    id: str
    ranks: list[int | None]


@dataclass(frozen=True)
class RankTrace:
    """The ranks of everything that is among the best k at any of the shifts.

    `shifts` ascend from minus infinity (words alone) to infinity (picture alone); `shifts[learned]`
    is 0, what the model chose. `image_weights[s]` has every stream's image weight, in [0, 1], at
    `shifts[s]`: one shift moves two streams alike in their logits, not to one weight. `items` are
    in the order of their learned ranks; a rank counts from 1 and is None beyond `limit`.

    The ends show the edited picture and the edited words, each of which has looked at the other.
    """

    shifts: list[float]
    learned: int
    image_weights: list[dict[str, float]]
    items: list[TracedItem]
    limit: int

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists, numbers and strings; the infinite shifts are "-inf" and "inf"."""
        return {**asdict(self), "shifts": [shift_to_json(shift) for shift in self.shifts]}


def shift_to_json(shift: float) -> float | str:
    """A shift as JSON can carry it: infinity, which JSON lacks, by its name."""
    if math.isinf(shift):
        return "inf" if shift > 0 else "-inf"
    return shift


@dataclass(frozen=True)
class Weight:
    """How much one stream listened to each modality; the two sum to 1."""

    image: float
    text: float


def mean_image_weight(weights: Mapping[str, Weight]) -> float:
    """The mean of the streams' image weights, in [0, 1]; there has to be a stream."""
    return sum(weight.image for weight in weights.values()) / len(weights)


@dataclass(frozen=True)
class Hit:
    """One gallery picture found.

    `rank` counts from 1. `score` is the sum of the streams' cosines, in [-2, 2] with two streams.
    `parts` are named `<stream>_image` and `<stream>_text` and add up to `score`. `percentile` (0 to
    100) is the share of the gallery that scores lower.
    """

    rank: int
    id: str
    score: float
    parts: dict[str, float]
    percentile: float


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    `weights` by stream name. `unknown_words` are words typed that the word vocabulary lacks.
    `ood_score` (None where the checkpoint cannot tell) is how far the reference lies outside what
    the model was trained on: above 1 it lies further out than 99 % of held-out training pictures.
    `model_text` is the text as the model read it, after the caption template. `timings_ms` by what
    took them.
    """

    hits: list[Hit]
    weights: dict[str, Weight]
    unknown_words: list[str]
    timings_ms: dict[str, float]
    gallery_size: int
    shift: float = 0.0
    ood_score: float | None = None
    model_text: str = ""
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The `/search` endpoint's answer: only dicts, lists, numbers and strings.

        JSON lacks infinity: an infinite shift is "inf" or "-inf".
        """
        return {
            "weights": {name: asdict(weight) for name, weight in self.weights.items()},
            "results": [asdict(hit) for hit in self.hits],
            "unknown_words": list(self.unknown_words),
            "timings_ms": dict(self.timings_ms),
            "gallery_size": self.gallery_size,
            "shift": shift_to_json(self.shift),
            "unfamiliar": self.ood_score,
            "read": self.model_text,
            "notes": list(self.notes),
        }


def build_hits(
    ids: Sequence[str],
    scores: Vectors,
    positions: NDArray[np.int64],
    parts: Sequence[Mapping[str, float]],
    excluded: Collection[int] = (),
) -> list[Hit]:
    """The hits at `positions` (K,), best first, of a gallery with these `ids` and `scores` (n,).

    `parts` are the K splits of their scores. `excluded` are the positions that compete with none:
    they count in no percentile.
    """
    rivals = np.sort(np.delete(scores, list(excluded)))
    lower = np.searchsorted(rivals, scores[positions], side="left")
    return [
        Hit(
            rank=place + 1,
            id=ids[position],
            score=float(scores[position]),
            parts=dict(parts[place]),
            percentile=100.0 * int(lower[place]) / len(rivals),
        )
        for place, position in enumerate(positions.tolist())
    ]
