"""Panel with the rank trace: a chart of the best images' ranks as the image weight changes.

The image weight increases from left to right, from 0 (text part alone) to 1 (image part alone).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from dwc.search.results import RankTrace, TracedItem
from dwc.search.searcher import Searcher
from dwc.search.weight_sweep import shift_for_weight
from dwc.ui.format import escape, on_load, render_hint
from dwc.ui.gallery_images import GalleryImages, url_of
from dwc.ui.state import SearchState

POSITIONS = 41
"""The number of evenly spaced image weights from 0 to 1 at which ranks are computed."""

TRACED = 5
"""Images with a rank up to this number at any image weight have a line in the chart."""

LIMIT = 30
"""The largest rank that is drawn exactly; all larger ranks are drawn at the bottom edge."""

LEADERS = 3
"""The number of best images to highlight of each ranking: learned weights, text and image."""

_WIDTH, _HEIGHT = 1000, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 990, 26, 284

ON_LOAD = on_load("dwcPanels.rankTrace")

NO_WEIGHT = render_hint("There is nothing to lean to: give a picture and words.")


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of the rank trace: how the best images' ranks change with the image weight.

    For a query with only an image or only a text, the result is a hint instead.
    """
    if not state.has_two_modalities:
        return NO_WEIGHT
    steps = range(1, POSITIONS - 1)
    shifts = [shift_for_weight(state.sweep, step / (POSITIONS - 1)) for step in steps]
    return render_trace(state.sweep.rank_trace(shifts, TRACED, LIMIT), images)


def render_trace(trace: RankTrace, images: GalleryImages) -> str:
    """Return the HTML of a rank trace: the chart, its summary in a sentence, and a table of ranks.

    The best images by the text part alone are shown to the left of the chart, the best images by
    the image part alone to the right.
    """
    weights = [sum(step.values()) / len(step) for step in trace.image_weights]  # in [0, 1]
    kinds = {item.id: _kind(item, trace.learned) for item in trace.items}
    order = ("other", "by-words", "by-picture", "led")  # later lines are drawn over earlier ones
    lines = "".join(
        _line(item, kinds[item.id], weights, trace, images)
        for kind in order
        for item in trace.items
        if kinds[item.id] == kind
    )
    return (
        '<div class="trace-frame">'
        f"{_leaders(trace, 0, 'words', images)}"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" '
        f'aria-label="Ranks as the weight moves; the table below says the same">'
        f"{_axes(weights[trace.learned])}{lines}</svg>"
        f"{_leaders(trace, len(weights) - 1, 'picture', images)}</div>"
        '<div class="traced" hidden><img alt="" width="72" height="72"><p role="status"></p></div>'
        f'<p class="hint">Each line is a picture: its rank as the weight moves from the words to '
        f"the picture. Choose one to see it. {_steadiness(trace, weights)}</p>"
        f"{_table(trace, weights, images)}"
    )


def _kind(item: TracedItem, learned: int) -> str:
    if _within(item.ranks[learned], LEADERS):
        return "led"
    if _within(item.ranks[0], LEADERS):
        return "by-words"
    return "by-picture" if _within(item.ranks[-1], LEADERS) else "other"


def _within(rank: int | None, limit: int) -> bool:
    return rank is not None and rank <= limit


def _line(
    item: TracedItem, kind: str, weights: Sequence[float], trace: RankTrace, images: GalleryImages
) -> str:
    points = [(_x(weight), _y(rank)) for weight, rank in zip(weights, item.ranks, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    learned_x, learned_y = points[trace.learned]
    dot = f'<circle cx="{learned_x:.1f}" cy="{learned_y:.1f}" r="6"/>' if kind == "led" else ""
    name = escape(images.describe(item.id))
    label = f"{name}: {_describe_ranks(item, trace)}"
    return (
        f'<g class="line {kind}" tabindex="0" role="button" aria-label="{label}" '
        f'data-id="{escape(item.id)}" '
        f'data-picture="{escape(url_of(images.thumbnail(item.id)))}"><title>{label}</title>'
        f'<polyline class="reach" points="{path}"/><polyline points="{path}"/>{dot}'
        f'<text class="name" x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 4}">{name}</text></g>'
    )


def _describe_ranks(item: TracedItem, trace: RankTrace) -> str:
    return (
        f"rank {_rank(item.ranks[trace.learned])} as learned, {_rank(item.ranks[0])} by the words "
        f"alone, {_rank(item.ranks[-1])} by the picture alone"
    )


def _rank(rank: int | None) -> str:
    return f"{rank}" if _within(rank, LIMIT) else f"below {LIMIT}"


def _axes(learned: float) -> str:
    marks = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_y(rank):.1f}" y2="{_y(rank):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{_y(rank) + 4:.1f}">{name}</text>'
        for rank, name in ((1, "first"), (3, "3"), (10, "10"), (LIMIT, f"{LIMIT}"))
    )
    anchor = "start" if learned < 0.15 else "end" if learned > 0.85 else "middle"
    return (
        f'<g aria-hidden="true">{marks}<line class="learned" x1="{_x(learned):.1f}" '
        f'x2="{_x(learned):.1f}" y1="{_TOP - 16}" y2="{_BOTTOM + 8}"/>'
        f'<text class="end of-text" x="{_LEFT}" y="{_BOTTOM + 24}">only the words</text>'
        f'<text class="end" text-anchor="{anchor}" x="{_x(learned):.1f}" y="{_BOTTOM + 24}">'
        "as learned</text>"
        f'<text class="end of-image" text-anchor="end" x="{_RIGHT}" y="{_BOTTOM + 24}">'
        "only the picture</text></g>"
    )


def _x(weight: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * weight


def _y(rank: int | None) -> float:
    """Return the y coordinate of a rank in the chart, which has a logarithmic scale.

    Rank 1 is at the top edge. All ranks greater than `LIMIT` are at the bottom edge, and so is
    None, which stands for a rank that was too large to be computed.
    """
    share = 1.0 if rank is None or rank > LIMIT else math.log(rank) / math.log(LIMIT + 1)
    return _TOP + (_BOTTOM - _TOP) * share


def _leaders(trace: RankTrace, step: int, end: str, images: GalleryImages) -> str:
    best = sorted(
        (item for item in trace.items if _within(item.ranks[step], LEADERS)),
        key=lambda item: item.ranks[step] or 0,
    )
    items = "".join(
        f'<li><img src="{escape(url_of(images.thumbnail(item.id)))}" width="48" height="48" '
        f'loading="lazy" alt="{escape(images.describe(item.id))}" '
        f'title="{escape(images.describe(item.id))}"></li>'
        for item in best
    )
    label = f"The first {LEADERS} by the {end} alone"
    return f'<ol class="leaders by-{end}" aria-label="{label}">{items}</ol>'


def _steadiness(trace: RankTrace, weights: Sequence[float]) -> str:
    """Return a sentence on how much the image weight can change while the first result stays first.

    The first result is the best image at the learned weights. The sentence gives the percentage of
    the range of weights, 0 to 1, in which this image is first. The sentence is empty if the trace
    does not contain the first result.

    Args:
        trace: The rank trace.
        weights: The mean image weight of the streams at each step of the trace, in [0, 1].
    """
    first = next((item for item in trace.items if item.ranks[trace.learned] == 1), None)
    if first is None:
        return ""
    share = sum(
        right - left
        for (left, right), (here, there) in zip(
            pairwise(weights), pairwise(first.ranks), strict=True
        )
        if here == there == 1
    )
    if share < 0.01:
        return "The first result is first only about where the weight was learned: a close call."
    return f"The first result stays first over {100 * share:.0f}&nbsp;% of the way."


def _table(trace: RankTrace, weights: Sequence[float], images: GalleryImages) -> str:
    table_steps = [0, *(s for s in range(1, len(weights) - 1) if s % 10 == 0), len(weights) - 1]
    steps = sorted({*table_steps, trace.learned})
    heads = "".join(
        f'<th scope="col">{"as learned" if step == trace.learned else _end(weights[step])}</th>'
        for step in steps
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(images.describe(item.id))}</th>'
        + "".join(f"<td>{_rank(item.ranks[step])}</td>" for step in steps)
        + "</tr>"
        for item in trace.items
    )
    return (
        '<details class="note"><summary>The ranks as a table</summary><div class="scroller" '
        'tabindex="0" role="region" aria-label="Table of ranks"><table><thead><tr>'
        f'<th scope="col">picture</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</details>"
    )


def _end(weight: float) -> str:
    if weight <= 0:
        return "only the words"
    if weight >= 1:
        return "only the picture"
    return f"picture {100 * weight:.0f}&nbsp;%"
