"""Cached features of evaluation queries and their gallery of drawings.

With cached features, models that differ only in the layers after the frozen image and text encoders
("towers") can be evaluated without further forward passes of the towers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from dwc.catalogue.queries import queries
from dwc.catalogue.splits import Split, gallery
from dwc.evaluation.catalogue import CatalogueImages
from dwc.modeling.combiners import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.training.feature_cache import CachedTexts, encode_texts, tower_features

_CHUNK = 250

Streams = Mapping[str, tuple[Composition, Tensor]]
"""For each stream name: N composed queries, and embeddings (M, D) of the M gallery images."""


@dataclass(frozen=True)
class CachedEvalSet:
    """Cached features of N queries and of their gallery of M images.

    Attributes:
        rows: Features of the gallery images, one row per image, (M, F + C h w) in float16. A row
            consists of CLIP's F features and of the ResNet's flattened feature map with C channels,
            height h and width w; see `tower_features`.
        texts: Cached features of the N modification texts.
        references: Gallery indices of the reference images (N,).
        hits: Boolean matrix (N, M), True where a gallery image is a correct result of a query.
        picture_shares: The true image weights of the queries (N,), in [0, 1]: the fraction of the
            target's attributes that come from the reference image and not from the text.
    """

    rows: Tensor
    texts: CachedTexts
    references: Tensor
    hits: Tensor
    picture_shares: Tensor


@torch.inference_mode()
def cache_eval_set(
    model: DWCModel,
    processor: DWCProcessor,
    split: Split,
    gallery_size: int,
    count: int,
    open_image: Callable[[str], Image.Image] | None = None,
) -> CachedEvalSet:
    """Compute the features of a gallery and of queries from one split of the catalogue.

    The queries are the same as those of `evaluate_catalogue` with seed 0.

    Args:
        model: Model, on the CPU, whose image and text encoders compute the features.
        processor: Image preprocessor and tokenizers.
        split: Split of the catalogue: "train", "val" or "test".
        gallery_size: Number of gallery images M.
        count: Number of queries N.
        open_image: Function that takes a garment's id and returns its image; by default, images are
            drawn.

    Returns:
        The cached features, on the CPU.
    """
    items = gallery(split, gallery_size)
    eval_queries = queries(items, count, 0)
    open_image, rows = open_image or CatalogueImages(items), []
    for start in range(0, len(items), _CHUNK):
        chunk = items[start : start + _CHUNK]
        pixels = processor(images=[open_image(item.id) for item in chunk])["pixel_values"]
        rows.append(tower_features(model, pixels))
    position = {item.id: index for index, item in enumerate(items)}
    hits = torch.zeros(len(eval_queries), len(items), dtype=torch.bool)
    for row, query in enumerate(eval_queries):
        hits[row, [position[hit] for hit in query.hits]] = True
    template = model.config.caption_template
    texts = [fill_template(template, query.captions) for query in eval_queries]
    return CachedEvalSet(
        rows=torch.cat(rows).half(),
        texts=encode_texts(model, processor, texts),
        references=torch.tensor([position[query.reference] for query in eval_queries]),
        hits=hits,
        picture_shares=torch.tensor([query.picture_share for query in eval_queries]),
    )


def embed_queries(model: DWCModel, eval_set: CachedEvalSet) -> Streams:
    """Embed the queries and the gallery with a model prepared by `with_cached_features`.

    Returns:
        For each stream name, the composed queries and the embeddings of the gallery images.
    """
    rows = eval_set.rows.float()  # (M, F + C h w)
    gallery = torch.cat([model.embed_images(chunk) for chunk in rows.split(_CHUNK)])
    composed: dict[str, list[Composition]] = {}
    for chunk in torch.arange(len(eval_set.references)).split(_CHUNK):
        references = rows[eval_set.references[chunk]]
        query = model.compose(pixel_values=references, **eval_set.texts.take(chunk))
        for name, stream in query.streams.items():
            composed.setdefault(name, []).append(stream)
    streams, start = {}, 0
    for name, parts in composed.items():
        stream_queries = concatenate(parts)
        end = start + stream_queries.embedding.shape[1]
        streams[name] = (stream_queries, gallery[:, start:end])
        start = end
    return streams


def first_ranks(scores: Tensor, eval_set: CachedEvalSet) -> Tensor:
    """Return the rank (N,) of each query's best-ranked hit (correct result); the top rank is 1.

    A hit ranks behind all wrong results with the same score. The reference image of a query is
    excluded from its ranking.

    Args:
        scores: Scores (N, M) of M gallery images for each of N queries.
        eval_set: The queries.
    """
    rows = torch.arange(len(scores))
    scores = scores.clone()
    scores[rows, eval_set.references] = -torch.inf
    hits = eval_set.hits.clone()
    hits[rows, eval_set.references] = False
    best = scores.masked_fill(~hits, -torch.inf).amax(dim=1, keepdim=True)  # (N, 1)
    is_miss = ~hits
    is_miss[rows, eval_set.references] = False
    return ((scores >= best) & is_miss).sum(dim=1) + 1


def concatenate(parts: list[Composition]) -> Composition:
    """Concatenate batches of composed queries into one `Composition`."""
    joints = [part.joint_part for part in parts if part.joint_part is not None]
    return Composition(
        embedding=torch.cat([part.embedding for part in parts]),
        image_part=torch.cat([part.image_part for part in parts]),
        text_part=torch.cat([part.text_part for part in parts]),
        image_weight=torch.cat([part.image_weight for part in parts]),
        joint_part=torch.cat(joints) if joints else None,
    )
