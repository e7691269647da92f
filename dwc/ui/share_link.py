"""A link that asks a question: `?ref=…&text=…&shift=…&model=…`."""

from collections.abc import Mapping
from dataclasses import dataclass

from dwc.errors import QueryError
from dwc.search.model_pool import ModelPool
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.handlers import AnswerUpdate, answer_with, file_of
from dwc.ui.panels.messages import render_trouble
from dwc.ui.request_parsing import parse_shift


@dataclass(frozen=True)
class LinkedSearch:
    """What a link asks, and what the page shows for it; `model` is the one that it asks."""

    reference_id: str | None
    words: str
    panels: AnswerUpdate
    model: str


def follow_link(
    models: ModelPool, pictures: GalleryImages, parameters: Mapping[str, str]
) -> LinkedSearch | None:
    """Ask what an address' parameters say; None where they ask nothing.

    A reference that this gallery has not is a complaint in the page, as are a shift that is none
    and a model that is not offered.
    """
    reference, words = parameters.get("ref") or None, parameters.get("text") or ""
    if reference is None and not words:
        return None
    model = models.default
    if reference is not None and reference not in pictures.ids:
        complaint = f"The link's picture, {reference!r}, is not in this gallery. Choose another."
        return LinkedSearch(None, words, AnswerUpdate(render_trouble(complaint)), model)
    try:
        shift = parse_shift(parameters.get("shift") or 0.0)
        model = models.require(parameters.get("model"))
    except QueryError as error:
        return LinkedSearch(
            reference, words, AnswerUpdate(render_trouble(f"In the link, {error}")), model
        )
    panels = answer_with(models, pictures, model, file_of(reference, pictures), words, shift)
    return LinkedSearch(reference, words, panels, model)
