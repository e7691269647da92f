"""The gallery as a map, the question and its answer marked on it.

The panel holds what is said and marked; its dots are drawn by `map.js`, which asks `MapService` for
them when the map comes into view: only then is a gallery laid out that never was.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np

from dwc.errors import QueryError
from dwc.gallery.projection import LANDMARKS, Projection
from dwc.gallery.projection_file import Projections
from dwc.search.map_marks import MapMarks, mark_answer
from dwc.search.models import Models
from dwc.search.searcher import Searcher
from dwc.ui.map_groups import kinds_of, name_groups
from dwc.ui.map_words import tell_map
from dwc.ui.pictures import Pictures, url_of
from dwc.ui.standing import Standing
from dwc.ui.wording import count, escape

ON_LOAD = "window.dwcMap.show(element);"
SERVICE_ON_LOAD = """
window.dwcMap.serve(server, {
  follow: (id) => trigger('follow', {id}),
  laidOut: () => trigger('laid_out', {}),
});
"""

PROJECTIONS = Projections()
"""One for the whole app: what a gallery's map is depends on nothing else."""


def render_map(searcher: Searcher, pictures: Pictures, standing: Standing) -> str:
    """The map with an answer's marks, or word that it is yet to be laid out."""
    projection = PROJECTIONS.known(searcher.store)
    if projection is None:
        return _yet_to_come(standing.model, pictures)
    marks = mark_answer(searcher, projection, standing.asked, standing.result)
    ids = searcher.store.ids
    kinds = kinds_of(pictures, ids)
    places = projection.unit
    groups = [] if kinds is None else name_groups(places, kinds)
    drawn = {
        "model": standing.model,
        "store": searcher.store.fingerprint,
        "marks": marks.to_dict(),
        "groups": [{"name": group.name, "x": group.x, "y": group.y} for group in groups],
    }
    return (
        f'<p class="hint">Each dot is one of the {count(len(ids))} {escape(pictures.noun)}. What '
        "the model finds alike lies close together; up, down, left and right mean nothing.</p>"
        f'<div class="map" data-map="{escape(json.dumps(drawn))}">{_stage(pictures, len(ids))}'
        f'<div class="map-side">{_legend(marks)}<div class="map-card" aria-live="polite">'
        '<p class="hint">Choose a dot to see its picture. Zoom with + and −, or Ctrl and the '
        "wheel; drag to move.</p></div></div></div>"
        f'<p class="hint">{_how_true(projection)}</p>'
        f"{tell_map(marks, places, lambda place: pictures.describe(ids[place]), kinds)}"
    )


def _yet_to_come(model: str, pictures: Pictures) -> str:
    waiting = escape(json.dumps({"model": model}))
    return (
        f'<div class="map-waiting" data-map="{waiting}"><p class="hint" role="status">'
        f"The {count(len(pictures.ids))} {escape(pictures.noun)} are being laid out. This is done "
        'once, and kept: <span class="map-clock">a few seconds</span>.</p></div>'
    )


def _stage(pictures: Pictures, number: int) -> str:
    label = (
        f"Map of the {number:,} {pictures.noun}. The arrow keys go from dot to dot, Enter to the "
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
            f"{count(LANDMARKS)} pictures were laid out, each other one put among the three that "
            "it is most like. "
        )
    return told + "Close means alike; how far apart far things lie means little."


class MapService:
    """What `map.js` asks for; every argument comes from a browser."""

    def __init__(self, models: Models, pictures: Pictures) -> None:
        self._models = models
        self._pictures = pictures

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
        return render_card(ids[position], self._pictures)


def add_map_service(models: Models, pictures: Pictures) -> gr.HTML:
    """The element, never seen, through which `map.js` asks `MapService` and tells the page.

    Its events: `laid_out`, once a gallery has been laid out and the map can be shown, and `follow`
    with the id of the picture to search from. Call inside `gr.Blocks`.
    """
    service = MapService(models, pictures)

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


def render_card(picture_id: str, pictures: Pictures) -> str:
    """One picture of the map, larger, and the button that makes it the next reference."""
    name = escape(pictures.describe(picture_id))
    return (
        f'<img src="{escape(url_of(pictures.thumbnail(picture_id)))}" width="160" height="160" '
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
