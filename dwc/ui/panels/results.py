"""The results of a search: the result cards, and the toolbar to save them or copy a link.

Each card shows a result's rank, image and score, and the parts of the score. It also has buttons,
for example to use the result as the next reference. A switch above the cards folds near-duplicates,
that is, hides each near-duplicate under the better-ranked image. A button below the cards shows
more results. The toolbar saves the results as CSV or JSON, or copies a link to the search.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dwc.search.model_pool import Origin
from dwc.search.results import DuplicateGroups, Hit, SearchResult, shift_to_json
from dwc.ui.format import (
    MODALITY_NAMES,
    escape,
    format_count,
    format_part,
    format_percentile,
    format_timing,
    on_load,
    round_to_sum,
    signed,
)
from dwc.ui.gallery_images import GalleryImages, large_url, url_of
from dwc.ui.relevance import Relevance, garments_of, relevance_of
from dwc.ui.request_parsing import write_link
from dwc.ui.state import MAX_RESULTS_SHOWN, MORE_RESULTS, SearchState

SWITCH = """
<div class="view">
<button type="button" role="switch" id="fold" aria-checked="false" aria-describedby="fold-told">
<i aria-hidden="true"></i>Hide look-alikes</button>
<p class="hint keys">With a result in focus: <kbd>arrow keys</kbd> move, <kbd>Enter</kbd> tells why,
<kbd>F</kbd> goes on from it, <kbd>L</kbd> shows it large.</p>
<p class="hint told" role="status" id="fold-told"></p></div>
"""
SWITCH_ON_LOAD = on_load("dwcResults.foldSwitch", "fold")
ON_LOAD = on_load("dwcResults.cards", "more", "why", "follow")

EMPTY = """
<div class="empty"><p>Nothing searched yet.</p>
<p>Choose a picture, say what should be different, and search. Either alone works, too.</p></div>
"""

# The order in which score parts are listed: image before text, then CLIP stream before CNN stream.
PART_ORDER = ("clip_image", "cnn_image", "clip_text", "cnn_text")


@dataclass(frozen=True)
class Scale:
    """The common scale of the bars that show the scores of a search's results.

    Attributes:
        negative: The length of the scale to the left of zero, in units of the score, 0 or more. For
            each result, the absolute values of its negative score parts are added; this is the
            largest of these sums.
        positive: The length of the scale to the right of zero, in units of the score. For each
            result, its positive score parts are added; this is the largest of these sums.
    """

    negative: float
    positive: float

    @classmethod
    def of(cls, all_parts: Iterable[Mapping[str, float]]) -> "Scale":
        """Return the smallest scale that is large enough for the bars of all results.

        Args:
            all_parts: The score parts of each result, by name.
        """
        listed = list(all_parts)
        negative = max((_sum_negative(parts) for parts in listed), default=0.0)
        positive = max((_sum_positive(parts) for parts in listed), default=0.0)
        return cls(negative, positive)

    def percent(self, value: float) -> float:
        """Convert a length from units of the score to a percentage of the scale's length."""
        span = self.negative + self.positive
        return 100 * value / span if span > 0 else 0.0


def render_answer(state: SearchState, images: GalleryImages) -> str:
    """Return the HTML of the results of a search, and of the button for more results.

    The HTML includes the folded (hidden) near-duplicates; scripts on the page hide and show them.
    """
    groups, is_folded = state.duplicate_groups, state.request.folded
    # Metadata mark no card, so they are not searched.
    relevance = relevance_of(images, state.query) if garments_of(images) else None
    return render_results(state.result, images, len(state.sweep), groups, is_folded, relevance)


def render_results(
    result: SearchResult,
    images: GalleryImages,
    ranked: int | None = None,
    groups: DuplicateGroups | None = None,
    is_folded: bool = False,
    relevance: Relevance | None = None,
) -> str:
    """Return the HTML of all results (hits), below a legend and remarks on the search.

    Args:
        result: The search result.
        images: The gallery.
        ranked: The number of images that were ranked: those that fit the filter, without the
            reference and its copies. None to omit the button for more results.
        groups: The near-duplicates among the hits, which the page can hide; None if unknown.
        is_folded: Whether the near-duplicates are hidden now. They are then not counted as results
            on the screen.
        relevance: The relevant images (those that match the whole query). If they are known,
            results that contradict the text are marked. If there are none, a remark describes what
            the gallery lacks.
    """
    garments = garments_of(images)
    scale = Scale.of(hit.parts for hit in result.hits)
    cards = "".join(
        _card(
            hit,
            images,
            scale,
            *_group_of(index, result.hits, groups),
            relevance.contradiction(garments[hit.id]) if relevance and hit.id in garments else "",
        )
        for index, hit in enumerate(result.hits)
    )
    names = dict.fromkeys(name for hit in result.hits for name in hit.parts)
    notes = result.notes + ([relevance.lacking] if relevance and relevance.lacking else [])
    remarks = "".join(f'<p class="remark">{escape(remark)}</p>' for remark in notes)
    described = "" if groups is None else f' data-alike="{escape(describe_duplicates(groups))}"'
    listed = len(result.hits)
    visible = listed - groups.count if is_folded and groups is not None else listed
    more = "" if ranked is None else render_more(visible, ranked, listed)
    return (
        f'<div class="results-head">{render_legend(names)}'
        f'<p class="timing">{escape(format_timing(result.timings_ms, result.gallery_size))}</p>'
        f'</div>{remarks}<ol class="cards"{described}>{cards}</ol>{more}'
    )


def describe_duplicates(groups: DuplicateGroups) -> str:
    """Return sentences on the number of near-duplicates and on what counts as a near-duplicate."""
    total = len(groups.duplicate_of)
    if groups.count == 0:
        counted = f"None of these {total} looks nearly like a better one"
    else:
        verb, noun = ("is", "a look-alike") if groups.count == 1 else ("are", "look-alikes")
        counted = f"{groups.count} of these {total} {verb} {noun}, folded under the better one"
    return (
        f"{counted}. Look-alikes lie less than a twentieth as far apart as two pictures of this "
        f"gallery usually do: a cosine of at least {groups.threshold:.3f} between their "
        "embeddings, "
        f"where {signed(groups.median_cosine)} is usual."
    )


def render_more(visible: int, ranked: int, listed: int | None = None) -> str:
    """Return the HTML of the button for more results, and of a text with the numbers of results.

    Example: of 500 ranked images, the page has the 24 best, and 4 of these are hidden because they
    are near-duplicates. The text is then "20 shown for the first 24 of 500".

    Args:
        visible: The number of results on the screen; 20 in the example.
        ranked: The number of images that were ranked: those that fit the filter, without the
            reference and its copies; 500 in the example.
        listed: The number of results on the screen plus the number of near-duplicates hidden under
            them; 24 in the example. None if nothing is hidden.
    """
    listed = visible if listed is None else listed
    message = f"{format_count(listed)} of {format_count(ranked)} shown"
    if listed > visible:
        message = f"{visible} shown for the first {format_count(listed)} of {format_count(ranked)}"
    left = min(MORE_RESULTS, MAX_RESULTS_SHOWN - visible, ranked - listed)
    if left > 0:
        button = f'<button type="button" data-more>Show {left} more</button>'
        return f'<div class="more">{button}<span class="hint">{message}</span></div>'
    end = "." if listed >= ranked else ". Further down a search says little: ask otherwise."
    return f'<div class="more"><span class="hint">{message}{end}</span></div>'


def order_parts(parts: Mapping[str, float]) -> list[str]:
    """Return the names of score parts in the order of `PART_ORDER`, followed by any other names.

    Args:
        parts: The score parts by name.
    """
    known = [name for name in PART_ORDER if name in parts]
    return known + [name for name in parts if name not in known]


def render_bar(parts: Mapping[str, float], score: float, scale: Scale) -> str:
    """Return the HTML of a score, as a bar of its parts and as text.

    Positive parts are drawn to the right of zero, negative parts to the left.

    Args:
        parts: The parts of the score by name.
        score: The score, which is the sum of the parts.
        scale: The scale of the bar, common to all results.
    """
    names = order_parts(parts)
    left = [_segment(name, parts[name], scale) for name in names if parts[name] < 0]
    right = [_segment(name, parts[name], scale) for name in names if parts[name] >= 0]
    zero = scale.percent(scale.negative)
    axis = f'<i class="zero" style="left:{zero:.3f}%"></i>' if scale.negative > 0 else ""
    return (
        f'<div class="bar" aria-hidden="true">'
        f'<span class="side negative" style="width:{zero:.3f}%">{"".join(left)}</span>'
        f'<span class="side positive" style="width:{100 - zero:.3f}%">{"".join(right)}</span>'
        f"{axis}</div>{_bar_in_text(parts, names, score)}"
    )


def render_legend(part_names: Iterable[str]) -> str:
    """Return the HTML of a legend, which shows the color of each score part.

    Args:
        part_names: The names of the score parts, such as `clip_image`.
    """
    items = "".join(
        f'<li><i class="swatch {escape(name)}"></i>{escape(format_part(name))}</li>'
        for name in order_parts(dict.fromkeys(part_names, 0.0))
    )
    return f'<ul class="legend" aria-label="Colours of the bars">{items}</ul>'


def _segment(name: str, value: float, scale: Scale) -> str:
    # Widths are relative to the side (negative or positive), whose width is its share of the bar.
    side = scale.negative if value < 0 else scale.positive
    width = 100 * abs(value) / side if side > 0 else 0.0
    return (
        f'<i class="part {escape(name)}" data-part="{escape(name)}" data-value="{value:.6f}" '
        f'title="{escape(format_part(name))}: {signed(value)}" style="width:{width:.3f}%"></i>'
    )


def _bar_in_text(parts: Mapping[str, float], names: list[str], score: float) -> str:
    rounded = dict(zip(names, round_to_sum([parts[n] for n in names], score), strict=True))
    sums: dict[str, float] = {}
    for name, value in rounded.items():
        modality = name.rpartition("_")[2]
        sums[modality] = sums.get(modality, 0.0) + value
    visible = "".join(
        f'<span class="of-{escape(modality)}">{escape(MODALITY_NAMES.get(modality, modality))} '
        f"{signed(value)}</span>"
        for modality, value in sums.items()
    )
    spoken = "; ".join(f"{format_part(name)} {signed(rounded[name])}" for name in names)
    return f'<p class="split">{visible}<span class="sr-only">Made of {escape(spoken)}.</span></p>'


def _sum_negative(parts: Mapping[str, float]) -> float:
    return -sum(value for value in parts.values() if value < 0)


def _sum_positive(parts: Mapping[str, float]) -> float:
    return sum(value for value in parts.values() if value > 0)


def _group_of(
    index: int, hits: Sequence[Hit], groups: DuplicateGroups | None
) -> tuple[int | None, int]:
    """Return how a result is related to its near-duplicates among all results, as two numbers.

    Args:
        index: The index of the result in `hits`, from 0.
        hits: All results, best first.
        groups: The near-duplicates among the results; None if unknown.

    Returns:
        Two values. The first is the rank of the better result of which this result is a
        near-duplicate; None if there is none. The second is the number of worse results that are
        near-duplicates of this result.
    """
    if groups is None:
        return None, 0
    leader = groups.duplicate_of[index]
    return None if leader is None else hits[leader].rank, len(groups.duplicates_of(index))


def _card(
    hit: Hit,
    images: GalleryImages,
    scale: Scale,
    under: int | None,
    duplicates: int,
    contradiction: str = "",
) -> str:
    """Return the HTML of one result.

    Args:
        hit: The result.
        images: The gallery.
        scale: The scale of the bars of all results.
        under: If this result is a near-duplicate of a better result, the rank of that better
            result, otherwise None.
        duplicates: The number of near-duplicates of this result.
        contradiction: How the image contradicts the query's text; empty for no contradiction.
    """
    contradicts = (
        f'<p class="contradiction" title="This contradicts the words">{escape(contradiction)}</p>'
        if contradiction
        else ""
    )
    away = (
        '<p class="away">Its file was missing when the gallery was last indexed.</p>'
        if hit.away
        else ""
    )
    description = escape(images.describe(hit.id))
    thumbnail = escape(url_of(images.thumbnail(hit.id)))
    percentile = format_percentile(hit.percentile)
    folded = "" if under is None else f' data-under="{under}"'
    digest = images.digest(hit.id)
    large = escape(large_url(hit.id, digest))
    named = f'data-id="{escape(hit.id)}" data-content="{digest}"'
    return (
        f'<li class="card" {named} data-rank="{hit.rank}"{folded}>'
        f'<button type="button" class="frame" data-id="{escape(hit.id)}" '
        f'aria-label="Why result {hit.rank}: {description}"><img src="{thumbnail}" '
        f'alt="{description}" title="{description}" loading="lazy" width="256" height="256">'
        f'<span class="rank"><span class="sr-only">Rank </span>{hit.rank}</span></button>'
        f'<button type="button" class="enlarge corner" data-large="{large}" '
        f'aria-label="Enlarge result {hit.rank}: {description}" title="Enlarge">'
        '<span aria-hidden="true">\u2922</span></button>'
        f"{contradicts}{away}{render_bar(hit.parts, hit.score, scale)}"
        f'<div class="meta"><b class="score" data-score="{hit.score:.6f}">'
        f'<span class="sr-only">Score </span>{signed(hit.score)}</b>'
        f'<span class="percentile" title="This result scores higher than '
        f'{escape(percentile.removeprefix("above "))} of the gallery">{escape(percentile)}'
        '<span class="sr-only"> of the gallery</span></span>'
        f'<button type="button" {named} aria-keyshortcuts="F" '
        f'aria-label="Search from here: make result {hit.rank} the next picture, {description}">'
        f"from here</button></div>{_unfold_button(hit, duplicates)}</li>"
    )


def _unfold_button(hit: Hit, duplicates: int) -> str:
    if duplicates == 0:
        return ""
    noun = "look-alike" if duplicates == 1 else "look-alikes"
    return (
        f'<button type="button" class="alike" aria-expanded="false" data-rank="{hit.rank}">'
        f'+{duplicates} {noun}<span class="sr-only"> of result {hit.rank}</span></button>'
    )


TOOLBAR_ON_LOAD = on_load("dwcPanels.toolbar", "save")

NO_LINK = "A link cannot carry an uploaded picture."

# Spreadsheets interpret a cell that starts with one of these characters as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class _FileFormat:
    name: str
    type: str
    write: Callable[[SearchState, Origin], str]
    byte_order_mark: str = ""


def render_toolbar(state: SearchState | None) -> str:
    """Return the HTML of the toolbar, with which a visitor saves or shares a search result.

    The toolbar does not contain the files: `export_answer` creates a file when the visitor presses
    the file's button.

    Args:
        state: The search result; None before the first search, when the HTML is empty.
    """
    if state is None:
        return ""
    link = write_link(state.request)
    refusal = "" if link is not None else NO_LINK
    buttons = "".join(
        f'<button type="button" data-save="{kind}">Save {kind.upper()}</button>'
        for kind in _FILE_FORMATS
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
        The content of a CSV file begins with a byte-order mark, because Excel otherwise does not
        read the file as UTF-8.
    """
    if not isinstance(kind, str) or kind not in _FILE_FORMATS:
        return None
    file = _FILE_FORMATS[kind]
    content = file.byte_order_mark + file.write(state, state.origin)
    return {"name": file.name, "type": file.type, "content": content}


def to_json(state: SearchState, origin: Origin) -> str:
    """Return the query, the model and gallery, and the results as one JSON text."""
    return json.dumps(
        {"query": _query_fields(state), **origin.to_dict(), **state.visible_result.to_dict()},
        indent=2,
        ensure_ascii=False,
    )


def to_csv(state: SearchState, origin: Origin) -> str:
    """Return a CSV text with one line per result, below a line with the names of the columns.

    Each line repeats the query, the image weights, the model and the gallery. If only a part of the
    gallery was searched, the line also has the number of searched pictures. If the file of a result
    was missing when the gallery was last indexed, the table has the column `away`, which marks such
    results. If a spreadsheet would interpret a text as a formula, an apostrophe is added in front.
    For example, the id "-coat.jpg" is written as "'-coat.jpg".
    """
    query = _query_fields(state)
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
    away_column = ["away"] if any(hit.away for hit in hits) else []
    writer.writerow(
        [*hit_columns, *parts, *query, *weights, *origin_columns, *searched, *away_column]
    )
    for hit in hits:
        writer.writerow(
            [hit.rank, _csv_cell(hit.id), f"{hit.score:.6f}", f"{hit.percentile:.2f}"]
            + [f"{hit.parts[name]:.6f}" for name in parts]
            + [_csv_cell(value) for value in query.values()]
            + [f"{weight:.6f}" for weight in weights.values()]
            + [_csv_cell(origin.model), origin.fingerprint, origin.revision or ""]
            + [_csv_cell(origin.gallery), origin.gallery_fingerprint]
            + list(searched.values())
            + (["yes" if hit.away else ""] if away_column else [])
        )
    return lines.getvalue()


def _query_fields(state: SearchState) -> Mapping[str, Any]:
    request = state.request
    return {
        "reference": "uploaded" if request.upload is not None else request.reference_id or "",
        "text": request.words,
        "shift": shift_to_json(request.shift),
        "filter": request.filter,
        "folded": request.folded,
    }


def _csv_cell(value: object) -> object:
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula and value not in ("-inf", "+inf") else value


_FILE_FORMATS = {
    "csv": _FileFormat("dwc-results.csv", "text/csv", to_csv, "\ufeff"),
    "json": _FileFormat("dwc-results.json", "application/json", to_json),
}
