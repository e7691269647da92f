"""The switch that hides look-alikes, and what it says they are.

The results: cards with rank, picture, score, its parts, and the way on from each.

More of the answer without asking again, and how much of it is shown.
"""

from collections.abc import Sequence
from dataclasses import replace

from dwc.search.near_duplicates import DuplicateGroups
from dwc.search.results import Hit, SearchResult
from dwc.ui.format import above, count, escape, on_load, signed, timing
from dwc.ui.gallery_images import GalleryImages, url_of
from dwc.ui.panels.score_bar import Scale, render_bar, render_legend
from dwc.ui.state import SearchState

SWITCH = """
<div class="view">
<button type="button" role="switch" id="fold" aria-checked="false" aria-describedby="fold-told">
<i aria-hidden="true"></i>Hide look-alikes</button>
<p class="hint keys">With a result in focus: <kbd>arrow keys</kbd> move, <kbd>Enter</kbd> tells why,
<kbd>F</kbd> goes on from it.</p>
<p class="hint told" role="status" id="fold-told"></p></div>
"""

SWITCH_ON_LOAD = on_load("dwcResults.foldSwitch")


def describe_duplicates(folds: DuplicateGroups) -> str:
    """How many look-alikes there are, and what counts as one in this gallery."""
    total = len(folds.duplicate_of)
    if folds.count == 0:
        told = f"None of these {total} looks nearly like a better one"
    else:
        verb, noun = ("is", "a look-alike") if folds.count == 1 else ("are", "look-alikes")
        told = f"{folds.count} of these {total} {verb} {noun}, folded under the better one"
    return (
        f"{told}. Look-alikes lie less than a twentieth as far apart as two pictures of this "
        f"gallery usually do: a cosine of at least {folds.threshold:.3f} between their embeddings, "
        f"where {signed(folds.median_cosine)} is usual."
    )


EMPTY = """
<div class="empty"><p>Nothing searched yet.</p>
<p>Choose a picture, say what should be different, and search. Either alone works, too.</p></div>
"""

ON_LOAD = on_load("dwcResults.cards", "more", "why", "follow")


def render_results(
    result: SearchResult,
    pictures: GalleryImages,
    ranked: int | None = None,
    folds: DuplicateGroups | None = None,
) -> str:
    """All hits as an ordered list under the colours' legend, with what must be said about them.

    `ranked` is how many pictures compete: with it comes the way to more of them. `folds` tells the
    look-alikes among the hits, which the page can hide.
    """
    scale = Scale.of(hit.parts for hit in result.hits)
    cards = "".join(
        _card(hit, pictures, scale, *_alike(place, result.hits, folds))
        for place, hit in enumerate(result.hits)
    )
    names = dict.fromkeys(name for hit in result.hits for name in hit.parts)
    remarks = "".join(f'<p class="remark">{escape(remark)}</p>' for remark in _remarks(result))
    told = "" if folds is None else f' data-alike="{escape(describe_duplicates(folds))}"'
    more = "" if ranked is None else render_more(len(result.hits), ranked)
    return (
        f'<div class="results-head">{render_legend(names)}'
        f'<p class="timing">{escape(timing(result.timings_ms, result.gallery_size))}</p></div>'
        f'{remarks}<ol class="cards"{told}>{cards}</ol>{more}'
    )


def render_answer(standing: SearchState, pictures: GalleryImages) -> str:
    """The results of an answer as it stands, with the way to more and its look-alikes told."""
    alike, result = standing.near_duplicates, standing.result
    folds = None if alike is None else alike.group([hit.id for hit in result.hits])
    return render_results(result, pictures, len(standing.sweep), folds)


def _alike(
    place: int, hits: Sequence[Hit], folds: DuplicateGroups | None
) -> tuple[int | None, int]:
    """The rank of what a hit looks like, None for none, and how many look like it."""
    if folds is None:
        return None, 0
    first = folds.duplicate_of[place]
    return None if first is None else hits[first].rank, len(folds.duplicates_of(place))


def _card(
    hit: Hit, pictures: GalleryImages, scale: Scale, under: int | None, near_duplicates: int
) -> str:
    description = escape(pictures.describe(hit.id))
    thumbnail = escape(url_of(pictures.thumbnail(hit.id)))
    place = above(hit.percentile)
    like = "" if under is None else f' data-under="{under}"'
    return (
        f'<li class="card" data-id="{escape(hit.id)}" data-rank="{hit.rank}"{like}>'
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
        f'<button type="button" data-id="{escape(hit.id)}" aria-keyshortcuts="F" '
        f'aria-label="Search from here: make result {hit.rank} the next picture, {description}">'
        f"from here</button></div>{_unfolding(hit, near_duplicates)}</li>"
    )


def _unfolding(hit: Hit, near_duplicates: int) -> str:
    if near_duplicates == 0:
        return ""
    noun = "look-alike" if near_duplicates == 1 else "look-alikes"
    return (
        f'<button type="button" class="alike" aria-expanded="false" data-rank="{hit.rank}">'
        f'+{near_duplicates} {noun}<span class="sr-only"> of result {hit.rank}</span></button>'
    )


def _remarks(result: SearchResult) -> list[str]:
    remarks = list(result.notes)
    if result.ood_score is not None and result.ood_score > 1:
        remarks.insert(
            0,
            "This picture is unlike those the model learned from: take its results with caution.",
        )
    return remarks


STEP = 12
"""How many results each further look adds."""

MOST = 96
"""How many results the page shows at most; the commands and the endpoint give more."""


def with_more(standing: SearchState) -> SearchState | None:
    """The same answer with the next results below; None where there are no more to show.

    From the products that leaning uses: the ranks go on where they stood, at the same shift.
    """
    shown = len(standing.result.hits)
    wanted = min(shown + STEP, MOST, len(standing.sweep))
    if wanted <= shown:
        return None
    hits = standing.sweep.hits(standing.shift, wanted)
    return replace(standing, result=replace(standing.result, hits=hits))


def render_more(shown: int, ranked: int) -> str:
    """The button for more, and how many of the `ranked` pictures are `shown`."""
    told = f"{count(shown)} of {count(ranked)} shown"
    left = min(STEP, MOST - shown, ranked - shown)
    if left > 0:
        button = f'<button type="button" data-more>Show {left} more</button>'
        return f'<div class="more">{button}<span class="hint">{told}</span></div>'
    end = "." if shown >= ranked else ". Further down a search says little: ask otherwise."
    return f'<div class="more"><span class="hint">{told}{end}</span></div>'
