"""The model's input for a query: the image as its pixels, the text as its tokens."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from dwc.checkpoints.load import Checkpoint
from dwc.modeling.processing_dwc import WORD_PADDING_ID, DWCProcessor
from dwc.search.query import EncodedQuery

_END_OF_WORD = "</w>"  # CLIP's mark on the last piece of a word


@dataclass(frozen=True)
class InputWord:
    """One word for the CNN stream; all words that its vocabulary lacks are the same to it."""

    word: str
    known: bool


@dataclass(frozen=True, eq=False)
class ModelInput:
    """The input that both streams get.

    Attributes:
        picture: cropped and scaled by the checkpoint's preprocessing; None without an image.
        text: in the checkpoint's caption template.
        clip_pieces: CLIP's tokens with those of start and end; empty without a CLIP stream or text.
        words: the CNN stream's tokens; empty without a CNN stream or text.
    """

    picture: Image.Image | None
    text: str
    clip_pieces: list[str]
    words: list[InputWord]


def describe_model_input(checkpoint: Checkpoint, query: EncodedQuery) -> ModelInput:
    """Recompute the input of a query with the checkpoint's processor."""
    processor, text = checkpoint.processor, query.encoding.model_text
    pieces: list[str] = []
    words: list[InputWord] = []
    if text and processor.clip_tokenizer is not None:
        tokens = processor.clip_tokenizer.backend_tokenizer.encode(text).tokens
        pieces = [token.removesuffix(_END_OF_WORD) for token in tokens]
    if processor.word_tokenizer is not None:
        words = _input_words(processor, text)
        if query.typed is not None:
            words += [InputWord(word, False) for word in query.typed.unreadable]
    picture = None if query.image is None else _input_image(checkpoint, query.image)
    return ModelInput(picture, text, pieces, words)


def _input_words(processor: DWCProcessor, text: str) -> list[InputWord]:
    """The words that the word tokenizer makes, and those of which it leaves nothing."""
    words = []
    for item in text.split():
        encoding = processor.word_tokenizer.backend_tokenizer.encode(item)
        words += [
            InputWord(item[start:end], number != WORD_PADDING_ID)
            for (start, end), number in zip(encoding.offsets, encoding.ids, strict=True)
        ]
        if not encoding.ids and any(char.isalnum() for char in item):
            words.append(InputWord(item, False))
    return words


def _input_image(checkpoint: Checkpoint, image: Image.Image) -> Image.Image:
    """The preprocessed pixels as an RGB image."""
    processor = checkpoint.processor
    pixels = processor(images=image)["pixel_values"][0].numpy()  # (3, H, W)
    mean = np.array(processor.image_processor.image_mean)[:, None, None]
    std = np.array(processor.image_processor.image_std)[:, None, None]
    levels = np.clip((pixels * std + mean) * 255, 0, 255).round().astype(np.uint8)
    return Image.fromarray(levels.transpose(1, 2, 0))
