"""Results of the study: their summary, and the files that present it.

`summarize` computes means and deviations over seeds, and a verdict on each claim. `write_study`
writes `study.json`, a Markdown page with all numbers, and figures.

A difference between two system variants is significant if it exceeds twice its standard error; a
smaller difference is reported as indistinguishable from chance. The standard error has two sources:
the choice of seeds and, if the same metric of both variants is compared query by query, the choice
of queries.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from dwc.checkpoints.model_card import markdown_table
from dwc.files import write_json, write_text
from dwc.training.study.figures import draw_figures
from dwc.training.study.models import StudySettings
from dwc.training.study.runs import Numbers, StudyResults, run_all
from dwc.training.study.variants import OURS, Claim, Variant, all_claims, all_variants

BySeed = Mapping[int, Numbers]
_ERRORS = 2.0  # number of standard errors that a difference must exceed
_WEIGHTS = ("learned", "image_only", "text_only", "half", "best_fixed", "oracle")


class Spread(NamedTuple):
    """Mean of a number over seeds and its standard deviation (None for a single seed)."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return mean and standard deviation of one or more values."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None)


def summarize(settings: StudySettings, results: StudyResults) -> dict[str, Any]:
    """Return the numbers of all tables and figures as JSON-serializable data.

    Args:
        settings: Settings of the study.
        results: Metrics of all runs.

    Returns:
        The content of `study.json`: among others `variants`, the table rows; `verdicts`, the result
        of each claim; `by_share`, metrics for ranges of the true image weight (the fraction of the
        target's attributes that come from the reference image); and `weights`, R@1 (recall at 1)
        with learned, fixed and oracle image weights.
    """
    variants = all_variants(settings.wrong_texts)
    rows = [_row(variant, results.numbers[variant.name]) for variant in variants]
    claims = all_claims(settings.wrong_texts)
    every_run = [run for by_seed in results.numbers.values() for run in by_seed.values()]
    return {
        "checkpoint": results.checkpoint,
        "fingerprint": results.fingerprint,
        "seeds": list(settings.seeds),
        "settings": asdict(settings),
        "core_minutes": round(sum(run["seconds"] for run in every_run) / 60, 1),
        "variants": rows,
        "verdicts": [evaluate_claim(claim, results.numbers) for claim in claims],
        "by_share": {name: _by_share(results.numbers[name]) for name in ("dwc", OURS)},
        "weights": {name: _weights(results.numbers[name]) for name in ("dwc_clip_alone", "pl")},
    }


def lookup(numbers: Numbers, path: str) -> float | None:
    """Return the number at a dotted path of nested metrics, or None if it is missing.

    Args:
        numbers: Metrics of a run.
        path: The path, such as "streams.clip.recall@1".
    """
    value: Any = numbers
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return None if value is None else float(value)


def spread_of(by_seed: BySeed, path: str) -> Spread | None:
    """Return mean and standard deviation over seeds of the number at a dotted path.

    The result is None if a run lacks the number or if there are no runs.
    """
    values = [lookup(numbers, path) for numbers in by_seed.values()]
    present = [value for value in values if value is not None]
    return Spread.of(present) if values and len(present) == len(values) else None


def _row(variant: Variant, by_seed: BySeed) -> dict[str, Any]:
    """Return a table row with the description of a system variant and the metrics of its runs."""
    paths = {f"recall@{k}": f"recall@{k}" for k in (1, 10, 50)}
    paths |= _stream_paths(("recall@1", "image_weight_mean", "weight_truth_correlation"))
    return {
        "name": variant.name,
        "label": variant.label,
        "families": list(variant.families),
        "wrong_share": variant.wrong_share,
        "labels": _labels(variant),
        "numbers": _spreads(by_seed, paths),
        "recall@1_by_seed": [numbers["recall@1"] for numbers in by_seed.values()],
        "seconds": round(fmean(numbers["seconds"] for numbers in by_seed.values()), 1),
    }


def _stream_paths(names: Sequence[str]) -> dict[str, str]:
    """Return the dotted paths of both streams' metrics in the nested metrics of a run.

    Args:
        names: Names of metrics of a stream, such as "recall@1".

    Returns:
        "<stream>.<name>" -> path, such as "clip.recall@1" -> "streams.clip.recall@1".
    """
    return {
        f"{stream}.{name}": f"streams.{stream}.{name}"
        for stream in ("clip", "cnn")
        for name in names
    }


def _spreads(by_seed: BySeed, paths: Mapping[str, str]) -> dict[str, dict[str, float | None]]:
    """Return the mean and the standard deviation of several metrics over the seeds.

    A metric that some run lacks is left out.

    Args:
        by_seed: For each seed, the nested metrics of the run.
        paths: Name of a metric -> its dotted path, such as "streams.clip.recall@1".

    Returns:
        Name of a metric -> its "mean" and "deviation".
    """
    spreads = {name: spread_of(by_seed, path) for name, path in paths.items()}
    return {name: spread._asdict() for name, spread in spreads.items() if spread}


def _labels(variant: Variant) -> str:
    """Return the name of the loss with which a system variant is trained.

    The name is "doubted" for the generalized cross entropy (a `gce_q` above 0), and "soft" or
    "hard" for the cross entropy with soft or hard labels.
    """
    if variant.gce_q > 0:
        return "doubted"
    return "soft" if variant.alpha is None else "hard"


def evaluate_claim(claim: Claim, numbers: Mapping[str, BySeed]) -> dict[str, Any]:
    """Compare the metrics that a claim is about, and return the verdict on the claim.

    Args:
        claim: The claim.
        numbers: Name of a system variant -> seed -> metrics of the run.

    Returns:
        A dict with the keys:
        `claim`: the text of the claim.
        `whose`: the source of the claim.
        `verdict`: "holds" if `difference` is significantly above 0, "reversed" if it is
        significantly below 0, otherwise "undecided".
        `difference`: the mean over seeds of the measured difference minus `claim.least`, the
        difference that the claim requires.
        `standard_error`: the standard error of `difference`.
        `sentence`: a sentence that states the verdict.
    """
    better = numbers[claim.better]
    metric, worse_metric = claim.metric, claim.worse_metric or claim.metric
    differences = []
    for seed, run in better.items():
        value = lookup(run, metric)
        other: float | None = 0.0
        if claim.worse is not None:
            other = lookup(numbers[claim.worse][seed], worse_metric)
        if value is None or other is None:
            return _unanswered(claim, value is None)
        differences.append(value - other - claim.least)
    spread = Spread.of(differences)
    error = _standard_error(claim, numbers, spread, len(differences))
    margin = _ERRORS * error
    if spread.mean > margin:
        verdict = "holds"
    elif spread.mean < -margin:
        verdict = "reversed"
    else:
        verdict = "undecided"
    return {
        "claim": claim.text,
        "whose": claim.source,
        "verdict": verdict,
        "difference": spread.mean,
        "standard_error": error,
        "sentence": _sentence(claim, verdict, spread.mean, error),
    }


def _unanswered(claim: Claim, better_lacks_metric: bool) -> dict[str, Any]:
    """Return the verdict "undecided" on a claim whose metric one of the compared variants lacks.

    A variant that has only one stream lacks the metrics of the other stream. A variant whose image
    weights are all equal lacks the correlation of predicted and true image weights.

    Args:
        claim: The claim.
        better_lacks_metric: True if the variant `claim.better` lacks the metric, False if the
            variant `claim.worse` does.
    """
    name = claim.better if better_lacks_metric else claim.worse
    return {
        "claim": claim.text,
        "whose": claim.source,
        "verdict": "undecided",
        "difference": None,
        "standard_error": None,
        "sentence": f"{claim.text}: cannot be told, {name} has no such number.",
    }


def _standard_error(
    claim: Claim, numbers: Mapping[str, BySeed], spread: Spread, seeds: int
) -> float:
    of_seeds = 0.0 if spread.deviation is None else spread.deviation / math.sqrt(seeds)
    of_queries = 0.0
    view = {"recall@1": "together", "streams.clip.recall@1": "clip"}.get(claim.metric)
    if view is not None and claim.worse is not None and claim.worse_metric is None:
        of_queries = _error_of_queries(numbers[claim.better], numbers[claim.worse], view)
    return math.hypot(of_seeds, of_queries)


def _error_of_queries(better: BySeed, worse: BySeed, view: str) -> float:
    """Return the part of the standard error of an R@1 difference that the choice of queries causes.

    R@1 is the recall at 1. Each query's difference is first averaged over the seeds. The result is
    the standard error of the mean over queries; 0 if a run has no metrics for `view`.

    Args:
        better: Seed -> metrics of the run of the variant that is expected to be better.
        worse: Seed -> metrics of the run of the other variant.
        view: "together" for all streams together, or the name of a stream.
    """
    hits = [
        (better[seed]["found_first"].get(view), worse[seed]["found_first"].get(view))
        for seed in better
    ]
    if any(first is None or second is None for first, second in hits):
        return 0.0
    differences = [
        fmean(int(first[query]) - int(second[query]) for first, second in hits)
        for query in range(len(hits[0][0]))
    ]
    return stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else 0.0


def _sentence(claim: Claim, verdict: str, difference: float, error: float) -> str:
    measured_difference = difference + claim.least
    expected = f", at least {claim.least:g} asked" if claim.least else ""
    if claim.metric.endswith("recall@1"):
        expected = expected and f", at least {100 * claim.least:g} asked"
        measured = f"{100 * measured_difference:+.1f} ± {100 * error:.1f} points{expected}"
    elif claim.worse is None:
        measured = f"{measured_difference:.2f} ± {error:.2f}{expected}"
    else:
        measured = f"{measured_difference:+.2f} ± {error:.2f}{expected}"
    outcome = {
        "holds": "holds",
        "reversed": "does not hold, it is the other way round",
        "undecided": "does not hold, no difference that can be told from chance",
    }[verdict]
    if claim.least and verdict != "holds":
        outcome = "does not hold"
    return f"{claim.text}: {outcome} ({measured})."


def _by_share(by_seed: BySeed) -> list[dict[str, Any]]:
    """Return a system variant's metrics for each bin of true image weights that contains queries.

    The true image weight of a query is the fraction of the target's attributes that come from the
    reference image and not from the text.
    """
    bins = []
    for index, first in enumerate(next(iter(by_seed.values()))["by_share"]):
        if not first["queries"]:
            continue
        same_bin = {seed: numbers["by_share"][index] for seed, numbers in by_seed.items()}
        row: dict[str, Any] = {key: first[key] for key in ("from", "to", "queries")}
        paths = {"recall@1": "recall@1"}
        paths |= _stream_paths(("image_weight_mean", "weight_truth_correlation"))
        row["numbers"] = _spreads(same_bin, paths)
        bins.append(row)
    return bins


def _weights(by_seed: BySeed) -> dict[str, Any]:
    """Return mean and deviation over seeds of R@1 (recall at 1) for each kind of image weight.

    The kinds are: "learned", the learned weights; "image_only" (1 for every query), "text_only" (0)
    and "half" (0.5); "best_fixed", the same weight for all queries, selected on validation queries;
    and "oracle", the best weight for each query.
    """
    return _spreads(by_seed, {name: f"weights.{name}.recall@1" for name in _WEIGHTS})


_FAMILIES = {
    "dwc": "DWC, a part at a time",
    "combiner": "Ways of combining, on the same frozen CLIP",
    "pl": "PL (a reconstruction), a stage at a time",
    "noise": "Wrong texts in training",
}
_SOURCES = {
    "DWC": "What DWC's paper claims",
    "PL": "What PL's paper claims",
    "ours": "Our own questions",
}
_WEIGHT_NAMES = {
    "learned": "learned",
    "image_only": "picture only",
    "text_only": "words only",
    "half": "half and half",
    "best_fixed": "best fixed (chosen on the validation split)",
    "oracle": "best for each query (knows the answer)",
}
_BY_SHARE_NAMES = {"dwc": "DWC with all parts", OURS: "with our two changes"}
_SYSTEMS = {"dwc_clip_alone": "DWC's CLIP stream", "pl": "PL"}


def write_markdown(summary: Mapping[str, Any]) -> str:
    """Return the study's results as a Markdown page; `summary` is the result of `summarize`."""
    sections = [_how(summary), _verdicts(summary["verdicts"])]
    for family, title in _FAMILIES.items():
        rows = [row for row in summary["variants"] if family in row["families"]]
        sections.append(f"## {title}\n\n{_variants(rows)}")
    sections += [_shares(name, bins) for name, bins in summary["by_share"].items()]
    sections.append(_weights_section(summary["weights"]))
    return "\n\n".join(sections) + "\n"


def method_paragraph(summary: Mapping[str, Any]) -> str:
    """Return a Markdown paragraph on the study's method; `summary` is the result of `summarize`."""
    settings = summary["settings"]
    seeds = len(summary["seeds"])
    return (
        f"Every system learned from the same {settings['triplets']:,} triplets of drawn garments, "
        f"{settings['steps']:,} steps of {settings['batch']}, with "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}, and answered the same "
        f"{settings['queries']:,} questions to {settings['gallery']:,} unseen garments. The CLIP "
        "and the CNN stream's image tower are those of the checkpoint "
        f"{summary['checkpoint']} ({summary['fingerprint']}) and stayed frozen: what they make of "
        "pictures and texts was computed once. So this is a study of what comes behind the towers, "
        "at a small budget, not of the systems at their best."
    )


def _how(summary: Mapping[str, Any]) -> str:
    return (
        "# What the parts are worth\n\n"
        f"{method_paragraph(summary)} After each number stands its standard deviation over seeds. "
        f"`make study` reproduces it in {summary['core_minutes']:.0f} minutes of one core."
    )


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> str:
    parts = ["## What holds"]
    for source, title in _SOURCES.items():
        sentences = [
            f"- {verdict['sentence']}" for verdict in verdicts if verdict["whose"] == source
        ]
        if sentences:
            parts.append(f"### {title}\n\n" + "\n".join(sentences))
    parts.append(
        "± is one standard error; what is smaller than two of them is called no difference."
    )
    return "\n\n".join(parts)


def _variants(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        numbers = row["numbers"]
        cells = [
            percent(numbers.get("recall@1")),
            percent(numbers.get("recall@10")),
            percent(numbers.get("clip.recall@1")),
            plain(numbers.get("clip.weight_truth_correlation")),
            f"{row['seconds']:.0f}",
        ]
        lines.append([row["label"], *cells])
    header = ("", "R@1", "R@10", "CLIP stream R@1", "its weight and truth", "seconds a run")
    return markdown_table(header, lines)


def _shares(name: str, bins: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in bins:
        numbers = row["numbers"]
        cells = [
            percent(numbers.get("recall@1")),
            plain(numbers.get("clip.image_weight_mean")),
            plain(numbers.get("cnn.image_weight_mean")),
            plain(numbers.get("clip.weight_truth_correlation")),
        ]
        share = f"{row['from']:.0%} to {row['to']:.0%}".replace("%", " %")
        lines.append([share, str(row["queries"]), *cells])
    weights = "the picture's weight, CLIP", "CNN", "CLIP's and truth, inside"
    table = markdown_table(("share", "questions", "R@1", *weights), lines)
    title = f"By the share of the wish that only the picture tells, {_BY_SHARE_NAMES[name]}"
    return f"## {title}\n\n{table}"


def _weights_section(weights: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        [label, *(percent(rows.get(name)) for rows in weights.values())]
        for name, label in _WEIGHT_NAMES.items()
    ]
    table = markdown_table(("weight", *(_SYSTEMS[name] for name in weights)), lines)
    return (
        "## What the learned weight is worth\n\nR@1 of the same queries, parts as they are; only "
        f"the weight of the picture differs.\n\n{table}"
    )


def percent(spread: Mapping[str, float | None] | None) -> str:
    """Format a mean of shares (0 to 1) and its deviation in percent, such as "52.9 ± 0.4".

    The result is an empty string if there is no mean.
    """
    return _format(spread, 100, 1)


def plain(spread: Mapping[str, float | None] | None) -> str:
    """Format a mean and its deviation, such as "0.82 ± 0.01".

    The result is an empty string if there is no mean.
    """
    return _format(spread, 1, 2)


def _format(spread: Mapping[str, float | None] | None, factor: float, digits: int) -> str:
    if spread is None or spread["mean"] is None:
        return ""
    mean = f"{factor * spread['mean']:.{digits}f}"
    deviation = spread["deviation"]
    return mean if deviation is None else f"{mean} ± {factor * deviation:.{digits}f}"


FOLDER = "study"


def write_study(
    settings: StudySettings,
    model: str | None,
    work: Path,
    drawings: Path,
    out: Path,
    workers: int,
) -> Path:
    """Run the ablation study of DWC and Progressive Learning (PL), and write its results.

    Args:
        settings: Settings of the study.
        model: Name or folder of the checkpoint that provides the frozen encoders; None for the
            bundled checkpoint that was trained on drawings of garments.
        work: Folder of cached features and finished runs.
        drawings: Folder for the file of training drawings; the file is created if it is missing.
        out: Folder in which the folder `study` with the results is created.
        workers: Number of worker processes, each on one core.

    Returns:
        The folder of the results, `out/study`.
    """
    results = run_all(settings, model, work, drawings, workers)
    summary = summarize(settings, results)
    summary["how"] = method_paragraph(summary)
    folder = out / FOLDER
    for name, figure in draw_figures(summary).items():
        write_text(folder / name, figure)
    write_text(folder / "study.md", write_markdown(summary))
    write_json(folder / "study.json", summary)
    return folder
