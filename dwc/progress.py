"""Progress of long tasks: a tqdm bar on a terminal, otherwise log lines at intervals."""

import logging
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 10.0
_LINE = "{desc} {n_fmt}/{total_fmt}{postfix}  {elapsed}, {remaining} left"


def progress_bar(
    total: int,
    description: str,
    logger: logging.Logger,
    done: int = 0,
    line_every: int | None = None,
) -> tqdm:
    """Return a progress bar that counts to `total`; call its `update(n)`, and `close()` at the end.

    If stderr is not a terminal, the bar writes lines to `logger` at level INFO instead, so that a
    log file stays readable.

    Args:
        total: Number of units to count.
        description: Text before the numbers that says what is counted.
        logger: The logger for the progress lines, which replace the bar if stderr is not a
            terminal.
        done: Number of units that were already finished when the bar starts.
        line_every: Number of units after which a line is written; by default a line is written
            every 10 seconds. A line is always written at the end.
    """
    if sys.stderr.isatty():
        return tqdm(total=total, initial=done, desc=description, leave=False, dynamic_ncols=True)
    return _LogBar(
        total=total,
        initial=done,
        desc=description,
        logger=logger,
        mininterval=0 if line_every else _SECONDS_BETWEEN_LINES,
        miniters=line_every or 1,
    )


def track(
    items: Iterable[Item], description: str, logger: logging.Logger, total: int | None = None
) -> Iterator[Item]:
    """Yield the items one by one, and show on a progress bar how many of them are finished.

    Args:
        items: The items, for example images or batches.
        description: Text before the numbers that says what is counted.
        logger: The logger for the progress lines, which replace the bar if stderr is not a
            terminal.
        total: Number of items; by default `len(items)`.
    """
    if total is None:
        assert isinstance(items, Sized), "give total for items without a length"
        total = len(items)
    bar = progress_bar(total, description, logger)
    try:
        for item in items:
            yield item
            bar.update()
    finally:
        bar.close()


class _LogBar(tqdm):
    """A tqdm bar that writes each update as one line to a logger."""

    monitor_interval = 0  # disables tqdm's thread, which would update the bar at other times

    def __init__(self, *, logger: logging.Logger, **options: object) -> None:
        self._logger = logger
        self._lines = 0
        super().__init__(bar_format=_LINE, leave=False, file=sys.stderr, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Log the progress if it has changed since the last log line; return True, as tqdm does.

        The arguments are not used. tqdm calls this method whenever the bar should be drawn again.
        """
        if self.n > self.initial and self.n != self._lines:
            self._lines = self.n
            self._logger.info("%s", str(self))
        return True

    def clear(self, nolock: bool = False) -> None:
        """Do nothing, since logged lines cannot be removed."""

    def close(self) -> None:
        """Close the bar; log the last line first, unless it is logged already."""
        if not self.disable:
            self.display()
            self.disable: bool = True
            self._decr_instances(self)
