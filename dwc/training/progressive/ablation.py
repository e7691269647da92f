"""Ablation of the learned image weight: the same queries with fixed and with oracle weights.

The image weight determines in which proportion a query's image part and text part are combined. The
parts and the gallery do not depend on the weight, so queries can be evaluated with other weights
without a further forward pass. The oracle weight of a query is the weight that gives its target the
best rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dwc.datasets.triplets import Benchmark
from dwc.evaluation.metrics import recalls
from dwc.evaluation.retrieval import OpenImage, batched, embed_gallery
from dwc.modeling.combiners import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template

GRID = tuple(step / 20 for step in range(21))  # candidate image weights, fixed and oracle
_NO_HIT = torch.iinfo(torch.int64).max  # rank for a query without hits, larger than any K


@dataclass(frozen=True)
class AblationQueries:
    """One stream's embeddings of N queries and M gallery images, with the queries' correct results.

    Attributes:
        queries: N composed queries with their image and text parts.
        gallery: Unit-length embeddings of the gallery images, of size D, (M, D).
        hits: Boolean matrix (N, M), True where a gallery image is a correct result of a query.
        left_out: Boolean matrix (N, M), True where a gallery image is excluded from a query's
            ranking, such as the query's reference image. An excluded image is never a hit.
    """

    queries: Composition
    gallery: Tensor
    hits: Tensor
    left_out: Tensor


def ranks_at(eval_set: AblationQueries, image_weight: Tensor | float) -> Tensor:
    """Return the rank (N,) of each query's best-ranked hit (correct result), given image weights.

    The top rank is 1. A hit ranks behind other images with the same score. For a query without hits
    the rank is the largest integer, so that the query counts as a miss for any K.

    Args:
        eval_set: The N queries.
        image_weight: Image weights (N, 1), or one weight for all queries, in [0, 1].
    """
    queries = eval_set.queries
    weight = torch.as_tensor(image_weight, dtype=queries.image_weight.dtype)
    weight = weight.expand_as(queries.image_weight)
    mixed = Composition.mix(queries.image_part, queries.text_part, weight, queries.joint_part)
    scores = (mixed.embedding @ eval_set.gallery.T).masked_fill(
        eval_set.left_out, -torch.inf
    )  # (N, M)
    best = scores.masked_fill(~eval_set.hits, -torch.inf).amax(dim=-1, keepdim=True)  # (N, 1)
    better = ((scores >= best) & ~eval_set.hits & ~eval_set.left_out).sum(dim=-1)
    return torch.where(eval_set.hits.any(dim=-1), better + 1, _NO_HIT)


def best_fixed_weight(eval_set: AblationQueries) -> float:
    """Return the weight in `GRID` that gives the best recall at 1 (R@1) if all queries use it.

    If several weights give the same R@1, the one with the best mean rank is returned. For a fair
    comparison, the queries should not be those of the evaluation.
    """

    def quality(weight: float) -> tuple[float, float]:
        ranks = ranks_at(eval_set, weight).clamp_max(len(eval_set.gallery) + 1).double()
        return float((ranks == 1).double().mean()), -float(ranks.mean())

    return max(GRID, key=quality)


def oracle_weights(eval_set: AblationQueries) -> Tensor:
    """Return for each query the weight in `GRID` that gives its target the best rank, (N, 1).

    These weights depend on the targets, so their recall is an upper bound. If several weights give
    the best rank, the middle one is returned.
    """
    ranks = torch.stack([ranks_at(eval_set, weight) for weight in GRID], dim=-1)  # (N, grid)
    is_best = ranks == ranks.amin(dim=-1, keepdim=True)
    order = is_best.cumsum(dim=-1)  # 1 for the first of the best weights, 2 for the second …
    middle = (is_best.sum(dim=-1, keepdim=True) + 1) // 2
    index = (is_best & (order == middle)).int().argmax(dim=-1)  # (N,)
    return torch.tensor(GRID, dtype=eval_set.queries.image_weight.dtype)[index][:, None]


def weight_ablation(
    eval_set: AblationQueries, chosen_on: AblationQueries, ks: Sequence[int] = (1, 10, 50)
) -> dict[str, dict[str, Any]]:
    """Evaluate the same queries with learned, fixed and oracle image weights.

    Args:
        eval_set: The queries to evaluate.
        chosen_on: The queries on which the best fixed weight is selected.
        ks: Values of K for the recalls at K.

    Returns:
        Kind of weight -> its `recall@K` (0 to 1) for each K and its `image_weight_mean`. The kinds
        are "learned", "image_only" (1 for every query), "text_only" (0), "half" (0.5), "best_fixed"
        (see `best_fixed_weight`) and "oracle" (see `oracle_weights`).
    """
    weights: dict[str, Tensor | float] = {
        "learned": eval_set.queries.image_weight,
        "image_only": 1.0,
        "text_only": 0.0,
        "half": 0.5,
        "best_fixed": best_fixed_weight(chosen_on),
        "oracle": oracle_weights(eval_set),
    }
    return {
        name: {
            **recalls(ranks_at(eval_set, weight).numpy(), ks),
            "image_weight_mean": float(torch.as_tensor(weight).mean()),
        }
        for name, weight in weights.items()
    }


@torch.inference_mode()
def encode_queries(
    model: DWCModel,
    processor: DWCProcessor,
    benchmark: Benchmark,
    open_image: OpenImage,
    batch_size: int = 64,
) -> AblationQueries:
    """Encode a benchmark's queries and gallery with a model's CLIP stream.

    Args:
        model: Model with a CLIP stream.
        processor: Image preprocessor and tokenizer.
        benchmark: Benchmark with gallery, queries and their correct results.
        open_image: Function that takes the name of an image and returns the image.
        batch_size: Number of images or queries per forward pass.

    Raises:
        ValueError: the model has no CLIP stream.
    """
    if model.clip_stream is None:
        raise ValueError("the ablation needs a CLIP stream; this model has none")
    vectors = embed_gallery(model, processor, benchmark.gallery, open_image, batch_size)
    gallery = torch.from_numpy(vectors[:, : model.clip_stream.embedding_dim])
    composed = []
    for chunk in batched(benchmark.queries, batch_size):
        inputs = processor(
            images=[open_image(query.reference) for query in chunk],
            text=[fill_template(model.config.caption_template, query.captions) for query in chunk],
        )
        query = model.compose(**{name: value.to(model.device) for name, value in inputs.items()})
        composed.append(query.streams["clip"])
    position = {name: index for index, name in enumerate(benchmark.gallery)}
    hits = torch.zeros(len(benchmark.queries), len(gallery), dtype=torch.bool)
    left_out = torch.zeros_like(hits)
    for row, eval_query in enumerate(benchmark.queries):
        hits[row, [position[hit] for hit in eval_query.hits if hit in position]] = True
        if benchmark.reference_removed and eval_query.reference in position:
            left_out[row, position[eval_query.reference]] = True
    return AblationQueries(_concatenate(composed), gallery, hits & ~left_out, left_out)


def _concatenate(parts: list[Composition]) -> Composition:
    """Concatenate batches of composed queries, in float32 on the CPU."""

    def rows(name: str) -> Tensor:
        return torch.cat([getattr(part, name).float().cpu() for part in parts])

    joint = None if parts[0].joint_part is None else rows("joint_part")
    return Composition.mix(rows("image_part"), rows("text_part"), rows("image_weight"), joint)
