"""What a run is measured by: recalls, the weight beside the truth, both by the picture's share.

One variant with one seed: trained on what is kept, and measured; a function of its arguments.

All runs of the study, over several processes; each is kept when done, and not run again.
"""

import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from dwc.checkpoints import load
from dwc.evaluation.metrics import correlation, recalls
from dwc.modeling.composition import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.catalogue.batches import cached_triplet_batches, draw_hard_negatives
from dwc.training.catalogue.eval_set import CachedEvalSet, Streams, embed_queries, first_ranks
from dwc.training.dwc.mutual_training import MutualSettings, train_mutually
from dwc.training.dwc.presets import AUTHORS
from dwc.training.feature_cache import CachedPool
from dwc.training.loop import LoopSettings
from dwc.training.progressive.ablation import AblationQueries, weight_ablation
from dwc.training.progressive.stages import (
    FashionBatch,
    FashionSettings,
    HybridSettings,
    train_fashion,
    train_hybrid,
)
from dwc.training.study.features import StudyFeatures, StudySettings, cache_features, load_features
from dwc.training.study.models import PLModel, build_dwc, build_pl
from dwc.training.study.variants import Run, all_variants

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
        related = draw_hard_negatives(items, size // 2, generator)
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
            cached_triplet_batches(kept, size, 0.0, 0.0, run.seed),
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
            cached_triplet_batches(kept, settings.batch, 0.0, 0.0, run.seed),
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


logger = logging.getLogger(__name__)

Numbers = dict[str, Any]


@dataclass(frozen=True)
class StudyResults:
    """Every run's numbers, by the variant's name and then by seed, and what they are of."""

    numbers: dict[str, dict[int, Numbers]]
    fingerprint: str
    checkpoint: str


def run_all(
    settings: StudySettings, model: str | None, work: Path, drawings: Path, workers: int
) -> StudyResults:
    """Run what is not done yet, on `workers` processes of one core each; 1 runs it in this one.

    `model` names the checkpoint whose towers are frozen, None the bundled one. Kept features and
    finished runs are in `work`: a study that was stopped goes on where it was.
    """
    loaded = load.load(model)
    folder = cache_features(settings, loaded, work, drawings)
    results = work / f"runs-{settings.run_name(loaded.fingerprint)}"
    results.mkdir(parents=True, exist_ok=True)
    variants = all_variants(settings.wrong_texts)
    # Seed by seed, so that a study that is stopped early has all variants.
    runs = [Run(variant, seed) for seed in settings.seeds for variant in variants]
    left = [run for run in runs if not _file(results, run).exists()]
    clock = _Clock(len(runs), left, workers)
    clock.begin()
    for run, numbers in _through(left, folder, settings, workers):
        _keep(_file(results, run), numbers)
        clock.tell(run, numbers)
    kept: dict[str, dict[int, Numbers]] = {variant.name: {} for variant in variants}
    for run in runs:
        kept[run.variant.name][run.seed] = json.loads(_file(results, run).read_text())
    return StudyResults(kept, loaded.fingerprint, loaded.name)


def _through(
    runs: Sequence[Run], folder: Path, settings: StudySettings, workers: int
) -> Iterator[tuple[Run, Numbers]]:
    """Each run with its numbers, as they are done."""
    if workers == 1:
        features = load_features(folder)
        threads = torch.get_num_threads()
        # Sums come out the same, to the last bit, as in a process of one core.
        torch.set_num_threads(1)
        try:
            for run in runs:
                yield run, run_variant(run, features, settings)
        finally:
            torch.set_num_threads(threads)
        return
    # Spawned: a fork would inherit torch's threads in whatever state they are.
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(folder, settings)
    ) as pool:
        # The long ones first, or the last of them would run alone; seeds stay in order.
        ordered = sorted(runs, key=lambda run: (run.seed, -run.variant.cost))
        jobs = {pool.submit(_run, run): run for run in ordered}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:  # of a failure or an interrupt nobody waits for the rest
            pool.shutdown(cancel_futures=True)


@dataclass
class _Worker:
    """What a worker process reads once."""

    features: StudyFeatures
    settings: StudySettings


_worker: list[_Worker] = []


def _begin(folder: Path, settings: StudySettings) -> None:
    torch.set_num_threads(1)
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    _worker[:] = [_Worker(load_features(folder), settings)]


def _run(run: Run) -> Numbers:
    (worker,) = _worker
    return run_variant(run, worker.features, worker.settings)


class _Clock:
    """Says how much is done and about how long the rest takes, by what was measured so far."""

    def __init__(self, total: int, left: Sequence[Run], workers: int) -> None:
        self.total, self.left, self.workers = total, {run.name: run for run in left}, workers
        self.spent = self.foreseen = 0.0
        self.began = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Of all that is left, shared among the workers."""
        scale = self.spent / self.foreseen if self.foreseen else 1.0
        return scale * sum(run.variant.cost for run in self.left.values()) / self.workers

    def begin(self) -> None:
        """Say what is to come."""
        logger.info(
            "%d runs, %d of them done; about %.0f minutes on %d of %d cores",
            self.total,
            self.total - len(self.left),
            self.seconds_left / 60,
            self.workers,
            os.cpu_count() or 1,
        )

    def tell(self, run: Run, numbers: Numbers) -> None:
        """Say what a run gave."""
        del self.left[run.name]
        self.spent += numbers["seconds"]
        self.foreseen += run.variant.cost
        logger.info(
            "%d/%d  %s, seed %d: R@1 %.3f in %.0f s; about %.0f min left",
            self.total - len(self.left),
            self.total,
            run.variant.name,
            run.seed,
            numbers["recall@1"],
            numbers["seconds"],
            self.seconds_left / 60,
        )


def _file(folder: Path, run: Run) -> Path:
    return folder / f"{run.name}.json"


def _keep(file: Path, numbers: Numbers) -> None:
    """Under another name until it is whole: a kill leaves a run undone, never half done."""
    fresh = file.with_suffix(".fresh")
    fresh.write_text(json.dumps(numbers) + "\n")
    fresh.replace(file)
