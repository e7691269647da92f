"""Execution of tasks in advance, in worker threads or processes, and prefetching of images.

Results are returned in the order of the tasks. The gallery builder, the evaluation and the training
use this module to load or draw images.
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

# Starting a process takes about half a second, as long as drawing 20 garments.
_MIN_TASKS_FOR_PROCESSES = 64
_IMAGES_AHEAD_PER_THREAD = 4


def worker_pool(count: int, tasks: int, computed: bool) -> Executor:
    """Return a pool of worker threads or of worker processes, whichever is faster.

    The result is a pool of processes if there are several workers and many tasks that mainly run
    Python code, such as drawing garments. The reason is that only one thread of a process can run
    Python code at a time. Otherwise, the result is a pool of threads, which start faster. For
    example, threads are sufficient for decoding image files, because Pillow's decoders are not
    Python code.

    Args:
        count: Number of workers.
        tasks: Number of tasks that the workers will get.
        computed: Whether the tasks mainly run Python code.
    """
    if not computed or count == 1 or tasks < _MIN_TASKS_FOR_PROCESSES:
        return ThreadPoolExecutor(count)
    # Processes are not forked, because this one may have threads of torch and of a server.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)


def background_process() -> Executor:
    """Return a pool with one worker process of low priority, for work that is not urgent."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_start_in_background)


def _start_in_background() -> None:
    if hasattr(os, "nice"):
        os.nice(15)
    _end_with_parent()


class LookAhead(Generic[Task, Result]):
    """Queue of tasks that a pool executes in order, before their results are requested.

    At any time, at most `window` tasks are executing, waiting for a worker, or finished with a
    result that has not yet been requested with `take`.
    """

    def __init__(
        self, pool: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], window: int
    ) -> None:
        self._pool, self._work, self._tasks = pool, work, iter(tasks)
        self._pending: deque[tuple[Task, Future[Result]]] = deque()
        self._submit(window)

    @property
    def pending(self) -> list[Task]:
        """Submitted tasks whose results have not yet been requested with `take`, in order."""
        return [task for task, _ in self._pending]

    def take(self) -> tuple[Task, Future[Result]] | None:
        """Return the next task and the `Future` of its result, or None after the last task."""
        if not self._pending:
            return None
        taken = self._pending.popleft()
        self._submit(1)
        return taken

    def cancel(self) -> None:
        """Cancel all tasks that have not started."""
        for _, future in self._pending:
            future.cancel()

    def _submit(self, count: int) -> None:
        for task in islice(self._tasks, count):
            self._pending.append((task, self._pool.submit(self._work, task)))


def prefetched(
    pool: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], window: int
) -> Iterator[Result]:
    """Yield the results of `work` for all tasks, in order, while later tasks are being executed.

    Args:
        pool: Pool that executes the tasks.
        work: Function that takes a task and returns its result.
        tasks: The tasks.
        window: Maximum number of tasks that are executing, waiting for a worker, or finished with a
            result that has not been yielded.
    """
    ahead = LookAhead(pool, work, tasks, window)
    try:
        while (taken := ahead.take()) is not None:
            yield taken[1].result()
    finally:
        ahead.cancel()


def _end_with_parent() -> None:
    """Ignore interrupts in this worker process, and end it when its parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def image_order(benchmark: Benchmark) -> Iterable[str]:
    """Return the names of all images that an evaluation opens, in the order of their use."""
    return chain(benchmark.gallery, (query.reference for query in benchmark.queries))


class ImagePrefetcher:
    """Callable that returns images by name, and loads them in advance in an expected order.

    If a requested image was loaded in advance, all images before it in the expected order are
    discarded. Any other image is loaded when it is requested. The object is a context manager; when
    the context ends, the loading stops.
    """

    def __init__(self, paths: Mapping[str, Path], order: Iterable[str], threads: int) -> None:
        threads = max(1, threads)
        self._paths = paths
        self._pool = ThreadPoolExecutor(threads)
        self._ahead = LookAhead(self._pool, self._open, order, _IMAGES_AHEAD_PER_THREAD * threads)

    def __call__(self, name: str) -> Image.Image:
        """Return the named image.

        Raises:
            ImageError: The image file cannot be read.
            KeyError: There is no path for the name.
        """
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
