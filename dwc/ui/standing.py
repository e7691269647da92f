"""The question that the page's answer stands for, kept so that it can be leaned and explained."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dwc.errors import QueryError
from dwc.search.asked import AskedQuery
from dwc.search.leaning import hits_at, shift_to
from dwc.search.result import SearchResult
from dwc.search.sweep import Sweep


@dataclass(frozen=True, eq=False)
class Standing:
    """One question, its answer as shown, and its sweep; each session of the page has its own.

    `result` is the answer at the shift that it names; leaning gives another `Standing`.
    """

    asked: AskedQuery
    sweep: Sweep
    result: SearchResult

    def __deepcopy__(self, memo: dict[int, Any]) -> "Standing":
        # Gradio copies a page's first state for every visitor; nothing in this one ever changes.
        return self

    @property
    def shift(self) -> float:
        """How far the answer is leaned: 0 as learned."""
        return self.result.shift

    @property
    def can_lean(self) -> bool:
        """Whether there are a picture and words to lean between."""
        return any(0 < weight.image < 1 for weight in self.sweep.weights().values())


def leaned(standing: Standing, shift: float) -> Standing:
    """The same question at another shift; the model is not asked again."""
    result = replace(
        standing.result,
        hits=hits_at(standing.sweep, shift, len(standing.result.hits)),
        weights=standing.sweep.weights(shift),
        shift=shift,
    )
    return replace(standing, result=result)


def shift_asked(data: Mapping[str, Any], standing: Standing) -> float:
    """The shift that a browser asks for: a mean image weight, or the learned one where it says so.

    Raises QueryError for anything else.
    """
    if data.get("learned") is True:
        return 0.0
    position = data.get("position")
    if isinstance(position, bool) or not isinstance(position, (int, float)):
        raise QueryError(f"the slider stands at {position!r}; a number from 0 to 1 was expected.")
    return shift_to(standing.sweep, float(position))
