"""The results of searches as plain data, a record of each search, and near-duplicates of results.

A result contains no tensors and can be converted to JSON. `record_searches` records the queries and
the durations of the searches in a block of code. The caller of `Searcher` decides whether searches
are recorded; a record never changes a result. A record belongs to the thread (or task) that creates
it, so that concurrent searches are not mixed.

Near-duplicates are detected by their embeddings: two gallery images are near-duplicates if the
distance between their embeddings is at most 1/20 of the median distance between two images of the
gallery. The distance is 1 minus the cosine. The limit is relative, because the spread of embeddings
depends on the model and on the gallery. Copies of a query's reference image are detected by their
pixels.

The limit of 1/20 was chosen by measurements on drawings of 2,000 garments, with a checkpoint
trained on such drawings. The measured distances are given as fractions of the median distance:

- Nine in ten copies of an image are within 0.003 of the image if they were saved as a low-quality
  JPEG, within 0.028 if cropped by 6 % on every side, within 0.041 if mirrored, and within 0.052 if
  cropped by 10 % on every side.
- Of all pairs of images of different garments, 1 in 15,000 has a distance of at most 1/20. Three in
  four of these pairs differ in a single attribute.
- 1 pair in 5,000 has a distance of at most 1/10. Some of these pairs differ in belt, pocket or
  length, and should not be hidden.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.errors import QueryError
from dwc.gallery.search_index import Vectors
from dwc.gallery.store import IndexedPart


@dataclass(frozen=True)
class TracedItem:
    """One image of a `RankTrace`, with its ranks at several image weights.

    Attributes:
        id: the image's id.
        ranks: the image's rank at each weight shift of the trace, 1 for the best image; None where
            the rank is greater than the trace's `limit`.
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
        limit: the greatest rank that the trace contains; None replaces greater ranks.
    """

    shifts: list[float]
    learned: int
    image_weights: list[dict[str, float]]
    items: list[TracedItem]
    limit: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-compatible dict, with infinite `shifts` as "-inf" and "inf".

        JSON has no infinity.
        """
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
        away: whether the image's file was missing when the gallery was last indexed.
    """

    rank: int
    id: str
    score: float
    parts: dict[str, float]
    percentile: float
    near_duplicates: list[str] | None = None
    away: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values.

        The dict lacks `near_duplicates` if it is None. It lacks `away` (whether the image's file
        was missing) if it is False.
        """
        content = asdict(self)
        if not self.away:
            del content["away"]
        if self.near_duplicates is None:
            del content["near_duplicates"]
        return content


def indexing_entry(part: IndexedPart | None) -> dict[str, Any]:
    """Return the entry `indexing` of a JSON response: how much of the gallery has been indexed.

    The entry has the number of indexed images, `pictures`, and the number of all images, `total`
    (None if it is unknown).

    Args:
        part: These numbers; None if the gallery is completely indexed.

    Returns:
        A dict with the entry; empty if `part` is None.
    """
    return {} if part is None else {"indexing": part._asdict()}


@dataclass(frozen=True)
class SearchResult:
    """The result of one query.

    Attributes:
        hits: the images, best first.
        weights: the image and text weights of each stream, by the stream's name.
        unknown_words: typed words that are not in the model's word vocabulary; all typed words if
            none of the text's content words is in the vocabulary, since the model then cannot use
            the text.
        timings_ms: the durations `encode`, `search` and `total` in milliseconds.
        gallery_size: the number of images in the gallery.
        shift: the number that was added to the logit of every stream's image weight; 0 for the
            learned weights.
        ood_score: out-of-distribution score, 0 or more: how far the reference image is from the
            training images. A score above 1 means that 99 % of held-out images of the same kind as
            the training images are closer. None without an image, or if the checkpoint has no
            statistics of its training images.
        model_text: the text that the model received: the checkpoint's caption template with the
            query's text inserted.
        notes: messages for the user.
        filter: the filter that all hits fit, as text; empty without a filter.
        fitting: the number of images that fit the filter, including a reference that is left out of
            the hits; None without a filter.
        index: the name of the approximate index that proposed the images, such as "faiss"; "exact"
            if there is no such index.
        recall: the fraction (0 to 1) of the 50 best images that the index proposes, averaged over
            trial queries; None without an index, or if it was not measured.
        indexed_part: the number of images indexed so far, which were searched, and the total; None
            if the gallery is completely indexed.
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

        An infinite `shift` becomes the string "inf" or "-inf". Some entries may be missing:

        - `filter` and `filter_fits`, if the search has no filter;
        - `index` and `index_recall`, if every image was compared with the query;
        - `indexing`, if the gallery is completely indexed.
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
    away: Collection[str] = (),
) -> list[Hit]:
    """Return K hits, best first, for K images of a gallery of n images.

    The ranked images are those that can be hits: they fit the filter and are not excluded.

    Args:
        ids: the ids of the gallery's images, n strings.
        positions: indices in the gallery of the K images, shape (K,), best first.
        scores: the scores of the K images, shape (K,).
        parts: the parts of the K images' scores by name, K mappings.
        rivals: scores (m,) of m ranked images, in any order. They must include the scores of all
            ranked images whose score is at least that of the last of the K images.
        ranked: the number of all ranked images, from which the percentiles are computed.
        near_duplicates: for each of the K images, the ids of the near-duplicates hidden under it;
            None if near-duplicates are not hidden.
        away: the ids of the images whose files were missing when the gallery was last indexed.
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
            away=ids[position] in away,
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
        reference_id: The id of the last search's reference; None if there is none, or it is not in
            the gallery.
    """

    stages_ms: dict[str, float] = field(default_factory=dict)
    words: str | None = None
    reference_id: str | None = None


_current: ContextVar[SearchRecord | None] = ContextVar("search_record", default=None)


@contextmanager
def record_searches() -> Iterator[SearchRecord]:
    """Record the searches that this thread runs within the `with` block.

    Yields:
        The record, which is filled during the block.
    """
    record = SearchRecord()
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


def add_stage(name: str, milliseconds: float) -> None:
    """Add the duration of one stage of a search to this thread's record, if there is a record.

    Args:
        name: The name of the stage: "encode" or "search".
        milliseconds: The duration.
    """
    record = _current.get()
    if record is not None:
        record.stages_ms[name] = record.stages_ms.get(name, 0.0) + milliseconds


def add_query(words: str, reference_id: str | None) -> None:
    """Store a query in this thread's record, if there is one.

    Args:
        words: The modification text; may be empty.
        reference_id: The id of the reference; None if there is none, or it is not in the gallery.
    """
    record = _current.get()
    if record is not None:
        record.words, record.reference_id = words, reference_id


NEAR_SHARE = 1 / 20
"""Maximum distance between near-duplicates, as a share of the gallery's median distance."""

SAMPLE_SIZE = 512
"""Number of gallery images from which the median distance is computed.

512 images form 131,000 pairs. The vectors of 512 images take 4 MB if each has 2,048 numbers.
"""

_ROUNDING = 1e-6  # an upper bound of the computed distance between equal vectors


@dataclass(frozen=True)
class DuplicateGroups:
    """The near-duplicates among K ranked images.

    Attributes:
        duplicate_of: for each of the K images, the index (from 0) of a higher-ranked image that is
            nearly the same; None if there is no such image.
        threshold: the minimum cosine of two images that count as near-duplicates.
        median_cosine: the median cosine between two images of the gallery.
    """

    duplicate_of: list[int | None]
    threshold: float
    median_cosine: float

    @property
    def count(self) -> int:
        """The number of images that are near-duplicates of a higher-ranked image."""
        return sum(first is not None for first in self.duplicate_of)

    def duplicates_of(self, index: int) -> list[int]:
        """Return the near-duplicates of one of the K ranked images, as ascending indices.

        Args:
            index: the image's index (from 0) among the ranked images.
        """
        return [other for other, first in enumerate(self.duplicate_of) if first == index]


class NearDuplicates:
    """Detector of the near-duplicates in one gallery.

    Two images are near-duplicates if their cosine is at least `threshold`. The cosine of two images
    is the mean of their cosines in the model's streams.
    """

    def __init__(self, vectors: Vectors, ids: Sequence[str]) -> None:
        """Build the object for one gallery; the vectors and the ids are not copied.

        Args:
            vectors: vectors (n, D) of n images. A vector of length D concatenates the vectors of
                all streams, each of unit length.
            ids: the ids of the n images.
        """
        self._vectors = vectors
        self._ids = ids

    @cached_property
    def median_cosine(self) -> float:
        """The median cosine between two images of the gallery, in [-1, 1]; 1 for a single image.

        The median is computed from `SAMPLE_SIZE` images at even intervals in the gallery.
        """
        count = len(self._vectors)
        rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, SAMPLE_SIZE)).astype(int))
        if len(rows) < 2:
            return 1.0
        units = _units(self._vectors[rows])
        return float(np.median((units @ units.T)[np.triu_indices(len(rows), k=1)]))

    @property
    def threshold(self) -> float:
        """The minimum cosine of two images that count as near-duplicates."""
        return min(1.0 - NEAR_SHARE * (1.0 - self.median_cosine), 1.0 - _ROUNDING)

    def group(self, ids: Sequence[str]) -> DuplicateGroups:
        """Return the groups of near-duplicates among ranked images.

        Each image is compared only with higher-ranked images that are not duplicates themselves, so
        a chain of small differences cannot join two images that differ clearly.

        Args:
            ids: the ids of the images, best first.

        Raises:
            QueryError: if an id is not in the gallery.
        """
        rows: list[int] = []
        try:
            for id in ids:
                rows.append(self._ids.index(id))
        except ValueError:
            raise QueryError(
                f"the gallery has no picture {id!r} among its {len(self._ids):,}. Give found ones."
            ) from None
        grouping = _Grouping(self._vectors, self.threshold)
        duplicate_of = []
        for index, leader in enumerate(grouping.add(np.array(rows, dtype=np.int64))):
            duplicate_of.append(None if leader == index else leader)
        return DuplicateGroups(duplicate_of, self.threshold, self.median_cosine)

    def fold(self, ranking: Callable[[int], NDArray[np.int64]], k: int) -> dict[int, list[int]]:
        """Hide the near-duplicates in a ranking, and return the `k` best images that remain.

        Args:
            ranking: function that takes a number m, and returns the gallery positions of the m best
                images, best first.
            k: number of images, 1 or more.

        Returns:
            A dict from the gallery position of each of the `k` images, best first, to the gallery
            positions of the near-duplicates that are hidden under it. The dict has fewer than `k`
            entries if fewer images remain. The ranking is read only up to the image that would be
            number `k + 1`; near-duplicates ranked below that image are not listed.
        """
        grouping = _Grouping(self._vectors, self.threshold)
        groups: dict[int, list[int]] = {}
        order: list[int] = []
        count = 2 * k
        while True:
            positions = ranking(count)
            added = positions[len(order) :]
            leaders = grouping.add(added)
            order += added.tolist()
            for position, leader in zip(added.tolist(), leaders, strict=True):
                if order[leader] == position:
                    if len(groups) == k:
                        return groups
                    groups[position] = []
                else:
                    groups[order[leader]].append(position)
            if len(positions) < count:
                return groups
            count *= 4

    def near(self, position: int, candidates: Sequence[int]) -> list[int]:
        """Return the gallery positions of the candidates that are near-duplicates of an image.

        Args:
            position: the image's position in the gallery.
            candidates: the gallery positions of other images.

        Returns:
            The positions, in the order of `candidates`.
        """
        units = _units(self._vectors[[position, *candidates]])
        cosines = units[1:] @ units[0]
        return [other for other, c in zip(candidates, cosines, strict=True) if c >= self.threshold]


_BLOCK = 256  # number of images compared at a time


class _Grouping:
    """Groups of the images of a sequence; the first image of each group is called its leader.

    Each image joins the group of the earliest leader that is a near-duplicate of the image. If
    there is no such leader, the image becomes the leader of a new group.
    """

    def __init__(self, vectors: Vectors, threshold: float) -> None:
        self._vectors, self._threshold = vectors, threshold
        self._leaders: list[int] = []  # indices of the leaders
        self._units: list[Vectors] = []  # unit vectors (D,) of the leaders
        self._count = 0

    def add(self, positions: NDArray[np.int64]) -> list[int]:
        """Add images to the end of the sequence, and return the first image of each one's group.

        Args:
            positions: positions of the images in the gallery.

        Returns:
            For each added image, the index (from 0, in the complete sequence) of the first image of
            its group. If the added image starts a new group, this is its own index.
        """
        assigned: list[int] = []
        for start in range(0, len(positions), _BLOCK):
            units = _units(self._vectors[positions[start : start + _BLOCK]])
            within = units @ units.T >= self._threshold  # (B, B)
            earlier = self._near_leaders(units)  # (B, leaders so far)
            own: list[int] = []  # rows of the leaders in this block
            for row in range(len(units)):
                first = np.flatnonzero(earlier[row])
                near = [other for other in own if within[row, other]] if len(first) == 0 else []
                if len(first):
                    assigned.append(self._leaders[first[0]])
                elif near:
                    assigned.append(self._count + near[0])
                else:
                    assigned.append(self._count + row)
                    own.append(row)
            self._leaders += [self._count + row for row in own]
            self._units += [units[row] for row in own]
            self._count += len(units)
        return assigned

    def _near_leaders(self, units: Vectors) -> NDArray[np.bool_]:
        if not self._units:
            return np.zeros((len(units), 0), dtype=bool)
        return units @ np.stack(self._units).T >= self._threshold


def _units(vectors: Vectors) -> Vectors:
    """Scale n vectors (n, D) of length D to unit Euclidean length; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


_CELLS = 32
# Maximum difference between the colors of any cell in two copies of a picture, on the scale from 0
# to 255. Measured: at most 30 between 150 photographs and their copies at a third of the size,
# saved as JPEG of quality 75; at least 75 between any two of 400 different photographs or of 600
# drawings of different garments.
_MAX_CELL_DIFFERENCE = 32
# Maximum difference between the mean colors of two copies, on the same scale. Measured: at most 2.5
# between 120 photographs and their copies saved as JPEG of quality 20.
_MAX_COLOR_SHIFT = 3.5
_MAX_RATIO_DIFFERENCE = 0.03

Cells = NDArray[np.int16]


def image_cells(image: Image.Image) -> Cells:
    """Divide an image into 32 by 32 cells, and return the mean color of each cell.

    The result is an array (32, 32, 3) of rows, columns and RGB channels, with values from 0 to 255.
    """
    small = image.convert("RGB").resize((_CELLS, _CELLS), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.int16)


def same_ratio(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether the aspect ratios of two sizes (width, height) differ by at most 3 %."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= _MAX_RATIO_DIFFERENCE


def same_picture(cells: Cells, other: Cells) -> bool:
    """Return whether two images show the same picture, possibly saved again or rescaled.

    Two images count as the same picture if their mean colors, with values from 0 to 255, differ by
    at most 32 in every cell, and by at most 3.5 in the mean over all cells. The second limit
    distinguishes plain surfaces that differ slightly in brightness.

    Args:
        cells: mean colors of one image in 32 by 32 cells, as returned by `image_cells`.
        other: mean colors of the other image, as returned by `image_cells`.
    """
    difference = cells - other
    shift = np.abs(difference.mean(axis=(0, 1))).max()  # maximum over the color channels
    return bool(np.abs(difference).max() <= _MAX_CELL_DIFFERENCE and shift <= _MAX_COLOR_SHIFT)
