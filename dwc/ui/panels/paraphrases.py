"""Panel that tests how much results and weights change with the wording of a query."""

from collections.abc import Mapping, Sequence

from dwc.catalogue.language.paraphrase import paraphrase
from dwc.catalogue.schema import Garment
from dwc.errors import DWCError, QueryError
from dwc.explain.paraphrases import (
    ParaphraseAnswer,
    ParaphraseProbe,
    WeightSpread,
    probe_paraphrases,
)
from dwc.search.searcher import Searcher
from dwc.ui.format import escape, format_stream, on_load, percents, render_error
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.relevance import garments_of
from dwc.ui.request_parsing import MAX_CHARACTERS
from dwc.ui.state import SearchState

ON_LOAD = on_load("dwcPanels.paraphrases", "probe")

COMPARED = 10
"""How many of the best results for each wording are compared."""

MAX_WORDINGS = 8
_SUGGESTED = 3


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Render the input field with suggested paraphrases; empty for a query without text."""
    if not state.query.text:
        return ""
    return render_form(suggest(state, garments_of(images)), are_suggested=True)


def render_answered_form(searcher: Searcher, state: SearchState, wordings: object) -> str:
    """Render the input field with the wordings sent by the browser, and below it their comparison.

    If the wordings are invalid or cannot be searched, an error message replaces the comparison.
    """
    form = render_form(wordings.splitlines() if isinstance(wordings, str) else [])
    try:
        texts = parse_wordings(wordings)
        return form + render_probe(probe_paraphrases(searcher, state.query, texts, COMPARED))
    except DWCError as error:
        return form + render_error(str(error))


def render_form(wordings: Sequence[str], are_suggested: bool = False) -> str:
    """Render the input field, filled with these wordings, one per line.

    Args:
        wordings: The wordings.
        are_suggested: Whether the wordings are suggestions of the page; the label then says so.
    """
    label = "Say the same in other words, one wording a line, and see what changes."
    if are_suggested and wordings:
        label += " These ask for the same in the catalogue's own language; change them as you like."
    return (
        f'<label for="wordings">{label}</label><textarea id="wordings" rows="3" '
        f'maxlength="{MAX_CHARACTERS}" placeholder="a wording a line">'
        f"{escape(chr(10).join(wordings))}</textarea>"
        '<div class="toolbar"><button type="button" id="probe">Ask them all</button></div>'
    )


def suggest(state: SearchState, garments: Mapping[str, Garment]) -> list[str]:
    """Return paraphrases of a query about drawn garments; empty for other galleries."""
    request = state.request
    if not garments or request.upload is not None:
        return []
    reference = None if request.reference_id is None else garments[request.reference_id]
    return paraphrase(request.words, reference, _SUGGESTED)


def parse_wordings(wordings: object) -> list[str]:
    """Parse wordings from a list, or from a text with one per line.

    Raises:
        QueryError: The wordings are not texts, or there are none, too many, or too long ones.
    """
    lines = wordings.splitlines() if isinstance(wordings, str) else wordings
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise QueryError("the wordings are not texts. Give one a line.")
    texts = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(texts) <= MAX_WORDINGS:
        raise QueryError(
            f"there are {len(texts)} other wordings; 1 to {MAX_WORDINGS} are asked. Give one a "
            "line."
        )
    if any(len(text) > MAX_CHARACTERS for text in texts):
        raise QueryError(f"a wording has more than {MAX_CHARACTERS:,} characters. Shorten it.")
    return texts


def render_probe(probe: ParaphraseProbe) -> str:
    """Render a table with one row per wording, and a sentence that summarizes it.

    A row shows the wording's image weights, and how many results it shares with the first wording.
    """
    first = probe.wordings[0]
    rows = "".join(_row(wording, first) for wording in probe.wordings)
    spreads = "; ".join(_spread(stream, spread) for stream, spread in probe.weights.items())
    return (
        f'<p class="probed">Of all that two wordings have among their first {len(first.ids)}, '
        f"{_percent(probe.mean_overlap)} is found by both, on average; of two answers drawn by lot "
        f"it would be {_percent(probe.overlap_by_chance)}. The picture's weight lies {spreads}.</p>"
        '<div class="scroller" tabindex="0" role="region" aria-label="Table of wordings">'
        '<table class="wordings"><thead><tr><th scope="col">wording</th>'
        '<th scope="col">weight of the picture</th><th scope="col">shared with the first</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
        '<p class="hint">Whether the wordings mean the same is yours to judge; and where many '
        "pictures fit alike, sharing few is no fault.</p>"
    )


def _row(wording: ParaphraseAnswer, first: ParaphraseAnswer) -> str:
    shared = len(set(wording.ids) & set(first.ids))
    overlap = "as asked" if wording is first else f"{shared} of {len(first.ids)}"
    text = escape(wording.text)
    if wording.unknown_words:
        struck = ", ".join(f"<s>{escape(word)}</s>" for word in wording.unknown_words)
        text += f'<span class="aside">unknown: {struck}</span>'
    return (
        f'<tr><th scope="row">{text}</th><td>{_strip(wording.image_weights)}</td>'
        f"<td>{overlap}</td></tr>"
    )


def _strip(weights: Mapping[str, float]) -> str:
    dots = "".join(
        f'<i class="{escape(stream)}" style="left:{100 * weight:.2f}%"></i>'
        for stream, weight in weights.items()
    )
    values = ", ".join(
        f"{format_stream(s)} {percents(weight)[0]}&nbsp;%" for s, weight in weights.items()
    )
    return f'<span class="strip" aria-hidden="true">{dots}</span><span class="said">{values}</span>'


def _spread(stream: str, spread: WeightSpread) -> str:
    least, greatest = percents(spread.least)[0], percents(spread.greatest)[0]
    span = f"at {least}" if least == greatest else f"between {least} and {greatest}"
    return f"{span}&nbsp;% ({format_stream(stream)})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}&nbsp;%" if share >= 0.01 else "less than 1&nbsp;%"
