"""Exclusions: every value and category, in every form, true of what they are drawn for."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.catalogue.language.description import describe, describe_excluding
from dwc.catalogue.language.exclusions import (
    FORMS,
    excluded_meaning,
    excluded_names,
    fill_form,
    other_number,
    other_values,
    say_category_exclusion,
    say_exclusion,
)
from dwc.catalogue.language.modifications import (
    constraints,
    draw_modification,
    fits,
    picture_only,
    picture_share,
)
from dwc.catalogue.queries import queries
from dwc.catalogue.schema import CATEGORIES, COLORS, COMMON, Garment, attributes_of, sample_garment
from dwc.catalogue.splits import family, gallery, training_triplets

seeds = st.integers(min_value=0, max_value=2**32)

STRIPED = Garment.of(
    "dress", colour="red", shade="mid", pattern="striped", second_colour="white", sleeve="long",
    neckline="collar", length="medium", hem="straight", waist="belted",
)  # fmt: skip


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_value_has_a_name_to_be_excluded_by(category: str) -> None:
    for name, values in attributes_of(category).items():
        for value in values:
            names = excluded_names(category, name, value)
            assert names
            for kind, text in names:
                for form in FORMS[kind]:
                    assert re.fullmatch(r"[a-z0-9' -]+", fill_form(form, kind, text))


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_exclusion_leaves_every_other_value(category: str) -> None:
    for name, values in attributes_of(category).items():
        for value in values:
            left = excluded_meaning(category, name, value)
            assert value not in left[name]
            gone = set(values) - left[name]
            stripes = {"striped", "pinstriped"}
            assert gone == (stripes if value in stripes else {value})
            others = {"second_colour"} if name == "colour" else set()
            assert set(left) == {name} | others


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("stripes", "stripe"), ("pocket on the chest", "pockets on the chest"),
        ("polka dots", "polka dot"), ("buttons down the front", "button down the front"),
        ("dress", "dresses"), ("checks", "check"), ("plaid", None), ("trousers", None),
        ("accessory", "accessories"), ("laces", "lace"),
    ],
)  # fmt: skip
def test_singular_and_plural(text: str, other: str | None) -> None:
    assert other_number(text) == other
    if other is not None:
        assert other_number(other) == text


@pytest.mark.slow
@given(seeds)
@settings(max_examples=400, deadline=None)
def test_a_target_fits_the_exclusion_drawn_for_it(seed: int) -> None:
    rng = random.Random(seed)
    reference, target = rng.sample(family(rng, "train"), 2)
    change = draw_modification(reference, target, rng, negation_share=1.0)
    assert change.excluded
    assert fits(reference, change, target)
    for name, values in change.excluded.items():
        actual = target.category if name == "category" else target.get(name)
        assert actual not in values
        if name != "category" and reference.get(name) in values:
            assert name in change.stated
    assert 1 <= len(change.captions) <= 2
    for caption in change.captions:
        assert re.fullmatch(r"[a-z0-9',\- ]+", caption), caption
        assert "  " not in caption


@pytest.mark.slow
@given(seeds, seeds)
@settings(max_examples=300, deadline=None)
def test_an_exclusion_between_any_two_garments(first: int, second: int) -> None:
    rng = random.Random(first)
    reference, target = sample_garment(rng), sample_garment(random.Random(second))
    if reference == target:
        return
    change = draw_modification(reference, target, rng, negation_share=1.0)
    assert fits(reference, change, target)
    assert 0 <= picture_share(reference, change) <= 1
    kinds = [change.stated, change.relative, change.free, picture_only(reference, change)]
    counts = Counter(name for kind in kinds for name in kind if name != "category")
    assert set(counts.values()) == {1}
    if change.changes_category(reference) and change.category is None:
        assert set(constraints(reference, change)) <= set(COMMON)
        assert change.allowed_categories(reference) == set(CATEGORIES) - change.excluded["category"]
        assert not fits(reference, change, reference)


def test_excluding_what_the_picture_has_leaves_all_other_values() -> None:
    target = STRIPED.with_values(waist="plain")
    for seed in range(50):
        change = draw_modification(STRIPED, target, random.Random(seed), negation_share=1.0)
        limits = constraints(STRIPED, change)
        assert limits["waist"] == {"plain"}
        assert limits["colour"] == {"red"}
        assert limits["pattern"] == {"striped"}
        assert "belted" in change.excluded["waist"]


def test_excluding_what_the_picture_lacks_changes_nothing() -> None:
    target = STRIPED.with_values(length="long")
    needless = 0
    for seed in range(200):
        change = draw_modification(STRIPED, target, random.Random(seed), negation_share=1.0)
        for name, values in change.excluded.items():
            if name != "category" and STRIPED[name] not in values:
                needless += 1
                assert constraints(STRIPED, change)[name] == {STRIPED[name]}
    assert needless


@pytest.mark.slow
@given(seeds)
@settings(max_examples=300, deadline=None)
def test_a_description_by_exclusion_is_true(seed: int) -> None:
    rng = random.Random(seed)
    garment = sample_garment(rng)
    described = describe_excluding(garment, rng)
    assert re.fullmatch(r"[a-z0-9',\- ]+", described.text), described.text
    for name, values in described.excluded.items():
        assert (garment.category if name == "category" else garment.get(name)) not in values


@pytest.mark.slow
def test_everything_is_excluded_in_every_form_sooner_or_later() -> None:
    rng = random.Random(0)
    items = gallery("train", 800)
    texts = [describe_excluding(rng.choice(items).garment, rng) for _ in range(12_000)]
    excluded = {(n, value) for d in texts for n, values in d.excluded.items() for value in values}
    expected = {("category", category) for category in CATEGORIES}
    for category in CATEGORIES:
        expected |= {(n, v) for n, values in attributes_of(category).items() for v in values}
    assert expected - excluded == {("second_colour", "none")}
    words = {word for described in texts for word in re.findall(r"[a-z'-]+", described.text)}
    assert {
        "any", "minus", "remove", "lose", "except", "anything", "instead", "non", "isn't", "sans",
        "stripe", "stripes", "pocket", "pockets", "dresses", "collarless", "without", "nothing",
    } <= words  # fmt: skip


@pytest.mark.slow
def test_a_share_of_the_texts_excludes_and_none_by_default() -> None:
    items = gallery("train", 800)
    changes = [
        modification for _, _, modification in training_triplets(items, 0, 1500, negation_share=0.3)
    ]
    share = sum(bool(modification.excluded) for modification in changes) / len(changes)
    assert share == pytest.approx(0.3, abs=0.04)
    assert not any(modification.excluded for _, _, modification in training_triplets(items, 0, 500))
    rng, other = random.Random(1), random.Random(1)
    same = [describe(item.garment, rng, negation_share=0.0) for item in items[:50]]
    assert same == [describe(item.garment, other) for item in items[:50]]


def test_queries_with_exclusions_know_their_truth() -> None:
    items = gallery("test", 500)
    garments = {item.id: item.garment for item in items}
    several = 0
    for query in queries(items, 300, seed=0, negation_share=1.0):
        assert query.target in query.hits
        assert query.reference not in query.hits
        assert query.picture_share == pytest.approx(
            (len(query.picture_only) + len(query.relative) / 2)
            / (len(query.picture_only) + len(query.relative) + len(query.stated))
        )
        several += len({garments[id].category for id in query.hits}) > 1
    assert several


def test_one_form_of_one_value() -> None:
    rng = random.Random(0)
    said = say_exclusion(rng, "dress", "hem", "ruffled", text_form="remove the {x}")
    assert said.text.startswith("remove the ")
    assert said.allowed == {"hem": {"straight", "flared"}}
    assert say_exclusion(rng, "hat", "colour", "red").allowed["second_colour"] >= {"none", "blue"}
    assert set(say_exclusion(rng, "hat", "colour", "red").allowed["colour"]) == set(COLORS) - {
        "red"
    }
    assert "hat" not in say_category_exclusion(rng, "hat").allowed["category"]


@pytest.mark.parametrize(
    ("name", "kind", "others"),
    [
        ("round toe", "boots", {"pointed toe"}),
        ("round toes", "boots", {"pointed toe"}),
        ("wide brim", "hat", {"peak", "narrow brim"}),
        ("zip", "jacket", {"buttons"}),
        ("plain", "dress", None),  # every pattern
        ("pouch pocket", "hoodie", set()),  # or none
        ("tassels", "dress", set()),
        ("strap", "dress", set()),  # of shoes and bags
    ],
)
def test_what_a_garment_can_have_instead_of_an_excluded_value(name, kind, others):
    found = set(other_values(name, kind))
    if others is None:
        assert len(found) == len(attributes_of("dress")["pattern"]) - 1
        assert "stripes" in found
    else:
        assert found == others


def test_a_value_of_an_unknown_kind_is_looked_up_among_all_kinds():
    assert "low heel" in other_values("high heel", "mules")


def test_no_value_is_an_alternative_to_itself():
    for category in CATEGORIES:
        for attribute, values in attributes_of(category).items():
            names = [excluded_names(category, attribute, value) for value in values]
            for name in (name for of_value in names for _, name in of_value):
                for kind in (category.replace("_", "-"), "unknown"):
                    assert name not in other_values(name, kind)
