"""Settings of all tests, and how they are divided among processes."""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from dwc.memory import relax_collector, retain_freed_memory
from tests import fork_server

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

# With several processes, each computes on one thread, and so does what it starts. Torch reads this
# when it is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"

# How long an example takes says more about who else uses the machine than about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


MEMORY = Path("/dev/shm")  # on Linux, a folder in memory
NEEDED_BYTES = 8_000_000_000  # several times the temporary files of a run


def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder of temporary files, and run the server of the processes that tests start.

    The files lie in memory if it has room, since stores and databases wait for the disk after each
    change. Benchmarks use the disk, which they measure.
    """
    relax_collector()
    retain_freed_memory()
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > NEEDED_BYTES
    if has_room and config.option.markexpr != "bench":
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    server = fork_server.serving()
    server.__enter__()
    config.add_cleanup(lambda: server.__exit__(None, None, None))
    fork_server.spawn_from_server()


@pytest.fixture(autouse=True)
def default_log_levels() -> Iterator[None]:
    """Reset the levels that commands give to this package's loggers, whatever test runs next."""
    yield
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] == "dwc":
            logging.getLogger(name).setLevel(logging.NOTSET)


# About how many seconds a test with a marker takes.
SECONDS_BY_MARKER = {"browser": 5, "training": 10, "slow": 1}


def share_of(nodeid: str) -> str:
    """Name what one process runs as a whole: a file, or all files that drive a browser."""
    return "browser" if nodeid.startswith("tests/browser/") else nodeid.split("::")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first what takes longest, so that at the end no process waits for another."""
    seconds: Counter[str] = Counter()
    for item in items:
        markers = (SECONDS_BY_MARKER.get(mark.name, 0) for mark in item.iter_markers())
        seconds[share_of(item.nodeid)] += max(markers, default=0)
    items.sort(key=lambda item: -seconds[share_of(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> "LoadFileScheduling":
    """Run the tests of a file in one process, which makes the file's fixtures once.

    All files that drive a browser are one process's: they share a Chromium and an app.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return share_of(nodeid)

    config.option.loadscopereorder = False  # the order of collection is that of run time
    return Scheduling(config, log)
