"""Saving of checkpoints to a folder, and their publication on the Hugging Face Hub ("the Hub").

`save_checkpoint` writes all files to a temporary folder and then moves them to the checkpoint's
folder. `push` uploads a checkpoint with its model card as one commit.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from dwc.checkpoints.hub import Published, publish
from dwc.checkpoints.load import (
    EVALUATION,
    Checkpoint,
    companions,
    content,
    is_companion,
    is_part,
    load,
    parts,
)
from dwc.checkpoints.model_card import CARD, CardFacts, render_card
from dwc.checkpoints.validate import check_agreement, require_clip_tokenizer
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

# Prefix of the statistics that detect unusual images; their values exceed the range of float16.
_STATISTICS = "familiarity."


def save_checkpoint(
    model: DWCModel,
    processor: DWCProcessor,
    folder: str | Path,
    dtype: torch.dtype = torch.float32,
    max_shard_mb: float = 9.5,
    clip_tokenizer_optional: bool = False,
) -> Path:
    """Write a checkpoint into a folder, in place of any checkpoint that is there.

    All files are first written into a temporary folder next to `folder` and then moved. If writing
    is interrupted, the previous checkpoint is not changed.

    Args:
        model: The model.
        processor: The model's processor.
        folder: The checkpoint's folder, which is created if necessary.
        dtype: Type of the weights on disk; `load` converts any type to float32.
        max_shard_mb: Maximum size of a file in millions of bytes; a larger tensor gets a separate
            file.
        clip_tokenizer_optional: Whether CLIP's tokenizer may be missing. `load` rejects a
            checkpoint without it by default.

    Returns:
        `folder` as a path.

    Raises:
        CheckpointError: Model and processor do not fit together, or a weight is not finite in
            `dtype`.
    """
    folder = Path(folder)
    if not clip_tokenizer_optional:
        require_clip_tokenizer(model.config, processor, str(folder))
    check_agreement(model, processor, str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as workplace:
        written = Path(workplace)
        with without_progress_bar():
            model.save_pretrained(
                written,
                state_dict=_cast(model.state_dict(), dtype),
                max_shard_size=int(max_shard_mb * 1_000_000),
            )
        processor.save_pretrained(written)
        move_checkpoint(written, folder)
    return folder


def save_and_load(model: DWCModel, processor: DWCProcessor, folder: Path) -> Checkpoint:
    """Save a trained model with float16 weights, and load the checkpoint for its evaluation."""
    save_checkpoint(model, processor, folder, dtype=torch.float16)
    return load(str(folder))


def move_checkpoint(written: Path, folder: Path) -> Path:
    """Move a checkpoint's files from `written` into `folder`, and return `folder`.

    A checkpoint that is already in `folder` is deleted first, together with its evaluation results
    and the files that were computed from it (see `companions`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for outdated in [*parts(folder), *companions(folder)]:
        outdated.unlink()
    (folder / EVALUATION).unlink(missing_ok=True)
    # The weights were written such that only their owner can read them, but a server may run as
    # another user.
    mode = (written / "config.json").stat().st_mode
    for file in [*content(written), *companions(written)]:
        file.chmod(mode)
        target = folder / file.relative_to(written)
        target.parent.mkdir(exist_ok=True)
        shutil.move(file, target)
    return folder


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """Hide transformers' progress bars within a `with` block."""
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()


def _cast(state: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return weights converted to another float type.

    Integer tensors, and the statistics that detect images unlike the training data, keep their
    types.

    Raises:
        CheckpointError: A weight is NaN or infinite after the conversion.
    """
    cast = {
        name: tensor.to(dtype)
        if tensor.is_floating_point() and not name.startswith(_STATISTICS)
        else tensor
        for name, tensor in state.items()
    }
    if broken := [name for name, tensor in cast.items() if not torch.isfinite(tensor).all()]:
        raise CheckpointError(
            f"these weights are not finite as {dtype}: {', '.join(broken[:5])}. Save as float32, "
            "or check the training for divergence"
        )
    return cast


def list_files(folder: str | Path) -> dict[str, Path]:
    """Return the files of a checkpoint's folder that `push` uploads.

    These are the files of the checkpoint, its companion files (see `companions`), and the model
    card if there is one.

    Returns:
        A dict from the path in the repository to the local path.
    """
    folder = Path(folder)
    card = folder / CARD
    files = [*content(folder), *companions(folder), *([card] if card.is_file() else [])]
    return {file.relative_to(folder).as_posix(): file for file in files}


def check_folder(folder: str | Path) -> str:
    """Check that the checkpoint in a folder loads, and return its fingerprint.

    Raises:
        CheckpointError: There is no such folder, or its checkpoint does not load.
    """
    if not Path(folder).is_dir():  # `load` would accept a Hub name too
        raise CheckpointError(f"there is no folder {folder}; give the checkpoint's folder")
    return load(Path(folder).absolute()).fingerprint


def make_card(folder: str | Path, name: str, facts: CardFacts | None) -> str | None:
    """Render a model card for a checkpoint's folder that has none.

    Args:
        folder: The checkpoint's folder.
        name: The model's name on the Hub.
        facts: Facts for the card; None if there are none.

    Returns:
        The card as Markdown; None if the folder already has a card.

    Raises:
        CheckpointError: The folder has a card, but facts for a new card were given.
    """
    if (Path(folder) / CARD).is_file():
        if facts is not None:
            raise CheckpointError(
                f"{folder} has a {CARD} of its own, which states license, datasets and metrics; "
                "write them there, or remove it to have one made"
            )
        return None
    return render_card(name, DWCConfig.from_pretrained(folder), facts or CardFacts())


def read_evaluations(files: Iterable[Path]) -> tuple[dict[str, Any], ...]:
    """Return the contents of files that `python -m dwc evaluate --json` wrote, in the given order.

    Raises:
        CheckpointError: A file cannot be read, or was not written by that command.
    """
    evaluations = []
    for file in files:
        try:
            numbers = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{file} cannot be read as JSON: {error}") from error
        if not isinstance(numbers, dict) or not {"protocol", "recall@10"} <= numbers.keys():
            raise CheckpointError(
                f"{file} has no protocol and recalls, as `python -m dwc evaluate --json FILE` "
                "writes them; give such a file"
            )
        evaluations.append(numbers)
    return tuple(evaluations)


def push(
    folder: str | Path,
    repo: str,
    revision: str | None = None,
    private: bool = False,
    token: str | None = None,
    facts: CardFacts | None = None,
) -> Published:
    """Publish a checkpoint with its model card as one commit of a model repository on the Hub.

    Files of an earlier checkpoint that are not in the folder are deleted from the repository, so
    that the published checkpoint has the same fingerprint as the folder. All other files of the
    repository remain. If the folder has no model card, one is rendered and uploaded; the local
    folder does not change.

    Args:
        folder: The checkpoint's folder.
        repo: The repository's name, with or without its owner.
        revision: The branch; None for the default branch.
        private: Whether to make a new repository private.
        token: Access token for the Hub; None for the client's default.
        facts: Facts for the rendered model card, in addition to the config.

    Raises:
        CheckpointError: The folder does not load, or the Hub rejects the upload.
    """
    check_folder(folder)
    card = make_card(folder, repo, facts)
    with tempfile.TemporaryDirectory(prefix="dwc-card-") as workplace:
        files = list_files(folder)
        if card is not None:
            files[CARD] = Path(workplace) / CARD
            files[CARD].write_text(card, encoding="utf-8")
        return publish(
            files,
            repo,
            outdated=lambda existing: [
                path for path in existing if is_part(path) or is_companion(path)
            ],
            revision=revision,
            private=private,
            token=token,
        )
