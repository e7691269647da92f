"""Relevance of images to a query: an image is relevant if it matches everything the query asks for.

The relevant images are known in two kinds of galleries:

- In the gallery of drawn garments (the catalogue), they are known if the parser of the catalogue's
  texts understands the query's text.
- In a gallery whose metadata describe its images, `dwc.ui.metadata_relevance` finds them if it
  understands the query's text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

import numpy as np

from dwc.catalogue.language.parser import Demand, parse_modification
from dwc.catalogue.queries import queries
from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import CatalogueItem
from dwc.gallery.filters import Filter, format_filter
from dwc.gallery.store import Store
from dwc.modeling.text_cleaning import TypedText
from dwc.search.query import EncodedQuery
from dwc.ui.gallery_images import GalleryImages, StoreImages
from dwc.ui.metadata_relevance import UnclearQueryError, match_metadata

_DRAWN = 60  # number of random benchmark queries, from which suitable ones are chosen
_MIN_GARMENTS = 240  # a smaller gallery has too few different queries
_MAX_CHARACTERS = 48  # of the text of a chosen query
_CHOSEN = 3  # number of queries to return


@dataclass(frozen=True)
class Relevance:
    """The images that match everything a query asks for.

    Attributes:
        ids: The ids of the relevant images; None if they are unknown.
        why_unknown: The reason why the relevant images are unknown; empty if they are known.
        lacking: A sentence on the part of the query that no image of the gallery matches. Empty if
            at least one image is relevant, or if the relevant images are unknown.
        demand: The constraints that the query puts on the target; None if the relevant images are
            unknown.
        reference: The garment that the text modifies; None if there is none.
        stated: The condition on the metadata that the text states, as the text of a filter; empty
            if the relevant images are not known by metadata.
        shared: The condition that an image has the same values as the reference in the columns of
            the metadata that the text does not change, as the text of a filter; empty if the
            relevant images are not known by metadata.
    """

    ids: frozenset[str] | None
    why_unknown: str = ""
    lacking: str = ""
    demand: Demand | None = None
    reference: Garment | None = None
    stated: str = ""
    shared: str = ""

    def contradiction(self, garment: Garment) -> str:
        """Return how a garment contradicts the query's text, such as "purple, not blue".

        Only the constraints of the text count, not the values that the target should take from the
        reference image. The result is empty if there is no contradiction or if the constraints are
        unknown.
        """
        if self.demand is None:
            return ""
        wrong = [
            _describe_value(garment[name], allowed)
            for name, allowed in _constraints_of_text(self.demand, self.reference, garment).items()
            if name in garment.attributes and garment[name] not in allowed
        ]
        keeps_category = self.reference is not None and self.demand.allows_category(
            self.reference.category
        )
        if not keeps_category and not self.demand.allows_category(garment.category):
            wrong.insert(0, _word(garment.category))
        return "; ".join(wrong)


_MOST_NAMED = 3  # a longer list of allowed values comes from an exclusion ("not blue")


def _describe_value(value: str, allowed: frozenset[str]) -> str:
    """Say why the value of an attribute is wrong: "purple, not blue" if only blue is allowed.

    If more than three values are allowed, the query's text probably excludes the value, as "not
    blue" does. The result is then "blue is excluded".
    """
    if len(allowed) > _MOST_NAMED:
        return f"{_word(value)} is excluded"
    return f"{_word(value)}, not {_any_of(allowed)}"


def garments_of(images: GalleryImages) -> Mapping[str, Garment]:
    """Return the drawn garment in each image, by image id; empty if the images are not drawn."""
    return images.garments if isinstance(images, StoreImages) else {}


def find_relevant(garments: Mapping[str, Garment], query: EncodedQuery) -> Relevance:
    """Find the drawn garments that match everything a query asks for, except the reference itself.

    The relevant images are unknown in four cases:

    - `garments` is empty, since the gallery is not the catalogue of drawn garments;
    - the reference was uploaded;
    - the query has no text;
    - the parser of the catalogue's texts does not understand the text.

    Args:
        garments: The drawn garment in each image of the gallery, by image id.
        query: The encoded query.
    """
    return _find(garments, query.text, query.reference_id, query.image is not None)


def relevance_of(images: GalleryImages, query: EncodedQuery) -> Relevance:
    """Return the images of a gallery that match everything a query asks for.

    In the gallery of drawn garments, `find_relevant` finds these images. In another gallery, they
    are found by the metadata. This requires a query with a text and a reference from the gallery,
    and metadata that show what the text asks for. Otherwise, the relevant images are unknown.

    The result is cached for recent queries, since the page needs it at every step of the weight
    slider, and the slider does not change the query.
    """
    if not isinstance(images, StoreImages):
        return find_relevant({}, query)
    if images.garments:
        return _find_cached(images, query.text, query.reference_id, query.image is not None)
    if not images.metadata.columns:
        return find_relevant({}, query)
    if not query.text:
        is_unreadable = query.typed is not None and query.typed.unreadable
        return Relevance(None, "the model reads none of these words" if is_unreadable else _NO_TEXT)
    if query.image is None:
        return Relevance(None, "without a picture nothing says what else a result should have")
    if query.reference_id is None:
        return Relevance(None, _UPLOADED)
    return _find_by_metadata(
        images.store, query.text, query.typed, query.filter, query.reference_id
    )


_NO_TEXT = "without words many things may be meant"
_UPLOADED = "nobody has said what is in the uploaded picture"


@lru_cache(maxsize=16)  # a result may have the ids of many images
def _find_by_metadata(
    store: Store, text: str, typed: TypedText | None, filter: Filter | None, reference_id: str
) -> Relevance:
    position = store.position(reference_id)
    try:
        match = match_metadata(store.metadata, text, typed, position, filter)
    except UnclearQueryError as error:
        return Relevance(None, str(error))
    ids = frozenset(store.ids[n] for n in np.flatnonzero(match.mask).tolist())
    return Relevance(ids, stated=format_filter(match.stated), shared=format_filter(match.shared))


@lru_cache(maxsize=256)
def _find_cached(
    images: StoreImages, text: str, reference_id: str | None, has_image: bool
) -> Relevance:
    return _find(images.garments, text, reference_id, has_image)


def _find(
    garments: Mapping[str, Garment], text: str, reference_id: str | None, has_image: bool
) -> Relevance:
    if not garments:
        return Relevance(None, "of this gallery nobody has said what is in its pictures")
    if not text:
        return Relevance(None, _NO_TEXT)
    if has_image and reference_id is None:
        return Relevance(None, _UPLOADED)
    reference = None if reference_id is None else garments[reference_id]
    demand = parse_modification(text, reference)
    if demand is None:
        return Relevance(None, "these words are not among those that the catalogue itself can read")
    ids = _ids_that_fit(garments, demand) - {reference_id}
    others = [garment for id, garment in garments.items() if id != reference_id]
    lacking = "" if ids else _describe_lacking(others, demand, reference)
    return Relevance(ids, lacking=lacking, demand=demand, reference=reference)


def _constraints_of_text(
    demand: Demand, reference: Garment | None, garment: Garment
) -> dict[str, frozenset[str]]:
    """Return the constraints that come from the text: the allowed values of each attribute.

    Without a reference, these are all constraints of `demand`. With a reference, `demand` also
    requires that the target equals the reference in everything that the text does not change. So
    only the constraints that the reference violates come from the text; the others are left out.
    For a red striped shirt and the text "make it blue", the result is {"colour": {"blue"}}. The
    constraint "striped" is left out, since the shirt satisfies it.

    Args:
        demand: All constraints of the query.
        reference: The garment that the text modifies; None if there is none.
        garment: A possible result. If the text does not determine the category of the target, the
            constraints for this garment's category are returned.
    """
    values = demand.values if demand.category else demand.values_for(garment.category)
    return {
        name: allowed
        for name, allowed in values.items()
        if reference is None or reference.get(name) not in allowed
    }


def _describe_lacking(
    garments: Iterable[Garment], demand: Demand, reference: Garment | None
) -> str:
    """Return a sentence on why no garment of the gallery satisfies all constraints.

    The sentence names the attributes in which the closest garment differs. If no garment has the
    required category, the sentence is about the category.

    Args:
        garments: The garments of the gallery without the reference. None of these satisfies all
            constraints.
        demand: All constraints.
        reference: The garment that the text modifies; None if there is none.
    """
    alike = [garment for garment in garments if demand.allows_category(garment.category)]
    if not alike:
        return "The gallery lacks this: it has no garment of the kind that the words name."
    unmet = [_unmet(garment, _constraints_of_text(demand, reference, garment)) for garment in alike]
    granted = [garment for garment, names in zip(alike, unmet, strict=True) if not names]
    if not granted:
        return (
            "The gallery lacks this: no garment of this kind has all that the words ask for; the "
            f"closest differs in {_names(_shortest(unmet))}."
        )
    others = [_unmet(garment, demand.values_for(garment.category)) for garment in granted]
    counted = "one garment of this kind has"
    if len(granted) > 1:
        counted = f"{len(granted)} garments of this kind have"
    return (
        f"The gallery lacks this: {counted} what the words ask for, but none is otherwise like the "
        f"picture; the closest differs in {_names(_shortest(others))}."
    )


def _unmet(garment: Garment, constraints: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the names of the attributes in which a garment violates constraints.

    Args:
        garment: The garment.
        constraints: The allowed values of each attribute, by the attribute's name.
    """
    return [name for name, allowed in constraints.items() if garment.get(name) not in allowed]


def _shortest(lists: Iterable[list[str]]) -> list[str]:
    return min(lists, key=len)


def _names(attributes: Iterable[str]) -> str:
    *first, last = (_word(name).replace("colour", "color") for name in attributes)
    return f"{', '.join(first)} and {last}" if first else last


def _any_of(values: Iterable[str]) -> str:
    return " or ".join(_word(value) for value in sorted(values))


def _word(name: str) -> str:
    return name.replace("_", " ")


def count_relevant(ids: Sequence[str], relevant: frozenset[str]) -> int:
    """Return the number of image ids in `ids` that are also in `relevant`."""
    return sum(id in relevant for id in ids)


def own_queries(images: GalleryImages) -> tuple[dict[str, str], ...]:
    """Return up to three example queries for a gallery of drawn garments.

    The queries are generated like those of the benchmark of drawn garments. Each has a short text
    and at least two relevant images. For the same gallery, the queries are always the same.

    Returns:
        For each query, the parameters of the link that runs it: `ref`, the id of the reference, and
        `text`. Empty if the images are not drawn, or if there are fewer than 240 garments, since
        these give too few different queries.
    """
    return _own_queries(images) if isinstance(images, StoreImages) else ()


@lru_cache(maxsize=1)
def _own_queries(images: StoreImages) -> tuple[dict[str, str], ...]:
    garments = images.garments
    if len(garments) < _MIN_GARMENTS:
        return ()
    items = [CatalogueItem(id, garment, 0) for id, garment in garments.items()]
    chosen = []
    for query in queries(items, _DRAWN, seed=0):
        text = " and ".join(dict.fromkeys(query.captions))
        if len(query.hits) < 2 or len(text) > _MAX_CHARACTERS:
            continue
        demand = parse_modification(text, garments[query.reference])
        if demand is None:
            continue
        if _ids_that_fit(garments, demand) - {query.reference} == query.hits:
            chosen.append({"ref": query.reference, "text": text})
        if len(chosen) == _CHOSEN:
            break
    return tuple(chosen)


def _ids_that_fit(garments: Mapping[str, Garment], demand: Demand) -> frozenset[str]:
    return frozenset(id for id, garment in garments.items() if demand.fits(garment))


def query_address(query: Mapping[str, str]) -> str:
    """Return the link that runs a query, such as `?ref=a.jpg&text=longer`.

    Args:
        query: The parameters of the link, as `own_queries` returns them.
    """
    return f"?{urlencode(query)}"
