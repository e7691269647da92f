"""Compute results ahead of their use, in order: in threads for files, processes for drawings.

The gallery builder, the evaluation and the training open their images through this module.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from PIL import Image

from dwc.datasets.image_loading import decode
from dwc.datasets.triplets import Benchmark

Task = TypeVar("Task")
Result = TypeVar("Result")

# Starting a process takes about half a second, in which 20 garments are drawn.
_MIN_TASKS_FOR_PROCESSES = 64
_IMAGES_AHEAD_PER_THREAD = 4


def worker_pool(count: int, tasks: int, computed: bool) -> Executor:
    """A pool of `count` workers.

    Args:
        count: How many threads or processes.
        tasks: How many tasks they will get.
        computed: Whether a task is work in Python, which holds the interpreter's lock (two threads
            draw more slowly than one); many such tasks get processes. Decoding a file leaves the
            lock, so threads share it.
    """
    if not computed or count == 1 or tasks < _MIN_TASKS_FOR_PROCESSES:
        return ThreadPoolExecutor(count)
    # Not forked: the parent may have threads of torch and of a server.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)


class LookAhead(Generic[Task, Result]):
    """Runs `work` over tasks in their order, at most `window` of them submitted or waiting."""

    def __init__(
        self, pool: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], window: int
    ) -> None:
        self._pool, self._work, self._tasks = pool, work, iter(tasks)
        self._pending: deque[tuple[Task, Future[Result]]] = deque()
        self._submit(window)

    @property
    def pending(self) -> list[Task]:
        """The tasks that were submitted and not taken yet, in order."""
        return [task for task, _ in self._pending]

    def take(self) -> tuple[Task, Future[Result]] | None:
        """The next task with its future result; None after the last."""
        if not self._pending:
            return None
        taken = self._pending.popleft()
        self._submit(1)
        return taken

    def cancel(self) -> None:
        """Drop the tasks that have not begun."""
        for _, future in self._pending:
            future.cancel()

    def _submit(self, count: int) -> None:
        for task in islice(self._tasks, count):
            self._pending.append((task, self._pool.submit(self._work, task)))


def prefetched(
    pool: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], window: int
) -> Iterator[Result]:
    """The results of `work` in the order of `tasks`; at most `window` are submitted or waiting."""
    ahead = LookAhead(pool, work, tasks, window)
    try:
        while (taken := ahead.take()) is not None:
            yield taken[1].result()
    finally:
        ahead.cancel()


def _end_with_parent() -> None:
    """Ignore interrupts in a worker process, and end it when its parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def image_order(benchmark: Benchmark) -> Iterable[str]:
    """The names of the images that running a benchmark opens, in the order in which it does."""
    return chain(benchmark.gallery, (query.reference for query in benchmark.queries))


class ImagePrefetcher:
    """Opens images by name, with the next ones of an expected order already in work.

    A context manager. An expected image that is passed over is dropped; an image that was not
    expected is opened when it is requested.
    """

    def __init__(self, paths: Mapping[str, Path], order: Iterable[str], threads: int) -> None:
        threads = max(1, threads)
        self._paths = paths
        self._pool = ThreadPoolExecutor(threads)
        self._ahead = LookAhead(self._pool, self._open, order, _IMAGES_AHEAD_PER_THREAD * threads)

    def __call__(self, name: str) -> Image.Image:
        """Return the image of a name; ImageError if it is unreadable, KeyError without a path."""
        if name not in self._ahead.pending:
            return self._open(name)
        while (taken := self._ahead.take()) is not None:
            expected, image = taken
            if expected == name:
                return image.result()
        return self._open(name)

    def _open(self, name: str) -> Image.Image:
        return decode(self._paths[name])

    def __enter__(self) -> "ImagePrefetcher":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
