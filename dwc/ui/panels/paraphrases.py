"""The same wish in other words: how far results and weights stay, asked for by hand."""

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
from dwc.ui.format import escape, name_stream, on_load, percents
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.panels.messages import render_trouble
from dwc.ui.relevance import garments_of
from dwc.ui.request_parsing import MAX_CHARACTERS
from dwc.ui.state import SearchState

ON_LOAD = on_load("dwcPanels.paraphrases", "probe")

COMPARED = 10
MAX_WORDINGS = 8
_SUGGESTED = 3


def paraphrase_html(searcher: Searcher, pictures: GalleryImages, standing: SearchState) -> str:
    """The field for other wordings, with suggestions; empty for a question without words."""
    if not standing.query.text:
        return ""
    return render_form(suggest(standing, garments_of(pictures)), are_suggested=True)


def probe_html(
    searcher: Searcher, pictures: GalleryImages, standing: SearchState, given: object
) -> str:
    """The field as it was sent, and the answer to it, or a complaint where it cannot be asked."""
    form = render_form(given.splitlines() if isinstance(given, str) else [])
    try:
        wordings = read_wordings(given)
        found = probe_paraphrases(searcher, standing.query, wordings, COMPARED)
    except DWCError as error:
        return form + render_trouble(str(error))
    return form + render_probe(found)


def render_form(wordings: Sequence[str], are_suggested: bool = False) -> str:
    """The field with these wordings in it."""
    told = "Say the same in other words, one wording a line, and see what changes."
    if are_suggested and wordings:
        told += " These ask for the same in the catalogue's own language; change them as you like."
    return (
        f'<label for="wordings">{told}</label><textarea id="wordings" rows="3" '
        f'maxlength="{MAX_CHARACTERS}" placeholder="a wording a line">'
        f"{escape(chr(10).join(wordings))}</textarea>"
        '<div class="toolbar"><button type="button" id="probe">Ask them all</button></div>'
    )


def suggest(standing: SearchState, garments: Mapping[str, Garment]) -> list[str]:
    """Other words for a question about drawn garments; empty where there are none."""
    asked = standing.query
    is_uploaded = asked.image is not None and asked.reference_id is None
    if not garments or is_uploaded:
        return []
    reference = None if asked.reference_id is None else garments[asked.reference_id]
    return paraphrase(asked.text, reference, _SUGGESTED)


def read_wordings(given: object) -> list[str]:
    """The wordings of a text, a line each, or of a list; `QueryError` for none or too many."""
    lines = given.splitlines() if isinstance(given, str) else given
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise QueryError("the wordings are not texts. Give one a line.")
    wordings = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(wordings) <= MAX_WORDINGS:
        raise QueryError(
            f"there are {len(wordings)} other wordings; 1 to {MAX_WORDINGS} are asked. Give one a "
            "line."
        )
    if any(len(wording) > MAX_CHARACTERS for wording in wordings):
        raise QueryError(f"a wording has more than {MAX_CHARACTERS:,} characters. Shorten it.")
    return wordings


def render_probe(found: ParaphraseProbe) -> str:
    """A row a wording: its weights on a strip, and what its best share with the first's."""
    first = found.wordings[0]
    rows = "".join(_row(wording, first) for wording in found.wordings)
    spreads = "; ".join(_spread(stream, spread) for stream, spread in found.weights.items())
    return (
        f'<p class="probed">Of all that two wordings have among their first {len(first.ids)}, '
        f"{_percent(found.mean_overlap)} is found by both, on average; of two answers drawn by lot "
        f"it would be {_percent(found.overlap_by_chance)}. The picture's weight lies {spreads}.</p>"
        '<div class="scroller" tabindex="0" role="region" aria-label="Table of wordings">'
        '<table class="wordings"><thead><tr><th scope="col">wording</th>'
        '<th scope="col">weight of the picture</th><th scope="col">shared with the first</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
        '<p class="hint">Whether the wordings mean the same is yours to judge; and where many '
        "pictures fit alike, sharing few is no fault.</p>"
    )


def _row(wording: ParaphraseAnswer, first: ParaphraseAnswer) -> str:
    shared = len(set(wording.ids) & set(first.ids))
    told = "as asked" if wording is first else f"{shared} of {len(first.ids)}"
    text = escape(wording.text)
    if wording.unknown_words:
        struck = ", ".join(f"<s>{escape(word)}</s>" for word in wording.unknown_words)
        text += f'<span class="aside">unknown: {struck}</span>'
    return (
        f'<tr><th scope="row">{text}</th><td>{_strip(wording.image_weights)}</td>'
        f"<td>{told}</td></tr>"
    )


def _strip(weights: Mapping[str, float]) -> str:
    dots = "".join(
        f'<i class="{escape(stream)}" style="left:{100 * weight:.2f}%"></i>'
        for stream, weight in weights.items()
    )
    said = ", ".join(
        f"{name_stream(s)} {percents(weight)[0]}&nbsp;%" for s, weight in weights.items()
    )
    return f'<span class="strip" aria-hidden="true">{dots}</span><span class="said">{said}</span>'


def _spread(stream: str, spread: WeightSpread) -> str:
    least, greatest = percents(spread.least)[0], percents(spread.greatest)[0]
    place = f"at {least}" if least == greatest else f"between {least} and {greatest}"
    return f"{place}&nbsp;% ({name_stream(stream)})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}&nbsp;%" if share >= 0.01 else "less than 1&nbsp;%"
