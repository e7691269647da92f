"""Work folder of a training run: its recipe, saved states, logs and large array files.

A training run writes states, logs and caches to a work folder, and a later run resumes from them. A
run must not resume from the states of another recipe (set of hyperparameters). The first run
therefore writes its recipe to the folder, and later runs compare their recipe with it.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwc.errors import TrainingError
from dwc.files import (
    atomic_folder,
    atomic_path,
    outdated_folder,
    partial_folder,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

RECIPE_FILE = "recipe.json"
STATE_COMPLETE = "complete"  # name of an empty file in the folder of a completely written state

# Current name -> published name of recipe fields. Published names are used in JSON files and by
# `--set`. They are older and must not change, since existing files contain them.
PUBLISHED_NAMES: Mapping[str, str] = {
    "gce_q": "doubt",
    "weight_distillation": "weight_teaching",
    "label_weight": "naming_weight",
    "modification_share": "wish_share",
    "cached_views": "kept_views",
    "text_tuning": "reading",
    "text_tuning_batch": "reading_batch",
    "mutual": "alternating",
    "mutual_batch": "alternating_batch",
    "text_only_share": "words_only_share",
    "image_only_share": "picture_only_share",
    "vocabulary_texts": "texts_read",
    "ood_items": "familiar_items",
}

_LISTED_DIFFERENCES = 5
_FULL_DISK_CODES = (errno.ENOSPC, errno.EDQUOT)
_FULL_DISK_TEXTS = ("No space left", "unexpected pos", "failed writing file")


def recipe_record(recipe: Any) -> Any:
    """Return a recipe as JSON-serializable data.

    Some fields get an older name, because published files contain it; see `PUBLISHED_NAMES`.

    Args:
        recipe: A dataclass. In recursive calls, a value within it: a dataclass, a list, a tuple or
            a plain value.
    """
    if is_dataclass(recipe):
        return {
            PUBLISHED_NAMES.get(field.name, field.name): recipe_record(getattr(recipe, field.name))
            for field in fields(recipe)
        }
    if isinstance(recipe, (list, tuple)):
        return [recipe_record(value) for value in recipe]
    return recipe


def claim(folder: Path, recipe: Mapping[str, Any], writes: bool = True) -> None:
    """Check that a work folder was made for a recipe; write the recipe if the folder has none.

    Args:
        folder: The work folder; created if missing. A folder without a recipe may already contain
            drawings and caches, since their file names identify the settings that they depend on.
        recipe: All settings that affect the trained parameters, as JSON-serializable data.
        writes: Whether this process may write the recipe; True on the main process only.

    Raises:
        TrainingError: the folder was made for another recipe, or contains saved states of a
            training but no recipe.
    """
    file = folder / RECIPE_FILE
    if not file.is_file():
        if states := sorted(folder.glob(f"*/{STATE_COMPLETE}")):
            raise TrainingError(
                f"{folder} holds a state of training ({states[0].parent.name}) but no "
                f"{RECIPE_FILE} that says of which recipe. Remove the folder, or give another one "
                "with --work"
            )
        if writes:
            write_json(file, recipe)
        return
    before, now = flatten(json.loads(file.read_text())), flatten(json.loads(json.dumps(recipe)))
    differences = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if differences:
        listed = ", ".join(
            f"{name} {before.get(name)} (now: {now.get(name)})"
            for name in differences[:_LISTED_DIFFERENCES]
        )
        more = len(differences) - _LISTED_DIFFERENCES
        listed += f" and {more} more differences" if more > 0 else ""
        raise TrainingError(
            f"{folder} holds a training with {listed}. It cannot continue as another: repeat the "
            "command with what it was started with, or give another folder with --work"
        )


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten nested mappings: `{"a": {"b": 1}}` -> `{"a.b": 1}`.

    Values that are not numbers, strings or booleans become strings, since experiment trackers do
    not accept other types.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": v for inner, v in flatten(value).items()}
        else:
            flat[name] = value if isinstance(value, (int, float, str, bool)) else str(value)
    return flat


def find_state(folder: Path) -> Path | None:
    """Return the folder of the last complete state of a stage, or None if there is none.

    The returned folder may differ from `folder`, because `save_state` may have been interrupted
    while it replaced an older state.

    Args:
        folder: Folder in which `save_state` saves the stage's state.
    """
    candidates = (folder, partial_folder(folder), outdated_folder(folder))
    return next((state for state in candidates if (state / STATE_COMPLETE).exists()), None)


def save_state(accelerator: "Accelerator", folder: Path) -> None:
    """Save the accelerator's state in `folder`; it replaces an older state in this folder.

    The older state is removed only when the new one is complete. All processes must call this
    function.
    """
    is_main = accelerator.is_main_process
    with (
        reporting_full_disk(folder.parent, "a state"),
        atomic_folder(folder) if is_main else nullcontext(partial_folder(folder)) as partial,
    ):
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if is_main:
            (partial / STATE_COMPLETE).touch()
    accelerator.wait_for_everyone()


def append_log(folder: Path, stage: str, line: Mapping[str, Any]) -> None:
    """Append `line` as JSON to a stage's log file, `folder/<stage>.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    with stage_log(folder, stage).open("a") as log:
        log.write(json.dumps(line) + "\n")


def stage_log(folder: Path, stage: str) -> Path:
    """Return the path of a stage's log file."""
    return folder / f"{stage}.jsonl"


def stage_seconds(folder: Path, stages: Sequence[str], totals: Sequence[str]) -> dict[str, float]:
    """Return each stage's run time in seconds according to its log, summed over resumed runs.

    Most stages log the time since the start of the run. This time restarts at 0 when a run resumes,
    so a decrease from one line to the next marks a new run.

    Args:
        folder: Folder of the logs.
        stages: Names of the stages.
        totals: Names of the stages that log the duration of each finished task instead, one task
            per line. Their durations are added.
    """
    seconds = {}
    for stage in stages:
        clock = [line["seconds"] for line in read_log(folder, stage)]
        ends = [
            now
            for now, following in zip(clock, [*clock[1:], 0.0], strict=True)
            if stage in totals or following < now
        ]
        seconds[stage] = sum(ends)
    return seconds


def read_log(folder: Path, stage: str) -> list[dict[str, Any]]:
    """Return the parsed lines of a stage's log file."""
    return [json.loads(line) for line in stage_log(folder, stage).read_text().splitlines()]


def merge_logs(folder: Path, stages: Sequence[str], out: Path) -> None:
    """Merge the logs of all stages into the file `training.jsonl`.

    Args:
        folder: Folder of the stages' logs.
        stages: Names of the stages. Each line of the merged file has its stage's name as "stage".
        out: Folder of the merged file.
    """
    lines = [
        json.dumps({"stage": stage, **line}) + "\n"
        for stage in stages
        for line in read_log(folder, stage)
    ]
    write_text(out / "training.jsonl", "".join(lines))


@contextmanager
def new_array_file(file: Path, shape: tuple[int, ...], dtype: Any) -> Iterator[np.ndarray]:
    """Yield a memory-mapped array to fill, and save it if the `with` block succeeds.

    Args:
        file: Path of the .npy file to create.
        shape: Shape of the array.
        dtype: NumPy data type of the array.

    Raises:
        TrainingError: the disk has too little space. The space is reserved first, because writing
            to a mapped page without disk space kills the process (SIGBUS).
    """
    with atomic_path(file, unique=False) as partial:
        try:
            rows = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
            _reserve(partial)
        except OSError as error:
            needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
            free = shutil.disk_usage(file.parent).free
            raise TrainingError(
                f"cannot reserve {needed / 1e6:,.1f} MB for {file.name} in {file.parent}, which "
                f"has {free / 1e6:,.1f} MB free ({error.strerror}). Free some space, or give a "
                "folder on another disk with --work"
            ) from error
        yield rows
        rows.flush()


@contextmanager
def reporting_full_disk(folder: Path, content: str) -> Iterator[None]:
    """Raise a clear TrainingError if a full disk causes an error in the `with` block.

    An OSError is recognized by its code. If the disk is full, torch and safetensors raise other
    exceptions, which are recognized by their messages.

    Args:
        folder: Folder that the block writes to.
        content: Description of the data to write, for the error message, such as "a state".

    Raises:
        TrainingError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        is_full = isinstance(error, OSError) and error.errno in _FULL_DISK_CODES
        if not is_full and not any(text in str(error) for text in _FULL_DISK_TEXTS):
            raise
        free = shutil.disk_usage(folder).free
        raise TrainingError(
            f"cannot write {content} to {folder}: the disk is full ({free / 1e6:,.1f} MB free). "
            "What was written before is complete: free some space and repeat the command to "
            "continue from it"
        ) from error


def _reserve(file: Path) -> None:
    """Allocate all disk blocks of a sparse file; raise OSError if the disk has too little space.

    On systems that cannot allocate blocks in advance (macOS, Windows), only check the free space.
    """
    size = file.stat().st_size
    if not hasattr(os, "posix_fallocate"):  # macOS, Windows
        if shutil.disk_usage(file.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return
    with file.open("r+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, size)
