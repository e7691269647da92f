"""Exclusions are read in every form: of every value and category, alone and beside changes."""

import random
from collections.abc import Iterator

import pytest

from dwc.catalogue.language.exclusions import (
    FORMS,
    LEXICAL_NEGATIONS,
    Kind,
    category_names,
    excluded_meaning,
    excluded_names,
    fill_form,
    other_number,
    wide_names,
)
from dwc.catalogue.language.modifications import draw_modification, fits
from dwc.catalogue.language.paraphrase import paraphrase
from dwc.catalogue.language.parser import parse_modification
from dwc.catalogue.schema import CATEGORIES, COLORS, Garment, attributes_of, sample_garment
from dwc.catalogue.splits import family, gallery
from tests.catalogue.language.test_exclusions import STRIPED


def garment_with(category: str, attribute: str, value: str) -> Garment:
    """A garment that has a value."""
    rng = random.Random(f"{category}/{attribute}/{value}")
    while True:
        garment = sample_garment(rng, category)
        if garment[attribute] == value:
            return garment


def names_in_both_numbers(category: str, attribute: str, value: str) -> Iterator[tuple[Kind, str]]:
    """The names of a value; those of things in the singular and the plural."""
    for kind, name in excluded_names(category, attribute, value):
        yield kind, name
        other = other_number(name)
        if kind == "thing" and other is not None:
            yield kind, other


@pytest.mark.slow
@pytest.mark.parametrize("category", CATEGORIES)
def test_every_value_is_excluded_in_every_form(category: str) -> None:
    unread, wrong, count = [], [], 0
    for attribute, values in attributes_of(category).items():
        for value in values:
            reference = garment_with(category, attribute, value)
            left = excluded_meaning(category, attribute, value)[attribute]
            complete: set[str] = set()
            for kind, text in names_in_both_numbers(category, attribute, value):
                # All forms with one name, and every name in some forms.
                forms = FORMS[kind] if kind not in complete else FORMS[kind][count % 7 :: 11]
                complete.add(kind)
                for form in forms:
                    said = fill_form(form, kind, text)
                    demand = parse_modification(said, reference)
                    count += 1
                    if demand is None:
                        unread.append(said)
                    elif demand.values.get(attribute, left) != left or any(
                        values != {reference[other]}
                        for other, values in demand.values.items()
                        if other not in (attribute, "shade", "second_colour")
                    ):
                        wrong.append((said, attribute, value))
    assert count > 300
    assert not wrong
    assert not unread


@pytest.mark.slow
@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_is_excluded_in_every_form(category: str) -> None:
    reference = sample_garment(random.Random(category), category)
    for name in category_names(category):
        for form in FORMS["category"]:
            text = fill_form(form, "category", name)
            for demand in (parse_modification(text, reference), parse_modification(text)):
                assert demand is not None, text
                assert demand.category is None
                assert set(demand.by_category) == set(CATEGORIES) - {category}, text
            assert not parse_modification(text, reference).fits(reference)


@pytest.mark.parametrize("name", wide_names())
def test_wide_names_exclude_several_categories(name: str) -> None:
    demand = parse_modification(f"no {name}")
    assert set(demand.by_category) == set(CATEGORIES) - wide_names()[name]


@pytest.mark.parametrize("attribute", sorted({attribute for attribute, _ in LEXICAL_NEGATIONS}))
def test_words_that_exclude_by_themselves(attribute: str) -> None:
    for (name, value), words in LEXICAL_NEGATIONS.items():
        for category in CATEGORIES:
            if name != attribute or value not in attributes_of(category).get(name, ()):
                continue
            reference = garment_with(category, name, value)
            for word in words:
                demand = parse_modification(word, reference)
                assert demand.values[name] == excluded_meaning(category, name, value)[name], word


@pytest.mark.parametrize(
    "words",
    [
        "no stripes", "no stripe", "not striped", "non-striped", "non striped", "without stripes",
        "without any stripes", "without a stripe", "remove the stripes", "-stripes", "unstriped",
        "lose the stripes", "minus the stripes", "minus stripes", "-striped", "sans stripes",
        "take off the stripes", "get rid of the stripes", "anything but stripes", "except stripes",
        "anything but striped", "instead of stripes", "isn't striped", "is not striped",
        "should not be striped", "the same but no stripes", "i don't want stripes",
        "does not have any stripes", "make it not striped", "same dress, no stripes",
        "not a striped dress", "not a striped one",
    ],
)  # fmt: skip
def test_stripes_are_excluded(words: str) -> None:
    demand = parse_modification(words, STRIPED)
    assert demand is not None
    assert demand.values["pattern"] == set(attributes_of("dress")["pattern"]) - {
        "striped",
        "pinstriped",
    }
    assert demand.values["colour"] == {"red"}


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("dots instead of stripes", {"pattern": {"dotted"}}),
        ("replace the stripes with dots", {"pattern": {"dotted"}}),
        ("swap the collar for a round neck", {"neckline": {"round"}}),
        ("blue instead of red", {"colour": {"blue"}}),
        ("not red but blue", {"colour": {"blue"}}),
        ("short sleeves rather than long sleeves", {"sleeve": {"short"}}),
        ("remove the stripes and the belt", {"waist": {"plain"}}),
        ("remove the belt and make it longer", {"waist": {"plain"}, "length": {"long"}}),
        ("longer, without the collar", {"length": {"long"}, "neckline": {"round", "v", "square"}}),
        ("no white", {"colour": {"red"}, "second_colour": {"none", *COLORS} - {"white"}}),
        ("no blue", {"colour": {"red"}, "second_colour": {"white"}}),
        ("not v-neck", {"neckline": {"collar"}}),
        ("nothing but red", {"colour": {"red"}}),
        ("a skirt, not a dress", {"colour": {"red"}, "pattern": {"striped"}}),
        ("-red -belt", {"colour": set(COLORS) - {"red"}, "waist": {"plain"}}),
    ],
)
def test_exclusions_beside_what_is_wanted(words: str, changes: dict[str, set[str]]) -> None:
    demand = parse_modification(words, STRIPED)
    assert demand is not None
    for name, values in changes.items():
        assert demand.values[name] == values


@pytest.mark.parametrize(
    "words",
    [
        "anything but longer", "not navy", "without any white stripes", "remove the stripes, red",
        "not too long", "not a dress and not red and a belt", "remove", "anything but", "-", "no -",
        "not only striped",
    ],
)  # fmt: skip
def test_ambiguous_exclusions_are_not_parsed(words: str) -> None:
    assert parse_modification(words, STRIPED) is None


@pytest.mark.parametrize(
    ("words", "fitting", "failing"),
    [
        ("no red", {"colour": "blue"}, {"colour": "red"}),
        ("without any stripes", {"pattern": "plain"}, {"pattern": "striped"}),
        ("not striped", {"pattern": "dotted"}, {"pattern": "pinstriped"}),
        ("-stripes", {"pattern": "plain"}, {"pattern": "striped"}),
        ("something without a belt", {"waist": "plain"}, {"waist": "belted"}),
        ("no white and no belt", {"pattern": "plain", "waist": "plain"}, {"waist": "plain"}),
    ],
)
def test_words_alone_exclude_of_any_category(
    words: str, fitting: dict[str, str], failing: dict[str, str]
) -> None:
    demand = parse_modification(words)
    assert demand.category is None
    assert demand.fits(STRIPED.with_values(**fitting))
    assert not demand.fits(STRIPED.with_values(**failing))


def test_a_category_without_sleeves_has_none() -> None:
    demand = parse_modification("no sleeves")
    assert "hat" in demand.by_category
    assert "shirt" not in demand.by_category  # all have sleeves
    assert demand.by_category["dress"]["sleeve"] == {"sleeveless"}


@pytest.mark.slow
def test_drawn_exclusions_are_read_as_they_are_meant() -> None:
    rng = random.Random(5)
    garments = [item.garment for item in gallery("test", 400)]
    parsed = 0
    drawn = 600
    for _ in range(drawn):
        reference, target = rng.sample(family(rng, "train"), 2)
        change = draw_modification(reference, target, rng, negation_share=1.0)
        demand = parse_modification(" , ".join(change.captions), reference)
        if demand is None:
            continue
        parsed += 1
        assert demand.fits(target), change.captions
        for garment in garments[::7]:
            assert demand.fits(garment) == fits(reference, change, garment), change.captions
    assert parsed >= 0.95 * drawn


def test_paraphrases_of_an_exclusion() -> None:
    others = paraphrase("without any stripes", STRIPED, 3)
    assert others
    expected = parse_modification("no stripes", STRIPED)
    assert all(parse_modification(other, STRIPED) == expected for other in others)
