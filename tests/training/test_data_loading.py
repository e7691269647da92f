"""Every process has its own batches, the same with and without prefetching."""

import multiprocessing
import os
from types import SimpleNamespace

import pytest
import torch

from dwc.training import data_loading
from dwc.training.data_loading import PrefetchLoader, shard_and_prefetch


def processes(rank: int, world: int, device: str = "cpu") -> SimpleNamespace:
    return SimpleNamespace(process_index=rank, num_processes=world, device=torch.device(device))


def make(number: int) -> tuple[int, int]:
    """Which batch it is, and who made it."""
    return number, os.getpid()


@pytest.mark.slow
def test_processes_get_different_batches() -> None:
    dealt = [shard_and_prefetch(make, 3, processes(rank, 2)) for rank in range(2)]
    assert [one(step)[0] for step in range(3) for one in dealt] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("cores", "device", "platform", "ahead"),
    [
        (2, "cpu", "linux", False),
        (4, "cpu", "linux", True),
        (2, "cuda", "linux", True),
        (4, "cuda", "darwin", False),
    ],
)
def test_batches_are_prefetched_where_a_core_is_free(
    monkeypatch: pytest.MonkeyPatch, cores: int, device: str, platform: str, ahead: bool
) -> None:
    monkeypatch.setattr(data_loading.os, "cpu_count", lambda: cores)
    monkeypatch.setattr(data_loading.torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(data_loading.sys, "platform", platform)
    assert isinstance(shard_and_prefetch(make, 3, processes(0, 1, device)), PrefetchLoader) == ahead


@pytest.mark.slow
def test_prefetched_batches_are_the_same_from_any_start() -> None:
    ahead = PrefetchLoader(make, 5)
    found = [ahead(step) for step in (0, 1, 3, 4, 0)]
    assert [number for number, _ in found] == [0, 1, 3, 4, 0]
    assert os.getpid() not in {maker for _, maker in found}


@pytest.mark.slow
def test_its_process_ends_with_the_last_batch_and_when_it_is_closed() -> None:
    def is_running(process_id: int) -> bool:
        return process_id in {child.pid for child in multiprocessing.active_children()}

    ahead = PrefetchLoader(make, 5)
    assert not is_running(ahead(4)[1])
    maker = ahead(2)[1]
    assert is_running(maker)
    ahead.close()
    assert not is_running(maker)
    assert ahead(2)[0] == 2
