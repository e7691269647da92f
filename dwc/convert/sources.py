"""Loading of a conversion's inputs: weights from files, folders or the Hub, and training captions.

Pickle files are loaded with torch's restricted unpickler, which accepts only tensors, plain
containers, numpy scalars and `argparse.Namespace`, and executes no code from the file.
"""

import argparse
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPModel, PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from dwc.checkpoints.safetensors_files import weight_files
from dwc.convert.key_mapping import Rule
from dwc.convert.openai_clip import (
    CONFIG_FILE,
    IMAGE_SETTINGS,
    UNSTATED,
    ImagePreprocessing,
    backbone_config,
    backbone_rules,
    backbone_weights,
    read_json,
    read_open_clip_config,
    read_preprocessor_config,
)
from dwc.errors import CheckpointError, list_names
from dwc.files import refuse_lfs_pointer
from dwc.modeling.configuration_dwc import ClipBackboneConfig

_Model = TypeVar("_Model", bound=PreTrainedModel)

_OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_PREPROCESSOR = "preprocessor_config.json"
_PROCESSOR = "processor_config.json"
# Keys under which training scripts store a state dict, and the prefixes that torch.compile,
# DistributedDataParallel and Lightning add to every tensor name.
_NESTINGS = ("model_state_dict", "state_dict", "model", "module", "net")
_PREFIXES = ("_orig_mod.", "module.", "model.")
_READ_SUFFIXES = (".safetensors", ".bin", ".json")  # files that a transformers model consists of
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*m")
_FORBIDDEN_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


class Original(NamedTuple):
    """A state dict with its original tensor names, its source, and the rules that rename tensors.

    Attributes:
        source: The file, folder or Hub name.
        kind: The expected kind of model, for messages, such as "a CLIP with OpenAI's names".
        state: The tensors by their original names, without the prefixes of training wrappers
            (`module.`).
        rules: The rules that rename the tensors to this project's names; None if the names are the
            same.
        notes: Messages on removed dict keys and removed prefixes of names.
    """

    source: str
    kind: str
    state: Mapping[str, Tensor]
    rules: Sequence[Rule] | None
    notes: tuple[str, ...] = ()


class ClipSource(NamedTuple):
    """A loaded CLIP model.

    Attributes:
        config: The model's config.
        weights: The model's tensors under the names of `ClipBackbone`.
        original: The state dict with its original tensor names.
        preprocessing: Image preprocessing from the model's config files; None if they have none.
        stated: Messages on settings that the user gave or that come from a file.
        assumed: Messages on settings that are assumed because no file has them.
    """

    config: ClipBackboneConfig
    weights: dict[str, Tensor]
    original: Original
    preprocessing: ImagePreprocessing | None = None
    stated: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def split_revision(source: str | Path) -> tuple[str, str]:
    """Split a Hub name `owner/name@revision` into name and revision.

    The revision is "" if the name has none. For an existing folder, the result is its path and "".
    """
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
    """Load a transformers model in float32 and eval mode, and check that it is complete.

    transformers itself would only warn about missing tensors and fill them with random numbers.

    Args:
        kind: Class of the model.
        source: A folder or a Hub name, with or without a revision (`name@revision`).
        cure: A sentence that tells the user what to give instead, for error messages.
        unread: Tensors whose names start with one of these prefixes are ignored if the model does
            not expect them.
        spare: Tensors whose names end with one of these suffixes may be missing.

    Raises:
        CheckpointError: The model has another type or cannot be loaded, or tensors are missing,
            unexpected or of wrong shape.
    """
    name, revision = split_revision(source)
    options = {"revision": revision} if revision else {}
    expected = kind.config_class.model_type
    if Path(name).is_dir():
        for file in sorted(Path(name).iterdir()):
            if file.suffix in _READ_SUFFIXES:
                refuse_lfs_pointer(file, CheckpointError)
    try:
        fields = kind.config_class.get_config_dict(name, **options)[0]
        actual = fields.get("model_type")
        if actual != expected:
            raise CheckpointError(
                f"{source} is a model of type {actual!r}, not {expected!r}. {cure}"
            )
        if fields.get("quantization_config"):
            raise CheckpointError(
                f"{source} is quantized, as quantization_config in its config.json states; "
                "expected weights in floating point. Give the model from before the quantization"
            )
        model, report = kind.from_pretrained(
            name,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # wrong shapes are reported below
            **options,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{source} cannot be loaded as a {expected!r} of transformers: {error}. {cure}"
        ) from error
    if faults := _faults(report, tuple(unread), tuple(spare)):
        raise CheckpointError(f"{source} is not a whole {expected!r}: {'; '.join(faults)}. {cure}")
    if integers := _find_integers(name, revision, model):
        raise CheckpointError(
            f"{source} has integers in {len(integers)} tensors: {list_names(integers)}; expected "
            f"floating-point numbers. {INTEGERS_CURE}"
        )
    return model


INTEGERS_CURE = (
    "If they are quantized, give the weights from before the quantization, or multiply them by "
    "their scales"
)


def _find_integers(name: str, revision: str, model: PreTrainedModel) -> list[str]:
    """Return the names of tensors that are stored as integers but should be floating-point.

    Only safetensors files are searched. This check is needed, since transformers converts integers
    to floating-point numbers without a message.

    Args:
        name: The folder, or the name of the repository.
        revision: Branch, tag or commit of the repository; "" for the default branch.
        model: The loaded model. Tensors that are integers in it, such as counters, are not
            returned.
    """
    counters = {
        tensor_name.rpartition(".")[2]
        for tensor_name, tensor in model.state_dict().items()
        if not tensor.is_floating_point()
    }
    counters.add("position_ids")  # transformers 4 stores them
    found = []
    for part in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME):
        if (file := _find_part(name, revision, part)) is None:
            continue
        for weights in weight_files(file.parent):
            with safe_open(weights, framework="pt") as content:
                found += [
                    key
                    for key in content.keys()  # noqa: SIM118
                    if content.get_slice(key).get_dtype() in _INTEGERS
                    and key.rpartition(".")[2] not in counters
                ]
        break
    return found


_INTEGERS = frozenset({"I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL"})


def _faults(report: dict[str, Any], unread: tuple[str, ...], spare: tuple[str, ...]) -> list[str]:
    faults = {
        "missing": [name for name in report["missing_keys"] if not name.endswith(spare)],
        "unexpected": [name for name in report["unexpected_keys"] if not name.startswith(unread)],
        "misshapen": [
            f"{name} (found {tuple(actual)}, expected {tuple(expected)})"
            for name, actual, expected in report["mismatched_keys"]
        ],
        "not loaded": report["error_msgs"],
    }
    return [f"{fault}: {list_names(names)}" for fault, names in faults.items() if names]


def read_authors_weights(file: str | Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Load one of the authors' `.pth` files.

    The file contains a dict `{"model_state_dict": …}` or the state dict itself.

    Returns:
        The state dict, and messages on removed prefixes and on unusual dict keys.
    """
    state, notes = _unwrap(_read_pickle(Path(file)), Path(file))
    usual = f"taken from its entry {_NESTINGS[0]!r}"
    return state, tuple(note for note in notes if note != usual)


def read_clip(
    source: str | Path,
    config_file: str | Path | None = None,
    activation: str | None = None,
    read_preprocessing: bool = True,
) -> ClipSource:
    """Load a CLIP model from a file, a folder, or the Hub.

    A file must have OpenAI's tensor names, and be a `.safetensors` file, a pickled state dict (as
    open_clip's training code saves it) or one of OpenAI's TorchScript archives. A folder must have
    the format of transformers or open_clip. If the folder of the weights has an
    `open_clip_config.json`, that file determines the activation and the preprocessing, and its
    sizes must fit the weights.

    Args:
        source: The file, folder or Hub name (such as `openai/clip-vit-base-patch32@main`).
        config_file: File with open_clip's config, for weights with OpenAI's names. "none" to use no
            config; None to use `open_clip_config.json` in the folder of the weights, if that file
            exists.
        activation: The activation, `gelu` or `quick_gelu`, to use instead of the one in the config
            files; None to use the config files.
        read_preprocessing: Whether to read the image settings of a transformers CLIP; False if
            other settings will be used.

    Raises:
        CheckpointError: The source is not a CLIP model, or its config does not fit its weights.
    """
    path = Path(source).expanduser()
    if path.is_file():
        config = _choose_config(config_file, path.parent / CONFIG_FILE)
        return _from_openai_names(path, config, activation)
    name, revision = split_revision(source)
    beside = _find_part(name, revision, CONFIG_FILE)
    if beside or config_file is not None:
        for weights in _OPEN_CLIP_WEIGHTS:
            if file := _find_part(name, revision, weights):
                config = _choose_config(config_file, beside)
                return _from_openai_names(file, config, activation, str(source))
    return _read_transformers_clip(str(source), activation, read_preprocessing)


def _choose_config(given: str | Path | None, beside: Path | None) -> Path | None:
    if str(given).lower() == "none" and given is not None:
        return None
    if given is None:
        return beside if beside is not None and beside.is_file() else None
    if not Path(given).expanduser().is_file():
        raise CheckpointError(
            f"there is no file {given}; --clip-config takes open_clip's config of this CLIP "
            f"({CONFIG_FILE}), or 'none' to convert without one"
        )
    return Path(given).expanduser()


def _from_openai_names(
    file: Path, config_file: Path | None, activation: str | None, source: str | None = None
) -> ClipSource:
    source = source or str(file)
    state, notes = _read_state(file)
    state = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    settings = read_open_clip_config(config_file) if config_file else UNSTATED
    stated, assumed = [], []
    if activation is not None:
        settings = settings._replace(activation=activation)
        stated.append(f"CLIP's activation: {activation}, as given")
    elif settings.activation is not None:
        stated.append(f"CLIP's activation: {settings.activation}, as {config_file} states")
    elif _is_torchscript(file):
        stated.append("CLIP's activation: quick_gelu, as in all of OpenAI's archives")
    else:
        assumed.append(
            f"CLIP's activation: quick_gelu, which is assumed: OpenAI's models have it, but no "
            f"tensor shows it and no {CONFIG_FILE} states it. Most of LAION's and DataComp's have "
            "gelu: give --clip-activation gelu for them"
        )
    config = backbone_config(state, source, settings)
    settings.require_fit(config, source, str(config_file))
    if settings.preprocessing is not None:
        stated.append(f"CLIP's image preprocessing: {settings.preprocessing.describe()}")
    original = Original(source, "a CLIP with OpenAI's names", state, backbone_rules(state), notes)
    weights = backbone_weights(state, source)
    return ClipSource(
        config, weights, original, settings.preprocessing, tuple(stated), tuple(assumed)
    )


def _read_transformers_clip(
    source: str, activation: str | None, read_preprocessing: bool
) -> ClipSource:
    model = read_whole(
        CLIPModel,
        source,
        f"Give a CLIP of transformers, by its folder or Hub name, or a file with OpenAI's names; "
        f"there is no file {source}",
    )
    stated = []
    for tower in (model.config.text_config, model.config.vision_config):
        tower.hidden_act = activation or tower.hidden_act
    origin = "as given" if activation else "as its config states"
    stated.append(f"CLIP's activation: {model.config.vision_config.hidden_act}, {origin}")
    file = _find_image_settings(source) if read_preprocessing else None
    size_px = model.config.vision_config.image_size
    preprocessing = read_preprocessor_config(file, size_px) if file else None
    if preprocessing is not None:
        stated.append(f"CLIP's image preprocessing: {preprocessing.describe()}")
    weights = dict(model.state_dict())
    original = Original(source, "a transformers CLIP", weights, None)
    try:
        config = ClipBackboneConfig.from_clip(model.config)
    except (ValueError, StrictDataclassError) as error:
        raise CheckpointError(
            f"the config.json of {source} does not describe a CLIP that can be converted: {error} "
            "Correct it there: the ids of a text's start and end (bos_token_id, eos_token_id) are "
            "those of <|startoftext|> and <|endoftext|> in CLIP's tokenizer"
        ) from error
    return ClipSource(config, weights, original, preprocessing, tuple(stated))


def _find_image_settings(source: str) -> Path | None:
    """Return the file with the image settings of a transformers CLIP; None if there is none.

    transformers 5 writes the settings to `processor_config.json`, under "image_processor".
    transformers 4 writes them to `preprocessor_config.json`. If both files have settings,
    `processor_config.json` is used, as in transformers 5.
    """
    file = _find_part(*split_revision(source), _PROCESSOR)
    if file is not None and IMAGE_SETTINGS in read_json(file, dict):
        return file
    return _find_part(*split_revision(source), _PREPROCESSOR)


def _find_part(name: str, revision: str, part: str) -> Path | None:
    """Return the local path of a file in a folder or Hub repository.

    Args:
        name: The folder, or the name of the repository.
        revision: Branch, tag or commit of the repository; "" for the default branch.
        part: The file's name.

    Returns:
        The path; None if the file cannot be found.
    """
    try:
        file = cached_file(
            name,
            part,
            revision=revision or None,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except (OSError, ValueError):  # loading it as a transformers CLIP will report the error
        return None
    return None if file is None else Path(file)


def read_captions(file: str | Path) -> list[str] | dict[str, int]:
    """Return the training captions, or the vocabulary, from a JSON file.

    Captions are a JSON list. A vocabulary is a JSON object that maps words to ids; it may also be
    stored under the key `word2id`, as in the authors' code.

    Returns:
        The captions in order, or a dict from each word to its id.

    Raises:
        CheckpointError: The file has neither captions nor a vocabulary.
    """
    content = read_json(file)
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


def _read_state(file: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Load the state dict in a file of any supported format.

    Returns:
        The state dict, and messages on the dict keys and prefixes that were removed.
    """
    refuse_lfs_pointer(file, CheckpointError)
    if file.suffix == ".safetensors":
        try:
            return _unwrap(load_file(file), file)
        except SafetensorError as error:
            raise CheckpointError(f"{file} is not a safetensors file: {error}") from error
    if _is_torchscript(file):
        # OpenAI's released archives contain no Python, and their TorchScript is never executed.
        state = dict(torch.jit.load(file, map_location="cpu").state_dict())
        _require_plain(state, file)
        return state, ()
    return _unwrap(_read_pickle(file), file)


def _unwrap(content: object, file: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the state dict in a training script's file, even if it is nested in other dicts.

    Args:
        content: The content of the file: a state dict, or dicts such as `{"model": {…}}` around it.
        file: The file, for messages.

    Returns:
        The state dict without the prefixes of training wrappers (`module.`), and messages on the
        dict keys under which it was nested, on removed prefixes, and on weights that are not used.

    Raises:
        CheckpointError: There is no state dict.
    """
    notes = []
    while isinstance(content, Mapping) and not _is_state_dict(content):
        key = next((key for key in _NESTINGS if isinstance(content.get(key), Mapping)), None)
        if key is None:
            break
        notes.append(f"taken from its entry {key!r}")
        others = [
            f"{name!r}"
            for name, value in content.items()
            if name != key and isinstance(value, Mapping) and _has_state_dict(value)
        ]
        if others:
            notes.append(
                f"not used, though weights as well: its entries {list_names(others)}. To convert "
                "one of them, save it alone"
            )
        content = content[key]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file} holds a {type(content).__name__}, not a state dict")
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not content:
        raise CheckpointError(
            f"{file} is not a state dict, and has none under {', '.join(_NESTINGS)}; not tensors: "
            f"{list_names(others) or 'it is empty'}. Save the model's state dict alone"
        )
    state = dict(content)
    while prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in state)), None):
        notes.append(f"the prefix {prefix!r} of all its names was removed")
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    _require_plain(state, file)
    return state, tuple(notes)


def _require_plain(state: Mapping[str, Tensor], file: Path) -> None:
    """Check that no tensor is sparse, quantized, complex or without values (device "meta").

    Raises:
        CheckpointError: Some tensors fail the check; the message lists them and says how to save
            them.
    """
    for kind, is_of_kind, cure in _NOT_PLAIN:
        if names := [name for name, tensor in state.items() if is_of_kind(tensor)]:
            raise CheckpointError(
                f"{file} has {kind} in {len(names)} of {len(state)} tensors: {list_names(names)}; "
                f"expected dense tensors of floating-point numbers. {cure}; nothing was written"
            )


_NOT_PLAIN: tuple[tuple[str, Callable[[Tensor], bool], str], ...] = (
    (
        "no values (the device is 'meta')",
        lambda tensor: tensor.is_meta,
        "Load the weights into the model before its state dict is saved",
    ),
    (
        "quantized numbers",
        lambda tensor: tensor.is_quantized,
        "Give the file from before the quantization, or save tensor.dequantize() of each",
    ),
    (
        "sparse numbers",
        lambda tensor: tensor.layout is not torch.strided,
        "Save tensor.to_dense() of each",
    ),
    (
        "complex numbers",
        lambda tensor: tensor.is_complex(),
        "Check that this is the file of a CLIP or of the authors' model",
    ),
)


def _is_state_dict(content: Mapping[Any, object]) -> bool:
    return bool(content) and all(isinstance(value, Tensor) for value in content.values())


def _has_state_dict(content: Mapping[Any, object]) -> bool:
    """Return whether a dict is a state dict, or has one under a usual key such as "state_dict"."""
    inner = [content, *(content.get(key) for key in _NESTINGS)]
    return any(isinstance(value, Mapping) and _is_state_dict(value) for value in inner)


def _read_pickle(file: Path) -> object:
    refuse_lfs_pointer(file, CheckpointError)
    try:
        with torch.serialization.safe_globals(_harmless_globals()):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_explain_unread(file, str(error))) from error
    # Python's unpickler raises errors of many types on bytes that are no pickle.
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, struct.error) as error:
        raise CheckpointError(
            f"{file} cannot be read as a PyTorch file: {error}. Fetch or save it again"
        ) from error


def _harmless_globals() -> list[Any]:
    """Return the types, other than tensors, that are safe to load from a pickle file.

    Training scripts often save values of these types together with the weights.
    """
    scalar = type(np.float64(0)).__reduce__(np.float64(0))[0]
    numbers = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdFD"]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((scalar, name) for name in names), np.dtype, *numbers, argparse.Namespace]


def _explain_unread(file: Path, error: str) -> str:
    """Return an error message for a pickle file that was not loaded because it could run code.

    The message includes Python code that saves the file's weights as a plain state dict.
    """
    match = _FORBIDDEN_GLOBAL.search(_TERMINAL_CODES.sub("", error))
    what = f" ({match[1]})" if match else ""
    return (
        f"{file} holds more than tensors{what}, and reading that could run code: it was not read. "
        "If you trust where it comes from, rewrite it as a plain state dict and convert that:\n"
        "  import torch\n"
        f'  content = torch.load({str(file)!r}, map_location="cpu", weights_only=False)\n'
        '  state = content["model_state_dict"]  # or wherever the weights are\n'
        f"  torch.save({{name: tensor for name, tensor in state.items()}}, "
        f"{str(file.with_suffix('.plain.pth'))!r})"
    )


def _is_torchscript(file: Path) -> bool:
    if file.suffix == ".safetensors" or not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
