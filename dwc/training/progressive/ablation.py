"""What a learned weight is worth: the same queries with other weights, up to the perfect one.

A query's parts and the gallery stay; only the weight that mixes them changes. Scores split into the
parts' (see `Composition.split_scores`), so that a weight costs no pass through the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dwc.datasets.triplets import Benchmark
from dwc.evaluation.metrics import recalls
from dwc.evaluation.retrieval import OpenImage, batched, embed_gallery
from dwc.modeling.composition import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template

GRID = tuple(step / 20 for step in range(21))  # the weights that fixed and perfect ones are among
_NEVER = torch.iinfo(torch.int64).max  # the rank of what is not there to be found, beyond every K


@dataclass(frozen=True)
class AblationQueries:
    """Queries of one stream with a gallery, and what counts as found.

    `queries` N compositions; `gallery` (M, D) unit length; `hits` (N, M) bool; `left_out` (N, M)
    bool, what a query may not find (its reference), never a hit.
    """

    queries: Composition
    gallery: Tensor
    hits: Tensor
    left_out: Tensor


def ranks_at(asked: AblationQueries, image_weight: Tensor | float) -> Tensor:
    """The rank (N,) of each query's first hit, from 1, with these weights (N, 1), or one for all.

    A hit that ties with a miss is ranked after it; without any hit the rank is beyond every K.
    """
    queries = asked.queries
    weight = torch.as_tensor(image_weight, dtype=queries.image_weight.dtype)
    weight = weight.expand_as(queries.image_weight)
    mixed = Composition.mix(queries.image_part, queries.text_part, weight, queries.joint_part)
    scores = (mixed.embedding @ asked.gallery.T).masked_fill(asked.left_out, -torch.inf)  # (N, M)
    best = scores.masked_fill(~asked.hits, -torch.inf).amax(dim=-1, keepdim=True)  # (N, 1)
    better = ((scores >= best) & ~asked.hits & ~asked.left_out).sum(dim=-1)
    return torch.where(asked.hits.any(dim=-1), better + 1, _NEVER)


def best_fixed_weight(asked: AblationQueries) -> float:
    """The weight of `GRID` that, the same for all queries, finds most of them first.

    Of equals the one with the smaller mean rank. Choose it on other queries than those reported.
    """

    def merit(weight: float) -> tuple[float, float]:
        ranks = ranks_at(asked, weight).clamp_max(len(asked.gallery) + 1).double()
        return float((ranks == 1).double().mean()), -float(ranks.mean())

    return max(GRID, key=merit)


def oracle_weights(asked: AblationQueries) -> Tensor:
    """The weight (N, 1) of `GRID` that ranks each query's own target best: no weight can do more.

    Of equals the middle one, since a weight between two that find the target finds it as a rule.
    """
    ranks = torch.stack([ranks_at(asked, weight) for weight in GRID], dim=-1)  # (N, grid)
    is_best = ranks == ranks.amin(dim=-1, keepdim=True)
    order = is_best.cumsum(dim=-1)  # 1 for the first of the best, 2 for the second …
    middle = (is_best.sum(dim=-1, keepdim=True) + 1) // 2
    place = (is_best & (order == middle)).int().argmax(dim=-1)  # (N,)
    return torch.tensor(GRID, dtype=asked.queries.image_weight.dtype)[place][:, None]


def weight_ablation(
    asked: AblationQueries, chosen_on: AblationQueries, ks: Sequence[int] = (1, 10, 50)
) -> dict[str, dict[str, Any]]:
    """Recalls with the learned weight, with one modality, with fixed weights and with perfect ones.

    The best fixed weight is chosen on `chosen_on`. Returns by name the recalls as fractions, and
    `image_weight_mean`.
    """
    weights: dict[str, Tensor | float] = {
        "learned": asked.queries.image_weight,
        "image_only": 1.0,
        "text_only": 0.0,
        "half": 0.5,
        "best_fixed": best_fixed_weight(chosen_on),
        "oracle": oracle_weights(asked),
    }
    return {
        name: {
            **recalls(ranks_at(asked, weight).numpy(), ks),
            "image_weight_mean": float(torch.as_tensor(weight).mean()),
        }
        for name, weight in weights.items()
    }


@torch.inference_mode()
def encode_queries(
    model: DWCModel,
    processor: DWCProcessor,
    benchmark: Benchmark,
    open_picture: OpenImage,
    batch_size: int = 64,
) -> AblationQueries:
    """Ask a benchmark's queries of a model's CLIP stream; ValueError where it has none."""
    if model.clip_stream is None:
        raise ValueError("the ablation is of the CLIP stream's weight; this model has no such.")
    vectors = embed_gallery(model, processor, benchmark.gallery, open_picture, batch_size)
    gallery = torch.from_numpy(vectors[:, : model.clip_stream.embedding_dim])
    composed = []
    for chunk in batched(benchmark.queries, batch_size):
        inputs = processor(
            images=[open_picture(query.reference) for query in chunk],
            text=[fill_template(model.config.caption_template, query.captions) for query in chunk],
        )
        query = model.compose(**{name: value.to(model.device) for name, value in inputs.items()})
        composed.append(query.streams["clip"])
    position = {name: place for place, name in enumerate(benchmark.gallery)}
    hits = torch.zeros(len(benchmark.queries), len(gallery), dtype=torch.bool)
    left_out = torch.zeros_like(hits)
    for row, asked in enumerate(benchmark.queries):
        hits[row, [position[hit] for hit in asked.hits if hit in position]] = True
        if benchmark.reference_removed and asked.reference in position:
            left_out[row, position[asked.reference]] = True
    return AblationQueries(_joined(composed), gallery, hits & ~left_out, left_out)


def _joined(parts: list[Composition]) -> Composition:
    """One composition of all rows, in float32 on the CPU."""

    def rows(name: str) -> Tensor:
        return torch.cat([getattr(part, name).float().cpu() for part in parts])

    joint = None if parts[0].joint_part is None else rows("joint_part")
    return Composition.mix(rows("image_part"), rows("text_part"), rows("image_weight"), joint)
