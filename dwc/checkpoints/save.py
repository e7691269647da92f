"""Saving of checkpoints: files are written to a temporary folder and then moved."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers.utils import logging as transformers_logging

from dwc.checkpoints.load import companions, content
from dwc.checkpoints.validate import check_agreement, require_clip_tokenizer
from dwc.errors import CheckpointError
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
    is interrupted, the previous checkpoint stays as it was.

    Args:
        model: The model.
        processor: The model's processor.
        folder: The checkpoint's folder, which is created if necessary.
        dtype: Type of the weights on disk; `load` converts any type to float32.
        max_shard_mb: Maximum size of a file in millions of bytes; a larger tensor gets its own
            file.
        clip_tokenizer_optional: Whether to write a checkpoint that lacks only CLIP's tokenizer,
            which `load` rejects by default.

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


def move_checkpoint(written: Path, folder: Path) -> Path:
    """Move a checkpoint's files from `written` into `folder`, and return `folder`.

    A checkpoint that is already in `folder` is deleted first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for outdated in [*content(folder), *companions(folder)]:
        outdated.unlink()
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
