"""What a server tells visitors whose search it did not take: when to ask again, or why not to."""

import math
import threading
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc.search.query_batching import MODEL_QUEUE

QUEUE_LENGTH = 512
"""How many events may wait; further events are refused, and the page sends them again later."""

_MAX_SECONDS = 60
_UNAVAILABLE = 503  # the status with which Gradio refuses an event when its queue is full


def busy_seconds() -> int:
    """Return after about how many seconds a full queue has room again, from 1 to 60.

    It is the time in which a quarter of the queue is answered, at the pace of the last searches:
    then there is room for many who were refused, not for the fastest of them alone.
    """
    seconds = math.ceil(QUEUE_LENGTH / 4 * MODEL_QUEUE.item_seconds)
    return min(max(seconds, 1), _MAX_SECONDS)


_MOST_FAILURES = 1000


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
            while len(self._messages) > _MOST_FAILURES:
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
