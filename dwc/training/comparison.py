"""Every combiner on the same features and triplets, so that only the way of combining differs."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from dwc.evaluation.metrics import correlation, recalls
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.combiners import combiner_class, combiner_names
from dwc.modeling.configuration import DWCConfig
from dwc.modeling.model import DWCModel
from dwc.training.alternating import AlternatingSettings
from dwc.training.features import FeatureBank, train_on_features
from dwc.training.kept import KeptClip
from dwc.training.questions import Questions, ask_dwc, first_ranks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contest:
    """What all combiners are given alike: features, steps, and a choice of learning rates.

    Each combiner is trained at every one of `learning_rates`; the run that finds most of `val`'s
    questions at once is measured on those of `test`.
    """

    bank: FeatureBank
    settings: AlternatingSettings
    learning_rates: Sequence[float]
    batch_size: int
    mixed_precision: str
    seed: int
    val: Questions
    test: Questions


def compare_combiners(config: DWCConfig, contest: Contest) -> dict[str, dict[str, Any]]:
    """Train each combiner's CLIP stream, alone and untaught, and measure it.

    Returns, by combiner, `recall@K`, `weight_truth_correlation` (None where all weights are equal),
    how many `parameters` the stream learned, and the `learning_rate` that served it best (None
    where nothing is learned).
    """
    numbers = {}
    for name in combiner_names():
        runs = [(*_train(config, name, contest, rate), rate) for rate in contest.learning_rates]
        rival, _, rate = max(runs, key=lambda run: run[1])
        assert rival.clip_stream is not None  # so says `_clip_alone`
        learned = sum(parameter.numel() for parameter in rival.clip_stream.parameters())
        measured = _measure(rival, contest.test)
        numbers[name] = {
            **measured,
            "parameters": learned,
            "learning_rate": rate if learned else None,
        }
        logger.info("combiner %s: R@1 %.3f at %g", name, measured["recall@1"], rate)
    return numbers


def _train(config: DWCConfig, name: str, contest: Contest, rate: float) -> tuple[DWCModel, float]:
    """A combiner trained at a rate, and its R@1 on the validation questions."""
    torch.manual_seed(contest.seed)
    rival = DWCModel(_clip_alone(config, name))
    rival.clip = cast(ClipBackbone, KeptClip(config.clip_config.projection_dim))
    assert rival.clip_stream is not None
    settings = replace(contest.settings, learning_rate=rate)
    stage = f"combiner {name} at {rate:g}"
    train_on_features(
        rival.clip_stream,
        contest.bank,
        settings,
        contest.batch_size,
        contest.seed,
        stage,
        contest.mixed_precision,
    )
    rival.to("cpu").eval()
    return rival, _measure(rival, contest.val)["recall@1"]


@torch.inference_mode()
def _measure(model: DWCModel, asked: Questions) -> dict[str, Any]:
    query, gallery = ask_dwc(model, asked)["clip"]
    return {
        **recalls(first_ranks(query.embedding @ gallery.T, asked)),
        "weight_truth_correlation": correlation(
            query.image_weight[:, 0].numpy(), asked.picture_shares.numpy()
        ),
    }


def _clip_alone(config: DWCConfig, combiner: str) -> DWCConfig:
    """The same model with another combiner and without its CNN stream."""
    alone = copy.deepcopy(config)
    alone.cnn_config = None
    alone.familiarity = False
    alone.combiner = combiner
    if not combiner_class(combiner).uses_projections:
        alone.clip_embedding_dim = alone.clip_config.projection_dim
    return alone
