"""Files, folders and Hub names -> state dicts, the captions.

Pickles are read with torch's restricted reader, which makes tensors and nothing else.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from dwc.convert.openai_clip import backbone_config, backbone_weights
from dwc.convert.renaming import listed
from dwc.errors import CheckpointError
from dwc.modeling.configuration import ClipBackboneConfig


class ClipSource(NamedTuple):
    """A CLIP as read: its sizes, and its weights under `ClipBackbone`'s names."""

    config: ClipBackboneConfig
    weights: dict[str, Tensor]


def read_authors_weights(file: str | Path) -> dict[str, Tensor]:
    """The state dict in one of the authors' `.pth` files, `{"model_state_dict": …}`."""
    content = _read_pickle(Path(file))
    if not isinstance(content, Mapping) or "model_state_dict" not in content:
        seen = listed([str(key) for key in content]) if isinstance(content, Mapping) else "no dict"
        raise CheckpointError(
            f"{file} has no 'model_state_dict', as the authors' checkpoints have; it holds {seen}"
        )
    return _require_tensors(content["model_state_dict"], file)


def read_clip(source: str | Path) -> ClipSource:
    """CLIP from a state dict with OpenAI's names, or a transformers folder or Hub name.

    A file is `.safetensors`, a pickled state dict, or one of OpenAI's own TorchScript archives.
    A Hub name may carry its revision: `openai/clip-vit-base-patch32@main`.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        return _read_transformers_clip(str(source))
    if path.suffix == ".safetensors":
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    elif _is_torchscript(path):
        # The released files. They hold no Python, and what TorchScript they hold is not called.
        state = dict(torch.jit.load(path, map_location="cpu").state_dict())
    else:
        state = _require_tensors(_read_pickle(path), path)
    state = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    return ClipSource(backbone_config(state, str(path)), backbone_weights(state, str(path)))


def read_captions(file: str | Path) -> list[str] | dict[str, int]:
    """The training captions in order (a JSON list), or a word-to-id table (a JSON object)."""
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read as JSON: {error}") from error
    if isinstance(content, list) and all(isinstance(caption, str) for caption in content):
        return content
    if isinstance(content, dict) and all(type(number) is int for number in content.values()):
        return content
    raise CheckpointError(
        f"{file} is neither a list of captions nor an object of words and ids; give the captions "
        'that the model was trained on, in order: ["is red", …], or {"<UNK>": 0, …}'
    )


def _read_transformers_clip(source: str) -> ClipSource:
    name, _, revision = source.partition("@")
    options = {"revision": revision} if revision else {}
    try:
        kind = CLIPConfig.get_config_dict(name, **options)[0].get("model_type")
        if kind != CLIPConfig.model_type:
            raise CheckpointError(
                f"{source} is a model of type {kind!r}, not 'clip'; give a CLIP state dict with "
                "OpenAI's names, or a transformers CLIP folder"
            )
        model, report = CLIPModel.from_pretrained(
            name, dtype=torch.float32, output_loading_info=True, **options
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"there is no file {source}, and it cannot be loaded as a transformers CLIP: {error}"
        ) from error
    # A tuple for each tensor that does not fit; names for the others.
    faulty = {str(fault) for faults in report.values() for fault in faults}
    if faulty:
        raise CheckpointError(f"{source} is not a whole CLIP; check these: {listed([*faulty])}")
    return ClipSource(ClipBackboneConfig.from_clip(model.config), dict(model.state_dict()))


def _read_pickle(file: Path) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file} holds more than tensors, and reading that could run code: it was not read. "
            f"Write it again as a plain state dict. ({str(error).splitlines()[0]})"
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{file} cannot be read as a PyTorch file: {error}") from error


def _require_tensors(state: object, file: str | Path) -> dict[str, Tensor]:
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{file} holds a {type(state).__name__}, not a state dict")
    others = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(f"{file} is not a state dict; not tensors: {listed(others)}")
    return dict(state)


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
