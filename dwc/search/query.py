"""What a loaded checkpoint does for galleries and queries, in numpy and plain data at its edges.

A question that was read and encoded, before anything is ranked.
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
from dwc.gallery.store import ModelIdentity
from dwc.modeling.composition import ComposedQuery
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import fill_template

Compose = Callable[[Mapping[str, Tensor]], ComposedQuery]
"""One pass of a model over what its processor made of queries; both on the CPU."""


class QueryEncoding(NamedTuple):
    """The model's output for one query.

    Attributes:
        composed: the composed query, N is 1.
        model_text: the text after the caption template.
        ood_score: distance of the reference image from the training images, 1 or more for the
            outermost 1 %; None without an image, or where the checkpoint has no statistics.
    """

    composed: ComposedQuery
    model_text: str
    ood_score: float | None


def model_identity(checkpoint: Checkpoint) -> ModelIdentity:
    """What a store has to know of the model that makes its vectors."""
    config = checkpoint.model.config
    streams = {}
    if config.clip_config is not None:
        streams["clip"] = config.clip_embedding_dim
    if config.cnn_config is not None:
        streams["cnn"] = config.cnn_embedding_dim
    # A folder is found again from anywhere; the bundled checkpoints' names and the Hub's are not
    # paths, whatever lies in the folder one happens to be in.
    is_folder = checkpoint.name not in ALL_BUNDLED and checkpoint.revision is None
    return ModelIdentity(
        fingerprint=checkpoint.fingerprint,
        name=str(Path(checkpoint.name).absolute()) if is_folder else checkpoint.name,
        revision=checkpoint.revision,
        streams=streams,
        preprocessing=checkpoint.processor.image_processor.to_dict(),
    )


def image_embedder(checkpoint: Checkpoint) -> Embed:
    """The function that turns gallery pictures into the vectors (n, D) of a store."""
    device = next(checkpoint.model.parameters()).device

    def embed(images: Sequence[Image.Image]) -> NDArray[np.float32]:
        with torch.inference_mode():
            pixel_values = checkpoint.processor(images=list(images))["pixel_values"].to(device)
            return checkpoint.model.embed_images(pixel_values).float().cpu().numpy()

    return embed


def model_composer(model: DWCModel) -> Compose:
    """A model's own pass, wherever it is by then."""

    @torch.inference_mode()
    def compose(inputs: Mapping[str, Tensor]) -> ComposedQuery:
        device = next(model.parameters()).device
        there = {name: tensor.to(device) for name, tensor in inputs.items()}
        return model.compose(**there).to("cpu")

    return compose


def encode_query(
    checkpoint: Checkpoint, image: Image.Image | None, text: str, compose: Compose
) -> QueryEncoding:
    """Compose one query; `text` is as typed, and empty for none.

    `compose` is the pass of the checkpoint's model: `composer` makes one.

    Raises `QueryError` for neither picture nor words, or more words than the model reads.
    """
    read = fill_template(checkpoint.model.config.caption_template or {}, [text])
    inputs = checkpoint.processor(images=image, text=read or None)
    composed = compose(inputs)
    unfamiliar = None if composed.ood_score is None else float(composed.ood_score[0])
    return QueryEncoding(composed, read, unfamiliar)


def compose_texts(
    checkpoint: Checkpoint,
    image: Image.Image | None,
    texts: Sequence[str],
    compose: Compose,
) -> ComposedQuery:
    """Compose one picture, or none, with each of N texts, in one pass of the model.

    Row by row this is what `encode_query` makes of each alone, but for rounding.

    Raises `QueryError` for no text, a blank one, or one with more words than the model reads.
    """
    if not texts or not all(text.strip() for text in texts):
        raise QueryError(f"of {len(texts)} wordings none may be blank, and one is needed at least.")
    template = checkpoint.model.config.caption_template or {}
    filled = [fill_template(template, [text]) for text in texts]
    inputs = dict(checkpoint.processor(images=image, text=filled))
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].expand(len(texts), -1, -1, -1)
    return compose(inputs)


@dataclass(frozen=True, eq=False)
class EncodedQuery:
    """One question as one `Searcher` read it; its caller keeps it, and may explain it many ways.

    `image` is the decoded reference, upright RGB; `text` what was typed, stripped; at least one of
    them is there. `excluded` are the positions, in that searcher's store, which must not be found.
    `reference_id` is the gallery's own picture, where the reference is one. `encode_ms` is how long
    reading and encoding took.
    """

    image: Image.Image | None
    text: str
    encoding: QueryEncoding
    excluded: tuple[int, ...] = ()
    reference_id: str | None = None
    notes: tuple[str, ...] = ()
    encode_ms: float = 0.0
