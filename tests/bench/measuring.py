"""Measuring side by side: a ratio of two things timed in turns says more than either time."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


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
    times: dict[Callable[[], object], list[float]] = {ours: [], base: []}
    for turn in range(warm_up + rounds):
        for work, taken in times.items():
            start = clock()
            work()
            if turn >= warm_up:
                taken.append((clock() - start) * 1e3)
    return Comparison(*(statistics.median(taken) for taken in times.values()))


def tell(what: str, measured: str, limit: str) -> None:
    """One row of the table that `make bench` prints."""
    print(f"\n{what:<62} {measured:>34}   {limit}", end="")


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
