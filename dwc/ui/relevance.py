"""Relevance of images to a query: an image is relevant if it matches everything the query asks for.

The relevant images are known only for the gallery of drawn garments (the catalogue), and only if
the parser for texts of the catalogue can parse the query's text.
"""

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

_DRAWN = 60  # number of benchmark queries sampled at random; the suitable ones are chosen from them
_MIN_GARMENTS = 240  # a smaller gallery has too few different queries
_MAX_CHARACTERS = 48
_CHOSEN = 3


@dataclass(frozen=True)
class Relevance:
    """The images that match everything a query asks for.

    Attributes:
        ids: The ids of the relevant images; None if it is unknown which images are relevant.
        why_unknown: The reason why the relevant images are unknown; empty if they are known.
    """

    ids: frozenset[str] | None
    why_unknown: str = ""


def garments_of(images: GalleryImages) -> Mapping[str, Garment]:
    """Return the garment that each image shows, by image id; empty if the garments are unknown."""
    return images.garments if isinstance(images, StoreImages) else {}


def find_relevant(garments: Mapping[str, Garment], query: EncodedQuery) -> Relevance:
    """Find the images that match everything that a query asks for, except the reference itself.

    The relevant images are unknown in four cases: `garments` is empty, since the gallery is not the
    catalogue of drawn garments; the reference was uploaded; the query has no text; or the parser
    for texts of the catalogue cannot parse the text.

    Args:
        garments: The garment that each image of the gallery shows, by image id.
        query: The encoded query.
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
    """Return how many of the image ids `ids` are in `relevant`."""
    return sum(id in relevant for id in ids)


def own_queries(images: GalleryImages) -> tuple[dict[str, str], ...]:
    """Return a few queries from the catalogue's own retrieval benchmark.

    Each of these queries has a short text and at least two relevant images. The queries are the
    same at every start of the app.

    Returns:
        For each query, a dict with the parameters of its link: `ref`, the id of the reference, and
        `text`. Empty if the gallery is not the catalogue of drawn garments, or is too small.
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
    """Return the link that runs a query, such as `?ref=a.jpg&text=longer`.

    Args:
        query: The parameters of the link, as returned by `own_queries`.
    """
    return f"?{urlencode(query)}"
