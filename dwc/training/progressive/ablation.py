"""Ablation of the learned image weight: the same queries with fixed and with oracle weights.

The image weight determines in which proportion a query's image part and text part are combined. The
parts and the gallery do not depend on the weight, so queries can be evaluated with other weights
without a further forward pass. A fixed weight is the same for all queries. The oracle weight of a
query is the weight that gives its target the best rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dwc.datasets.triplets import Benchmark
from dwc.evaluation.metrics import recalls
from dwc.evaluation.retrieval import (
    EncodedBenchmark,
    OpenImage,
    QueryVectors,
    RankReport,
    batched,
    rank_benchmark,
)
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
        gallery: Unit-length embeddings (M, D) of the gallery images; D is the embedding size.
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

    The top rank is 1. A hit ranks behind all wrong results with the same score. For a query without
    hits the rank is the largest integer, so that the query counts as a miss for any K.

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
    """Return the weight in `GRID` with the best recall at 1 (R@1) if all queries have this weight.

    If several weights give the same R@1, the one with the best mean rank is returned. For a fair
    comparison with learned weights, evaluate this weight on queries that are not in `eval_set`.
    """

    def quality(weight: float) -> tuple[float, float]:
        ranks = ranks_at(eval_set, weight).clamp_max(len(eval_set.gallery) + 1).double()
        return float((ranks == 1).double().mean()), -float(ranks.mean())

    return max(GRID, key=quality)


def oracle_weights(eval_set: AblationQueries) -> Tensor:
    """Return, for each of N queries, the image weight that gives its target the best rank, (N, 1).

    The weights are chosen from `GRID`. Their choice requires the targets, so their recall is an
    upper bound for all weights in `GRID`. If several weights give the best rank, the middle one is
    chosen.
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

    An oracle weight is the weight that ranks the query's target best.

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


def rank_queries(eval_set: AblationQueries, benchmark: Benchmark) -> RankReport:
    """Rank a benchmark's gallery for queries that `encode_queries` has encoded.

    For a model that has only a CLIP stream, the result equals that of
    `dwc.evaluation.retrieval.run_benchmark`.
    """
    queries = eval_set.queries
    vectors = QueryVectors(
        {"clip": queries.embedding.numpy()}, {"clip": queries.image_weight[:, 0].numpy()}
    )
    return rank_benchmark(
        EncodedBenchmark(benchmark, eval_set.gallery.numpy(), vectors, len(benchmark.queries))
    )


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
    if model.clip is None or model.clip_stream is None:
        raise ValueError("the ablation needs a CLIP stream; this model has none")
    # Most references are gallery images, so each image is encoded once.
    references = (query.reference for query in benchmark.queries)
    names = list(dict.fromkeys([*benchmark.gallery, *references]))
    position = {name: index for index, name in enumerate(names)}
    features = torch.cat(
        [
            model.clip.image_features(
                processor(images=[open_image(name) for name in chunk])["pixel_values"].to(
                    model.device
                )
            )
            for chunk in batched(names, batch_size)
        ]
    )
    gallery = model.clip_stream.embed(features[: len(benchmark.gallery)]).float().cpu()
    composed = []
    for chunk in batched(benchmark.queries, batch_size):
        texts = [fill_template(model.config.caption_template, query.captions) for query in chunk]
        inputs = processor(text=texts).to(model.device)
        text_features = model.clip.text_features(
            inputs["clip_input_ids"], inputs["clip_attention_mask"]
        )
        images = features[[position[query.reference] for query in chunk]]
        composed.append(model.clip_stream.compose(images, text_features))
    in_gallery = set(benchmark.gallery)
    hits = torch.zeros(len(benchmark.queries), len(gallery), dtype=torch.bool)
    left_out = torch.zeros_like(hits)
    for row, eval_query in enumerate(benchmark.queries):
        hits[row, [position[hit] for hit in eval_query.hits if hit in in_gallery]] = True
        if benchmark.reference_removed and eval_query.reference in in_gallery:
            left_out[row, position[eval_query.reference]] = True
    return AblationQueries(_concatenate(composed), gallery, hits & ~left_out, left_out)


def _concatenate(parts: list[Composition]) -> Composition:
    """Concatenate batches of composed queries, in float32 on the CPU."""

    def rows(name: str) -> Tensor:
        return torch.cat([getattr(part, name).float().cpu() for part in parts])

    joint = None if parts[0].joint_part is None else rows("joint_part")
    return Composition.mix(rows("image_part"), rows("text_part"), rows("image_weight"), joint)
