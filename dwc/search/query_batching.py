"""Composition of queries with a model: image and text are combined, for queries of several threads.

- `QueryComposer` composes queries. It caches the composed queries and the features of their images.
  The queries of all composers wait in one queue, and those that wait at the same moment run in one
  forward pass.
- `model_runner` returns the function that runs a model on a batch of queries. `ModelInputs` and
  `ModelOutputs` are its argument and its result.
- `BatchQueue` runs the inputs of several threads in batches, one batch at a time. `MODEL_QUEUE` is
  the queue of all models of this process.
"""

import contextvars
import hashlib
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from dwc.errors import BusyError
from dwc.modeling.combiners import ComposedQuery, Composition
from dwc.modeling.modeling_dwc import DWCModel, ImageFeatures
from dwc.search.image_embedding import forward_batches

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


Compose = Callable[[Mapping[str, Tensor]], ComposedQuery]
"""Function that composes N queries, that is, combines the image and the text of each query.

The argument is the processor's output for the N queries, as tensors by name. Arguments and results
are CPU tensors, whichever device the model is on.
"""


class ModelInputs(NamedTuple):
    """The inputs of one forward pass of a model, for N queries, as CPU tensors.

    Attributes:
        texts: the processor's output for the N texts, as tensors (N, L) by name; empty for queries
            without texts.
        image_rows: index (N,) of each query's reference image. The indices count the images of
            `known` first, and then those of `pixel_values`. None for queries without images.
        known: features of images that the model encoded before; None if there are no such images.
        pixel_values: the processor's output (M, 3, height, width) for M images that the model must
            encode; None if there are no such images.
    """

    texts: Mapping[str, Tensor]
    image_rows: Tensor | None = None
    known: ImageFeatures | None = None
    pixel_values: Tensor | None = None


class ModelOutputs(NamedTuple):
    """The outputs of one forward pass of a model, on the CPU.

    Attributes:
        composed: the N composed queries, in which image and text are mixed.
        encoded: the features of the M images that the model encoded; None if it encoded no images.
    """

    composed: ComposedQuery
    encoded: ImageFeatures | None


RunModel = Callable[[ModelInputs], ModelOutputs]
"""Function that runs a model on the inputs of N queries, on the model's device."""


def model_runner(model: DWCModel) -> RunModel:
    """Return a function that runs a model on queries.

    If the model is moved to another device later, the function runs it there.
    """

    @torch.inference_mode()
    def run(inputs: ModelInputs) -> ModelOutputs:
        device = next(model.parameters()).device
        texts = {name: tensor.to(device) for name, tensor in inputs.texts.items()}
        encoded = None
        if inputs.pixel_values is not None:
            batches = forward_batches(inputs.pixel_values.to(device))
            encoded = ImageFeatures.concatenate([model.image_features(batch) for batch in batches])
        images = None
        if inputs.image_rows is not None:
            known = None if inputs.known is None else inputs.known.to(device)
            parts = [features for features in (known, encoded) if features is not None]
            images = ImageFeatures.concatenate(parts).rows(inputs.image_rows.to(device))
        composed = model.compose_features(images, **texts).to("cpu")
        return ModelOutputs(composed, None if encoded is None else encoded.to("cpu"))

    return run


IMAGE_CACHE_BYTES = 24 * 1024 * 1024
"""Memory for the features of recent reference images, per model: five hundred or more images."""

QUERY_CACHE_BYTES = 8 * 1024 * 1024
"""Memory for recent composed queries, per model: eight hundred or more queries."""

_TENSOR_BYTES = 450  # what a tensor takes besides its numbers, measured with 24,000 small tensors

# Held while torch uses another number of threads in new threads.
_THREADS_LOCK = threading.Lock()

# On a CPU, a batch with fewer queries runs in one thread. If other threads also compute, this is
# faster (38 ms instead of 78 ms per query on two cores): the threads of OpenMP would sleep between
# operations instead of spinning, and waking them takes longer than an operation on a few images.
_MIN_PARALLEL_ROWS = 8

# The tensors of a text: ids, and a mask of the ids that are not padding.
_TEXT_FORMS = (("clip_input_ids", "clip_attention_mask"), ("word_ids", "word_mask"))

_RowKey = tuple[Hashable, ...]

_Value = TypeVar("_Value")


class _Work(NamedTuple):
    """The inputs of N different queries that one caller wants to run together.

    Attributes:
        keys: one key for each query; queries with equal inputs have equal keys. The first entry of
            a key is the key of the query's image, or None for a query without an image.
        pixels: the preprocessed image (3, height, width) of each query; empty for queries without
            images.
        texts: the processor's output for the N texts, as tensors (N, L) by name.
    """

    keys: Sequence[_RowKey]
    pixels: Sequence[Tensor]
    texts: Mapping[str, Tensor]


class QueryComposer:
    """Callable that composes queries with one model; see `Compose`.

    Queries of several threads that wait at the same moment run in one forward pass. The result for
    a query does not depend on the other queries of the pass, except for rounding of about 1e-7.

    Recent composed queries and the features of recent images are cached. A query that is still in
    the cache does not run the model again, and an image that is still in the cache is not encoded
    again. The keys of the cache contain the complete input of the model, images as hashes.

    Attributes:
        run_model: function that runs the model. It may be replaced by a function that runs the
            model on another device.
    """

    def __init__(
        self,
        model: DWCModel,
        queue: BatchQueue = MODEL_QUEUE,
        image_cache_bytes: int = IMAGE_CACHE_BYTES,
        query_cache_bytes: int = QUERY_CACHE_BYTES,
    ) -> None:
        self.run_model = model_runner(model)
        self._queue = queue
        self._images = _Cache[ImageFeatures](image_cache_bytes)
        self._queries = _Cache[ComposedQuery](query_cache_bytes)

    def __call__(self, inputs: Mapping[str, Tensor]) -> ComposedQuery:
        """Compose N queries, given the processor's output for them as CPU tensors by name.

        Raises:
            BusyError: too many queries are waiting.
            QueryError: a query is invalid for this model.
        """
        keys = _row_keys(inputs)
        if not keys:
            return self.run_model(ModelInputs(inputs)).composed  # raises an error with the reason
        known = {key: query for key in keys if (query := self._queries.get(key)) is not None}
        missing = list(dict.fromkeys(key for key in keys if key not in known))
        if missing:
            work = _select(inputs, keys, missing)
            # Queries with and without image, or with and without text, cannot share a forward pass.
            key = (self, bool(work.pixels), tuple(sorted(work.texts)))
            composed = self._queue.submit(key, work, len(missing), self._run)
            if missing == keys:
                return composed
            for row, row_key in enumerate(missing):
                known[row_key] = composed.rows(torch.tensor([row]))
        return concatenate([known[key] for key in keys])

    def image_features(self, pixel_values: Tensor) -> ImageFeatures:
        """Return the model's features of one image, from the cache if they are in it.

        Args:
            pixel_values: the processor's output for the image, (1, 3, height, width).
        """
        (key,) = _row_keys({"pixel_values": pixel_values})
        features = self._images.get(key[0])
        if features is None:
            work = _Work([key], [pixel_values[0]], {})
            features = self._queue.submit((self, "features"), work, 1, self._run_features)
        return features

    def _run(self, works: Sequence[_Work]) -> list[ComposedQuery]:
        """Compose the queries of several callers in one pass; return one batch for each caller."""
        composed = self._forward(works).composed
        rows = _number_rows(works)
        for key, row in rows.items():
            query = composed.rows(torch.tensor([row]))
            self._queries.put(key, query, _size_bytes(query))
        return [composed.rows(torch.tensor([rows[key] for key in work.keys])) for work in works]

    def _run_features(self, works: Sequence[_Work]) -> list[ImageFeatures]:
        """Return the features of one image for each of several callers."""
        features = self._forward(works).images
        return [features[work.keys[0][0]] for work in works]

    def _forward(self, works: Sequence[_Work]) -> "_Forward":
        """Run the model once for the queries of several callers; equal queries run only once."""
        rows = _number_rows(works)
        pixels = {
            key[0]: tensor
            for work in works
            if work.pixels
            for key, tensor in zip(work.keys, work.pixels, strict=True)
        }
        cached = {key: self._images.get(key) for key in pixels}
        known = {key: features for key, features in cached.items() if features is not None}
        new = [key for key in pixels if key not in known]
        index = {key: number for number, key in enumerate((*known, *new))}
        set_torch_threads(1 if len(rows) < _MIN_PARALLEL_ROWS else None)
        composed, encoded = self.run_model(
            ModelInputs(
                _join_texts(works, rows),
                torch.tensor([index[key[0]] for key in rows]) if pixels else None,
                ImageFeatures.concatenate(list(known.values())) if known else None,
                torch.stack([pixels[key] for key in new]) if new else None,
            )
        )
        for row, key in enumerate(new):
            assert encoded is not None
            known[key] = encoded.rows(torch.tensor([row]))
            self._images.put(key, known[key], known[key].size_bytes)
        return _Forward(composed, known)


def set_torch_threads(count: int | None) -> None:
    """Set how many threads torch uses for the operations of the calling thread.

    `torch.set_num_threads` also sets the number for all threads that start later. This function
    restores that number in a temporary thread, so that only the calling thread is affected.

    Args:
        count: the number of threads; None for the number that torch uses in a new thread.
    """
    if count == torch.get_num_threads():
        return
    with _THREADS_LOCK, ThreadPoolExecutor(1, "torch-threads") as new_thread:
        default = new_thread.submit(torch.get_num_threads).result()
        torch.set_num_threads(default if count is None else count)
        new_thread.submit(torch.set_num_threads, default).result()


class _Forward(NamedTuple):
    """The outputs of one forward pass.

    Attributes:
        composed: the composed queries, one for each different key, in the order in which the keys
            first occur.
        images: the features of the queries' images, by the image's key.
    """

    composed: ComposedQuery
    images: Mapping[Hashable, ImageFeatures]


class _Cache(Generic[_Value]):
    """A thread-safe cache with a maximum total size; drops the least recently used values first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._values: OrderedDict[Hashable, tuple[_Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> _Value | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: _Value, size_bytes: int) -> None:
        with self._lock:
            if key in self._values:
                self._bytes -= self._values.pop(key)[1]
            self._values[key] = value, size_bytes
            self._bytes += size_bytes
            while self._bytes > self._max_bytes and self._values:
                self._bytes -= self._values.popitem(last=False)[1][1]


def concatenate(queries: Sequence[ComposedQuery]) -> ComposedQuery:
    """Return one batch of all given queries of one model, in the given order.

    A joint part is computed from image and text together, and no weight applies to it. If only some
    queries have one, the joint part of the other queries is set to zero.
    """
    streams = {}
    for name in queries[0].streams:
        parts = [query.streams[name] for query in queries]
        joint = None
        if any(part.joint_part is not None for part in parts):
            joint = torch.cat(
                [
                    torch.zeros_like(part.embedding) if part.joint_part is None else part.joint_part
                    for part in parts
                ]
            )
        streams[name] = Composition(
            torch.cat([part.embedding for part in parts]),
            torch.cat([part.image_part for part in parts]),
            torch.cat([part.text_part for part in parts]),
            torch.cat([part.image_weight for part in parts]),
            joint,
        )
    scores = [query.ood_score for query in queries if query.ood_score is not None]
    return ComposedQuery(**streams, ood_score=torch.cat(scores) if scores else None)


def _row_keys(inputs: Mapping[str, Tensor]) -> list[_RowKey]:
    """Return a key for each of N queries; queries with equal inputs have equal keys.

    The first entry of a key is the key of the query's image; it is None if there are no images.
    """
    count = len(next(iter(inputs.values()), ()))
    columns: list[Sequence[Hashable]] = [_image_keys(inputs.get("pixel_values"), count)]
    for ids_name, mask_name in _TEXT_FORMS:
        ids, mask = inputs.get(ids_name), inputs.get(mask_name)
        if ids is None:
            columns.append([None] * count)
        elif mask is None:
            columns.append([tuple(row) for row in ids.tolist()])
        else:
            pairs = zip(ids, mask.bool(), strict=True)
            columns.append([tuple(row[is_token].tolist()) for row, is_token in pairs])
    return list(zip(*columns, strict=True))


def _image_keys(pixel_values: Tensor | None, count: int) -> list[Hashable]:
    if pixel_values is None:
        return [None] * count
    # If all texts share one image, the tensor is a view that repeats one row. It is hashed once.
    is_repeated = count > 1 and pixel_values.stride(0) == 0
    keys: list[Hashable] = []
    for row in pixel_values[:1] if is_repeated else pixel_values:
        digest = hashlib.blake2b(row.contiguous().numpy(), digest_size=16).digest()
        keys.append((digest, tuple(row.shape)))
    return keys * count if is_repeated else keys


def _select(
    inputs: Mapping[str, Tensor], keys: Sequence[_RowKey], wanted: Sequence[_RowKey]
) -> _Work:
    """Return some of N queries, selected by their keys.

    Args:
        inputs: the processor's output for the N queries.
        keys: the keys of the N queries.
        wanted: the keys of the queries to return, without repetition.
    """
    rows = [keys.index(key) for key in wanted]
    texts = {name: tensor[rows] for name, tensor in inputs.items() if name != "pixel_values"}
    pixel_values = inputs.get("pixel_values")
    pixels = [] if pixel_values is None else [pixel_values[row] for row in rows]
    return _Work(wanted, pixels, texts)


def _number_rows(works: Sequence[_Work]) -> dict[_RowKey, int]:
    """Return an index, from 0, for each different query of several callers, by the query's key."""
    keys = dict.fromkeys(key for work in works for key in work.keys)
    return {key: row for row, key in enumerate(keys)}


def _join_texts(works: Sequence[_Work], rows: Mapping[_RowKey, int]) -> dict[str, Tensor]:
    """Return the texts of all different queries as one batch, padded to the longest text.

    Args:
        works: the queries of the callers. The tensors of their texts have the same names.
        rows: the index of each different query in the joined tensors, by the query's key.
    """
    joined = {}
    for name in works[0].texts:
        tensors = [work.texts[name] for work in works]
        longest = max(tensor.shape[1] for tensor in tensors)
        batch = tensors[0].new_zeros(len(rows), longest)
        for work, tensor in zip(works, tensors, strict=True):
            batch[[rows[key] for key in work.keys], : tensor.shape[1]] = tensor
        joined[name] = batch
    return joined


def _size_bytes(query: ComposedQuery) -> int:
    """Return the memory that composed queries take, in bytes."""
    size = 0
    for stream in query.streams.values():
        tensors = (stream.embedding, stream.image_part, stream.text_part, stream.image_weight)
        size += sum(tensor.nbytes + _TENSOR_BYTES for tensor in tensors)
        size += 0 if stream.joint_part is None else stream.joint_part.nbytes + _TENSOR_BYTES
    return size
