"""Comparison of combiners: a CLIP stream is trained and evaluated with each of them.

A combiner combines image and text features into the embedding of a query. All combiners are trained
on the same cached features of a frozen CLIP model and on the same triplets, for the same number of
steps and with the same retrieval loss.
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
from dwc.modeling.clip_stream import ClipBackbone, ClipStream
from dwc.modeling.combiners import combiner_class, combiner_names
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.catalogue.eval_set import CachedEvalSet, embed_queries, first_ranks
from dwc.training.dwc.mutual_training import MutualSettings, build_adam
from dwc.training.feature_cache import CachedClip, CachedPool
from dwc.training.loop import LoopSettings, autocast_bfloat16, run_stage
from dwc.training.losses import contrastive_loss

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureBank:
    """CLIP features of size F of the training images, and of the texts of T training triplets.

    Attributes:
        images: Features of each image in several augmented copies ("views"), (views, images, F).
        references: Image indices of the triplets' reference images (T,).
        targets: Image indices of the triplets' targets (T,).
        texts: Features of the triplets' modification texts (T, F).
    """

    images: Tensor
    references: Tensor
    targets: Tensor
    texts: Tensor

    def batch(self, step: int, size: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sample `size` triplets at random; the result depends only on the step and the seed.

        Returns:
            Three tensors (size, F) with the CLIP features of the reference images, the texts and
            the target images; and the image indices (size,) of the targets.
        """
        generator = torch.Generator().manual_seed(random.Random(f"{seed}/{step}").getrandbits(63))
        drawn = torch.randint(0, len(self.texts), (size,), generator=generator)
        views = torch.randint(0, len(self.images), (2, size), generator=generator)
        references, targets = self.references[drawn], self.targets[drawn]
        return (
            self.images[views[0], references],
            self.texts[drawn],
            self.images[views[1], targets],
            targets,
        )


def feature_bank(cached: CachedPool) -> FeatureBank:
    """Return the CLIP features that are part of a pool's cached features, in float32."""
    images = cached.images.rows[..., : cached.images.feature_dim].float()
    return FeatureBank(images, cached.references, cached.targets, cached.modifications.features)


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
    """Train a CLIP stream in place on cached features, without a second stream as its teacher.

    Args:
        stream: The stream, with any combiner.
        bank: The cached features.
        settings: Number of steps, and settings of the optimizer and the loss.
        batch_size: Number of triplets in a batch.
        seed: Seed of the batches.
        stage: Name of this training run in the log.
        mixed_precision: Precision of the stream, "no" (float32) or "bf16"; the loss is computed in
            float32.
        log_every: Number of steps between log lines.

    Returns:
        A dict with the entry `contrast`, the mean contrastive loss over the steps of the last log
        interval. The dict is empty if the stream has no trainable parameters.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    trained = [parameter for parameter in stream.parameters() if parameter.requires_grad]
    if not trained:
        return {}
    optimizer, schedule = build_adam(trained, settings)
    stream.train()

    def step(number: int) -> dict[str, float]:
        references, texts, targets, labels = bank.batch(number, batch_size, seed)
        device = references.device.type
        with autocast_bfloat16(device, mixed_precision == "bf16"):
            composed, gallery = stream.compose(references, texts), stream.embed(targets)
        gallery = gallery.float()
        contrast = contrastive_loss(
            composed.embedding.float(),
            gallery,
            labels,
            settings.temperature,
            settings.alpha,
            settings.gce_q,
        )
        side = stream.combiner.side_loss(composed, gallery, labels, settings.temperature)
        loss = contrast if side is None else contrast + side
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        return {"contrast": float(contrast.detach())}

    loop = LoopSettings(settings.total_steps, log_every=log_every)
    return run_stage(stage, accelerator, step, loop)


@dataclass(frozen=True)
class CombinerComparison:
    """Data and settings of a comparison of combiners, the same for each combiner.

    Each combiner is trained once with each learning rate. The run with the best recall at 1 (R@1)
    on the validation queries is evaluated on the test queries.

    Attributes:
        bank: Cached features to train on.
        settings: Number of steps, and settings of the optimizer and the loss.
        learning_rates: Learning rates to try.
        batch_size: Number of triplets in a batch.
        mixed_precision: Precision of the streams, "no" (float32) or "bf16".
        seed: Seed of the initial parameters and of the batches.
        val: Validation queries.
        test: Test queries.
    """

    bank: FeatureBank
    settings: MutualSettings
    learning_rates: Sequence[float]
    batch_size: int
    mixed_precision: str
    seed: int
    val: CachedEvalSet
    test: CachedEvalSet


def compare_combiners(
    config: DWCConfig, comparison: CombinerComparison
) -> dict[str, dict[str, Any]]:
    """Train and evaluate a CLIP stream with each combiner.

    Args:
        config: Model configuration that provides all settings except the combiner.
        comparison: Data and training settings.

    Returns:
        Combiner name -> dict with the keys:
        `recall@K`: the recalls (0 to 1), for several K.
        `weight_truth_correlation`: the correlation of the image weights with the true image
        weights, or None if all image weights are equal. The true image weight of a query is the
        fraction of the target's attributes that come from the reference image and not from the
        text.
        `parameters`: the number of trained parameters.
        `learning_rate`: the best learning rate; None if the combiner has no parameters.
    """
    numbers = {}
    for name in combiner_names():
        runs = [
            (*_train(config, name, comparison, rate), rate) for rate in comparison.learning_rates
        ]
        model, _, rate = max(runs, key=lambda run: run[1])
        assert model.clip_stream is not None  # see `_clip_only`
        parameters = sum(parameter.numel() for parameter in model.clip_stream.parameters())
        evaluated = _evaluate(model, comparison.test)
        numbers[name] = {
            **evaluated,
            "parameters": parameters,
            "learning_rate": rate if parameters else None,
        }
        logger.info("combiner %s: R@1 %.3f at %g", name, evaluated["recall@1"], rate)
    return numbers


def _train(
    config: DWCConfig, name: str, comparison: CombinerComparison, rate: float
) -> tuple[DWCModel, float]:
    """Train a CLIP stream with a combiner.

    Args:
        config: Model configuration that provides all settings except the combiner.
        name: Name of the combiner.
        comparison: Data and training settings.
        rate: Learning rate.

    Returns:
        The model, and its recall at 1 (0 to 1) on the validation queries.
    """
    torch.manual_seed(comparison.seed)
    model = DWCModel(_clip_only(config, name))
    model.clip = cast(ClipBackbone, CachedClip(config.clip_config.projection_dim))
    assert model.clip_stream is not None
    train_on_features(
        model.clip_stream,
        comparison.bank,
        replace(comparison.settings, learning_rate=rate),
        comparison.batch_size,
        comparison.seed,
        f"combiner {name} at {rate:g}",
        comparison.mixed_precision,
    )
    model.to("cpu").eval()
    return model, _evaluate(model, comparison.val)["recall@1"]


@torch.inference_mode()
def _evaluate(model: DWCModel, eval_set: CachedEvalSet) -> dict[str, Any]:
    query, gallery = embed_queries(model, eval_set)["clip"]
    return {
        **recalls(first_ranks(query.embedding @ gallery.T, eval_set)),
        "weight_truth_correlation": correlation(
            query.image_weight[:, 0].numpy(), eval_set.picture_shares.numpy()
        ),
    }


def _clip_only(config: DWCConfig, combiner: str) -> DWCConfig:
    """Return a copy of a configuration with the CNN stream removed and another combiner.

    The copy also lacks the out-of-distribution (OOD) statistics, which measure how unusual a
    reference image is.
    """
    changed = copy.deepcopy(config)
    changed.cnn_config = None
    changed.familiarity = False
    changed.combiner = combiner
    if not combiner_class(combiner).uses_projections:
        changed.clip_embedding_dim = changed.clip_config.projection_dim
    return changed
