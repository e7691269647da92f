"""Settings of the garbage collector and of the allocator."""

import gc
import os
import subprocess
import sys

import pytest

from dwc.cli import main

# Prints how many pages the system clears while 16 MB are allocated and freed ten times, before and
# after the setting, and whether something was set.
COUNT_FAULTS = """
import resource
from dwc.memory import retain_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"x" * 16_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

by_default = faults()
is_set = retain_freed_memory()
b"x" * 16_000_000
print(by_default, faults(), is_set)
"""


@pytest.mark.slow
def test_a_command_runs_with_a_collector_that_scans_its_imports_rarely(monkeypatch):
    usual = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    seen = []
    monkeypatch.setattr("dwc.commands.report.run", lambda args: seen.append(gc.get_threshold()))
    try:
        main(["report"])
    finally:
        gc.set_threshold(*usual)
    assert seen[0][0] > 10_000


def test_a_server_that_is_ready_scans_only_what_is_new():
    code = (
        "import gc, dwc.memory as f; usual = gc.get_threshold(); f.relax_collector(); "
        "f.settle_collector(); assert gc.get_threshold() == usual; print(gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1_000


def count_faults(**variables):
    code = [sys.executable, "-c", COUNT_FAULTS]
    environment = os.environ | variables
    done = subprocess.run(code, env=environment, capture_output=True, text=True, check=True)
    by_default, retained, is_set = done.stdout.split()
    return int(by_default), int(retained), is_set == "True"


def test_freed_memory_is_used_again_without_a_page_fault():
    by_default, retained, is_set = count_faults()
    if not is_set:
        pytest.skip("the C library is not glibc")
    assert by_default > 1_000
    assert retained < by_default / 20


@pytest.mark.parametrize(
    "variables",
    [{"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1000000"}, {"MALLOC_TRIM_THRESHOLD_": "1000"}],
)
def test_settings_of_the_user_stay(variables):
    assert not count_faults(**variables)[2]
