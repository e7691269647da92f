"""Work done ahead of the one who needs it: threads for files, processes for drawings."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

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


def work_ahead(
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
