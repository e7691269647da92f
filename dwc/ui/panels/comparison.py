"""One question read several ways, side by side, and what of it fits where that is known.

What the comparing panels' events do: pin an answer, add other models, ask in other words.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from dwc.errors import DWCError, QueryError
from dwc.explain.comparison import (
    ComparedHit,
    Comparison,
    ComparisonColumn,
    compare,
    learned_column,
)
from dwc.search.model_pool import ModelPool
from dwc.search.results import mean_image_weight
from dwc.search.searcher import Searcher
from dwc.ui.format import count, escape, on_load, percents
from dwc.ui.gallery_images import GalleryImages, url_of
from dwc.ui.panels.messages import render_trouble
from dwc.ui.panels.paraphrases import probe_html
from dwc.ui.relevance import Truth, address_of, count_within, garments_of, own_questions, truth_of
from dwc.ui.state import SearchState

COMPARED = 10  # of each ranking: what "new" means, and what is counted
SHOWN = 5

ON_LOAD = on_load("dwcPanels.comparison", "pin")

_TITLES = {
    "picture": "Only the picture",
    "words": "Only the words",
    "average": "Half and half",
    "learned": "As learned",
}
_LEARNED = "learned"
ABOUT = (
    "Only the picture and only the words are the two ends of the dial: each has been edited in the "
    "light of the other before. The arrows tell how many places higher or lower a picture stands "
    "than as learned."
)


@dataclass(frozen=True)
class Pin:
    """An answer that a visitor kept: what was asked, in a line, and what was found as learned."""

    asked: str
    column: ComparisonColumn

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pin":
        return self  # nothing in it ever changes


def pin_of(standing: SearchState, pictures: GalleryImages, model: str = "") -> Pin:
    """Keep the present answer as it was learned, under the `model`'s name if that is to be told."""
    words = standing.query.text
    column = learned_column(standing.sweep, COMPARED)
    name = ": ".join(part for part in ("Pinned", words) if part)
    asked = _asked(standing, pictures)
    return Pin(f"{asked} ({model})" if model else asked, replace(column, name=name))


def comparison_html(
    searcher: Searcher,
    pictures: GalleryImages,
    standing: SearchState,
    pin: Pin | None = None,
    others: Mapping[str, Searcher] | None = None,
) -> str:
    """The columns of a question as HTML, those of `others` by the names of their models."""
    kept = [] if pin is None else [pin.column]
    found = compare(standing.sweep, standing.query, COMPARED, others, kept)
    truth = truth_of(garments_of(pictures), standing.query)
    questions = _questions(own_questions(pictures), pictures)
    return render_comparison(found, truth, pictures, pin) + questions


def render_comparison(
    comparison: Comparison, truth: Truth, pictures: GalleryImages, pin: Pin | None = None
) -> str:
    """Each ranking a column of small pictures; what fits is outlined where that is known."""
    learned = next(column for column in comparison.columns if column.name == _LEARNED)
    first = [learned, *(column for column in comparison.columns if column is not learned)]
    columns = "".join(_column(column, truth, pictures) for column in first)
    is_present = pin is not None and _ids(pin.column) == _ids(learned)
    return (
        f'<p class="hint">{_fitting(truth, len(pictures.ids))} {ABOUT}</p>'
        f'<div class="rankings">{columns}</div>{_pinning(pin, is_present)}'
    )


def _column(column: ComparisonColumn, truth: Truth, pictures: GalleryImages) -> str:
    title = _TITLES.get(column.name, column.name)
    facts = [f"picture {percents(mean_image_weight(column.weights))[0]}&nbsp;%"]
    if column.name != _LEARNED:
        facts.append(f"{column.shared} of {len(column.hits)} as learned, too")
    if truth.fitting:
        found = count_within(_ids(column), truth.fitting)
        facts.append(f"<b>{found} of {count(len(truth.fitting))} that fit</b>")
    told = "".join(f"<li>{fact}</li>" for fact in facts)
    hits = "".join(_hit(hit, column, truth, pictures) for hit in column.hits[:SHOWN])
    kind = " learned" if column.name == _LEARNED else ""
    return (
        f'<section class="ranking{kind}" aria-label="{escape(title)}"><h3>{escape(title)}</h3>'
        f'<ul class="about">{told}</ul><ol>{hits}</ol></section>'
    )


def _hit(hit: ComparedHit, column: ComparisonColumn, truth: Truth, pictures: GalleryImages) -> str:
    description = escape(pictures.describe(hit.id))
    fits = truth.fitting is not None and hit.id in truth.fitting
    mark = '<span class="fit"><span aria-hidden="true">✓</span> fits</span>' if fits else ""
    return (
        f'<li class="{"fits" if fits else ""}" data-id="{escape(hit.id)}">'
        f'<img src="{escape(url_of(pictures.thumbnail(hit.id)))}" alt="{description}" '
        f'title="{description}" width="72" height="72" loading="lazy">'
        f'<span class="marks">{"" if column.name == _LEARNED else _moved(hit)}{mark}</span></li>'
    )


def _moved(hit: ComparedHit) -> str:
    """How far above or below its learned place it stands."""
    if hit.learned_rank is None or hit.change is None:
        return _mark("new", "new", "not ranked as learned")
    there = f"rank {count(hit.learned_rank)} as learned"
    if hit.learned_rank > COMPARED:
        return _mark("new", "new", there)
    if hit.change == 0:
        return _mark("=", "", f"{there}, too")
    kind, sign = ("higher", "▲") if hit.change > 0 else ("lower", "▼")
    places = abs(hit.change)
    return _mark(f"{sign}&nbsp;{places}", kind, f"{places} {kind}, {there}")


def _mark(sign: str, kind: str, told: str) -> str:
    return (
        f'<span class="moved {kind}" title="{told}"><span aria-hidden="true">{sign}</span>'
        f'<span class="sr-only">{told}</span></span>'
    )


def _fitting(truth: Truth, total: int) -> str:
    if truth.fitting is None:
        return f"Nothing is marked as fitting: {escape(truth.why_unknown)}."
    number = len(truth.fitting)
    if number == 0:
        return f"None of the {count(total)} garments fits all that is asked for, to the letter."
    verb = "garment fits" if number == 1 else "garments fit"
    return (
        f"{count(number)} of the {count(total)} {verb} all that is asked for, to the letter; "
        f"outlined, and counted among the first {COMPARED} of every column."
    )


def _pinning(pin: Pin | None, is_present: bool) -> str:
    """The button that was worked last keeps its id, `pin`, so that the focus finds it again."""
    keep = "Pin this answer, to compare the next one with it"
    if pin is None:
        return f'<div class="toolbar pinning">{_button("keep", keep, "pin")}</div>'
    again = "" if is_present else _button("keep", "Pin this one instead", "")
    return (
        f'<div class="toolbar pinning"><span>Pinned: <q>{escape(pin.asked)}</q></span>'
        f"{_button('drop', 'Unpin', 'pin')}{again}</div>"
    )


def _button(act: str, label: str, id: str) -> str:
    named = f' id="{id}"' if id else ""
    return f'<button type="button"{named} data-pin="{act}">{label}</button>'


def _questions(questions: Sequence[Mapping[str, str]], pictures: GalleryImages) -> str:
    if not questions:
        return ""
    links = "".join(
        f'<li><a href="{escape(address_of(question))}">'
        f'<img src="{escape(url_of(pictures.thumbnail(question["ref"])))}" width="40" height="40" '
        f'loading="lazy" alt="Like {escape(pictures.describe(question["ref"]))}, but:">'
        f"<span>{escape(question['text'])}</span></a></li>"
        for question in questions
    )
    return (
        '<h3 class="own">From the catalogue\'s own test, where the answers are known</h3>'
        f'<ul class="own-questions">{links}</ul>'
    )


def _ids(column: ComparisonColumn) -> list[str]:
    return [hit.id for hit in column.hits]


def _asked(standing: SearchState, pictures: GalleryImages) -> str:
    """`green dress; longer`: a question in a line."""
    asked = standing.query
    if asked.image is None:
        return asked.text
    like = "the uploaded picture"
    if asked.reference_id is not None:
        like = pictures.describe(asked.reference_id)
    return f"{like}; {asked.text}" if asked.text else like


class ComparisonEvents:
    """The events of `#compare` and `#paraphrase`; each session has a pin of its own."""

    def __init__(
        self,
        models: ModelPool,
        pictures: GalleryImages,
        standing: gr.State,
        panels: Mapping[str, gr.HTML],
        on_model: Mapping[str, Any],
    ) -> None:
        """Call inside `gr.Blocks`; `on_model` are the options of an event that uses the model."""
        self.models, self.pictures, self.standing = models, pictures, standing
        self.compare, self.paraphrase = panels["compare"], panels["paraphrase"]
        self.options: dict[str, Any] = {"show_progress": "hidden", **on_model}
        self.pin = gr.State(None)

    def connect(self) -> None:
        """Connect what a person does in the panels."""
        pinning = self.compare.pin(
            self._pin_or_drop, self.standing, [self.compare, self.pin], **self.options
        )
        pinning.then(None, js="() => window.dwcPanels.refocus('pin')", api_visibility="private")
        probing = self.paraphrase.probe(self._probe, self.standing, self.paraphrase, **self.options)
        probing.then(None, js="() => window.dwcPanels.refocus('probe')", api_visibility="private")

    def after(self, event: Any) -> None:
        """Once an answer is explained, add the columns that its own model does not have."""
        event.then(self._add_columns, [self.standing, self.pin], self.compare, **self.options)

    def _pin_or_drop(self, standing: SearchState | None, event: gr.EventData) -> list[Any]:
        if standing is None:
            return [gr.skip(), gr.skip()]
        pin = None
        if event._data.get("keep") is True:
            name = standing.model if len(self.models.names) > 1 else ""
            pin = pin_of(standing, self.pictures, name)
        return [self._tell(standing, pin), pin]

    def _add_columns(self, standing: SearchState | None, pin: Pin | None) -> Any:
        if standing is None or (pin is None and not self._others_of(standing)):
            return gr.skip()
        return self._tell(standing, pin)

    def _probe(self, standing: SearchState | None, event: gr.EventData) -> Any:
        if standing is None:
            return gr.skip()
        try:
            with self.models.using(standing.model) as searcher:
                return probe_html(searcher, self.pictures, standing, event._data.get("wordings"))
        except DWCError as error:  # the model cannot be loaded again
            return render_trouble(str(error))

    def _others_of(self, standing: SearchState) -> list[str]:
        """Those in memory: a comparison loads no model that nobody chose."""
        return [name for name in self.models.in_memory if name != standing.model]

    def _tell(self, standing: SearchState, pin: Pin | None) -> str:
        try:
            with ExitStack() as used:
                searcher = used.enter_context(self.models.using(standing.model))
                names = self._others_of(standing)
                others = {name: used.enter_context(self.models.using(name)) for name in names}
                try:
                    return comparison_html(searcher, self.pictures, standing, pin, others)
                except QueryError:  # another model may read fewer words
                    return comparison_html(searcher, self.pictures, standing, pin)
        except DWCError as error:
            return render_trouble(str(error))
