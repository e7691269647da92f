"""A work folder belongs to one recipe; its logs add up; its large files need space."""

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from dwc.cli import main
from dwc.errors import TrainingError
from dwc.training.catalogue import joint_training, train_catalogue
from dwc.training.catalogue.recipe import CatalogueRecipe
from dwc.training.dwc.mutual_training import MutualSettings
from dwc.training.loop import LoopSettings, run_stage
from dwc.training.run_dir import (
    RECIPE_FILE,
    claim,
    merge_logs,
    new_array_file,
    recipe_record,
    reporting_full_disk,
    stage_seconds,
)
from tests.fork_server import PYTHON

STAGES = ("drawing", "contrastive", "attributes", "keeping", "reading", "alternating")


def write(work: Path, stage: str, seconds: list[float]) -> None:
    (work / f"{stage}.jsonl").write_text(
        "".join(json.dumps({"seconds": s}) + "\n" for s in seconds)
    )


def test_every_resumption_counts(tmp_path: Path) -> None:
    write(tmp_path, "drawing", [200.0, 8.0, 9.0])  # three pools, a line for each finished one
    write(tmp_path, "contrastive", [10.0, 20.0, 30.0])  # never interrupted
    write(tmp_path, "attributes", [10.0, 20.0, 5.0, 12.0])  # killed after 20 s, 12 s more
    write(tmp_path, "keeping", [110.0, 60.0])  # images and texts, a line for each
    write(tmp_path, "reading", [15.0])
    write(tmp_path, "alternating", [7.0])
    assert stage_seconds(tmp_path, STAGES, ("drawing", "keeping")) == {
        "drawing": 217.0,
        "contrastive": 30.0,
        "attributes": 32.0,
        "keeping": 170.0,
        "reading": 15.0,
        "alternating": 7.0,
    }
    merge_logs(tmp_path, ("contrastive", "reading"), tmp_path / "out")
    lines = (tmp_path / "out" / "training.jsonl").read_text().splitlines()
    assert [json.loads(line)["stage"] for line in lines] == ["contrastive"] * 3 + ["reading"]


@dataclass(frozen=True)
class Outer:
    mutual: MutualSettings
    rates: tuple[float, ...] = (1.0, 2.0)


def test_records_have_the_published_names() -> None:
    record = recipe_record(Outer(MutualSettings(3, gce_q=0.4, weight_distillation=0.5)))
    assert record["alternating"]["doubt"] == 0.4
    assert record["alternating"]["weight_teaching"] == 0.5
    assert record["rates"] == [1.0, 2.0]
    assert not {"gce_q", "weight_distillation"} & set(record["alternating"])
    assert json.loads(json.dumps(record)) == record


def test_a_folder_belongs_to_its_first_recipe(tmp_path: Path) -> None:
    recipe = recipe_record(CatalogueRecipe())
    claim(tmp_path / "work", recipe)
    claim(tmp_path / "work", recipe)
    other = replace(CatalogueRecipe(), seed=1, mutual=replace(CatalogueRecipe().mutual, eps=1.0))
    with pytest.raises(TrainingError, match=r"seed 0 \(now: 1\), alternating\.eps .* --work"):
        claim(tmp_path / "work", recipe_record(other))
    assert json.loads((tmp_path / "work" / RECIPE_FILE).read_text()) == recipe


def test_long_differences_are_counted(tmp_path: Path) -> None:
    claim(tmp_path, {f"f{n}": 0 for n in range(9)})
    with pytest.raises(TrainingError, match=r"f4 0 \(now: 1\) and 4 more differences"):
        claim(tmp_path, {f"f{n}": 1 for n in range(9)})


def test_a_folder_with_states_of_an_unknown_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool-0.npy").touch()  # drawings are named by what they depend on
    claim(tmp_path / "empty", {"seed": 0})
    (tmp_path / "contrastive").mkdir()
    (tmp_path / "contrastive" / "complete").touch()
    with pytest.raises(TrainingError, match="holds a state of training"):
        claim(tmp_path, {"seed": 0})
    assert not (tmp_path / RECIPE_FILE).exists()


def test_other_processes_compare_and_do_not_write(tmp_path: Path) -> None:
    claim(tmp_path, {"seed": 0}, writes=False)
    assert not (tmp_path / RECIPE_FILE).exists()
    claim(tmp_path, {"seed": 0})
    with pytest.raises(TrainingError):
        claim(tmp_path, {"seed": 1}, writes=False)


class _DrawingBeganError(Exception):
    """The folder was accepted."""


def test_another_seed_is_refused_in_the_work_folder_of_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make checkpoint ARGS="--seed 1"` resumed the finished run of seed 0."""

    def draw(*_: object, **__: object) -> None:
        raise _DrawingBeganError

    monkeypatch.setattr(train_catalogue, "draw_pool", draw)
    command = ["train", "catalogue", "--out", str(tmp_path / "o"), "--work", str(tmp_path / "w")]
    for _ in range(2):
        with pytest.raises(_DrawingBeganError):
            main(command)
    assert main([*command, "--seed", "1"]) == 2
    message = capsys.readouterr().err
    assert "seed 0 (now: 1)" in message
    assert "--work" in message
    # What is measured afterwards does not change the weights.
    recipe = replace(CatalogueRecipe(), measured_queries=5, comparison_steps=1)
    with pytest.raises(_DrawingBeganError):
        train_catalogue.train_catalogue(recipe, tmp_path / "w")


def test_another_seed_is_refused_after_the_drawings_of_a_checkpoint_of_both_worlds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint of drawings in the work folder is finished, and would be taken as it is."""
    monkeypatch.setattr(joint_training, "check_wardrobe", lambda folder: folder)
    train_catalogue.claim_work(CatalogueRecipe(), tmp_path / "w")
    (tmp_path / "w" / "drawings").mkdir()
    (tmp_path / "w" / "drawings" / "evaluation.json").write_text("{}")
    command = ["train", "catalogue", "--wardrobe", str(tmp_path), "--seed", "1"]
    command += ["--work", str(tmp_path / "w"), "--out", str(tmp_path / "o")]
    assert main(command) == 2
    assert "seed 0 (now: 1)" in capsys.readouterr().err


def test_an_array_file_appears_when_it_is_filled(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "rows.npy"
    with new_array_file(file, (3, 4), np.float16) as rows:
        rows[:] = 2
        assert not file.exists()
        (partial,) = file.parent.iterdir()
        assert partial.stat().st_blocks * 512 >= 3 * 4 * 2
    assert np.load(file).tolist() == [[2.0] * 4] * 3


def test_an_interrupted_array_file_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        new_array_file(tmp_path / "rows.npy", (2, 2), np.uint8),
    ):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        pytest.raises(TrainingError, match=r"cannot reserve 8\.0 MB for rows\.npy .* MB free"),
        new_array_file(tmp_path / "rows.npy", (2_000, 1_000), np.float32),
    ):
        raise AssertionError("the block ran")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", str(folder)], check=True)


@pytest.mark.parametrize(
    "write",
    [
        lambda file: torch.save(torch.zeros(1_000_000), file),
        lambda file: save_file({"weight": torch.zeros(1_000_000)}, file),
        lambda file: file.write_bytes(bytes(4_000_000)),
    ],
    ids=["torch", "safetensors", "plain"],
)
def test_writing_to_a_full_disk_says_so(small_disk: Path, write: Callable[[Path], object]) -> None:
    with (
        pytest.raises(TrainingError, match=r"cannot write a state .* disk is full .* repeat"),
        reporting_full_disk(small_disk, "a state"),
    ):
        write(small_disk / "state")


def test_a_state_that_does_not_fit_leaves_the_last_one(small_disk: Path) -> None:
    def train(total_steps: int, extra_bytes: int) -> None:
        accelerator = Accelerator(cpu=True)
        layer = accelerator.prepare(torch.nn.Linear(4, 4))
        (small_disk / "other").write_bytes(bytes(extra_bytes))
        loop = LoopSettings(total_steps, small_disk, save_every=1)
        run_stage("stage", accelerator, lambda _: {"loss": float(layer.bias.sum()) * 0}, loop)

    train(1, 0)
    room = shutil.disk_usage(small_disk).free
    with pytest.raises(TrainingError, match="cannot write a state"):
        train(2, room - 4_096)
    assert (small_disk / "stage" / "complete").exists()
    (small_disk / "other").unlink()
    train(2, 0)


def test_other_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="of another kind"), reporting_full_disk(tmp_path, "x"):
        raise RuntimeError("of another kind")


@pytest.mark.slow
def test_a_really_full_disk_raises_instead_of_a_bus_error(small_disk: Path) -> None:
    script = (
        "import sys, numpy; from pathlib import Path\n"
        "from dwc.errors import TrainingError\n"
        "from dwc.training.run_dir import new_array_file\n"
        "try:\n"
        "    with new_array_file(Path(sys.argv[1]), (4, 1_000_000), numpy.uint8) as rows:\n"
        "        rows[:] = 1\n"
        "except TrainingError as error: print(error)\n"
    )
    command = [*PYTHON, "-c", script, str(small_disk / "rows.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot reserve 4.0 MB for rows.npy" in done.stdout
    assert list(small_disk.iterdir()) == []
