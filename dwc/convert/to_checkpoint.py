"""Conversion of the paper authors' weights and a CLIP model to one verified checkpoint."""

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from dwc.checkpoints.model_card import CardFacts, write_card
from dwc.checkpoints.safetensors_files import find_non_finite
from dwc.checkpoints.save import move_checkpoint, save_checkpoint, without_progress_bar
from dwc.checkpoints.validate import WITHOUT_CLIP_TOKENIZER, prepared_image_size
from dwc.convert.clip_tokenizer import OPENAI_COMMIT, OPENAI_REPO, find_clip_tokenizer
from dwc.convert.key_mapping import (
    GLOBAL,
    GLOBAL_RULES,
    LOCAL,
    LOCAL_RULES,
    clip_stream_weights,
    cnn_stream_config,
    cnn_stream_weights,
    moves,
    rename_back,
    require_fit,
)
from dwc.convert.openai_clip import ImagePreprocessing, released_name
from dwc.convert.sources import (
    INTEGERS_CURE,
    Original,
    read_authors_weights,
    read_captions,
    read_clip,
)
from dwc.errors import CheckpointError, list_names
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import (
    RESERVED_WORDS,
    DWCImageProcessor,
    DWCProcessor,
    build_word_tokenizer,
)

CAPTION_TEMPLATES = {
    "fashion_iq": {"single": "<BOS> {0} <EOS>", "pair": "<BOS> {0} <AND> {1} <EOS>"},
    "plain": {"single": "{0}", "pair": "{0} and {1}"},
}
"""Caption templates by name: the authors' template for FashionIQ, and one for plain text."""

_logger = logging.getLogger(__name__)

_AUTHORS_IMAGE_SIZE_PX = 224
_SHARD_MB = 2_000
_COUNTERS = ("num_batches_tracked", "position_ids")  # tensors of integers, by the ends of names
# Captions that are in alphabetical order by chance are at most this many.
_SORTED_BY_CHANCE = 4
# Greatest allowed difference of embeddings after reloading. It is not 0, because the position of a
# weight in memory decides which algorithm multiplies matrices.
_TOLERANCE = 1e-5


class _Stream(NamedTuple):
    """One converted stream of a DWC model: the CLIP stream or the CNN stream.

    Attributes:
        weights: Tensors by their names in `DWCModel`.
        config: The fields of the model's config that belong to the stream, by name.
        tokenizers: A dict with the stream's tokenizer. The key is the name of the corresponding
            argument of `DWCProcessor`, such as `clip_tokenizer`.
        originals: State dicts with the original tensor names. The key is the prefix that the
            tensors have in the model, such as `clip_stream.`.
        messages: Lines for the log.
        notes: Lines for the model card that describe settings from a file and assumed settings.
        image_size_px: Required height and width of images in pixels; None if any size works.
        preprocessing: Image preprocessing from CLIP's config files; None if they have none.
    """

    weights: dict[str, Tensor]
    config: dict[str, Any]
    tokenizers: dict[str, Any]
    originals: dict[str, Original]
    messages: list[str]
    notes: tuple[str, ...] = ()
    image_size_px: int | None = None
    preprocessing: ImagePreprocessing | None = None


@without_progress_bar()
def convert(
    out: str | Path,
    *,
    global_weights: str | Path | None = None,
    local_weights: str | Path | None = None,
    clip: str | Path | None = None,
    captions: str | Path | None = None,
    clip_tokenizer: str | Path | None = None,
    clip_config: str | Path | None = None,
    clip_activation: str | None = None,
    preprocessing: str = "clip",
    template: dict[str, str] | None = None,
    image_size_px: int | None = None,
    card: CardFacts | None = None,
    log: Callable[[str], object] | None = None,
) -> Path:
    """Convert the authors' model to a checkpoint of this project.

    The checkpoint is first written to a temporary folder, loaded again and verified. The checkpoint
    is moved to `out` only if every tensor, under its original name, is identical to the original,
    and if a fixed query has the same embedding as before saving.

    Args:
        out: The folder to write to.
        global_weights: The authors' file of the CLIP stream; requires `clip`. None for no CLIP
            stream.
        local_weights: The authors' file of the CNN stream; requires `captions`. None for no CNN
            stream.
        clip: Source of CLIP's weights; see `sources.read_clip`.
        captions: File of the training captions; see `sources.read_captions`.
        clip_tokenizer: CLIP's tokenizer; None to search for it as described in `clip_tokenizer.py`.
            If none is found, the checkpoint is written with a warning: its model accepts only token
            ids, and `load` rejects it by default.
        clip_config: open_clip's config of weights with OpenAI's names; see `sources.read_clip`.
        clip_activation: CLIP's activation, `gelu` or `quick_gelu`, to use instead of the one in the
            config files; None to use the config files.
        preprocessing: "clip" to use the image preprocessing in CLIP's config files, or the authors'
            preprocessing if these files have none; "authors" to always use the authors'.
        template: The caption template used in training; by default that of FashionIQ.
        image_size_px: Height and width of the images in training, in pixels; by default those of
            CLIP, or 224 without CLIP.
        card: Further facts for the model card.
        log: Function that is called with each line of the report; by default the module's logger.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: Inputs or tensors are missing, are unknown, have a wrong shape, or
            contradict each other; the message lists them.
    """
    _check_request(global_weights, local_weights, clip, captions)
    streams = []
    if global_weights is not None and clip is not None:
        streams.append(
            _read_clip_stream(
                global_weights,
                clip,
                clip_tokenizer,
                clip_config,
                clip_activation,
                read_preprocessing=preprocessing != "authors",
            )
        )
    if local_weights is not None and captions is not None:
        streams.append(_read_cnn_stream(local_weights, captions))
    log = log or _logger.info
    for stream in streams:
        for line in [*describe(stream.originals), *stream.messages]:
            log(line)
    for stream in streams:
        for original in stream.originals.values():
            _require_numbers(original)
    size_px = _image_size(streams, image_size_px)
    image_processor = _make_image_processor(streams, size_px, preprocessing, log)
    fields = {name: value for stream in streams for name, value in stream.config.items()}
    inputs = (global_weights, local_weights, clip)
    given = ", ".join(str(path) for path in inputs if path is not None)
    try:
        config = DWCConfig(caption_template=template or CAPTION_TEMPLATES["fashion_iq"], **fields)
    except (ValueError, StrictDataclassError) as error:
        raise CheckpointError(f"{given} do not make a model: {error}") from error
    log(f"captions: {config.caption_template['single']!r}, {config.caption_template['pair']!r}")
    weights = {name: tensor for stream in streams for name, tensor in stream.weights.items()}
    model = _assemble(config, weights, given)
    tokenizers = {name: value for stream in streams for name, value in stream.tokenizers.items()}
    processor = DWCProcessor(image_processor, **tokenizers, clip_text_cleaning="openai")
    originals = {name: value for stream in streams for name, value in stream.originals.items()}
    facts = card or CardFacts()
    if facts.base_model is None and clip is not None and not Path(clip).expanduser().exists():
        facts = facts._replace(base_model=str(clip).partition("@")[0])
    notes = [note for stream in streams for note in stream.notes]
    facts = facts._replace(converted=(*_sources(originals), *notes))
    folder = _write_verified(model, processor, originals, facts, Path(out), log)
    if model.clip is not None and processor.clip_tokenizer is None:
        _logger.warning(
            "%s is written without CLIP's tokenizer: there is none beside %s, and %s@%s is neither "
            "in the Hub's cache nor within reach. %s",
            folder, clip, OPENAI_REPO, OPENAI_COMMIT[:7], WITHOUT_CLIP_TOKENIZER,
        )  # fmt: skip
    return folder


def authors_image_processor(size_px: int) -> DWCImageProcessor:
    """Return the authors' image preprocessing for images of `size_px` by `size_px` pixels.

    The short side is resized to `size_px` with bicubic interpolation, and the center is cropped as
    in torchvision. Pixels are normalized by the mean and standard deviation of OpenAI's CLIP.
    """
    return DWCImageProcessor(
        size={"shortest_edge": size_px},
        crop_size={"height": size_px, "width": size_px},
        crop_rounding="nearest",
    )


def describe(originals: Mapping[str, Original]) -> list[str]:
    """Return lines that say which original module was converted to which module of the model.

    Args:
        originals: State dicts with the original tensor names. The key is the prefix that their
            tensors have in the model, such as `clip_stream.`.
    """
    return [line for prefix, original in originals.items() for line in _describe(prefix, original)]


def _describe(prefix: str, original: Original) -> list[str]:
    numbers = sum(tensor.numel() for tensor in original.state.values())
    head = f"{original.source}: {original.kind}, {len(original.state)} tensors, {numbers:,} values"
    notes = [f"  {note}" for note in original.notes]
    if original.rules is None:
        return [head, *notes, f"  taken under the same names, as {prefix}*"]
    source_counts, target_counts = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    unused = []
    for name, targets in moves(list(original.state), original.rules).items():
        if not targets:
            unused.append(name)
            continue
        modules = _module(name), prefix + _module(targets[0])
        source_counts[modules] += 1
        target_counts[modules] += len(targets)
    lines = [head, *notes]
    for (theirs, ours), count in source_counts.items():
        split = target_counts[theirs, ours]
        into = f", which are {split} here" if split != count else ""
        lines.append(f"  {theirs} -> {ours}: {count} tensor{'s' * (count != 1)}{into}")
    if unused:
        lines.append(f"  read by nothing, left behind: {list_names(unused)}")
    return lines


def _module(name: str) -> str:
    """Return the part of a tensor's name before the first dot, the name of its module."""
    return name.split(".")[0]


def _require_numbers(original: Original) -> None:
    """Check that the tensors that the model uses contain only finite floating-point numbers.

    Counters, such as the number of batches of a batch norm, may be integers.

    Raises:
        CheckpointError: Some tensors contain integers, NaN or infinity; the message lists their
            original names.
    """
    used = original.state
    if original.rules is not None:
        targets = moves(list(used), original.rules)
        used = {name: tensor for name, tensor in used.items() if targets[name]}
    integers = [
        f"{name} ({str(tensor.dtype).removeprefix('torch.')})"
        for name, tensor in used.items()
        if not tensor.is_floating_point() and not name.endswith(_COUNTERS)
    ]
    if integers:
        raise CheckpointError(
            f"{original.source} has integers in {len(integers)} of {len(used)} tensors: "
            f"{list_names(integers)}; expected floating-point numbers. {INTEGERS_CURE}; nothing "
            "was written"
        )
    if wrong := find_non_finite(used):
        raise CheckpointError(
            f"{original.source} has NaN or infinite values in {len(wrong)} of {len(used)} tensors: "
            f"{list_names(wrong)}. The file is damaged, or its training diverged: give an intact "
            "copy or an earlier checkpoint of the training; nothing was written"
        )


def _make_image_processor(
    streams: list[_Stream], size_px: int, choice: str, log: Callable[[str], object]
) -> DWCImageProcessor:
    """Return the checkpoint's image processor, and log its settings.

    Args:
        streams: The converted streams, one of which may have preprocessing from CLIP's files.
        size_px: Height and width of the preprocessed images in pixels.
        choice: "clip" or "authors"; see the argument `preprocessing` of `convert`.
        log: Function that is called with each line of the report.
    """
    stated = next((stream.preprocessing for stream in streams if stream.preprocessing), None)
    authors = authors_image_processor(size_px)
    if stated is None or choice == "authors":
        log(f"images: short side to {size_px} px, bicubic, then the center; CLIP's mean and std")
        return authors
    resize_px = stated.resize_px or size_px
    processor = DWCImageProcessor(
        size={"height": resize_px, "width": resize_px}
        if stated.squash
        else {"shortest_edge": resize_px},
        crop_size={"height": size_px, "width": size_px},
        do_center_crop=not stated.squash or resize_px != size_px,
        image_mean=list(stated.mean),
        image_std=list(stated.std),
        rescale_factor=stated.rescale_factor,
        resample=stated.resample,
        crop_rounding="nearest",
    )
    log(f"images: {size_px} px, {stated.describe()}")
    if processor.to_json_string() != authors.to_json_string():
        log(
            "  which differs from the authors' preprocessing; if this model was trained with "
            "theirs, give --preprocessing authors"
        )
    return processor


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


def _read_clip_stream(
    file: str | Path,
    clip: str | Path,
    tokenizer_source: str | Path | None,
    config_file: str | Path | None,
    activation: str | None,
    read_preprocessing: bool,
) -> _Stream:
    state, notes = read_authors_weights(file)
    stream = clip_stream_weights(state, str(file))
    source = read_clip(clip, config_file, activation, read_preprocessing)
    tokenizer = find_clip_tokenizer(tokenizer_source, clip, source.config)
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
        tokenizers={"clip_tokenizer": tokenizer},
        originals={
            "clip.": source.original,
            "clip_stream.": Original(str(file), GLOBAL, state, GLOBAL_RULES, notes),
        },
        messages=[
            f"CLIP has {sizes}: {size_px} px, features of {source.config.projection_dim}",
            *source.stated,
            *source.assumed,
            "CLIP's tokenizer: "
            + (
                "none"
                if tokenizer is None
                else f"{len(tokenizer)} tokens, {tokenizer.model_max_length} a text"
            ),
        ],
        notes=(*source.stated, *source.assumed),
        image_size_px=size_px,
        preprocessing=source.preprocessing,
    )


def _read_cnn_stream(file: str | Path, captions: str | Path) -> _Stream:
    state, notes = read_authors_weights(file)
    stream = cnn_stream_weights(state, str(file))
    config = cnn_stream_config(stream, str(file))
    content = read_captions(captions)
    words = build_word_tokenizer(content)
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
        originals={"cnn_stream.": Original(str(file), LOCAL, state, LOCAL_RULES, notes)},
        messages=[
            f"vocabulary: {len(words)} words of {captions}, as many as the embedding has rows",
            *_remarks_on_order(content),
        ],
    )


def _remarks_on_order(captions: list[str] | dict[str, int]) -> list[str]:
    """Return warnings that the training captions may not be in the order that training used.

    The order decides the words' ids. In a wrong order, words have the vectors of other words. The
    result is empty if `captions` is a dict from words to ids.
    """
    if isinstance(captions, dict):
        return []
    remarks = [
        "the words' order cannot be verified: unless the captions are in the order of training, "
        "words have the vectors of other words"
    ]
    distinct = list(dict.fromkeys(captions))
    is_sorted = distinct in (sorted(distinct), sorted(distinct, key=str.casefold))
    if is_sorted and len(distinct) > _SORTED_BY_CHANCE:
        remarks.append(
            "the captions are in alphabetical order, as those of a training hardly are: give them "
            "as they were in its file"
        )
    return remarks


def _rows(weights: dict[str, Tensor], name: str, source: str | Path) -> int:
    if name not in weights or not weights[name].dim():
        raise CheckpointError(f"{source} lacks {name} (this project's name), which shows its size")
    return weights[name].shape[0]


def _image_size(streams: list[_Stream], given_px: int | None) -> int:
    """Return the height in pixels of the preprocessed images, which is also their width.

    If CLIP requires a size, that size is returned. Otherwise the result is `given_px`, or 224 if
    `given_px` is None.

    Raises:
        CheckpointError: `given_px` is below 1, or CLIP requires another size.
    """
    read_px = next((stream.image_size_px for stream in streams if stream.image_size_px), None)
    if given_px is not None and given_px < 1:
        raise CheckpointError(f"the image size is {given_px} px; give a side of at least 1 px")
    if given_px and read_px and given_px != read_px:
        raise CheckpointError(
            f"images of {given_px} px were requested, and CLIP reads {read_px} px only; leave "
            "the size out, or give the CLIP that this model was trained on"
        )
    return read_px or given_px or _AUTHORS_IMAGE_SIZE_PX


def _assemble(config: DWCConfig, weights: dict[str, Tensor], source: str) -> DWCModel:
    """Build the model that a config describes, with the given weights.

    Raises:
        CheckpointError: The weights do not fit the config.
    """
    with torch.device("meta"):
        expected = DWCModel(config).state_dict()
    require_fit(weights, expected, source)
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    return DWCModel.from_pretrained(None, config=config, state_dict=weights)


def _write_verified(
    model: DWCModel,
    processor: DWCProcessor,
    originals: dict[str, Original],
    facts: CardFacts,
    out: Path,
    log: Callable[[str], object],
) -> Path:
    """Write a checkpoint to a temporary folder, verify it, and move it to `out`.

    For verification, the checkpoint is loaded again, its tensors are compared with the originals,
    and its embedding of a fixed query is compared with that of `model`. The model card is written
    last.

    Args:
        model: The model.
        processor: The model's processor.
        originals: State dicts with the original tensor names. The key is the prefix that the
            tensors have in the model, such as `clip_stream.`.
        facts: Facts for the model card.
        out: The folder to write to.
        log: Function that is called with each line of the report.

    Returns:
        `out`.

    Raises:
        CheckpointError: The loaded checkpoint differs from the originals, or an embedding is not
            finite.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as workplace:
        written = save_checkpoint(
            model,
            processor,
            Path(workplace) / "checkpoint",
            max_shard_mb=_SHARD_MB,
            clip_tokenizer_optional=True,
        )
        # `load` is not used, because it rejects a checkpoint without CLIP's tokenizer.
        loaded = DWCModel.from_pretrained(written)
        changed = [
            name
            for prefix, original in originals.items()
            for name in _changed(prefix, original, loaded)
        ]
        expected = _embed_fixed_query(model, processor)
        if not bool(expected.isfinite().all()):
            raise CheckpointError(
                "these weights compose a fixed query into numbers that are not finite: they are "
                "damaged, or of a training that went wrong; nothing was put in place"
            )
        error = float(
            (_embed_fixed_query(loaded, DWCProcessor.from_pretrained(written)) - expected)
            .abs()
            .max()
        )
        if changed or not error <= _TOLERANCE:
            raise CheckpointError(
                f"the checkpoint for {out}, once loaded again, has other tensors than were read "
                f"({', '.join(changed[:5]) or 'none'}) and answers differently by {error:.1e}; "
                "nothing was put in place. Check the disk and its free space"
            )
        log(
            f"checked: every tensor leads back to the one that was read, bit by bit; a fixed "
            f"query's embedding differs by {error:.1e} (allowed: {_TOLERANCE:.0e})"
        )
        folder = move_checkpoint(written, out)
    write_card(folder, model.config, facts)
    return folder


def _sources(originals: dict[str, Original]) -> tuple[str, ...]:
    return tuple(f"{Path(state.source).name}: {state.kind}" for state in originals.values())


def _changed(prefix: str, original: Original, model: DWCModel) -> list[str]:
    """Return the names of original tensors that differ from the model's weights.

    Args:
        prefix: The prefix of these tensors' names in the model.
        original: The original tensors.
        model: The model.
    """
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


def _embed_fixed_query(model: DWCModel, processor: DWCProcessor) -> Tensor:
    """Return the model's embedding (1, d) of a fixed query: a random image and the text "red".

    d is the sum of the streams' embedding dimensions.
    """
    size = prepared_image_size(processor)
    shape = (1, 3, *(size or (_AUTHORS_IMAGE_SIZE_PX, _AUTHORS_IMAGE_SIZE_PX)))
    inputs = dict(processor(text="red"))
    if model.config.clip_config is not None and processor.clip_tokenizer is None:
        text = model.config.clip_config.text_config
        inputs["clip_input_ids"] = torch.tensor([[text.bos_token_id, 0, text.eos_token_id]])
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.compose(pixel_values=pixels, **inputs).embedding
