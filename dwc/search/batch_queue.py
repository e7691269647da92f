"""Queue that runs the inputs of several threads in batches, one batch at a time.

`MODEL_QUEUE` is the queue of all models of this process. The queries that wait in it at the same
moment share a batch.
"""

import contextvars
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from dwc.errors import BusyError

MAX_ROWS = 64
"""The maximum length of a batch's first axis; a longer single item is a batch of its own."""

MAX_WAITING = 256
"""The default maximum number of items that wait; further items are refused."""

_PACE_WEIGHT = 0.2  # weight of the last batch in the moving average of the time per item
_IDLE_SECONDS = 60.0  # the thread ends after this time without items

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Ticket:
    """An item in a `BatchQueue`, and its result or error after it was run.

    Attributes:
        key: the item's key; items with equal keys may share a batch.
        item: the input of `run`, for example the queries of one caller.
        rows: the number of entries that the item adds to the first axis of a batch.
        run: function that computes the results of a batch of items with this key.
        context: the context variables of the thread that submitted the item.
        done: event that is triggered when `result` or `error` has been assigned.
        result: the result.
        error: the error; None if there was none.
    """

    def __init__(
        self, key: Hashable, item: Any, rows: int, run: Callable[[Sequence[Any]], Sequence[Any]]
    ) -> None:
        self.key, self.item, self.rows, self.run = key, item, rows, run
        self.context = contextvars.copy_context()
        self.done = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None


class BatchQueue:
    """Queue that runs items in batches, one batch at a time, in a thread of its own.

    The next batch always contains the oldest waiting item, so an item waits for at most as many
    batches as there were items before it. Other waiting items with the same key join this batch, as
    long as its first axis has at most `MAX_ROWS` entries. The queue does not wait until a batch is
    full.

    If a batch fails, its items are run one by one. Then only the callers whose items cause an error
    get an error.

    The thread is started when it is needed, and ends when the queue has been empty for a minute.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        """Create an empty queue.

        Args:
            max_waiting: maximum number of waiting items, 1 or more. Items that are being run do not
                count.
        """
        self._max_waiting = max_waiting
        self._waiting: deque[_Ticket] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._item_seconds = 0.0  # moving average; 0 before the second batch
        self._has_run = False
        self._batch_end = -math.inf

    def __len__(self) -> int:
        """Return the number of waiting items."""
        return len(self._waiting)

    @property
    def item_seconds(self) -> float:
        """The average time per item of the last batches, in seconds; 0 before the second batch.

        The time of a batch is measured from the end of the batch before it, or from its own start
        if the queue was empty. It includes the time that other programs use the processors. The
        first batch does not count. It takes many times as long, since the model's code and weights
        are read for the first time.
        """
        return self._item_seconds

    def submit(
        self,
        key: Hashable,
        item: Item,
        rows: int,
        run: Callable[[Sequence[Item]], Sequence[Result]],
    ) -> Result:
        """Add an item to the queue, wait until it has been processed, and return its result.

        Args:
            key: the item's key. Items with equal keys may share a batch; they need the same `run`.
            item: the item, the input of `run`.
            rows: the number of entries that the item adds to the first axis of a batch.
            run: function that returns the results of a batch of items, in order. It is called with
                the context variables of the batch's oldest item.

        Raises:
            BusyError: too many items are waiting.
            Exception: the error that `run` raised for this item. If a batch fails, its items are
                run one by one, so that an item's error does not reach the others.
        """
        ticket = _Ticket(key, item, rows, run)
        with self._changed:
            if threading.current_thread() is self._thread:
                raise RuntimeError("a batch submits an item to the queue that runs it.")
            if len(self._waiting) >= self._max_waiting:
                seconds = max(1, math.ceil(len(self._waiting) * self._item_seconds))
                raise BusyError(
                    f"the server is busy: {len(self._waiting)} searches are waiting. Search again "
                    f"in about {seconds} s."
                )
            self._waiting.append(ticket)
            # After a fork, the thread object of the parent process is not alive in the child.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="batch-queue", daemon=True)
                self._thread.start()
            self._changed.notify()
        ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    def _work(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Wait for an item and run the next batch; return whether a batch was run.

        If no item arrives within a minute, the result is False, and the thread must end.

        This is a separate method, so that the local variables of a waiting thread keep no item and
        no model in memory.
        """
        with self._changed:
            if not self._waiting and not self._changed.wait_for(
                lambda: bool(self._waiting), _IDLE_SECONDS
            ):
                self._thread = None
                return False
            start = time.monotonic()
            batch = self._take_batch()
        _run_batch(batch)
        end = time.monotonic()
        if self._has_run:
            seconds = (end - max(start, self._batch_end)) / len(batch)
            weight = _PACE_WEIGHT if self._item_seconds else 1.0
            self._item_seconds += weight * (seconds - self._item_seconds)
        self._has_run = True
        self._batch_end = end
        return True

    def _take_batch(self) -> list[_Ticket]:
        """Remove the oldest item and all items that fit into its batch, and return them."""
        oldest = self._waiting.popleft()
        batch, rows = [oldest], oldest.rows
        rest: deque[_Ticket] = deque()
        for ticket in self._waiting:
            if ticket.key == oldest.key and rows + ticket.rows <= MAX_ROWS:
                batch.append(ticket)
                rows += ticket.rows
            else:
                rest.append(ticket)
        self._waiting = rest
        return batch


def _run_batch(batch: Sequence[_Ticket]) -> None:
    """Run a batch and store the result of each item; if it fails, run the items one by one."""
    oldest = batch[0]
    try:
        results = oldest.context.run(oldest.run, [ticket.item for ticket in batch])
        for ticket, result in zip(batch, results, strict=True):
            ticket.result = result
    except Exception as error:
        if len(batch) > 1:
            for ticket in batch:
                _run_batch([ticket])
            return
        oldest.error = error
    for ticket in batch:
        ticket.done.set()


MODEL_QUEUE = BatchQueue()
"""The queue of all models of this process.

Models take turns: two at once on the same processors would both take longer.
"""
