"""Loaders of training batches by step number, for several processes and with prefetching."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset

Batch = TypeVar("Batch")


def shard_and_prefetch(
    make: Callable[[int], Batch], total_steps: int, accelerator: Accelerator
) -> Callable[[int], Batch]:
    """Return a function that returns this process's batch of a training step.

    The function prefetches batches if that saves time: on Linux, a worker process makes the next
    batches if training runs on a GPU or if a CPU core is free. If training uses every core, a
    worker would cost more time than prefetching saves. On other systems, a worker cannot be forked,
    and copying all data to it would take too long.

    Args:
        make: Function that returns the batch with a given number; the same number must always give
            the same batch. Step s of process r out of n gets the batch with number s * n + r.
        total_steps: Number of steps of the training stage.
        accelerator: The accelerator, for the rank, the number of processes and the device.

    Returns:
        A function that takes a step number and returns this process's batch for that step.
    """
    rank, world = accelerator.process_index, accelerator.num_processes

    def make_own(step: int) -> Batch:
        return make(step * world + rank)

    has_free_core = (os.cpu_count() or 1) > torch.get_num_threads()
    if sys.platform == "linux" and (accelerator.device.type != "cpu" or has_free_core):
        return PrefetchLoader(make_own, total_steps)
    return make_own


class StepLoader(Generic[Batch]):
    """Loader that returns the batch of a training step, given the number of the step.

    For successive steps, one `DataLoader` prepares the batches in advance, from a data set that has
    the batch of step s at index s.
    """

    def __init__(self, data: Dataset, total_steps: int, **options: Any) -> None:
        """Build the loader; its `DataLoader` starts when the first batch is requested.

        Args:
            data: Data set with one batch per step number.
            total_steps: Number of steps of the training stage.
            **options: Further arguments of `DataLoader`, such as `num_workers`.
        """
        self._data, self._total, self._options = data, total_steps, options
        self._next: int | None = None
        self._iterator: Iterator[Batch] = iter(())

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step; restart the loading if steps were skipped or repeated."""
        if step != self._next:
            # Without its own generator, a loader uses torch's global one, and dropout would
            # differ between a resumed run and an uninterrupted one.
            loader = DataLoader(
                self._data,
                batch_size=None,
                sampler=range(step, self._total),
                generator=torch.Generator(),
                **self._options,
            )
            self._iterator = iter(loader)
        self._next = step + 1
        batch = next(self._iterator)
        if self._next == self._total:
            self.close()
        return batch

    def close(self) -> None:
        """Stop the worker processes that prefetch batches; the next call starts new ones.

        Without this call, the garbage collector may close a loader's queues before its processes
        end, and torch then waits 5 seconds for each process.
        """
        self._next, self._iterator = None, iter(())


class _ByStep(Dataset, Generic[Batch]):
    def __init__(self, make: Callable[[int], Batch]) -> None:
        self.make = make

    def __getitem__(self, step: int) -> Batch:
        return self.make(step)


class PrefetchLoader(StepLoader[Batch]):
    """Loader that makes batches in a forked worker process, up to four steps ahead."""

    def __init__(self, make: Callable[[int], Batch], total_steps: int) -> None:
        super().__init__(
            _ByStep(make),
            total_steps,
            num_workers=1,
            prefetch_factor=4,
            multiprocessing_context="fork",
        )
