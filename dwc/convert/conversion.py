"""The authors' weights and a CLIP -> one checkpoint, checked before it is put in place."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc import checkpoint
from dwc.convert.authors import clip_stream_weights, cnn_stream_config, cnn_stream_weights
from dwc.convert.renaming import require_fit
from dwc.convert.sources import (
    read_authors_weights,
    read_captions,
    read_clip,
    read_clip_tokenizer,
)
from dwc.errors import CheckpointError
from dwc.modeling.composition import ComposedQuery
from dwc.modeling.configuration import DWCConfig
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor, build_word_tokenizer

CAPTION_TEMPLATES = {
    "fashion_iq": {"single": "<BOS> {0} <EOS>", "pair": "<BOS> {0} <AND> {1} <EOS>"},
    "plain": {"single": "{0}", "pair": "{0} and {1}"},
}
"""The forms in which training saw its captions: as the authors write FashionIQ's, or plain."""

_AUTHORS_IMAGE_SIZE_PX = 224
_SHARD_MB = 2_000
_TOLERANCE = 1e-5  # not 0: where in memory a weight lies decides which kernel multiplies it


@checkpoint.without_progress_bar()
def convert(
    out: str | Path,
    *,
    global_weights: str | Path | None = None,
    local_weights: str | Path | None = None,
    clip: str | Path | None = None,
    captions: str | Path | None = None,
    clip_tokenizer: str | Path | None = None,
    template: dict[str, str] | None = None,
) -> Path:
    """Write the authors' model as a checkpoint of this project; return its folder.

    `global_weights` and `local_weights` are the authors' files of the CLIP and the CNN stream;
    either may be left out. The CLIP stream needs `clip`, the CNN stream `captions`: see
    `sources.py` for what these may be. `template` is the form in which training saw its captions,
    FashionIQ's unless told otherwise. The checkpoint is loaded again and compared on a fixed query
    before it is put in place.

    Raises CheckpointError listing what is missing, unknown or misshapen.
    """
    _check_request(global_weights, local_weights, clip, captions)
    weights: dict[str, Tensor] = {}
    parts: dict[str, object] = {}
    tokenizers: dict[str, object] = {}
    image_size_px = _AUTHORS_IMAGE_SIZE_PX
    if global_weights is not None and clip is not None:
        stream = clip_stream_weights(read_authors_weights(global_weights), str(global_weights))
        source = read_clip(clip)
        tokenizer = source.tokenizer
        if tokenizer is None or clip_tokenizer is not None:
            tokenizer = read_clip_tokenizer(clip_tokenizer, source.config)
        weights |= {f"clip.{name}": tensor for name, tensor in source.weights.items()}
        weights |= {f"clip_stream.{name}": tensor for name, tensor in stream.items()}
        parts |= {
            "clip_config": source.config,
            "clip_embedding_dim": _rows(stream, "project_image.weight", global_weights),
        }
        tokenizers["clip_tokenizer"] = tokenizer
        image_size_px = source.config.vision_config.image_size
    if local_weights is not None and captions is not None:
        stream = cnn_stream_weights(read_authors_weights(local_weights), str(local_weights))
        cnn_config = cnn_stream_config(stream, str(local_weights))
        words = build_word_tokenizer(read_captions(captions))
        if len(words) != cnn_config.vocab_size:
            raise CheckpointError(
                f"{captions} gives {len(words)} words (4 of them reserved), but the embedding in "
                f"{local_weights} has {cnn_config.vocab_size} rows. Give the captions that this "
                "model was trained on, all of them and in order"
            )
        weights |= {f"cnn_stream.{name}": tensor for name, tensor in stream.items()}
        parts |= {
            "cnn_config": cnn_config,
            "cnn_embedding_dim": _rows(stream, "project_image.weight", local_weights),
        }
        tokenizers["word_tokenizer"] = words
    config = DWCConfig(caption_template=template or CAPTION_TEMPLATES["fashion_iq"], **parts)
    given = ", ".join(str(one) for one in (global_weights, local_weights, clip) if one is not None)
    model = _assemble(config, weights, given)
    # The authors' preprocessing: short side to the model's size, bicubic, then the centre.
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": image_size_px},
        crop_size={"height": image_size_px, "width": image_size_px},
    )
    return _write_checked(model, DWCProcessor(pictures, **tokenizers), Path(out))


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


def _rows(weights: dict[str, Tensor], name: str, source: str | Path) -> int:
    if name not in weights:
        raise CheckpointError(f"{source} lacks {name} (this project's name), which tells its size")
    return weights[name].shape[0]


def _assemble(config: DWCConfig, weights: dict[str, Tensor], source: str) -> DWCModel:
    """The model with these weights, each in its place; CheckpointError where one is not."""
    with torch.device("meta"):
        expected = DWCModel(config).state_dict()
    require_fit(weights, expected, source)
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    return DWCModel.from_pretrained(None, config=config, state_dict=weights)


def _write_checked(model: DWCModel, processor: DWCProcessor, out: Path) -> Path:
    """Write beside `out`, load again, compare on a fixed query, and only then move into place."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as workplace:
        written = checkpoint.save(
            model, processor, Path(workplace) / "checkpoint", max_shard_mb=_SHARD_MB
        )
        expected = _answer(model, processor).embedding
        loaded = checkpoint.load(written)
        error = float((_answer(loaded.model, loaded.processor).embedding - expected).abs().max())
        if not error <= _TOLERANCE:
            raise CheckpointError(
                f"the checkpoint for {out} answers differently once loaded again, by {error:.1e}; "
                "nothing was put in place. Check the disk and its free space"
            )
        return checkpoint.move(written, out)


def _answer(model: DWCModel, processor: DWCProcessor) -> ComposedQuery:
    size = checkpoint.picture_size(processor)
    shape = (1, 3, *(size or (_AUTHORS_IMAGE_SIZE_PX, _AUTHORS_IMAGE_SIZE_PX)))
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.compose(pixel_values=pixels, **processor(text="red"))
