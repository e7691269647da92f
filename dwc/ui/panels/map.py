"""Panel with a map of the gallery, on which the query and its results are marked.

The map is two-dimensional; images that the model finds similar are close together. This module
renders the markers and a description of the map in words. The script `map.js` draws the images of
the gallery as dots. When a visitor scrolls to the map, the script requests the positions of the
images from `MapService`, which computes the map of a new gallery at the first request. `map_table`
returns the positions for the API.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from dwc.errors import QueryError
from dwc.explain.map_positions import MapMark, MapMarks, locate_answer
from dwc.gallery.projection import LANDMARKS, Projection, ProjectionCache
from dwc.search.model_pool import ModelPool
from dwc.search.searcher import Searcher
from dwc.ui.format import escape, format_count, on_load
from dwc.ui.gallery_images import GalleryImages, StoreImages, url_of
from dwc.ui.request_parsing import parse_whole_number
from dwc.ui.state import SearchState

MIN_GROUP = 10
"""The minimum number of images in a category for which the map shows a label."""


@dataclass(frozen=True)
class Group:
    """A category of images and the position of its label on the map.

    Attributes:
        name: The category's name.
        count: The number of images in the category.
        x: Horizontal position of the label, from 0 (left) to 1 (right).
        y: Vertical position of the label, from 0 (top) to 1 (bottom).
    """

    name: str
    count: int
    x: float
    y: float


def kinds_of(images: GalleryImages, ids: Sequence[str]) -> list[str] | None:
    """Return the categories of the images with these ids, in the same order.

    The result is None if the category of any image is unknown, as in galleries of photographs.
    """
    if not isinstance(images, StoreImages) or not images.garments:
        return None
    kinds = [images.kind(image_id) for image_id in ids]
    return [kind for kind in kinds if kind is not None] if None not in kinds else None


def name_groups(points: NDArray[np.float64], kinds: Sequence[str]) -> list[Group]:
    """Return the categories with at least `MIN_GROUP` images, with the positions of their labels.

    The label of a category is placed at the image that is nearest to the category's median
    position. So if a category forms two clusters, the label is inside one of the clusters.

    Args:
        points: The positions of n images on the map (n, 2), in [0, 1].
        kinds: The categories of the n images.
    """
    groups = []
    kind_by_image = np.asarray(kinds)
    for name in sorted(set(kinds)):
        members = points[kind_by_image == name]
        if len(members) < MIN_GROUP:
            continue
        distances = ((members - np.median(members, axis=0)) ** 2).sum(1)
        x, y = members[distances.argmin()].tolist()
        groups.append(Group(name, len(members), x, y))
    return groups


NEIGHBORS = 3
"""The number of images near the reference that the description of the map names."""

Describe = Callable[[int], str]
"""Function that returns a description of an image, given the image's index in the gallery."""

_NEAR = 0.12
"""The distance below which two markers are described as close, as a fraction of the map's width."""
_COLUMNS = ("left", "", "right")
_ROWS = ("upper", "", "lower")


def name_location(x: float, y: float) -> str:
    """Return the part of the map that contains a point: "upper left", "top", "middle" and so on.

    Args:
        x: Horizontal position, from 0 (left) to 1 (right).
        y: Vertical position, from 0 (top) to 1 (bottom).
    """
    column = _COLUMNS[min(int(3 * x), 2)]
    row = _ROWS[min(int(3 * y), 2)]
    if row and column:
        return f"{row} {column}"
    return column or {"upper": "top", "lower": "bottom"}.get(row, "middle")


def nearest_positions(
    points: NDArray[np.float64], x: float, y: float, count: int, without: Sequence[int] = ()
) -> list[int]:
    """Return the indices of the points nearest to a position, from near to far.

    Args:
        points: The positions of n points (n, 2).
        x: Horizontal coordinate of the position.
        y: Vertical coordinate of the position.
        count: The number of indices to return.
        without: The indices of points to leave out.
    """
    distances = ((points - (x, y)) ** 2).sum(1)
    distances[list(without)] = np.inf
    order = np.argsort(distances, kind="stable")[:count]
    return [position for position in order.tolist() if np.isfinite(distances[position])]


def describe_map(
    marks: MapMarks,
    points: NDArray[np.float64],
    describe: Describe,
    kinds: Sequence[str] | None = None,
) -> str:
    """Return the HTML of a note that describes where query, reference and results are on the map.

    Args:
        marks: The markers of the reference, the query and the results.
        points: The positions of the gallery's n images on the map (n, 2), in [0, 1].
        describe: Function that takes an image's index, 0 to n-1, and returns a description of it.
        kinds: The categories of the n images; None if they are unknown.
    """
    sentences = []
    if marks.reference is not None:
        sentences.append(_describe_reference(marks.reference, points, describe))
    if marks.query is not None:
        sentences.append(_describe_query(marks.query, marks.reference))
    lines = "".join(f"<p>{sentence}</p>" for sentence in sentences)
    items = "".join(
        f"<li>{escape(describe(_position(mark)))}: "
        f"{name_location(mark.x, mark.y)}{_near_query(mark, marks.query)}</li>"
        for mark in marks.results
    )
    return (
        '<details class="note"><summary>The map in words</summary>'
        f"{lines}{_describe_results(marks, kinds)}<ol>{items}</ol></details>"
    )


def _describe_reference(mark: MapMark, points: NDArray[np.float64], describe: Describe) -> str:
    if mark.position is None:
        near = [escape(describe(position)) for position in mark.among[:NEIGHBORS]]
        return (
            "The reference is not of this gallery. It is put among the pictures that the model "
            f"finds most like it, {_location(mark)}: {'; '.join(near)}."
        )
    nearest = nearest_positions(points, mark.x, mark.y, NEIGHBORS, [mark.position])
    near = [escape(describe(position)) for position in nearest]
    neighbors = f" Nearest to it: {'; '.join(near)}." if near else ""
    return f"The reference, {escape(describe(mark.position))}, lies {_location(mark)}.{neighbors}"


def _describe_query(mark: MapMark, reference: MapMark | None) -> str:
    relation = ""
    if reference is not None:
        close = _distance(mark, reference) < _NEAR
        relation = ", close to the reference" if close else ", away from the reference"
    return (
        f"The search lies {_location(mark)}{relation}. It is no picture: it is put at the mean of "
        f"the {len(mark.among)} that fit it best."
    )


def _describe_results(marks: MapMarks, kinds: Sequence[str] | None) -> str:
    if not marks.results or marks.query is None:
        return ""
    close = sum(_distance(mark, marks.query) < _NEAR for mark in marks.results)
    kinds_text = ""
    if kinds is not None:
        counts = Counter(kinds[_position(mark)] for mark in marks.results).most_common()
        kinds_text = " They are " + ", ".join(f"{escape(kind)} ({n})" for kind, n in counts) + "."
    verb = "lies" if close == 1 else "lie"
    counted = f"{close} of the {len(marks.results)} results {verb} close to the search."
    return f"<p>{counted}{kinds_text}</p>"


def _near_query(mark: MapMark, query: MapMark | None) -> str:
    return ", close to the search" if query and _distance(mark, query) < _NEAR else ""


def _distance(a: MapMark, b: MapMark) -> float:
    return float(np.hypot(a.x - b.x, a.y - b.y))


def _location(mark: MapMark) -> str:
    location = name_location(mark.x, mark.y)
    return f"in the {location}" if location == "middle" else f"at the {location}"


def _position(mark: MapMark) -> int:
    if mark.position is None:
        raise ValueError("a result is an image of the gallery, and has a position")
    return mark.position


ON_LOAD = on_load("dwcMap.show")
_SERVICE_ID = "map-service"
SERVICE_ON_LOAD = (
    f"window.dwcMap.serve({{server, trigger: window.dwcEvents.gate('{_SERVICE_ID}', trigger)}}, "
    "'follow', 'laid_out');"
)

_UNFINISHED = "The map is made when the gallery is indexed to the end. Search again then."

PROJECTIONS = ProjectionCache()
"""Cache of computed maps for all visitors; a map depends only on the gallery's vectors."""


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of the map with its markers, or a notice if there is no map yet.

    A new gallery has no map until a browser requests it and the map is computed. While the gallery
    is being indexed, no map is computed, since it would be outdated soon.
    """
    if searcher.store.indexed_part is not None:
        return f'<p class="hint">{_UNFINISHED}</p>'
    projection = PROJECTIONS.known(searcher.store)
    if projection is None:
        return _waiting(state.request.model, images)
    marks = locate_answer(searcher, projection, state.query, state.result)
    ids = searcher.store.ids
    kinds = kinds_of(images, ids)
    points = projection.unit
    groups = [] if kinds is None else name_groups(points, kinds)
    data = {
        "model": state.request.model,
        "store": searcher.store.fingerprint,
        "marks": marks.to_dict(),
        "fits": _encode_mask(state.sweep.selected),
        "groups": [{"name": group.name, "x": group.x, "y": group.y} for group in groups],
    }
    return (
        f'<p class="hint">Each dot is one of the {format_count(len(ids))} {escape(images.noun)}. '
        "What "
        "the model finds alike lies close together; up, down, left and right mean nothing.</p>"
        f'<div class="map" data-map="{escape(json.dumps(data))}">{_stage(images, len(ids))}'
        f'<div class="map-side">{_legend(marks)}<div class="map-card" aria-live="polite">'
        '<p class="hint">Choose a dot to see its picture. Zoom with + and −, or Ctrl and the '
        "wheel; drag to move.</p></div></div></div>"
        f'<p class="hint">{_describe_accuracy(projection)}{_describe_filter(state)}</p>'
        f"{describe_map(marks, points, lambda position: images.describe(ids[position]), kinds)}"
    )


def _encode_mask(mask: NDArray[np.bool_] | None) -> str | None:
    """Encode a mask (n,) of the gallery's n images in base64, with one bit per image.

    The first image is the lowest bit of the first byte. The result is None if `mask` is None.
    """
    if mask is None:
        return None
    return base64.b64encode(np.packbits(mask, bitorder="little").tobytes()).decode()


def _describe_filter(state: SearchState) -> str:
    if not state.request.filter:
        return ""
    return f" Pictures that do not fit {escape(state.request.filter)} are faint."


def _waiting(model: str, images: GalleryImages) -> str:
    data = escape(json.dumps({"model": model}))
    return (
        f'<div class="map-waiting" data-map="{data}"><p class="hint" role="status">'
        f"The {format_count(len(images.ids))} {escape(images.noun)} are being laid out. This is "
        "done "
        'once, and kept: <span class="map-clock">a few seconds</span>.</p></div>'
    )


def _stage(images: GalleryImages, count: int) -> str:
    label = (
        f"Map of the {count:,} {images.noun}. The arrow keys go from dot to dot, Enter to the "
        "chosen picture; plus, minus and zero zoom."
    )
    tools = "".join(
        f'<button type="button" data-zoom="{kind}" aria-label="{name}" title="{name}">{sign}'
        "</button>"
        for kind, name, sign in (
            ("in", "Zoom in", "+"),
            ("out", "Zoom out", "−"),
            ("all", "Show all of the map", "all"),
        )
    )
    return (
        f'<div class="map-stage"><canvas tabindex="0" role="application" '
        f'aria-label="{escape(label)}"></canvas><div class="map-tools">{tools}</div></div>'
    )


def _legend(marks: MapMarks) -> str:
    signs = []
    if marks.reference is not None:
        uploaded = "" if marks.reference.position is not None else ", among what it is most like"
        signs.append(("reference", f"the reference{uploaded}"))
    if marks.query is not None:
        about = "the search itself: no picture, so put at the mean of the "
        signs.append(("query", f"{about}{len(marks.query.among)} that fit it best"))
    if marks.results:
        signs.append(("result", "the results, by rank"))
    items = "".join(
        f'<li><i class="map-sign {kind}" aria-hidden="true"></i>{text}</li>' for kind, text in signs
    )
    return f'<ul class="map-legend">{items}</ul>'


def _describe_accuracy(projection: Projection) -> str:
    text = "A flat map cannot keep everything. "
    if projection.neighbours_kept is not None:
        text += (
            "Of a picture's 10 nearest by the model, on average "
            f"{10 * projection.neighbours_kept:.1f} are among its 10 nearest here. "
        )
    if projection.laid_out < len(projection.positions):
        text += (
            f"{format_count(LANDMARKS)} pictures were laid out, each other one put among the three "
            "that "
            "it is most like. "
        )
    return text + "Close means alike; how far apart far things lie means little."


class MapService:
    """Server functions that the script `map.js` calls from the browser.

    The arguments come from a browser, so the functions check them.
    """

    def __init__(self, models: ModelPool, images: GalleryImages) -> None:
        self._models = models
        self._images = images

    def points(self, request: object) -> dict[str, Any]:
        """Return a model's map of the gallery; compute it if it is not in the cache.

        Args:
            request: A dict with `model`, the model's name.

        Returns:
            A dict with two strings. `store` is the fingerprint of the gallery store (the folder
            with the vectors of the images). `points` contains the coordinates x and y of the first
            image, then those of the second image, and so on. They are unsigned 16-bit little-endian
            numbers from 0 to 65,535, encoded in base64; x increases to the right, y downwards.

        Raises:
            QueryError: The model is unknown, or only a part of the gallery is indexed.
        """
        with self._models.using(self._models.require(_get(request, "model"))) as searcher:
            _require_indexed(searcher)
            projection = PROJECTIONS.get(searcher.store)
            packed = np.ascontiguousarray(projection.positions, dtype="<u2").tobytes()
            return {
                "store": searcher.store.fingerprint,
                "points": base64.b64encode(packed).decode(),
            }

    def card(self, request: object) -> str:
        """Return the HTML of one image, with a button that makes it the next reference.

        Args:
            request: A dict with `model`, the model's name, and `position`, the image's index in the
                gallery.

        Raises:
            QueryError: The model is unknown, the index is not a whole number, or the gallery has no
                image with this index.
        """
        position = _get(request, "position")
        with self._models.using(self._models.require(_get(request, "model"))) as searcher:
            ids = searcher.store.ids
        if isinstance(position, bool) or not isinstance(position, int):
            raise QueryError(f"the position is {position!r}; a whole number was expected.")
        if not 0 <= position < len(ids):
            raise QueryError(f"the position is {position}; the gallery has {len(ids):,} pictures.")
        return render_card(ids[position], self._images)


def _require_indexed(searcher: Searcher) -> None:
    """Raise `QueryError` if only a part of the gallery is indexed."""
    if searcher.store.indexed_part is not None:
        raise QueryError(_UNFINISHED)


def _get(request: object, name: str) -> object:
    if not isinstance(request, Mapping):
        raise QueryError("the request of the map has no fields; expected a model.")
    return request.get(name)


def add_map_service(models: ModelPool, images: GalleryImages) -> gr.HTML:
    """Create the hidden element through which `map.js` calls `MapService`, and return it.

    `map.js` triggers two events of the element: `laid_out` when a gallery's map has been computed
    and can be shown, and `follow` when a visitor makes an image the next reference. The second
    event contains the id and the digest of the image. Call this function inside `gr.Blocks`.
    """
    service = MapService(models, images)

    # Gradio sets an attribute on these callables, which functions allow but methods do not.
    def points(request: dict[str, Any]) -> dict[str, Any]:
        return service.points(request)

    def card(request: dict[str, Any]) -> str:
        return service.card(request)

    return gr.HTML(
        "",
        elem_id=_SERVICE_ID,
        apply_default_css=False,
        server_functions=[points, card],
        js_on_load=SERVICE_ON_LOAD,
    )


def render_card(image_id: str, images: GalleryImages) -> str:
    """Return the HTML of one image, with a button that makes it the next reference."""
    name = escape(images.describe(image_id))
    return (
        f'<img src="{escape(url_of(images.thumbnail(image_id)))}" width="160" height="160" '
        f'alt=""><p>{name}</p><button type="button" data-id="{escape(image_id)}" '
        f'data-content="{images.digest(image_id)}" '
        f'aria-label="Search from here: make {name} the next picture">from here</button>'
    )


def map_table(searcher: Searcher, start: object, limit: object) -> dict[str, Any]:
    """Return the response of the `/map` endpoint: positions of images on the gallery's map.

    Args:
        searcher: The searcher of the gallery.
        start: The index in the gallery of the first image to return, from 0.
        limit: The maximum number of images to return.

    Returns:
        A dict with these entries:

        - `gallery_size`: the number of images in the gallery.
        - `laid_out`: the number of images that t-SNE placed. Each remaining image is at the
          weighted mean position of the three placed images that are most similar to it.
        - `neighbours_kept`: of an image's 10 nearest neighbors by vector, the fraction that is also
          among its 10 nearest neighbors on the map; the mean over a sample of images. None for a
          gallery of 20 images or fewer.
        - `start`: the argument.
        - `ids`, `x` and `y`: lists with the id and the coordinates, in [0, 1], of each image.

    Raises:
        QueryError: `start` is not a whole number from 0 to the gallery's size, `limit` is not a
            whole number of 0 or more, or only a part of the gallery is indexed.
    """
    start, limit = parse_whole_number(start, "start"), parse_whole_number(limit, "limit")
    size = len(searcher.store)
    if not 0 <= start <= size or limit < 0:
        raise QueryError(
            f"start is {start} and limit {limit}; expected a start from 0 to {size} and a limit "
            "of 0 or more."
        )
    _require_indexed(searcher)
    projection = PROJECTIONS.get(searcher.store)
    points = projection.unit[start : start + limit].round(5)
    return {
        "gallery_size": size,
        "laid_out": projection.laid_out,
        "neighbours_kept": projection.neighbours_kept,
        "start": start,
        "ids": searcher.store.ids[start : start + limit],
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
    }
