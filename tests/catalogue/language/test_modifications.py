import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.catalogue.language.modifications import (
    Modification,
    constraints,
    draw_modification,
    fits,
    picture_only,
    picture_share,
)
from dwc.catalogue.schema import COMMON, Garment, attributes_of, sample_garment
from dwc.catalogue.splits import family, gallery

seeds = st.integers(min_value=0, max_value=2**32)

DRESS = Garment.of(
    "dress", colour="red", shade="mid", pattern="plain", second_colour="none", sleeve="short",
    neckline="round", length="medium", hem="straight", waist="plain",
)  # fmt: skip


def pair(seed: int) -> tuple[Garment, Garment, Modification]:
    rng = random.Random(seed)
    members = family(rng, "train")
    reference, target = rng.sample(members, 2)
    return reference, target, draw_modification(reference, target, rng)


@pytest.mark.slow
@given(seeds)
@settings(max_examples=400, deadline=None)
def test_a_target_fits_its_own_modification(seed: int) -> None:
    reference, target, change = pair(seed)
    assert fits(reference, change, target)


@pytest.mark.slow
@given(seeds, seeds)
@settings(max_examples=300, deadline=None)
def test_a_target_of_any_two_garments_fits_too(first: int, second: int) -> None:
    rng = random.Random(first)
    reference = sample_garment(rng)
    target = sample_garment(random.Random(second))
    if reference != target:
        assert fits(reference, draw_modification(reference, target, rng), target)


@pytest.mark.slow
@given(seeds)
@settings(max_examples=300, deadline=None)
def test_the_reference_fits_only_where_all_that_differs_is_left_open(seed: int) -> None:
    reference, _, change = pair(seed)
    mentioned = [name for name in change.allowed if reference.get(name) not in change.allowed[name]]
    assert fits(reference, change, reference) == (change.category is None and not mentioned)


@pytest.mark.slow
@given(seeds)
@settings(max_examples=300, deadline=None)
def test_changing_what_stays_in_the_picture_no_longer_fits(seed: int) -> None:
    reference, target, change = pair(seed)
    for name in picture_only(reference, change) - {"category"}:
        for value in attributes_of(target.category)[name]:
            if value != target[name]:
                values = {**target.attributes, name: value}
                changed = Garment(target.category, tuple(values.values()))
                assert not fits(reference, change, changed)


@pytest.mark.slow
@given(seeds)
@settings(max_examples=300, deadline=None)
def test_every_attribute_has_exactly_one_source(seed: int) -> None:
    reference, target, change = pair(seed)
    kinds = [
        change.stated,
        change.relative,
        change.free,
        picture_only(reference, change) - {"category"},
    ]
    counts = Counter(name for kind in kinds for name in kind)
    assert counts == Counter(list(attributes_of(target.category)))


@pytest.mark.slow
@given(seeds)
@settings(max_examples=200, deadline=None)
def test_relative_words_mean_other_things_of_other_pictures(seed: int) -> None:
    reference, _, change = pair(seed)
    for name in change.relative:
        assert reference[name] not in change.allowed[name]


def hand_made(
    stated: set[str], relative: set[str], free: set[str], category: str | None = None
) -> Modification:
    allowed = {name: frozenset({"x"}) for name in stated | relative}
    return Modification(
        ("",), category, allowed, frozenset(stated), frozenset(relative), frozenset(free)
    )


@pytest.mark.parametrize(
    ("change", "share"),
    [
        # A dress has 9 attributes and its category, which only the picture tells.
        (hand_made({"length"}, set(), set()), 9 / 10),
        (hand_made(set(), {"length"}, set()), 9.5 / 10),
        (hand_made({"colour"}, set(), {"shade"}), 8 / 9),
        (hand_made({"colour", "shade"}, {"length", "sleeve"}, set()), 7 / 10),
        (hand_made(set(attributes_of("dress")), set(), set()), 1 / 10),
        # A skirt has 8; the words tell the category, the picture color, shade and pattern.
        (
            hand_made({"second_colour"}, set(), set(attributes_of("skirt")) - set(COMMON), "skirt"),
            3 / 5,
        ),
    ],
)
def test_the_picture_share_of_hand_made_modifications(change: Modification, share: float) -> None:
    assert picture_share(DRESS, change) == pytest.approx(share)


@pytest.mark.slow
@given(seeds)
@settings(max_examples=200, deadline=None)
def test_the_picture_share_is_a_share(seed: int) -> None:
    reference, _, change = pair(seed)
    assert 0 <= picture_share(reference, change) <= 1


def test_black_settles_the_shade_and_plain_the_second_color() -> None:
    striped = DRESS.with_values(pattern="striped", second_colour="white")
    target = DRESS.with_values(colour="black")
    seen = set()
    for seed in range(60):
        change = draw_modification(striped, target, random.Random(seed))
        limits = constraints(striped, change)
        if change.allowed["colour"] == {"black"}:
            assert limits["shade"] == {"mid"}
            assert "shade" in change.stated
        if change.allowed["pattern"] == {"plain"}:
            assert limits["second_colour"] == {"none"}
            assert "second_colour" in change.stated
            seen.add("plain")
        else:
            assert "second_colour" in change.free
            seen.add("open")
    assert seen == {"plain", "open"}


def test_no_stripes_leaves_everything_but_stripes() -> None:
    striped = DRESS.with_values(pattern="striped", second_colour="white")
    drawn = [draw_modification(striped, DRESS, random.Random(seed)) for seed in range(200)]
    denials = [
        change for change in drawn if any("no stripes" in caption for caption in change.captions)
    ]
    assert denials
    for change in denials:
        dotted = DRESS.with_values(pattern="dotted", second_colour="blue")
        assert fits(striped, change, dotted)
        assert not fits(striped, change, striped)


def test_longer_is_anything_longer_than_the_picture() -> None:
    short = DRESS.with_values(length="short")
    long = DRESS.with_values(length="long")
    for seed in range(200):
        change = draw_modification(short, long, random.Random(seed))
        if change.captions == ("is longer",):
            assert fits(short, change, DRESS)
            assert fits(short, change, long)
            assert not fits(short, change, short)
            assert picture_share(short, change) == pytest.approx(9.5 / 10)
            return
    pytest.fail("no modification asks for a longer one in 200 draws")


def test_a_modification_to_the_same_garment_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to change"):
        draw_modification(DRESS, DRESS, random.Random(0))


@pytest.mark.slow
def test_all_three_manners_are_used() -> None:
    items = gallery("train", 1500)
    rng = random.Random(0)
    counts: Counter[str] = Counter()
    for one, other in pairwise(items):
        if one.garment.category == other.garment.category:
            change = draw_modification(one.garment, other.garment, rng)
            counts["relative"] += len(change.relative)
            counts["open"] += sum(len(change.allowed[name]) > 1 for name in change.stated)
            counts["fixed"] += sum(len(change.allowed[name]) == 1 for name in change.stated)
    total = sum(counts.values())
    assert 0.15 < counts["relative"] / total < 0.4
    assert 0.03 < counts["open"] / total < 0.2
    assert 0.5 < counts["fixed"] / total < 0.8
