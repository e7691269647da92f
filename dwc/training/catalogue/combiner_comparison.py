"""A CLIP stream's head, trained on the features of its frozen CLIP that are kept.

Every combiner on the same features and triplets, so that only the way of combining differs.
"""

import copy
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor

from dwc.evaluation.metrics import correlation, recalls
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.combiners import combiner_class, combiner_names
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.catalogue.eval_set import CachedEvalSet, embed_queries, first_ranks
from dwc.training.dwc.mutual_training import MutualSettings, build_adam
from dwc.training.feature_cache import CachedClip, CachedPool
from dwc.training.loop import LoopSettings, run_stage
from dwc.training.losses import contrastive_loss


@dataclass(frozen=True)
class FeatureBank:
    """Features of several views of every pool picture, and triplets with those of their words.

    `images` (views, items, F); `references`, `targets` (T,) index items; `texts` (T, F).
    """

    images: Tensor
    references: Tensor
    targets: Tensor
    texts: Tensor

    def batch(self, step: int, size: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reference, text and target features (B, F) and the targets' labels (B,) of a step."""
        generator = torch.Generator().manual_seed(random.Random(f"{seed}/{step}").getrandbits(63))
        chosen = torch.randint(0, len(self.texts), (size,), generator=generator)
        views = torch.randint(0, len(self.images), (2, size), generator=generator)
        references, targets = self.references[chosen], self.targets[chosen]
        return (
            self.images[views[0], references],
            self.texts[chosen],
            self.images[views[1], targets],
            targets,
        )


def feature_bank(kept: CachedPool) -> FeatureBank:
    """CLIP's share of what is kept."""
    images = kept.pictures.rows[..., : kept.pictures.feature_dim].float()
    return FeatureBank(images, kept.references, kept.targets, kept.wishes.features)


def train_on_features(
    stream: ClipStream,
    bank: FeatureBank,
    settings: MutualSettings,
    batch_size: int,
    seed: int,
    stage: str,
    mixed_precision: str = "no",
    log_every: int = 500,
) -> dict[str, float]:
    """Train a CLIP stream's head, whatever its combiner, on a bank; in place, alone, untaught.

    In `mixed_precision` ("no" or "bf16") the head computes; the loss is in float32.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    trained = [parameter for parameter in stream.parameters() if parameter.requires_grad]
    if not trained:
        return {}
    optimiser, schedule = build_adam(trained, settings)
    stream.train()

    def step(number: int) -> dict[str, float]:
        references, texts, targets, labels = bank.batch(number, batch_size, seed)
        device = references.device.type
        with torch.autocast(device, torch.bfloat16, enabled=mixed_precision == "bf16"):
            composed, gallery = stream.compose(references, texts), stream.embed(targets)
        gallery = gallery.float()
        contrast = contrastive_loss(
            composed.embedding.float(),
            gallery,
            labels,
            settings.temperature,
            settings.alpha,
            settings.doubt,
        )
        side = stream.combiner.side_loss(composed, gallery, labels, settings.temperature)
        loss = contrast if side is None else contrast + side
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        return {"contrast": float(contrast.detach())}

    loop = LoopSettings(settings.total_steps, log_every=log_every)
    return run_stage(stage, accelerator, step, loop)


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CombinerComparison:
    """What all combiners are given alike: features, steps, and a choice of learning rates.

    Each combiner is trained at every one of `learning_rates`; the run that finds most of `val`'s
    questions at once is measured on those of `test`.
    """

    bank: FeatureBank
    settings: MutualSettings
    learning_rates: Sequence[float]
    batch_size: int
    mixed_precision: str
    seed: int
    val: CachedEvalSet
    test: CachedEvalSet


def compare_combiners(config: DWCConfig, contest: CombinerComparison) -> dict[str, dict[str, Any]]:
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


def _train(
    config: DWCConfig, name: str, contest: CombinerComparison, rate: float
) -> tuple[DWCModel, float]:
    """A combiner trained at a rate, and its R@1 on the validation questions."""
    torch.manual_seed(contest.seed)
    rival = DWCModel(_clip_alone(config, name))
    rival.clip = cast(ClipBackbone, CachedClip(config.clip_config.projection_dim))
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
def _measure(model: DWCModel, asked: CachedEvalSet) -> dict[str, Any]:
    query, gallery = embed_queries(model, asked)["clip"]
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
