"""Every combiner on the same features and triplets, so that only the way of combining differs."""

import copy
import logging
from collections.abc import Callable
from typing import Any

import torch

from dwc.modeling.combiners import combiner_class, combiner_names
from dwc.modeling.configuration import DWCConfig
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor
from dwc.training.alternating import AlternatingSettings
from dwc.training.features import FeatureBank, train_on_features

logger = logging.getLogger(__name__)

Evaluate = Callable[[DWCModel, DWCProcessor], dict[str, Any]]


def compare_combiners(
    model: DWCModel,
    processor: DWCProcessor,
    bank: FeatureBank,
    settings: AlternatingSettings,
    batch_size: int,
    seed: int,
    evaluate: Evaluate,
) -> dict[str, dict[str, Any]]:
    """Train each combiner's CLIP stream on `bank`, alone and untaught, and evaluate it.

    The frozen CLIP is `model`'s. Returns, by combiner, the evaluation's numbers, and how many
    `parameters` the stream learned.
    """
    numbers = {}
    for name in combiner_names():
        torch.manual_seed(seed)
        rival = DWCModel(_clip_alone(model.config, name))
        assert model.clip is not None
        assert rival.clip is not None
        assert rival.clip_stream is not None
        rival.clip.load_state_dict(model.clip.state_dict())
        train_on_features(rival.clip_stream, bank, settings, batch_size, seed, f"combiner {name}")
        parameters = sum(parameter.numel() for parameter in rival.clip_stream.parameters())
        numbers[name] = {**evaluate(rival.eval(), processor), "parameters": parameters}
        logger.info("combiner %s: R@1 %.3f", name, numbers[name]["recall@1"])
    return numbers


def _clip_alone(config: DWCConfig, combiner: str) -> DWCConfig:
    """The same model with another combiner and without its CNN stream."""
    alone = copy.deepcopy(config)
    alone.cnn_config = None
    alone.familiarity = False
    alone.combiner = combiner
    if not combiner_class(combiner).uses_projections:
        alone.clip_embedding_dim = alone.clip_config.projection_dim
    return alone
