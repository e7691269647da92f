"""Which images truly fit a query: known for drawn garments, where the words can be parsed."""

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

_DRAWN = 60  # queries drawn; of these, short ones with several answers are chosen
_MIN_GARMENTS = 240  # of fewer, so many different queries cannot be drawn
_MAX_CHARACTERS = 48
_CHOSEN = 3


@dataclass(frozen=True)
class Relevance:
    """The images that fit everything a query requests.

    Attributes:
        ids: The ids of the images; None where nobody can know them.
        why_unknown: The reason, where `ids` is None.
    """

    ids: frozenset[str] | None
    why_unknown: str = ""


def garments_of(images: GalleryImages) -> Mapping[str, Garment]:
    """What a gallery's images show, by id; empty where that is not known."""
    return images.garments if isinstance(images, StoreImages) else {}


def find_relevant(garments: Mapping[str, Garment], query: EncodedQuery) -> Relevance:
    """The garments that fit a query; the reference itself is not an answer.

    Unknown for other galleries, for an uploaded reference, for a query without words, and for words
    that the catalogue would not use in this way.
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
    """How many of these ids are relevant."""
    return sum(id in relevant for id in ids)


def own_queries(images: GalleryImages) -> tuple[dict[str, str], ...]:
    """Queries of the catalogue's own test as an address carries them: `ref` and `text`.

    Short queries with more than one relevant image, the same at every start; none for small or
    other galleries.
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
    """The link that repeats a query."""
    return f"?{urlencode(query)}"
