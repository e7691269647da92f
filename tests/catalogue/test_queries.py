import random

import pytest

from dwc.catalogue.encoded_garments import EncodedGarments
from dwc.catalogue.language.modifications import constraints, draw_modification, fits
from dwc.catalogue.queries import benchmark, queries
from dwc.catalogue.schema import attributes_of
from dwc.catalogue.splits import CatalogueItem, gallery


@pytest.fixture(scope="module")
def items() -> list[CatalogueItem]:
    return gallery("test", 400)


def test_matching_at_once_equals_one_by_one(items: list[CatalogueItem]) -> None:
    garments = [item.garment for item in items]
    pool = EncodedGarments(garments)
    rng = random.Random(0)
    several = 0
    for _ in range(300):
        reference, target = (garments[place] for place in pool.draw_pair(rng))
        drawn = draw_modification(reference, target, rng)
        category = drawn.category or reference.category
        quick = pool.matching(category, constraints(reference, drawn)).tolist()
        slow = [place for place, each in enumerate(garments) if fits(reference, drawn, each)]
        assert quick == slow
        several += len(slow) > 1
    assert several > 20


def test_queries_know_their_truth(items: list[CatalogueItem]) -> None:
    drawn = queries(items, 300, seed=0)
    garments = {item.id: item.garment for item in items}
    assert len({(query.reference, query.target) for query in drawn}) == 300
    for query in drawn:
        assert query.target in query.hits
        assert query.reference not in query.hits
        assert query.hits <= set(garments)
        kinds = [query.stated, query.relative, query.picture_only, query.free]
        assert sum(len(kind) for kind in kinds) == len(frozenset().union(*kinds))
        names = set(attributes_of(garments[query.target].category)) | {"category"}
        assert frozenset().union(*kinds) == names
        crossing = garments[query.reference].category != garments[query.target].category
        assert ("category" in query.stated) == crossing
        counts = len(query.picture_only), len(query.relative), len(query.stated)
        assert query.picture_share == pytest.approx((counts[0] + counts[1] / 2) / sum(counts))


def test_queries_spread_over_the_shares(items: list[CatalogueItem]) -> None:
    shares = [query.picture_share for query in queries(items, 400, seed=0)]
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        assert sum(low <= share < low + 0.2 for share in shares) > 15


def test_the_seed_draws_the_queries_and_more_queries_begin_alike(
    items: list[CatalogueItem],
) -> None:
    drawn = queries(items, 50, seed=1)
    assert drawn == queries(items, 50, seed=1)
    assert drawn == queries(items, 80, seed=1)[:50]
    assert drawn != queries(items, 50, seed=2)


def test_a_gallery_too_small_for_so_many_queries() -> None:
    with pytest.raises(ValueError, match="take a larger gallery or ask fewer"):
        queries(gallery("test", 5), 1000, seed=0)
    with pytest.raises(ValueError, match="take a larger pool"):
        queries([], 1, seed=0)


def test_as_a_benchmark(items: list[CatalogueItem]) -> None:
    drawn = queries(items, 20, seed=0)
    made = benchmark(items, drawn)
    assert made.protocol == "catalogue-test"
    assert made.gallery == tuple(item.id for item in items)
    assert made.reference_removed
    for query, converted in zip(drawn, made.queries, strict=True):
        assert converted.reference == query.reference
        assert converted.captions == query.captions
        assert converted.hits == query.hits
        assert converted.picture_share == query.picture_share
