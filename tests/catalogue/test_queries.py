import random

import pytest

from dwc.catalogue.language.modifications import constraints, draw_modification, fits
from dwc.catalogue.language.parser import parse_modification
from dwc.catalogue.queries import Wish, benchmark, queries, wishes
from dwc.catalogue.schema import EncodedGarments, attributes_of
from dwc.catalogue.splits import DEFAULT_SIZE, FAMILIES, CatalogueItem, catalogue_items, gallery


@pytest.fixture(scope="module")
def items() -> list[CatalogueItem]:
    return gallery("test", 400)


@pytest.mark.slow
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


@pytest.fixture(scope="module")
def default_items() -> list[CatalogueItem]:
    return catalogue_items(FAMILIES, DEFAULT_SIZE)


def share_granted(drawn: list[Wish]) -> float:
    return sum(bool(wish.hits) for wish in drawn) / len(drawn)


@pytest.mark.slow
def test_the_default_gallery_grants_wishes_that_a_random_one_does_not(
    default_items: list[CatalogueItem],
) -> None:
    random_items = gallery("test", DEFAULT_SIZE)
    assert share_granted(wishes(default_items, 1000, 0, are_offered=True)) >= 0.9
    assert share_granted(wishes(default_items, 1000, 0, are_offered=False)) >= 0.65
    assert share_granted(wishes(random_items, 1000, 0, are_offered=True)) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("are_offered", [True, False])
def test_a_wish_means_what_it_says(default_items: list[CatalogueItem], are_offered: bool) -> None:
    garments = {item.id: item.garment for item in default_items}
    drawn = wishes(default_items, 200, 3, are_offered)
    assert drawn == wishes(default_items, 200, 3, are_offered)
    assert drawn != wishes(default_items, 200, 4, are_offered)
    understood = 0
    for wish in drawn:
        reference = garments[wish.reference]
        assert wish.reference not in wish.hits
        demand = parse_modification(wish.text, reference)
        if demand is None:  # several meanings
            continue
        if wish.attribute == "category" and demand.allows_category(reference.category):
            assert "sleeve" in wish.text  # "a long sleeve" of a dress, or a T-shirt of this kind
            continue
        understood += 1
        fitting = {id for id, garment in garments.items() if demand.fits(garment)}
        assert fitting - {wish.reference} == wish.hits
        if wish.attribute != "category":
            assert reference[wish.attribute] not in demand.values[wish.attribute]
    assert understood >= 180
    assert len({wish.attribute for wish in drawn}) >= 6


@pytest.mark.slow
def test_what_is_offered_is_a_value_of_the_gallery(default_items: list[CatalogueItem]) -> None:
    offered = wishes(default_items, 1000, 1, are_offered=True)
    everything = wishes(default_items, 1000, 1, are_offered=False)
    never_varied = {"neckline", "fit", "hem", "waist", "pockets", "fastening", "heel", "toe"}
    assert not {wish.attribute for wish in offered} & never_varied
    assert {wish.attribute for wish in everything} & never_varied
    colors = sum(wish.attribute == "colour" for wish in everything)
    assert 330 <= colors <= 470  # people name the color in about 40 % of their captions


def test_a_gallery_of_one_garment_has_no_wishes(default_items: list[CatalogueItem]) -> None:
    with pytest.raises(ValueError, match="take a larger gallery"):
        wishes(default_items[:1], 1, 0, are_offered=True)
    assert not wishes(default_items[:1], 1, 0, are_offered=False)[0].hits
