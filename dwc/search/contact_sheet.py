"""Draw the results of several searches in one image, for example for a figure.

Each row of the image belongs to one search: it has the reference picture, the text, the weights of
picture and text, and the first results.

python -m dwc.search.contact_sheet wardrobe.store queries.csv --out assets/figures/searches.png

The table of queries has the columns `reference` (the id of a picture of the gallery, or empty) and
`text` (or empty).
"""

import argparse
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from dwc.checkpoints.load import load
from dwc.datasets.annotation_files import read_table
from dwc.errors import DatasetError, QueryError
from dwc.gallery.store import Store
from dwc.search.results import SearchResult
from dwc.search.searcher import Searcher

RESULTS = 6
"""Number of results in a row."""

_GAP = 6
_TEXT_COLUMNS = 1.6  # width of the text column, in tiles
_IMAGE_COLOR, _TEXT_COLOR = "#d9822b", "#2f6bd8"
_INK, _SOFT, _PAPER = "#1c2330", "#5b6678", "white"


@dataclass(frozen=True)
class SheetQuery:
    """One query of the input table; its results fill one row of the drawn image.

    Attributes:
        reference: Id of the reference picture in the gallery; empty for none.
        text: The text of the query; empty for none.
    """

    reference: str
    text: str


def read_queries(table: Path) -> list[SheetQuery]:
    """Read a table of queries with the columns `reference` and `text`.

    Raises:
        QueryError: The file is not a table with these columns.
    """
    try:
        rows = read_table(table, ("reference", "text"))
    except (OSError, DatasetError) as error:
        raise QueryError(str(error)) from error
    return [SheetQuery(cells["reference"], cells["text"]) for _, cells in rows]


def draw_sheet(searcher: Searcher, queries: Sequence[SheetQuery], tile: int = 120) -> Image.Image:
    """Search with every query, and return one image with a row for each query and its results.

    Args:
        searcher: The model and the gallery.
        queries: The queries.
        tile: Width and height of the square for each reference or result picture, in pixels.
    """
    width = int((1 + _TEXT_COLUMNS + RESULTS) * (tile + _GAP)) + _GAP
    sheet = Image.new("RGB", (width, len(queries) * (tile + _GAP) + _GAP), _PAPER)
    for row, query in enumerate(queries):
        result = searcher.search(None, query.text, RESULTS, reference_id=query.reference or None)
        _draw_row(sheet, _GAP + row * (tile + _GAP), tile, searcher.store, query, result)
    return sheet


def _draw_row(
    sheet: Image.Image, top: int, tile: int, store: Store, query: SheetQuery, result: SearchResult
) -> None:
    if query.reference:
        _paste(sheet, store, query.reference, _GAP, top, tile)
    left = _GAP + tile + _GAP
    width = int(_TEXT_COLUMNS * (tile + _GAP)) - 2 * _GAP
    pen = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(tile / 8), ImageFont.load_default(tile / 11)
    lines = textwrap.wrap(query.text or "(no words)", 22)[:3]
    pen.multiline_text((left + _GAP, top + _GAP), "\n".join(lines), _INK, font)
    height = tile // 12
    for number, (name, weight) in enumerate(result.weights.items()):
        y = top + tile - (len(result.weights) - number) * (height * 2 + _GAP)
        edge = left + _GAP + round((width - _GAP) * weight.image)
        pen.text((left + _GAP, y), f"{name}: picture {weight.image:.0%}", _SOFT, small)
        bar = y + round(height * 1.3)
        pen.rectangle((left + _GAP, bar, left + width, bar + height // 2), _TEXT_COLOR)
        if weight.image > 0:
            pen.rectangle((left + _GAP, bar, edge, bar + height // 2), _IMAGE_COLOR)
    left += width + 2 * _GAP
    for number, hit in enumerate(result.hits):
        _paste(sheet, store, hit.id, left + number * (tile + _GAP), top, tile)


def _paste(sheet: Image.Image, store: Store, id: str, left: int, top: int, tile: int) -> None:
    picture = ImageOps.contain(store.picture(id).image.convert("RGB"), (tile, tile))
    x = left + (tile - picture.width) // 2
    y = top + (tile - picture.height) // 2
    sheet.paste(picture, (x, y))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command: search with each query of a table, and save an image of the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", help="a folder made by: python -m dwc index")
    parser.add_argument("queries", type=Path, help="a CSV table: reference,text")
    parser.add_argument("--out", type=Path, required=True, help="the PNG or JPEG file to write")
    parser.add_argument("--tile", type=int, default=120, help="pixels of a picture (120)")
    args = parser.parse_args(arguments)
    store = Store.open(args.store)
    searcher = Searcher(load(store.manifest.model.name, store.manifest.model.revision), store)
    draw_sheet(searcher, read_queries(args.queries), args.tile).save(args.out)


if __name__ == "__main__":
    main()
