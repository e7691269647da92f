"""The question that the page's answer stands for, kept so that it can be leaned and explained."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dwc.errors import QueryError
from dwc.search.near_duplicates import NearDuplicates
from dwc.search.query import EncodedQuery
from dwc.search.reference_weights import ReferenceWeights
from dwc.search.results import SearchResult
from dwc.search.weight_sweep import WeightSweep, shift_for_weight


@dataclass(frozen=True, eq=False)
class SearchState:
    """One question, its answer as shown, and its sweep; each session of the page has its own.

    `result` is the answer at the shift that it names; leaning gives another `Standing`. `model`
    names which of the page's models answered, and so which explains; `reference_weights` holds that
    model's usual weights. `chosen` is the result that a person asked about; None for the first.
    `upload` is the reference's file where it was uploaded. `near_duplicates` groups those of the
    model's gallery.
    """

    query: EncodedQuery
    sweep: WeightSweep
    result: SearchResult
    model: str = ""
    reference_weights: ReferenceWeights | None = None
    chosen: str | None = None
    upload: str | None = None
    near_duplicates: NearDuplicates | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "SearchState":
        # Gradio copies a page's first state for every visitor; nothing in this one ever changes.
        return self

    @property
    def shift(self) -> float:
        """How far the answer is leaned: 0 as learned."""
        return self.result.shift

    @property
    def looked_at(self) -> str:
        """The picture whose place is explained; there has to be a result."""
        return self.result.hits[0].id if self.chosen is None else self.chosen

    @property
    def can_lean(self) -> bool:
        """Whether there are a picture and words to lean between."""
        return any(0 < weight.image < 1 for weight in self.sweep.weights().values())


def reweighted(standing: SearchState, shift: float) -> SearchState:
    """The same question at another shift; the model is not asked again."""
    result = replace(
        standing.result,
        hits=standing.sweep.hits(shift, len(standing.result.hits)),
        weights=standing.sweep.weights(shift),
        shift=shift,
    )
    return replace(standing, result=result)


def select_hit(standing: SearchState, picture_id: object) -> SearchState | None:
    """The same answer with another of its results looked at; None for what is none of them."""
    shown = [hit.id for hit in standing.result.hits]
    return replace(standing, chosen=str(picture_id)) if picture_id in shown else None


def parse_slider(data: Mapping[str, Any], standing: SearchState) -> float:
    """The shift that a browser asks for: a mean image weight, or the learned one where it says so.

    Raises QueryError for anything else.
    """
    if data.get("learned") is True:
        return 0.0
    position = data.get("position")
    if isinstance(position, bool) or not isinstance(position, (int, float)):
        raise QueryError(f"the slider stands at {position!r}; a number from 0 to 1 was expected.")
    return shift_for_weight(standing.sweep, float(position))
