"""Is it a checkpoint of ours? Told by file names and by the config, before any weight is fetched.

What is refused here may be large, or dangerous to read: nothing but `config.json` is opened.

Pickles are refused wherever they lie, and not only where they are all the weights there are. On the
Hub many a repository keeps `pytorch_model.bin` beside `model.safetensors`, for readers of old, and
nothing of ours would ever open it. But no version of this program has written a pickle, so there
are no such readers, and one beside a DWC model's weights was put there by something else: a
trainer's state, or code meant for whoever looks without care. Which of these it is cannot be told
without reading it, and who is about to trust the repository should hear of it first. The price is
small: the owner deletes a file, or the reader names a commit from before.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from dwc.errors import CheckpointError
from dwc.modeling.configuration import FORMAT_VERSION, DWCConfig
from dwc.weight_files import WEIGHTS, WEIGHTS_INDEX

CONFIG = "config.json"
CONVERT = (
    "python -m dwc convert --global-weights G --local-weights L --clip C --captions J --out DIR"
)

_PROCESSOR = "processor_config.json"
_PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pickle")
_CLIP = "clip"
# The file that tells another kind of repository, and what that is.
_OTHERS = {
    "model_index.json": "a diffusion pipeline",
    "open_clip_config.json": "an open_clip model",
    "adapter_config.json": "an adapter of another model",
    "modules.json": "a sentence-transformers model",
}
_LISTED = 5  # files in one message


def require_checkpoint(names: Collection[str], find_config: Callable[[], Path], name: str) -> None:
    """Raise CheckpointError unless this is a whole checkpoint of this project, free of pickles.

    `names` are the paths of all files of a folder or repository, `find_config` gets its
    `config.json`, `name` is what was asked for.
    """
    has_weights = WEIGHTS in names or WEIGHTS_INDEX in names
    if CONFIG in names:
        _require_our_config(find_config(), names, name)
    else:
        _refuse_others(names, name)
    _refuse_pickles(names, name, is_whole=CONFIG in names and has_weights)
    if CONFIG not in names:
        raise CheckpointError(
            f"{name} has no {CONFIG}: it is not a checkpoint; give the folder or Hub name of one"
        )
    if not has_weights:
        raise CheckpointError(
            f"{name} has neither {WEIGHTS} nor {WEIGHTS_INDEX}: its weights are missing; fetch "
            "the checkpoint again"
        )
    if _PROCESSOR not in names:
        raise CheckpointError(
            f"{name} has no {_PROCESSOR}, which says how to read pictures and words; fetch the "
            "checkpoint again"
        )


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; CheckpointError where there is none."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not JSON: {error}. Fetch the checkpoint again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file} holds no JSON object; fetch the checkpoint again")
    return values


def _require_our_config(config_file: Path, names: Collection[str], name: str) -> None:
    config = read_json(config_file)
    kind = config.get("model_type")
    if kind != DWCConfig.model_type:
        _refuse_others(names, name)
        what = f"{name} is a model of type {kind!r}, not {DWCConfig.model_type!r}"
        if kind == _CLIP:
            raise CheckpointError(
                f"{what}: a CLIP by itself, which composes nothing. Give a DWC checkpoint's folder "
                f"or Hub name; to make one of the authors' weights over this CLIP: {CONVERT}"
            )
        raise CheckpointError(f"{what}; give a DWC checkpoint's folder or Hub name")
    version = config.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{name} is written in format {version!r}; this version of dwc reads up to "
            f"{FORMAT_VERSION}. Update dwc"
        )
    try:
        DWCConfig.from_dict(config)
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise CheckpointError(
            f"{name}: its {CONFIG} does not describe a model of this version of dwc: {error}"
        ) from error


def _refuse_others(names: Collection[str], name: str) -> None:
    for file, kind in _OTHERS.items():
        if file in names:
            raise CheckpointError(
                f"{name} is {kind} (it has {file}), not a DWC checkpoint; give the folder or Hub "
                "name of one"
            )


def _refuse_pickles(names: Collection[str], name: str, is_whole: bool) -> None:
    pickles = sorted(file for file in names if file.endswith(_PICKLES))
    if not pickles:
        return
    shown = ", ".join(pickles[:_LISTED])
    if is_whole:
        raise CheckpointError(
            f"{name} has pickled files beside its weights ({shown}); reading such a file can run "
            "code, and a checkpoint has none. Nothing of it was loaded: take them out, or give a "
            "revision without them"
        )
    raise CheckpointError(
        f"{name} holds pickled weights only ({shown}), which are not loaded. Convert them: "
        f"{CONVERT}"
    )
