"""Precedence of searches over explanations, which may come later."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class SearchActivity:
    """Counts the searches that are being answered; safe to use from threads."""

    def __init__(self) -> None:
        self._running = 0
        self._changed = threading.Condition()

    @contextmanager
    def count(self) -> Iterator[None]:
        """Count a search while the body of the `with` statement answers it."""
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                if not self._running:
                    self._changed.notify_all()

    def wait_until_idle(self, seconds: float) -> float:
        """Wait until no search is being answered.

        Args:
            seconds: Maximum time to wait, so that searches without a pause do not keep explanations
                from being made.

        Returns:
            How many seconds this function waited.
        """
        start = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, seconds)
        return time.monotonic() - start
