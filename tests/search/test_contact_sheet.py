"""A page of searches: rows of a reference, words, weights and results."""

import pytest
from PIL import Image

from dwc.errors import QueryError
from dwc.search.contact_sheet import RESULTS, SheetQuery, draw_sheet, main, read_queries
from dwc.search.searcher import Searcher


def pixels(picture):
    return picture.convert("RGB").tobytes()


@pytest.mark.slow
def test_a_row_shows_the_reference_and_the_results_in_order(loaded, store):
    searcher = Searcher(loaded, store)
    tile = 64
    sheet = draw_sheet(searcher, [SheetQuery("p03.png", "in red"), SheetQuery("", "blue")], tile)
    assert sheet.height == 2 * (tile + 6) + 6
    result = searcher.search(None, "in red", RESULTS, reference_id="p03.png")
    left = sheet.width - RESULTS * (tile + 6)
    for number, id in enumerate(["p03.png", *(hit.id for hit in result.hits)]):
        x = 6 if number == 0 else left + (number - 1) * (tile + 6)
        shown = sheet.crop((x, 6, x + tile, 6 + tile))
        original = store.picture(id).image.convert("RGB")
        size = (tile, round(tile * original.height / original.width))
        top = (tile - size[1]) // 2
        assert pixels(shown.crop((0, top, tile, top + size[1]))) == pixels(
            original.resize(size, Image.Resampling.BICUBIC)
        )
    empty = sheet.crop((6, tile + 12, 6 + tile, 2 * tile + 12))
    assert empty.getcolors() == [(tile * tile, (255, 255, 255))]  # the second has no reference


def test_a_table_of_queries_is_drawn_to_a_file(store, tmp_path):
    table = tmp_path / "queries.csv"
    table.write_text("\ufeffreference,text\np01.png,in green\n,red\n", encoding="utf-8")
    assert read_queries(table) == [SheetQuery("p01.png", "in green"), SheetQuery("", "red")]
    main([str(store.path), str(table), "--out", str(tmp_path / "sheet.png"), "--tile", "48"])
    assert Image.open(tmp_path / "sheet.png").height == 2 * 54 + 6


@pytest.mark.parametrize("content", [b"", b"picture,words\na.png,red\n", b"reference,text\n\xff\n"])
def test_other_tables_are_refused(tmp_path, content):
    table = tmp_path / "queries.csv"
    table.write_bytes(content)
    with pytest.raises(QueryError, match=r"queries\.csv"):
        read_queries(table)
