"""CachedEvalSet to a drawn gallery as frozen towers made them, asked of any head in an instant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from dwc.catalogue.queries import queries
from dwc.catalogue.splits import Split, gallery
from dwc.evaluation.catalogue import CatalogueImages
from dwc.modeling.composition import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.training.feature_cache import CachedTexts, encode_texts, tower_features

_CHUNK = 250

Streams = Mapping[str, tuple[Composition, Tensor]]


@dataclass(frozen=True)
class CachedEvalSet:
    """A gallery of M pictures, and N questions to it.

    `rows` (M, F + C h w) as in `KeptPictures`; `references` (N,) index them; `hits` (N, M) bool;
    `picture_shares` (N,) as in `RetrievalQuery`.
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
    pictures: Callable[[str], Image.Image] | None = None,
) -> CachedEvalSet:
    """The `count` questions of a split that `evaluate_catalogue` asks, with its seed 0.

    `pictures` opens an item's picture by id, by default drawn here.
    """
    items = gallery(split, gallery_size)
    asked = queries(items, count, 0)
    pictures, rows = pictures or CatalogueImages(items), []
    for start in range(0, len(items), _CHUNK):
        chunk = items[start : start + _CHUNK]
        pixels = processor(images=[pictures(item.id) for item in chunk])["pixel_values"]
        rows.append(tower_features(model, pixels))
    position = {item.id: place for place, item in enumerate(items)}
    hits = torch.zeros(len(asked), len(items), dtype=torch.bool)
    for row, query in enumerate(asked):
        hits[row, [position[hit] for hit in query.hits]] = True
    template = model.config.caption_template
    texts = [fill_template(template, query.captions) for query in asked]
    return CachedEvalSet(
        rows=torch.cat(rows).half(),
        texts=encode_texts(model, processor, texts),
        references=torch.tensor([position[query.reference] for query in asked]),
        hits=hits,
        picture_shares=torch.tensor([query.picture_share for query in asked]),
    )


def embed_queries(model: DWCModel, asked: CachedEvalSet) -> Streams:
    """Each stream's queries (N) and gallery (M, D), of a model that stands on what is kept."""
    rows = asked.rows.float()  # (M, F + C h w)
    gallery = torch.cat([model.embed_images(chunk) for chunk in rows.split(_CHUNK)])
    composed: dict[str, list[Composition]] = {}
    for chosen in torch.arange(len(asked.references)).split(_CHUNK):
        pictures = rows[asked.references[chosen]]
        query = model.compose(pixel_values=pictures, **asked.texts.take(chosen))
        for name, stream in query.streams.items():
            composed.setdefault(name, []).append(stream)
    found, start = {}, 0
    for name, parts in composed.items():
        query_of = _join(parts)
        end = start + query_of.embedding.shape[1]
        found[name] = (query_of, gallery[:, start:end])
        start = end
    return found


def first_ranks(scores: Tensor, asked: CachedEvalSet) -> Tensor:
    """The rank (N,) of each question's first hit, from 1; ties with misses go to the misses.

    `scores` (N, M); the reference is left out.
    """
    rows = torch.arange(len(scores))
    scores = scores.clone()
    scores[rows, asked.references] = -torch.inf
    hits = asked.hits.clone()
    hits[rows, asked.references] = False
    best = scores.masked_fill(~hits, -torch.inf).amax(dim=1, keepdim=True)  # (N, 1)
    is_miss = ~hits
    is_miss[rows, asked.references] = False
    return ((scores >= best) & is_miss).sum(dim=1) + 1


def _join(parts: list[Composition]) -> Composition:
    """Compositions of some queries each, as one of all."""
    joints = [part.joint_part for part in parts if part.joint_part is not None]
    return Composition(
        embedding=torch.cat([part.embedding for part in parts]),
        image_part=torch.cat([part.image_part for part in parts]),
        text_part=torch.cat([part.text_part for part in parts]),
        image_weight=torch.cat([part.image_weight for part in parts]),
        joint_part=torch.cat(joints) if joints else None,
    )
