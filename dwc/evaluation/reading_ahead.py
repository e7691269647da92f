"""Pictures opened by threads while the model is busy with those before."""

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from types import TracebackType

from PIL import Image

from dwc.datasets.triplets import Benchmark
from dwc.gallery.decoding import decode

_AHEAD = 4  # pictures a thread


def asked_in_order(benchmark: Benchmark) -> Iterable[str]:
    """The pictures that running a benchmark opens, in the order in which it does."""
    return chain(benchmark.gallery, (query.reference for query in benchmark.queries))


class ReadAhead:
    """Opens pictures by name, those that come next already under way; a context manager.

    A picture that is passed over is dropped; one that was not foretold is opened when asked.
    """

    def __init__(self, paths: Mapping[str, Path], order: Iterable[str], threads: int) -> None:
        self._paths, self._order = paths, iter(order)
        self._pool = ThreadPoolExecutor(max(1, threads))
        self._waiting: deque[tuple[str, Future[Image.Image]]] = deque()
        self._fill(_AHEAD * max(1, threads))

    def __call__(self, name: str) -> Image.Image:
        """The picture of a name; PictureError where it cannot be read, KeyError without a path."""
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

    def __enter__(self) -> "ReadAhead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
