"""Random queries against a gallery of drawn garments, each with all gallery images that fit it."""

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

# The number of already used pairs in a row after which the gallery is assumed to have no new pairs.
_REPEATS = 200


@dataclass(frozen=True)
class CatalogueQuery:
    """A query, the gallery images that fit it, and the attributes that text and image determine.

    Attributes:
        reference: Id of the reference image.
        captions: One or two modification texts, which apply together.
        target: Id of the target image.
        hits: Ids of all gallery images that fit the query. The target is one of them; the reference
            never is.
        stated: Attributes that the text alone determines. "category" is either here or in
            `picture_only`.
        relative: Attributes that the text and the reference image determine together ("longer").
        picture_only: Attributes that the reference image alone determines.
        free: Attributes that may have any value.
        picture_share: The true image weight, 0 to 1: the fraction of the constrained attributes
            that the reference image determines; see `modifications.picture_share`.
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
    """Sample queries against a gallery at random; no two have the same reference and target.

    Args:
        items: The gallery.
        count: The number of queries.
        seed: The seed of the random choice of garments and words.
        negation_share: Share (0 to 1) of queries whose text excludes something ("no stripes"); see
            `draw_modification`. With 0, the queries are those of the published benchmark.

    Raises:
        ValueError: The gallery is too small for this number of queries.
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
    """Return a gallery and its queries as a `Benchmark`.

    The reference of a query is not among the images that are ranked for that query.
    """
    return Benchmark(
        protocol=protocol,
        gallery=tuple(item.id for item in items),
        queries=tuple(
            RetrievalQuery(query.reference, query.captions, query.hits, query.picture_share)
            for query in drawn
        ),
        reference_removed=True,
    )
