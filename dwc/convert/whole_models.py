"""Models of transformers, whole or not at all.

transformers warns where weights lack a tensor or have one too many, and makes up what is missing.
What others are built on is refused instead.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from dwc.errors import CheckpointError, listed

_Model = TypeVar("_Model", bound=PreTrainedModel)


def split_revision(source: str | Path) -> tuple[str, str]:
    """A folder, or a Hub name that may carry its revision -> name, and revision or nothing."""
    if Path(source).expanduser().is_dir():
        return str(Path(source).expanduser()), ""
    name, _, revision = str(source).partition("@")
    return name, revision


def read_whole(
    kind: type[_Model],
    source: str | Path,
    cure: str,
    unread: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> _Model:
    """A model of this class in float32, in eval mode, from a folder or a Hub name (`name@v2`).

    Tensors whose names begin with one of `unread` may be there, and are left out; those that end in
    one of `spare` may be lacking. `cure` is a sentence on what to give instead.

    Raises CheckpointError for a model of another type, one that cannot be loaded, and tensors that
    are missing, unexpected or misshapen.
    """
    name, revision = split_revision(source)
    options = {"revision": revision} if revision else {}
    wanted = kind.config_class.model_type
    try:
        found = kind.config_class.get_config_dict(name, **options)[0].get("model_type")
        if found != wanted:
            raise CheckpointError(f"{source} is a model of type {found!r}, not {wanted!r}. {cure}")
        model, report = kind.from_pretrained(
            name,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # listed below with the others
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{source} cannot be loaded as a {wanted!r} of transformers: {error}. {cure}"
        ) from error
    if faults := _faults(report, tuple(unread), tuple(spare)):
        raise CheckpointError(f"{source} is not a whole {wanted!r}: {'; '.join(faults)}. {cure}")
    return model


def _faults(report: dict[str, Any], unread: tuple[str, ...], spare: tuple[str, ...]) -> list[str]:
    faults = {
        "missing": [name for name in report["missing_keys"] if not name.endswith(spare)],
        "unexpected": [name for name in report["unexpected_keys"] if not name.startswith(unread)],
        "misshapen": [
            f"{name} (found {tuple(found)}, expected {tuple(expected)})"
            for name, found, expected in report["mismatched_keys"]
        ],
        "not loaded": report["error_msgs"],
    }
    return [f"{fault}: {listed(names)}" for fault, names in faults.items() if names]
