"""Training and evaluation of the study's system variants, in several processes.

A run is the training and evaluation of a system variant with a seed. The result of a finished run
is saved, so that the run is not repeated with the same features and settings.
"""

import json
import logging
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
from dwc.files import write_json
from dwc.modeling.combiners import Composition
from dwc.modeling.modeling_dwc import DWCModel
from dwc.progress import progress_bar
from dwc.training.catalogue.batches import cached_triplet_batches, draw_hard_negatives
from dwc.training.catalogue.eval_set import CachedEvalSet, Streams, embed_queries, first_ranks
from dwc.training.dwc.mutual_training import MutualSettings, train_mutually
from dwc.training.dwc.presets import AUTHORS
from dwc.training.feature_cache import CachedPool
from dwc.training.loop import LoopSettings, cpu_precision
from dwc.training.progressive.ablation import AblationQueries, weight_ablation
from dwc.training.progressive.stages import (
    FashionBatch,
    FashionSettings,
    HybridSettings,
    train_fashion,
    train_hybrid,
)
from dwc.training.study.models import (
    PLModel,
    StudyFeatures,
    StudySettings,
    build_dwc,
    build_pl,
    cache_features,
    load_features,
)
from dwc.training.study.variants import Run, all_variants

logger = logging.getLogger(__name__)

Numbers = dict[str, Any]

KS = (1, 10, 50)
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # edges of the bins of true image weights
_FEWEST = 30  # smallest number of queries in a bin to compute a correlation


@torch.inference_mode()
def evaluate_dwc(model: DWCModel, features: StudyFeatures) -> Numbers:
    """Return metrics of a DWC model on the test queries.

    Returns:
        The metrics of `evaluate`; and, if the model has a CLIP stream, `weights`: the recalls of
        the CLIP stream with the learned image weights, with several fixed weights (the same for all
        queries), and with the weight that ranks each query's target best ("oracle").
    """
    streams = embed_queries(model, features.test)
    numbers = evaluate(streams, features.test)
    if "clip" in streams:
        chosen_on = embed_queries(model, features.val)["clip"]
        numbers["weights"] = _other_weights(streams["clip"], chosen_on, features)
    return numbers


@torch.inference_mode()
def evaluate_pl(model: PLModel, features: StudyFeatures) -> Numbers:
    """Return metrics of a Progressive Learning (PL) model on the test queries.

    Returns:
        The metrics of `evaluate`; and `weights`: the recalls with the learned image weights, with
        several fixed weights (the same for all queries), and with the weight that ranks each
        query's target best ("oracle").
    """
    streams = {"clip": _embed_pl(model, features.test)}
    numbers = evaluate(streams, features.test)
    chosen_on = _embed_pl(model, features.val)
    numbers["weights"] = _other_weights(streams["clip"], chosen_on, features)
    return numbers


def evaluate(streams: Streams, eval_set: CachedEvalSet) -> Numbers:
    """Evaluate the rankings by each stream's scores, and the ranking by the sum of the scores.

    Args:
        streams: For each stream name, the queries and the gallery embeddings.
        eval_set: The correct results and the true image weights of the queries. The true image
            weight of a query is the fraction of the target's attributes that come from the
            reference image and not from the text.

    Returns:
        A dict with the keys:
        `queries`: the number of queries.
        `recall@K`: the recalls of all streams together, for K = 1, 10 and 50.
        `streams`: for each stream, its `recall@K`, its `image_weight_mean` and its
        `weight_truth_correlation`, the correlation of predicted and true image weights (None if all
        predicted weights are equal, or if there are fewer than 30 queries).
        `by_share`: the same metrics for each bin of true image weights.
        `found_first`: for "together" and for each stream, a string with one character per query:
        "1" if the first result is correct, else "0".
    """
    scores = {name: query.embedding @ gallery.T for name, (query, gallery) in streams.items()}
    ranks = {name: first_ranks(values, eval_set) for name, values in scores.items()}
    ranks["together"] = first_ranks(torch.stack(list(scores.values())).sum(dim=0), eval_set)
    weights = {name: query.image_weight[:, 0] for name, (query, _) in streams.items()}
    everything = torch.ones(len(eval_set.references), dtype=torch.bool)
    return {
        **_numbers(ranks, weights, eval_set, everything),
        "by_share": [
            {"from": low, "to": high, **_numbers(ranks, weights, eval_set, inside)}
            for low, high, inside in _bins(eval_set.picture_shares)
        ],
        "found_first": {
            name: "".join("1" if rank == 1 else "0" for rank in values.tolist())
            for name, values in ranks.items()
        },
    }


def _bins(shares: Tensor) -> list[tuple[float, float, Tensor]]:
    """Divide N queries into bins by their true image weights `shares` (N,); see `SHARES`.

    Returns:
        For each bin, its lower edge, its upper edge and the mask (N,) of its queries. An upper edge
        belongs to the next bin; only the last bin includes its upper edge.
    """
    bins = []
    for low, high in pairwise(SHARES):
        above = shares >= low
        below = shares <= high if high == SHARES[-1] else shares < high
        bins.append((low, high, above & below))
    return bins


def _numbers(
    ranks: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    eval_set: CachedEvalSet,
    mask: Tensor,
) -> Numbers:
    """Return recalls and metrics of the image weights, for the queries that a mask selects.

    Args:
        ranks: For each stream and for "together" (all streams), the rank (N,) of each query's best
            correct result.
        weights: For each stream, the image weights (N,) of the queries.
        eval_set: The N queries.
        mask: Boolean mask (N,) of the queries to include. If it selects none, all metrics except
            the number of queries are None. If it selects fewer than 30, correlations are None.
    """
    count = int(mask.sum())
    streams = {
        name: {
            **_recalls(ranks[name][mask]),
            "image_weight_mean": float(weight[mask].mean()) if count else None,
            "weight_truth_correlation": _correlation(
                weight[mask].numpy(), eval_set.picture_shares[mask].numpy()
            ),
        }
        for name, weight in weights.items()
    }
    return {"queries": count, **_recalls(ranks["together"][mask]), "streams": streams}


def _recalls(ranks: Tensor) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in recalls(ranks, KS).items()}


def _correlation(weights: np.ndarray, shares: np.ndarray) -> float | None:
    return correlation(weights, shares) if len(weights) >= _FEWEST else None


def _embed_pl(model: PLModel, eval_set: CachedEvalSet) -> tuple[Composition, Tensor]:
    images = model.towers.image_features(eval_set.rows.float())
    texts = model.towers.text_features(eval_set.texts.features.float())
    return model.stream.compose(images[eval_set.references], texts), model.stream.embed(images)


def _other_weights(
    stream: tuple[Composition, Tensor],
    chosen_on: tuple[Composition, Tensor],
    features: StudyFeatures,
) -> Numbers:
    def as_queries(
        embedded: tuple[Composition, Tensor], eval_set: CachedEvalSet
    ) -> AblationQueries:
        left_out = torch.zeros_like(eval_set.hits)
        left_out[torch.arange(len(left_out)), eval_set.references] = True
        return AblationQueries(*embedded, eval_set.hits & ~left_out, left_out)

    return weight_ablation(
        as_queries(stream, features.test), as_queries(chosen_on, features.val), KS
    )


def run_variant(run: Run, features: StudyFeatures, settings: StudySettings) -> Numbers:
    """Train a system variant with a seed on the CPU, and evaluate the trained model.

    Returns:
        The metrics of `evaluate_dwc` or `evaluate_pl`, and the run time `seconds`.
    """
    start = time.monotonic()
    torch.manual_seed(run.seed)
    if "pl" in run.variant.families:
        numbers = evaluate_pl(_train_pl(run, features, settings), features)
    else:
        numbers = evaluate_dwc(_train_dwc(run, features, settings), features)
    return {**numbers, "seconds": round(time.monotonic() - start, 1)}


def fashion_batches(cached: CachedPool, size: int, seed: int) -> Callable[[int], FashionBatch]:
    """Return a function that makes the batches of stage two of Progressive Learning (PL).

    A batch has `size` drawings: for each, two augmented copies ("views") and a description. About
    half of the drawings come in groups of similar garments (hard negatives). A batch depends only
    on the seed and the step number.

    Args:
        cached: Cached features of the pool.
        size: Number of drawings in a batch.
        seed: Seed of all random choices.

    Returns:
        A function that takes a step number and returns the batch of that step.
    """
    items = cached.images.count

    def batch(step: int) -> FashionBatch:
        batch_seed = random.Random(f"{seed}/fashion/{step}").getrandbits(63)
        generator = torch.Generator().manual_seed(batch_seed)
        negatives = draw_hard_negatives(items, size // 2, generator)
        others = torch.randint(0, items, (size - len(negatives),), generator=generator)
        indices = torch.cat([negatives, others])
        descriptions = cached.descriptions.take(indices)
        return FashionBatch(
            cached.images.sample(indices, generator),
            descriptions["clip_input_ids"],
            descriptions["clip_attention_mask"],
            indices,
            other_pixels=cached.images.sample(indices, generator),
        )

    return batch


def _train_dwc(run: Run, features: StudyFeatures, settings: StudySettings) -> DWCModel:
    variant = run.variant
    model = build_dwc(variant, features, settings)
    recipe = _mutual_settings(run, settings)
    size = AUTHORS.batch_size if variant.authors else settings.batch
    cached = features.pool_with(variant.wrong_share)
    if any(parameter.requires_grad for parameter in model.parameters()):
        train_mutually(
            model,
            cached_triplet_batches(cached, size, 0.0, 0.0, run.seed),
            recipe,
            _accelerator(settings),
            _short_loop(recipe.total_steps),
            stage=run.name,
        )
    return model.to("cpu").eval()


def _mutual_settings(run: Run, settings: StudySettings) -> MutualSettings:
    """Return the settings of a run's mutual training.

    Most variants use the study's settings. A variant with the authors' settings has another batch
    size, and the number of steps is set so that the total number of triplets is the same.
    """
    variant = run.variant
    if variant.authors:
        steps = max(1, settings.steps * settings.batch // AUTHORS.batch_size)
        return replace(AUTHORS.mutual_settings(steps), total_steps=steps)
    return MutualSettings(
        total_steps=settings.steps,
        learning_rate=settings.learning_rate,
        schedule="cosine",
        warmup_steps=settings.warmup_steps,
        temperature=settings.temperature,
        alpha=settings.alpha if variant.alpha is None else variant.alpha,
        gce_q=variant.gce_q,
        mutual_weight=1.0 if variant.mutual else 0.0,
        weight_distillation=variant.weight_distillation,
        teacher_side=variant.teacher_side,
        max_gradient_norm=5.0,
    )


def _train_pl(run: Run, features: StudyFeatures, settings: StudySettings) -> PLModel:
    variant = run.variant
    model, cached = build_pl(variant, features), features.pool
    rate, warmup = settings.pl_learning_rate, settings.warmup_steps
    if "fashion" in variant.stages:
        train_fashion(
            model.towers,
            fashion_batches(cached, settings.batch, run.seed),
            FashionSettings(settings.fashion_steps, rate, warmup_steps=warmup, tag_weight=0.0),
            _accelerator(settings),
            _short_loop(settings.fashion_steps),
        )
    if "hybrid" in variant.stages:
        train_hybrid(
            model.towers,
            model.stream,
            cached_triplet_batches(cached, settings.batch, 0.0, 0.0, run.seed),
            HybridSettings(
                settings.steps,
                rate,
                warmup_steps=warmup,
                weight_loss=1.0 if variant.self_supervised else 0.0,
            ),
            _accelerator(settings),
            _short_loop(settings.steps),
        )
    model.towers.eval()
    model.stream.eval()
    return model


def _accelerator(settings: StudySettings) -> Accelerator:
    return Accelerator(cpu=True, mixed_precision=cpu_precision(settings.mixed_precision))


def _short_loop(steps: int) -> LoopSettings:
    """Return loop settings that save no state and log once, at the end."""
    return LoopSettings(steps, log_every=steps)


@dataclass(frozen=True)
class StudyResults:
    """Results of all training runs of the study.

    Attributes:
        numbers: Name of a system variant -> seed -> metrics of the run.
        fingerprint: Hash of the checkpoint that provides the frozen encoders.
        checkpoint: Name of this checkpoint.
    """

    numbers: dict[str, dict[int, Numbers]]
    fingerprint: str
    checkpoint: str


def run_all(
    settings: StudySettings, model: str | None, work: Path, drawings: Path, workers: int
) -> StudyResults:
    """Perform all unfinished runs and return the results of all runs.

    Args:
        settings: Settings of the study.
        model: Name or folder of the checkpoint that provides the frozen encoders; None for the
            bundled checkpoint that was trained on drawings of garments.
        work: Folder of cached features and finished runs; a stopped study resumes from it.
        drawings: Folder for the file of training drawings; the file is created if it is missing.
        workers: Number of worker processes, each on one core; if 1, all runs use this process.
    """
    loaded = load.load(model or str(load.DRAWINGS_FOLDER))
    features = cache_features(settings, loaded, work, drawings)
    results = work / f"runs-{settings.runs_name(loaded.fingerprint)}"
    variants = all_variants(settings.wrong_texts)
    # Ordered by seed, so that a study stopped early includes all variants.
    runs = [Run(variant, seed) for seed in settings.seeds for variant in variants]
    remaining = [run for run in runs if not _file(results, run).exists()]
    done = len(runs) - len(remaining)
    with progress_bar(len(runs), "study, runs", logger, done, line_every=1) as bar:
        for run, numbers in _finished(remaining, features, settings, workers):
            write_json(_file(results, run), numbers, indent=None)
            recall, seconds = numbers["recall@1"], numbers["seconds"]
            bar.set_postfix_str(f"{run.name}: R@1 {recall:.3f} in {seconds:.0f} s", refresh=False)
            bar.update()
    by_variant: dict[str, dict[int, Numbers]] = {variant.name: {} for variant in variants}
    for run in runs:
        by_variant[run.variant.name][run.seed] = json.loads(_file(results, run).read_text())
    return StudyResults(by_variant, loaded.fingerprint, loaded.name)


def _file(folder: Path, run: Run) -> Path:
    return folder / f"{run.name}.json"


def _finished(
    runs: Sequence[Run], folder: Path, settings: StudySettings, workers: int
) -> Iterator[tuple[Run, Numbers]]:
    """Perform runs and yield each one with its metrics as soon as it is finished.

    Args:
        runs: The runs to perform.
        folder: Folder of the cached features.
        settings: Settings of the study.
        workers: Number of worker processes; if 1, this process performs the runs.
    """
    if workers == 1:
        features = load_features(folder)
        threads = torch.get_num_threads()
        # One thread, as in a worker process, so that sums are bitwise equal.
        torch.set_num_threads(1)
        try:
            for run in runs:
                yield run, run_variant(run, features, settings)
        finally:
            torch.set_num_threads(threads)
        return
    # Spawned, since a forked process would inherit torch's threads in an undefined state.
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start_worker, initargs=(folder, settings)
    ) as pool:
        # Long runs first, so that none of them runs alone at the end; seeds remain in order.
        ordered = sorted(runs, key=lambda run: (run.seed, -run.variant.cost))
        jobs = {pool.submit(_run_in_worker, run): run for run in ordered}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:  # after a failure or an interrupt, cancel the remaining runs
            pool.shutdown(cancel_futures=True)


@dataclass
class _Worker:
    """Data that a worker process loads once and uses for all its runs."""

    features: StudyFeatures
    settings: StudySettings


_worker: list[_Worker] = []


def _start_worker(folder: Path, settings: StudySettings) -> None:
    torch.set_num_threads(1)
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    _worker[:] = [_Worker(load_features(folder), settings)]


def _run_in_worker(run: Run) -> Numbers:
    (worker,) = _worker
    return run_variant(run, worker.features, worker.settings)
