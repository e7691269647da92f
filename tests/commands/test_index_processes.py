"""`dwc index` as `torchrun` starts it, several times at once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dwc.cli import main
from dwc.commands import process_group
from dwc.commands.process_group import is_launched
from dwc.errors import StoreError
from dwc.gallery import parts
from dwc.gallery.store import Store
from dwc.modeling.modeling_dwc import DWCModel, local_device
from dwc.search import image_embedding
from tests.fork_server import PYTHON
from tests.gallery.conftest import make_old
from tests.search.tiny import write_tiny_checkpoint

ROOT = Path(__file__).parents[2]
SECONDS = 120
PICTURES = 11  # of 12 files; one is damaged
# Embeds slowly, so that a process can be killed in between.
SLOW = """
import sys, time
from dwc.cli import main
from dwc.search import image_embedding

def slowly(checkpoint, embedder=image_embedding.image_embedder):
    embed = embedder(checkpoint)
    def embed_slowly(images):
        time.sleep(0.5)
        return embed(images)
    return embed_slowly

image_embedding.image_embedder = slowly
sys.exit(main())
"""
# Embeds one batch in the second process and is slow in the first.
FULL_DISK = """
import os, sys, time
from dwc.cli import main
from dwc.search import image_embedding

def until_full(checkpoint, embedder=image_embedding.image_embedder):
    embed, calls = embedder(checkpoint), []
    def embed_until_full(images):
        calls.append(len(images))
        if os.environ["RANK"] == "0" and os.environ["WORLD_SIZE"] == "2":
            time.sleep(3)
        elif len(calls) == 2 and os.environ["RANK"] == "1":
            raise OSError(28, "disk full")
        return embed(images)
    return embed_until_full

image_embedding.image_embedder = until_full
sys.exit(main())
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for n in range(PICTURES):
        Image.new("RGB", (30, 20), (20 * n, 100, 90)).save(folder / f"p{n:02}.png")
    (folder / "p03a.png").write_bytes((folder / "p01.png").read_bytes()[:60])
    make_old(folder)
    return folder


@pytest.fixture(scope="module")
def alone(model, gallery, tmp_path_factory):
    """The store and the JSON of one process."""
    store = tmp_path_factory.mktemp("stores") / "alone"
    command = [*PYTHON, "-m", "dwc", *arguments(gallery, model, store)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=SECONDS
    )
    return store, json.loads(done.stdout)


def arguments(gallery, model, store):
    paths = [str(gallery), "--model", str(model), "--out", str(store)]
    return ["index", *paths, "--batch-size", "2", "--json"]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def torchrun(*command):
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    address = ["--master-addr", "127.0.0.1", "--master-port", free_port()]
    return subprocess.run(
        [*PYTHON, *launcher, *address, "--no-python", *PYTHON, "-m", "dwc", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def start_processes(*commands, script=("-m", "dwc")):
    """Start processes as a launcher does that does not end the others if one fails."""
    port, started = free_port(), []
    for n, command in enumerate(commands):
        environment = {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1",
            "RANK": str(n), "LOCAL_RANK": str(n),
            "WORLD_SIZE": str(len(commands)), "LOCAL_WORLD_SIZE": str(len(commands)),
        }  # fmt: skip
        started.append(
            subprocess.Popen(
                [*PYTHON, *script, *command],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def finish(processes):
    """Return the exit status, the output and the messages of each process."""
    try:
        printed = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *texts) for p, texts in zip(processes, printed, strict=True)]


def assert_equal(store, other):
    """Two stores are equal up to the rounding in batches of other pictures."""
    store, other = Store.open(store), Store.open(other)
    store.check()
    rows = [[row._replace(checksum=0) for row in opened.rows] for opened in (store, other)]
    assert rows[0] == rows[1]
    np.testing.assert_allclose(store.vectors, other.vectors, atol=1e-5)


def test_two_processes_build_the_store_of_one_and_report_once(model, gallery, alone, tmp_path):
    store = tmp_path / "store"
    done = torchrun(*arguments(gallery, model, store))
    assert done.returncode == 0, done.stderr
    answer, expected = json.loads(done.stdout), alone[1]
    assert (expected["embedded"], list(expected["skipped"])) == (PICTURES, ["p03a.png"])
    assert {**answer, "store": ""} == {**expected, "store": ""}
    assert done.stderr.count("skipped: ") == 1
    lines = done.stderr.splitlines()
    assert lines.count("12 of 12 pictures") == 1
    assert lines.count("adding to the store: 12 of 12 pictures") == 1
    assert_equal(store, alone[0])
    assert not parts.parts_folder(store).exists()


def test_a_killed_process_ends_the_others_and_one_process_goes_on(model, gallery, alone, tmp_path):
    store = tmp_path / "store"
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    command = arguments(gallery, model, store)
    processes = start_processes(command, command, script=[str(script)])
    end = time.monotonic() + SECONDS
    while not list(parts.part_folder(store, 1).glob("thumbnails/*/*")):
        assert time.monotonic() < end
        assert processes[1].poll() is None
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGKILL)
    (status, out, err), (killed, _, _) = finish(processes)
    assert (status, out, killed) == (2, "", -signal.SIGKILL)
    assert "StoreError: the connection to another process was lost" in err
    assert "The same command goes on." in err
    assert "Traceback" not in err
    embedded = len(parts.EmbeddedParts(store))
    assert 0 < embedded < PICTURES

    ((status, out, err),) = finish(start_processes(command))
    assert status == 0, err
    answer = json.loads(out)
    assert (answer["pictures"], list(answer["skipped"])) == (PICTURES, ["p03a.png"])
    assert_equal(store, alone[0])
    assert not parts.parts_folder(store).exists()


def test_an_error_in_one_process_ends_the_others_and_is_reported(model, gallery, tmp_path):
    missing = tmp_path / "no-model"
    message = f"there is no folder '{missing}'"
    store = tmp_path / "store"
    first, second = finish(
        start_processes(arguments(gallery, model, store), arguments(gallery, missing, store))
    )
    assert (first[0], second[0]) == (2, 2)
    assert f"OtherProcessError: process 2 of 2 failed: CheckpointError: {message}" in first[2]
    assert f"CheckpointError: {message}" in second[2]
    first, second = finish(
        start_processes(arguments(gallery, missing, store), arguments(gallery, model, store))
    )
    assert (first[0], second[0]) == (2, 2)
    assert f"CheckpointError: {message}" in first[2]
    assert "Error" not in second[2]
    assert not store.exists()
    assert not parts.parts_folder(store).exists()


def test_an_error_while_it_embeds_ends_the_others_and_loses_nothing(
    model, gallery, alone, tmp_path
):
    store = tmp_path / "store"
    script = tmp_path / "full_disk.py"
    script.write_text(FULL_DISK)
    command = arguments(gallery, model, store)
    first, second = finish(start_processes(command, command, script=[str(script)]))
    assert (first[0], second[0]) == (2, 2)
    assert "OtherProcessError: process 2 of 2 failed: OSError: [Errno 28] disk full" in first[2]
    assert second[2].splitlines()[-1].startswith("[Errno 28] disk full. Free some space")
    assert "Traceback" not in first[2] + second[2]
    embedded = len(parts.EmbeddedParts(store))
    assert 2 <= embedded < PICTURES

    ((status, out, err),) = finish(start_processes(command))
    assert status == 0, err
    assert json.loads(out)["pictures"] == PICTURES
    assert_equal(store, alone[0])


def test_hosts_that_see_other_pictures_are_an_error(model, gallery, tmp_path):
    other, store = tmp_path / "photos", tmp_path / "store"
    other.mkdir()
    Image.new("RGB", (30, 20)).save(other / "a.png")
    first, second = finish(
        start_processes(arguments(gallery, model, store), arguments(other, model, store))
    )
    assert (first[0], second[0]) == (2, 2)
    assert "StoreError: the processes have different models or pictures to embed" in first[2]
    assert "Traceback" not in first[2] + second[2]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"WORLD_SIZE": "1", "LOCAL_RANK": "0"}, False),
        ({"WORLD_SIZE": ""}, False),
        ({"WORLD_SIZE": "2"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "3"}, True),
    ],
)
def test_a_launch_is_recognized_by_its_variables(monkeypatch, variables, expected):
    for name in process_group._SIZE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_launched() is expected


def test_a_launch_without_accelerate_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(StoreError, match=r"pip install 'dwc\[train\]'"):
        process_group.ProcessGroup()


def test_processes_of_a_machine_get_its_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert local_device() == local_device(3) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [local_device(n).index for n in range(3)] == [0, 1, 0]
    assert process_group._local_device(1) == torch.device("cuda", 1)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert process_group._local_device(1) == torch.device("cpu")


def test_one_process_embeds_on_the_gpu_of_the_machine(model, gallery, tmp_path, monkeypatch):
    """As far as a machine without one can tell: the model is moved there first."""
    moves = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(DWCModel, "to", lambda self, device: moves.append(str(device)))
    embedder = image_embedding.image_embedder

    def embed_after_the_move(checkpoint):
        assert moves == ["cuda:0"]
        return embedder(checkpoint)

    monkeypatch.setattr(image_embedding, "image_embedder", embed_after_the_move)
    assert main(arguments(gallery, model, tmp_path / "store")) == 0
    assert moves == ["cuda:0"]
