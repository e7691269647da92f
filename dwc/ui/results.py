"""The results: cards with rank, picture, score, its parts, and the way on from each."""

from dwc.search.result import Hit, SearchResult
from dwc.ui.bar import Scale, render_bar, render_legend
from dwc.ui.pictures import Pictures, url_of
from dwc.ui.wording import above, escape, signed, timing

EMPTY = """
<div class="empty"><p>Nothing searched yet.</p>
<p>Choose a picture, say what should be different, and search. Either alone works, too.</p></div>
"""

ON_LOAD = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-id]');
  if (!button) return;
  trigger(button.classList.contains('frame') ? 'why' : 'follow', {id: button.dataset.id});
});
"""


def render_results(result: SearchResult, pictures: Pictures) -> str:
    """All hits as an ordered list under the colours' legend, with what must be said about them."""
    scale = Scale.of(hit.parts for hit in result.hits)
    cards = "".join(_card(hit, pictures, scale) for hit in result.hits)
    names = dict.fromkeys(name for hit in result.hits for name in hit.parts)
    remarks = "".join(f'<p class="remark">{escape(remark)}</p>' for remark in _remarks(result))
    return (
        f'<div class="results-head">{render_legend(names)}'
        f'<p class="timing">{escape(timing(result.timings_ms, result.gallery_size))}</p></div>'
        f'{remarks}<ol class="cards">{cards}</ol>'
    )


def _card(hit: Hit, pictures: Pictures, scale: Scale) -> str:
    description = escape(pictures.describe(hit.id))
    thumbnail = escape(url_of(pictures.thumbnail(hit.id)))
    place = above(hit.percentile)
    return (
        f'<li class="card" data-id="{escape(hit.id)}">'
        f'<button type="button" class="frame" data-id="{escape(hit.id)}" '
        f'aria-label="Why result {hit.rank}: {description}"><img src="{thumbnail}" '
        f'alt="{description}" title="{description}" loading="lazy" width="256" height="256">'
        f'<span class="rank"><span class="sr-only">Rank </span>{hit.rank}</span></button>'
        f"{render_bar(hit.parts, hit.score, scale)}"
        f'<div class="meta"><b class="score" data-score="{hit.score:.6f}">'
        f'<span class="sr-only">Score </span>{signed(hit.score)}</b>'
        f'<span class="percentile" title="This result scores higher than '
        f'{escape(place.removeprefix("above "))} of the gallery">{escape(place)}'
        '<span class="sr-only"> of the gallery</span></span>'
        f'<button type="button" data-id="{escape(hit.id)}" '
        f'aria-label="Search from here: make result {hit.rank} the next picture, {description}">'
        "from here</button></div></li>"
    )


def _remarks(result: SearchResult) -> list[str]:
    remarks = list(result.notes)
    if result.unfamiliar is not None and result.unfamiliar > 1:
        remarks.insert(
            0,
            "This picture is unlike those the model learned from: take its results with caution.",
        )
    return remarks
