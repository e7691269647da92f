"""The results of searches as plain data, and a record of what was searched and how long it took.

A result contains no tensors and can be converted to JSON. `record_searches` records the searches
that a block of code makes. The caller of `Searcher` decides whether there is a record; the record
never changes a result. It belongs to the thread (or task) that creates it, so that concurrent
searches do not mix.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.gallery.search_index import Vectors
from dwc.gallery.store import IndexedPart


@dataclass(frozen=True)
class TracedItem:
    """One image of a `RankTrace`.

    Attributes:
        id: the image's id.
        ranks: the image's rank at each weight shift of the trace, 1 for the best image; None
            instead of a rank above the trace's `limit`.
    """

    id: str
    ranks: list[int | None]


@dataclass(frozen=True)
class RankTrace:
    """How the ranks of images change with the image weight, for one query.

    The weight is changed by a weight shift: a number that is added to the logit of every stream's
    image weight. The trace contains all images that are among the best few at any of its shifts. At
    the first shift, the ranking depends only on the query's text part, at the last shift only on
    the query's image part. Each of these parts is computed from both the image and the text.

    Attributes:
        shifts: the weight shifts, ascending from minus infinity (text part alone) to infinity
            (image part alone).
        learned: the index in `shifts` of the shift 0, which gives the learned weights.
        image_weights: for each shift, the image weight of each stream by name, in [0, 1]. The
            weights of the streams may differ, since the same number is added to all their logits.
        items: the images, in the order of their ranks at shift 0.
        limit: the highest rank number that is reported.
    """

    shifts: list[float]
    learned: int
    image_weights: list[dict[str, float]]
    items: list[TracedItem]
    limit: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values; infinite shifts become "-inf" and "inf"."""
        return {**asdict(self), "shifts": [shift_to_json(shift) for shift in self.shifts]}


def shift_to_json(shift: float) -> float | str:
    """Return a weight shift (number added to the logit of the image weight) as a JSON value.

    JSON has no infinity, so an infinite shift becomes the string "inf" or "-inf".
    """
    if math.isinf(shift):
        return "inf" if shift > 0 else "-inf"
    return shift


@dataclass(frozen=True)
class Weight:
    """One stream's weights of image and text, each in [0, 1]; they sum to 1."""

    image: float
    text: float


def mean_image_weight(weights: Mapping[str, Weight]) -> float:
    """Return the mean of the streams' image weights, in [0, 1].

    Args:
        weights: the weights of one or more streams, by the stream's name.
    """
    return sum(weight.image for weight in weights.values()) / len(weights)


@dataclass(frozen=True)
class Hit:
    """One image of a search result.

    Attributes:
        rank: position in the list of hits, from 1.
        id: the image's id.
        score: the sum of the cosines between query and image in all streams; in [-2, 2] for two
            streams.
        parts: the parts whose sum is `score`, by name: `<stream>_image`, `<stream>_text` and, for
            some combiners, `<stream>_joint`.
        percentile: the percentage (0 to 100) of the gallery's images with a lower score. Images
            that cannot be hits, such as those that do not fit the filter, do not count.
        near_duplicates: the ids of near-duplicates hidden under this image, best first; None if the
            search did not hide near-duplicates.
    """

    rank: int
    id: str
    score: float
    parts: dict[str, float]
    percentile: float
    near_duplicates: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values, without `near_duplicates` if it is None."""
        content = asdict(self)
        if self.near_duplicates is None:
            del content["near_duplicates"]
        return content


def indexing_entry(part: IndexedPart | None) -> dict[str, Any]:
    """Return a dict with the entry `indexing` of a JSON response.

    The entry is a dict with the numbers `pictures` and `total`. It is missing if `part` is None,
    that is, if the gallery is completely indexed.
    """
    return {} if part is None else {"indexing": part._asdict()}


@dataclass(frozen=True)
class SearchResult:
    """The result of one query.

    Attributes:
        hits: the images, best first.
        weights: the image and text weights of each stream, by the stream's name.
        unknown_words: typed words that are not in the model's word vocabulary; all typed words if
            the model cannot use the text, because none of its content words is known.
        timings_ms: the durations `encode`, `search` and `total` in milliseconds.
        gallery_size: the number of images in the gallery.
        shift: the number that was added to the logit of every stream's image weight; 0 for the
            learned weights.
        ood_score: out-of-distribution score, 0 or more: how far the reference image is from the
            training images. Above 1, the image is further away than 99 % of similar images that
            were set aside to determine this limit. None without an image, or if the checkpoint has
            no statistics of its training images.
        model_text: the text that the model received: the checkpoint's caption template with the
            query's text inserted.
        notes: messages for the user.
        filter: the filter that all hits fit, as text; empty without a filter.
        fitting: the number of images that fit the filter, including a reference that is left out of
            the hits; None without a filter.
        index: the name of the approximate index that proposed the images, such as "faiss"; "exact"
            for none.
        recall: the measured mean share of the 50 best images that the index proposes, in [0, 1];
            None without an index, or if it was not measured.
        indexed_part: the part of the gallery that was searched; None if the gallery is completely
            indexed.
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
    filter: str = ""
    fitting: int | None = None
    index: str = "exact"
    recall: float | None = None
    indexed_part: IndexedPart | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values, named as in responses of `/search`.

        An infinite `shift` becomes the string "inf" or "-inf". The entries `filter` and
        `filter_fits` are omitted without a filter, `index` and `index_recall` if every image was
        compared with the query, and `indexing` if the gallery is completely indexed.
        """
        optional: dict[str, Any] = {}
        if self.filter:
            optional |= {"filter": self.filter, "filter_fits": self.fitting}
        if self.index != "exact":
            optional |= {"index": self.index, "index_recall": self.recall}
        optional |= indexing_entry(self.indexed_part)
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
            **optional,
        }


def build_hits(
    ids: Sequence[str],
    positions: NDArray[np.int64],
    scores: Vectors,
    parts: Sequence[Mapping[str, float]],
    rivals: Vectors,
    ranked: int,
    near_duplicates: Sequence[list[str]] | None = None,
) -> list[Hit]:
    """Return K hits, best first, for K images of a gallery of n images.

    The ranked images are those that can be hits: they fit the filter and are not excluded.

    Args:
        ids: the ids of the gallery's images, n strings.
        positions: indices in the gallery of the K images, shape (K,), best first.
        scores: the scores of the K images, shape (K,).
        parts: the parts of the K images' scores by name, K mappings.
        rivals: scores (m,) of m ranked images, in any order. They must include the scores of all
            ranked images that score at least as high as the last hit.
        ranked: the number of all ranked images; percentiles refer to this number.
        near_duplicates: for each of the K images, the ids of the near-duplicates hidden under it;
            None if near-duplicates are not hidden.
    """
    if len(positions) == 0:
        return []
    # Only scores at least as high as the last hit's have to be sorted.
    upper = np.sort(rivals[rivals >= scores.min()])
    lower = ranked - len(upper) + np.searchsorted(upper, scores, side="left")
    return [
        Hit(
            rank=index + 1,
            id=ids[position],
            score=float(scores[index]),
            parts=dict(parts[index]),
            percentile=100.0 * int(lower[index]) / ranked,
            near_duplicates=None if near_duplicates is None else near_duplicates[index],
        )
        for index, position in enumerate(positions.tolist())
    ]


@dataclass
class SearchRecord:
    """A record of the searches that were made within a block of code.

    Attributes:
        stages_ms: The time that each stage took in milliseconds, by its name: "encode" (the model
            encodes the query) and "search" (the gallery is ranked). If there are several searches,
            their times are added up. Empty if there was no search.
        words: The modification text of the last search; None if there was no search.
        reference_id: The id of the last search's reference in the gallery; None if it has none.
    """

    stages_ms: dict[str, float] = field(default_factory=dict)
    words: str | None = None
    reference_id: str | None = None


_current: ContextVar[SearchRecord | None] = ContextVar("search_record", default=None)


@contextmanager
def record_searches() -> Iterator[SearchRecord]:
    """Yield a record, to which all searches within the block, in this thread, are added."""
    record = SearchRecord()
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


def add_stage(name: str, milliseconds: float) -> None:
    """Add the duration of a stage to this thread's record, if there is one."""
    record = _current.get()
    if record is not None:
        record.stages_ms[name] = record.stages_ms.get(name, 0.0) + milliseconds


def add_query(words: str, reference_id: str | None) -> None:
    """Store a query in this thread's record, if there is one.

    Args:
        words: The modification text; may be empty.
        reference_id: The id of the reference in the gallery; None if it has none.
    """
    record = _current.get()
    if record is not None:
        record.words, record.reference_id = words, reference_id
