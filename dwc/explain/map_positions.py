"""The positions of a query and its results on the two-dimensional map of a gallery.

Only gallery images have positions of their own. A composed query and an uploaded image are placed
at the mean of the gallery images nearest to them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.gallery.exact_search import best_positions
from dwc.gallery.projection import Projection
from dwc.search.query import EncodedQuery, image_embedder
from dwc.search.results import SearchResult
from dwc.search.searcher import Searcher

NEIGHBORS = 5
"""The number of nearest gallery images whose mean position places a query."""


@dataclass(frozen=True)
class MapMark:
    """A marked point of the map.

    Attributes:
        x: horizontal coordinate, in [0, 1], increasing to the right.
        y: vertical coordinate, in [0, 1], increasing downwards.
        position: index in the gallery of the image at this point; None if the point is a mean.
        among: indices in the gallery of the images whose mean position is this point; empty if the
            point is an image.
    """

    x: float
    y: float
    position: int | None
    among: tuple[int, ...] = ()


@dataclass(frozen=True)
class MapMarks:
    """The marks of the reference (None without one), the query, and the results, best first."""

    reference: MapMark | None
    query: MapMark | None
    results: tuple[MapMark, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the marks as JSON-compatible dicts, lists and numbers."""
        return asdict(self)


def locate_answer(
    searcher: Searcher, projection: Projection, query: EncodedQuery, result: SearchResult
) -> MapMarks:
    """Locate a query and its results on the gallery's map.

    An uploaded reference is embedded in the same way as the gallery's images.

    Returns:
        The marks; the query's mark is None if there are no results.
    """
    positions = [searcher.store.position(hit.id) for hit in result.hits]
    scores = [hit.score for hit in result.hits]
    points = projection.unit
    return MapMarks(
        reference=_mark_reference(searcher, points, query),
        query=_mark_among(points, positions[: NEIGHBORS + 1], scores[: NEIGHBORS + 1]),
        results=tuple(_mark_image(points, position) for position in positions),
    )


def weighted_mean(points: NDArray[np.float64], scores: Sequence[float]) -> tuple[float, float]:
    """Return the weighted mean of the `NEIGHBORS` points with the highest scores.

    A point's weight is its score minus the first score that is not used, or minus the lowest score
    if all are used. Points of equal score have equal weights.

    Args:
        points: coordinates (k, 2) of k points, best first.
        scores: k scores, descending.
    """
    scored = np.asarray(scores[: NEIGHBORS + 1], dtype=np.float64)
    ahead = scored[:NEIGHBORS] - scored[-1]
    shares = ahead / ahead.sum() if ahead.sum() > 0 else np.full(len(ahead), 1 / len(ahead))
    x, y = shares @ points[: len(ahead)]
    return float(x), float(y)


def _mark_reference(
    searcher: Searcher, points: NDArray[np.float64], query: EncodedQuery
) -> MapMark | None:
    if query.reference_id is not None:
        return _mark_image(points, searcher.store.position(query.reference_id))
    if query.image is None:
        return None
    if query.excluded:  # the reference was uploaded, but the gallery has an identical image
        return _mark_image(points, query.excluded[0])
    (vector,) = image_embedder(searcher.checkpoint)([query.image])  # (D,)
    scores = searcher.index.scores(vector)
    nearest = best_positions(scores, NEIGHBORS + 1, ()).tolist()
    return _mark_among(points, nearest, scores[nearest].tolist())


def _mark_image(points: NDArray[np.float64], position: int) -> MapMark:
    x, y = points[position].tolist()
    return MapMark(x, y, position)


def _mark_among(
    points: NDArray[np.float64], positions: Sequence[int], scores: Sequence[float]
) -> MapMark | None:
    if not positions:
        return None
    x, y = weighted_mean(points[list(positions)], scores)
    return MapMark(x, y, None, tuple(positions[:NEIGHBORS]))
