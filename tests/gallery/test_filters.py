"""Filters: how they are read and written, which pictures fit, and what is said of mistakes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwc.errors import QueryError
from dwc.gallery.filters import (
    AllOf,
    AnyOf,
    Comparison,
    Membership,
    Missing,
    Not,
    find_matching,
    format_filter,
    join_filters,
    parse_filter,
    parts_by_column,
    unmatched_notes,
)
from dwc.gallery.metadata import Metadata

TYPES = {
    "category": "text", "colour": "text", "price": "number", "new": "boolean", "unit price": "text",
    "size": "text", "code": "text",
}  # fmt: skip
ROWS = [
    ("dress", "red", 20.0, True, "a", "38", "00123"),
    ("dress", "Blue", 50.0, False, "b", "NA", "123"),
    ("polo shirt", "red", None, None, "c", "40", None),
    ("skirt", None, 80.5, True, None, "38", "x and y"),
    ("Dress", "green", -3.0, False, "a", None, 'say "so"'),
]
METADATA = Metadata.from_rows(TYPES, enumerate(ROWS), len(ROWS) + 1)  # the last has no row


def fitting(text):
    filter = parse_filter(text, METADATA)
    return np.flatnonzero(find_matching(filter, METADATA)).tolist()


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("category = dress", [0, 1, 4]),
        ("category == 'dress'", [0, 1, 4]),
        ("Category=polo shirt", [2]),
        ("category != dress", [2, 3, 5]),
        ("category in (skirt, polo shirt)", [2, 3]),
        ("category not in (skirt, polo shirt)", [0, 1, 4, 5]),
        ("not category in (skirt)", [0, 1, 2, 4, 5]),
        ("price < 50", [0, 4]),
        ("price <= 50", [0, 1, 4]),
        ("price ≥ 50", [1, 3]),
        ("price > -5 and price < 0", [4]),
        ("price = 50.0", [1]),
        ("price <> 50", [0, 2, 3, 4, 5]),
        ("not price < 50", [1, 2, 3, 5]),
        ("price is missing", [2, 5]),
        ("price is not missing", [0, 1, 3, 4]),
        ("new = TRUE", [0, 3]),
        ("new != true", [1, 2, 4, 5]),
        ("unit price = a", [0, 4]),
        ('"unit price" = "a"', [0, 4]),
        ("size = NA", [1]),
        ("code = 00123", [0]),
        ("code = 123", [1]),
        ('code = "x and y"', [3]),
        ('code = "say \\"so\\""', [4]),
        ("category = dress and colour = red or category = skirt", [0, 3]),
        ("category = dress and (colour = red or colour = blue)", [0, 1]),
        ("not (category = dress and colour = red)", [1, 2, 3, 4, 5]),
        ("colour in (RED) and not category = dress", [2]),
        ("category = nothing", []),
    ],
)
def test_a_filter_selects(text, positions):
    assert fitting(text) == positions


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colr = red", "'colr', which this gallery does not have.*category, code, colour, new"),
        ("Colors = red", "'Colors', which this gallery does not have.*Did you mean 'colour'"),
        ("size < 40", "'size' by <, which numbers allow.*such as 'NA'"),
        ("new > true", "its values are true or false"),
        ("price < cheap", "'price' with 'cheap'; expected a number"),
        ("price = nan", "expected a number"),
        ("new = yes", "expected true or false"),
        ("category", "its end follows 'category'|'category' is no condition"),
        ("category =", "its end stands where a value of 'category'"),
        ("category in dress", "expected a list in parentheses"),
        ("category in (dress", "expected a comma or a closing parenthesis"),
        ("(category = dress", "expected a closing parenthesis"),
        ("category = dress)", r"'\)' follows 'dress'"),
        ('category = "dress', "quotation mark may not be closed"),
        ("category = red and white", "'white' is no condition.*quotation marks"),
        ("category = dress colour = red", "'=' follows 'colour'"),
        ("price is cheap", "'cheap' follows 'is'"),
        ("= dress", "where a column was expected"),
        ("and", "no condition|column was expected"),
        ("(" * 100 + "price < 5" + ")" * 100, "nested more than 40"),
        ("price < 5 or " * 4000, "at most 20,000"),
    ],
)
def test_a_mistake_is_named(text, says):
    with pytest.raises(QueryError, match=says):
        parse_filter(text, METADATA)


GERMAN = Metadata(METADATA.columns, METADATA.count, ["price"])


@pytest.mark.parametrize(
    ("text", "thousands", "decimal"),
    [
        ("price < 1.000", "1000", "1"),
        ("price = 12.500", "12500", "12.5"),
        ('price not in (3, "-1.125")', "-1125", "-1.1250"),
    ],
)
def test_a_point_that_may_separate_thousands_is_not_guessed(text, thousands, decimal):
    """1.000 was compared as 1 with a column in which 1.000 had been read as 1000."""
    with pytest.raises(QueryError, match=f"may be {thousands} or {decimal}; write one of these"):
        parse_filter(text, GERMAN)
    assert parse_filter(text, METADATA) is not None
    for number in (thousands, decimal):
        assert parse_filter(f"price >= {number}", GERMAN) == Comparison(
            "price", ">=", float(number)
        )


@pytest.mark.parametrize("number", ["0.125", "1000.125", "1.25", "1.5", "100", "20.0"])
def test_other_numbers_are_read_in_any_column(number):
    assert parse_filter(f"price < {number}", GERMAN) == Comparison("price", "<", float(number))


@pytest.mark.parametrize("number", [1.125, -12.345, 1.25, 1000.125, 0.125, 1000.0, 1e20])
def test_a_number_is_written_so_that_every_column_reads_it(number):
    for condition in (Comparison("price", "<", number), Membership("price", (number,))):
        for metadata in (GERMAN, METADATA):
            assert parse_filter(format_filter(condition), metadata) == condition


def test_a_gallery_without_metadata_says_so():
    empty = Metadata({}, 3)
    assert parse_filter("  ", empty) is None
    with pytest.raises(QueryError, match=r"this gallery has none. Put a metadata\.csv"):
        parse_filter("price < 3", empty)


def test_a_filter_is_one_typed_structure():
    filter = parse_filter("category in (a, b) and price < 5 and not (new = true)", METADATA)
    assert filter == AllOf(
        (
            Membership("category", ("a", "b")),
            Comparison("price", "<", 5.0),
            Not(Membership("new", (True,))),
        )
    )


def test_several_filters_are_joined():
    joined = join_filters(["category = dress or category = skirt", " ", "price > 30"])
    assert fitting(joined) == [1, 3]
    assert join_filters([]) == join_filters([""]) == ""
    assert join_filters(["price > 30"]) == "price > 30"


def test_a_value_that_no_picture_has_is_said():
    filter = parse_filter("category in (dres, skirt) and price < 5", METADATA)
    assert unmatched_notes(filter, METADATA) == [
        "No picture has category = 'dres'. Did you mean 'dress'?"
    ]


def test_parts_are_told_by_column():
    filter = parse_filter("price < 5 and (new = true or size = 38) and not price < 1", METADATA)
    by_column, others = parts_by_column(filter)
    assert list(by_column) == ["price"]
    assert len(by_column["price"]) == 2
    assert [format_filter(part) for part in others] == ["new = true or size = 38"]


texts = st.one_of(
    st.sampled_from(["dress", "polo shirt", "red", "not", "x and y", "00123", "is", 'a"b', "\\"]),
    st.text(st.characters(categories=["L", "N", "P", "Zs", "S"]), min_size=1).map(str.strip),
).filter(bool)
conditions = st.one_of(
    st.builds(
        Membership,
        st.sampled_from(["category", "colour", "unit price"]),
        st.lists(texts, min_size=1, max_size=3, unique=True).map(tuple),
    ),
    st.builds(Membership, st.just("new"), st.sampled_from([(True,), (False,), (True, False)])),
    st.builds(
        Comparison,
        st.just("price"),
        st.sampled_from(["<", "<=", ">", ">="]),
        st.floats(-1e6, 1e6).map(lambda number: number + 0.0),
    ),
    st.builds(Missing, st.sampled_from(list(TYPES))),
)


def compound(parts):
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    negated = parts.filter(lambda part: not isinstance(part, Not)).map(Not)
    return st.one_of(several.map(AnyOf), several.map(AllOf), negated)


def fits(filter, row):
    """The same by the definitions, for one picture."""
    if isinstance(filter, AllOf):
        return all(fits(part, row) for part in filter.parts)
    if isinstance(filter, AnyOf):
        return any(fits(part, row) for part in filter.parts)
    if isinstance(filter, Not):
        return not fits(filter.part, row)
    value = row.get(filter.column)
    if isinstance(filter, Missing):
        return value is None
    if value is None:
        return False
    if isinstance(filter, Comparison):
        limit = filter.limit
        return {
            "<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit,
        }[filter.operator]  # fmt: skip
    if isinstance(value, str):
        return value.casefold() in [text.casefold() for text in filter.values]
    return value in filter.values


@pytest.mark.slow
@given(st.recursive(conditions, compound, max_leaves=6))
def test_writing_and_reading_and_the_definitions_agree(filter):
    again = parse_filter(format_filter(filter), METADATA)
    expected = [fits(filter, METADATA.row(n)) for n in range(METADATA.count)]
    assert find_matching(filter, METADATA).tolist() == expected
    assert find_matching(again, METADATA).tolist() == expected
    assert format_filter(parse_filter(format_filter(again), METADATA)) == format_filter(again)
