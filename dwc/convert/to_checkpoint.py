"""What became of what: a conversion told in lines, a module of theirs and of ours in each.

The authors' weights and a CLIP -> one checkpoint, checked before it is put in place.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.checkpoints.model_card import CardFacts, write_card
from dwc.checkpoints.save import move_checkpoint, save_checkpoint, without_progress_bar
from dwc.checkpoints.validate import WITHOUT_CLIP_TOKENIZER, prepared_image_size
from dwc.convert.author_names import (
    GLOBAL,
    GLOBAL_RULES,
    LOCAL,
    LOCAL_RULES,
    clip_stream_weights,
    cnn_stream_config,
    cnn_stream_weights,
)
from dwc.convert.clip_tokenizer import OPENAI_COMMIT, OPENAI_REPO, find_clip_tokenizer
from dwc.convert.key_mapping import moves, rename_back, require_fit
from dwc.convert.openai_clip import released_name
from dwc.convert.sources import Original, read_authors_weights, read_captions, read_clip
from dwc.errors import CheckpointError, list_names
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import RESERVED_WORDS, DWCProcessor, build_word_tokenizer


def describe(originals: Mapping[str, Original]) -> list[str]:
    """Lines on each state dict that was read, given by the prefix of its names in the model."""
    return [line for prefix, original in originals.items() for line in _describe(prefix, original)]


def _describe(prefix: str, original: Original) -> list[str]:
    numbers = sum(tensor.numel() for tensor in original.state.values())
    head = (
        f"{original.source}: {original.nature}, {len(original.state)} tensors, {numbers:,} values"
    )
    if original.rules is None:
        return [head, f"  taken under the same names, as {prefix}*"]
    gone, here = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    unused = []
    for name, targets in moves(list(original.state), original.rules).items():
        if not targets:
            unused.append(name)
            continue
        modules = _module(name), prefix + _module(targets[0])
        gone[modules] += 1
        here[modules] += len(targets)
    lines = [head]
    for (theirs, ours), count in gone.items():
        split = here[theirs, ours]
        into = f", which are {split} here" if split != count else ""
        lines.append(f"  {theirs} -> {ours}: {count} tensor{'s' * (count != 1)}{into}")
    if unused:
        lines.append(f"  read by nothing, left behind: {list_names(unused)}")
    return lines


def _module(name: str) -> str:
    """The first part of a tensor's name: the module it is in."""
    return name.split(".")[0]


CAPTION_TEMPLATES = {
    "fashion_iq": {"single": "<BOS> {0} <EOS>", "pair": "<BOS> {0} <AND> {1} <EOS>"},
    "plain": {"single": "{0}", "pair": "{0} and {1}"},
}
"""The forms in which training saw its captions: as the authors write FashionIQ's, or plain."""

_logger = logging.getLogger(__name__)

_AUTHORS_IMAGE_SIZE_PX = 224
_SHARD_MB = 2_000
_TOLERANCE = 1e-5  # not 0: where in memory a weight lies decides which kernel multiplies it


class _Stream(NamedTuple):
    """One stream as read, ready to become part of a model.

    `weights` are under `DWCModel`'s names, `config` are fields of its config; `originals` are what
    was read, by the prefix of their names in the model; `told` is said of it.
    """

    weights: dict[str, Tensor]
    config: dict[str, Any]
    tokenizers: dict[str, Any]
    originals: dict[str, Original]
    told: list[str]
    image_size_px: int | None = None


@without_progress_bar()
def convert(
    out: str | Path,
    *,
    global_weights: str | Path | None = None,
    local_weights: str | Path | None = None,
    clip: str | Path | None = None,
    captions: str | Path | None = None,
    clip_tokenizer: str | Path | None = None,
    template: dict[str, str] | None = None,
    image_size_px: int | None = None,
    card: CardFacts | None = None,
    tell: Callable[[str], object] | None = None,
) -> Path:
    """Write the authors' model as a checkpoint of this project; return its folder.

    `global_weights` and `local_weights` are the authors' files of the CLIP and the CNN stream;
    either may be left out. The CLIP stream needs `clip`, the CNN stream `captions`: see
    `sources.py` for what these may be. `template` is the form in which training saw its captions,
    FashionIQ's unless told otherwise; `image_size_px` the side of its pictures, CLIP's unless told
    otherwise, or 224 without CLIP. `card` is what is known of the model beside its files. `tell` is
    given, line by line, what became of what.

    Before the checkpoint is put in place it is loaded again: every tensor has to lead back, bit by
    bit, to the one that was read, and a fixed query to the same embedding.

    `clip_tokenizer` is CLIP's tokenizer, where `clip_tokenizer.py` would find none or another. If
    there is none to be had, the checkpoint is written without it, which a warning tells: its model
    composes from token ids, and `checkpoint.load` refuses it.

    Raises CheckpointError listing what is missing, unknown or misshapen.
    """
    _check_request(global_weights, local_weights, clip, captions)
    streams = []
    if global_weights is not None and clip is not None:
        streams.append(_read_clip_stream(global_weights, clip, clip_tokenizer))
    if local_weights is not None and captions is not None:
        streams.append(_read_cnn_stream(local_weights, captions))
    say = tell or _logger.info
    for stream in streams:
        for line in [*describe(stream.originals), *stream.told]:
            say(line)
    size_px = _image_size(streams, image_size_px)
    say(f"pictures: short side to {size_px} px, bicubic, then the centre; CLIP's mean and std")
    fields = {name: value for stream in streams for name, value in stream.config.items()}
    given = ", ".join(str(one) for one in (global_weights, local_weights, clip) if one is not None)
    try:
        config = DWCConfig(caption_template=template or CAPTION_TEMPLATES["fashion_iq"], **fields)
    except (ValueError, StrictDataclassError) as error:
        raise CheckpointError(f"{given} do not make a model: {error}") from error
    say(f"captions: {config.caption_template['single']!r}, {config.caption_template['pair']!r}")
    weights = {name: tensor for stream in streams for name, tensor in stream.weights.items()}
    model = _assemble(config, weights, given)
    tokenizers = {name: one for stream in streams for name, one in stream.tokenizers.items()}
    processor = DWCProcessor(authors_image_processor(size_px), **tokenizers)
    originals = {prefix: one for stream in streams for prefix, one in stream.originals.items()}
    facts = card or CardFacts()
    if facts.base_model is None and clip is not None and not Path(clip).expanduser().exists():
        facts = facts._replace(base_model=str(clip).partition("@")[0])
    folder = _write_checked(model, processor, originals, facts, Path(out), say)
    if model.clip is not None and processor.clip_tokenizer is None:
        _logger.warning(
            "%s is written without CLIP's tokenizer: there is none beside %s, and %s@%s is neither "
            "in the Hub's cache nor within reach. %s",
            folder, clip, OPENAI_REPO, OPENAI_COMMIT[:7], WITHOUT_CLIP_TOKENIZER,
        )  # fmt: skip
    return folder


def authors_image_processor(size_px: int) -> CLIPImageProcessorPil:
    """The authors' preprocessing: short side to the model's size, bicubic, then the centre."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": size_px}, crop_size={"height": size_px, "width": size_px}
    )


def _check_request(
    global_weights: str | Path | None,
    local_weights: str | Path | None,
    clip: str | Path | None,
    captions: str | Path | None,
) -> None:
    if global_weights is None and local_weights is None:
        raise CheckpointError(
            "no weights are given: give --global-weights, --local-weights, or both"
        )
    needs = (
        ("--global-weights", global_weights, "--clip", clip),
        ("--local-weights", local_weights, "--captions", captions),
    )
    for stream, weights, companion, given in needs:
        if (weights is None) != (given is None):
            raise CheckpointError(
                f"{stream} and {companion} go together: give both, or neither for a model without "
                "this stream"
            )


def _read_clip_stream(file: str | Path, clip: str | Path, tokenizer: str | Path | None) -> _Stream:
    state = read_authors_weights(file)
    stream = clip_stream_weights(state, str(file))
    source = read_clip(clip)
    found = find_clip_tokenizer(tokenizer, clip, source.config)
    size_px = source.config.vision_config.image_size
    known = released_name(source.config)
    sizes = f"the sizes of OpenAI's {known}" if known else "sizes of its own"
    return _Stream(
        weights={
            **{f"clip.{name}": tensor for name, tensor in source.weights.items()},
            **{f"clip_stream.{name}": tensor for name, tensor in stream.items()},
        },
        config={
            "clip_config": source.config,
            "clip_embedding_dim": _rows(stream, "project_image.weight", file),
        },
        tokenizers={"clip_tokenizer": found},
        originals={
            "clip.": source.original,
            "clip_stream.": Original(str(file), GLOBAL, state, GLOBAL_RULES),
        },
        told=[
            f"CLIP has {sizes}: {size_px} px, features of {source.config.projection_dim}",
            "CLIP's tokenizer: "
            + (
                "none" if found is None else f"{len(found)} tokens, {found.model_max_length} a text"
            ),
        ],
        image_size_px=size_px,
    )


def _read_cnn_stream(file: str | Path, captions: str | Path) -> _Stream:
    state = read_authors_weights(file)
    stream = cnn_stream_weights(state, str(file))
    config = cnn_stream_config(stream, str(file))
    words = build_word_tokenizer(read_captions(captions))
    if len(words) != config.vocab_size:
        raise CheckpointError(
            f"{captions} gives {len(words)} words ({len(RESERVED_WORDS)} of them reserved), but "
            f"the embedding in {file} has {config.vocab_size} rows. Give the captions that this "
            "model was trained on, all of them and in order"
        )
    return _Stream(
        weights={f"cnn_stream.{name}": tensor for name, tensor in stream.items()},
        config={
            "cnn_config": config,
            "cnn_embedding_dim": _rows(stream, "project_image.weight", file),
        },
        tokenizers={"word_tokenizer": words},
        originals={"cnn_stream.": Original(str(file), LOCAL, state, LOCAL_RULES)},
        told=[f"vocabulary: {len(words)} words of {captions}, as many as the embedding has rows"],
    )


def _rows(weights: dict[str, Tensor], name: str, source: str | Path) -> int:
    if name not in weights or not weights[name].dim():
        raise CheckpointError(f"{source} lacks {name} (this project's name), which tells its size")
    return weights[name].shape[0]


def _image_size(streams: list[_Stream], asked_px: int | None) -> int:
    """The side of the prepared pictures in pixels."""
    read_px = next((one.image_size_px for one in streams if one.image_size_px), None)
    if asked_px is not None and asked_px < 1:
        raise CheckpointError(f"pictures of {asked_px} px are none; give the side in pixels")
    if asked_px and read_px and asked_px != read_px:
        raise CheckpointError(
            f"pictures of {asked_px} px are asked for, and CLIP reads {read_px} px alone; leave "
            "the size out, or give the CLIP that this model was trained on"
        )
    return read_px or asked_px or _AUTHORS_IMAGE_SIZE_PX


def _assemble(config: DWCConfig, weights: dict[str, Tensor], source: str) -> DWCModel:
    """The model with these weights, each in its place; CheckpointError where one is not."""
    with torch.device("meta"):
        expected = DWCModel(config).state_dict()
    require_fit(weights, expected, source)
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    return DWCModel.from_pretrained(None, config=config, state_dict=weights)


def _write_checked(
    model: DWCModel,
    processor: DWCProcessor,
    originals: dict[str, Original],
    facts: CardFacts,
    out: Path,
    say: Callable[[str], object],
) -> Path:
    """Write beside `out`, load again, compare with what was read, and only then move in place."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as workplace:
        written = save_checkpoint(
            model,
            processor,
            Path(workplace) / "checkpoint",
            max_shard_mb=_SHARD_MB,
            clip_tokenizer_optional=True,
        )
        # Not by `checkpoint.load`, which refuses one without CLIP's tokenizer.
        loaded = DWCModel.from_pretrained(written)
        changed = [name for one in originals.items() for name in _changed(*one, loaded)]
        expected = _answer(model, processor)
        if not bool(expected.isfinite().all()):
            raise CheckpointError(
                "these weights compose a fixed query into numbers that are not finite: they are "
                "damaged, or of a training that went wrong; nothing was put in place"
            )
        error = float(
            (_answer(loaded, DWCProcessor.from_pretrained(written)) - expected).abs().max()
        )
        if changed or not error <= _TOLERANCE:
            raise CheckpointError(
                f"the checkpoint for {out}, once loaded again, has other tensors than were read "
                f"({', '.join(changed[:5]) or 'none'}) and answers differently by {error:.1e}; "
                "nothing was put in place. Check the disk and its free space"
            )
        say(
            f"checked: every tensor leads back to the one that was read, bit by bit; a fixed "
            f"query's embedding differs by {error:.1e} (allowed: {_TOLERANCE:.0e})"
        )
        folder = move_checkpoint(written, out)
    write_card(folder, model.config, facts._replace(converted=_sources(originals)))
    return folder


def _sources(originals: dict[str, Original]) -> tuple[str, ...]:
    return tuple(f"{Path(one.source).name}: {one.nature}" for one in originals.values())


def _changed(prefix: str, original: Original, model: DWCModel) -> list[str]:
    """The tensors that were read and that the model's do not lead back to."""
    ours = {
        name.removeprefix(prefix): tensor
        for name, tensor in model.state_dict().items()
        if name.startswith(prefix)
    }
    back = ours if original.rules is None else rename_back(ours, original.rules)
    return [
        name
        for name, tensor in back.items()
        if not torch.equal(tensor, original.state[name].to(tensor.dtype))
    ]


def _answer(model: DWCModel, processor: DWCProcessor) -> Tensor:
    """The embedding (1, D) of a fixed query of both picture and text."""
    size = prepared_image_size(processor)
    shape = (1, 3, *(size or (_AUTHORS_IMAGE_SIZE_PX, _AUTHORS_IMAGE_SIZE_PX)))
    inputs = dict(processor(text="red"))
    if model.config.clip_config is not None and processor.clip_tokenizer is None:
        text = model.config.clip_config.text_config
        inputs["clip_input_ids"] = torch.tensor([[text.bos_token_id, 0, text.eos_token_id]])
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.compose(pixel_values=pixels, **inputs).embedding
