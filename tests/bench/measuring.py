"""Measuring side by side: a ratio of two things timed in turns says more than either time.

Rows of the table of `assets/docs/speed.md` are written to the JSON file that DWC_BENCH_TABLE names,
if it is set; `rows_of_table` is the table of such a file.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dwc.files import write_json


class Comparison(NamedTuple):
    """Medians in milliseconds of two things done in turns."""

    ours_ms: float
    base_ms: float

    @property
    def ratio(self) -> float:
        return self.ours_ms / self.base_ms


def in_turns(
    ours: Callable[[], object],
    base: Callable[[], object],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: int = 1,
) -> Comparison:
    """Time both, one after the other, `rounds` times; so that a busy machine slows both alike."""
    return Comparison(*medians_in_turns((ours, base), rounds, clock, warm_up))


def medians_in_turns(
    works: Sequence[Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: int = 1,
) -> list[float]:
    """Time several works, one after the other, `rounds` times; the median of each in ms."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(warm_up + rounds):
        for work, taken in zip(works, times, strict=True):
            start = clock()
            work()
            if turn >= warm_up:
                taken.append((clock() - start) * 1e3)
    return [statistics.median(taken) for taken in times]


def tell(what: str, measured: str, limit: str) -> None:
    """One row of the table that `make bench` prints."""
    print(f"\n{what:<62} {measured:>34}   {limit}", end="")


class Row(NamedTuple):
    """A measured value beside another of the same run.

    Attributes:
        what: What was measured.
        value: The measured value.
        unit: "s", "ms" or "MB"; empty for a number.
        beside: What it is compared with.
        reference: The value of what it is compared with, in the same unit.
        limit: The largest ratio of the two that is good enough; None if there is none.
    """

    what: str
    value: float
    unit: str
    beside: str
    reference: float
    limit: float | None

    @property
    def ratio(self) -> float:
        return self.value / self.reference

    @property
    def is_met(self) -> bool:
        return self.limit is None or self.ratio <= self.limit


def check_rows(section: str, rows: Sequence[Row]) -> None:
    """Print rows of the table of speed, write them to its JSON file, and check their limits.

    Args:
        section: The section of the table, whose rows are replaced; the others stay.
        rows: What was measured in one run.
    """
    for row in rows:
        tell(
            f"{row.what} / {row.beside}",
            f"{_format(row.value, row.unit)} / {_format(row.reference, row.unit)} = "
            f"{row.ratio:.2f}",
            "told only" if row.limit is None else f"at most {row.limit}",
        )
    if name := os.environ.get("DWC_BENCH_TABLE"):
        file = Path(name)
        table = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        write_json(file, {**table, section: [row._asdict() for row in rows]})
    assert [row for row in rows if not row.is_met] == []


def rows_of_table(table: Mapping[str, Iterable[Mapping]]) -> list[str]:
    """The rows of the table of speed in Markdown, without its head.

    Args:
        table: The rows that `check_rows` has written, by section.
    """
    rows = [Row(**fields) for section in table.values() for fields in section]
    return [
        f"| {row.what} | {_format(row.value, row.unit)} | {row.beside}, "
        f"{_format(row.reference, row.unit)} | {row.ratio:.2f} | "
        f"{'' if row.limit is None else row.limit} | {'yes' if row.is_met else '**no**'} |"
        for row in rows
    ]


def _format(value: float, unit: str) -> str:
    decimals = {"s": 2, "ms": 0, "MB": 0, "": 0}[unit]
    return f"{value:,.{decimals}f} {unit}".rstrip()


def rows_of_sizes(sizes: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The rows of the table of gallery sizes in Markdown, without its head.

    Args:
        sizes: What `test_gallery_sizes.py` measured, by the number of pictures.
    """
    cells = {
        "store with thumbnails": lambda row: f"{row['store_mb']:,.0f} MB",
        "start, to the first answer": lambda row: f"{row['start_s']:.1f} s",
        "search, median": lambda row: f"{row['search_ms']:.0f} ms",
        "search, 95th percentile": lambda row: f"{row['search_p95_ms']:.0f} ms",
        "a step of the slider": lambda row: f"{row['slider_ms']:.1f} ms",
        "memory of its own": lambda row: f"{row['memory_mb']:,.0f} MB",
        "the same with mapped files but the vectors'": lambda row: f"{row['resident_mb']:,.0f} MB",
    }
    return [
        f"| {name} | " + " | ".join(write(row) for row in sizes.values()) + " |"
        for name, write in cells.items()
    ]
