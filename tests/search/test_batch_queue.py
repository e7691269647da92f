"""The queue in front of the models: order, batches, errors and limits."""

import contextvars
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from dwc.errors import BusyError
from dwc.search.query_batching import BatchQueue

WAIT = 20  # seconds at most


class Worker:
    """Doubles numbers; holds the first batch until the test lets it go on."""

    def __init__(self):
        self.batches = []
        self.began, self.goes_on = threading.Event(), threading.Event()

    def run(self, items):
        first = not self.batches
        self.batches.append(list(items))
        if first:
            self.began.set()
            assert self.goes_on.wait(WAIT)
        if "bad" in items:
            raise ValueError("bad")
        return [2 * item for item in items]


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def queue():
    return BatchQueue()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(64) as pool:
        yield pool


def submit_in_order(pool, queue, worker, items):
    """Submit the first item, and the others, each after the one before, while it is run."""
    futures = []
    for key, item, rows in items:
        waiting = len(queue)
        futures.append(pool.submit(queue.submit, key, item, rows, worker.run))
        if len(futures) == 1:
            assert worker.began.wait(WAIT)
            continue
        while len(queue) == waiting:
            pass
    worker.goes_on.set()
    return futures


def test_what_waits_at_the_same_moment_is_one_batch(pool, queue, worker):
    futures = submit_in_order(pool, queue, worker, [("a", n, 1) for n in range(9)])
    assert [future.result(WAIT) for future in futures] == [2 * n for n in range(9)]
    assert worker.batches == [[0], [1, 2, 3, 4, 5, 6, 7, 8]]
    assert queue.item_seconds > 0


def test_the_first_batch_does_not_count_for_the_pace(queue):
    assert queue.submit("a", 1, 1, lambda items: items) == 1
    assert queue.item_seconds == 0


def test_the_oldest_item_is_always_in_the_next_batch(pool, queue, worker):
    items = [("a", 0, 1), ("b", 1, 1), ("a", 2, 1), ("b", 3, 1), ("c", 4, 1), ("a", 5, 1)]
    for future in submit_in_order(pool, queue, worker, items):
        future.result(WAIT)
    assert worker.batches == [[0], [1, 3], [2, 5], [4]]


def test_a_batch_has_limited_rows(pool, queue, worker, monkeypatch):
    monkeypatch.setattr("dwc.search.query_batching.MAX_ROWS", 4)
    items = [("a", 0, 1), ("a", 1, 9), ("a", 2, 3), ("a", 3, 2), ("a", 4, 1)]
    for future in submit_in_order(pool, queue, worker, items):
        future.result(WAIT)
    assert worker.batches == [[0], [1], [2, 4], [3]]


def test_an_error_concerns_only_the_item_that_causes_it(pool, queue, worker):
    items = [("a", item, 1) for item in (0, 1, "bad", 3)]
    futures = submit_in_order(pool, queue, worker, items)
    assert [futures[n].result(WAIT) for n in (0, 1, 3)] == [0, 2, 6]
    with pytest.raises(ValueError, match="bad"):
        futures[2].result(WAIT)
    assert queue.submit("a", 7, 1, worker.run) == 14


def test_beyond_the_limit_it_says_that_it_is_busy(pool, worker):
    queue = BatchQueue(max_waiting=2)
    futures = [pool.submit(queue.submit, "a", 0, 1, worker.run)]
    assert worker.began.wait(WAIT)
    futures += [pool.submit(queue.submit, "a", n, 1, worker.run) for n in (1, 2)]
    while len(queue) < 2:
        pass
    with pytest.raises(BusyError, match=r"2 searches are waiting\. Search again in about 1 s"):
        queue.submit("a", 3, 1, worker.run)
    worker.goes_on.set()
    assert [future.result(WAIT) for future in futures] == [0, 2, 4]


def test_a_batch_has_the_context_of_its_oldest_item(queue):
    name = contextvars.ContextVar("name")
    name.set("who asked")
    assert queue.submit("a", 1, 1, lambda items: [name.get()]) == "who asked"


@pytest.mark.slow
def test_an_idle_queue_holds_no_work_and_ends_its_thread(queue, monkeypatch):
    monkeypatch.setattr("dwc.search.query_batching._IDLE_SECONDS", 0.05)
    worker = Worker()
    worker.goes_on.set()
    assert queue.submit("a", 1, 1, worker.run) == 2
    queue._thread.join(WAIT)
    assert queue._thread is None
    gone = weakref.ref(worker)
    del worker
    gc.collect()
    assert gone() is None
    assert queue.submit("a", 1, 1, lambda items: items) == 1
