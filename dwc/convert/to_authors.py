"""Conversion of a checkpoint to verified files that the paper authors' code can load.

    global.pth      the CLIP stream, for `Our_global6`           {"model_state_dict": …}
    local.pth       the CNN stream, for `Our_local3`             {"model_state_dict": …}
    clip.pt         CLIP with OpenAI's names, for `clip.load`
    captions.json   the vocabulary: its words in the order of their ids

`Our_global6` and `Our_local3` are classes of the authors' code, `clip.load` is OpenAI's function. A
stream is written only if the authors' code can load it. In that code, many sizes are fixed, CLIP
must be a model that `clip.load` can build from a state dict, and DWC's combiner is the only way to
combine image and text.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dwc.checkpoints.load import Checkpoint
from dwc.checkpoints.validate import prepared_image_size
from dwc.convert.key_mapping import (
    clip_stream_weights,
    cnn_stream_weights,
    global_state,
    local_state,
)
from dwc.convert.openai_clip import (
    ClipSettings,
    backbone_config,
    backbone_weights,
    openai_state,
    released_name,
)
from dwc.convert.to_checkpoint import authors_image_processor
from dwc.errors import CheckpointError
from dwc.modeling.configuration_dwc import ClipBackboneConfig, CnnStreamConfig, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import RESERVED_WORDS, DWCProcessor, build_word_tokenizer

GLOBAL_FILE, LOCAL_FILE, CLIP_FILE, WORDS_FILE = (
    "global.pth",
    "local.pth",
    "clip.pt",
    "captions.json",
)
_STATE = "model_state_dict"
_DIM = 1024  # embedding dimension of the authors' CNN stream, whatever their --image_embed_dim is
_OPENAI_HEAD_DIM = 64
_SIZES = ("word_embedding_dim", "hidden_dim", "word_temperature", "region_temperature")
_RESNET = ("num_channels", "embedding_size", "hidden_sizes", "depths", "layer_type", "hidden_act",
           "downsample_in_first_stage", "downsample_in_bottleneck")  # fmt: skip
_TOWER = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
          "num_attention_heads", "max_position_embeddings", "hidden_act", "layer_norm_eps",
          "bos_token_id", "eos_token_id", "layers", "width", "image_size", "num_channels",
          "patch_size", "projection_dim")  # fmt: skip


def convert_to_authors(
    out: str | Path, checkpoint: Checkpoint, log: Callable[[str], object]
) -> dict[str, Path]:
    """Write those streams of a checkpoint that the authors' code can load.

    The files are first written to a temporary folder and converted back. The files are moved to
    `out` only if the converted weights are exactly the same as before.

    Args:
        out: The folder to write to.
        checkpoint: The loaded checkpoint.
        log: Function that is called with each line of a report. The report says what was written,
            what was not written and why, and which settings the authors' code needs.

    Returns:
        A dict from the name of each written file to its path.

    Raises:
        CheckpointError: The authors' code can load neither stream; the message says why.
    """
    model, processor = checkpoint.model, checkpoint.processor
    obstacles = {
        "CLIP": _clip_obstacles(model),
        "CNN": _cnn_obstacles(model.config, processor),
    }
    if all(obstacles.values()):
        reasons = "\n".join(
            f"  {stream} stream: {'; '.join(problems)}" for stream, problems in obstacles.items()
        )
        raise CheckpointError(
            f"the authors' code can load neither stream of {checkpoint.name}:\n{reasons}\nTrain "
            "with their sizes to compare there; nothing was written"
        )
    states: dict[str, dict[str, Tensor]] = {}
    if not obstacles["CLIP"] and model.clip is not None and model.clip_stream is not None:
        states[GLOBAL_FILE] = global_state(model.clip_stream.state_dict())
        states[CLIP_FILE] = openai_state(model.clip.state_dict())
    if not obstacles["CNN"] and model.cnn_stream is not None:
        states[LOCAL_FILE] = local_state(model.cnn_stream.state_dict())
    words = None if obstacles["CNN"] else _words_in_order(processor)
    files = _write_verified(Path(out), states, words, model)
    for file in files.values():
        log(f"wrote {file}")
    for stream, problems in obstacles.items():
        if problems:
            log(f"the {stream} stream was not written: {'; '.join(problems)}")
    for line in _advice(model.config, processor, states):
        log(line)
    return files


def _clip_obstacles(model: DWCModel) -> list[str]:
    """Return the reasons why the authors' code cannot load the CLIP stream; empty if it can.

    For this stream, OpenAI's code must be able to load the checkpoint's CLIP model, too.
    """
    if model.clip is None:
        return ["the checkpoint has none"]
    problems = []
    config = model.config
    if config.combiner != "dwc":
        problems.append(f"its combiner is {config.combiner!r}, theirs is DWC's")
    if config.image_attributes:
        problems.append(
            f"it uses image attributes ({', '.join(config.image_attributes)}), theirs has none"
        )
    try:
        with torch.device("meta"):
            shapes_only = type(model.clip)(config.clip_config).state_dict()
        theirs = backbone_config(openai_state(shapes_only), "CLIP", _as_openai(config.clip_config))
    except CheckpointError as error:
        return [*problems, f"OpenAI's code cannot build its CLIP: {error}"]
    problems += [
        f"CLIP's {tower} has MLPs of another width than OpenAI's code builds"
        for tower in ("text_config", "vision_config")
        if not _has_openai_mlps(getattr(config.clip_config, tower))
    ]
    problems += [
        f"CLIP's {field} is {ours!r}, OpenAI's code would take {theirs_value!r}"
        for field, ours, theirs_value in _differences(config.clip_config, theirs)
    ]
    return problems


def _as_openai(clip: ClipBackboneConfig) -> ClipSettings:
    """Return the settings that OpenAI's code assumes: quick_gelu and heads of 64 channels."""
    return ClipSettings(
        "quick_gelu", _OPENAI_HEAD_DIM, clip.text_config.hidden_size // _OPENAI_HEAD_DIM
    )


def _has_openai_mlps(tower: Any) -> bool:
    """Return whether the MLPs of a tower have the width that OpenAI's code assumes.

    The assumed width is four times the width of the hidden states. The result is True for a tower
    without MLPs (a ResNet).
    """
    width = getattr(tower, "intermediate_size", None)
    return width is None or width == 4 * tower.hidden_size


def _differences(
    ours: ClipBackboneConfig, theirs: ClipBackboneConfig
) -> list[tuple[str, object, object]]:
    """Return the fields in which two CLIP configs differ.

    Returns:
        Tuples (name of the field, value in `ours`, value in `theirs`).
    """
    differences = []
    for tower in ("text_config", "vision_config"):
        a, b = getattr(ours, tower), getattr(theirs, tower)
        for field in _TOWER:
            values = _plain(getattr(a, field, None)), _plain(getattr(b, field, None))
            if values[0] != values[1]:
                differences.append((f"{tower}.{field}", *values))
    return differences


def _cnn_obstacles(config: DWCConfig, processor: DWCProcessor) -> list[str]:
    """Return the reasons why the authors' code cannot load the CNN stream; empty if it can."""
    cnn = config.cnn_config
    if cnn is None:
        return ["the checkpoint has none"]
    theirs = CnnStreamConfig(vocab_size=cnn.vocab_size)
    compared = [(name, getattr(cnn, name), getattr(theirs, name)) for name in _SIZES]
    for name in _RESNET:
        values = (_plain(getattr(stream.resnet_config, name)) for stream in (cnn, theirs))
        compared.append((f"resnet_config.{name}", *values))
    compared.append(("cnn_embedding_dim", config.cnn_embedding_dim, _DIM))
    problems = [
        f"{name} is {ours}, theirs {fixed}" for name, ours, fixed in compared if ours != fixed
    ]
    words = _words_in_order(processor)
    if build_word_tokenizer(words).get_vocab() != processor.word_tokenizer.get_vocab():
        problems.append(
            "its vocabulary has words that their tokenizer never makes (upper case, punctuation, "
            "white space), or others than theirs as the first four"
        )
    return problems


def _plain(value: Any) -> Any:
    """Return a tuple as a list, and any other value unchanged, for comparison of configs."""
    return list(value) if isinstance(value, tuple) else value


def _words_in_order(processor: DWCProcessor) -> list[str]:
    """Return the words of the vocabulary in the order of their ids, without the reserved words.

    If this list is used as the list of training captions, the same vocabulary results.
    """
    if processor.word_tokenizer is None:
        return []
    table = processor.word_tokenizer.get_vocab()
    return sorted(table, key=table.__getitem__)[len(RESERVED_WORDS) :]


def _write_verified(
    out: Path, states: Mapping[str, Mapping[str, Tensor]], words: list[str] | None, model: DWCModel
) -> dict[str, Path]:
    """Write the authors' files to a temporary folder, verify them, and move them to `out`.

    Args:
        out: The folder to write to.
        states: State dicts by file name.
        words: The vocabulary to write; None to write none.
        model: The model whose weights the files must reproduce.

    Returns:
        A dict from the name of each file to its path.

    Raises:
        CheckpointError: A file does not reproduce the weights.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as workplace:
        for name, state in states.items():
            # Copies, because `torch.save` would write the whole storage of a view.
            copies = {key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
                      for key, tensor in state.items()}  # fmt: skip
            content = copies if name == CLIP_FILE else {_STATE: copies}
            torch.save(content, Path(workplace) / name)
            _require_same(name, Path(workplace) / name, model)
        if words is not None:
            (Path(workplace) / WORDS_FILE).write_text(json.dumps(words), encoding="utf-8")
        out.mkdir(exist_ok=True)
        return {
            file.name: file.replace(out / file.name) for file in sorted(Path(workplace).iterdir())
        }


def _require_same(name: str, file: Path, model: DWCModel) -> None:
    """Check that a written file, converted back, gives exactly the model's weights.

    Args:
        name: The name of the file; it decides how the file is converted.
        file: The path of the file.
        model: The model.

    Raises:
        CheckpointError: Some weights differ.
    """
    content = torch.load(file, map_location="cpu", weights_only=True)
    rename, part = {
        GLOBAL_FILE: (clip_stream_weights, model.clip_stream),
        LOCAL_FILE: (cnn_stream_weights, model.cnn_stream),
        CLIP_FILE: (backbone_weights, model.clip),
    }[name]
    restored = rename(content if name == CLIP_FILE else content[_STATE], name)
    expected = {} if part is None else part.state_dict()
    changed = [
        tensor
        for tensor in {**expected, **restored}
        if tensor not in restored
        or tensor not in expected
        or not torch.equal(restored[tensor], expected[tensor].cpu())
    ]
    if changed:
        raise CheckpointError(
            f"{name} reads back with other weights than were written ({', '.join(changed[:5])}); "
            "nothing was put in place. Check the disk and its free space"
        )


def _advice(config: DWCConfig, processor: DWCProcessor, states: Mapping[str, object]) -> list[str]:
    """Return messages on how to use the written files with the authors' code.

    The messages say which settings the authors' code needs and what that code does differently.
    """
    lines = []
    if GLOBAL_FILE in states:
        name = released_name(config.clip_config)
        lines.append(
            f"--image_embed_dim {config.clip_embedding_dim}, and "
            + (
                f"--backbone {name} if its weights are OpenAI's; else have their clip.load read "
                f"{CLIP_FILE}"
                if name
                else f"have their clip.load read {CLIP_FILE}, whose sizes no --backbone has"
            )
        )
        if LOCAL_FILE in states and config.clip_embedding_dim != _DIM:
            lines.append(
                f"their main.py gives both streams one --image_embed_dim, and the CNN stream works "
                f"with {_DIM} alone: load {GLOBAL_FILE} by itself"
            )
    if LOCAL_FILE in states:
        lines.append(
            f"their vocabulary comes from the training captions: give TextLSTMModel {WORDS_FILE} "
            "as its texts, unless their data set makes the same words in the same order"
        )
    height_px, _ = prepared_image_size(processor) or (0, 0)
    theirs = authors_image_processor(height_px).to_dict()
    ours = processor.image_processor.to_dict()
    if different := sorted(name for name in theirs if theirs[name] != ours.get(name)):
        lines.append(f"images are prepared differently here: {', '.join(different)}")
    lines.append(
        f"captions were read as {config.caption_template['single']!r} and "
        f"{config.caption_template['pair']!r}; see that their data set writes the same"
    )
    if config.familiarity:
        lines.append(
            "the out-of-distribution statistics have no counterpart there and were left out"
        )
    return lines
