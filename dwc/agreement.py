"""Whether a model and a processor belong together: what the one makes, the other reads."""

from dwc.errors import CheckpointError
from dwc.modeling.configuration import DWCConfig
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor
from dwc.recognition import CONVERT

WITHOUT_CLIP_TOKENIZER = (
    "Its model composes from token ids, and its processor reads pictures and word ids; searching, "
    "the app and evaluation need the tokenizer as well, or CLIP would not hear the words. Add it "
    f"by converting again: {CONVERT} --clip-tokenizer PATH (bpe_simple_vocab_16e6.txt.gz of "
    "openai/CLIP, or a transformers CLIP tokenizer's folder)"
)
"""What a checkpoint without CLIP's tokenizer is good for, and the cure."""


def check_agreement(model: DWCModel, processor: DWCProcessor, name: str) -> None:
    """Raise CheckpointError where the processor does not make what the model reads."""
    for problem in _disagreements(model.config, processor):
        raise CheckpointError(
            f"{name}: {problem}. Model and processor belong to different checkpoints; take both "
            "from one."
        )


def require_clip_tokenizer(config: DWCConfig, processor: DWCProcessor, name: str) -> None:
    """Raise CheckpointError where a model has a CLIP and its processor no tokenizer for it."""
    if config.clip_config is not None and processor.clip_tokenizer is None:
        raise CheckpointError(f"{name} has no clip_tokenizer. {WITHOUT_CLIP_TOKENIZER}")


def _disagreements(config: DWCConfig, processor: DWCProcessor) -> list[str]:
    problems = []
    clip, cnn = config.clip_config, config.cnn_config
    if cnn is not None and processor.word_tokenizer is None:
        problems.append("the model has a stream that reads words, but there is no word_tokenizer")
    elif cnn is not None:
        words = len(processor.word_tokenizer)
        if words != cnn.vocab_size:
            problems.append(
                f"the word vocabulary has {words} words, the word embedding {cnn.vocab_size} rows"
            )
    if clip is not None and processor.clip_tokenizer is not None:
        text, tokenizer = clip.text_config, processor.clip_tokenizer
        if len(tokenizer) != text.vocab_size:
            problems.append(
                f"CLIP's tokenizer has {len(tokenizer)} tokens, its embedding "
                f"{text.vocab_size} rows"
            )
        if tokenizer.eos_token_id != text.eos_token_id:
            problems.append(
                f"CLIP's tokenizer ends a text with id {tokenizer.eos_token_id}, the model looks "
                f"for id {text.eos_token_id}"
            )
        if tokenizer.model_max_length > text.max_position_embeddings:
            problems.append(
                f"CLIP's tokenizer allows {tokenizer.model_max_length} tokens, the model reads "
                f"{text.max_position_embeddings}"
            )
    if clip is not None:
        size_px = clip.vision_config.image_size
        made = picture_size(processor)
        if made != (size_px, size_px):
            problems.append(
                f"pictures are prepared at {made} (height, width), the model reads {size_px} x "
                f"{size_px} pixels"
            )
    return problems


def picture_size(processor: DWCProcessor) -> tuple[int, int] | None:
    """Height and width in pixels of every prepared picture; None where pictures differ."""
    pictures = processor.image_processor
    size: dict[str, int | None] = {}
    if pictures.do_center_crop:
        size = dict(pictures.crop_size)
    elif pictures.do_resize:
        size = dict(pictures.size)
    height, width = size.get("height"), size.get("width")
    return None if height is None or width is None else (height, width)
