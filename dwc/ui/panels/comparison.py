"""Panel that shows several rankings for one query side by side, each in a column.

The rankings are by the learned weights, by the image alone, by the text alone, and by both with
equal weights. Further columns show the rankings by other models, and a pinned search result: one
that the visitor has saved to compare later searches with it. If the relevant images (those that
match everything that the query asks for) are known, they are marked and counted.

The class `ComparisonHandlers` has the event handlers of this panel and of the paraphrase panel.
"""

from collections.abc import Callable, Mapping, Sequence
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
from dwc.ui.format import escape, format_count, on_load, percents, render_error
from dwc.ui.gallery_images import GalleryImages, url_of
from dwc.ui.panels.paraphrases import render_answered_form
from dwc.ui.relevance import (
    Relevance,
    count_relevant,
    own_queries,
    query_address,
    relevance_of,
)
from dwc.ui.request_parsing import get_attribute
from dwc.ui.state import SearchState, describe_query

COMPARED = 10
"""The number of best results of each ranking that are compared with the learned ranking."""

COLUMN_LENGTH = 5
"""The number of best results of each ranking that are shown."""

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
    """A search result that a visitor pinned for comparison.

    Attributes:
        description: The search in one line.
        column: The ranking by the learned weights, as a column of the comparison.
        screen: The data to repeat the search, as returned by `dwc.ui.handlers.describe_screen`.
    """

    description: str
    column: ComparisonColumn
    screen: Mapping[str, Any]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pin":
        return self  # Gradio copies session state; this object is immutable


def pin_answer(
    state: SearchState, images: GalleryImages, screen: Mapping[str, Any], model: str = ""
) -> Pin:
    """Return a `Pin` for a search result, so that later searches can be compared with it.

    Args:
        state: The search result.
        images: The gallery.
        screen: The data to repeat the search, as returned by `dwc.ui.handlers.describe_screen`.
        model: The model's name, for the description of the search; empty if there is only one
            model.
    """
    words = state.query.text
    column = learned_column(state.sweep, COMPARED)
    title = ": ".join(part for part in ("Pinned", words) if part)
    description = describe_query(state.request, images)
    if model:
        description = f"{description} ({model})"
    return Pin(description, replace(column, name=title), screen)


def render(
    searcher: Searcher,
    images: GalleryImages,
    state: SearchState,
    pin: Pin | None = None,
    others: Mapping[str, Searcher] | None = None,
) -> str:
    """Return the HTML of the panel that compares several rankings for the query of a search.

    Args:
        searcher: Not used; every panel's `render` has this parameter.
        images: The gallery.
        state: The search result.
        pin: The pinned search result, shown as a column; None if no result is pinned.
        others: Searchers of other models by the model's name, each shown as a column; None for no
            other models.
    """
    pinned = [] if pin is None else [pin.column]
    comparison = compare(state.sweep, state.query, COMPARED, others, pinned)
    relevance = relevance_of(images, state.query)
    own = _render_own_queries(own_queries(images), images)
    return render_comparison(comparison, relevance, images, pin) + own


def render_comparison(
    comparison: Comparison, relevance: Relevance, images: GalleryImages, pin: Pin | None = None
) -> str:
    """Return the HTML of the rankings, each as a column of small images.

    Args:
        comparison: The rankings.
        relevance: The relevant images, which are outlined if they are known.
        images: The gallery.
        pin: The pinned search result; None if no result is pinned.
    """
    learned = next(column for column in comparison.columns if column.name == _LEARNED)
    first = [learned, *(column for column in comparison.columns if column is not learned)]
    columns = "".join(_column(column, relevance, images) for column in first)
    is_present = pin is not None and _ids(pin.column) == _ids(learned)
    return (
        f'<p class="hint">{_describe_relevance(relevance, images)} {ABOUT}</p>'
        f'<div class="rankings">{columns}</div>{_pinning(pin, is_present)}'
    )


def _column(column: ComparisonColumn, relevance: Relevance, images: GalleryImages) -> str:
    title = _TITLES.get(column.name, column.name)
    facts = [f"picture {percents(mean_image_weight(column.weights))[0]}&nbsp;%"]
    if column.name != _LEARNED:
        facts.append(f"{column.shared} of {len(column.hits)} as learned, too")
    if relevance.ids:
        relevant = count_relevant(_ids(column), relevance.ids)
        facts.append(f"<b>{relevant} of {format_count(len(relevance.ids))} that fit</b>")
    items = "".join(f"<li>{fact}</li>" for fact in facts)
    hits = "".join(_hit(hit, column, relevance, images) for hit in column.hits[:COLUMN_LENGTH])
    kind = " learned" if column.name == _LEARNED else ""
    return (
        f'<section class="ranking{kind}" aria-label="{escape(title)}"><h3>{escape(title)}</h3>'
        f'<ul class="about">{items}</ul><ol>{hits}</ol></section>'
    )


def _hit(
    hit: ComparedHit, column: ComparisonColumn, relevance: Relevance, images: GalleryImages
) -> str:
    description = escape(images.describe(hit.id))
    fits = relevance.ids is not None and hit.id in relevance.ids
    mark = '<span class="fit"><span aria-hidden="true">✓</span> fits</span>' if fits else ""
    return (
        f'<li class="{"fits" if fits else ""}" data-id="{escape(hit.id)}">'
        f'<img src="{escape(url_of(images.thumbnail(hit.id)))}" alt="{description}" '
        f'title="{description}" width="72" height="72" loading="lazy">'
        f'<span class="marks">{"" if column.name == _LEARNED else _moved(hit)}{mark}</span></li>'
    )


def _moved(hit: ComparedHit) -> str:
    """Return a mark that compares an image's rank in a column with its rank by learned weights.

    The mark is "▲ 3" for an image that is three ranks better in the column, "▼ 2" for an image that
    is two ranks worse, "=" for the same rank, and "new" for an image that is not among the 10 best
    by learned weights.
    """
    if hit.learned_rank is None or hit.change is None:
        return _mark("new", "new", "not ranked as learned")
    learned = f"rank {format_count(hit.learned_rank)} as learned"
    if hit.learned_rank > COMPARED:
        return _mark("new", "new", learned)
    if hit.change == 0:
        return _mark("=", "", f"{learned}, too")
    kind, sign = ("higher", "▲") if hit.change > 0 else ("lower", "▼")
    ranks = abs(hit.change)
    return _mark(f"{sign}&nbsp;{ranks}", kind, f"{ranks} {kind}, {learned}")


def _mark(sign: str, kind: str, label: str) -> str:
    return (
        f'<span class="moved {kind}" title="{label}"><span aria-hidden="true">{sign}</span>'
        f'<span class="sr-only">{label}</span></span>'
    )


def _describe_relevance(relevance: Relevance, images: GalleryImages) -> str:
    if relevance.ids is None:
        return f"Nothing is marked as fitting: {escape(relevance.why_unknown)}."
    number, total = len(relevance.ids), format_count(len(images.ids))
    noun = "picture" if relevance.stated else "garment"
    compared = ""
    if relevance.stated:
        compared = (
            " By the gallery's table, what fits has what the words ask for "
            f"(<code>{escape(relevance.stated)}</code>) and otherwise what the picture has "
            f"(<code>{escape(relevance.shared)}</code>). Other columns are not compared."
        )
    if number == 0:
        return f"None of the {total} {noun}s fits all that is asked for, to the letter.{compared}"
    verb = f"{noun} fits" if number == 1 else f"{noun}s fit"
    return (
        f"{format_count(number)} of the {total} {verb} all that is asked for, to the letter; "
        f"outlined, and counted among the first {COMPARED} of every column.{compared}"
    )


def _pinning(pin: Pin | None, is_present: bool) -> str:
    """Return the HTML of the buttons that pin a search result or remove the pin.

    One of the buttons has the id `pin`, so that a script can move the keyboard focus to it after an
    update of the panel.

    Args:
        pin: The pinned search result; None if no result is pinned.
        is_present: Whether the pinned search has the same results as the current search. If so,
            the button that replaces the pinned search by the current search is omitted.
    """
    pin_label = "Pin this answer, to compare the next one with it"
    if pin is None:
        return f'<div class="toolbar pinning">{_button("keep", pin_label, "pin")}</div>'
    again = "" if is_present else _button("keep", "Pin this one instead", "")
    return (
        f'<div class="toolbar pinning"><span>Pinned: <q>{escape(pin.description)}</q></span>'
        f"{_button('drop', 'Unpin', 'pin')}{again}</div>"
    )


def _button(action: str, label: str, id: str) -> str:
    attribute = f' id="{id}"' if id else ""
    return f'<button type="button"{attribute} data-pin="{action}">{label}</button>'


def _render_own_queries(queries: Sequence[Mapping[str, str]], images: GalleryImages) -> str:
    if not queries:
        return ""
    links = "".join(
        f'<li><a href="{escape(query_address(query))}">'
        f'<img src="{escape(url_of(images.thumbnail(query["ref"])))}" width="40" height="40" '
        f'loading="lazy" alt="Like {escape(images.describe(query["ref"]))}, but:">'
        f"<span>{escape(query['text'])}</span></a></li>"
        for query in queries
    )
    return (
        '<h3 class="own">From the catalogue\'s own test, where the answers are known</h3>'
        f'<ul class="own-questions">{links}</ul>'
    )


def _ids(column: ComparisonColumn) -> list[str]:
    return [hit.id for hit in column.hits]


class ComparisonHandlers:
    """Handlers for the events of the comparison panel and of the paraphrase panel.

    A visitor can pin a search, to compare later searches with it. The browser stores the data to
    repeat the pinned search. The server caches its result.
    """

    def __init__(
        self,
        models: ModelPool,
        images: GalleryImages,
        current_state: Callable[[SearchState | None, object], SearchState | None],
        panels: Mapping[str, gr.HTML],
        pin: gr.JSON,
        pin_cache: gr.State,
    ) -> None:
        """Build the object whose methods are the panel's handlers.

        Args:
            models: The models.
            images: The gallery.
            current_state: The method `current_state` of the page's `PageHandlers`.
            panels: The components of the explanation panels, by id.
            pin: The component with the data to repeat the pinned search.
            pin_cache: The component with the cached result of the pinned search.
        """
        self._models, self._images, self._current_state = models, images, current_state
        self._comparison, self._paraphrases = panels["compare"], panels["paraphrase"]
        self._pin, self._pin_cache = pin, pin_cache

    def pin_or_drop(
        self, state: SearchState | None, screen: Mapping[str, Any] | None, event: gr.EventData
    ) -> dict[Any, Any]:
        """Pin the search result on the screen, or remove the pin, as the pressed button requires.

        Later searches are compared with the pinned result.
        """
        try:
            current = self._current_state(state, screen)
            if current is None or screen is None:
                return gr.skip()
            pin = None
            if get_attribute(event, "keep") is True:
                pin = pin_answer(current, self._images, screen, self._model_name(current))
            screen_data = None if pin is None else dict(pin.screen)
            content = self._render(current, pin)
        except DWCError as error:
            return {self._comparison: render_error(str(error))}
        return {self._comparison: content, self._pin: screen_data, self._pin_cache: pin}

    def add_columns(
        self, state: SearchState | None, screen: object, pin: object, cache: Pin | None
    ) -> dict[Any, Any]:
        """Add columns for the pinned search and other models in memory to the comparison panel."""
        try:
            current = self._current_state(state, screen)
            if current is None or (pin is None and not self._other_models(current)):
                return gr.skip()
            pinned = self._current_pin(pin, cache)
            return {self._comparison: self._render(current, pinned), self._pin_cache: pinned}
        except DWCError as error:
            return {self._comparison: render_error(str(error))}

    def probe(
        self, state: SearchState | None, screen: object, event: gr.EventData
    ) -> dict[Any, Any]:
        """Search with the alternative wordings that a visitor entered, and compare the results."""
        try:
            current = self._current_state(state, screen)
            if current is None:
                return gr.skip()
            wordings = get_attribute(event, "wordings")
            with self._models.using(current.request.model) as present:
                searcher = current.explained_by(present)
                return {self._paraphrases: render_answered_form(searcher, current, wordings)}
        except DWCError as error:  # raised also when the model cannot be loaded again
            return {self._paraphrases: render_error(str(error))}

    def _current_pin(self, pin: object, cache: Pin | None) -> Pin | None:
        """Return the pinned search result, from the cache or by searching again.

        Args:
            pin: The data to repeat the pinned search, as sent by the browser.
            cache: The cached pin, which may be None or the pin of another search.

        Returns:
            The pin; None if `pin` does not describe a search.
        """
        if not isinstance(pin, Mapping):
            return None
        if cache is not None and cache.screen == pin:
            return cache
        state = self._current_state(None, pin)
        if state is None:
            return None
        return pin_answer(state, self._images, pin, self._model_name(state))

    def _model_name(self, state: SearchState) -> str:
        return state.request.model if len(self._models.names) > 1 else ""

    def _other_models(self, state: SearchState) -> list[str]:
        """Return the names of the models in memory, except the model of this search result.

        Models that are not in memory get no column, because loading them takes time. If only a part
        of the gallery was searched, the list is empty, because other models search the complete
        gallery.
        """
        if state.part is not None:
            return []
        return [name for name in self._models.in_memory if name != state.request.model]

    def _render(self, state: SearchState, pin: Pin | None) -> str:
        with ExitStack() as used:
            present = used.enter_context(self._models.using(state.request.model))
            searcher = state.explained_by(present)
            names = self._other_models(state)
            others = {name: used.enter_context(self._models.using(name)) for name in names}
            try:
                return render(searcher, self._images, state, pin, others)
            except QueryError:  # another model may accept fewer words
                return render(searcher, self._images, state, pin)
