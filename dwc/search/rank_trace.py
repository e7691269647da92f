"""Where results stand as the weight moves: plain data."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TracedItem:
    """One gallery picture's rank at every shift of a trace; None below the trace's limit."""

    id: str
    ranks: list[int | None]


@dataclass(frozen=True)
class RankTrace:
    """The ranks of everything that is among the best k at any of the shifts.

    `shifts` ascend from minus infinity (words alone) to infinity (picture alone); `shifts[learned]`
    is 0, what the model chose. `image_weights[s]` has every stream's image weight, in [0, 1], at
    `shifts[s]`: one shift moves two streams alike in their logits, not to one weight. `items` are
    in the order of their learned ranks; a rank counts from 1 and is None beyond `limit`.

    The ends show the edited picture and the edited words, each of which has looked at the other.
    """

    shifts: list[float]
    learned: int
    image_weights: list[dict[str, float]]
    items: list[TracedItem]
    limit: int

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists, numbers and strings; the infinite shifts are "-inf" and "inf"."""
        return {**asdict(self), "shifts": [name_shift(shift) for shift in self.shifts]}


def name_shift(shift: float) -> float | str:
    """A shift as JSON can carry it: infinity, which JSON lacks, by its name."""
    if math.isinf(shift):
        return "inf" if shift > 0 else "-inf"
    return shift
