"""Where a question and its answer lie on a gallery's map.

Only the gallery's pictures have places of their own there. The composed query is no picture, and an
uploaded one is not of the gallery: each is put among those that the model finds nearest to it.
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
"""Of how many nearest pictures a place is the mean."""


@dataclass(frozen=True)
class MapMark:
    """A place on the map, `x` to the right and `y` downwards, in [0, 1].

    `position` is the gallery picture's that lies there; None for what is no picture of the gallery,
    which lies at the mean of those `among`.
    """

    x: float
    y: float
    position: int | None
    among: tuple[int, ...] = ()


@dataclass(frozen=True)
class MapMarks:
    """The reference (None for words alone), the composed query, and the results, best first."""

    reference: MapMark | None
    query: MapMark | None
    results: tuple[MapMark, ...]

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists and numbers."""
        return asdict(self)


def locate_answer(
    searcher: Searcher, projection: Projection, asked: EncodedQuery, result: SearchResult
) -> MapMarks:
    """Place a question that `searcher` answered on its gallery's map.

    The query is None where nothing was found. An uploaded reference is embedded once more, as the
    gallery's pictures were.
    """
    positions = [searcher.store.position(hit.id) for hit in result.hits]
    scores = [hit.score for hit in result.hits]
    places = projection.unit
    return MapMarks(
        reference=_mark_reference(searcher, places, asked),
        query=_mark_among(places, positions[: NEIGHBORS + 1], scores[: NEIGHBORS + 1]),
        results=tuple(_mark_picture(places, position) for position in positions),
    )


def weighted_mean(places: NDArray[np.float64], scores: Sequence[float]) -> tuple[float, float]:
    """The mean of the best-scored `AMONG` places (k, 2), each by how far it outdoes the next.

    The next is the one after them, or the last where there are no more; of equals, each alike.
    """
    scored = np.asarray(scores[: NEIGHBORS + 1], dtype=np.float64)
    ahead = scored[:NEIGHBORS] - scored[-1]
    shares = ahead / ahead.sum() if ahead.sum() > 0 else np.full(len(ahead), 1 / len(ahead))
    x, y = shares @ places[: len(ahead)]
    return float(x), float(y)


def _mark_reference(
    searcher: Searcher, places: NDArray[np.float64], asked: EncodedQuery
) -> MapMark | None:
    if asked.reference_id is not None:
        return _mark_picture(places, searcher.store.position(asked.reference_id))
    if asked.image is None:
        return None
    if asked.excluded:  # uploaded, but the gallery has the very same picture
        return _mark_picture(places, asked.excluded[0])
    (vector,) = image_embedder(searcher.checkpoint)([asked.image])  # (D,)
    scores = searcher.index.scores(vector)
    nearest = best_positions(scores, NEIGHBORS + 1, ()).tolist()
    return _mark_among(places, nearest, scores[nearest].tolist())


def _mark_picture(places: NDArray[np.float64], position: int) -> MapMark:
    x, y = places[position].tolist()
    return MapMark(x, y, position)


def _mark_among(
    places: NDArray[np.float64], positions: Sequence[int], scores: Sequence[float]
) -> MapMark | None:
    if not positions:
        return None
    x, y = weighted_mean(places[list(positions)], scores)
    return MapMark(x, y, None, tuple(positions[:NEIGHBORS]))
