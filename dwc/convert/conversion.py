"""The authors' weights and a CLIP -> one checkpoint, checked before it is put in place."""

import logging
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc import checkpoint
from dwc.convert.authors import clip_stream_weights, cnn_stream_config, cnn_stream_weights
from dwc.convert.clip_tokenizer import OPENAI_COMMIT, OPENAI_REPO, find_clip_tokenizer
from dwc.convert.renaming import require_fit
from dwc.convert.sources import read_authors_weights, read_captions, read_clip
from dwc.errors import CheckpointError
from dwc.modeling.configuration import DWCConfig
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor, build_word_tokenizer

CAPTION_TEMPLATES = {
    "fashion_iq": {"single": "<BOS> {0} <EOS>", "pair": "<BOS> {0} <AND> {1} <EOS>"},
    "plain": {"single": "{0}", "pair": "{0} and {1}"},
}
"""The forms in which training saw its captions: as the authors write FashionIQ's, or plain."""

_logger = logging.getLogger(__name__)

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

    `clip_tokenizer` is CLIP's tokenizer, where `clip_tokenizer.py` would find none or another. If
    there is none to be had, the checkpoint is written without it, which a warning tells: its model
    composes from token ids, and `checkpoint.load` refuses it.

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
        weights |= {f"clip.{name}": tensor for name, tensor in source.weights.items()}
        weights |= {f"clip_stream.{name}": tensor for name, tensor in stream.items()}
        parts |= {
            "clip_config": source.config,
            "clip_embedding_dim": _rows(stream, "project_image.weight", global_weights),
        }
        tokenizers["clip_tokenizer"] = find_clip_tokenizer(clip_tokenizer, clip, source.config)
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
    processor = DWCProcessor(pictures, **tokenizers)
    folder = _write_checked(model, processor, Path(out))
    if model.clip is not None and processor.clip_tokenizer is None:
        _logger.warning(
            "%s is written without CLIP's tokenizer: there is none beside %s, and %s@%s is neither "
            "in the Hub's cache nor within reach. %s",
            folder, clip, OPENAI_REPO, OPENAI_COMMIT[:7], checkpoint.WITHOUT_CLIP_TOKENIZER,
        )  # fmt: skip
    return folder


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
            model,
            processor,
            Path(workplace) / "checkpoint",
            max_shard_mb=_SHARD_MB,
            clip_tokenizer_optional=True,
        )
        expected = _answer(model, processor)
        # Not by `checkpoint.load`, which refuses one without CLIP's tokenizer.
        found = _answer(DWCModel.from_pretrained(written), DWCProcessor.from_pretrained(written))
        error = float((found - expected).abs().max())
        if not error <= _TOLERANCE:
            raise CheckpointError(
                f"the checkpoint for {out} answers differently once loaded again, by {error:.1e}; "
                "nothing was put in place. Check the disk and its free space"
            )
        return checkpoint.move(written, out)


def _answer(model: DWCModel, processor: DWCProcessor) -> Tensor:
    """The embedding (1, D) of a fixed query of both picture and text."""
    size = checkpoint.picture_size(processor)
    shape = (1, 3, *(size or (_AUTHORS_IMAGE_SIZE_PX, _AUTHORS_IMAGE_SIZE_PX)))
    inputs = dict(processor(text="red"))
    if model.config.clip_config is not None and processor.clip_tokenizer is None:
        text = model.config.clip_config.text_config
        inputs["clip_input_ids"] = torch.tensor([[text.bos_token_id, 0, text.eos_token_id]])
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.compose(pixel_values=pixels, **inputs).embedding
