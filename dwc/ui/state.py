"""What the browser shows, and what the server remembers of it.

The browser keeps a `SearchRequest` for the answer on its screen, and sends it with every action.
The server keeps a `SearchState`: the answer to the visitor's last request, as a cache. It starts
empty, and may be lost at any time. An action on another answer than the cached one repeats the
search of its request, so no action ever acts on an answer that is not on the screen.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dwc.errors import QueryError
from dwc.search.model_pool import Origin
from dwc.search.near_duplicates import DuplicateGroups, NearDuplicates
from dwc.search.query import EncodedQuery
from dwc.search.reference_weights import ReferenceWeights
from dwc.search.results import Hit, SearchResult, shift_to_json
from dwc.search.weight_sweep import WeightSweep, shift_for_weight

RESULTS_SHOWN = 12
"""How many results an answer begins with."""

MORE_RESULTS = 12
"""How many results each "Show more" adds."""

MAX_RESULTS_SHOWN = 96
"""How many results the page shows at most; the commands and the endpoint give more."""

MAX_HITS_FOLDED = 192
"""How far down the ranking folded pages are refilled."""


@dataclass(frozen=True)
class SearchRequest:
    """A search, with all that is needed to repeat it and to show the same part of its answer.

    Attributes:
        words: What should be different; empty for none.
        reference_id: The reference, if it is an image of the gallery.
        upload: The reference's file on the server, if it was uploaded.
        model: The model's name; empty for the default.
        shift: Added to the logit of each stream's image weight; infinite at the two ends.
        count: How many results are shown, not counting folded near-duplicates.
        folded: Whether near-duplicates are folded under the better image.
        selected: The result that is explained; None for the first.
    """

    words: str = ""
    reference_id: str | None = None
    upload: str | None = None
    model: str = ""
    shift: float = 0.0
    count: int = RESULTS_SHOWN
    folded: bool = False
    selected: str | None = None

    @property
    def has_reference(self) -> bool:
        """Whether the search starts from an image."""
        return self.reference_id is not None or self.upload is not None

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON can carry it: an infinite shift by its name."""
        return {**asdict(self), "shift": shift_to_json(self.shift)}

    @classmethod
    def from_dict(cls, content: object) -> "SearchRequest | None":
        """Read what a browser sent; None for anything that `to_dict` does not return."""
        if not isinstance(content, Mapping):
            return None
        try:
            request = cls(
                words=_checked(content["words"], str),
                reference_id=_checked(content["reference_id"], str, type(None)),
                upload=_checked(content["upload"], str, type(None)),
                model=_checked(content["model"], str),
                shift=float(content["shift"]),
                count=_checked(content["count"], int),
                folded=_checked(content["folded"], bool),
                selected=_checked(content["selected"], str, type(None)),
            )
        except (KeyError, TypeError, ValueError):
            return None
        both = request.reference_id is not None and request.upload is not None
        is_valid = not math.isnan(request.shift) and 1 <= request.count <= MAX_RESULTS_SHOWN
        return request if is_valid and not both else None


@dataclass(frozen=True, eq=False)
class SearchState:
    """The answer to one request; each session of the page has its own.

    Attributes:
        request: What was searched, and which part of the answer is shown.
        query: The encoded query.
        sweep: Its scores over the gallery at any shift.
        result: The answer at the request's shift, with as many hits as are shown or folded.
        origin: The model and the gallery that the answer comes from.
        reference_weights: The model's weights on other queries; None if it has none.
        near_duplicates: Finds near-duplicates in the model's gallery.
    """

    request: SearchRequest
    query: EncodedQuery
    sweep: WeightSweep
    result: SearchResult
    origin: Origin
    reference_weights: ReferenceWeights | None
    near_duplicates: NearDuplicates

    def __deepcopy__(self, memo: dict[int, Any]) -> "SearchState":
        return self  # Gradio copies session state; this one never changes

    @property
    def selected_hit(self) -> str:
        """The id of the image that is explained; there has to be a result."""
        selected = self.request.selected
        return self.result.hits[0].id if selected is None else selected

    @property
    def has_two_modalities(self) -> bool:
        """Whether there are an image and words, and so a weight to shift."""
        return any(0 < weight.image < 1 for weight in self.sweep.weights().values())

    @property
    def duplicate_groups(self) -> DuplicateGroups:
        """The near-duplicates among the hits."""
        return self.near_duplicates.group([hit.id for hit in self.result.hits])

    @property
    def visible_result(self) -> SearchResult:
        """The result without the hits that are folded away."""
        if not self.request.folded:
            return self.result
        pairs = zip(self.result.hits, self.duplicate_groups.duplicate_of, strict=True)
        return replace(self.result, hits=[hit for hit, leader in pairs if leader is None])


def rank(sweep: WeightSweep, near_duplicates: NearDuplicates, request: SearchRequest) -> list[Hit]:
    """The hits that an answer to the request shows.

    Folding refills the page: the ranking is followed down until `request.count` hits stand for
    themselves, at most to rank `MAX_HITS_FOLDED`.
    """
    length = request.count
    hits = sweep.hits(request.shift, length)
    if not request.folded:
        return hits
    last = min(MAX_HITS_FOLDED, len(sweep))
    while True:
        leaders = [
            place
            for place, leader in enumerate(
                near_duplicates.group([hit.id for hit in hits]).duplicate_of
            )
            if leader is None
        ]
        if len(leaders) > request.count:
            return hits[: leaders[request.count]]
        if len(leaders) == request.count or length >= last:
            return hits
        length = min(2 * length, last)
        hits = sweep.hits(request.shift, length)


def update_request(state: SearchState, request: SearchRequest) -> SearchState:
    """The same search with another shift, count, folding or selection; no model is run."""
    result = state.result
    same_ranking = (request.shift, request.count, request.folded) == (
        state.request.shift,
        state.request.count,
        state.request.folded,
    )
    if not same_ranking:
        hits = rank(state.sweep, state.near_duplicates, request)
        result = replace(
            result, hits=hits, weights=state.sweep.weights(request.shift), shift=request.shift
        )
    return replace(state, request=request, result=result)


def reweighted(state: SearchState, shift: float) -> SearchState:
    """The same search at another shift."""
    return update_request(state, replace(state.request, shift=shift))


def select_hit(state: SearchState, image_id: object) -> SearchState | None:
    """The same answer with another of its results selected; None if it is not among them."""
    if image_id not in [hit.id for hit in state.result.hits]:
        return None
    return update_request(state, replace(state.request, selected=str(image_id)))


def with_more(state: SearchState) -> SearchState | None:
    """The same answer with the next results; None where there are no more to show."""
    count = min(state.request.count + MORE_RESULTS, MAX_RESULTS_SHOWN)
    if count <= state.request.count or len(state.result.hits) >= len(state.sweep):
        return None
    return update_request(state, replace(state.request, count=count))


def with_folding(state: SearchState, folded: bool) -> SearchState:
    """The same answer with near-duplicates folded, or not."""
    return update_request(state, replace(state.request, folded=folded))


def parse_slider(position: object, at_learned: object, state: SearchState) -> float:
    """The shift that a browser's slider requests.

    Args:
        position: A mean image weight, from 0 to 1.
        at_learned: True for the learned weight, whatever the position.
        state: The answer that is reweighted.

    Raises:
        QueryError: The position is not a number from 0 to 1.
    """
    if at_learned is True:
        return 0.0
    if isinstance(position, bool) or not isinstance(position, (int, float)):
        raise QueryError(f"the slider is at {position!r}; a number from 0 to 1 was expected.")
    return shift_for_weight(state.sweep, float(position))


def _checked(value: Any, *types: type) -> Any:
    """The value itself, if it is of one of these types exactly: True is no int."""
    if type(value) not in types:
        raise TypeError(f"{value!r} is none of {types}")
    return value
