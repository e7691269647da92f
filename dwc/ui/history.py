"""The way of a search: every question of a visit, and which one it came from."""

from dataclasses import dataclass, replace

MOST_STEPS = 24
"""How many steps are kept: more than one can tell apart, and a few kilobytes of a session."""


@dataclass(frozen=True)
class HistoryQuery:
    """What was asked: words, and a picture of the gallery or the file of an upload, or neither."""

    words: str
    reference_id: str | None = None
    upload: str | None = None


@dataclass(frozen=True)
class WeightShift:
    """How an answer listened: its shift (0 as learned) and the mean image weight, in [0, 1]."""

    shift: float
    image_weight: float


@dataclass(frozen=True)
class HistoryStep:
    """One question of the way. `number` counts from 1 over the whole visit, and is never reused.

    `parent` is the step at which it was asked, None for the first that is known.
    """

    number: int
    parent: int | None
    question: HistoryQuery
    lean: WeightShift


@dataclass(frozen=True)
class HistoryRow:
    """Steps one after another, as they are drawn: the first stands in `column`, counted from 0.

    `up` is how many lines above its parent stands; the way's own line is the first, with 0.
    """

    column: int
    up: int
    steps: tuple[HistoryStep, ...]


@dataclass(frozen=True)
class SearchHistory:
    """A tree of steps, of which one is where the visit stands; changing it gives another `Trail`.

    At most `MOST_STEPS`: beyond, what was left aside longest ago is forgotten first, then the
    beginning.
    """

    steps: tuple[HistoryStep, ...] = ()  # ascending by number: a parent comes before its children
    current: int | None = None

    def ask(self, question: HistoryQuery, lean: WeightShift) -> "SearchHistory":
        """Go on from where the visit stands.

        A question that was asked from there already is gone to, not asked once more.
        """
        here = self.here
        if here is not None and here.question == question:
            return self.leaned(lean)
        for step in self._after(self.current):
            if step.question == question:
                return replace(self, current=step.number).leaned(lean)
        number = 1 + max((step.number for step in self.steps), default=0)
        added = HistoryStep(number, self.current, question, lean)
        return _bounded(SearchHistory((*self.steps, added), number))

    def leaned(self, lean: WeightShift) -> "SearchHistory":
        """Where the visit stands, the answer is leaned otherwise."""
        steps = tuple(
            replace(step, lean=lean) if step.number == self.current else step for step in self.steps
        )
        return replace(self, steps=steps)

    def back_to(self, number: object) -> "SearchHistory | None":
        """Stand at another step; None for one that there is not."""
        if type(number) is not int or number not in self._by_number:  # as a browser sent it
            return None
        return replace(self, current=number)

    @property
    def here(self) -> HistoryStep | None:
        """The step at which the visit stands; None before the first."""
        return None if self.current is None else self._by_number[self.current]

    def lines(self) -> list[HistoryRow]:
        """The tree as lines, for drawing: each step is in one.

        The first goes from the beginning over the current step to the newest after it. Whatever
        branches off follows below, the branches furthest along first, so that the connection down
        to a branch meets no other line.
        """
        if self.here is None:
            return []
        way = self._way_to(self.current)
        return self._drawn(self._on_from(way), column=0, line=0, above=0)

    def _drawn(
        self, steps: tuple[HistoryStep, ...], column: int, line: int, above: int
    ) -> list[HistoryRow]:
        drawn = [HistoryRow(column, line - above, steps)]
        there = {step.number for step in steps}
        for place in reversed(range(len(steps))):
            for branch in self._after(steps[place].number):
                if branch.number not in there:
                    below = line + len(drawn)
                    on = self._on_from((branch,))
                    drawn += self._drawn(on, column + place + 1, below, line)
        return drawn

    def _after(self, number: int | None) -> list[HistoryStep]:
        return [step for step in self.steps if step.parent == number]

    def _way_to(self, number: int | None) -> tuple[HistoryStep, ...]:
        way: tuple[HistoryStep, ...] = ()
        while number is not None:
            step = self._by_number[number]
            way, number = (step, *way), step.parent
        return way

    def _on_from(self, way: tuple[HistoryStep, ...]) -> tuple[HistoryStep, ...]:
        while after := self._after(way[-1].number):
            way = (*way, after[-1])
        return way

    @property
    def _by_number(self) -> dict[int, HistoryStep]:
        return {step.number: step for step in self.steps}


def _bounded(trail: SearchHistory) -> SearchHistory:
    """Forget what is beyond the most."""
    steps = list(trail.steps)
    way = {step.number for step in trail._way_to(trail.current)}
    while len(steps) > MOST_STEPS:
        parents = {step.parent for step in steps}
        aside = [s for s in steps if s.number not in parents and s.number not in way]
        gone = aside[0] if aside else steps[0]
        steps = [
            replace(step, parent=None) if step.parent == gone.number else step
            for step in steps
            if step is not gone
        ]
    return replace(trail, steps=tuple(steps))
