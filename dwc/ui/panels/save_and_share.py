"""The toolbar of a search result, to save the result as CSV or JSON or to copy a link to it."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dwc.search.model_pool import Origin
from dwc.search.results import shift_to_json
from dwc.ui.format import escape, on_load
from dwc.ui.request_parsing import write_link
from dwc.ui.state import SearchState

ON_LOAD = on_load("dwcPanels.toolbar", "save")

NO_LINK = "A link cannot carry an uploaded picture."

# A spreadsheet would interpret a cell that starts with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class _Format:
    name: str
    type: str
    write: Callable[[SearchState, Origin], str]
    byte_order_mark: str = ""


def render_toolbar(state: SearchState | None, names_model: bool = False) -> str:
    """Return the HTML of the toolbar; empty before the first search.

    The toolbar does not contain the files: `export_answer` creates a file when a visitor presses
    the file's button.

    Args:
        state: The search result; None before the first search.
        names_model: Whether the link names the model, which is needed if there are several.
    """
    if state is None:
        return ""
    link = write_link(state.request, names_model)
    refusal = "" if link is not None else NO_LINK
    buttons = "".join(
        f'<button type="button" data-save="{kind}">Save {kind.upper()}</button>'
        for kind in _FORMATS
    )
    return (
        f'<div class="toolbar">{buttons}'
        f'<button type="button" id="share" data-query="{escape(link or "")}" '
        f'data-refusal="{escape(refusal)}">Copy link</button>'
        f'<span class="hint" role="status" id="taken">{escape(refusal)}</span></div>'
    )


def export_answer(kind: object, state: SearchState) -> dict[str, str] | None:
    """Return a search result as a file that the browser can save.

    Args:
        kind: "csv" or "json", as sent by the browser.
        state: The search result.

    Returns:
        A dict with the file's `name`, media `type` and `content`; None if `kind` is another value.
        The content of a CSV file begins with a byte-order mark, without which Excel does not read
        the file as UTF-8.
    """
    if not isinstance(kind, str) or kind not in _FORMATS:
        return None
    file = _FORMATS[kind]
    content = file.byte_order_mark + file.write(state, state.origin)
    return {"name": file.name, "type": file.type, "content": content}


def to_json(state: SearchState, origin: Origin) -> str:
    """Return the query, the model and gallery, and the results as one JSON text."""
    return json.dumps(
        {"query": _query(state), **origin.to_dict(), **state.visible_result.to_dict()},
        indent=2,
        ensure_ascii=False,
    )


def to_csv(state: SearchState, origin: Origin) -> str:
    """Return a CSV text with one line per result, below a line with the names of the columns.

    Each line repeats the query, the image weights, the model and the gallery, and how many pictures
    of the gallery were searched if it is not indexed to the end. A text that a
    spreadsheet would take for a formula has an apostrophe before it, so that an id such as
    "-coat.jpg" differs from the one in the JSON file.
    """
    query = _query(state)
    weights = {f"{name}_weight": w.image for name, w in state.result.weights.items()}
    lines = io.StringIO()
    hits = state.visible_result.hits
    parts = list(hits[0].parts) if hits else []
    writer = csv.writer(lines)
    hit_columns = ("rank", "id", "score", "percentile")
    origin_columns = (
        "model",
        "model_fingerprint",
        "model_revision",
        "gallery",
        "gallery_fingerprint",
    )
    part = state.result.indexed_part
    searched = {} if part is None else {f"searched_{k}": v for k, v in part._asdict().items()}
    writer.writerow([*hit_columns, *parts, *query, *weights, *origin_columns, *searched])
    for hit in hits:
        writer.writerow(
            [hit.rank, _cell(hit.id), f"{hit.score:.6f}", f"{hit.percentile:.2f}"]
            + [f"{hit.parts[name]:.6f}" for name in parts]
            + [_cell(value) for value in query.values()]
            + [f"{weight:.6f}" for weight in weights.values()]
            + [_cell(origin.model), origin.fingerprint, origin.revision or ""]
            + [_cell(origin.gallery), origin.gallery_fingerprint]
            + list(searched.values())
        )
    return lines.getvalue()


def _query(state: SearchState) -> Mapping[str, Any]:
    request = state.request
    return {
        "reference": "uploaded" if request.upload is not None else request.reference_id or "",
        "text": request.words,
        "shift": shift_to_json(request.shift),
        "filter": request.filter,
        "folded": request.folded,
    }


def _cell(value: object) -> object:
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula and value not in ("-inf", "+inf") else value


_FORMATS = {
    "csv": _Format("dwc-results.csv", "text/csv", to_csv, "\ufeff"),
    "json": _Format("dwc-results.json", "application/json", to_json),
}
