"""Questions to a gallery of drawn garments, of which the whole truth is known."""

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
    """A question, every gallery item that answers it, and who tells which attribute.

    `hits` holds the target, never the reference. `stated` by the words alone, `relative` by words
    and picture together, `picture_only` by the picture alone (`category` may be in `stated` or
    here), `free` by neither. `picture_share` (0 to 1) as in `wishes.picture_share`.
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
    """Ask `count` questions of a gallery, no two with the same reference and target.

    The seed draws which are asked; the gallery is as given. `negation_share` is that of
    `draw_modification`; with 0 these are the queries of the published benchmark. ValueError where
    the gallery is too small for so many.
    """
    rng = random.Random(f"queries|{seed}")
    pool = EncodedGarments([item.garment for item in items])
    asked: dict[tuple[int, int], CatalogueQuery] = {}
    repeats = 0
    while len(asked) < count:
        pair = pool.draw_pair(rng)
        if pair in asked:
            repeats += 1
            if repeats == _REPEATS:
                raise ValueError(
                    f"{len(items)} items gave {len(asked)} different queries of {count} wanted; "
                    "take a larger gallery or ask fewer"
                )
            continue
        repeats = 0
        asked[pair] = _query(items, pool, pair, rng, negation_share)
    return list(asked.values())


def _query(
    items: Sequence[CatalogueItem],
    pool: EncodedGarments,
    pair: tuple[int, int],
    rng: random.Random,
    negation_share: float,
) -> CatalogueQuery:
    reference, target = (items[index] for index in pair)
    asked = draw_modification(reference.garment, target.garment, rng, negation_share)
    limits = constraints(reference.garment, asked)
    indices = [
        index
        for category in sorted(asked.allowed_categories(reference.garment))
        for index in pool.matching(category, limits)
    ]
    return CatalogueQuery(
        reference=reference.id,
        captions=asked.captions,
        target=target.id,
        hits=frozenset(items[index].id for index in indices) - {reference.id},
        stated=asked.stated
        | ({"category"} if asked.changes_category(reference.garment) else set()),
        relative=asked.relative,
        picture_only=picture_only(reference.garment, asked),
        free=asked.free,
        picture_share=picture_share(reference.garment, asked),
    )


def benchmark(
    items: Sequence[CatalogueItem],
    asked: Sequence[CatalogueQuery],
    protocol: str = "catalogue-test",
) -> Benchmark:
    """The gallery and its questions as every benchmark has them; references are removed."""
    return Benchmark(
        protocol=protocol,
        gallery=tuple(item.id for item in items),
        queries=tuple(
            RetrievalQuery(query.reference, query.captions, query.hits, query.picture_share)
            for query in asked
        ),
        reference_removed=True,
    )
