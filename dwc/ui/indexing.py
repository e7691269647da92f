"""Indexing of the app's gallery in a thread, while its first pictures can already be searched.

A gallery store (a folder with the vectors of a gallery's images) is written in batches, and every
committed batch can be read. So the web page opens when the first pictures of a large gallery are
indexed. From time to time the store is opened again, so that searches include more pictures. The
attribute `indexed_part` of a `SearchResult` describes the part of the gallery that was searched.
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
"""The seconds of indexing after which the page opens, unless indexing is almost finished."""

_ALMOST_FINISHED_SECONDS = 3.0
_OPEN_AT_LATEST_SECONDS = 10.0

# The store is opened again when it has grown by this fraction, because opening takes longer for a
# larger store. If it grows more slowly, it is opened again after `_SECONDS_BETWEEN_AT_MOST`.
_GROWTH = 0.05
_SECONDS_BETWEEN = 1.0
_SECONDS_BETWEEN_AT_MOST = 15.0

STOPPING_SECONDS = 10.0
"""The maximum seconds to wait for the current batch when the app ends."""

Build = Callable[[Progress], Store]
"""Function that indexes a gallery and returns its store; its argument is the progress callback."""


class IndexingStatus(NamedTuple):
    """The progress of indexing a gallery.

    Attributes:
        searchable: The number of pictures that searches include.
        finished: The number of pictures that are indexed or cannot be read.
        total: The number of pictures in the gallery.
        per_second: The number of pictures that are indexed per second; 0 if unknown.
        seconds_left: The estimated seconds until the end; 0 if unknown.
        is_running: Whether indexing is in progress.
        error: Why indexing failed; empty if it did not fail.
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
        """Whether the complete gallery was indexed."""
        return not self.is_running and not self.error


class StoppedError(DWCError):
    """Indexing was stopped because the app ends. The next start of the app continues it."""


class GalleryIndexing:
    """The indexing of one gallery in a thread. The methods are thread-safe.

    Attributes:
        is_open: Whether the page opened before the complete gallery was indexed.
        is_stopped: Whether indexing has to stop because the app ends.
    """

    def __init__(self) -> None:
        self.is_open = self.is_stopped = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._subscribers: list[Callable[[Store], None]] = []
        self._store: Store | None = None  # the store that searches use
        self._complete_store: Store | None = None  # set at the end
        self._error: BaseException | None = None
        # The arguments of the last call of the progress callback.
        self._progress: tuple[int, int, float] | None = None
        # The number of finished pictures and the time at the start.
        self._first: tuple[int, float] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the gallery is being indexed."""
        return self._thread is not None and self._thread.is_alive()

    def subscribe(self, publish: Callable[[Store], None]) -> None:
        """Add a function that is called with the store whenever the store has more pictures.

        The functions are called in reverse order: the one that was added last is called first. The
        displayed images must be updated before the searches, so that the page can show every
        picture that a search finds. So add the functions that update the searches first.
        """
        self._subscribers.insert(0, publish)

    def status(self) -> IndexingStatus | None:
        """Return the progress of indexing; None if the app started with the complete gallery."""
        with self._changed:
            if not self.is_open or self._store is None or self._progress is None:
                return None
            finished, total, _ = self._progress
            before, start = self._first or (0, 0.0)
            seconds = time.monotonic() - start
            # The rate is computed now, because the last batch may have ended long ago.
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
        """Start indexing in a thread, and wait until some pictures can be searched.

        If indexing takes only a few seconds, this method waits until indexing ends.

        Args:
            path: The folder of the store.
            build: Function that indexes the gallery.
            show_progress: Context manager that shows the progress in the terminal.

        Returns:
            The store, with all pictures or with those that are indexed so far.

        Raises:
            DWCError: The gallery cannot be indexed. If `build` raises another error before pictures
                can be searched, this method raises it, too.
        """

        def run() -> None:
            try:
                with show_progress as show:
                    store = build(self.stoppable(lambda *now: self._advance(show, *now)))
                self._complete_store = store
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
        assert self._complete_store is not None
        return self._complete_store

    def follow(self) -> Store | None:
        """Pass the store to the subscribers whenever it has more pictures, until indexing ends.

        The subscribers are the functions that were added with `subscribe`.

        Returns:
            The store of the complete gallery; None if indexing failed or was stopped.
        """
        opened, finished_before = time.monotonic(), self._finished()
        while self.is_running:
            self._wait(0.2)
            seconds = time.monotonic() - opened
            finished = self._finished()
            has_grown = finished >= finished_before * (1 + _GROWTH) and seconds > _SECONDS_BETWEEN
            if self.is_running and (has_grown or seconds > _SECONDS_BETWEEN_AT_MOST):
                self._publish_part()
                opened, finished_before = time.monotonic(), finished
        if self._complete_store is None:
            self._publish_part()
            return None
        try:
            self._publish(self._complete_store)
        except (DWCError, OSError) as error:
            logger.error("The gallery is indexed, but cannot be searched: %s", error)
            self._error = error
            return None
        return self._complete_store

    def stoppable(self, show_progress: Progress) -> Progress:
        """Return a progress callback that can stop the indexing.

        The returned function calls `show_progress`. After a call of `stop`, it raises
        `StoppedError` instead.
        """

        def show(finished: int, total: int, seconds_left: float) -> None:
            if self.is_stopped:
                raise StoppedError("the app ends; the next start goes on.")
            show_progress(finished, total, seconds_left)

        return show

    def stop(self) -> None:
        """Stop indexing after the current batch; wait for its end, at most `STOPPING_SECONDS`."""
        self.is_stopped = True
        if self._thread is not None:
            self._thread.join(STOPPING_SECONDS)

    def _publish_part(self) -> None:
        """Open the store again, and pass it to the subscribers if its pictures have changed."""
        former = self._store
        assert former is not None
        try:
            store = Store.open(former.path, self._expected())
            if len(store) == 0 or store.indexed_part is None:
                return  # no picture is left, or indexing is complete: `follow` publishes the store
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
        """Wait until a batch of pictures is indexed, but not longer than the given seconds."""
        with self._changed:
            self._changed.wait(seconds)
