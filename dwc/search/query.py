"""Encoding of queries, each an image, a text or both, with the model of a checkpoint.

`encode_query` encodes one query, `compose_texts` one image with several texts. If a text excludes
something, such as "not red", the query is moved away from it; see `exclusion_encoding.py`.

`describe_model_input` returns what the model receives for a query, for display: the preprocessed
image, the tokenized text, and the names of what the query is moved away from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image

from dwc.checkpoints.load import Checkpoint
from dwc.errors import QueryError
from dwc.gallery.filters import Filter
from dwc.modeling.combiners import ComposedQuery
from dwc.modeling.processing_dwc import WORD_PADDING_ID, DWCProcessor, fill_template
from dwc.modeling.text_cleaning import TypedText
from dwc.search.exclusion_encoding import ExclusionEncoder, find_excluded, move_from_exclusions
from dwc.search.query_batching import Compose


class QueryEncoding(NamedTuple):
    """The model's output for one query.

    Attributes:
        composed: the composed query, in which image and text are combined; a batch of one.
        model_text: the text that the model receives: the checkpoint's caption template with the
            query's text inserted.
        ood_score: out-of-distribution score, 0 or more: how far the reference image is from the
            training images. A score above 1 means that 99 % of held-out images of the same kind as
            the training images are closer. None without an image, or if the checkpoint has no
            statistics of its training images.
        change_of_kind: None, or the kind of garment that the reference image shows and the other
            kind that the text asks for, such as ("trousers", "skirt").
    """

    composed: ComposedQuery
    model_text: str
    ood_score: float | None
    change_of_kind: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class EncodedQuery:
    """One query, encoded by a `Searcher`, as input to the search and to explanations.

    Attributes:
        image: the decoded reference image, upright RGB; None for a query without a reference.
        text: the cleaned text, shortened to the model's limit; empty only if there is an image.
        encoding: the model's output.
        excluded: images that must not be among the results, as positions in the searcher's gallery.
        reference_id: the id of the reference if it is an image of the gallery; otherwise None.
        notes: messages for the user, such as a message that the text was cut off.
        encode_ms: duration of loading the reference and encoding the query, in milliseconds.
        exclude_reference: whether the results leave out the reference and its copies: the same
            picture, possibly saved again or at another size.
        typed: the text as typed, and the parts of the text that the model did not use; None if
            unknown.
        filter: the condition on the metadata of the results; None for no condition.
    """

    image: Image.Image | None
    text: str
    encoding: QueryEncoding
    excluded: tuple[int, ...] = ()
    reference_id: str | None = None
    notes: tuple[str, ...] = ()
    encode_ms: float = 0.0
    exclude_reference: bool = True
    typed: TypedText | None = None
    filter: Filter | None = None


def encode_query(
    checkpoint: Checkpoint,
    image: Image.Image | None,
    text: str,
    compose: Compose,
    excluded: Sequence[str] = (),
) -> QueryEncoding:
    """Encode one query with a checkpoint's processor and model.

    Args:
        checkpoint: the checkpoint.
        image: the reference image, upright RGB; None for a query without a reference.
        text: the text to be inserted in the caption template; empty for a query without a text.
        compose: function that runs the checkpoint's model, such as a `QueryComposer`.
        excluded: names of patterns and parts of garments that the query excludes although the text
            does not mention them. For example, the typed "no stripes" was rephrased as "in plain",
            and `excluded` has "stripes"; see `TypedText`.

    Returns:
        The composed query, the text that the model received, and the out-of-distribution score.

    Raises:
        QueryError: if there is neither image nor text, or the text exceeds the model's limit.
    """
    model_text = fill_template(checkpoint.model.config.caption_template or {}, [text])
    inputs = checkpoint.processor(images=image, text=model_text or None)
    exclusions = [find_excluded(checkpoint, text, excluded)]
    composed = compose(inputs)
    encoder = ExclusionEncoder(checkpoint, compose, inputs.get("pixel_values"))
    composed = move_from_exclusions(composed, exclusions, encoder)
    ood_score = None if composed.ood_score is None else float(composed.ood_score[0])
    change = encoder.change_of_kind(exclusions[0])
    return QueryEncoding(composed, model_text, ood_score, change)


def compose_texts(
    checkpoint: Checkpoint,
    image: Image.Image | None,
    texts: Sequence[str],
    compose: Compose,
    excluded: Sequence[str] = (),
) -> ComposedQuery:
    """Combine one image with each of N texts into N composed queries, in a single forward pass.

    Args:
        checkpoint: the checkpoint.
        image: the reference image, upright RGB; None for queries without a reference.
        texts: the N texts, none of them blank.
        compose: function that runs the checkpoint's model, such as a `QueryComposer`.
        excluded: names of patterns and parts of garments that all queries exclude although the
            texts do not mention them; see `encode_query`.

    Returns:
        A batch of N queries. Row i equals the result of `encode_query` for text i, up to rounding.

    Raises:
        QueryError: if there is no text, or a text is blank or exceeds the model's limit.
    """
    if not texts or not all(text.strip() for text in texts):
        raise QueryError(f"of {len(texts)} texts none may be blank, and at least one is needed.")
    template = checkpoint.model.config.caption_template or {}
    typed = [checkpoint.processor.read_typed(text, template) for text in texts]
    texts = [read.text or text for read, text in zip(typed, texts, strict=True)]
    exclusions = [
        find_excluded(checkpoint, text, (*excluded, *read.excluded))
        for read, text in zip(typed, texts, strict=True)
    ]
    filled = [fill_template(template, [text]) for text in texts]
    inputs = dict(checkpoint.processor(images=image, text=filled))
    pixel_values = inputs.get("pixel_values")
    if pixel_values is not None:
        inputs["pixel_values"] = pixel_values.expand(len(texts), -1, -1, -1)
    encoder = ExclusionEncoder(checkpoint, compose, pixel_values)
    return move_from_exclusions(compose(inputs), exclusions, encoder)


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
