"""Encoding of queries and of gallery images with the model of a checkpoint, alone or in batches.

- `encode_query` encodes one query, `image_embedder` embeds gallery images.
- A text may exclude something, such as "not red" or "without a hood", or ask for another kind of
  garment than the image shows, such as "as a skirt". `_ExclusionEncoder` computes the vectors that
  are subtracted from the embeddings of such queries.
- `describe_model_input` returns what the model receives for a query, in a form for display: the
  preprocessed image and the tokenized text.
- `QueryComposer` composes the queries of several threads with one model. It caches the composed
  queries and the features of their images. A `BatchQueue` runs the queries of all composers, one
  batch at a time. Queries that wait at the same moment share a batch.
"""

import contextvars
import hashlib
import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from dwc.catalogue.language.exclusions import other_values
from dwc.checkpoints.load import ALL_BUNDLED, Checkpoint
from dwc.errors import BusyError, QueryError
from dwc.gallery.builder import Embed
from dwc.gallery.filters import Filter
from dwc.gallery.store import ModelIdentity
from dwc.modeling.combiners import ComposedQuery, Composition
from dwc.modeling.modeling_dwc import DWCModel, ImageFeatures
from dwc.modeling.processing_dwc import WORD_PADDING_ID, DWCProcessor, fill_template
from dwc.modeling.rephrasing_rules.request_words import wanted_words
from dwc.modeling.text_cleaning import TypedText
from dwc.negation.exclusions import Exclusion, exclusion_of, find_exclusions
from dwc.negation.garment_words import find_kind, find_wished_kind

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


def model_identity(checkpoint: Checkpoint) -> ModelIdentity:
    """Return what identifies a checkpoint's model, to be stored with the vectors of a gallery.

    The identity includes a hash of the model, its name, and the settings of the preprocessing.
    """
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

    D is the length of one vector, the concatenation of the embeddings of all streams. The function
    is used to build a gallery store, the folder with the vectors of a gallery. If
    `prefers_bfloat16` returns True, the image networks compute in bfloat16. All other computations
    are in float32.
    """
    model = checkpoint.model
    device = next(model.parameters()).device
    in_bfloat16 = prefers_bfloat16(model)

    def embed(images: Sequence[Image.Image]) -> NDArray[np.float32]:
        with torch.inference_mode():
            pixel_values = checkpoint.processor(images=list(images))["pixel_values"].to(device)
            if in_bfloat16:
                with torch.autocast("cpu", torch.bfloat16):
                    features = model.image_features(_channels_last(pixel_values))
                embeddings = model.embed_features(features.to(torch.float32))
            else:
                batches = _forward_batches(pixel_values)
                embeddings = torch.cat([model.embed_images(batch) for batch in batches])
            return embeddings.float().cpu().numpy()

    return embed


_LEAST_PARAMETERS = 20_000_000


def prefers_bfloat16(model: DWCModel) -> bool:
    """Return True if gallery images are embedded in bfloat16, False if in float32.

    The result is True if the image networks have at least 20 million parameters, as those of the
    paper do, and run on a CPU with instructions for products of bfloat16 matrices (AMX).
    EfficientNet-Lite is smaller. It would not be faster in bfloat16, since most of its time goes to
    depthwise convolutions. On any CPU, the environment variable `DWC_PRECISION` ("float32" or
    "bfloat16") overrides this choice.

    Raises:
        QueryError: The environment variable has another value.
    """
    precision = os.environ.get("DWC_PRECISION", "")
    if precision not in ("", "float32", "bfloat16"):
        raise QueryError(
            f"DWC_PRECISION is {precision!r}; set it to float32 or bfloat16, or do not set it, so "
            "that the program chooses"
        )
    if next(model.parameters()).device.type != "cpu":
        return False
    if precision:
        return precision == "bfloat16"
    networks: list[nn.Module] = []
    if model.clip is not None:
        networks.append(model.clip.vision_model)
    if model.cnn_stream is not None:
        networks.append(model.cnn_stream.resnet)
    size = sum(parameter.numel() for part in networks for parameter in part.parameters())
    # Older versions of torch do not tell the capabilities.
    capabilities: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    return size >= _LEAST_PARAMETERS and bool(capabilities().get("amx_bf16"))


class ModelInputs(NamedTuple):
    """The inputs of one forward pass of a model, for N queries, as CPU tensors.

    Attributes:
        texts: the processor's output for the N texts, as tensors (N, L) by name; empty for queries
            without texts.
        image_rows: index (N,) of each query's reference image. The indices count the images of
            `known` first, and then those of `pixel_values`. None for queries without images.
        known: features of images that the model encoded before; None if there are no such images.
        pixel_values: the processor's output (M, 3, height, width) for M images that the model must
            encode; None if there are no such images.
    """

    texts: Mapping[str, Tensor]
    image_rows: Tensor | None = None
    known: ImageFeatures | None = None
    pixel_values: Tensor | None = None


class ModelOutputs(NamedTuple):
    """The outputs of one forward pass of a model, on the CPU.

    Attributes:
        composed: the N composed queries, in which image and text are mixed.
        encoded: the features of the M images that the model encoded; None if it encoded no images.
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

    On a CPU, convolutions of several images are faster if the channels are last in memory. Those
    of one image are not: in that layout, torch rearranges the weights of some layers in each call.
    Small batches are faster than large ones, whose feature maps do not fit into the cache. On other
    devices, all images are one batch.
    """
    if pixel_values.device.type != "cpu":
        return (pixel_values,)
    if len(pixel_values) == 1:
        return (pixel_values.contiguous(),)
    return _channels_last(pixel_values).split(_IMAGES_AT_ONCE)


def _channels_last(pixel_values: Tensor) -> Tensor:
    return pixel_values.contiguous(memory_format=torch.channels_last)


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
    exclusions = [_find_excluded(checkpoint, text, excluded)]
    composed = compose(inputs)
    encoder = _ExclusionEncoder(checkpoint, compose, inputs.get(_IMAGES))
    composed = _move_from_exclusions(composed, exclusions, encoder)
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
        _find_excluded(checkpoint, text, (*excluded, *read.excluded))
        for read, text in zip(typed, texts, strict=True)
    ]
    filled = [fill_template(template, [text]) for text in texts]
    inputs = dict(checkpoint.processor(images=image, text=filled))
    pixel_values = inputs.get(_IMAGES)
    if pixel_values is not None:
        inputs[_IMAGES] = pixel_values.expand(len(texts), -1, -1, -1)
    encoder = _ExclusionEncoder(checkpoint, compose, pixel_values)
    return _move_from_exclusions(compose(inputs), exclusions, encoder)


# How far a query is moved away from what it excludes; 1 counts as much as the query. Chosen on
# photographs and drawings, see `assets/docs/limits.md`.
_DISTANCES = {"color": 1.0, "pattern": 1.4, "kind": 2.2, "other_kind": 1.0, "detail": 2.0}
_TO_OTHER_DETAILS = 2.0  # weight of what tells a detail from the details that can replace it
# How far a query is moved towards what is wanted: if a color or a pattern is excluded, towards the
# rest of the text; if a detail is excluded and the text names no kind of garment, towards the kind
# of the image and the rest of the text. If the text only excludes a color or a pattern, towards the
# kind of the image; if it names a kind of garment and excludes a detail, towards its rest.
_TO_REST = 0.3
_TO_KIND, _TO_TEXT = 0.7, 0.5
_TO_IMAGE_KIND = 0.8
_TO_WANTED = 2.5
# How far a query that asks for another kind of garment than its image shows is moved away from the
# image's kind, and towards the other kind.
_FROM_SHOWN_KIND = 0.6
_TO_WISHED_KIND = 0.6

# The kinds of garments between which `_ExclusionEncoder` decides for an image.
_KINDS = (
    "dress", "skirt", "shirt", "t-shirt", "jumper", "jacket", "hoodie", "trousers", "shorts",
    "boots", "trainers", "heels", "shoes", "sandals", "bag", "hat",
)  # fmt: skip

# Excluded names that stand for several of `_KINDS`.
_SHOES = ("boots", "trainers", "heels", "sandals", "shoes")
_TOPS = ("shirt", "t-shirt", "jumper", "jacket", "hoodie")
_CONTAINED = {
    "shoes": _SHOES, "shoe": _SHOES, "sneakers": ("trainers",), "pumps": ("heels",),
    "top": _TOPS, "pants": ("trousers",), "sweater": ("jumper",), "pullover": ("jumper",),
    "tee": ("t-shirt",), "coat": ("jacket",), "handbag": ("bag",),
    "cap": ("hat",), "gown": ("dress",), "frock": ("dress",), "sweatshirt": ("hoodie",),
}  # fmt: skip

_ALSO_CALLED = {"shirt": ("t-shirt",)}  # kind -> other kinds that people call by its name

_Embeddings = Mapping[str, Tensor]  # by the stream's name; (D,), or (N, D) for N queries


class _Excluded(NamedTuple):
    """What a query excludes.

    Attributes:
        items: the excluded colors, kinds of garments and details.
        kind: the last kind of garment that the text names, such as "dress"; None if it names none,
            or excludes this kind.
        wanted: the text without the exclusions; empty if it says nothing about clothes.
        wished_kind: the kind of garment that the text asks for in a form such as "as a skirt"; None
            if it asks for none, or excludes a kind. If the reference image shows another kind, that
            kind is excluded.
    """

    items: Sequence[Exclusion] = ()
    kind: str | None = None
    wanted: str = ""
    wished_kind: str | None = None


def _find_excluded(checkpoint: Checkpoint, text: str, patterns: Sequence[str]) -> _Excluded:
    """Find what a query excludes.

    The result is empty if the setting `rephrase_exclusions` of the checkpoint's processor is off.

    Args:
        checkpoint: the checkpoint.
        text: the text as the model reads it, without the caption template; may be empty.
        patterns: names of patterns and parts of garments, such as "stripes", that the query
            excludes although the text does not mention them, because the text was rephrased.
    """
    if not checkpoint.processor.rephrase_exclusions:
        return _Excluded()
    items, rest = find_exclusions(text)
    items += [exclusion_of(name) for name in dict.fromkeys(patterns)]
    kinds = {item.name for item in items if item.type == "kind"}
    kind = find_kind(rest)
    wished_kind = None if kinds else find_wished_kind(rest)
    return _Excluded(items, None if kind in kinds else kind, wanted_words(rest), wished_kind)


class _ExclusionEncoder:
    """Encoder of exclusions: it computes the vectors to subtract from queries such as "not red".

    A text that asks for another kind of garment than the image shows excludes the image's kind.

    The vectors are in the space of the embeddings. Subtracting a vector from the embedding of a
    query moves the query away from what it excludes.

    Args:
        checkpoint: the checkpoint.
        compose: function that runs the checkpoint's model.
        image: the preprocessed reference image of all queries, (1, 3, height, width); None for
            queries without an image.
    """

    def __init__(self, checkpoint: Checkpoint, compose: Compose, image: Tensor | None) -> None:
        self._checkpoint, self._compose, self._image = checkpoint, compose, image
        self._embeddings: dict[str, _Embeddings] = {}
        self._changes: dict[str, tuple[str, str] | None] = {}  # by the wished kind

    def directions(self, excluded: _Excluded) -> _Embeddings:
        """Return the vector to subtract from the embedding of one query, for each stream.

        It is the sum of one vector for each of the n excluded items, divided by the square root of
        n.

        The vector for an item must not contain what the query asks for. For example, the embedding
        of "wide brim" is similar to that of "hat", but a query that excludes a wide brim may still
        ask for a hat. So the vector for "wide brim" is its embedding without the component along
        "hat". The component along the rest of the text is removed in the same manner.

        If the text asks for another kind of garment than the image shows, the image's kind is
        excluded, too; see `change_of_kind`.

        Args:
            excluded: what the query excludes.

        Returns:
            For each stream's name, a vector (D,); empty if the query excludes nothing.
        """
        total = dict(self._to_wished_kind(excluded))
        if not excluded.items:
            return total
        names = [item.name for item in excluded.items]
        names += [excluded.wanted] if excluded.wanted else []
        kind = excluded.kind
        are_values = all(item.type in ("color", "pattern") for item in excluded.items)
        says_no_more = excluded.wanted in ("", "in plain")  # "no stripes" is read as "in plain"
        is_of_image = kind is None and self._image is not None and (not are_values or says_no_more)
        self._load([*names, *([kind] if kind else []), *(_KINDS if is_of_image else [])])
        if is_of_image:
            kind = self._kind_of_image([i.name for i in excluded.items if i.type == "kind"])
        if kind is not None:
            contrasts = [_contrasts(item, kind) for item in excluded.items]
            self._load([text for pairs in contrasts for texts in pairs for text in texts])
        if are_values and is_of_image and kind is not None:
            for name, vector in self._embed(kind).items():
                total[name] = -_TO_IMAGE_KIND * vector
        for item in excluded.items:
            if kind is not None and item.type in ("detail", "kind"):
                direction = self._from_garment(item, kind, excluded)
            else:
                direction = self._from_name(item, excluded.wanted)
            for name, vector in direction.items():
                total[name] = total.get(name, 0) + vector / math.sqrt(len(excluded.items))
        return total

    def change_of_kind(self, excluded: _Excluded) -> tuple[str, str] | None:
        """Return the image's kind of garment and the other kind that a text asks for.

        The result is None if the query has no image, if the text asks for no kind, or if the image
        shows the kind that the text asks for.

        Args:
            excluded: what the query excludes, and the kind that it asks for.
        """
        wished = excluded.wished_kind
        if self._image is None or wished is None:
            return None
        if wished not in self._changes:
            self._load([*_KINDS, wished])
            shown = self._kind_of_image([wished])
            is_same = shown is None or shown in _ALSO_CALLED.get(wished, ())
            self._changes[wished] = None if is_same else (str(shown), wished)
        return self._changes[wished]

    def _to_wished_kind(self, excluded: _Excluded) -> _Embeddings:
        """For each stream, return the vector (D,) to subtract for a change of the kind of garment.

        Subtracting the vector moves the query away from the kind that the image shows, and toward
        the kind that the text asks for. Models do not learn such changes, since the queries of
        their training ask for another color, pattern, sleeve or length.

        Args:
            excluded: what the query excludes, and the kind that it asks for.

        Returns:
            For each stream's name, the vector; empty if the query does not change the kind.
        """
        change = self.change_of_kind(excluded)
        if change is None:
            return {}
        shown, wished = (self._embed(kind) for kind in change)
        return {
            name: _FROM_SHOWN_KIND * _orthogonal(shown[name], vector[None])
            - _TO_WISHED_KIND * vector
            for name, vector in wished.items()
        }

    def _from_name(self, item: Exclusion, wanted: str) -> _Embeddings:
        """For each stream, compute the vector (D,) to subtract for an excluded item from its name.

        This vector is used for colors and patterns, and for other items if no kind of garment is
        known.

        Args:
            item: the excluded item, such as a color.
            wanted: the text without the exclusions; may be empty.
        """
        distance = _DISTANCES["color" if item.type == "detail" else item.type]
        directions = {}
        for stream, vector in self._embed(item.name).items():
            directions[stream] = distance * vector
            if wanted:
                rest = self._embed(wanted)[stream]
                directions[stream] = distance * _orthogonal(vector, rest[None]) - _TO_REST * rest
        return directions

    def _from_garment(self, item: Exclusion, kind: str, excluded: _Excluded) -> _Embeddings:
        """For each stream, return the vector (D,) to subtract for an excluded detail or kind.

        The vector depends on the kind of garment that the query is about: to exclude a hood from a
        dress, another vector is needed than to exclude it from a coat.

        Args:
            item: the excluded item: a detail or another kind of garment.
            kind: the kind of garment that the text names or, if it names none, that the image
                shows.
            excluded: all items that the query excludes, and the text without them.
        """
        distance = _DISTANCES["detail" if item.type == "detail" else "other_kind"]
        if excluded.kind is None and excluded.wanted:
            weights = {kind: _TO_KIND, excluded.wanted: _TO_TEXT}
        else:
            is_part = item.type == "detail" and excluded.kind is not None
            weights = {excluded.wanted or kind: _TO_WANTED if is_part else 1.0}
        directions = {}
        for stream in self._embed(kind):
            wanted = torch.stack([self._embed(text)[stream] for text in weights])
            away = difference = torch.zeros_like(wanted[0])
            for name, *others in _contrasts(item, kind):
                part = self._embed(name)[stream]
                away = away + _orthogonal(part, wanted)
                if others:
                    mean = torch.stack([self._embed(text)[stream] for text in others]).mean(dim=0)
                    difference = difference + nn.functional.normalize(part - mean, dim=0)
            away = nn.functional.normalize(away, dim=0)
            away = away + _TO_OTHER_DETAILS * _orthogonal(difference, wanted)
            towards = torch.tensor(list(weights.values())) @ wanted
            directions[stream] = distance * nn.functional.normalize(away, dim=0) - towards
        return directions

    def _kind_of_image(self, excluded: Sequence[str]) -> str | None:
        """Return the kind of garment whose name is most similar to the reference image.

        Args:
            excluded: names of excluded kinds of garments.

        Returns:
            The kind, such as "dress" or "boots"; None if the most similar kind is excluded. A more
            general name excludes it, too: "shoes" excludes "boots".
        """
        kinds = list(dict.fromkeys((*_KINDS, *excluded)))
        scores = torch.zeros(len(kinds))
        for name, part in self._image_query.streams.items():
            names = torch.stack([self._embed(kind)[name] for kind in kinds])
            scores += nn.functional.normalize(names, dim=1) @ part.embedding[0]
        kind = kinds[int(scores.argmax())]
        is_excluded = any(kind in (name, *_CONTAINED.get(name, ())) for name in excluded)
        return None if is_excluded else kind

    @cached_property
    def _image_query(self) -> ComposedQuery:
        """The composed query that consists of the reference image alone, without a text."""
        assert self._image is not None
        return self._compose({_IMAGES: self._image})

    def _embed(self, text: str) -> _Embeddings:
        """Return the embedding (D,) in each stream of a query that consists of a text alone."""
        self._load([text])
        return self._embeddings[text]

    def _load(self, texts: Sequence[str]) -> None:
        """Compute the embeddings of the texts in one forward pass, except those computed before."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._embeddings]
        if not missing:
            return
        template = self._checkpoint.model.config.caption_template or {}
        filled = [fill_template(template, [text]) for text in missing]
        composed = self._compose(dict(self._checkpoint.processor(text=filled)))
        for row, text in enumerate(missing):
            self._embeddings[text] = {
                stream: part.embedding[row] for stream, part in composed.streams.items()
            }


def _contrasts(item: Exclusion, kind: str) -> list[list[str]]:
    """Return texts that name an excluded item, and texts that name what a garment can have instead.

    Args:
        item: the excluded item: a detail or a kind of garment.
        kind: the kind of garment that the query is about.

    Returns:
        Lists of texts. The first text of each list names the excluded item, such as "long sleeves".
        The other texts name the details that a garment of this kind can have instead, such as
        "sleeveless" and "short sleeves". If no such details are known, there is one other text,
        such as "without buttons". If the item is a kind of garment, there are no other texts.
    """
    if item.type != "detail":
        return [[item.name]]
    others = other_values(item.name, kind)
    return [
        [item.name, *(others or [f"without {item.name}"])],
        [
            f"{kind} with {item.name}",
            *([f"{kind} with {other}" for other in others] or [f"{kind} without {item.name}"]),
        ],
    ]


def _orthogonal(vector: Tensor, others: Tensor) -> Tensor:
    """Return the part of a vector (D,) orthogonal to N others (N, D), scaled to unit length."""
    basis = torch.linalg.qr(others.T)[0]
    return nn.functional.normalize(vector - basis @ (basis.T @ vector), dim=0)


def _move_from_exclusions(
    composed: ComposedQuery, excluded: Sequence[_Excluded], encoder: _ExclusionEncoder
) -> ComposedQuery:
    """Move the embeddings of N composed queries away from what the queries exclude.

    For example, a vector that `_ExclusionEncoder` computes for "red" is subtracted from the
    embedding of "in stripes, not red".
    Queries that exclude nothing are not changed.

    Args:
        composed: the N queries.
        excluded: what each of the N queries excludes.
        encoder: encoder of the exclusions, for the reference image of the queries.
    """
    vectors = [encoder.directions(query) for query in excluded]
    if not any(vectors):
        return composed
    directions = {name: torch.zeros_like(part.embedding) for name, part in composed.streams.items()}
    for row, by_stream in enumerate(vectors):
        for name, vector in by_stream.items():
            directions[name][row] = vector
    return composed.excluding(directions)


def concatenate(queries: Sequence[ComposedQuery]) -> ComposedQuery:
    """Return one batch of all given queries of one model, in the given order.

    A joint part is computed from image and text together, and no weight applies to it. If only some
    queries have one, the joint part of the other queries is set to zero.
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
    excluded = [item.name for item in _find_excluded(checkpoint, query.text, patterns).items]
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


MAX_ROWS = 64
"""The maximum length of a batch's first axis; a longer single item is a batch of its own."""

MAX_WAITING = 256
"""The default maximum number of items that wait; further items are refused."""

_PACE_WEIGHT = 0.2  # weight of the last batch in the moving average of the time per item
_IDLE_SECONDS = 60.0  # the thread ends after this time without items

Item = TypeVar("Item")
Result = TypeVar("Result")
_Value = TypeVar("_Value")


class _Ticket:
    """An item in a `BatchQueue`, and its result or error after it was run.

    Attributes:
        key: the item's key; items with equal keys may share a batch.
        item: the input of `run`, for example the queries of one caller.
        rows: the number of entries that the item adds to the first axis of a batch.
        run: function that computes the results of a batch of items with this key.
        context: the context variables of the thread that submitted the item.
        done: event that is triggered when `result` or `error` has been assigned.
        result: the result.
        error: the error; None if there was none.
    """

    def __init__(
        self, key: Hashable, item: Any, rows: int, run: Callable[[Sequence[Any]], Sequence[Any]]
    ) -> None:
        self.key, self.item, self.rows, self.run = key, item, rows, run
        self.context = contextvars.copy_context()
        self.done = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None


class BatchQueue:
    """Queue that runs items in batches, one batch at a time, in a thread of its own.

    The next batch always contains the oldest waiting item, so an item waits for at most as many
    batches as there were items before it. Other waiting items with the same key join this batch, as
    long as its first axis has at most `MAX_ROWS` entries. The queue does not wait until a batch is
    full.

    If a batch fails, its items are run one by one. Then only the callers whose items cause an error
    get an error.

    The thread is started when it is needed, and ends when the queue has been empty for a minute.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        """Create an empty queue.

        Args:
            max_waiting: maximum number of waiting items, 1 or more. Items that are being run do not
                count.
        """
        self._max_waiting = max_waiting
        self._waiting: deque[_Ticket] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._item_seconds = 0.0  # moving average; 0 before the second batch
        self._has_run = False
        self._batch_end = -math.inf

    def __len__(self) -> int:
        """Return the number of waiting items."""
        return len(self._waiting)

    @property
    def item_seconds(self) -> float:
        """The average time per item of the last batches, in seconds; 0 before the second batch.

        The time of a batch is measured from the end of the batch before it, or from its own start
        if the queue was empty. It includes the time that other programs use the processors. The
        first batch does not count. It takes many times as long, since the model's code and weights
        are read for the first time.
        """
        return self._item_seconds

    def submit(
        self,
        key: Hashable,
        item: Item,
        rows: int,
        run: Callable[[Sequence[Item]], Sequence[Result]],
    ) -> Result:
        """Add an item to the queue, wait until it has been processed, and return its result.

        Args:
            key: the item's key. Items with equal keys may share a batch; they need the same `run`.
            item: the item, the input of `run`.
            rows: the number of entries that the item adds to the first axis of a batch.
            run: function that returns the results of a batch of items, in order. It is called with
                the context variables of the batch's oldest item.

        Raises:
            BusyError: too many items are waiting.
            Exception: the error that `run` raised for this item. If a batch fails, its items are
                run one by one, so that an item's error does not reach the others.
        """
        ticket = _Ticket(key, item, rows, run)
        with self._changed:
            if threading.current_thread() is self._thread:
                raise RuntimeError("a batch submits an item to the queue that runs it.")
            if len(self._waiting) >= self._max_waiting:
                seconds = max(1, math.ceil(len(self._waiting) * self._item_seconds))
                raise BusyError(
                    f"the server is busy: {len(self._waiting)} searches are waiting. Search again "
                    f"in about {seconds} s."
                )
            self._waiting.append(ticket)
            # After a fork, the thread object of the parent process is not alive in the child.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="batch-queue", daemon=True)
                self._thread.start()
            self._changed.notify()
        ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    def _work(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Wait for an item and run the next batch; return whether a batch was run.

        If no item arrives within a minute, the result is False, and the thread must end.

        This is a separate method, so that the local variables of a waiting thread keep no item and
        no model in memory.
        """
        with self._changed:
            if not self._waiting and not self._changed.wait_for(
                lambda: bool(self._waiting), _IDLE_SECONDS
            ):
                self._thread = None
                return False
            start = time.monotonic()
            batch = self._take_batch()
        _run_batch(batch)
        end = time.monotonic()
        if self._has_run:
            seconds = (end - max(start, self._batch_end)) / len(batch)
            weight = _PACE_WEIGHT if self._item_seconds else 1.0
            self._item_seconds += weight * (seconds - self._item_seconds)
        self._has_run = True
        self._batch_end = end
        return True

    def _take_batch(self) -> list[_Ticket]:
        """Remove the oldest item and all items that fit into its batch, and return them."""
        oldest = self._waiting.popleft()
        batch, rows = [oldest], oldest.rows
        rest: deque[_Ticket] = deque()
        for ticket in self._waiting:
            if ticket.key == oldest.key and rows + ticket.rows <= MAX_ROWS:
                batch.append(ticket)
                rows += ticket.rows
            else:
                rest.append(ticket)
        self._waiting = rest
        return batch


def _run_batch(batch: Sequence[_Ticket]) -> None:
    """Run a batch and store the result of each item; if it fails, run the items one by one."""
    oldest = batch[0]
    try:
        results = oldest.context.run(oldest.run, [ticket.item for ticket in batch])
        for ticket, result in zip(batch, results, strict=True):
            ticket.result = result
    except Exception as error:
        if len(batch) > 1:
            for ticket in batch:
                _run_batch([ticket])
            return
        oldest.error = error
    for ticket in batch:
        ticket.done.set()


IMAGE_CACHE_BYTES = 24 * 1024 * 1024
"""Memory for the features of recent reference images, per model: five hundred or more images."""

QUERY_CACHE_BYTES = 8 * 1024 * 1024
"""Memory for recent composed queries, per model: eight hundred or more queries."""

_TENSOR_BYTES = 450  # what a tensor takes besides its numbers, measured with 24,000 small tensors

MODEL_QUEUE = BatchQueue()
"""The queue of all models of this process.

Models take turns: two at once on the same processors would both take longer.
"""

# Held while torch uses another number of threads in new threads.
_THREADS_LOCK = threading.Lock()

# On a CPU, a batch with fewer queries runs in one thread. If other threads also compute, this is
# faster (38 ms instead of 78 ms per query on two cores): the threads of OpenMP would sleep between
# operations instead of spinning, and waking them takes longer than an operation on a few images.
_MIN_PARALLEL_ROWS = 8

_IMAGES = "pixel_values"
# The tensors of a text: ids, and a mask of the ids that are not padding.
_TEXT_FORMS = (("clip_input_ids", "clip_attention_mask"), ("word_ids", "word_mask"))

_RowKey = tuple[Hashable, ...]


class _Work(NamedTuple):
    """The inputs of N different queries that one caller wants to run together.

    Attributes:
        keys: one key for each query; queries with equal inputs have equal keys. The first entry of
            a key is the key of the query's image, or None for a query without an image.
        pixels: the preprocessed image (3, height, width) of each query; empty for queries without
            images.
        texts: the processor's output for the N texts, as tensors (N, L) by name.
    """

    keys: Sequence[_RowKey]
    pixels: Sequence[Tensor]
    texts: Mapping[str, Tensor]


class QueryComposer:
    """Callable that composes queries with one model; see `dwc.search.query.Compose`.

    Queries of several threads that wait at the same moment run in one forward pass. The result for
    a query does not depend on the other queries of the pass, except for rounding of about 1e-7.

    Recent composed queries and the features of recent images are cached. A query that is still in
    the cache does not run the model again, and an image that is still in the cache is not encoded
    again. The keys of the cache contain the complete input of the model, images as hashes.

    Attributes:
        run_model: function that runs the model. It may be replaced by a function that runs the
            model on another device.
    """

    def __init__(
        self,
        model: DWCModel,
        queue: BatchQueue = MODEL_QUEUE,
        image_cache_bytes: int = IMAGE_CACHE_BYTES,
        query_cache_bytes: int = QUERY_CACHE_BYTES,
    ) -> None:
        self.run_model = model_runner(model)
        self._queue = queue
        self._images = _Cache[ImageFeatures](image_cache_bytes)
        self._queries = _Cache[ComposedQuery](query_cache_bytes)

    def __call__(self, inputs: Mapping[str, Tensor]) -> ComposedQuery:
        """Compose N queries, given the processor's output for them as CPU tensors by name.

        Raises:
            BusyError: too many queries are waiting.
            QueryError: a query is invalid for this model.
        """
        keys = _row_keys(inputs)
        if not keys:
            return self.run_model(ModelInputs(inputs)).composed  # raises an error with the reason
        known = {key: query for key in keys if (query := self._queries.get(key)) is not None}
        missing = list(dict.fromkeys(key for key in keys if key not in known))
        if missing:
            work = _select(inputs, keys, missing)
            # Queries with and without image, or with and without text, cannot share a forward pass.
            key = (self, bool(work.pixels), tuple(sorted(work.texts)))
            composed = self._queue.submit(key, work, len(missing), self._run)
            if missing == keys:
                return composed
            for row, row_key in enumerate(missing):
                known[row_key] = composed.rows(torch.tensor([row]))
        return concatenate([known[key] for key in keys])

    def image_features(self, pixel_values: Tensor) -> ImageFeatures:
        """Return the model's features of one image, from the cache if they are in it.

        Args:
            pixel_values: the processor's output for the image, (1, 3, height, width).
        """
        (key,) = _row_keys({_IMAGES: pixel_values})
        features = self._images.get(key[0])
        if features is None:
            work = _Work([key], [pixel_values[0]], {})
            features = self._queue.submit((self, "features"), work, 1, self._run_features)
        return features

    def _run(self, works: Sequence[_Work]) -> list[ComposedQuery]:
        """Compose the queries of several callers in one pass; return one batch for each caller."""
        composed = self._forward(works).composed
        rows = _number_rows(works)
        for key, row in rows.items():
            query = composed.rows(torch.tensor([row]))
            self._queries.put(key, query, _size_bytes(query))
        return [composed.rows(torch.tensor([rows[key] for key in work.keys])) for work in works]

    def _run_features(self, works: Sequence[_Work]) -> list[ImageFeatures]:
        """Return the features of one image for each of several callers."""
        features = self._forward(works).images
        return [features[work.keys[0][0]] for work in works]

    def _forward(self, works: Sequence[_Work]) -> "_Forward":
        """Run the model once for the queries of several callers; equal queries run only once."""
        rows = _number_rows(works)
        pixels = {
            key[0]: tensor
            for work in works
            if work.pixels
            for key, tensor in zip(work.keys, work.pixels, strict=True)
        }
        cached = {key: self._images.get(key) for key in pixels}
        known = {key: features for key, features in cached.items() if features is not None}
        new = [key for key in pixels if key not in known]
        index = {key: number for number, key in enumerate((*known, *new))}
        set_torch_threads(1 if len(rows) < _MIN_PARALLEL_ROWS else None)
        composed, encoded = self.run_model(
            ModelInputs(
                _join_texts(works, rows),
                torch.tensor([index[key[0]] for key in rows]) if pixels else None,
                ImageFeatures.concatenate(list(known.values())) if known else None,
                torch.stack([pixels[key] for key in new]) if new else None,
            )
        )
        for row, key in enumerate(new):
            assert encoded is not None
            known[key] = encoded.rows(torch.tensor([row]))
            self._images.put(key, known[key], known[key].size_bytes)
        return _Forward(composed, known)


def set_torch_threads(count: int | None) -> None:
    """Set how many threads torch uses for the operations of the calling thread.

    `torch.set_num_threads` also sets the number for all threads that start later. This function
    restores that number in a temporary thread, so that only the calling thread is affected.

    Args:
        count: the number of threads; None for the number that torch uses in a new thread.
    """
    if count == torch.get_num_threads():
        return
    with _THREADS_LOCK, ThreadPoolExecutor(1, "torch-threads") as new_thread:
        default = new_thread.submit(torch.get_num_threads).result()
        torch.set_num_threads(default if count is None else count)
        new_thread.submit(torch.set_num_threads, default).result()


class _Forward(NamedTuple):
    """The outputs of one forward pass.

    Attributes:
        composed: the composed queries, one for each different key, in the order in which the keys
            first occur.
        images: the features of the queries' images, by the image's key.
    """

    composed: ComposedQuery
    images: Mapping[Hashable, ImageFeatures]


class _Cache(Generic[_Value]):
    """A thread-safe cache with a maximum total size; drops the least recently used values first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._values: OrderedDict[Hashable, tuple[_Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> _Value | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: _Value, size_bytes: int) -> None:
        with self._lock:
            if key in self._values:
                self._bytes -= self._values.pop(key)[1]
            self._values[key] = value, size_bytes
            self._bytes += size_bytes
            while self._bytes > self._max_bytes and self._values:
                self._bytes -= self._values.popitem(last=False)[1][1]


def _row_keys(inputs: Mapping[str, Tensor]) -> list[_RowKey]:
    """Return a key for each of N queries; queries with equal inputs have equal keys.

    The first entry of a key is the key of the query's image; it is None if there are no images.
    """
    count = len(next(iter(inputs.values()), ()))
    columns: list[Sequence[Hashable]] = [_image_keys(inputs.get(_IMAGES), count)]
    for ids_name, mask_name in _TEXT_FORMS:
        ids, mask = inputs.get(ids_name), inputs.get(mask_name)
        if ids is None:
            columns.append([None] * count)
        elif mask is None:
            columns.append([tuple(row) for row in ids.tolist()])
        else:
            pairs = zip(ids, mask.bool(), strict=True)
            columns.append([tuple(row[is_token].tolist()) for row, is_token in pairs])
    return list(zip(*columns, strict=True))


def _image_keys(pixel_values: Tensor | None, count: int) -> list[Hashable]:
    if pixel_values is None:
        return [None] * count
    # If all texts share one image, the tensor is a view that repeats one row. It is hashed once.
    is_repeated = count > 1 and pixel_values.stride(0) == 0
    keys: list[Hashable] = []
    for row in pixel_values[:1] if is_repeated else pixel_values:
        digest = hashlib.blake2b(row.contiguous().numpy(), digest_size=16).digest()
        keys.append((digest, tuple(row.shape)))
    return keys * count if is_repeated else keys


def _select(
    inputs: Mapping[str, Tensor], keys: Sequence[_RowKey], wanted: Sequence[_RowKey]
) -> _Work:
    """Return some of N queries, selected by their keys.

    Args:
        inputs: the processor's output for the N queries.
        keys: the keys of the N queries.
        wanted: the keys of the queries to return, without repetition.
    """
    rows = [keys.index(key) for key in wanted]
    texts = {name: tensor[rows] for name, tensor in inputs.items() if name != _IMAGES}
    pixel_values = inputs.get(_IMAGES)
    pixels = [] if pixel_values is None else [pixel_values[row] for row in rows]
    return _Work(wanted, pixels, texts)


def _number_rows(works: Sequence[_Work]) -> dict[_RowKey, int]:
    """Return an index, from 0, for each different query of several callers, by the query's key."""
    keys = dict.fromkeys(key for work in works for key in work.keys)
    return {key: row for row, key in enumerate(keys)}


def _join_texts(works: Sequence[_Work], rows: Mapping[_RowKey, int]) -> dict[str, Tensor]:
    """Return the texts of all different queries as one batch, padded to the longest text.

    Args:
        works: the queries of the callers. The tensors of their texts have the same names.
        rows: the index of each different query in the joined tensors, by the query's key.
    """
    joined = {}
    for name in works[0].texts:
        tensors = [work.texts[name] for work in works]
        longest = max(tensor.shape[1] for tensor in tensors)
        batch = tensors[0].new_zeros(len(rows), longest)
        for work, tensor in zip(works, tensors, strict=True):
            batch[[rows[key] for key in work.keys], : tensor.shape[1]] = tensor
        joined[name] = batch
    return joined


def _size_bytes(query: ComposedQuery) -> int:
    """Return the memory that composed queries take, in bytes."""
    size = 0
    for stream in query.streams.values():
        tensors = (stream.embedding, stream.image_part, stream.text_part, stream.image_weight)
        size += sum(tensor.nbytes + _TENSOR_BYTES for tensor in tensors)
        size += 0 if stream.joint_part is None else stream.joint_part.nbytes + _TENSOR_BYTES
    return size
