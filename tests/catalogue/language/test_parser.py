"""What the catalogue asks, read back: the same garments fit, or nothing is said to."""

import random

import pytest

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.language.parser import parse_modification
from dwc.catalogue.queries import queries
from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import gallery

DRESS = Garment.of(
    "dress",
    colour="orange",
    shade="mid",
    pattern="striped",
    second_colour="white",
    sleeve="short",
    neckline="round",
    length="medium",
    hem="straight",
    waist="belted",
)


@pytest.fixture(scope="module")
def items():
    return gallery("test", 500)


@pytest.mark.slow
def test_queries_are_parsed_as_they_are_meant(items):
    garments = {item.id: item.garment for item in items}
    parsed = 0
    drawn = queries(items, 200, seed=11)
    for query in drawn:
        reference = garments[query.reference]
        demand = parse_modification(" and ".join(dict.fromkeys(query.captions)), reference)
        if demand is None:
            continue
        parsed += 1
        fitting = {id for id, garment in garments.items() if demand.fits(garment)}
        assert fitting - {query.reference} == query.hits, query.captions
    assert parsed >= 0.97 * len(drawn)


@pytest.mark.slow
def test_descriptions_fit_what_they_describe(items):
    rng = random.Random(3)
    parsed = 0
    for item in items[:150]:
        full = parse_modification(describe_fully(item.garment, rng))
        partial = parse_modification(describe(item.garment, rng))
        assert partial is None or partial.fits(item.garment)
        if full is not None:
            parsed += 1
            assert [other.id for other in items if full.fits(other.garment)] == [item.id]
    assert parsed >= 0.9 * 150


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("longer", {"length": {"long"}}),
        ("Blue, with long sleeves!", {"colour": {"blue"}, "sleeve": {"long"}}),
        ("no stripes", {"pattern": None}),
        ("without any pattern", {"pattern": {"plain"}, "second_colour": {"none"}}),
        ("in navy with white polka dots", {"colour": {"blue"}, "shade": {"dark"}}),
        ("without a belt or sleeves", {"waist": {"plain"}, "sleeve": {"sleeveless"}}),
    ],
)
def test_a_modification_keeps_what_it_leaves_out(words, changes):
    demand = parse_modification(words, DRESS)
    assert demand.category == "dress"
    for name, values in demand.values.items():
        if name not in changes and name not in ("shade", "pattern", "second_colour"):
            assert values == {DRESS[name]}
    for name, values in changes.items():
        assert demand.values[name] == values or values is None
    if words == "no stripes":
        assert not demand.values["pattern"] & {"striped", "pinstriped"}


def test_another_category_keeps_the_look():
    demand = parse_modification("as a skirt", DRESS)
    assert demand.category == "skirt"
    assert demand.values["colour"] == {"orange"}
    assert demand.values["second_colour"] == {"white"}
    assert "length" not in demand.values


@pytest.mark.parametrize(
    "words",
    [
        "", "...", "cosy", "blue <b>", "blau", "longer than 2 metres",
        "make the sleeves blue",  # the catalogue has no sleeves of another color
        "with red buttons", "a floral print in red and not", "blue and red", "with or without",
        "no stripes and a belt and no belt", "longer and shorter", "no belt or stripes", "no",
        "no leopard print and polka dots",  # are the dots wanted?
    ],
)  # fmt: skip
def test_ambiguous_words_are_not_parsed(words):
    assert parse_modification(words, DRESS) is None


@pytest.mark.parametrize("words", ["blue", "a longer dress", "something red", "a dress or a skirt"])
def test_a_description_names_a_category_and_compares_with_nothing(words):
    assert parse_modification(words) is None


def test_a_description_leaves_open_what_it_does_not_say():
    demand = parse_modification("an orange striped dress")
    assert demand.fits(DRESS)
    assert demand.fits(DRESS.with_values(length="long"))
    assert not demand.fits(DRESS.with_values(colour="blue"))
    assert parse_modification("a cardigan").values == {"fastening": {"buttons"}}
