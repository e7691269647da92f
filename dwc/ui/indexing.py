"""Indexing of the page's gallery in a thread, while the part that is finished can be searched.

A gallery store is written in batches, and each batch that is committed can be read. So the page
opens with the first pictures of a large gallery; from time to time the store is opened again, and
searches find more. A `SearchResult` says how much of the gallery was searched.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from dwc.errors import DWCError
from dwc.gallery.builder import Progress
from dwc.gallery.store import Store

logger = logging.getLogger(__name__)

OPEN_AFTER_SECONDS = 2.0
"""How long the indexing may take before the page opens, if it is not almost finished."""

_ALMOST_FINISHED_SECONDS = 3.0
_OPEN_AT_LATEST_SECONDS = 10.0

# The store is opened again when it has grown by this share, since that takes longer the larger it
# is; but after some seconds in any case.
_GROWTH = 0.05
_SECONDS_BETWEEN = 1.0
_SECONDS_BETWEEN_AT_MOST = 15.0

STOPPING_SECONDS = 10.0
"""For at most how many seconds the end of the app waits for a batch that is being embedded."""

Build = Callable[[Progress], Store]
"""Function that indexes a gallery and returns its store, given the callback for the progress."""


class IndexingStatus(NamedTuple):
    """How far a gallery is indexed.

    Attributes:
        searchable: Number of pictures that searches find.
        finished: Number of pictures that are indexed, or cannot be read.
        total: Number of pictures of the gallery.
        per_second: Number of pictures that are indexed in a second; 0 if that is unknown.
        seconds_left: Estimated seconds until the end; 0 if that is unknown.
        is_running: Whether the gallery is being indexed.
        error: Why the indexing failed; empty if it did not.
    """

    searchable: int
    finished: int
    total: int
    per_second: float = 0.0
    seconds_left: float = 0.0
    is_running: bool = True
    error: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether the gallery was indexed to the end."""
        return not self.is_running and not self.error


class StoppedError(DWCError):
    """The app ends, so indexing ends at the next batch; the next start goes on there."""


class GalleryIndexing:
    """The indexing of one gallery in a thread; safe to use from several threads.

    Attributes:
        is_open: Whether the page opened before the gallery was indexed to the end.
        is_stopped: Whether the app ends.
    """

    def __init__(self) -> None:
        self.is_open = self.is_stopped = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._subscribers: list[Callable[[Store], None]] = []
        self._store: Store | None = None  # as searches use it
        self._whole: Store | None = None  # at the end
        self._error: BaseException | None = None
        self._progress: tuple[int, int, float] | None = None  # as the build reported it last
        self._first: tuple[int, float] | None = None  # pictures finished at the start, and when

    @property
    def is_running(self) -> bool:
        """Whether the gallery is being indexed now."""
        return self._thread is not None and self._thread.is_alive()

    def subscribe(self, publish: Callable[[Store], None]) -> None:
        """Add a function that is called with the store whenever it has grown.

        The function that was added last is called first, so that what shows pictures can be added
        after what finds them.
        """
        self._subscribers.insert(0, publish)

    def status(self) -> IndexingStatus | None:
        """Return how far the gallery is indexed; None if the page opened with the whole gallery."""
        with self._changed:
            if not self.is_open or self._store is None or self._progress is None:
                return None
            finished, total, _ = self._progress
            before, start = self._first or (0, 0.0)
            seconds = time.monotonic() - start
            # A batch may take long, so the pace at its beginning would be outdated.
            per_second = (finished - before) / seconds if seconds > 0 else 0.0
            is_running, error = self._store.indexed_part is not None, ""
            if self._error is not None:
                is_running, error = False, str(self._error) or type(self._error).__name__
            return IndexingStatus(
                searchable=len(self._store),
                finished=finished,
                total=max(total, len(self._store)),
                per_second=per_second,
                seconds_left=(total - finished) / per_second if per_second > 0 else 0.0,
                is_running=is_running,
                error=error,
            )

    def start(
        self, path: Path, build: Build, show_progress: AbstractContextManager[Progress]
    ) -> Store:
        """Start the indexing in a thread, and wait until pictures can be searched.

        A gallery that is indexed within seconds is waited for.

        Args:
            path: The folder of the store.
            build: Indexes the gallery.
            show_progress: Shows the progress in the terminal.

        Returns:
            The store, with the whole gallery or with the part that is indexed so far.

        Raises:
            DWCError: The gallery cannot be indexed; raised by `build` before pictures could be
                searched, as are other errors.
        """

        def run() -> None:
            try:
                with show_progress as show:
                    store = build(self.stoppable(lambda *now: self._advance(show, *now)))
                self._whole = store
            except StoppedError:
                pass
            except BaseException as error:
                self._error = error
                if self.is_open:
                    expected = isinstance(error, (DWCError, OSError))
                    logger.error("Indexing failed: %s", error, exc_info=not expected)

        self._thread = threading.Thread(target=run, name="index-gallery", daemon=True)
        self._thread.start()
        while self.is_running:
            self._wait(0.05)
            if self._can_open():
                part = Store.open(path, self._expected())
                if len(part) > 0:
                    with self._changed:
                        self._store, self.is_open = part, True
                    return part
        if self._error is not None:
            raise self._error
        assert self._whole is not None
        return self._whole

    def follow(self) -> Store | None:
        """Let the subscribers know whenever the store has grown, until the gallery is indexed.

        Returns:
            The store of the whole gallery; None if the indexing failed or was stopped.
        """
        opened, finished_then = time.monotonic(), self._finished()
        while self.is_running:
            self._wait(0.2)
            seconds = time.monotonic() - opened
            finished = self._finished()
            has_grown = finished >= finished_then * (1 + _GROWTH) and seconds > _SECONDS_BETWEEN
            if self.is_running and (has_grown or seconds > _SECONDS_BETWEEN_AT_MOST):
                self._publish_part()
                opened, finished_then = time.monotonic(), finished
        if self._whole is None:
            self._publish_part()
            return None
        try:
            self._publish(self._whole)
        except (DWCError, OSError) as error:
            logger.error("The gallery is indexed, but cannot be searched: %s", error)
            self._error = error
            return None
        return self._whole

    def stoppable(self, show_progress: Progress) -> Progress:
        """Return a callback for the progress that raises `StoppedError` after a call of `stop`."""

        def show(finished: int, total: int, seconds_left: float) -> None:
            if self.is_stopped:
                raise StoppedError("the app ends; the next start goes on.")
            show_progress(finished, total, seconds_left)

        return show

    def stop(self) -> None:
        """End the indexing after the batch that is being embedded, and wait for that."""
        self.is_stopped = True
        if self._thread is not None:
            self._thread.join(STOPPING_SECONDS)

    def _publish_part(self) -> None:
        """Open the store again, and publish it if its pictures have changed."""
        former = self._store
        assert former is not None
        try:
            store = former.grown(self._expected())
            if len(store) == 0 or store.indexed_part is None:
                return  # all pictures have gone or changed; or the end, which is published next
            if store.fingerprint != former.fingerprint:
                self._publish(store)
        except (DWCError, OSError) as error:
            logger.warning("The gallery's new pictures cannot be searched yet: %s", error)

    def _publish(self, store: Store) -> None:
        for publish in self._subscribers:
            publish(store)
        with self._changed:
            self._store = store

    def _can_open(self) -> bool:
        with self._changed:
            if self._progress is None or self._first is None:
                return False
            finished, total, seconds_left = self._progress
            seconds = time.monotonic() - self._first[1]
        if finished == 0 or finished >= total or seconds < OPEN_AFTER_SECONDS:
            return False
        return seconds_left > _ALMOST_FINISHED_SECONDS or seconds > _OPEN_AT_LATEST_SECONDS

    def _expected(self) -> int:
        with self._changed:
            return 0 if self._progress is None else self._progress[1]

    def _finished(self) -> int:
        with self._changed:
            return 0 if self._progress is None else self._progress[0]

    def _advance(self, show: Progress, finished: int, total: int, seconds_left: float) -> None:
        show(finished, total, seconds_left)
        with self._changed:
            if self._first is None:
                self._first = finished, time.monotonic()
            self._progress = finished, total, seconds_left
            self._changed.notify_all()

    def _wait(self, seconds: float) -> None:
        """Wait for the next batch, but at most for some seconds."""
        with self._changed:
            self._changed.wait(seconds)
