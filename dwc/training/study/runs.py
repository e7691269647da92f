"""All runs of the study, over several processes; each is kept when done, and not run again."""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from dwc.checkpoints import load
from dwc.training.study.features import StudyFeatures, StudySettings, cache_features, read
from dwc.training.study.run_variant import run_variant
from dwc.training.study.variants import Run, all_variants

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
        features = read(folder)
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
    _worker[:] = [_Worker(read(folder), settings)]


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
