"""The result of a search as plain data: it contains no tensors and can be converted to JSON."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.gallery.exact_search import Vectors


@dataclass(frozen=True)
class TracedItem:
    """One image of a rank trace.

    Attributes:
        id: the image's id.
        ranks: its rank at each shift, from 1; None where it is beyond the trace's limit.
    """

    id: str
    ranks: list[int | None]


@dataclass(frozen=True)
class RankTrace:
    """How the ranks of images change with the image weight, for one query.

    The trace has all images that are among the k best at any of several shifts. At the first shift
    the ranking depends only on the edited text part, at the last only on the edited image part;
    each of these parts is computed from both modalities.

    Attributes:
        shifts: the numbers added to the logit of every image weight, ascending from minus infinity
            (text part alone) to infinity (image part alone).
        learned: the index in `shifts` of shift 0, the learned weights.
        image_weights: for each shift, every stream's image weight, in [0, 1]. A shift adds the same
            number to the logits of all streams, so their weights may differ.
        items: the images, in the order of their ranks at shift 0.
        limit: the last rank that is reported.
    """

    shifts: list[float]
    learned: int
    image_weights: list[dict[str, float]]
    items: list[TracedItem]
    limit: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible values; the infinite shifts are "-inf" and "inf"."""
        return {**asdict(self), "shifts": [shift_to_json(shift) for shift in self.shifts]}


def shift_to_json(shift: float) -> float | str:
    """Return a shift for JSON, which has no infinity: "inf" or "-inf" for infinite shifts."""
    if math.isinf(shift):
        return "inf" if shift > 0 else "-inf"
    return shift


@dataclass(frozen=True)
class Weight:
    """One stream's weights of image and text, each in [0, 1]; they sum to 1."""

    image: float
    text: float


def mean_image_weight(weights: Mapping[str, Weight]) -> float:
    """Return the mean image weight, in [0, 1], of one or more streams."""
    return sum(weight.image for weight in weights.values()) / len(weights)


@dataclass(frozen=True)
class Hit:
    """One image of a search result.

    Attributes:
        rank: position in the list of hits, from 1.
        id: the image's id.
        score: the sum over the streams of the cosine of query and image, in [-2, 2] with two
            streams.
        parts: the parts whose sum is `score`, named `<stream>_image`, `<stream>_text` and, for some
            combiners, `<stream>_joint`.
        percentile: the percentage of the gallery with a lower score, 0 to 100.
        near_duplicates: the ids of near-duplicates hidden under this image, best first; None if the
            search did not fold near-duplicates.
    """

    rank: int
    id: str
    score: float
    parts: dict[str, float]
    percentile: float
    near_duplicates: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible values; `near_duplicates` is included only if not None."""
        content = asdict(self)
        if self.near_duplicates is None:
            del content["near_duplicates"]
        return content


@dataclass(frozen=True)
class SearchResult:
    """The result of one query.

    Attributes:
        hits: the images, best first.
        weights: the image and text weights of each stream.
        unknown_words: typed words that are not in the word vocabulary.
        timings_ms: the durations `encode`, `search` and `total` in milliseconds.
        gallery_size: the number of images in the gallery.
        shift: the number added to the logit of every image weight.
        ood_score: out-of-distribution score: the reference's distance from the training images;
            above 1 it exceeds that of 99 % of held-out training images. None without an image or if
            the checkpoint has no statistics.
        model_text: the caption template with the query's text inserted.
        notes: messages for the user.
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
        """Return the response of the `/search` endpoint as JSON-compatible values.

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
    """Build the hits for K ranked images of a gallery of n images.

    Args:
        ids: the ids of the gallery's images, n strings.
        scores: the scores of the gallery's images, shape (n,).
        positions: indices in the gallery of the ranked images, shape (K,), best first.
        parts: the parts of each ranked image's score, K mappings.
        excluded: indices of images that do not count in percentiles.
        near_duplicates: for each ranked image, the ids of the near-duplicates hidden under it.
    """
    if len(positions) == 0:
        return []
    rivals = np.delete(scores, list(excluded)) if excluded else scores
    # Only scores at least as high as the last hit's have to be sorted.
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
