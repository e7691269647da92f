"""Work done ahead of the one who needs it: threads for files, processes for drawings.

Pictures opened by threads while the model is busy with those before.
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
from typing import TypeVar

from PIL import Image

from dwc.datasets.image_loading import decode
from dwc.datasets.triplets import Benchmark

Task = TypeVar("Task")
Result = TypeVar("Result")

# Starting a process takes about half a second, in which 20 garments are drawn.
_WORTH_PROCESSES = 64


def worker_pool(count: int, tasks: int, computed: bool) -> Executor:
    """A pool of `count` workers for so many tasks.

    Decoding a file leaves Python's lock, so threads share it. What is `computed` in Python holds
    the lock (two threads draw more slowly than one), so many such tasks get processes.
    """
    if not computed or count == 1 or tasks < _WORTH_PROCESSES:
        return ThreadPoolExecutor(count)
    # Not forked: the parent may have threads of torch and of a server.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_live_as_long_as_the_parent)


def prefetched(
    pool: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], window: int
) -> Iterator[Result]:
    """The results of `work` in the order of `tasks`, at most `window` of them begun or waiting."""
    waiting: deque[Future[Result]] = deque()
    remaining = iter(tasks)
    try:
        waiting.extend(pool.submit(work, task) for task in islice(remaining, window))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, task) for task in islice(remaining, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()


def _live_as_long_as_the_parent() -> None:
    """Leave interrupts to the parent, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()


_AHEAD = 4  # pictures a thread


def image_order(benchmark: Benchmark) -> Iterable[str]:
    """The pictures that running a benchmark opens, in the order in which it does."""
    return chain(benchmark.gallery, (query.reference for query in benchmark.queries))


class ImagePrefetcher:
    """Opens pictures by name, those that come next already under way; a context manager.

    A picture that is passed over is dropped; one that was not foretold is opened when asked.
    """

    def __init__(self, paths: Mapping[str, Path], order: Iterable[str], threads: int) -> None:
        self._paths, self._order = paths, iter(order)
        self._pool = ThreadPoolExecutor(max(1, threads))
        self._waiting: deque[tuple[str, Future[Image.Image]]] = deque()
        self._fill(_AHEAD * max(1, threads))

    def __call__(self, name: str) -> Image.Image:
        """The picture of a name; ImageError where it cannot be read, KeyError without a path."""
        if not any(foretold == name for foretold, _ in self._waiting):
            return decode(self._paths[name])
        while True:
            foretold, opened = self._waiting.popleft()
            self._fill(1)
            if foretold == name:
                return opened.result()

    def _fill(self, count: int) -> None:
        for name in islice(self._order, count):
            self._waiting.append((name, self._pool.submit(decode, self._paths[name])))

    def __enter__(self) -> "ImagePrefetcher":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
