"""What the page's events do, as plain functions: a question in, the panels' HTML out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dwc.errors import DWCError
from dwc.search.model_pool import ModelPool
from dwc.search.reference_weights import describe_weights
from dwc.search.results import mean_image_weight
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.panels.examples import Example
from dwc.ui.panels.messages import render_trouble, render_unknown
from dwc.ui.panels.results import EMPTY, render_answer
from dwc.ui.panels.weight_slider import render_slider
from dwc.ui.panels.weights import render_weights
from dwc.ui.request_parsing import RESULTS_SHOWN, SearchEngine, parse_query
from dwc.ui.state import SearchState, parse_slider, reweighted


@dataclass(frozen=True)
class AnswerUpdate:
    """What the answer to a question fills, as HTML; None leaves a panel as it is."""

    trouble: str
    unknown: str | None = None
    weights: str | None = None
    slider: str | None = None
    results: str | None = None
    standing: SearchState | None = None

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


def answer(
    searcher: SearchEngine,
    pictures: GalleryImages,
    reference: Mapping[str, Any] | None,
    words: str | None,
    shift: float = 0.0,
    model: str = "",
) -> AnswerUpdate:
    """Ask, and render the answer, leaned by `shift`; a complaint leaves the results standing.

    `model` is the searcher's name among the page's models.
    """
    try:
        asked = searcher.encode_query(**parse_query(pictures, reference, words))
        sweep = searcher.sweep(asked)
        result = searcher.answer(asked, RESULTS_SHOWN, sweep=sweep)
    except DWCError as error:
        return AnswerUpdate(trouble=render_trouble(str(error)), unknown="")
    learned = result.weights
    standing = SearchState(
        asked,
        sweep,
        result,
        model,
        searcher.reference_weights,
        upload=None if reference is None or asked.reference_id else str(reference["path"]),
        near_duplicates=searcher.near_duplicates,
    )
    if shift != 0 and standing.can_lean:
        standing = reweighted(standing, shift)
        result = standing.result
    return AnswerUpdate(
        trouble="",
        unknown=render_unknown(result.unknown_words),
        weights=weights_of(standing),
        slider=render_slider(learned, at=mean_image_weight(result.weights)),
        results=render_answer(standing, pictures),
        standing=standing,
    )


def answer_with(
    models: ModelPool,
    pictures: GalleryImages,
    name: str | None,
    reference: Mapping[str, Any] | None,
    words: str | None,
    shift: float = 0.0,
) -> AnswerUpdate:
    """`answer` by the model of that name; one that cannot be loaded is a complaint as well."""
    try:
        name = models.require(name)
        with models.using(name) as searcher:
            return answer(searcher, pictures, reference, words, shift, name)
    except DWCError as error:
        return AnswerUpdate(trouble=render_trouble(str(error)), unknown="")


def weights_of(standing: SearchState) -> str:
    """The sentence, its context and the dial, for an answer as it is leaned."""
    result, context = standing.result, standing.reference_weights
    told = describe_weights(standing.query.encoding.composed, context, result.shift)
    return render_weights(result.weights, result.shift != 0, told, context)


def reweight(
    pictures: GalleryImages, standing: SearchState | None, data: Mapping[str, Any]
) -> tuple[str, str, SearchState] | None:
    """The weights, the results and the question at another shift; None where there is none.

    No model is asked.
    """
    if standing is None or not standing.can_lean:
        return None
    try:
        moved = reweighted(standing, parse_slider(data, standing))
    except DWCError:  # no slider of ours asks for such a thing
        return None
    return weights_of(moved), render_answer(moved, pictures), moved


def reference_of(data: Mapping[str, Any], pictures: GalleryImages) -> str | None:
    """The thumbnail of the picture that a browser named, or None where the gallery lacks it."""
    picture_id = data.get("id")
    if not isinstance(picture_id, str) or picture_id not in pictures.ids:
        return None
    return str(pictures.thumbnail(picture_id))


def first_answer(
    models: ModelPool, pictures: GalleryImages, examples: Sequence[Example]
) -> tuple[Example, AnswerUpdate]:
    """The first example that the first model answers, or an empty page where there is none."""
    for example in examples:
        file = file_of(example.reference_id, pictures)
        panels = answer_with(models, pictures, None, file, example.words)
        if panels.results is not None:
            return example, panels
    return Example(None, ""), AnswerUpdate("", "", "", "", EMPTY)


def thumbnail_of(picture_id: str | None, pictures: GalleryImages) -> str | None:
    """The path of a gallery picture's thumbnail; None for none."""
    return None if picture_id is None else str(pictures.thumbnail(picture_id))


def file_of(picture_id: str | None, pictures: GalleryImages) -> dict[str, Any] | None:
    """A gallery picture as Gradio hands over a file."""
    path = thumbnail_of(picture_id, pictures)
    return None if path is None else {"path": path}
