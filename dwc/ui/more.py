"""More of the answer without asking again, and how much of it is shown."""

from dataclasses import replace

from dwc.search.leaning import hits_at
from dwc.ui.standing import Standing
from dwc.ui.wording import count

STEP = 12
"""How many results each further look adds."""

MOST = 96
"""How many results the page shows at most; the commands and the endpoint give more."""


def with_more(standing: Standing) -> Standing | None:
    """The same answer with the next results below; None where there are no more to show.

    From the products that leaning uses: the ranks go on where they stood, at the same shift.
    """
    shown = len(standing.result.hits)
    wanted = min(shown + STEP, MOST, len(standing.sweep))
    if wanted <= shown:
        return None
    hits = hits_at(standing.sweep, standing.shift, wanted)
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
