"""Encoding of queries and of gallery images with the model of a checkpoint.

`describe_model_input` returns the input of the model for a query in a form to be displayed: the
preprocessed image and the tokenized text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dwc.checkpoints.load import ALL_BUNDLED, Checkpoint
from dwc.errors import QueryError
from dwc.gallery.builder import Embed
from dwc.gallery.filters import Filter
from dwc.gallery.store import ModelIdentity
from dwc.modeling.composition import ComposedQuery, Composition
from dwc.modeling.modeling_dwc import DWCModel, ImageFeatures
from dwc.modeling.processing_dwc import WORD_PADDING_ID, DWCProcessor, fill_template
from dwc.modeling.text_cleaning import TypedText

_IMAGES_AT_ONCE = 8  # on a CPU
_END_OF_WORD = "</w>"  # the suffix of CLIP's tokens that end a word

Compose = Callable[[Mapping[str, Tensor]], ComposedQuery]
"""Function that composes N queries, that is, combines the image and the text of each query.

The argument is the processor's output for the N queries, as tensors by name. Arguments and results
are CPU tensors, whichever device the model is on.
"""


class QueryEncoding(NamedTuple):
    """The model's output for one query.

    Attributes:
        composed: the composed query, in which image and text are combined; a batch of one.
        model_text: the text that the model receives: the checkpoint's caption template with the
            query's text inserted.
        ood_score: out-of-distribution score, 0 or more: how far the reference image is from the
            training images. Above 1, the image is further away than 99 % of similar images that
            were set aside to determine this limit. None without an image, or if the checkpoint has
            no statistics of its training images.
    """

    composed: ComposedQuery
    model_text: str
    ood_score: float | None


@dataclass(frozen=True, eq=False)
class EncodedQuery:
    """One query, encoded by a `Searcher`, as input to the search and to explanations.

    Attributes:
        image: the decoded reference image, upright RGB; None for a query without a reference.
        text: the cleaned text, shortened to the model's limit; empty only if there is an image.
        encoding: the model's output.
        excluded: positions in the searcher's gallery of images that must not be among the results.
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


def model_identity(checkpoint: Checkpoint) -> ModelIdentity:
    """Return the identity of a checkpoint, to be stored together with the vectors it computes."""
    config = checkpoint.model.config
    streams = {}
    if config.clip_config is not None:
        streams["clip"] = config.clip_embedding_dim
    if config.cnn_config is not None:
        streams["cnn"] = config.cnn_embedding_dim
    # A folder's path is made absolute, to be valid from any working directory. Names of bundled
    # checkpoints and of the Hub are not paths, even if a folder of that name exists.
    is_folder = checkpoint.name not in ALL_BUNDLED and checkpoint.revision is None
    return ModelIdentity(
        fingerprint=checkpoint.fingerprint,
        name=str(Path(checkpoint.name).absolute()) if is_folder else checkpoint.name,
        revision=checkpoint.revision,
        streams=streams,
        preprocessing=checkpoint.processor.image_processor.to_dict(),
    )


def image_embedder(checkpoint: Checkpoint) -> Embed:
    """Return a function that computes the vectors (n, D) of n images with a checkpoint's model.

    D is the length of one vector, which concatenates the embeddings of all streams. The function is
    used to build a gallery store, the folder with the vectors of a gallery.
    """
    device = next(checkpoint.model.parameters()).device

    def embed(images: Sequence[Image.Image]) -> NDArray[np.float32]:
        with torch.inference_mode():
            pixel_values = checkpoint.processor(images=list(images))["pixel_values"].to(device)
            batches = _forward_batches(pixel_values)
            embeddings = torch.cat([checkpoint.model.embed_images(batch) for batch in batches])
            return embeddings.float().cpu().numpy()

    return embed


class ModelInputs(NamedTuple):
    """The inputs of one forward pass of a model, for N queries, as CPU tensors.

    Attributes:
        texts: the processor's output for the N texts, as tensors (N, L) by name; empty for queries
            without texts.
        image_rows: indices (N,) of the queries' reference images in the list of all images: first
            those of `known`, then those of `pixel_values`; None for queries without images.
        known: features of images that the model encoded before; None for none.
        pixel_values: the processor's output (M, 3, height, width) for M images that the model is to
            encode; None for none.
    """

    texts: Mapping[str, Tensor]
    image_rows: Tensor | None = None
    known: ImageFeatures | None = None
    pixel_values: Tensor | None = None


class ModelOutputs(NamedTuple):
    """The outputs of one forward pass of a model, on the CPU.

    Attributes:
        composed: the N composed queries, in which image and text are mixed.
        encoded: the features of the M images that the model encoded; None for none.
    """

    composed: ComposedQuery
    encoded: ImageFeatures | None


RunModel = Callable[[ModelInputs], ModelOutputs]
"""Function that runs a model on the inputs of N queries, on the model's device."""


def model_runner(model: DWCModel) -> RunModel:
    """Return a function that runs a model on queries.

    If the model is moved to another device later, the function runs it there.
    """

    @torch.inference_mode()
    def run(inputs: ModelInputs) -> ModelOutputs:
        device = next(model.parameters()).device
        texts = {name: tensor.to(device) for name, tensor in inputs.texts.items()}
        encoded = None
        if inputs.pixel_values is not None:
            batches = _forward_batches(inputs.pixel_values.to(device))
            encoded = ImageFeatures.concatenate([model.image_features(batch) for batch in batches])
        images = None
        if inputs.image_rows is not None:
            known = None if inputs.known is None else inputs.known.to(device)
            parts = [features for features in (known, encoded) if features is not None]
            images = ImageFeatures.concatenate(parts).rows(inputs.image_rows.to(device))
        composed = model.compose_features(images, **texts).to("cpu")
        return ModelOutputs(composed, None if encoded is None else encoded.to("cpu"))

    return run


def _forward_batches(pixel_values: Tensor) -> tuple[Tensor, ...]:
    """Split N images (N, 3, height, width) into the batches that the model encodes fastest.

    On a CPU, convolutions are faster if the channels are last in memory, and a few images at a time
    are faster than many, whose feature maps do not fit into the cache.
    """
    if pixel_values.device.type != "cpu":
        return (pixel_values,)
    return pixel_values.contiguous(memory_format=torch.channels_last).split(_IMAGES_AT_ONCE)


def encode_query(
    checkpoint: Checkpoint, image: Image.Image | None, text: str, compose: Compose
) -> QueryEncoding:
    """Encode one query with a checkpoint's processor and model.

    Args:
        checkpoint: the checkpoint.
        image: the reference image, upright RGB; None for a query without a reference.
        text: the text to be inserted in the caption template; empty for none.
        compose: function that runs the checkpoint's model, such as a `QueryComposer`.

    Returns:
        The composed query, the text that the model received, and the out-of-distribution score.

    Raises:
        QueryError: if there is neither image nor text, or the text exceeds the model's limit.
    """
    model_text = fill_template(checkpoint.model.config.caption_template or {}, [text])
    inputs = checkpoint.processor(images=image, text=model_text or None)
    composed = compose(inputs)
    ood_score = None if composed.ood_score is None else float(composed.ood_score[0])
    return QueryEncoding(composed, model_text, ood_score)


def compose_texts(
    checkpoint: Checkpoint,
    image: Image.Image | None,
    texts: Sequence[str],
    compose: Compose,
) -> ComposedQuery:
    """Combine one image with each of N texts into N composed queries, in a single forward pass.

    Args:
        checkpoint: the checkpoint.
        image: the reference image, upright RGB; None for queries without a reference.
        texts: the N texts, none of them blank.
        compose: function that runs the checkpoint's model, such as a `QueryComposer`.

    Returns:
        A batch of N queries. Row i equals the result of `encode_query` for text i, up to rounding.

    Raises:
        QueryError: if there is no text, or a text is blank or exceeds the model's limit.
    """
    if not texts or not all(text.strip() for text in texts):
        raise QueryError(f"of {len(texts)} texts none may be blank, and at least one is needed.")
    template = checkpoint.model.config.caption_template or {}
    texts = [checkpoint.processor.read_typed(text, template).text or text for text in texts]
    filled = [fill_template(template, [text]) for text in texts]
    inputs = dict(checkpoint.processor(images=image, text=filled))
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].expand(len(texts), -1, -1, -1)
    return compose(inputs)


def concatenate(queries: Sequence[ComposedQuery]) -> ComposedQuery:
    """Concatenate queries that the same model composed into one batch, in the given order.

    If only some queries have a joint part (a part computed from image and text together, to which
    no weight applies), the joint part of the other queries is set to zero.
    """
    streams = {}
    for name in queries[0].streams:
        parts = [query.streams[name] for query in queries]
        joint = None
        if any(part.joint_part is not None for part in parts):
            joint = torch.cat(
                [
                    torch.zeros_like(part.embedding) if part.joint_part is None else part.joint_part
                    for part in parts
                ]
            )
        streams[name] = Composition(
            torch.cat([part.embedding for part in parts]),
            torch.cat([part.image_part for part in parts]),
            torch.cat([part.text_part for part in parts]),
            torch.cat([part.image_weight for part in parts]),
            joint,
        )
    scores = [query.ood_score for query in queries if query.ood_score is not None]
    return ComposedQuery(**streams, ood_score=torch.cat(scores) if scores else None)


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
    """

    picture: Image.Image | None
    text: str
    clip_pieces: list[str]
    words: list[InputWord]


def describe_model_input(checkpoint: Checkpoint, query: EncodedQuery) -> ModelInput:
    """Compute the model's input for a query again, in a form to be displayed."""
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
    """Return the words into which the word tokenizer splits a text, in order.

    A word for which the tokenizer has no token is included as an unknown word.
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
