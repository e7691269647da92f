"""Models of transformers, whole or not at all.

transformers warns where weights lack a tensor or have one too many, and makes up what is missing.
What others are built on is refused instead.

Files, folders and Hub names -> state dicts, the captions.

Pickles are read with torch's restricted reader, which makes tensors and nothing else.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPModel, PreTrainedModel
from transformers.utils.hub import cached_file

from dwc.convert.key_mapping import Rule
from dwc.convert.openai_clip import backbone_config, backbone_rules, backbone_weights
from dwc.errors import CheckpointError, list_names
from dwc.modeling.configuration_dwc import ClipBackboneConfig

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
    return [f"{fault}: {list_names(names)}" for fault, names in faults.items() if names]


_OPEN_CLIP_CONFIG, _OPEN_CLIP_WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_DISTRIBUTED = "module."  # before every name of a model that was wrapped for several devices


class Original(NamedTuple):
    """A state dict as it was read: whose it is, what it holds, and the rules to our names.

    Without rules (None), the names are ours already.
    """

    source: str
    nature: str
    state: Mapping[str, Tensor]
    rules: Sequence[Rule] | None


class ClipSource(NamedTuple):
    """A CLIP as read: its sizes, its weights under `ClipBackbone`'s names, and what it was."""

    config: ClipBackboneConfig
    weights: dict[str, Tensor]
    original: Original


def read_authors_weights(file: str | Path) -> dict[str, Tensor]:
    """The state dict in one of the authors' `.pth` files, `{"model_state_dict": …}`."""
    content = _read_pickle(Path(file))
    if not isinstance(content, Mapping) or "model_state_dict" not in content:
        seen = (
            list_names([str(key) for key in content]) if isinstance(content, Mapping) else "no dict"
        )
        raise CheckpointError(
            f"{file} has no 'model_state_dict', as the authors' checkpoints have; it holds {seen}"
        )
    return _require_tensors(content["model_state_dict"], file)


def read_clip(source: str | Path) -> ClipSource:
    """CLIP from a state dict with OpenAI's names, a transformers or open_clip folder, or the Hub.

    A file is `.safetensors`, a pickled state dict (open_clip's training files too), or one of
    OpenAI's own TorchScript archives. Beside a file of weights, open_clip's config tells the
    activation; without one it is OpenAI's. A Hub name may carry its revision:
    `openai/clip-vit-base-patch32@main`.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return _from_openai_names(path, path.parent / _OPEN_CLIP_CONFIG)
    name, revision = split_revision(source)
    config_file = _find_part(name, revision, _OPEN_CLIP_CONFIG)
    if config_file and (weights_file := _find_part(name, revision, _OPEN_CLIP_WEIGHTS)):
        return _from_openai_names(weights_file, config_file, str(source))
    return _read_transformers_clip(str(source))


def _from_openai_names(file: Path, config_file: Path, source: str | None = None) -> ClipSource:
    source = source or str(file)
    state = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in _read_state(file).items()
    }
    activation = _read_activation(config_file) if config_file.is_file() else "quick_gelu"
    config = backbone_config(state, source, activation)
    original = Original(source, "a CLIP with OpenAI's names", state, backbone_rules(state))
    return ClipSource(config, backbone_weights(state, source), original)


def _read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a file, whatever its form."""
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise CheckpointError(f"{file} is not a safetensors file: {error}") from error
    if _is_torchscript(file):
        # The released files. They hold no Python, and what TorchScript they hold is not called.
        return dict(torch.jit.load(file, map_location="cpu").state_dict())
    content = _read_pickle(file)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]  # as open_clip's training writes it
    state = _require_tensors(content, file)
    if state and all(name.startswith(_DISTRIBUTED) for name in state):
        state = {name.removeprefix(_DISTRIBUTED): tensor for name, tensor in state.items()}
    return state


def _read_activation(config_file: Path) -> str:
    """Which activation open_clip's config names: OpenAI's own, or the exact one."""
    try:
        model = json.loads(config_file.read_text(encoding="utf-8"))["model_cfg"]
        return "quick_gelu" if model.get("quick_gelu", False) else "gelu"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{config_file} is not an open_clip config, which has a 'model_cfg' ({error}); take it "
            "away if it does not belong to the weights"
        ) from error


def _find_part(name: str, revision: str, part: str) -> Path | None:
    """A file of a folder or a Hub repository; None where it has none, or cannot be asked."""
    try:
        found = cached_file(
            name,
            part,
            revision=revision or None,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except (OSError, ValueError):  # said by the attempt to read it as a transformers CLIP
        return None
    return None if found is None else Path(found)


def read_captions(file: str | Path) -> list[str] | dict[str, int]:
    """The training captions in order (a JSON list), or a word-to-id table (a JSON object).

    The table may stand under `word2id`, as the authors' code reads it.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read as JSON: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("word2id"), dict):
        content = content["word2id"]
    if isinstance(content, list) and all(isinstance(caption, str) for caption in content):
        return content
    if isinstance(content, dict) and all(type(number) is int for number in content.values()):
        return content
    raise CheckpointError(
        f"{file} is neither a list of captions nor an object of words and ids; give the captions "
        'that the model was trained on, in order: ["is red", …], or {"<UNK>": 0, …}'
    )


def _read_transformers_clip(source: str) -> ClipSource:
    model = read_whole(
        CLIPModel,
        source,
        f"Give a CLIP of transformers, by its folder or Hub name, or a file with OpenAI's names; "
        f"there is no file {source}",
    )
    weights = dict(model.state_dict())
    original = Original(source, "a transformers CLIP", weights, None)
    return ClipSource(ClipBackboneConfig.from_clip(model.config), weights, original)


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
        raise CheckpointError(f"{file} is not a state dict; not tensors: {list_names(others)}")
    return dict(state)


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
