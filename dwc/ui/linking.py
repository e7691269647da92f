"""A link that asks a question: `?ref=…&text=…&shift=…`."""

from collections.abc import Mapping
from dataclasses import dataclass

from dwc.errors import QueryError
from dwc.ui.answering import Panels, answer, file_of
from dwc.ui.asking import Searches, read_shift
from dwc.ui.notices import render_trouble
from dwc.ui.pictures import Pictures


@dataclass(frozen=True)
class Linked:
    """What a link asks, and what the page shows for it."""

    reference_id: str | None
    words: str
    panels: Panels


def follow_link(
    searcher: Searches, pictures: Pictures, parameters: Mapping[str, str]
) -> Linked | None:
    """Ask what an address' parameters say; None where they ask nothing.

    A reference that this gallery has not is a complaint in the page, as is a shift that is none.
    """
    reference, words = parameters.get("ref") or None, parameters.get("text") or ""
    if reference is None and not words:
        return None
    if reference is not None and reference not in pictures.ids:
        complaint = f"The link's picture, {reference!r}, is not in this gallery. Choose another."
        return Linked(None, words, Panels(render_trouble(complaint)))
    try:
        shift = read_shift(parameters.get("shift") or 0.0)
    except QueryError as error:
        return Linked(reference, words, Panels(render_trouble(f"The link's {error}")))
    panels = answer(searcher, pictures, file_of(reference, pictures), words, shift)
    return Linked(reference, words, panels)
