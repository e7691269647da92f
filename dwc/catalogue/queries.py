"""Queries to a gallery of drawn garments, with their complete ground truth."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from dwc.catalogue.encoded_garments import EncodedGarments
from dwc.catalogue.language.modifications import (
    constraints,
    draw_modification,
    picture_only,
    picture_share,
)
from dwc.catalogue.splits import CatalogueItem
from dwc.datasets.triplets import Benchmark, RetrievalQuery

_REPEATS = 200  # a gallery that repeats itself this often in a row has no more questions


@dataclass(frozen=True)
class CatalogueQuery:
    """A query, every gallery item that fits it, and the source of each attribute.

    Attributes:
        reference: Id of the reference.
        captions: One or two texts.
        target: Id of the target.
        hits: Ids of all items that fit, the target among them, the reference not.
        stated: Attributes fixed by the words alone; `category` may be here or in `picture_only`.
        relative: Attributes fixed by words and picture together.
        picture_only: Attributes fixed by the picture alone.
        free: Attributes that may have any value.
        picture_share: `modifications.picture_share`, 0 to 1.
    """

    reference: str
    captions: tuple[str, ...]
    target: str
    hits: frozenset[str]
    stated: frozenset[str]
    relative: frozenset[str]
    picture_only: frozenset[str]
    free: frozenset[str]
    picture_share: float


def queries(
    items: Sequence[CatalogueItem], count: int, seed: int, negation_share: float = 0.0
) -> list[CatalogueQuery]:
    """Draw queries to a gallery, no two with the same reference and target.

    Args:
        items: The gallery.
        count: How many queries.
        seed: Decides which queries; the gallery is as given.
        negation_share: That of `draw_modification`. With 0 these are the published benchmark's
            queries.

    Raises:
        ValueError: The gallery is too small for so many.
    """
    rng = random.Random(f"queries|{seed}")
    pool = EncodedGarments([item.garment for item in items])
    drawn: dict[tuple[int, int], CatalogueQuery] = {}
    repeats = 0
    while len(drawn) < count:
        pair = pool.draw_pair(rng)
        if pair in drawn:
            repeats += 1
            if repeats == _REPEATS:
                raise ValueError(
                    f"{len(items)} items gave {len(drawn)} different queries of {count} wanted; "
                    "take a larger gallery or ask fewer"
                )
            continue
        repeats = 0
        drawn[pair] = _query(items, pool, pair, rng, negation_share)
    return list(drawn.values())


def _query(
    items: Sequence[CatalogueItem],
    pool: EncodedGarments,
    pair: tuple[int, int],
    rng: random.Random,
    negation_share: float,
) -> CatalogueQuery:
    reference, target = (items[index] for index in pair)
    modification = draw_modification(reference.garment, target.garment, rng, negation_share)
    limits = constraints(reference.garment, modification)
    indices = [
        index
        for category in sorted(modification.allowed_categories(reference.garment))
        for index in pool.matching(category, limits)
    ]
    return CatalogueQuery(
        reference=reference.id,
        captions=modification.captions,
        target=target.id,
        hits=frozenset(items[index].id for index in indices) - {reference.id},
        stated=modification.stated
        | ({"category"} if modification.changes_category(reference.garment) else set()),
        relative=modification.relative,
        picture_only=picture_only(reference.garment, modification),
        free=modification.free,
        picture_share=picture_share(reference.garment, modification),
    )


def benchmark(
    items: Sequence[CatalogueItem],
    drawn: Sequence[CatalogueQuery],
    protocol: str = "catalogue-test",
) -> Benchmark:
    """The gallery and its queries in the form of every benchmark; references are removed."""
    return Benchmark(
        protocol=protocol,
        gallery=tuple(item.id for item in items),
        queries=tuple(
            RetrievalQuery(query.reference, query.captions, query.hits, query.picture_share)
            for query in drawn
        ),
        reference_removed=True,
    )
