"""The answer to a search as plain data: no tensors, ready for JSON."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.gallery.exact_search import Vectors


@dataclass(frozen=True)
class TracedItem:
    """One image's rank at every shift of a trace; None below the trace's limit."""

    id: str
    ranks: list[int | None]


@dataclass(frozen=True)
class RankTrace:
    """The ranks of everything that is among the best k at any of several shifts.

    The two ends rank by the edited image part and the edited text part, each computed with the
    other modality at hand.

    Attributes:
        shifts: ascending from minus infinity (text alone) to infinity (image alone).
        learned: the index of shift 0, the learned weights.
        image_weights: for each shift, every stream's image weight, in [0, 1]. A shift moves all
            streams by the same logit, not to the same weight.
        items: in the order of their ranks at shift 0; ranks count from 1, None beyond `limit`.
        limit: the last rank reported.
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
    """A shift for JSON, which has no infinity: "inf" and "-inf" are strings."""
    if math.isinf(shift):
        return "inf" if shift > 0 else "-inf"
    return shift


@dataclass(frozen=True)
class Weight:
    """One stream's weights of image and text, each in [0, 1]; they sum to 1."""

    image: float
    text: float


def mean_image_weight(weights: Mapping[str, Weight]) -> float:
    """The mean of the streams' image weights, in [0, 1], of at least one stream."""
    return sum(weight.image for weight in weights.values()) / len(weights)


@dataclass(frozen=True)
class Hit:
    """One result.

    Attributes:
        rank: from 1, in the list of hits.
        id: the image's id.
        score: the sum of the streams' cosines, in [-2, 2] with two streams.
        parts: named `<stream>_image`, `<stream>_text` and, for some combiners, `<stream>_joint`;
            they add up to `score`.
        percentile: the share of the gallery with a lower score, 0 to 100.
        near_duplicates: the ids folded under this one, best first; None where nothing was folded.
    """

    rank: int
    id: str
    score: float
    parts: dict[str, float]
    percentile: float
    near_duplicates: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `near_duplicates` is there only where the search folded."""
        content = asdict(self)
        if self.near_duplicates is None:
            del content["near_duplicates"]
        return content


@dataclass(frozen=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        hits: best first.
        weights: by stream.
        unknown_words: typed words that the word vocabulary lacks.
        timings_ms: `encode`, `search` and `total`.
        gallery_size: the number of images in the gallery.
        shift: what was added to the logit of every image weight.
        ood_score: the reference's distance from the training images; above 1 it is larger than that
            of 99 % of held-out training images. None where the checkpoint has no statistics.
        model_text: the text after the caption template.
        notes: sentences for the person who searched.
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

        An infinite shift is "inf" or "-inf".
        """
        return {
            "weights": {name: asdict(weight) for name, weight in self.weights.items()},
            "results": [hit.to_dict() for hit in self.hits],
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
    near_duplicates: Sequence[list[str]] | None = None,
) -> list[Hit]:
    """Build the hits of ranked positions.

    Args:
        ids: the gallery's ids (n).
        scores: (n,).
        positions: (K,), best first.
        parts: the K splits of their scores.
        excluded: positions that count in no percentile.
        near_duplicates: for each of the K the ids folded under it.
    """
    if len(positions) == 0:
        return []
    rivals = np.delete(scores, list(excluded)) if excluded else scores
    # Only what scores at least as high as the last hit has to be sorted.
    upper = np.sort(rivals[rivals >= scores[positions].min()])
    lower = len(rivals) - len(upper) + np.searchsorted(upper, scores[positions], side="left")
    return [
        Hit(
            rank=index + 1,
            id=ids[position],
            score=float(scores[position]),
            parts=dict(parts[index]),
            percentile=100.0 * int(lower[index]) / len(rivals),
            near_duplicates=None if near_duplicates is None else near_duplicates[index],
        )
        for index, position in enumerate(positions.tolist())
    ]
