"""The atlas: what a checkpoint usually listens to, whether it should, where it goes furthest."""

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
from dwc.ui.format import count, escape, name_stream, on_load, percents, signed
from dwc.ui.gallery_images import GalleryImages, url_of
from dwc.ui.panels.examples import Example
from dwc.ui.state import SearchState

ON_LOAD = on_load("dwcPanels.weightStatistics", "ask")

_NOT_KEPT = (
    '<p class="hint">This checkpoint comes without the weights of other queries. '
    "<code>python -m dwc weights MODEL</code> collects them.</p>"
)
_QUERIES_NOT_KEPT = (
    '<p class="hint">Only the weights were kept with this checkpoint, not the queries they belong '
    "to: so nothing can be told of what is true, or of which queries lean furthest. "
    "<code>python -m dwc weights MODEL</code> collects them anew, with the queries.</p>"
)

_WIDTH, _HEIGHT = 360, 164
_LEFT, _RIGHT, _TOP, _BOTTOM = 26, 346, 22, 138


def render_weight_statistics(
    searcher: Searcher, pictures: GalleryImages, standing: SearchState
) -> str:
    """The panel for the model that answered; this search's weights are marked in it."""
    if standing.reference_weights is None:
        return _NOT_KEPT
    weights = standing.result.weights if standing.can_lean else {}
    return render_statistics(
        compute_weight_statistics(standing.reference_weights), weights, pictures
    )


def render_statistics(
    atlas: WeightStatistics, weights: Mapping[str, Weight], pictures: GalleryImages
) -> str:
    """A row of drawings a stream, the queries that lean furthest, and all of it as tables."""
    rows = "".join(
        _stream(place, name, stream, weights.get(name))
        for place, (name, stream) in enumerate(atlas.streams.items())
    )
    told = f'<p class="hint">{escape(atlas.protocol)}: how much each stream listened to the picture'
    if any(stream.by_share is not None for stream in atlas.streams.values()):
        told += (
            ", and whether that fits the truth. Of these queries it is known how much of what is "
            "wished for only the picture can tell"
        )
    missing = _QUERIES_NOT_KEPT if atlas.picture_led is None else ""
    return (
        f'{told}.</p><div class="atlas">{rows}</div>{missing}{_ends(atlas, pictures)}'
        f"{_tables(atlas)}"
    )


def query_asked(
    data: Mapping[str, Any], standing: SearchState | None, pictures: GalleryImages
) -> Example | None:
    """The query that a browser asked for; None where there is no such one in this gallery."""
    if standing is None or standing.reference_weights is None:
        return None
    atlas = compute_weight_statistics(standing.reference_weights)
    sides = {"picture": atlas.picture_led, "words": atlas.word_led}
    side, place = data.get("side"), data.get("place")
    queries = sides.get(side) if isinstance(side, str) else None
    if not isinstance(place, int) or not 0 <= place < len(queries or ()):
        return None
    led = (queries or [])[place]
    return Example(led.reference, led.words) if led.reference in pictures.ids else None


def _stream(place: int, name: str, stream: StreamStatistics, weight: Weight | None) -> str:
    here = None if weight is None or not 0 < weight.image < 1 else weight.image
    told = (
        f"Half of the queries weigh the picture below {_percent(stream.median)}; "
        f"all lie from {_percent(stream.lowest)} to {_percent(stream.highest)}."
    )
    drawn = (
        f"<figure>{_histogram(place, name, stream, here)}<figcaption>{told}</figcaption></figure>"
    )
    if stream.by_share is not None:
        drawn += (
            f"<figure>{_by_share(name, stream)}<figcaption>{_follows(stream)}</figcaption></figure>"
        )
    return f"<h3>{escape(name_stream(name))} stream</h3>{drawn}"


def _follows(stream: StreamStatistics) -> str:
    if stream.correlation is None:
        return "The weight is the same whatever is true."
    return (
        f"Spearman’s correlation of weight and truth: <b>{signed(stream.correlation)}</b>. At 1, "
        "the more the picture alone can tell, the more it weighs; at 0 the one says nothing of the "
        "other. The line is the mean, the band a standard deviation to each side."
    )


def _histogram(place: int, name: str, stream: StreamStatistics, here: float | None) -> str:
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
        f"How often the {name_stream(name)} stream gave each weight; the tables below say the same"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}"><defs>'
        f'<linearGradient id="atlas-{place}" gradientUnits="userSpaceOnUse" x1="{_LEFT}" '
        f'x2="{_RIGHT}" y1="0" y2="0"><stop class="from" offset="0"/>'
        '<stop class="between" offset=".5"/><stop class="to" offset="1"/></linearGradient></defs>'
        f'<g fill="url(#atlas-{place})">{bars}</g>{_base()}{mark}'
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
        f"The {name_stream(name)} stream's mean picture weight by the true share; "
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
    """From 0 at the bottom to 1 at the top; what lies beyond is cut off there."""
    return _BOTTOM - (_BOTTOM - _TOP) * min(max(share, 0.0), 1.0)


def _ends(atlas: WeightStatistics, pictures: GalleryImages) -> str:
    sides = (
        ("words", "Most led by the words", atlas.word_led),
        ("picture", "Most led by the picture", atlas.picture_led),
    )
    lists = "".join(
        f"<div><h3>{title}</h3>{_list(side, queries, pictures)}</div>"
        for side, title, queries in sides
        if queries
    )
    return f'<div class="atlas-ends">{lists}</div>' if lists else ""


def _list(side: str, queries: Sequence[ExtremeQuery], pictures: GalleryImages) -> str:
    items = "".join(
        f"<li>{_query(side, place, query, pictures)}</li>" for place, query in enumerate(queries)
    )
    return f'<ul class="tries">{items}</ul>'


def _query(side: str, place: int, query: ExtremeQuery, pictures: GalleryImages) -> str:
    mean = sum(query.image_weights.values()) / len(query.image_weights)
    picture, words = percents(mean)
    weighed = f"picture {picture} %, words {words} %"
    told = f"{escape(query.words)}<small>{weighed}{_truth(query)}</small>"
    if query.reference not in pictures.ids:  # another gallery is open: it can be read, not asked
        return f'<p class="untried">{told}</p>'
    alt = escape(f"Like {pictures.describe(query.reference)}, but:")
    return (
        f'<button type="button" data-side="{side}" data-place="{place}">'
        f'<img src="{escape(url_of(pictures.thumbnail(query.reference)))}" alt="{alt}" width="40" '
        f'height="40" loading="lazy"><span>{told}</span></button>'
    )


def _truth(query: ExtremeQuery) -> str:
    if query.picture_share is None:
        return ""
    return f"; only the picture can tell {_percent(query.picture_share)}"


def _tables(atlas: WeightStatistics) -> str:
    tables = "".join(_table(name, stream) for name, stream in atlas.streams.items())
    return (
        '<details class="note"><summary>The atlas as tables</summary><div class="scroller" '
        f'tabindex="0" role="region" aria-label="Tables of the atlas">{tables}</div></details>'
    )


def _table(name: str, stream: StreamStatistics) -> str:
    spoken = escape(name_stream(name))
    each = HISTOGRAM_BINS // 10
    tenths = [sum(stream.counts[at : at + each]) for at in range(0, HISTOGRAM_BINS, each)]
    counted = "".join(
        f"<tr><th scope='row'>{place / 10:.1f} to {(place + 1) / 10:.1f}</th>"
        f"<td>{count(number)}</td></tr>"
        for place, number in enumerate(tenths)
    )
    table = (
        f"<table><caption>{spoken}: how many queries have which weight of the picture</caption>"
        '<thead><tr><th scope="col">weight</th><th scope="col">queries</th></tr></thead>'
        f"<tbody>{counted}</tbody></table>"
    )
    if stream.by_share is None:
        return table
    rows = "".join(
        f"<tr><th scope='row'>{_percent(step.low)} to {_percent(step.high)}</th>"
        f"<td>{count(step.queries)}</td><td>{step.mean:.2f}</td><td>{step.deviation:.2f}</td></tr>"
        for step in stream.by_share
    )
    return table + (
        f"<table><caption>{spoken}: mean weight by what only the picture can tell</caption>"
        '<thead><tr><th scope="col">only the picture can tell</th><th scope="col">queries</th>'
        '<th scope="col">mean weight</th><th scope="col">standard deviation</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}&nbsp;%"


def statistics_table(searcher: Searcher) -> dict[str, Any]:
    """The `/atlas` endpoint's answer; no streams where the checkpoint has no reference weights."""
    context: ReferenceWeights | None = searcher.reference_weights
    if context is None:
        return WeightStatistics(0, "", {}, None, None).to_dict()
    return compute_weight_statistics(context).to_dict()
