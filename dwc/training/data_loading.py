"""Batches by their step, dealt to the processes that learn; made ahead where that pays."""

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
    """This process's batches out of those that `make` gives by number: the same ones at any time.

    Another process makes them ahead where a GPU learns, or a core is left over. Where every core
    learns it would take one of them from threads that work in step, and cost more than it saves;
    and where a process cannot be forked, what makes a batch would have to be sent to it.
    """
    rank, world = accelerator.process_index, accelerator.num_processes

    def own(step: int) -> Batch:
        return make(step * world + rank)

    has_core_to_spare = (os.cpu_count() or 1) > torch.get_num_threads()
    if sys.platform == "linux" and (accelerator.device.type != "cpu" or has_core_to_spare):
        return PrefetchLoader(own, total_steps)
    return own


class StepLoader(Generic[Batch]):
    """What a data set holds by step, through a loader that goes on for as long as steps do."""

    def __init__(self, data: Dataset, total_steps: int, **loading: Any) -> None:
        """`loading` are further arguments of `DataLoader`."""
        self._data, self._total, self._loading = data, total_steps, loading
        self._next: int | None = None
        self._iterator: Iterator[Batch] = iter(())

    def __call__(self, step: int) -> Batch:
        """The one of `step`; asked for in order, it is ready already."""
        if step != self._next:
            # A loader without a generator draws from torch's own numbers, and dropout would differ
            # between a run that was killed and one that was not.
            loader = DataLoader(
                self._data,
                batch_size=None,
                sampler=range(step, self._total),
                generator=torch.Generator(),
                **self._loading,
            )
            self._iterator = iter(loader)
        self._next = step + 1
        return next(self._iterator)


class _ByStep(Dataset, Generic[Batch]):
    def __init__(self, make: Callable[[int], Batch]) -> None:
        self.make = make

    def __getitem__(self, step: int) -> Batch:
        return self.make(step)


class PrefetchLoader(StepLoader[Batch]):
    """The same batches, made ahead by another process while the last one is learned from."""

    def __init__(self, make: Callable[[int], Batch], total_steps: int) -> None:
        super().__init__(
            _ByStep(make),
            total_steps,
            num_workers=1,
            prefetch_factor=4,
            multiprocessing_context="fork",
        )
