"""What fits is told by the columns of the gallery's table, and only if they settle every word."""

import json
import os
from pathlib import Path

import pytest
import torch

from dwc.checkpoints import load
from dwc.datasets.wardrobe import WARDROBE_ATTRIBUTES, attribute_changes, read_wardrobe
from dwc.gallery.builder import build_store
from dwc.gallery.filters import find_matching, parse_filter
from dwc.gallery.metadata import Metadata
from dwc.gallery.sources import FolderSource
from dwc.modeling.text_cleaning import TypedText
from dwc.modeling.text_rephrasing import rephrase_exclusions
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.ui.api import compare_query
from dwc.ui.gallery_images import StoreImages
from dwc.ui.metadata_relevance import UnclearQueryError, describing_columns, match_metadata
from dwc.ui.panels import comparison
from dwc.ui.relevance import relevance_of
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery
from tests.ui.reading import read
from tests.ui.searching import search

NAMES = ("category", "label", "colour", "second", "shade", "pattern", "sleeve", "length")
TYPES = dict.fromkeys(NAMES, "text") | {"caption": "text", "price": "number"}
ROWS = [row.split() for row in """
dress   Dress   red   -     dark  plain   long       long
dress   Dress   red   white dark  striped long       long
dress   Dress   blue  -     dark  plain   long       long
dress   Dress   blue  white dark  striped long       long
dress   Dress   blue  white dark  dotted  long       long
dress   Dress   red   -     dark  plain   short      long
dress   Dress   red   -     dark  plain   sleeveless long
dress   Dress   red   -     dark  plain   long       short
dress   Dress   grey  -     dark  ?       long       long
skirt   Skirt   red   -     dark  plain   -          long
skirt   Skirt   red   white dark  striped -          long
skirt   Skirt   blue  -     light plain   -          short
t_shirt T-Shirt red   -     light plain   short      medium
t_shirt T-Shirt white -     light plain   sleeveless medium
t_shirt T-Shirt red   white light striped short      medium
t_shirt T-Shirt blue  white light other   short      medium
""".strip().splitlines()]  # fmt: skip
METADATA = Metadata.from_rows(
    TYPES,
    ((n, [*row, f"{n}. a {row[2]} thing", float(n % 3)]) for n, row in enumerate(ROWS)),
    len(ROWS),
)
DRESS, STRIPED, SKIRT, T_SHIRT = 0, 1, 9, 12


def fitting(text, reference, typed=None):
    """The numbers of the rows that fit."""
    return match_metadata(METADATA, text, typed, reference).mask.nonzero()[0].tolist()


@pytest.mark.parametrize(
    ("text", "reference", "rows"),
    [
        ("in blue", DRESS, [2]),
        ("is blue", DRESS, [2]),
        ("make it blue please", DRESS, [2]),
        ("with stripes", DRESS, [1]),
        ("a striped one", DRESS, [1]),
        ("blue and with dots", DRESS, [4]),
        ("without sleeves", DRESS, [6]),
        ("with short sleeves", DRESS, [5]),
        ("short sleeves", DRESS, [5]),
        ("in a short length", DRESS, [7]),
        ("a skirt", DRESS, [9]),
        ("as a striped skirt instead", DRESS, [10]),
        ("skirts in red", DRESS, [9]),
        ("in gray", STRIPED, []),
        ("in blue or grey", DRESS, [2]),
        ("in navy", STRIPED, [3]),
    ],
)
def test_what_fits_has_what_the_words_ask_for_and_all_else_of_the_picture(text, reference, rows):
    assert fitting(text, reference) == rows


@pytest.mark.parametrize(
    ("text", "reference", "rows"),
    [
        ("not red", DRESS, [2]),
        ("not red", 2, []),  # it is blue already, and so are those that fit
        ("not a skirt", SKIRT, [0, 5, 6]),
        ("without red", STRIPED, [3]),
        ("but not dark blue", STRIPED, []),
        ("not dark red", STRIPED, [3]),
        ("without a pattern", STRIPED, [0]),
    ],
)
def test_an_exclusion_changes_only_what_the_picture_has(text, reference, rows):
    assert fitting(text, reference) == rows


def test_what_the_model_reads_as_plain_is_the_exclusion_of_a_pattern():
    read, _, excluded = rephrase_exclusions("no stripes")
    assert read == "in plain"
    typed = TypedText(read, "no stripes", excluded=excluded)
    assert fitting(read, 3, typed) == [2, 4]  # dots are no stripes
    assert fitting("without stripes", 3) == [2, 4]
    assert fitting("in plain", 3, TypedText("in plain", "in plain")) == [2]


@pytest.mark.parametrize(
    ("text", "reference", "why"),
    [
        ("for a wedding", DRESS, "no value for these words: “for”, “wedding”"),
        ("with longer sleeves", DRESS, "“longer”"),
        ("without hood", DRESS, "no value for these words: “hood”"),
        ("in blue and red", DRESS, "several values of “colour”"),
        ("red or striped", DRESS, "“or”"),
        ("red or navy", DRESS, "several values"),
        ("in blue, not navy", DRESS, "“not”"),
        ("not without sleeves", DRESS, "“sleeves”"),
        ("as shorts", DRESS, "“shorts”"),  # not short
        ("same", DRESS, "name no value"),
        ("another color", DRESS, "“another”"),
    ],
)
def test_nothing_fits_where_the_columns_do_not_settle_the_words(text, reference, why):
    with pytest.raises(UnclearQueryError, match=why):
        fitting(text, reference)


def test_words_that_were_cut_off_leave_the_wish_unknown():
    with pytest.raises(UnclearQueryError, match="only the beginning"):
        fitting("in blue", DRESS, TypedText("in blue", "in blue with wings", cut="with wings"))


def columns(**texts):
    types = dict.fromkeys(texts, "text")
    rows = zip(*(cells.split() for cells in texts.values()), strict=True)
    rows = list(rows)
    return Metadata.from_rows(types, enumerate(rows), len(rows))


def test_a_value_of_two_columns_is_that_of_the_column_beside_it_or_of_the_one_that_applies():
    table = columns(
        body="red red blue blue red red", trim="red blue red - - blue", kind="a a a a b b"
    )
    assert match_metadata(table, "in red body", None, 2).mask.nonzero()[0].tolist() == [0]
    with pytest.raises(
        UnclearQueryError, match="“red” is a value of the columns “body” and “trim”"
    ):
        match_metadata(table, "in red", None, 2)
    # The fourth has no trim that could become red.
    assert match_metadata(table, "in red", None, 3).mask.nonzero()[0].tolist() == [0, 1]


def test_columns_that_say_the_same_change_together():
    match = match_metadata(METADATA, "a skirt", None, DRESS)
    changed = find_matching(match.stated, METADATA).nonzero()[0].tolist()
    assert changed == [9, 10, 11]
    loose = columns(
        kind="skirt skirt skirt top top top", sort="skirt top top skirt top top", hue="a a a a a b"
    )
    with pytest.raises(UnclearQueryError, match="do not tell which"):
        match_metadata(loose, "a skirt", None, 4)


LABELED = {
    "category": "hoodie hoodie jacket jacket skirt skirt jacket coat",
    "label": "Hoodies Hoodies Outwear Hoodies Skirts Skirts Outwear Outwear",
    "colour": "red blue red red red blue blue red",
}


@pytest.mark.parametrize(
    ("text", "reference", "rows"),
    [
        ("a jacket", 0, [2, 3]),  # not only the jacket that was labeled as a hoodie
        ("not a jacket", 2, [0, 4, 7]),
        ("outwear", 4, [2, 7]),
        ("in blue", 3, []),  # what does not change has to agree in both columns
        ("in blue", 2, [6]),
    ],
)
def test_a_column_that_describes_the_same_as_a_changed_one_is_not_compared(text, reference, rows):
    match = match_metadata(columns(**LABELED), text, None, reference)
    assert match.mask.nonzero()[0].tolist() == rows


def test_columns_with_the_same_names_for_other_things_are_compared():
    table = columns(
        sleeve="long long short short long short",
        length="long short short long long short",
        kind="a a a a b b",
    )
    assert match_metadata(table, "with short sleeves", None, 0).mask.nonzero()[0].tolist() == [3]


def test_a_column_beside_a_value_is_the_only_one_that_changes():
    table = columns(body="red red blue blue", trim="red red blue blue", kind="a a a b")
    assert match_metadata(table, "in red", None, 2).mask.nonzero()[0].tolist() == [0, 1]
    assert match_metadata(table, "in red body", None, 2).mask.nonzero()[0].tolist() == []


def test_captions_and_numbers_are_not_compared():
    assert list(describing_columns(METADATA)) == [*NAMES]
    many = [f"title {n}" for n in range(100)]
    table = Metadata.from_rows({"title": "text"}, ((n, [t]) for n, t in enumerate(many)), 100)
    assert describing_columns(table) == {}
    with pytest.raises(UnclearQueryError, match="nobody has said"):
        match_metadata(table, "in blue", None, 0)


def test_a_picture_of_which_nothing_else_is_known_settles_nothing():
    table = columns(colour="red blue red blue blue red", kind="dress ? dress dress - ?")
    with pytest.raises(UnclearQueryError, match="nothing of this picture"):
        match_metadata(table, "in red", None, 1)


def test_unknown_values_neither_fit_nor_are_compared():
    grey = 8
    assert ROWS[grey][5] == "?"
    assert fitting("in grey", DRESS) == []  # whether it is plain is not known
    assert fitting("in blue", grey) == [2, 3, 4]  # its pattern is not known
    assert 15 not in fitting("without dots", T_SHIRT)  # another pattern may have dots, too


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """A searcher over twelve figures with a table, six of them striped; and the page's pictures."""
    folder = tmp_path_factory.mktemp("with_table")
    figures = folder / "figures"
    figures.mkdir()
    rows = [
        f"figure-{n:02d}.png,{'striped' if n % 2 else 'plain'},{('red', 'blue', 'green')[n // 4]},"
        f"the {n}. of twelve"
        for n in range(12)
    ]
    (figures / "metadata.csv").write_text("\n".join(["file_name,pattern,colour,caption", *rows]))
    draw_gallery(figures, 12)
    torch.set_num_threads(1)
    loaded = load.load(write_tiny_checkpoint(folder / "model"))
    store = build_store(
        FolderSource(figures), image_embedder(loaded), folder / "store", model_identity(loaded)
    )
    return Searcher(loaded, store), StoreImages(store)


@pytest.mark.slow
def test_the_page_outlines_what_fits_and_says_which_values_were_compared(gallery):
    searcher, images = gallery
    state = search(searcher, images, "figure-01.png", "in blue")
    panel = read(comparison.render(searcher, images, state))
    for column in panel.all("section", cls="ranking"):
        outlined = [item.attributes["data-id"] for item in column.all("li", cls="fits")]
        assert set(outlined) <= {"figure-05.png", "figure-07.png"}
        assert "of 2 that fit" in column.full_text()
    hint = panel.one(cls="hint").full_text()
    assert hint.startswith(
        "2 of the 12 pictures fit all that is asked for, to the letter; outlined"
    )
    assert [code.full_text() for code in panel.all("code")] == [
        "colour = blue",
        "pattern = striped",
    ]


@pytest.mark.parametrize(
    ("words", "reference", "why"),
    [
        ("is shorter", "figure-01.png", "no value for these words: “shorter”"),
        ("in blue", None, "without a picture"),
        ("", "figure-01.png", "without words"),
        ("for a wedding", "figure-01.png", "the model reads none of these words"),
    ],
)
def test_the_page_outlines_nothing_that_it_does_not_know(gallery, words, reference, why):
    searcher, images = gallery
    state = search(searcher, images, reference, words)
    panel = read(comparison.render(searcher, images, state))
    assert panel.all(cls="fits") == []
    assert "Nothing is marked as fitting" in panel.one(cls="hint").full_text()
    assert why in panel.one(cls="hint").full_text()


def test_the_api_lists_what_fits_with_a_filter_that_selects_it(gallery):
    searcher, images = gallery
    query = searcher.encode_query(text="not blue", reference_id="figure-05.png")
    answer = compare_query(searcher, images, query, 4)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert answer["why_unknown"] == ""
    expected = [f"figure-{n:02d}.png" for n in (1, 3, 9, 11)]
    assert answer["fitting"] == expected
    condition = parse_filter(answer["fitting_filter"], images.metadata)
    selected = find_matching(condition, images.metadata)
    assert [images.ids[n] for n in selected.nonzero()[0]] == expected
    alone = searcher.encode_query(text="blue")
    assert compare_query(searcher, images, alone, 4)["fitting_filter"] is None


def test_a_filter_of_the_search_holds_for_what_fits_too(gallery):
    searcher, images = gallery
    condition = 'caption != "the 5. of twelve"'
    query = searcher.encode_query(text="in blue", reference_id="figure-01.png", filter=condition)
    assert relevance_of(images, query).ids == {"figure-07.png"}


def test_a_question_is_read_once_for_all_steps_of_the_slider(gallery):
    searcher, images = gallery
    query = searcher.encode_query(text="is blue", reference_id="figure-01.png")
    assert relevance_of(images, query) is relevance_of(images, query)


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="needs the wardrobe's photographs")
def test_what_fits_is_right_by_the_rule_of_the_wardrobe_benchmark():
    folder = Path(os.environ["DWC_TEST_DATA"]) / "wardrobe"
    photographs = read_wardrobe(folder, "eval")
    types = dict.fromkeys(("category", *WARDROBE_ATTRIBUTES), "text")
    rows = [(n, (p.category, *p.attributes.values())) for n, p in enumerate(photographs)]
    table = Metadata.from_rows(types, rows, len(rows))
    queries = attribute_changes(photographs, 0)[::5]
    found = 0
    for query in queries:
        mask = match_metadata(table, query.words, None, query.reference).mask
        assert set(mask.nonzero()[0].tolist()) <= set(query.hits), query.words
        found += bool(mask.any())
    assert found > len(queries) / 3
