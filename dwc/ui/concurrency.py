"""Concurrent requests: searches in progress, worker threads, and the retry of refused requests.

- `SearchActivity` counts the searches in progress, so that explanations can wait for them.
- `Workers` runs the operations of the HTTP API and of MCP in a limited number of threads.
- `busy_seconds`, `SearchFailures` and `TellWhenToRetry` tell the client of a refused request when
  to send it again, or why the request failed.
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
    """Thread-safe counter of the searches in progress.

    Explanations wait until the counter is zero, so that they do not delay searches.
    """

    def __init__(self) -> None:
        self._running = 0
        self._changed = threading.Condition()

    @contextmanager
    def count(self) -> Iterator[None]:
        """Count a search as in progress within the `with` block."""
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
        """Wait until no search is in progress, but not longer than the given time.

        Explanations call this method before they start, so that they do not delay searches. The
        time limit ensures that they start even if searches follow one another without a pause.

        Args:
            seconds: The maximum time to wait, in seconds.

        Returns:
            How long this function waited, in seconds.
        """
        start = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, seconds)
        return time.monotonic() - start


OPERATIONS_AT_ONCE = 16
"""The maximum number of operations at the same time; their queries share forward passes."""

MAX_OPERATIONS_WAITING = 256
"""The maximum number of operations that wait; further operations are refused."""

RETRY_SECONDS = 5
"""The seconds after which a client should send a refused request again."""

Returned = TypeVar("Returned")


class Workers:
    """Pool of a limited number of threads; functions start in the order in which they are given."""

    def __init__(
        self, at_once: int = OPERATIONS_AT_ONCE, max_waiting: int = MAX_OPERATIONS_WAITING
    ) -> None:
        """Create the object; no thread starts yet.

        Args:
            at_once: The maximum number of functions that run at the same time.
            max_waiting: The maximum number of functions that wait.
        """
        self._at_once, self._max_waiting = at_once, max_waiting
        self._limiter: CapacityLimiter | None = None
        self._unfinished = 0

    async def run(self, function: Callable[[], Returned]) -> Returned:
        """Run a function in a thread and return its value. Await this method in an event loop.

        Raises:
            BusyError: Too many functions are waiting.
        """
        if self._limiter is None:  # created here because it belongs to the running event loop
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
"""The maximum number of events that wait in Gradio's queue; the page sends refused events again."""

_MAX_BUSY_SECONDS = 60
_UNAVAILABLE = 503  # the status with which Gradio refuses an event when its queue is full


def busy_seconds() -> int:
    """Return how many seconds (1 to 60) a client should wait after a full queue refused its event.

    This is the estimated time in which the server answers a quarter of a full queue: the average
    time of a recent search, times a quarter of `QUEUE_LENGTH`. After a shorter time, the queue
    would have room for only a few of the refused clients.
    """
    seconds = math.ceil(QUEUE_LENGTH / 4 * MODEL_QUEUE.item_seconds)
    return min(max(seconds, 1), _MAX_BUSY_SECONDS)


_MAX_FAILURES = 1000


class SearchFailures:
    """The error message of the last failed search of each session. Thread-safe.

    Gradio tells a browser that an event failed, but not why. The page needs the reason, because it
    sends the event again if the server was busy, but not if the inputs were invalid.
    """

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, session: str | None, message: str) -> None:
        """Store the message of a session's failed search; do nothing if `session` is None.

        Each session has one message, that of its last failed search. Only the 1,000 newest messages
        are kept.
        """
        if session is None:
            return
        with self._lock:
            self._messages.pop(session, None)
            self._messages[session] = message
            while len(self._messages) > _MAX_FAILURES:
                del self._messages[next(iter(self._messages))]

    def take(self, session: str | None) -> str | None:
        """Return and remove the message of a session's last failed search; None if it has none."""
        with self._lock:
            return self._messages.pop(session or "", None)


class TellWhenToRetry:
    """Middleware that adds the header `Retry-After` to responses with status 503 (unavailable).

    Gradio refuses an event with this status when its queue is full, but without a time after which
    the client should send the event again. The header contains this time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, and add `Retry-After` to its response if the status is 503."""

        async def send_with_header(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] == _UNAVAILABLE:
                MutableHeaders(scope=message).setdefault("Retry-After", str(busy_seconds()))
            await send(message)

        await self.app(scope, receive, send_with_header if scope["type"] == "http" else send)
