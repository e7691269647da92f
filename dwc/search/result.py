"""What a search answers: plain data, no tensors, ready for JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dwc.search.rank_trace import name_shift


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
    `unfamiliar` (None where the checkpoint cannot tell) is how far the reference lies outside what
    the model was trained on: above 1 it lies further out than 99 % of held-out training pictures.
    `read` is the text as the model read it, after the caption template. `timings_ms` by what took
    them.
    """

    hits: list[Hit]
    weights: dict[str, Weight]
    unknown_words: list[str]
    timings_ms: dict[str, float]
    gallery_size: int
    shift: float = 0.0
    unfamiliar: float | None = None
    read: str = ""
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
            "shift": name_shift(self.shift),
            "unfamiliar": self.unfamiliar,
            "read": self.read,
            "notes": list(self.notes),
        }
