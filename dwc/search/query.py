"""A query before it is ranked: checked, loaded and encoded by the model."""

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
from dwc.modeling.composition import ComposedQuery, Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import fill_template
from dwc.modeling.text_cleaning import TypedText

Compose = Callable[[Mapping[str, Tensor]], ComposedQuery]
"""Runs a model on what its processor returned for N queries; inputs and output are on the CPU."""


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


@dataclass(frozen=True, eq=False)
class EncodedQuery:
    """One query as a `Searcher` encoded it, for its answer and its explanations.

    Attributes:
        image: the decoded reference, upright RGB.
        text: what the model reads of the typed text: clean, and shortened to its limit; image and
            text are not both missing.
        encoding: the model's output.
        excluded: positions in that searcher's store that must not be among the results.
        reference_id: the id of the reference where it is an image of the gallery.
        notes: sentences for the person who searched.
        encode_ms: how long loading and encoding took.
        exclude_reference: whether the reference and its copies are left out of the results.
        typed: the typed text, and what of it was not read.
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


def model_identity(checkpoint: Checkpoint) -> ModelIdentity:
    """What a store records of the model that makes its vectors."""
    config = checkpoint.model.config
    streams = {}
    if config.clip_config is not None:
        streams["clip"] = config.clip_embedding_dim
    if config.cnn_config is not None:
        streams["cnn"] = config.cnn_embedding_dim
    # A folder's path is absolute, to be valid from any working directory. The names of bundled
    # checkpoints and of the Hub are no paths, even where a folder of that name exists.
    is_folder = checkpoint.name not in ALL_BUNDLED and checkpoint.revision is None
    return ModelIdentity(
        fingerprint=checkpoint.fingerprint,
        name=str(Path(checkpoint.name).absolute()) if is_folder else checkpoint.name,
        revision=checkpoint.revision,
        streams=streams,
        preprocessing=checkpoint.processor.image_processor.to_dict(),
    )


def image_embedder(checkpoint: Checkpoint) -> Embed:
    """Return the function that embeds gallery images as the vectors (n, D) of a store."""
    device = next(checkpoint.model.parameters()).device

    def embed(images: Sequence[Image.Image]) -> NDArray[np.float32]:
        with torch.inference_mode():
            pixel_values = checkpoint.processor(images=list(images))["pixel_values"].to(device)
            return checkpoint.model.embed_images(pixel_values).float().cpu().numpy()

    return embed


def model_composer(model: DWCModel) -> Compose:
    """Return the function that runs a model on the device where it is at the time of the call."""

    @torch.inference_mode()
    def compose(inputs: Mapping[str, Tensor]) -> ComposedQuery:
        device = next(model.parameters()).device
        moved = {name: tensor.to(device) for name, tensor in inputs.items()}
        return model.compose(**moved).to("cpu")

    return compose


def encode_query(
    checkpoint: Checkpoint, image: Image.Image | None, text: str, compose: Compose
) -> QueryEncoding:
    """Compose one query.

    Args:
        image: the reference, upright RGB, or None.
        text: as typed; empty for none.
        compose: runs the checkpoint's model, as `model_composer` makes it.

    Raises:
        QueryError: for neither image nor text, or more words than the model reads.
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
    """Compose one image, or none, with each of N texts, in one pass of the model.

    Row by row this equals `encode_query` of each text alone, up to rounding.

    Raises:
        QueryError: for no text, a blank one, or one with more words than the model reads.
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
    """Several queries of the same model as one batch."""
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
