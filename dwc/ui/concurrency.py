"""How many searches and requests run at once, and what a busy server does with the others.

- `SearchActivity` lets explanations wait for searches.
- `Workers` runs the operations for programs in a limited number of threads.
- `busy_seconds`, `SearchFailures` and `TellWhenToRetry` tell a refused client when to try again, or
  why that would not help.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc.errors import BusyError
from dwc.search.query_batching import MODEL_QUEUE


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


OPERATIONS_AT_ONCE = 16
"""How many operations run at the same moment; their queries share passes of the model."""

MAX_OPERATIONS_WAITING = 256
"""How many operations may wait; further ones are refused."""

RETRY_SECONDS = 5
"""After how many seconds a refused program should ask again."""

Returned = TypeVar("Returned")


class Workers:
    """Runs operations in threads, in the order in which they arrive."""

    def __init__(
        self, at_once: int = OPERATIONS_AT_ONCE, max_waiting: int = MAX_OPERATIONS_WAITING
    ) -> None:
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


QUEUE_LENGTH = 512
"""How many events may wait; further events are refused, and the page sends them again later."""

_MAX_BUSY_SECONDS = 60
_UNAVAILABLE = 503  # the status with which Gradio refuses an event when its queue is full


def busy_seconds() -> int:
    """Return after about how many seconds a full queue has room again, from 1 to 60.

    It is the time in which a quarter of the queue is answered, at the pace of the last searches:
    then there is room for many who were refused, not for the fastest of them alone.
    """
    seconds = math.ceil(QUEUE_LENGTH / 4 * MODEL_QUEUE.item_seconds)
    return min(max(seconds, 1), _MAX_BUSY_SECONDS)


_MAX_FAILURES = 1000


class SearchFailures:
    """Why the last searches of visitors failed, by session; safe to use from threads.

    A browser learns from Gradio that its event failed, but not whether the server is busy or
    refused the event's inputs, which would be refused again.
    """

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, session: str | None, message: str) -> None:
        """Store the message of a failed search; the oldest of many sessions are forgotten."""
        if session is None:
            return
        with self._lock:
            self._messages.pop(session, None)
            self._messages[session] = message
            while len(self._messages) > _MAX_FAILURES:
                del self._messages[next(iter(self._messages))]

    def take(self, session: str | None) -> str | None:
        """Return the message of a session's last failed search and forget it; None without one."""
        with self._lock:
            return self._messages.pop(session or "", None)


class TellWhenToRetry:
    """Middleware that adds the header `Retry-After` to responses that say the server is busy.

    Gradio refuses an event with status 503 when its queue is full, without saying when to retry.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, and add the header to its response if it has status 503."""

        async def send_with_header(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] == _UNAVAILABLE:
                MutableHeaders(scope=message).setdefault("Retry-After", str(busy_seconds()))
            await send(message)

        await self.app(scope, receive, send_with_header if scope["type"] == "http" else send)
