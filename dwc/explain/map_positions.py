"""The positions of a query and its results on the two-dimensional map of a gallery.

The map contains only the gallery's images. A query or an uploaded image is placed at the mean
position of the gallery images that are most similar to it by the model's vectors.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.gallery.projection import Projection
from dwc.gallery.search_index import best_positions
from dwc.search.image_embedding import image_embedder
from dwc.search.query import EncodedQuery
from dwc.search.results import SearchResult
from dwc.search.searcher import Searcher

NEIGHBORS = 5
"""Number of gallery images, the most similar ones, at whose mean position a query is placed."""


@dataclass(frozen=True)
class MapMark:
    """A marked point of the map: the place of one image, or the mean place of several images.

    Attributes:
        x: horizontal coordinate, in [0, 1], increasing to the right.
        y: vertical coordinate, in [0, 1], increasing downwards.
        position: the image's index in the gallery; None if the point is a mean of several images.
        among: the indices in the gallery of the images whose mean place is this point; empty if the
            point is the place of one image.
    """

    x: float
    y: float
    position: int | None
    among: tuple[int, ...] = ()


@dataclass(frozen=True)
class MapMarks:
    """The marked points of one search on the map.

    Attributes:
        reference: the point of the reference image; None for a query without a reference.
        query: the point of the query; None if there are no results.
        results: the points of the results, best first.
    """

    reference: MapMark | None
    query: MapMark | None
    results: tuple[MapMark, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the marked points as JSON-compatible dicts, lists and numbers."""
        return asdict(self)


def locate_answer(
    searcher: Searcher, projection: Projection, query: EncodedQuery, result: SearchResult
) -> MapMarks:
    """Return the points of a query, its reference and its results on the gallery's map.

    A result, or a reference from the gallery, is at the position of its image. The query is at the
    mean position of the best results. An uploaded reference is placed at an identical gallery image
    or, if there is none, at the mean position of the gallery images that are most similar to it.
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
    """Return the x and y of the weighted mean of the points with the highest scores.

    The mean is taken over the first `NEIGHBORS` points, or over all points if there are fewer. The
    weight of a point is its score minus the best score among the points that are left out. If no
    point is left out, the weight is the score minus the lowest score. If all weights are zero, the
    unweighted mean is returned.

    Args:
        points: coordinates (k, 2) of k points, by descending score.
        scores: the k scores of these points.
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
