"""Means and spreads over seeds, and sentences that say what the numbers allow to be said.

A difference counts where it is larger than twice its standard error, which has two sources: the
seeds, and, where the same questions were answered by both, the questions. Anything smaller is said
to be no difference that can be told from chance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any, NamedTuple

from dwc.training.study.features import StudySettings
from dwc.training.study.runs import Numbers, StudyResults
from dwc.training.study.variants import OURS, Claim, Variant, all_claims, all_variants

BySeed = Mapping[int, Numbers]
_ERRORS = 2.0  # how many standard errors a difference must exceed
_WEIGHTS = ("learned", "image_only", "text_only", "half", "best_fixed", "oracle")


class Spread(NamedTuple):
    """The mean of a number over seeds, and its standard deviation; None of one seed alone."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """At least one value."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None)


def summarize(settings: StudySettings, conducted: StudyResults) -> dict[str, Any]:
    """All that the table, the figures and the page show, as plain data."""
    variants = all_variants(settings.wrong_texts)
    rows = [_row(variant, conducted.numbers[variant.name]) for variant in variants]
    questions = all_claims(settings.wrong_texts)
    every_run = [run for by_seed in conducted.numbers.values() for run in by_seed.values()]
    return {
        "checkpoint": conducted.checkpoint,
        "fingerprint": conducted.fingerprint,
        "seeds": list(settings.seeds),
        "settings": asdict(settings),
        "core_minutes": round(sum(run["seconds"] for run in every_run) / 60, 1),
        "variants": rows,
        "verdicts": [evaluate_claim(question, conducted.numbers) for question in questions],
        "by_share": {name: _by_share(conducted.numbers[name]) for name in ("dwc", OURS)},
        "weights": {name: _weights(conducted.numbers[name]) for name in ("dwc_clip_alone", "pl")},
    }


def lookup(numbers: Numbers, path: str) -> float | None:
    """A number of a run by its dotted path; None where there is none."""
    found: Any = numbers
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return None if found is None else float(found)


def spread_of(by_seed: BySeed, path: str) -> Spread | None:
    """A number over seeds; None where a run lacks it."""
    values = [lookup(numbers, path) for numbers in by_seed.values()]
    present = [value for value in values if value is not None]
    return Spread.of(present) if values and len(present) == len(values) else None


def _row(variant: Variant, by_seed: BySeed) -> dict[str, Any]:
    """A variant with every number that its runs have."""
    paths = {f"recall@{k}": f"recall@{k}" for k in (1, 10, 50)}
    for stream in ("clip", "cnn"):
        for name in ("recall@1", "image_weight_mean", "weight_truth_correlation"):
            paths[f"{stream}.{name}"] = f"streams.{stream}.{name}"
    spreads = {name: spread_of(by_seed, path) for name, path in paths.items()}
    return {
        "name": variant.name,
        "label": variant.label,
        "families": list(variant.families),
        "wrong_share": variant.wrong_share,
        "labels": _labels(variant),
        "numbers": {name: _plain(spread) for name, spread in spreads.items() if spread},
        "recall@1_by_seed": [numbers["recall@1"] for numbers in by_seed.values()],
        "seconds": round(fmean(numbers["seconds"] for numbers in by_seed.values()), 1),
    }


def _labels(variant: Variant) -> str:
    """ "soft", "hard", or "doubted": what a system with wrong texts learned from."""
    if variant.doubt > 0:
        return "doubted"
    return "soft" if variant.alpha is None else "hard"


def _plain(spread: Spread) -> dict[str, float | None]:
    return {"mean": spread.mean, "deviation": spread.deviation}


def evaluate_claim(question: Claim, numbers: Mapping[str, BySeed]) -> dict[str, Any]:
    """Whether a claim holds, by how much, and the sentence that says so."""
    better = numbers[question.better]
    metric, worse_metric = question.metric, question.worse_metric or question.metric
    differences = []
    for seed, run in better.items():
        value = lookup(run, metric)
        other: float | None = 0.0
        if question.worse is not None:
            other = lookup(numbers[question.worse][seed], worse_metric)
        if value is None or other is None:
            return _unanswered(question, value is None)
        differences.append(value - other - question.least)
    spread = Spread.of(differences)
    error = _standard_error(question, numbers, spread, len(differences))
    margin = _ERRORS * error
    if spread.mean > margin:
        verdict = "holds"
    elif spread.mean < -margin:
        verdict = "reversed"
    else:
        verdict = "undecided"
    return {
        "claim": question.claim,
        "whose": question.whose,
        "verdict": verdict,
        "difference": spread.mean,
        "standard_error": error,
        "sentence": _sentence(question, verdict, spread.mean, error),
    }


def _unanswered(question: Claim, is_better: bool) -> dict[str, Any]:
    """A number is missing where every weight is the same, or a stream is."""
    name = question.better if is_better else question.worse
    return {
        "claim": question.claim,
        "whose": question.whose,
        "verdict": "undecided",
        "difference": None,
        "standard_error": None,
        "sentence": f"{question.claim}: cannot be told, {name} has no such number.",
    }


def _standard_error(
    question: Claim, numbers: Mapping[str, BySeed], spread: Spread, seeds: int
) -> float:
    of_seeds = 0.0 if spread.deviation is None else spread.deviation / math.sqrt(seeds)
    of_questions = 0.0
    view = {"recall@1": "together", "streams.clip.recall@1": "clip"}.get(question.metric)
    if view is not None and question.worse is not None and question.worse_metric is None:
        of_questions = _error_of_questions(numbers[question.better], numbers[question.worse], view)
    return math.hypot(of_seeds, of_questions)


def _error_of_questions(better: BySeed, worse: BySeed, view: str) -> float:
    """The standard error of the mean difference over the questions, each one's over seeds first."""
    found = [
        (better[seed]["found_first"].get(view), worse[seed]["found_first"].get(view))
        for seed in better
    ]
    if any(one is None or other is None for one, other in found):
        return 0.0
    differences = [
        fmean(int(one[place]) - int(other[place]) for one, other in found)
        for place in range(len(found[0][0]))
    ]
    return stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else 0.0


def _sentence(question: Claim, verdict: str, difference: float, error: float) -> str:
    found = difference + question.least
    asked = f", at least {question.least:g} asked" if question.least else ""
    if question.metric.endswith("recall@1"):
        asked = asked and f", at least {100 * question.least:g} asked"
        measured = f"{100 * found:+.1f} ± {100 * error:.1f} points{asked}"
    elif question.worse is None:
        measured = f"{found:.2f} ± {error:.2f}{asked}"
    else:
        measured = f"{found:+.2f} ± {error:.2f}{asked}"
    said = {
        "holds": "holds",
        "reversed": "does not hold, it is the other way round",
        "undecided": "does not hold, no difference that can be told from chance",
    }[verdict]
    if question.least and verdict != "holds":
        said = "does not hold"
    return f"{question.claim}: {said} ({measured})."


def _by_share(by_seed: BySeed) -> list[dict[str, Any]]:
    """The full system by the share that only the picture tells; empty bins are left out."""
    bins = []
    for place, first in enumerate(next(iter(by_seed.values()))["by_share"]):
        if not first["queries"]:
            continue
        alike = {seed: numbers["by_share"][place] for seed, numbers in by_seed.items()}
        row: dict[str, Any] = {key: first[key] for key in ("from", "to", "queries")}
        paths = {"recall@1": "recall@1"}
        for stream in ("clip", "cnn"):
            for name in ("image_weight_mean", "weight_truth_correlation"):
                paths[f"{stream}.{name}"] = f"streams.{stream}.{name}"
        spreads = {name: spread_of(alike, path) for name, path in paths.items()}
        row["numbers"] = {name: _plain(spread) for name, spread in spreads.items() if spread}
        bins.append(row)
    return bins


def _weights(by_seed: BySeed) -> dict[str, Any]:
    """R@1 with other weights than the learned one."""
    spreads = {name: spread_of(by_seed, f"weights.{name}.recall@1") for name in _WEIGHTS}
    return {name: _plain(spread) for name, spread in spreads.items() if spread}
