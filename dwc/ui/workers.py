"""The threads that run operations for programs, and the limit of how many requests may wait."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from dwc.errors import BusyError

AT_ONCE = 16
"""How many operations run at the same moment; their queries share passes of the model."""

MAX_WAITING = 256
"""How many operations may wait; further ones are refused."""

RETRY_SECONDS = 5
"""After how many seconds a refused program should ask again."""

Returned = TypeVar("Returned")


class Workers:
    """Runs operations in threads, in the order in which they arrive."""

    def __init__(self, at_once: int = AT_ONCE, max_waiting: int = MAX_WAITING) -> None:
        """Create the workers; no thread starts yet.

        Args:
            at_once: How many operations run at the same moment.
            max_waiting: How many operations may wait.
        """
        self._at_once, self._max_waiting = at_once, max_waiting
        self._limiter: CapacityLimiter | None = None
        self._unfinished = 0

    async def run(self, function: Callable[[], Returned]) -> Returned:
        """Run a function in a thread and return its value; call this from an event loop.

        Raises:
            BusyError: Too many operations are waiting.
        """
        if self._limiter is None:  # it belongs to the event loop, which runs only now
            self._limiter = CapacityLimiter(self._at_once)
        if self._unfinished >= self._at_once + self._max_waiting:
            raise BusyError(
                f"the server is busy: {self._max_waiting} requests are waiting. "
                f"Send this one again in about {RETRY_SECONDS} s."
            )
        self._unfinished += 1
        try:
            return await to_thread.run_sync(function, limiter=self._limiter)
        finally:
            self._unfinished -= 1
