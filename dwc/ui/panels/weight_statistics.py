"""Panel with statistics of a checkpoint's image weights for the reference queries (a fixed set).

The panel shows the distribution of the weights, and the queries with the highest and the lowest
weights. It also compares the weight of each query with the fraction of the target's attributes that
only the reference image determines, not the text: ideally, a higher fraction goes with a higher
weight. The id of the panel on the page is "atlas".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dwc.explain.weight_statistics import (
    HISTOGRAM_BINS,
    ExtremeQuery,
    StreamStatistics,
    WeightStatistics,
    compute_weight_statistics,
)
from dwc.search.reference_weights import ReferenceWeights
from dwc.search.results import Weight
from dwc.search.searcher import Searcher
from dwc.ui.format import escape, format_count, format_stream, on_load, percents, signed
from dwc.ui.gallery_images import GalleryImages, describe_test_garment, url_of
from dwc.ui.panels.examples import Example
from dwc.ui.state import SearchState

ON_LOAD = on_load("dwcPanels.weightStatistics", "ask")

_NO_WEIGHTS = (
    '<p class="hint">This checkpoint comes without the weights of other queries. '
    "<code>python -m dwc weights MODEL</code> collects them.</p>"
)
_NO_QUERIES = (
    '<p class="hint">Only the weights were kept with this checkpoint, not the queries they belong '
    "to: so nothing can be told of what is true, or of which queries lean furthest. "
    "<code>python -m dwc weights MODEL</code> collects them anew, with the queries.</p>"
)

_WIDTH, _HEIGHT = 360, 164
_LEFT, _RIGHT, _TOP, _BOTTOM = 26, 346, 22, 138


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of the weight statistics, with marks at the current search's image weights.

    There are no marks for a search with only an image or only a text. If the checkpoint has no
    weights of reference queries, the HTML is a message instead.
    """
    if state.reference_weights is None:
        return _NO_WEIGHTS
    weights = state.result.weights if state.has_two_modalities else {}
    return render_statistics(compute_weight_statistics(state.reference_weights), weights, images)


def render_statistics(
    statistics: WeightStatistics, weights: Mapping[str, Weight], images: GalleryImages
) -> str:
    """Return the HTML of the statistics: charts, queries with extreme image weights, and tables.

    Args:
        statistics: The statistics of the model's image weights.
        weights: The weights of the current search by the stream's name, to mark in the charts;
            empty for no marks.
        images: The gallery.
    """
    rows = "".join(
        _stream(index, name, stream, weights.get(name))
        for index, (name, stream) in enumerate(statistics.streams.items())
    )
    protocol = escape(statistics.protocol)
    about = f'<p class="hint">{protocol}: how much each stream listened to the picture'
    if any(stream.by_share is not None for stream in statistics.streams.values()):
        about += (
            ", and whether that fits the truth. Of these queries it is known how much of what is "
            "wished for only the picture can tell"
        )
    missing = _NO_QUERIES if statistics.picture_led is None else ""
    return (
        f'{about}.</p><div class="atlas">{rows}</div>{missing}{_ends(statistics, images)}'
        f"{_tables(statistics)}"
    )


def parse_reference_query(
    side: object, index: object, state: SearchState, images: GalleryImages
) -> Example | None:
    """Return the query that a visitor selected among the queries with extreme weights.

    Args:
        side: The list that contains the query, as sent by the browser: "picture" for the list of
            the highest image weights, "words" for the list of the lowest.
        index: The query's index in that list, from 0.
        state: The search result on the screen. The statistics are those of its model.
        images: The gallery.

    Returns:
        The query as an example search; None if there is no such query, or if its reference is not
        in this gallery.
    """
    if state.reference_weights is None:
        return None
    statistics = compute_weight_statistics(state.reference_weights)
    sides = {"picture": statistics.picture_led, "words": statistics.word_led}
    queries = (sides.get(side) if isinstance(side, str) else None) or []
    if not isinstance(index, int) or not 0 <= index < len(queries):
        return None
    query = queries[index]
    return Example(query.reference, query.words) if query.reference in images.ids else None


def _stream(index: int, name: str, stream: StreamStatistics, weight: Weight | None) -> str:
    here = None if weight is None or not 0 < weight.image < 1 else weight.image
    summary = (
        f"Half of the queries weigh the picture below {_percent(stream.median)}; "
        f"all lie from {_percent(stream.lowest)} to {_percent(stream.highest)}."
    )
    histogram = _histogram(index, name, stream, here)
    figures = f"<figure>{histogram}<figcaption>{summary}</figcaption></figure>"
    if stream.by_share is not None:
        figures += (
            f"<figure>{_by_share(name, stream)}<figcaption>{_follows(stream)}</figcaption></figure>"
        )
    return f"<h3>{escape(format_stream(name))} stream</h3>{figures}"


def _follows(stream: StreamStatistics) -> str:
    if stream.correlation is None:
        return "The weight is the same whatever is true."
    return (
        f"Spearman’s correlation of weight and truth: <b>{signed(stream.correlation)}</b>. At 1, "
        "the more the picture alone can tell, the more it weighs; at 0 the one says nothing of the "
        "other. The line is the mean, the band a standard deviation to each side."
    )


def _histogram(index: int, name: str, stream: StreamStatistics, here: float | None) -> str:
    most = max(stream.counts) or 1
    width = (_RIGHT - _LEFT) / HISTOGRAM_BINS
    bars = "".join(
        f'<rect x="{_x(step / HISTOGRAM_BINS) + 0.5:.1f}" y="{_y(number / most):.1f}" '
        f'width="{width - 1:.1f}" height="{_BOTTOM - _y(number / most):.1f}"/>'
        for step, number in enumerate(stream.counts)
        if number
    )
    mark = ""
    if here is not None:
        anchor = "start" if here < 0.2 else "end" if here > 0.8 else "middle"
        mark = (
            f'<line class="here" x1="{_x(here):.1f}" x2="{_x(here):.1f}" y1="{_TOP - 4}" '
            f'y2="{_BOTTOM}"/><text class="here" text-anchor="{anchor}" x="{_x(here):.1f}" '
            f'y="{_TOP - 9}">this search</text>'
        )
    label = (
        f"How often the {format_stream(name)} stream gave each weight; the tables below say the "
        "same"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}"><defs>'
        f'<linearGradient id="atlas-{index}" gradientUnits="userSpaceOnUse" x1="{_LEFT}" '
        f'x2="{_RIGHT}" y1="0" y2="0"><stop class="from" offset="0"/>'
        '<stop class="between" offset=".5"/><stop class="to" offset="1"/></linearGradient></defs>'
        f'<g fill="url(#atlas-{index})">{bars}</g>{_base()}{mark}'
        f'<text class="end of-text" x="{_LEFT}" y="{_BOTTOM + 18}">only the words</text>'
        f'<text class="end of-image" text-anchor="end" x="{_RIGHT}" y="{_BOTTOM + 18}">only the '
        "picture</text></svg>"
    )


def _by_share(name: str, stream: StreamStatistics) -> str:
    steps = stream.by_share or []
    middles = [(step.low + step.high) / 2 for step in steps]
    over = [
        f"{_x(x):.1f},{_y(s.mean + s.deviation):.1f}" for x, s in zip(middles, steps, strict=True)
    ]
    under = [
        f"{_x(x):.1f},{_y(s.mean - s.deviation):.1f}" for x, s in zip(middles, steps, strict=True)
    ]
    line = " ".join(f"{_x(x):.1f},{_y(s.mean):.1f}" for x, s in zip(middles, steps, strict=True))
    dots = "".join(
        f'<circle cx="{_x(x):.1f}" cy="{_y(step.mean):.1f}" r="3.5"/>'
        for x, step in zip(middles, steps, strict=True)
    )
    ticks = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{_y(at):.1f}" y2="{_y(at):.1f}"/>'
        f'<text class="tick" text-anchor="end" x="{_LEFT - 5}" y="{_y(at) + 4:.1f}">{sign}</text>'
        for at, sign in ((0.0, "0"), (0.5, "½"), (1.0, "1"))
    )
    label = (
        f"The {format_stream(name)} stream's mean picture weight by the true share; "
        "the tables below say the same"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'{ticks}{_base()}<polygon class="band" points="{" ".join(over + under[::-1])}"/>'
        f'<polyline class="mean" points="{line}"/><g class="mean">{dots}</g>'
        f'<text class="tick" x="{_LEFT}" y="{_TOP - 9}">weight of the picture</text>'
        f'<text class="tick" x="{_LEFT}" y="{_BOTTOM + 18}">0 %</text>'
        f'<text class="tick" text-anchor="middle" x="{(_LEFT + _RIGHT) / 2:.0f}" '
        f'y="{_BOTTOM + 18}">only the picture can tell</text>'
        f'<text class="tick" text-anchor="end" x="{_RIGHT}" y="{_BOTTOM + 18}">100 %</text></svg>'
    )


def _base() -> str:
    return f'<line class="base" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'


def _x(share: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * share


def _y(share: float) -> float:
    """Return the y coordinate at which a chart shows a value from 0 (bottom) to 1 (top).

    Values outside this range are drawn at the nearest end of the range.
    """
    return _BOTTOM - (_BOTTOM - _TOP) * min(max(share, 0.0), 1.0)


def _ends(statistics: WeightStatistics, images: GalleryImages) -> str:
    sides = (
        ("words", "Most led by the words", statistics.word_led),
        ("picture", "Most led by the picture", statistics.picture_led),
    )
    lists = "".join(
        f"<div><h3>{title}</h3>{_list(side, queries, images)}</div>"
        for side, title, queries in sides
        if queries
    )
    return f'<div class="atlas-ends">{lists}</div>' if lists else ""


def _list(side: str, queries: Sequence[ExtremeQuery], images: GalleryImages) -> str:
    items = "".join(
        f"<li>{_query(side, index, query, images)}</li>" for index, query in enumerate(queries)
    )
    return f'<ul class="tries">{items}</ul>'


def _query(side: str, index: int, query: ExtremeQuery, images: GalleryImages) -> str:
    mean = sum(query.image_weights.values()) / len(query.image_weights)
    picture, words = percents(mean)
    weights = f"picture {picture} %, words {words} %"
    text = f"{escape(query.words)}<small>{weights}{_truth(query)}</small>"
    if query.reference not in images.ids:  # another gallery is open
        garment = describe_test_garment(query.reference)
        reference = f"<small>Like {escape(garment)}, but</small> " if garment else ""
        return f'<p class="untried">{reference}{text}</p>'
    alt = escape(f"Like {images.describe(query.reference)}, but:")
    return (
        f'<button type="button" data-side="{side}" data-place="{index}">'
        f'<img src="{escape(url_of(images.thumbnail(query.reference)))}" alt="{alt}" width="40" '
        f'height="40" loading="lazy"><span>{text}</span></button>'
    )


def _truth(query: ExtremeQuery) -> str:
    if query.picture_share is None:
        return ""
    return f"; only the picture can tell {_percent(query.picture_share)}"


def _tables(statistics: WeightStatistics) -> str:
    tables = "".join(_table(name, stream) for name, stream in statistics.streams.items())
    return (
        '<details class="note"><summary>The atlas as tables</summary><div class="scroller" '
        f'tabindex="0" role="region" aria-label="Tables of the atlas">{tables}</div></details>'
    )


def _table(name: str, stream: StreamStatistics) -> str:
    label = escape(format_stream(name))
    width = HISTOGRAM_BINS // 10
    tenths = [sum(stream.counts[at : at + width]) for at in range(0, HISTOGRAM_BINS, width)]
    rows = "".join(
        f"<tr><th scope='row'>{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}</th>"
        f"<td>{format_count(number)}</td></tr>"
        for tenth, number in enumerate(tenths)
    )
    table = (
        f"<table><caption>{label}: how many queries have which weight of the picture</caption>"
        '<thead><tr><th scope="col">weight</th><th scope="col">queries</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    if stream.by_share is None:
        return table
    rows = "".join(
        f"<tr><th scope='row'>{_percent(step.low)} to {_percent(step.high)}</th>"
        f"<td>{format_count(step.queries)}</td><td>{step.mean:.2f}</td><td>{step.deviation:.2f}</td></tr>"
        for step in stream.by_share
    )
    return table + (
        f"<table><caption>{label}: mean weight by what only the picture can tell</caption>"
        '<thead><tr><th scope="col">only the picture can tell</th><th scope="col">queries</th>'
        '<th scope="col">mean weight</th><th scope="col">standard deviation</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}&nbsp;%"


def statistics_table(searcher: Searcher) -> dict[str, Any]:
    """Return the response of the `/atlas` endpoint, with the fields of `WeightStatistics`.

    These are statistics of a checkpoint's image weights for the reference queries (a fixed set). If
    the checkpoint has no file with these image weights, the field `streams` is empty.
    """
    reference_weights: ReferenceWeights | None = searcher.reference_weights
    if reference_weights is None:
        return WeightStatistics(0, "", {}, None, None).to_dict()
    return compute_weight_statistics(reference_weights).to_dict()
