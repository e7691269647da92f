"""The search history of a visit: a tree of searches, with one of them as the current one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dwc.search.results import shift_to_json

MAX_STEPS = 24
"""How many steps are stored: more than a person can tell apart, in a few kilobytes."""


@dataclass(frozen=True)
class HistoryQuery:
    """A query of the history.

    Attributes:
        words: The modification text; may be empty.
        reference_id: The id of the reference, if it is an image of the gallery.
        upload: The path of the reference's file, if it was uploaded.
    """

    words: str
    reference_id: str | None = None
    upload: str | None = None


@dataclass(frozen=True)
class WeightShift:
    """The weight with which a search result is shown.

    Attributes:
        shift: The number added to the logit of each image weight; 0 for the learned weights.
        image_weight: The mean image weight of the streams at this shift, in [0, 1].
    """

    shift: float
    image_weight: float


@dataclass(frozen=True)
class HistoryStep:
    """One search of a visit.

    Attributes:
        number: The number of the step, from 1; later steps have higher numbers.
        parent: The number of the step from which this search was made; None for the root.
        query: The query.
        weight_shift: The weight with which its results were last shown.
    """

    number: int
    parent: int | None
    query: HistoryQuery
    weight_shift: WeightShift


@dataclass(frozen=True)
class HistoryRow:
    """One row of the drawn tree: a step and a chain of its descendants, in consecutive columns.

    Attributes:
        column: The column of the first step, from 0.
        up: How many rows above this one the parent of the first step is drawn; 0 for the top row.
        steps: The steps of the row, each the child of the one before it.
    """

    column: int
    up: int
    steps: tuple[HistoryStep, ...]


@dataclass(frozen=True)
class SearchHistory:
    """An immutable tree of at most `MAX_STEPS` steps; every change returns a new history.

    When there are more, the oldest leaves outside the path from the root to the current step are
    dropped first, then the root.

    Attributes:
        steps: The steps in ascending order of their numbers; parents precede their children.
        current: The number of the current step; None before the first search.
    """

    steps: tuple[HistoryStep, ...] = ()
    current: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the history as JSON-compatible values, in which form the browser stores it."""
        steps = [asdict(step) for step in self.steps]
        for step in steps:
            step["weight_shift"]["shift"] = shift_to_json(step["weight_shift"]["shift"])
        return {"steps": steps, "current": self.current}

    @classmethod
    def from_dict(cls, content: object) -> "SearchHistory":
        """Parse a history sent by a browser; empty if it is not a valid tree of steps."""
        try:
            history = _parse_history(content)
            return _bounded(history) if _is_tree(history) else cls()
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()

    def search(self, query: HistoryQuery, weight_shift: WeightShift) -> "SearchHistory":
        """Add a search as a child of the current step, and make it the current step.

        If the current step or one of its children already has this query, no step is added: that
        step becomes the current one and gets the weight shift.
        """
        step = self.current_step
        if step is not None and step.query == query:
            return self.reweighted(weight_shift)
        for child in self._children(self.current):
            if child.query == query:
                return replace(self, current=child.number).reweighted(weight_shift)
        number = 1 + max((step.number for step in self.steps), default=0)
        added = HistoryStep(number, self.current, query, weight_shift)
        return _bounded(SearchHistory((*self.steps, added), number))

    def reweighted(self, weight_shift: WeightShift) -> "SearchHistory":
        """Return the history with another weight shift of the current step."""
        steps = tuple(
            replace(step, weight_shift=weight_shift) if step.number == self.current else step
            for step in self.steps
        )
        return replace(self, steps=steps)

    def back_to(self, number: object) -> "SearchHistory | None":
        """Make the step with this number the current one; return None if there is no such step."""
        if type(number) is not int or number not in self._by_number:  # a browser may send anything
            return None
        return replace(self, current=number)

    def back_to_query(self, query: HistoryQuery, number: object = None) -> "SearchHistory | None":
        """Make a step with the given query the current one.

        Args:
            query: The query.
            number: The number of the preferred step; if it has another query, the newest step with
                the given query is used.

        Returns:
            The history with that current step; None if no step has the query.
        """
        numbers = [step.number for step in self.steps if step.query == query]
        if not numbers:
            return None
        return self.back_to(number if number in numbers else numbers[-1])

    @property
    def current_step(self) -> HistoryStep | None:
        """The current step; None before the first search."""
        return None if self.current is None else self._by_number[self.current]

    def rows(self) -> list[HistoryRow]:
        """Arrange the tree in rows for drawing; each step is in exactly one row.

        The first row contains the path from the root to the current step; from there it continues
        with the newest child of each step. Every other branch has a row below, which starts one
        column to the right of its parent. Branches of later steps come first, so that the vertical
        line from a branch up to its parent crosses no other row.
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
        """Extend a path by the newest child of its last step until there is none."""
        while children := self._children(path[-1].number):
            path = (*path, children[-1])
        return path

    @property
    def _by_number(self) -> dict[int, HistoryStep]:
        return {step.number: step for step in self.steps}


def _bounded(history: SearchHistory) -> SearchHistory:
    """Return the history without the steps beyond `MAX_STEPS`; see `SearchHistory`."""
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
    """Return whether the steps form one tree, in ascending order, that has the current step.

    Weights outside [0, 1] and shifts that are NaN also make the history invalid.
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
