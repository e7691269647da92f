"""The wardrobe's table and the composed queries that are drawn from it."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from dwc.datasets.wardrobe import (
    CHANGEABLE,
    WARDROBE_ATTRIBUTES,
    Photograph,
    attribute_changes,
    changes_between,
    fits_words,
    image_path,
    phrase_changes,
    read_wardrobe,
    search_words,
)
from dwc.errors import DatasetError

COLUMNS = ("file", "split", "label", "category", "caption", *WARDROBE_ATTRIBUTES)
PLAIN = {
    "colour": "blue",
    "shade": "mid",
    "pattern": "plain",
    "second": "-",
    "sleeve": "short",
    "neckline": "round",
    "length": "medium",
    "fastening": "none",
}


def photograph(file: str, category: str = "t_shirt", **changes: str) -> Photograph:
    return Photograph(file, "eval", "T-Shirt", category, {**PLAIN, **changes}, f"caption {file}")


def random_wardrobe(seed: int, count: int = 60) -> list[Photograph]:
    rng = random.Random(seed)
    values = {
        "colour": ("blue", "red", "green"),
        "pattern": ("plain", "striped", "other"),
        "sleeve": ("short", "long", "-", "?"),
        "length": ("short", "medium"),
    }
    return [
        photograph(
            f"{n}.jpg",
            rng.choice(("t_shirt", "dress", "other")),
            **{name: rng.choice(options) for name, options in values.items()},
        )
        for n in range(count)
    ]


def write_table(folder: Path, photographs: list[Photograph], columns=COLUMNS) -> None:
    rows = [",".join(columns)]
    for one in photographs:
        row = {**vars(one), **one.attributes}
        rows.append(",".join(str(row[name]) for name in columns))
    (folder / "attributes.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_a_split_is_read_in_the_order_of_the_table(tmp_path: Path) -> None:
    photographs = [photograph("b.jpg"), photograph("a.jpg", colour="red")]
    write_table(tmp_path, photographs)
    assert read_wardrobe(tmp_path, "eval") == photographs
    assert read_wardrobe(tmp_path) == photographs
    assert image_path(tmp_path, "a.jpg") == tmp_path / "photos" / "a.jpg"


def test_what_is_no_wardrobe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no attributes\.csv.*--data FOLDER"):
        read_wardrobe(tmp_path)
    write_table(tmp_path, [photograph("a.jpg")], [name for name in COLUMNS if name != "caption"])
    with pytest.raises(DatasetError, match="lacks the columns caption"):
        read_wardrobe(tmp_path)
    write_table(tmp_path, [photograph("a.jpg")])
    with pytest.raises(DatasetError, match=r"no photograph of the split 'test'; it has eval"):
        read_wardrobe(tmp_path, "test")


def test_a_table_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    photographs = [photograph("a.jpg"), photograph("b.jpg", sleeve="long")]
    write_table(tmp_path, photographs)
    table = tmp_path / "attributes.csv"
    lines = table.read_text().replace(",", ", ").replace("\n", " \r\n")
    table.write_bytes(b"\xef\xbb\xbf" + lines.encode() + b"\r\n")
    assert read_wardrobe(tmp_path, "eval") == photographs
    queries = attribute_changes(read_wardrobe(tmp_path), 0)
    assert [query.changes for query in queries] == [{"sleeve": "long"}, {"sleeve": "short"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sleeve": "loong"}, "line 3: sleeve is 'loong'; expected one of sleeveless, short, elb"),
        ({"pattern": ""}, "line 3: pattern is ''; expected one of plain, "),
        ({"colour": ""}, "line 3: colour is ''; expected a value, or ? if it is unknown"),
        ({"second": "red,blue"}, "line 3: has 14 cells; expected 13"),
        ({"colour": "Blue"}, "line 3: colour is 'Blue'; expected 'blue'. Write it in the same"),
        ({"colour": "gray"}, "line 3: colour is 'gray'; expected 'grey'. Write it in the same"),
        ({"shade": "dunkel"}, "line 3: shade is 'dunkel'; expected one of dark, light, mid, -, "),
        ({"neckline": "Round"}, "line 3: neckline is 'Round'; expected 'round', as in line 2"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, change, message) -> None:
    write_table(tmp_path, [photograph("a.jpg"), photograph("b.jpg", **change)])
    with pytest.raises(DatasetError) as raised:
        read_wardrobe(tmp_path)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "first"),
    [
        ("category", "T-shirt", "t_shirt"), ("split", "Eval", "eval"),
        ("label", "t-shirt", "T-Shirt"), ("caption", "", None), ("caption", "-", None),
        ("file", "a.jpg", None),
    ],
)  # fmt: skip
def test_a_field_that_would_change_the_numbers_is_named(tmp_path, name, value, first) -> None:
    other = replace(photograph("b.jpg"), **{name: value})
    write_table(tmp_path, [photograph("a.jpg"), photograph("c.jpg"), other])
    with pytest.raises(DatasetError) as raised:
        read_wardrobe(tmp_path)
    assert "line 4: " in str(raised.value)
    if first is not None:
        assert f"{name} is {value!r}; expected {first!r}, as in line 2" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("colour", "n/a", "?"), ("pattern", "N/A", "?"), ("sleeve", "none", "?"),
        ("length", "\u2014", "?"), ("pattern", "Other", "other"), ("fastening", "none", "none"),
        ("colour", "unknown", "?"), ("sleeve", "-", "-"),
    ],
)  # fmt: skip
def test_unknown_values_are_read_however_they_are_written(tmp_path, name, value, read) -> None:
    write_table(tmp_path, [photograph("a.jpg", **{name: value}), photograph("b.jpg")])
    first, second = read_wardrobe(tmp_path)
    assert first.attributes == {**PLAIN, name: read}
    if read != "none":
        assert first.known(name) is None
        assert changes_between(second, first) == {}


def test_photographs_of_an_unknown_category_are_not_asked_for(tmp_path) -> None:
    rows = [photograph(f"{n}.jpg", "N/A", colour=c) for n, c in enumerate(("red", "blue"))]
    write_table(tmp_path, rows)
    assert attribute_changes(read_wardrobe(tmp_path), 0) == []


def test_shades_may_be_left_blank(tmp_path) -> None:
    write_table(tmp_path, [photograph("a.jpg", shade=""), photograph("b.jpg", shade="dark")])
    assert [one.attributes["shade"] for one in read_wardrobe(tmp_path)] == ["", "dark"]


def test_a_repeated_column_is_named_and_spelling_of_columns_is_free(tmp_path) -> None:
    write_table(tmp_path, [photograph("a.jpg")])
    table = tmp_path / "attributes.csv"
    text = table.read_text()
    table.write_text(text.replace("colour,", "Color,").replace("file,", "File,").replace(",", ";"))
    assert read_wardrobe(tmp_path) == [photograph("a.jpg")]
    table.write_text(text.replace("\n", ",colour\n", 1).replace("none", "none,red"))
    with pytest.raises(DatasetError, match="line 1: has the column colour more than once"):
        read_wardrobe(tmp_path)


def test_a_table_in_another_encoding_is_named(tmp_path: Path) -> None:
    write_table(tmp_path, [photograph("a.jpg"), photograph("b.jpg", colour="ros\u00e9")])
    table = tmp_path / "attributes.csv"
    assert len(read_wardrobe(tmp_path)) == 2
    table.write_bytes(table.read_text(encoding="utf-8").encode("cp1252"))
    with pytest.raises(DatasetError, match="line 3: has the byte 0xe9; expected UTF-8"):
        read_wardrobe(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_hits_are_all_photographs_with_what_is_wished_for(seed: int) -> None:
    photographs = random_wardrobe(seed)
    queries = attribute_changes(photographs, seed)
    assert len({query.reference for query in queries}) == len(queries) > 20
    for query in queries:
        reference = photographs[query.reference]
        assert reference.category != "other"
        assert 1 <= len(query.changes) <= 2
        wanted = {}
        for name in CHANGEABLE:
            value = query.changes.get(name, reference.attributes[name])
            if value not in ("-", "?", "other"):
                wanted[name] = value
        expected = {
            row
            for row, one in enumerate(photographs)
            if one.category == reference.category
            and row != query.reference
            and all(one.attributes[name] == value for name, value in wanted.items())
        }
        assert set(query.hits) == expected
        assert expected
        known = sum(reference.attributes[name] not in ("-", "?", "other") for name in CHANGEABLE)
        assert query.image_share == pytest.approx(1 - len(query.changes) / (1 + known))
        assert all(reference.attributes[name] != value for name, value in query.changes.items())


def test_the_seed_draws_the_changes() -> None:
    photographs = random_wardrobe(0)
    assert attribute_changes(photographs, 1) == attribute_changes(photographs, 1)
    assert attribute_changes(photographs, 1) != attribute_changes(photographs, 2)


def test_unknown_attributes_are_not_requested() -> None:
    reference = photograph("a.jpg")
    assert changes_between(reference, photograph("b.jpg", pattern="other")) == {}
    assert changes_between(reference, photograph("b.jpg", colour="red")) == {"colour": "red"}
    assert changes_between(photograph("a.jpg", pattern="other"), photograph("b.jpg")) == {}
    three = photograph("b.jpg", colour="red", pattern="striped", sleeve="long")
    assert changes_between(reference, three) == {}


def test_a_named_color_is_one_of_the_target_and_its_shade() -> None:
    phrases = {
        phrase_changes({"colour": "blue"}, "dark", random.Random(seed)) for seed in range(60)
    }
    assert phrases == {"in blue", "in navy", "in dark blue"}
    both = phrase_changes({"pattern": "striped", "sleeve": "sleeveless"}, "mid", random.Random(0))
    assert " and " in both
    assert "strip" in both
    assert "sleeve" in both


def test_words_fit_if_every_column_has_a_fitting_value() -> None:
    words = {wanted.words: wanted for wanted in search_words()}
    assert len(words) == len(search_words())  # no words have two meanings
    skirt = photograph("a.jpg", "skirt", length="long")
    assert fits_words(skirt, words["maxi skirt"])
    assert not fits_words(skirt, words["mini skirt"])
    assert not fits_words(replace(skirt, category="dress"), words["maxi skirt"])
    assert fits_words(replace(skirt, category="waistcoat"), words["vest"])
    assert not fits_words(skirt, words["kids"])
    assert fits_words(replace(skirt, kids="true"), words["kids"])


def test_the_column_of_children_is_optional(tmp_path: Path) -> None:
    write_table(tmp_path, [photograph("a.jpg")])
    assert read_wardrobe(tmp_path)[0].kids == "?"
    write_table(tmp_path, [replace(photograph("a.jpg"), kids="true")], (*COLUMNS, "kids"))
    assert read_wardrobe(tmp_path)[0].kids == "true"
