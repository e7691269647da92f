"""Taking an answer along: as CSV, as JSON, as a link that asks the same again."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from dwc.search.model_pool import Origin
from dwc.search.results import shift_to_json
from dwc.ui.format import escape, on_load
from dwc.ui.state import SearchState

# A spreadsheet would take a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


ON_LOAD = on_load("dwcPanels.toolbar", "save")


@dataclass(frozen=True)
class _Format:
    name: str
    type: str
    write: Callable[[SearchState, Origin], str]


def render_toolbar(standing: SearchState | None, names_model: bool = False) -> str:
    """The buttons and the link; empty where nothing has been searched.

    What a button saves is made when it is pressed: see `parcel`.
    """
    if standing is None:
        return ""
    link = link_query(standing, names_model)
    refusal = "" if link is not None else "A link cannot carry an uploaded picture."
    save = "".join(
        f'<button type="button" data-save="{kind}">Save {kind.upper()}</button>'
        for kind in _FORMATS
    )
    return (
        f'<div class="toolbar">{save}'
        f'<button type="button" id="share" data-query="{escape(link or "")}" '
        f'data-refusal="{escape(refusal)}">Copy link</button>'
        '<span class="hint" role="status" id="taken"></span></div>'
    )


def parcel(kind: object, standing: SearchState, origin: Origin) -> dict[str, str] | None:
    """The file that a browser asks for: `name`, media `type`, `content`; None for no such kind."""
    if not isinstance(kind, str) or kind not in _FORMATS:
        return None
    made = _FORMATS[kind]
    return {"name": made.name, "type": made.type, "content": made.write(standing, origin)}


def link_query(standing: SearchState, names_model: bool = False) -> str | None:
    """`ref=…&text=…&shift=…&model=…`, or None for a reference that is not of the gallery.

    With `names_model`, for where there is a choice, the model that answered is in it.
    """
    asked = standing.query
    if asked.image is not None and asked.reference_id is None:
        return None
    parts: dict[str, Any] = {}
    if asked.reference_id is not None:
        parts["ref"] = asked.reference_id
    if asked.text:
        parts["text"] = asked.text
    if standing.shift != 0:
        parts["shift"] = shift_to_json(standing.shift)
    if names_model:
        parts["model"] = standing.model
    return urlencode(parts)


def to_json(standing: SearchState, origin: Origin) -> str:
    """Question, origin and answer as one JSON text."""
    return json.dumps(
        {
            "query": _query(standing),
            **origin.to_dict(),
            **standing.result.to_dict(),
        },
        indent=2,
        ensure_ascii=False,
    )


def to_csv(standing: SearchState, origin: Origin) -> str:
    """One line a result; question, weights and origin are repeated in each."""
    query = _query(standing)
    weights = {f"{name}_weight": w.image for name, w in standing.result.weights.items()}
    lines = io.StringIO()
    hits = standing.result.hits
    parts = list(hits[0].parts) if hits else []
    writer = csv.writer(lines)
    of_hit = ("rank", "id", "score", "percentile")
    of_origin = ("model", "model_fingerprint", "model_revision", "gallery", "gallery_fingerprint")
    writer.writerow([*of_hit, *parts, *query, *weights, *of_origin])
    for hit in hits:
        writer.writerow(
            [hit.rank, _cell(hit.id), f"{hit.score:.6f}", f"{hit.percentile:.2f}"]
            + [f"{hit.parts[name]:.6f}" for name in parts]
            + [_cell(value) for value in query.values()]
            + [f"{weight:.6f}" for weight in weights.values()]
            + [_cell(origin.model), origin.fingerprint, origin.revision or ""]
            + [_cell(origin.gallery), origin.gallery_fingerprint]
        )
    return lines.getvalue()


def _query(standing: SearchState) -> Mapping[str, Any]:
    asked = standing.query
    uploaded = asked.image is not None and asked.reference_id is None
    return {
        "reference": "uploaded" if uploaded else asked.reference_id or "",
        "text": asked.text,
        "shift": shift_to_json(standing.shift),
    }


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA) and value not in ("-inf", "+inf"):
        return f"'{value}"
    return value


_FORMATS = {
    "csv": _Format("dwc-results.csv", "text/csv", to_csv),
    "json": _Format("dwc-results.json", "application/json", to_json),
}
