"""What the page's events do, as plain functions: a question in, the panels' HTML out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dwc.errors import DWCError
from dwc.search.asked import AskedQuery
from dwc.search.leaning import shift_to
from dwc.search.reading import what_was_read
from dwc.search.result import SearchResult, mean_image_weight
from dwc.search.searcher import Searcher
from dwc.search.weight_context import weigh_in_context
from dwc.search.why import explain
from dwc.search.word_effects import word_effects
from dwc.ui.asking import RESULTS_SHOWN, Searches, read_question
from dwc.ui.examples import Example
from dwc.ui.lean import render_slider
from dwc.ui.notices import render_trouble, render_unknown
from dwc.ui.pictures import Pictures
from dwc.ui.read import render_read
from dwc.ui.results import EMPTY, render_results
from dwc.ui.standing import Standing, leaned, shift_asked
from dwc.ui.trace import LIMIT, NOTHING, POSITIONS, TRACED, render_trace
from dwc.ui.weights import render_weights
from dwc.ui.why import render_why
from dwc.ui.words_effect import render_word_effects


@dataclass(frozen=True)
class Panels:
    """What the answer to a question fills, as HTML; None leaves a panel as it is."""

    trouble: str
    unknown: str | None = None
    weights: str | None = None
    slider: str | None = None
    results: str | None = None
    standing: Standing | None = None

    def updates(self) -> list[Any]:
        """In the order in which the page wires them."""
        panels = (
            self.trouble,
            self.unknown,
            self.weights,
            self.slider,
            self.results,
            self.standing,
        )
        return [gr.skip() if panel is None else panel for panel in panels]


@dataclass(frozen=True)
class Explained:
    """What is told about an answer beside its results, as HTML."""

    trace: str
    why: str
    words: str
    read: str

    def updates(self) -> list[Any]:
        """In the order in which the page wires them."""
        return [self.trace, self.why, self.words, self.read]


NOTHING_EXPLAINED = Explained("", "", "", "")


def answer(
    searcher: Searches,
    pictures: Pictures,
    reference: Mapping[str, Any] | None,
    words: str | None,
    shift: float = 0.0,
) -> Panels:
    """Ask, and render the answer, leaned by `shift`; a complaint leaves the results standing."""
    try:
        asked = searcher.ask(**read_question(pictures, reference, words))
        result = searcher.answer(asked, RESULTS_SHOWN)
    except DWCError as error:
        return Panels(trouble=render_trouble(str(error)), unknown="")
    learned, standing = result.weights, Standing(asked, searcher.sweep(asked), result)
    if shift != 0 and standing.can_lean:
        standing = leaned(standing, shift)
        result = standing.result
    return Panels(
        trouble="",
        unknown=render_unknown(result.unknown_words),
        weights=weights_of(searcher, asked, result),
        slider=render_slider(learned, at=mean_image_weight(result.weights)),
        results=render_results(result, pictures),
        standing=standing,
    )


def weights_of(searcher: Searches, asked: AskedQuery, result: SearchResult) -> str:
    """The sentence, its context and the dial, for an answer as it is leaned."""
    context = searcher.context
    told = weigh_in_context(asked.encoded.composed, context, result.shift)
    return render_weights(result.weights, result.shift != 0, told, context)


def lean(
    searcher: Searches,
    pictures: Pictures,
    standing: Standing | None,
    data: Mapping[str, Any],
) -> tuple[str, str, Standing] | None:
    """The weights, the results and the question at another shift; None where there is none."""
    if standing is None or not standing.can_lean:
        return None
    try:
        moved = leaned(standing, shift_asked(data, standing))
    except DWCError:  # no slider of ours asks for such a thing
        return None
    return (
        weights_of(searcher, moved.asked, moved.result),
        render_results(moved.result, pictures),
        moved,
    )


def explain_answer(searcher: Searcher, pictures: Pictures, standing: Standing | None) -> Explained:
    """The trace of an answer, and what is to say about its first result."""
    if standing is None or not standing.result.hits:
        return NOTHING_EXPLAINED
    trace = NOTHING
    if standing.can_lean:
        steps = range(1, POSITIONS - 1)
        shifts = [shift_to(standing.sweep, step / (POSITIONS - 1)) for step in steps]
        trace = render_trace(standing.sweep.rank_trace(shifts, TRACED, LIMIT), pictures)
    first = standing.result.hits[0].id
    why, words = explain_result(searcher, pictures, standing, first)
    read = render_read(what_was_read(searcher.checkpoint, standing.asked))
    return Explained(trace, why, words, read)


def explain_result(
    searcher: Searcher, pictures: Pictures, standing: Standing, id: str
) -> tuple[str, str]:
    """Why a result stands where it does, and what each word did to it."""
    found = explain(standing.sweep, id, standing.shift)
    effects = word_effects(searcher, standing.asked, id, standing.shift)
    return render_why(found, pictures), render_word_effects(effects, found.rank)


def reference_of(data: Mapping[str, Any], pictures: Pictures) -> str | None:
    """The thumbnail of the picture that a browser named, or None where the gallery lacks it."""
    picture_id = data.get("id")
    if not isinstance(picture_id, str) or picture_id not in pictures.ids:
        return None
    return str(pictures.thumbnail(picture_id))


def open_with(
    searcher: Searches, pictures: Pictures, examples: Sequence[Example]
) -> tuple[Example, Panels]:
    """The first example that has an answer, or an empty page where none has."""
    for example in examples:
        file = file_of(example.reference_id, pictures)
        panels = answer(searcher, pictures, file, example.words)
        if panels.results is not None:
            return example, panels
    return Example(None, ""), Panels("", "", "", "", EMPTY)


def thumbnail_of(picture_id: str | None, pictures: Pictures) -> str | None:
    """The path of a gallery picture's thumbnail; None for none."""
    return None if picture_id is None else str(pictures.thumbnail(picture_id))


def file_of(picture_id: str | None, pictures: Pictures) -> dict[str, Any] | None:
    """A gallery picture as Gradio hands over a file."""
    path = thumbnail_of(picture_id, pictures)
    return None if path is None else {"path": path}
