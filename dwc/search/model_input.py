"""What the model receives for a query, in a form for display.

`describe_model_input` returns the preprocessed image, the tokenized text, and the names of what the
query is moved away from.
"""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from dwc.checkpoints.load import Checkpoint
from dwc.modeling.processing_dwc import WORD_PADDING_ID, DWCProcessor
from dwc.search.exclusion_encoding import find_excluded
from dwc.search.query import EncodedQuery

_END_OF_WORD = "</w>"  # the suffix of CLIP's tokens that end a word


@dataclass(frozen=True)
class InputWord:
    """One word of the CNN stream's input.

    Attributes:
        word: the word.
        known: whether the word is in the stream's vocabulary; all unknown words are encoded alike.
    """

    word: str
    known: bool


@dataclass(frozen=True, eq=False)
class ModelInput:
    """The input of both streams for one query.

    Attributes:
        picture: the reference image, cropped and scaled by the checkpoint's preprocessing; None for
            a query without an image.
        text: the checkpoint's caption template with the query's text inserted.
        clip_pieces: the CLIP tokens of the text, including the start and end tokens; empty if the
            model has no CLIP stream or the query has no text.
        words: the words of the CNN stream's input; empty if the model has no CNN stream or the
            query has no text.
        excluded: names of the items that the text excludes, such as "red". The query's embedding is
            moved away from them.
    """

    picture: Image.Image | None
    text: str
    clip_pieces: list[str]
    words: list[InputWord]
    excluded: list[str] = field(default_factory=list)


def describe_model_input(checkpoint: Checkpoint, query: EncodedQuery) -> ModelInput:
    """Return what the model receives for an encoded query, in a form for display."""
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
    patterns = () if query.typed is None else query.typed.excluded
    excluded = [item.name for item in find_excluded(checkpoint, query.text, patterns).items]
    return ModelInput(picture, text, pieces, words, excluded)


def _input_words(processor: DWCProcessor, text: str) -> list[InputWord]:
    """Return the words into which the word tokenizer splits a text, in order.

    A word that the tokenizer drops is included as an unknown word, if it has a letter or a digit.
    """
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
    """Return the image that the model receives (cropped and scaled), converted back to RGB."""
    processor = checkpoint.processor
    pixels = processor(images=image)["pixel_values"][0].numpy()  # (3, H, W)
    mean = np.array(processor.image_processor.image_mean)[:, None, None]
    std = np.array(processor.image_processor.image_std)[:, None, None]
    levels = np.clip((pixels * std + mean) * 255, 0, 255).round().astype(np.uint8)
    return Image.fromarray(levels.transpose(1, 2, 0))
