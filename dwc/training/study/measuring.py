"""What a run is measured by: recalls, the weight beside the truth, both by the picture's share."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dwc.evaluation.metrics import correlation, recalls
from dwc.modeling.composition import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.eval_set import CachedEvalSet, Streams, embed_queries, first_ranks
from dwc.training.progressive.ablation import AblationQueries, weight_ablation
from dwc.training.study.features import StudyFeatures
from dwc.training.study.models import PLModel

KS = (1, 10, 50)
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # the edges between which questions are taken together
_FEWEST = 30  # questions of a bin for a correlation within it


@torch.inference_mode()
def measure_dwc(model: DWCModel, features: StudyFeatures) -> dict[str, Any]:
    """A DWC model's numbers on the test questions; of its CLIP stream, other weights' as well."""
    streams = embed_queries(model, features.test)
    numbers = measure(streams, features.test)
    if "clip" in streams:
        chosen_on = embed_queries(model, features.val)["clip"]
        numbers["weights"] = _other_weights(streams["clip"], chosen_on, features)
    return numbers


@torch.inference_mode()
def measure_pl(model: PLModel, features: StudyFeatures) -> dict[str, Any]:
    """PL's numbers on the test questions, and those with other weights."""
    streams = {"clip": _ask_pl(model, features.test)}
    numbers = measure(streams, features.test)
    chosen_on = _ask_pl(model, features.val)
    numbers["weights"] = _other_weights(streams["clip"], chosen_on, features)
    return numbers


def measure(streams: Streams, asked: CachedEvalSet) -> dict[str, Any]:
    """Numbers of queries (N) and gallery (M, D) by stream, and of all streams together.

    `recall@K` and, by stream, `image_weight_mean` and `weight_truth_correlation` (None where all
    weights are equal); `by_share` the same for the questions of each bin of `SHARES`;
    `found_first`, for "together" and each stream, a "1" for every question whose first answer fits.
    """
    scores = {name: query.embedding @ gallery.T for name, (query, gallery) in streams.items()}
    ranks = {name: first_ranks(values, asked) for name, values in scores.items()}
    ranks["together"] = first_ranks(torch.stack(list(scores.values())).sum(dim=0), asked)
    weights = {name: query.image_weight[:, 0] for name, (query, _) in streams.items()}
    everywhere = torch.ones(len(asked.references), dtype=torch.bool)
    return {
        **_numbers(ranks, weights, asked, everywhere),
        "by_share": [
            {"from": low, "to": high, **_numbers(ranks, weights, asked, inside)}
            for low, high, inside in _bins(asked.picture_shares)
        ],
        "found_first": {
            name: "".join("1" if rank == 1 else "0" for rank in values.tolist())
            for name, values in ranks.items()
        },
    }


def _bins(shares: Tensor) -> list[tuple[float, float, Tensor]]:
    """(from, to, which questions); the last bin holds its upper edge."""
    found = []
    for low, high in pairwise(SHARES):
        above = shares >= low
        below = shares <= high if high == SHARES[-1] else shares < high
        found.append((low, high, above & below))
    return found


def _numbers(
    ranks: Mapping[str, Tensor], weights: Mapping[str, Tensor], asked: CachedEvalSet, chosen: Tensor
) -> dict[str, Any]:
    """Recalls and weights of the questions `chosen` (N,) bool; None where there are none."""
    count = int(chosen.sum())
    streams = {
        name: {
            **_recalls(ranks[name][chosen]),
            "image_weight_mean": float(weight[chosen].mean()) if count else None,
            "weight_truth_correlation": _correlation(
                weight[chosen].numpy(), asked.picture_shares[chosen].numpy()
            ),
        }
        for name, weight in weights.items()
    }
    return {"queries": count, **_recalls(ranks["together"][chosen]), "streams": streams}


def _recalls(ranks: Tensor) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in recalls(ranks, KS).items()}


def _correlation(weights: np.ndarray, shares: np.ndarray) -> float | None:
    return correlation(weights, shares) if len(weights) >= _FEWEST else None


def _ask_pl(model: PLModel, asked: CachedEvalSet) -> tuple[Composition, Tensor]:
    images = model.towers.image_features(asked.rows.float())
    texts = model.towers.text_features(asked.texts.features.float())
    return model.stream.compose(images[asked.references], texts), model.stream.embed(images)


def _other_weights(
    stream: tuple[Composition, Tensor],
    chosen_on: tuple[Composition, Tensor],
    features: StudyFeatures,
) -> dict[str, Any]:
    def as_asked(found: tuple[Composition, Tensor], questions: CachedEvalSet) -> AblationQueries:
        left_out = torch.zeros_like(questions.hits)
        left_out[torch.arange(len(left_out)), questions.references] = True
        return AblationQueries(*found, questions.hits & ~left_out, left_out)

    return weight_ablation(as_asked(stream, features.test), as_asked(chosen_on, features.val), KS)
