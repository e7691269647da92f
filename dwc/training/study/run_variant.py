"""One variant with one seed: trained on what is kept, and measured; a function of its arguments."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator

from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.catalogue.batches import cached_triplets, draw_relatives
from dwc.training.dwc.mutual_training import MutualSettings, train_mutually
from dwc.training.dwc.presets import AUTHORS
from dwc.training.feature_cache import CachedPool
from dwc.training.loop import LoopSettings
from dwc.training.progressive.stages import (
    FashionBatch,
    FashionSettings,
    HybridSettings,
    train_fashion,
    train_hybrid,
)
from dwc.training.study.features import StudyFeatures, StudySettings
from dwc.training.study.measuring import measure_dwc, measure_pl
from dwc.training.study.models import PLModel, build_dwc, build_pl
from dwc.training.study.variants import Run


def run_variant(run: Run, features: StudyFeatures, settings: StudySettings) -> dict[str, Any]:
    """Train and measure; the numbers as `measuring` gives them, and the `seconds` it took."""
    began = time.monotonic()
    torch.manual_seed(run.seed)
    if "pl" in run.variant.families:
        numbers = measure_pl(_train_pl(run, features, settings), features)
    else:
        numbers = measure_dwc(_train_dwc(run, features, settings), features)
    return {**numbers, "seconds": round(time.monotonic() - began, 1)}


def fashion_batches(kept: CachedPool, size: int, seed: int) -> Callable[[int], FashionBatch]:
    """Batches of PL's stage two: two views of each picture, and a description; half are relatives.

    Each is a function of (seed, step).
    """
    items = kept.pictures.items

    def batch(step: int) -> FashionBatch:
        drawn = random.Random(f"{seed}/fashion/{step}").getrandbits(63)
        generator = torch.Generator().manual_seed(drawn)
        related = draw_relatives(items, size // 2, generator)
        alone = torch.randint(0, items, (size - len(related),), generator=generator)
        places = torch.cat([related, alone])
        described = kept.descriptions.take(places)
        return FashionBatch(
            kept.pictures.look(places, generator),
            described["clip_input_ids"],
            described["clip_attention_mask"],
            places,
            other_pixels=kept.pictures.look(places, generator),
        )

    return batch


def _train_dwc(run: Run, features: StudyFeatures, settings: StudySettings) -> DWCModel:
    variant = run.variant
    model = build_dwc(variant, features, settings)
    recipe = _alternating(run, settings)
    size = AUTHORS.batch_size if variant.authors else settings.batch
    kept = features.pool_with(variant.wrong_share)
    if any(parameter.requires_grad for parameter in model.parameters()):
        train_mutually(
            model,
            cached_triplets(kept, size, 0.0, 0.0, run.seed),
            recipe,
            _accelerator(settings),
            _unseen(recipe.total_steps),
            stage=run.name,
        )
    return model.to("cpu").eval()


def _alternating(run: Run, settings: StudySettings) -> MutualSettings:
    """The recipe of a variant; the authors' sees as many triplets in smaller batches."""
    variant = run.variant
    if variant.authors:
        steps = max(1, settings.steps * settings.batch // AUTHORS.batch_size)
        return replace(AUTHORS.alternating(steps), total_steps=steps)
    return MutualSettings(
        total_steps=settings.steps,
        learning_rate=settings.learning_rate,
        schedule="cosine",
        warmup_steps=settings.warmup_steps,
        temperature=settings.temperature,
        alpha=settings.alpha if variant.alpha is None else variant.alpha,
        doubt=variant.doubt,
        mutual_weight=1.0 if variant.mutual else 0.0,
        weight_teaching=variant.weight_teaching,
        teacher_side=variant.teacher_side,
        max_gradient_norm=5.0,
    )


def _train_pl(run: Run, features: StudyFeatures, settings: StudySettings) -> PLModel:
    variant = run.variant
    model, kept = build_pl(variant, features), features.pool
    rate, warmup = settings.pl_learning_rate, settings.warmup_steps
    if "fashion" in variant.stages:
        train_fashion(
            model.towers,
            fashion_batches(kept, settings.batch, run.seed),
            FashionSettings(settings.fashion_steps, rate, warmup_steps=warmup, tag_weight=0.0),
            _accelerator(settings),
            _unseen(settings.fashion_steps),
        )
    if "hybrid" in variant.stages:
        train_hybrid(
            model.towers,
            model.stream,
            cached_triplets(kept, settings.batch, 0.0, 0.0, run.seed),
            HybridSettings(
                settings.steps,
                rate,
                warmup_steps=warmup,
                weight_loss=1.0 if variant.self_supervised else 0.0,
            ),
            _accelerator(settings),
            _unseen(settings.steps),
        )
    model.towers.eval()
    model.stream.eval()
    return model


def _accelerator(settings: StudySettings) -> Accelerator:
    return Accelerator(cpu=True, mixed_precision=settings.mixed_precision)


def _unseen(steps: int) -> LoopSettings:
    """A loop that keeps no state and logs its end alone: a run takes seconds."""
    return LoopSettings(steps, log_every=steps)
