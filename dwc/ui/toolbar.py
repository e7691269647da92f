"""Taking an answer along: as CSV, as JSON, as a link that asks the same again."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from dwc.search.rank_trace import name_shift
from dwc.search.searcher import Searcher
from dwc.ui.header import shorten
from dwc.ui.standing import Standing
from dwc.ui.wording import escape

# A spreadsheet would take a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Origin:
    """What an answer came from, so that it can be told again: model and gallery.

    `revision` is the Hub's commit, None for a folder.
    """

    model: str
    fingerprint: str
    revision: str | None
    gallery: str
    gallery_fingerprint: str


def origin_of(searcher: Searcher) -> Origin:
    """What this searcher's answers come from; folders by their own name, without the way there."""
    checkpoint, store = searcher.checkpoint, searcher.store
    return Origin(
        model=shorten(checkpoint.name),
        fingerprint=checkpoint.fingerprint,
        revision=checkpoint.revision,
        gallery=shorten(store.manifest.argument),
        gallery_fingerprint=store.fingerprint,
    )


def render_toolbar(standing: Standing | None, origin: Origin) -> str:
    """The buttons, with what they hand over; empty where nothing has been searched."""
    if standing is None:
        return ""
    link = link_query(standing)
    refusal = "" if link is not None else "A link cannot carry an uploaded picture."
    return (
        '<div class="toolbar">'
        f'<button type="button" data-save="dwc-results.csv" data-type="text/csv" '
        f'data-content="{escape(to_csv(standing, origin))}">Save CSV</button>'
        f'<button type="button" data-save="dwc-results.json" data-type="application/json" '
        f'data-content="{escape(to_json(standing, origin))}">Save JSON</button>'
        f'<button type="button" id="share" data-query="{escape(link or "")}" '
        f'data-refusal="{escape(refusal)}">Copy link</button>'
        '<span class="hint" role="status" id="taken"></span></div>'
    )


def link_query(standing: Standing) -> str | None:
    """`ref=…&text=…&shift=…`, or None for a reference that is not of the gallery."""
    asked = standing.asked
    if asked.image is not None and asked.reference_id is None:
        return None
    parts: dict[str, Any] = {}
    if asked.reference_id is not None:
        parts["ref"] = asked.reference_id
    if asked.text:
        parts["text"] = asked.text
    if standing.shift != 0:
        parts["shift"] = name_shift(standing.shift)
    return urlencode(parts)


def to_json(standing: Standing, origin: Origin) -> str:
    """Question, origin and answer as one JSON text."""
    return json.dumps(
        {
            "query": _query(standing),
            "model": {
                "name": origin.model,
                "fingerprint": origin.fingerprint,
                "revision": origin.revision,
            },
            "gallery": {"name": origin.gallery, "fingerprint": origin.gallery_fingerprint},
            **standing.result.to_dict(),
        },
        indent=2,
        ensure_ascii=False,
    )


def to_csv(standing: Standing, origin: Origin) -> str:
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


def _query(standing: Standing) -> Mapping[str, Any]:
    asked = standing.asked
    uploaded = asked.image is not None and asked.reference_id is None
    return {
        "reference": "uploaded" if uploaded else asked.reference_id or "",
        "text": asked.text,
        "shift": name_shift(standing.shift),
    }


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA) and value not in ("-inf", "+inf"):
        return f"'{value}"
    return value
