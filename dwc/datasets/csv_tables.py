"""Reading of CSV tables as people and spreadsheets write them."""

import csv
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection, Iterator
from io import StringIO
from pathlib import Path

from dwc.errors import DatasetError


def spelling_key(text: str) -> str:
    """Return a form of a name or value that does not depend on how people spell it.

    Upper case, hyphens, underscores and spaces are ignored, and American spelling becomes British:
    "T-Shirt" and "t_shirt" have the same key, and so do "gray" and "grey".
    """
    key = "".join(char for char in text.casefold() if char.isalnum())
    return key.replace("gray", "grey").replace("color", "colour")


def is_number(text: str) -> bool:
    """Return whether a cell is a number as Python writes it, such as `1.5`, `-2e3` or `nan`."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_csv_rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file; the first row usually has the names of the columns.

    The file is UTF-8, or UTF-16 with a byte-order mark. Cells are separated with commas, or with
    semicolons or tabs if the first row has more of these. A byte-order mark, spaces around cells
    and empty cells at the end of all rows are removed, and rows without any text are omitted. Rows
    may have different numbers of cells.

    Yields:
        The number of the row's last line, from 1, and the cells.

    Raises:
        DatasetError: The file has another encoding, or its quotation marks are damaged.
    """
    text = _decode(table)
    first_line = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first_line.count)  # the first of these if they are equally frequent
    if first_line.startswith("sep="):  # written by Excel
        text = text.replace(first_line, "", 1)
    reader = csv.reader(
        StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    columns = 0
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not columns:
                columns = len(_without_empty_end(cells))
            yield reader.line_num, cells[:columns] + _without_empty_end(cells[columns:])
    except csv.Error as error:
        raise DatasetError(
            f"{table}, line {reader.line_num}: cannot be read ({error}); expected cells that are "
            "separated with commas, and quotation marks around whole cells. Look for a cell that "
            "begins with a quotation mark up to this line"
        ) from error


def _decode(table: Path) -> str:
    content = table.read_bytes()
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{table}, line {line}: has the byte {content[error.start]:#04x}; expected UTF-8. "
            "Save the table again with the encoding UTF-8"
        ) from None


def _without_empty_end(cells: list[str]) -> list[str]:
    """Return cells without the empty ones at the end."""
    filled = [position for position, cell in enumerate(cells, start=1) if cell]
    return cells[: filled[-1]] if filled else []


def read_table(table: Path, columns: Collection[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file whose first row has the names of the columns.

    The names of the columns may differ from the given names as `spelling_key` allows. Further
    columns are returned with their names as written.

    Args:
        table: The CSV file; see `read_csv_rows`.
        columns: The names of the columns that the table must have.

    Returns:
        For each row, the number of its last line, and its cells by column.

    Raises:
        DatasetError: The file cannot be read, lacks a column or has one twice, has no rows, or a
            row has too few or too many cells.
    """
    expected = {spelling_key(name): name for name in columns}
    names: list[str] = []
    rows = []
    for line, cells in read_csv_rows(table):
        if not names:
            names = [expected.get(spelling_key(cell), cell) for cell in cells]
            repeated = sorted({name for name in names if name in columns and names.count(name) > 1})
            if repeated:
                raise DatasetError(
                    f"{table}, line {line}: has the column {', '.join(repeated)} more than once. "
                    "Remove or rename the others"
                )
        elif len(cells) != len(names):
            raise DatasetError(wrong_cell_count(f"{table}, line {line}", len(cells), len(names)))
        else:
            rows.append((line, dict(zip(names, cells, strict=True))))
    absent = set(columns).difference(names)
    if absent or not rows:
        listed = ", ".join(sorted(absent or columns))
        raise DatasetError(f"{table} lacks the columns {listed}, or has no row")
    return rows


def wrong_cell_count(position: str, cells: int, columns: int) -> str:
    """Return the message for a row that has another number of cells than there are columns.

    Args:
        position: The table and the line of the row.
        cells: The number of cells in the row.
        columns: The number of columns.
    """
    advice = (
        "Put a text that has a comma between quotation marks"
        if columns > 1
        else "The first line must have the names of the columns: remove a title above it"
    )
    return f"{position}: has {cells} cells; expected {columns}, one for each column. {advice}"
