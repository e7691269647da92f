"""Batches by step number: sharded over processes, prefetched where that pays."""

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
    """Return this process's share of the batches that `make` gives by number.

    A worker process prefetches them if a GPU trains or a core is free. If every core trains, the
    worker would take one from threads that work in lockstep, and cost more than it saves; without
    fork, everything that makes a batch would have to be sent to the worker.

    Args:
        make: Returns the batch of a number, the same one every time.
        total_steps: Steps of the stage.
        accelerator: Knows rank, number of processes and device.

    Returns:
        A function from the step to this process's batch.
    """
    rank, world = accelerator.process_index, accelerator.num_processes

    def make_own(step: int) -> Batch:
        return make(step * world + rank)

    has_free_core = (os.cpu_count() or 1) > torch.get_num_threads()
    if sys.platform == "linux" and (accelerator.device.type != "cpu" or has_free_core):
        return PrefetchLoader(make_own, total_steps)
    return make_own


class StepLoader(Generic[Batch]):
    """Reads a data set by step through a `DataLoader` that runs on to the last step."""

    def __init__(self, data: Dataset, total_steps: int, **options: Any) -> None:
        """Remember the data; `options` are further arguments of `DataLoader`."""
        self._data, self._total, self._options = data, total_steps, options
        self._next: int | None = None
        self._iterator: Iterator[Batch] = iter(())

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step; steps in order are prefetched, others restart the loader."""
        if step != self._next:
            # Without a generator of its own, a loader draws from torch's global one, and dropout
            # would differ between a resumed run and an uninterrupted one.
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
        """End the processes that prefetch; a further call starts new ones.

        The garbage collector may close a loader's queues before it ends the processes, which torch
        then waits for, 5 seconds each.
        """
        self._next, self._iterator = None, iter(())


class _ByStep(Dataset, Generic[Batch]):
    def __init__(self, make: Callable[[int], Batch]) -> None:
        self.make = make

    def __getitem__(self, step: int) -> Batch:
        return self.make(step)


class PrefetchLoader(StepLoader[Batch]):
    """Makes batches in a forked worker process, four steps ahead."""

    def __init__(self, make: Callable[[int], Batch], total_steps: int) -> None:
        super().__init__(
            _ByStep(make),
            total_steps,
            num_workers=1,
            prefetch_factor=4,
            multiprocessing_context="fork",
        )
