"""Settings of a process's memory: Python's garbage collector and the C library's allocator.

Both have defaults for small programs. The defaults cost a program that imports large packages and
computes with large tensors a fifth of its time.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_DEFAULT_THRESHOLDS = gc.get_threshold()

# Parameters of mallopt and their numbers in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES = 128 * 1024 * 1024
_MMAP_BYTES = 32 * 1024 * 1024  # the largest value that every version of glibc accepts


@contextmanager
def collector_paused() -> Iterator[None]:
    """Disable Python's cyclic garbage collector within a block that creates many objects.

    For example, reading 100,000 rows from a database creates more than 100,000 objects. The
    garbage collector would scan all of them repeatedly, which would take seconds.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def relax_collector() -> None:
    """Run Python's cyclic garbage collector less often from now on.

    The packages of a command create about 900,000 objects when they are imported, and nearly all of
    them stay. With Python's default thresholds, the garbage collector scans all of them several
    times, which takes a fifth of the time of the import.
    """
    gc.set_threshold(50_000, 20, 100)


def settle_collector() -> None:
    """Restore the garbage collector's default thresholds, and exempt all present objects from it.

    A server calls this function once it is ready. The garbage collector then scans only the objects
    that requests create, so it interrupts the server only briefly.
    """
    gc.freeze()
    gc.set_threshold(*_DEFAULT_THRESHOLDS)


def retain_freed_memory() -> bool:
    """Let the C library reuse freed memory of up to 128 MB, instead of returning it to the system.

    The feature maps of an image take megabytes. By default, glibc returns such memory to the system
    when it is freed, and the system clears each page when the memory is next used. With the bundled
    model, this happened to 2,300 pages per query, a fifth of the query's time.

    Returns:
        Whether the setting was changed. It is not changed if the C library is not glibc, or if the
        user has set it by an environment variable (`GLIBC_TUNABLES`, `MALLOC_TRIM_THRESHOLD_` or
        `MALLOC_MMAP_THRESHOLD_`).
    """
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
    is_set = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if is_set or any(name in os.environ for name in names) or not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    trim = library.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
    return bool(trim and library.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES))
