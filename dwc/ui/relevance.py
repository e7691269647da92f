"""Which images are relevant to a query: known for drawn garments, if the text can be parsed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

from dwc.catalogue.language.parser import Demand, parse_modification
from dwc.catalogue.queries import queries
from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import CatalogueItem
from dwc.search.query import EncodedQuery
from dwc.ui.gallery_images import GalleryImages, StoreImages

_DRAWN = 60  # number of queries sampled, from which the suitable ones are chosen
_MIN_GARMENTS = 240  # a smaller gallery has too few different queries
_MAX_CHARACTERS = 48
_CHOSEN = 3


@dataclass(frozen=True)
class Relevance:
    """The images that match everything a query asks for.

    Attributes:
        ids: The ids of the relevant images; None if they are unknown.
        why_unknown: The reason if `ids` is None.
    """

    ids: frozenset[str] | None
    why_unknown: str = ""


def garments_of(images: GalleryImages) -> Mapping[str, Garment]:
    """Return the garment that each image shows, by image id; empty if unknown."""
    return images.garments if isinstance(images, StoreImages) else {}


def find_relevant(garments: Mapping[str, Garment], query: EncodedQuery) -> Relevance:
    """Find the garments that match a query, except the reference itself.

    The result is unknown for other galleries, for an uploaded reference, for a query without text,
    and for texts that the catalogue's grammar does not produce.
    """
    if not garments:
        return Relevance(None, "of this gallery nobody has said what is in its pictures")
    if not query.text:
        return Relevance(None, "without words many things may be meant")
    if query.image is not None and query.reference_id is None:
        return Relevance(None, "nobody has said what is in the uploaded picture")
    reference = None if query.reference_id is None else garments[query.reference_id]
    demand = parse_modification(query.text, reference)
    if demand is None:
        return Relevance(None, "these words are not among those that the catalogue itself can read")
    return Relevance(_ids_that_fit(garments, demand) - {query.reference_id})


def count_relevant(ids: Sequence[str], relevant: frozenset[str]) -> int:
    """Count how many of these ids are relevant."""
    return sum(id in relevant for id in ids)


def own_queries(images: GalleryImages) -> tuple[dict[str, str], ...]:
    """Return a few sample queries from the catalogue's own retrieval benchmark.

    They are short and have more than one relevant image. They are the same at every start.

    Returns:
        For each query the link parameters `ref` (the reference's id) and `text`; empty for a
        gallery that is small or is not of drawn garments.
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
    return tuple(chosen[:_CHOSEN])


def _ids_that_fit(garments: Mapping[str, Garment], demand: Demand) -> frozenset[str]:
    return frozenset(id for id, garment in garments.items() if demand.fits(garment))


def query_address(query: Mapping[str, str]) -> str:
    """Return the link that repeats a query."""
    return f"?{urlencode(query)}"
