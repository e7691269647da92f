"""What truly fits a question: known for drawn garments, where the words can be read back."""

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

_DRAWN = 60  # questions drawn, of which short ones with several answers are chosen
_LEAST = 240  # garments, of which so many different questions can be asked
_LONGEST = 48  # characters
_SHOWN = 3


@dataclass(frozen=True)
class Truth:
    """Every picture that fits all that was asked for; `why_unknown` where nobody can tell."""

    fitting: frozenset[str] | None
    why_unknown: str = ""


def garments_of(pictures: GalleryImages) -> Mapping[str, Garment]:
    """What a gallery's pictures show, by id; empty where nobody has said."""
    return pictures.garments if isinstance(pictures, StoreImages) else {}


def truth_of(garments: Mapping[str, Garment], asked: EncodedQuery) -> Truth:
    """What fits a question, among these garments; the reference itself is not an answer.

    Unknown for other galleries, for an uploaded picture, for a picture without words, and for words
    that the catalogue would not use so.
    """
    if not garments:
        return Truth(None, "of this gallery nobody has said what is in its pictures")
    if not asked.text:
        return Truth(None, "without words many things may be meant")
    if asked.image is not None and asked.reference_id is None:
        return Truth(None, "nobody has said what is in the uploaded picture")
    reference = None if asked.reference_id is None else garments[asked.reference_id]
    demand = parse_modification(asked.text, reference)
    if demand is None:
        return Truth(None, "these words are not among those that the catalogue itself can read")
    return Truth(_fitting(garments, demand) - {asked.reference_id})


def count_within(ids: Sequence[str], fitting: frozenset[str]) -> int:
    """How many of these fit."""
    return sum(id in fitting for id in ids)


def own_questions(pictures: GalleryImages) -> tuple[dict[str, str], ...]:
    """Questions of the catalogue's own test as an address carries them: `ref` and `text`.

    Short ones with more than one answer, the same at every start; none for small or other
    galleries.
    """
    return _own_questions(pictures) if isinstance(pictures, StoreImages) else ()


@lru_cache(maxsize=1)
def _own_questions(pictures: StoreImages) -> tuple[dict[str, str], ...]:
    garments = pictures.garments
    if len(garments) < _LEAST:
        return ()
    items = [CatalogueItem(id, garment, 0) for id, garment in garments.items()]
    chosen = []
    for query in queries(items, _DRAWN, seed=0):
        text = " and ".join(dict.fromkeys(query.captions))
        if len(query.hits) < 2 or len(text) > _LONGEST:
            continue
        demand = parse_modification(text, garments[query.reference])
        if demand is not None and _fitting(garments, demand) - {query.reference} == query.hits:
            chosen.append({"ref": query.reference, "text": text})
    return tuple(chosen[:_SHOWN])


def _fitting(garments: Mapping[str, Garment], demand: Demand) -> frozenset[str]:
    return frozenset(id for id, garment in garments.items() if demand.fits(garment))


def address_of(question: Mapping[str, str]) -> str:
    """The link that asks a question."""
    return f"?{urlencode(question)}"
