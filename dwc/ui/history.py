"""The search history of a visit: a tree of searches, one of which is the current search.

Each search is a step of the history, and a child of the step that was on the screen before.
`render_history` draws the tree with one tile per search. The top row contains the current search.
The other rows contain the searches in other branches of the tree. They are drawn paler.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dwc.search.results import mean_image_weight, shift_to_json
from dwc.ui.format import escape, on_load, percents, render_hint
from dwc.ui.gallery_images import GalleryImages, find_shown, url_of
from dwc.ui.state import SearchRequest, SearchState
from dwc.ui.uploads import is_upload

MAX_STEPS = 24
"""The maximum number of steps in the history; as JSON, they have a few kilobytes."""

_MAX_SENT_STEPS = 10 * MAX_STEPS  # pages send at most MAX_STEPS; checking takes quadratic time


@dataclass(frozen=True)
class HistoryQuery:
    """The query of one search in the history.

    Attributes:
        words: The modification text, which says what should be different; may be empty.
        reference_id: The id of the reference if it is an image of the gallery, else None.
        upload: The path of the reference's file if it was uploaded, else None.
        filter: The condition on the metadata of the results, as text; empty for no condition.
        model: The model's name; empty if it is unknown.
        content: The digest of the reference's content if it is an image of the gallery, else None.
    """

    words: str
    reference_id: str | None = None
    upload: str | None = None
    filter: str = ""
    model: str = ""
    content: str | None = None

    def is_same(self, other: "HistoryQuery") -> bool:
        """Return whether another query is the same, even if the reference has another id in it.

        An image of the gallery gets another id if its file is moved. So references from the gallery
        are compared by the digests of their content. If a digest is unknown, the ids are compared.
        """
        if self.content is None or other.content is None:  # an older page did not send it
            return replace(self, content=None) == replace(other, content=None)
        return self == replace(other, reference_id=self.reference_id)


@dataclass(frozen=True)
class WeightShift:
    """The shift that a visitor applied to a search's image weights, and the resulting weight.

    Attributes:
        shift: The number that is added to the logit of every stream's image weight; 0 for the
            learned weights.
        image_weight: The mean of the streams' image weights at this shift, in [0, 1].
    """

    shift: float
    image_weight: float


@dataclass(frozen=True)
class HistoryStep:
    """One search of a visit.

    Attributes:
        number: The number of the step, from 1; later steps have higher numbers.
        parent: The number of the step that was on the screen when this search was made; None for
            the root of the tree.
        query: The query.
        weight_shift: How the visitor had shifted the image weights when the results of this search
            were last on the screen.
    """

    number: int
    parent: int | None
    query: HistoryQuery
    weight_shift: WeightShift


@dataclass(frozen=True)
class HistoryRow:
    """One row in the drawing of the search history, which is a tree of steps (searches).

    A row has one or more steps. Each step except the first is a child of the step to its left.

    Attributes:
        column: The column of the first step, from 0; the other steps are in the columns to the
            right.
        up: The number of rows from this row up to the row of the first step's parent; 0 for the top
            row, whose first step has no parent.
        steps: The steps of the row, from left to right.
    """

    column: int
    up: int
    steps: tuple[HistoryStep, ...]


@dataclass(frozen=True)
class SearchHistory:
    """An immutable tree of at most `MAX_STEPS` steps; every change returns a new history.

    If a change would make the tree too large, a step is removed: the oldest step that has no
    children and is not on the path from the root to the current step. If only this path is left,
    the root is removed, and its child becomes the root.

    Attributes:
        steps: The steps in ascending order of their numbers; parents precede their children.
        current: The number of the current step; None before the first search.
    """

    steps: tuple[HistoryStep, ...] = ()
    current: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the history as JSON-compatible values; the browser stores it in this form."""
        steps = [asdict(step) for step in self.steps]
        for step in steps:
            step["weight_shift"]["shift"] = shift_to_json(step["weight_shift"]["shift"])
        return {"steps": steps, "current": self.current}

    @classmethod
    def from_dict(cls, content: object) -> "SearchHistory":
        """Parse a history that a browser sent in the form of `to_dict`.

        The result is an empty history if the content is not a valid tree of steps.
        """
        try:
            history = _parse_history(content)
            return _bounded(history) if _is_tree(history) else cls()
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return cls()

    def search(self, query: HistoryQuery, weight_shift: WeightShift) -> "SearchHistory":
        """Return the history in which a search is added as a child of the current step.

        The added step becomes the current step. If the current step or one of its children already
        has this query, no step is added. Instead, that step becomes the current step, and its image
        weight is updated.

        Args:
            query: The query of the search.
            weight_shift: The shift of the image weights at which the search's results are shown.
        """
        step = self.current_step
        if step is not None and step.query.is_same(query):
            return self.reweighted(weight_shift)
        for child in self._children(self.current):
            if child.query.is_same(query):
                return replace(self, current=child.number).reweighted(weight_shift)
        number = 1 + max((step.number for step in self.steps), default=0)
        added = HistoryStep(number, self.current, query, weight_shift)
        return _bounded(SearchHistory((*self.steps, added), number))

    def reweighted(self, weight_shift: WeightShift) -> "SearchHistory":
        """Return the history with another weight shift in the current step."""
        steps = tuple(
            replace(step, weight_shift=weight_shift) if step.number == self.current else step
            for step in self.steps
        )
        return replace(self, steps=steps)

    def back_to(self, number: object) -> "SearchHistory | None":
        """Return the history in which the step with this number is the current step.

        The result is None if there is no such step.
        """
        if type(number) is not int or number not in self._by_number:  # a browser may send anything
            return None
        return replace(self, current=number)

    def back_to_query(self, query: HistoryQuery, number: object = None) -> "SearchHistory | None":
        """Return the history in which a step with the given query is the current step.

        Args:
            query: The query.
            number: The number of the preferred step, if several steps have the query. If the step
                with this number has another query, the newest step with the query is used.

        Returns:
            The history; None if no step has the query.
        """
        numbers = [step.number for step in self.steps if step.query.is_same(query)]
        if not numbers:
            return None
        return self.back_to(number if number in numbers else numbers[-1])

    @property
    def current_step(self) -> HistoryStep | None:
        """The current step; None before the first search."""
        return None if self.current is None else self._by_number[self.current]

    def rows(self) -> list[HistoryRow]:
        """Arrange the tree in rows for drawing, from top to bottom; each step is in one row.

        The top row contains the path from the root to the current step. It continues with the
        newest child of the current step, the newest child of that child, and so on. Every step that
        is not in the row of its parent begins a row of its own below, one column to the right of
        its parent. Of several rows that branch off from one row, the row that branches off from the
        rightmost step is the highest. So the vertical line from the first step of a row up to its
        parent crosses no other row.

        Returns:
            The rows; empty if the history has no steps.
        """
        if self.current_step is None:
            return []
        return self._rows_of(self._extended(self._path_to(self.current)), column=0, row=0, above=0)

    def _rows_of(
        self, steps: tuple[HistoryStep, ...], column: int, row: int, above: int
    ) -> list[HistoryRow]:
        rows = [HistoryRow(column, row - above, steps)]
        numbers = {step.number for step in steps}
        for index in reversed(range(len(steps))):
            for branch in self._children(steps[index].number):
                if branch.number not in numbers:
                    below = row + len(rows)
                    extended = self._extended((branch,))
                    rows += self._rows_of(extended, column + index + 1, below, row)
        return rows

    def _children(self, number: int | None) -> list[HistoryStep]:
        return [step for step in self.steps if step.parent == number]

    def _path_to(self, number: int | None) -> tuple[HistoryStep, ...]:
        path: tuple[HistoryStep, ...] = ()
        while number is not None:
            step = self._by_number[number]
            path, number = (step, *path), step.parent
        return path

    def _extended(self, path: tuple[HistoryStep, ...]) -> tuple[HistoryStep, ...]:
        """Return a path of the tree, continued down to a step without children.

        Each added step is the newest child of the step before it.
        """
        while children := self._children(path[-1].number):
            path = (*path, children[-1])
        return path

    @property
    def _by_number(self) -> dict[int, HistoryStep]:
        return {step.number: step for step in self.steps}


def _bounded(history: SearchHistory) -> SearchHistory:
    """Return the history reduced to at most `MAX_STEPS` steps.

    Steps are removed one by one: each time the oldest step that has no children and is not on the
    path from the root to the current step. If only this path is left, the root is removed, and its
    child becomes the root.
    """
    steps = list(history.steps)
    path = {step.number for step in history._path_to(history.current)}
    while len(steps) > MAX_STEPS:
        parents = {step.parent for step in steps}
        leaves = [s for s in steps if s.number not in parents and s.number not in path]
        dropped = leaves[0] if leaves else steps[0]
        steps = [
            replace(step, parent=None) if step.parent == dropped.number else step
            for step in steps
            if step is not dropped
        ]
    return replace(history, steps=tuple(steps))


def _parse_history(content: Any) -> SearchHistory:
    """Convert the JSON form of a history (see `SearchHistory.to_dict`) to a history.

    Raises:
        KeyError, TypeError, ValueError: The content does not have that form.
    """
    if len(content["steps"]) > _MAX_SENT_STEPS:
        raise ValueError(f"{len(content['steps'])} steps are sent")
    steps = tuple(
        HistoryStep(
            number=step["number"],
            parent=step["parent"],
            query=HistoryQuery(**_texts(step["query"])),
            weight_shift=WeightShift(
                float(step["weight_shift"]["shift"]), float(step["weight_shift"]["image_weight"])
            ),
        )
        for step in content["steps"]
    )
    return SearchHistory(steps, content["current"])


def _texts(query: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(query["words"], str):
        raise TypeError(f"the words are {query['words']!r}")
    if not all(isinstance(value, str) or value is None for value in query.values()):
        raise TypeError(f"the query is {query!r}")
    return query


def _is_tree(history: SearchHistory) -> bool:
    """Return whether a history that a browser sent is valid.

    The steps must form a single tree, in ascending order of their numbers, and the current step
    must be one of them. Image weights must be in [0, 1], and weight shifts must not be NaN.
    """
    earlier: set[int] = set()
    roots = 0
    for step in history.steps:
        weight, is_after = step.weight_shift.image_weight, step.number > max(earlier, default=0)
        if type(step.number) is not int or not is_after or not 0 <= weight <= 1:
            return False
        if step.weight_shift.shift != step.weight_shift.shift:  # NaN
            return False
        if step.parent is None:
            roots += 1
        elif step.parent not in earlier:
            return False
        earlier.add(step.number)
    return history.current in earlier and roots == 1


ON_LOAD = on_load("dwcPanels.history", "back")

_HINT = "Every search of this visit is kept here. Choose one to go back to it."


def record_answer(history: SearchHistory, state: SearchState | None) -> SearchHistory:
    """Return the history with a search result recorded as the current step.

    If the current step or one of its children has the same query, no step is added. Instead, that
    step becomes the current step, and its image weight is updated.

    Args:
        history: The search history of the visit.
        state: The search result; None to return the history unchanged.
    """
    if state is None:
        return history
    request = state.request
    weight_shift = WeightShift(request.shift, mean_image_weight(state.result.weights))
    return history.search(query_of(request), weight_shift)


def query_of(request: SearchRequest) -> HistoryQuery:
    """Return the query of a search request, in the form in which a history step stores it."""
    return HistoryQuery(
        request.words,
        request.reference_id,
        request.upload,
        request.filter,
        request.model,
        request.content,
    )


def image_exists(step: HistoryStep) -> bool:
    """Return whether the reference image of a step still exists.

    The result is False only if the reference was uploaded and its file has been deleted. It is True
    for a step without a reference.
    """
    return step.query.upload is None or is_upload(step.query.upload)


def deleted_message(step: HistoryStep, upload_minutes: int) -> str:
    """Return the message for a visitor who goes back to a step whose reference has been deleted.

    Args:
        step: The step, whose reference was uploaded.
        upload_minutes: The number of minutes after which uploads are deleted.
    """
    rest = "Its words are back: choose" if step.query.words else "Choose"
    return (
        f"Step {step.number} began from a picture that you uploaded, and uploads are deleted after "
        f"{upload_minutes} minutes. {rest} the picture again to repeat it."
    )


def render_history(
    history: SearchHistory, images: GalleryImages, upload_minutes: int, message: str = ""
) -> str:
    """Return the HTML of the history and its heading; empty before the first search.

    Args:
        history: The search history of the visit.
        images: The gallery.
        upload_minutes: The number of minutes after which uploads are deleted.
        message: The output of `deleted_message`; empty for no message.
    """
    rows = history.rows()
    if not rows:
        return ""
    tiles = "".join(
        _step_tile(step, row, number, row.column + index, history, images, upload_minutes)
        for number, row in enumerate(rows, start=1)
        for index, step in enumerate(row.steps)
    )
    is_single = len(history.steps) == 1
    note = f'<p class="hint" role="status">{escape(message)}</p>' if message else ""
    hint = render_hint(_HINT) if is_single else ""
    return (
        f'<nav class="trail{" alone" if is_single else ""}" aria-labelledby="trail-title">'
        '<h3 id="trail-title">The way so far</h3>'
        f'<div class="way-frame"><ol class="way">{tiles}</ol></div>{note}{hint}</nav>'
    )


def _step_tile(
    step: HistoryStep,
    row: HistoryRow,
    row_number: int,
    column: int,
    history: SearchHistory,
    images: GalleryImages,
    upload_minutes: int,
) -> str:
    current = ' aria-current="step"' if step.number == history.current else ""
    is_abandoned = row_number > 1
    words = step.query.words
    picture, rest = percents(step.weight_shift.image_weight)
    shifted = "leaned to " if step.weight_shift.shift != 0 else ""
    thumbnail, name = _render_reference(step, images, upload_minutes)
    after = "" if step.parent is None else f", after step {step.parent}"
    description = [
        f"Step {step.number}{after}: {name}",
        f"“{words}”" if words else "no words",
        f"{shifted}picture {picture} %, words {rest} %",
    ]
    caption = words or "more like this"
    if step.query.filter:
        description.append(f"only {step.query.filter}")
        caption = f"{caption}; only {step.query.filter}"
    if len({step.query.model for step in history.steps}) > 1 and step.query.model:
        description.append(f"answered by {step.query.model}")
        caption = f"{caption}; by {step.query.model}"
    if is_abandoned:
        description.append("left aside")
    kind, up = "stop aside" if is_abandoned else "stop", ""
    if step is row.steps[0]:
        kind += " branch" if is_abandoned else " start"
        up = f";--up:{row.up}"
    label = escape("; ".join(description))
    return (
        f'<li class="{kind}" style="grid-row:{row_number};grid-column:{column + 1}{up}">'
        f'<button type="button" data-step="{step.number}" title="{label}"{current} '
        f'aria-label="{label}">{thumbnail}'
        f'<span class="listened" aria-hidden="true"><i style="width:{picture}%"></i></span>'
        f'<span class="said">{escape(caption)}</span></button></li>'
    )


def _render_reference(
    step: HistoryStep, images: GalleryImages, upload_minutes: int
) -> tuple[str, str]:
    """Return the HTML of the thumbnail of a step's reference, and a description of the reference.

    If there is no reference, or if it no longer exists, the HTML has a short text instead of the
    thumbnail.
    """
    query = step.query
    if query.reference_id is not None:
        image_id = find_shown(images, query.reference_id, query.content)
        if image_id is None:  # the step is from another gallery, or the file was replaced
            return '<span class="no-picture">picture gone</span>', "a picture that is gone"
        name = images.describe(image_id)
        return _thumbnail(url_of(images.thumbnail(image_id)), name), f"like {name}"
    if query.upload is None:
        return '<span class="no-picture">words only</span>', "words alone"
    if not image_exists(step):
        deleted = f"your picture, deleted after {upload_minutes} minutes"
        return '<span class="no-picture">picture deleted</span>', deleted
    return _thumbnail(url_of(Path(query.upload)), "your picture"), "like your picture"


def _thumbnail(url: str, name: str) -> str:
    return f'<img src="{escape(url)}" alt="{escape(name)}" width="60" height="60">'
