"""Reading of CSV tables as people and spreadsheets write them."""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from dwc.errors import DatasetError


def read_csv_rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a UTF-8 CSV file, the first of which usually has the names of the columns.

    A byte-order mark and spaces around cells are removed, and rows without any text are omitted.
    Rows may have different numbers of cells.

    Yields:
        The number of the row's last line, from 1, and the cells.

    Raises:
        DatasetError: The file is not UTF-8, or its quotation marks are damaged.
    """
    content = table.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{table}, line {line}: has the byte {content[error.start]:#04x}; expected UTF-8. "
            "Save the table again with the encoding UTF-8"
        ) from None
    reader = csv.reader(StringIO(text, newline=""), skipinitialspace=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DatasetError(
            f"{table}, line {reader.line_num}: cannot be read ({error}); expected cells that are "
            "separated with commas. Save the table again"
        ) from error


def wrong_cell_count(position: str, cells: int, columns: int) -> str:
    """Return the message for a row that has another number of cells than there are columns.

    Args:
        position: The table and the line of the row.
        cells: The number of cells in the row.
        columns: The number of columns.
    """
    return (
        f"{position}: has {cells} cells; expected {columns}, one for each column. "
        "Put a text that has a comma between quotation marks"
    )
