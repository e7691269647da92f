"""Names for a map's regions, where it is known what the pictures show.

A map in words: where question and results lie, and beside which pictures.

The gallery as a map, the question and its answer marked on it.

The panel holds what is said and marked; its dots are drawn by `map.js`, which asks `MapService` for
them when the map comes into view: only then is a gallery laid out that never was.
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
from dwc.ui.state import SearchState

FEWEST = 10
"""Of fewer pictures no region is named."""


@dataclass(frozen=True)
class Group:
    """Pictures of one kind: its name, how many, and the place in [0, 1] where the name stands."""

    name: str
    pictures: int
    x: float
    y: float


def kinds_of(images: GalleryImages, ids: Sequence[str]) -> list[str] | None:
    """What the pictures of these ids show; None where that is not known of all."""
    if not isinstance(images, StoreImages) or not images.garments:
        return None
    kinds = [images.kind(picture_id) for picture_id in ids]
    return [kind for kind in kinds if kind is not None] if None not in kinds else None


def name_groups(places: NDArray[np.float64], kinds: Sequence[str]) -> list[Group]:
    """Where the name of each kind stands, given places (n, 2) in [0, 1] and n kinds.

    It stands at the kind's own picture nearest to its median: of a kind in two heaps, in one.
    """
    groups = []
    named = np.asarray(kinds)
    for name in sorted(set(kinds)):
        members = places[named == name]
        if len(members) < FEWEST:
            continue
        away = ((members - np.median(members, axis=0)) ** 2).sum(1)
        x, y = members[away.argmin()].tolist()
        groups.append(Group(name, len(members), x, y))
    return groups


NEIGHBOURS = 3
Describe = Callable[[int], str]
"""The picture at a position of the store, in words."""

_NEAR = 0.12
"""An eighth of the way across: what lies closer looks as if it lay together."""
_COLUMNS = ("left", "", "right")
_ROWS = ("upper", "", "lower")


def name_place(x: float, y: float) -> str:
    """A place in [0, 1] as one of nine: "upper left", "top", "middle"."""
    column = _COLUMNS[min(int(3 * x), 2)]
    row = _ROWS[min(int(3 * y), 2)]
    if row and column:
        return f"{row} {column}"
    return column or {"upper": "top", "lower": "bottom"}.get(row, "middle")


def nearest_positions(
    places: NDArray[np.float64], x: float, y: float, count: int, without: Sequence[int] = ()
) -> list[int]:
    """The positions of the `count` places (n, 2) nearest to a place, nearest first."""
    away = ((places - (x, y)) ** 2).sum(1)
    away[list(without)] = np.inf
    order = np.argsort(away, kind="stable")[:count]
    return [position for position in order.tolist() if np.isfinite(away[position])]


def describe_map(
    marks: MapMarks,
    places: NDArray[np.float64],
    describe: Describe,
    kinds: Sequence[str] | None = None,
) -> str:
    """What the map shows of an answer, as a closed note of sentences; `kinds` as `kinds_of`."""
    told = []
    if marks.reference is not None:
        told.append(_tell_reference(marks.reference, places, describe))
    if marks.query is not None:
        told.append(_tell_query(marks.query, marks.reference))
    lines = "".join(f"<p>{sentence}</p>" for sentence in told)
    items = "".join(
        f"<li>{escape(describe(_position(mark)))}: "
        f"{name_place(mark.x, mark.y)}{_beside_query(mark, marks.query)}</li>"
        for mark in marks.results
    )
    return (
        '<details class="note"><summary>The map in words</summary>'
        f"{lines}{_tell_results(marks, kinds)}<ol>{items}</ol></details>"
    )


def _tell_reference(mark: MapMark, places: NDArray[np.float64], describe: Describe) -> str:
    if mark.position is None:
        near = [escape(describe(position)) for position in mark.among[:NEIGHBOURS]]
        return (
            "The reference is not of this gallery. It is put among the pictures that the model "
            f"finds most like it, {_place(mark)}: {'; '.join(near)}."
        )
    nearest = nearest_positions(places, mark.x, mark.y, NEIGHBOURS, [mark.position])
    near = [escape(describe(position)) for position in nearest]
    beside = f" Nearest to it: {'; '.join(near)}." if near else ""
    return f"The reference, {escape(describe(mark.position))}, lies {_place(mark)}.{beside}"


def _tell_query(mark: MapMark, reference: MapMark | None) -> str:
    way = ""
    if reference is not None:
        close = _distance(mark, reference) < _NEAR
        way = ", close to the reference" if close else ", away from the reference"
    return (
        f"The search lies {_place(mark)}{way}. It is no picture: it is put at the mean of the "
        f"{len(mark.among)} that fit it best."
    )


def _tell_results(marks: MapMarks, kinds: Sequence[str] | None) -> str:
    if not marks.results or marks.query is None:
        return ""
    close = sum(_distance(mark, marks.query) < _NEAR for mark in marks.results)
    shown = ""
    if kinds is not None:
        counted = Counter(kinds[_position(mark)] for mark in marks.results).most_common()
        shown = " They are " + ", ".join(f"{escape(kind)} ({n})" for kind, n in counted) + "."
    lie = "lies" if close == 1 else "lie"
    return f"<p>{close} of the {len(marks.results)} results {lie} close to the search.{shown}</p>"


def _beside_query(mark: MapMark, query: MapMark | None) -> str:
    return ", close to the search" if query and _distance(mark, query) < _NEAR else ""


def _distance(one: MapMark, other: MapMark) -> float:
    return float(np.hypot(one.x - other.x, one.y - other.y))


def _place(mark: MapMark) -> str:
    place = name_place(mark.x, mark.y)
    return f"in the {place}" if place == "middle" else f"at the {place}"


def _position(mark: MapMark) -> int:
    if mark.position is None:
        raise ValueError("a result is a picture of the gallery, and has its position")
    return mark.position


ON_LOAD = on_load("dwcMap.show")
SERVICE_ON_LOAD = "window.dwcMap.serve({server, trigger}, 'follow', 'laid_out');"

PROJECTIONS = ProjectionCache()
"""One for the whole app: what a gallery's map is depends on nothing else."""


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """The panel for an answer: the map with its marks, or that the map is being computed."""
    projection = PROJECTIONS.known(searcher.store)
    if projection is None:
        return _yet_to_come(state.request.model, images)
    marks = locate_answer(searcher, projection, state.query, state.result)
    ids = searcher.store.ids
    kinds = kinds_of(images, ids)
    places = projection.unit
    groups = [] if kinds is None else name_groups(places, kinds)
    drawn = {
        "model": state.request.model,
        "store": searcher.store.fingerprint,
        "marks": marks.to_dict(),
        "groups": [{"name": group.name, "x": group.x, "y": group.y} for group in groups],
    }
    return (
        f'<p class="hint">Each dot is one of the {format_count(len(ids))} {escape(images.noun)}. '
        "What "
        "the model finds alike lies close together; up, down, left and right mean nothing.</p>"
        f'<div class="map" data-map="{escape(json.dumps(drawn))}">{_stage(images, len(ids))}'
        f'<div class="map-side">{_legend(marks)}<div class="map-card" aria-live="polite">'
        '<p class="hint">Choose a dot to see its picture. Zoom with + and −, or Ctrl and the '
        "wheel; drag to move.</p></div></div></div>"
        f'<p class="hint">{_how_true(projection)}</p>'
        f"{describe_map(marks, places, lambda place: images.describe(ids[place]), kinds)}"
    )


def _yet_to_come(model: str, images: GalleryImages) -> str:
    waiting = escape(json.dumps({"model": model}))
    return (
        f'<div class="map-waiting" data-map="{waiting}"><p class="hint" role="status">'
        f"The {format_count(len(images.ids))} {escape(images.noun)} are being laid out. This is "
        "done "
        'once, and kept: <span class="map-clock">a few seconds</span>.</p></div>'
    )


def _stage(images: GalleryImages, number: int) -> str:
    label = (
        f"Map of the {number:,} {images.noun}. The arrow keys go from dot to dot, Enter to the "
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
    shown = []
    if marks.reference is not None:
        uploaded = "" if marks.reference.position is not None else ", among what it is most like"
        shown.append(("reference", f"the reference{uploaded}"))
    if marks.query is not None:
        about = "the search itself: no picture, so put at the mean of the "
        shown.append(("query", f"{about}{len(marks.query.among)} that fit it best"))
    if marks.results:
        shown.append(("result", "the results, by rank"))
    items = "".join(
        f'<li><i class="map-sign {kind}" aria-hidden="true"></i>{text}</li>' for kind, text in shown
    )
    return f'<ul class="map-legend">{items}</ul>'


def _how_true(projection: Projection) -> str:
    told = "A flat map cannot keep everything. "
    if projection.neighbours_kept is not None:
        told += (
            "Of a picture's 10 nearest by the model, on average "
            f"{10 * projection.neighbours_kept:.1f} are among its 10 nearest here. "
        )
    if projection.laid_out < len(projection.positions):
        told += (
            f"{format_count(LANDMARKS)} pictures were laid out, each other one put among the three "
            "that "
            "it is most like. "
        )
    return told + "Close means alike; how far apart far things lie means little."


class MapService:
    """What `map.js` asks for; every argument comes from a browser."""

    def __init__(self, models: ModelPool, images: GalleryImages) -> None:
        self._models = models
        self._images = images

    def points(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A model's map of the gallery, laid out now if it never was: the store's fingerprint, and
        x and y of every picture as 16-bit numbers, little-endian, in base64.
        """
        with self._models.using(self._models.require(asked.get("model"))) as searcher:
            projection = PROJECTIONS.get(searcher.store)
            packed = np.ascontiguousarray(projection.positions, dtype="<u2").tobytes()
            return {
                "store": searcher.store.fingerprint,
                "points": base64.b64encode(packed).decode(),
            }

    def card(self, asked: Mapping[str, Any]) -> str:
        """The picture at a position, as HTML, with the way to search from it.

        Raises QueryError for a position that the gallery has not.
        """
        position = asked.get("position")
        with self._models.using(self._models.require(asked.get("model"))) as searcher:
            ids = searcher.store.ids
        if isinstance(position, bool) or not isinstance(position, int):
            raise QueryError(f"the position is {position!r}; a whole number was expected.")
        if not 0 <= position < len(ids):
            raise QueryError(f"the position is {position}; the gallery has {len(ids):,} pictures.")
        return render_card(ids[position], self._images)


def add_map_service(models: ModelPool, images: GalleryImages) -> gr.HTML:
    """The element, never seen, through which `map.js` asks `MapService` and tells the page.

    Its events: `laid_out`, once a gallery has been laid out and the map can be shown, and `follow`
    with the id of the picture to search from. Call inside `gr.Blocks`.
    """
    service = MapService(models, images)

    # Functions of their own, since Gradio marks what it may call, and methods cannot be marked.
    def points(asked: dict[str, Any]) -> dict[str, Any]:
        return service.points(asked)

    def card(asked: dict[str, Any]) -> str:
        return service.card(asked)

    return gr.HTML(
        "",
        elem_id="map-service",
        apply_default_css=False,
        server_functions=[points, card],
        js_on_load=SERVICE_ON_LOAD,
    )


def render_card(picture_id: str, images: GalleryImages) -> str:
    """One picture of the map, larger, and the button that makes it the next reference."""
    name = escape(images.describe(picture_id))
    return (
        f'<img src="{escape(url_of(images.thumbnail(picture_id)))}" width="160" height="160" '
        f'alt=""><p>{name}</p><button type="button" data-id="{escape(picture_id)}" '
        f'aria-label="Search from here: make {name} the next picture">from here</button>'
    )


def map_table(searcher: Searcher, start: int, limit: int) -> dict[str, Any]:
    """The `/map` endpoint's answer: `limit` pictures' places from `start`, laid out if need be.

    Raises QueryError for a start or limit that is below 0 or above the gallery's size.
    """
    number = len(searcher.store)
    if not 0 <= start <= number or limit < 0:
        raise QueryError(
            f"start is {start} and limit {limit}; expected a start from 0 to {number} and a limit "
            "of 0 or more."
        )
    projection = PROJECTIONS.get(searcher.store)
    shown = projection.unit[start : start + limit].round(5)
    return {
        "gallery_size": number,
        "laid_out": projection.laid_out,
        "neighbours_kept": projection.neighbours_kept,
        "start": start,
        "ids": searcher.store.ids[start : start + limit],
        "x": shown[:, 0].tolist(),
        "y": shown[:, 1].tolist(),
    }
