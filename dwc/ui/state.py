"""The search on a visitor's screen: the request in the browser, and its result on the server.

The browser stores the `SearchRequest` that led to the result on the screen, and sends it with every
action of the visitor. The server caches a `SearchState` for each visitor: the result of the
visitor's last request. The cache is empty at first and may be lost at any time. If the cache does
not contain the result of the request that the browser sends, the server repeats the search. So an
action always applies to the result on the screen.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dwc.errors import QueryError
from dwc.gallery.store import Store
from dwc.search.model_pool import Origin
from dwc.search.query import EncodedQuery
from dwc.search.reference_weights import ReferenceWeights
from dwc.search.results import DuplicateGroups, Hit, NearDuplicates, SearchResult, shift_to_json
from dwc.search.searcher import Searcher
from dwc.search.weight_sweep import WeightSweep, shift_for_weight
from dwc.ui.gallery_images import GalleryImages, require_shown

RESULTS_SHOWN = 12
"""The number of results that are shown at first."""

MORE_RESULTS = 12
"""The number of further results that "Show more" adds."""

MAX_RESULTS_SHOWN = 96
"""The maximum number of results on the page; the command line and the API return more."""

_LONGEST_NAME = 4096  # maximum number of characters of an id or a path in a request

MAX_HITS_FOLDED = 192
"""The worst rank of a result that may be shown instead of a hidden near-duplicate."""


@dataclass(frozen=True)
class SearchRequest:
    """The data that is needed to repeat a search and to show the same results.

    Attributes:
        words: The modification text, which says what should be different; may be empty.
        reference_id: The id of the reference if it is an image of the gallery, else None.
        upload: The path of the reference's file on the server if it was uploaded, else None.
        model: The model's name; empty for the default.
        shift: Number added to the logit of each stream's image weight. Infinity means the image
            part alone, minus infinity the text part alone.
        count: How many results are shown, not counting folded near-duplicates.
        folded: Whether near-duplicates are folded, that is, hidden under the better-ranked image.
        selected: The id of the result that is explained; None for the first result.
        filter: The condition on the metadata of the results, as text; empty for no condition.
        content: If the reference is an image of the gallery, the digest of the content that it had
            when it was chosen. None for other references, or if the digest is not known.
    """

    words: str = ""
    reference_id: str | None = None
    upload: str | None = None
    model: str = ""
    shift: float = 0.0
    count: int = RESULTS_SHOWN
    folded: bool = False
    selected: str | None = None
    filter: str = ""
    content: str | None = None

    @property
    def has_reference(self) -> bool:
        """Whether the search has a reference image."""
        return self.reference_id is not None or self.upload is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the request as a JSON-compatible dict.

        An infinite `shift` becomes the string "inf" or "-inf".
        """
        return {**asdict(self), "shift": shift_to_json(self.shift)}

    @classmethod
    def from_dict(cls, content: object) -> "SearchRequest | None":
        """Parse a request that a browser sent in the form of `to_dict`.

        The result is None if the content has another form or invalid values.
        """
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
                filter=_checked(content.get("filter", ""), str),
                content=_checked(content.get("content"), str, type(None)),
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        both = request.reference_id is not None and request.upload is not None
        texts = (
            request.reference_id,
            request.upload,
            request.model,
            request.selected,
            request.filter,
            request.content,
        )
        is_valid = (
            not math.isnan(request.shift)
            and 1 <= request.count <= MAX_RESULTS_SHOWN
            and all(text is None or len(text) <= _LONGEST_NAME for text in texts)
        )
        return request if is_valid and not both else None


def identify_reference(request: SearchRequest, images: GalleryImages) -> SearchRequest:
    """Return the request with the current id and the current digest of its reference.

    An image of the gallery may have got another id since the request was made. A request without a
    reference from the gallery is returned unchanged.

    Raises:
        QueryError: The gallery no longer has the reference, or has another image under its id.
    """
    if request.reference_id is None:
        return request
    image_id = require_shown(images, request.reference_id, request.content)
    return replace(request, reference_id=image_id, content=images.digest(image_id))


def describe_query(request: SearchRequest, images: GalleryImages) -> str:
    """Describe a search in one line, such as `green dress; longer; only price < 50`."""
    parts = []
    if request.reference_id is not None:
        parts.append(images.describe(request.reference_id))
    elif request.upload is not None:
        parts.append("the uploaded picture")
    if request.words:
        parts.append(request.words)
    if request.filter:
        parts.append(f"only {request.filter}")
    return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class SearchState:
    """The result of one request of one visitor.

    Attributes:
        request: The request.
        query: The encoded query.
        sweep: The gallery's scores for the query at any image weight.
        result: The search result at the image weight of the request. It contains all hits that are
            shown, and the near-duplicates that are hidden under these hits.
        origin: The model and the gallery of the search.
        reference_weights: The model's image weights for the reference queries (a fixed set); None
            if the model's checkpoint has no such weights.
        near_duplicates: The detector of near-duplicates in the gallery; it uses the model's
            vectors.
        part: The store that was searched, if only a part of the gallery was indexed. Explanations
            of the result use this store, because the gallery may have grown in the meantime. None
            if the complete gallery was searched.
    """

    request: SearchRequest
    query: EncodedQuery
    sweep: WeightSweep
    result: SearchResult
    origin: Origin
    reference_weights: ReferenceWeights | None
    near_duplicates: NearDuplicates
    part: Store | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "SearchState":
        return self  # Gradio copies session state; this object is immutable

    def explained_by(self, searcher: Searcher) -> Searcher:
        """Return a searcher for exactly those pictures that were indexed when this search ran.

        Explanations of the result must use this searcher, because the gallery may have grown in the
        meantime.

        Args:
            searcher: The current searcher of the model.
        """
        return searcher if self.part is None else searcher.over(self.part)

    @property
    def selected_hit(self) -> str:
        """The id of the result that is explained. This property requires at least one result."""
        selected = self.request.selected
        return self.result.hits[0].id if selected is None else selected

    @property
    def has_two_modalities(self) -> bool:
        """Whether the query has both an image and a text, so that the weight can be changed."""
        return any(0 < weight.image < 1 for weight in self.sweep.weights().values())

    @property
    def duplicate_groups(self) -> DuplicateGroups:
        """The groups of near-duplicates among the search's results."""
        return self.near_duplicates.group([hit.id for hit in self.result.hits])

    @property
    def visible_result(self) -> SearchResult:
        """The search result without the hidden near-duplicates."""
        if not self.request.folded:
            return self.result
        pairs = zip(self.result.hits, self.duplicate_groups.duplicate_of, strict=True)
        return replace(self.result, hits=[hit for hit, leader in pairs if leader is None])


def rank(sweep: WeightSweep, near_duplicates: NearDuplicates, request: SearchRequest) -> list[Hit]:
    """Return the hits to show for a request, best first, including hidden near-duplicates.

    These are the best `request.count` hits. If the request folds near-duplicates (hides them under
    the better-ranked image), further hits are added until `request.count` hits are visible, or
    until the rank `MAX_HITS_FOLDED` is reached.

    Args:
        sweep: The gallery's scores for the query at any image weight.
        near_duplicates: The detector of near-duplicates in the gallery.
        request: The request.
    """
    length = request.count
    hits = sweep.hits(request.shift, length)
    if not request.folded:
        return hits
    last = min(MAX_HITS_FOLDED, len(sweep))
    while True:
        leaders = [
            index
            for index, leader in enumerate(
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
    """Return the state for a changed request with the same query, without running the model.

    Args:
        state: The state of the earlier request.
        request: The new request, which may differ from the earlier one in `shift`, `count`,
            `folded` and `selected`.
    """
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
    """Return the state of the same search with another image weight.

    Args:
        state: The state.
        shift: Number added to the logit of each stream's image weight.
    """
    return update_request(state, replace(state.request, shift=shift))


def select_hit(state: SearchState, image_id: object) -> SearchState | None:
    """Return the state with another result selected, which is then explained.

    None is returned if the image is not among the results.
    """
    if image_id not in [hit.id for hit in state.result.hits]:
        return None
    return update_request(state, replace(state.request, selected=str(image_id)))


def with_more(state: SearchState) -> SearchState | None:
    """Return the state with more results; None if there are no more results to show."""
    count = min(state.request.count + MORE_RESULTS, MAX_RESULTS_SHOWN)
    if count <= state.request.count or len(state.result.hits) >= len(state.sweep):
        return None
    return update_request(state, replace(state.request, count=count))


def with_folding(state: SearchState, folded: bool) -> SearchState:
    """Return the state with near-duplicates folded (hidden under better-ranked images) or not."""
    return update_request(state, replace(state.request, folded=folded))


def parse_slider(position: object, at_learned: object, state: SearchState) -> float:
    """Convert a position of the slider in the browser to a weight shift.

    The weight shift is the number that is added to the logit of each stream's image weight.

    Args:
        position: The requested mean of the streams' image weights, 0 to 1.
        at_learned: True if the learned weights are requested; `position` is then ignored.
        state: The search result whose weights are changed.

    Raises:
        QueryError: The position is not a number from 0 to 1, and `at_learned` is not True.
    """
    if at_learned is True:
        return 0.0
    if isinstance(position, bool) or not isinstance(position, (int, float)):
        raise QueryError(f"the slider is at {position!r}; a number from 0 to 1 was expected.")
    return shift_for_weight(state.sweep, float(position))


def _checked(value: Any, *types: type) -> Any:
    """Return the value if its type is exactly one of `types`.

    Instances of subclasses are not accepted. For example, True is not accepted as an int.

    Raises:
        TypeError: The value has another type.
    """
    if type(value) not in types:
        raise TypeError(f"{value!r} is none of {types}")
    return value
