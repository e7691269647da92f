"""Panel that explains the selected result: its score as a waterfall chart, and its ranks.

In the chart, the bar of each score part begins where the bar before it ends, so that the last bar
ends at the score.
"""

from dwc.explain.score_split import ScoreExplanation, explain_score
from dwc.search.searcher import Searcher
from dwc.ui.format import escape, format_count, format_part, format_percentile, round_to_sum, signed
from dwc.ui.gallery_images import GalleryImages, url_of
from dwc.ui.large_pictures import large_url
from dwc.ui.panels.results import order_parts
from dwc.ui.state import SearchState

_RANKED = {
    "picture": "by the picture alone",
    "words": "by the words alone",
    "average": "by their plain average",
    "learned": "as learned",
}


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of the panel for the selected result."""
    explanation = explain_score(state.sweep, state.selected_hit, state.request.shift)
    return render_score_split(explanation, images)


def render_score_split(explanation: ScoreExplanation, images: GalleryImages) -> str:
    """Return the HTML of the waterfall chart of a result's score, and of facts about its rank.

    Args:
        explanation: The result's score parts and ranks.
        images: The gallery.
    """
    name = escape(images.describe(explanation.id))
    thumbnail = escape(url_of(images.thumbnail(explanation.id)))
    large = escape(large_url(explanation.id))
    return (
        f'<div class="why-head"><button type="button" class="enlarge" aria-label="Enlarge {name}" '
        f'data-large="{large}"><img src="{thumbnail}" width="56" height="56" alt="{name}"></button>'
        f"<h3>Why no. {explanation.rank} scores {signed(explanation.score)}</h3></div>"
        f"{_waterfall(explanation)}{_facts(explanation)}"
        '<p class="hint">The parts add up to the score exactly. Each has seen the other side '
        "already: the weight mixes edited features.</p>"
    )


def _waterfall(explanation: ScoreExplanation) -> str:
    names = order_parts(explanation.parts)
    values = [explanation.parts[name] for name in names]
    ends = [sum(values[: index + 1]) for index in range(len(values))]
    low, high = min(0.0, *ends), max(0.0, *ends)
    span = (high - low) or 1.0
    rounded_values = round_to_sum(values, explanation.score)
    rows = []
    for name, value, end, rounded in zip(names, values, ends, rounded_values, strict=True):
        left = 100 * (min(end, end - value) - low) / span
        sign = "+" if rounded > 0 else ""
        rows.append(
            f"<tr><th scope='row'>{escape(format_part(name))}</th><td class='steps'>"
            f'<i class="step {escape(name)}{" negative" if value < 0 else ""}" '
            f'style="left:{left:.2f}%;width:{100 * abs(value) / span:.2f}%"></i></td>'
            f'<td class="number" data-value="{value:.6f}">{sign}{signed(rounded)}</td></tr>'
        )
    total = 100 * (explanation.score - low) / span
    return (
        f'<table class="waterfall"><tbody>{"".join(rows)}</tbody><tfoot><tr><th scope="row">score'
        f'</th><td class="steps"><i class="total" style="left:{total:.2f}%"></i></td>'
        f'<td class="number"><b>{signed(explanation.score)}</b></td></tr></tfoot></table>'
    )


def _facts(explanation: ScoreExplanation) -> str:
    facts = [
        f"{format_percentile(explanation.percentile).capitalize()} of the "
        f"{format_count(explanation.ranked)} pictures"
    ]
    if explanation.margin is not None:
        facts.append(f"{explanation.margin:.3f} ahead of the next")
    ranks = [
        f"{format_count(rank)} {_RANKED[reading]}"
        for reading, rank in explanation.ranks.items()
        if rank is not None
    ]
    if len(ranks) > 1:
        facts.append(f"Rank {', '.join(ranks)}")
    return '<ul class="facts">' + "".join(f"<li>{fact}</li>" for fact in facts) + "</ul>"
