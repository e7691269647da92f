"""Files of the study's results: `study.json`, a Markdown page with all numbers, and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dwc.checkpoints.model_card import markdown_table
from dwc.files import write_json, write_text
from dwc.training.study.features import StudySettings
from dwc.training.study.figures import draw_figures
from dwc.training.study.runs import run_all
from dwc.training.study.summary import summarize
from dwc.training.study.variants import OURS

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
    """Return the Markdown page of the study for a result of `summarize`."""
    sections = [_how(summary), _verdicts(summary["verdicts"])]
    for family, title in _FAMILIES.items():
        rows = [row for row in summary["variants"] if family in row["families"]]
        sections.append(f"## {title}\n\n{_variants(rows)}")
    sections += [_shares(name, bins) for name, bins in summary["by_share"].items()]
    sections.append(_weights(summary["weights"]))
    return "\n\n".join(sections) + "\n"


def method_paragraph(summary: Mapping[str, Any]) -> str:
    """Return the page's paragraph on how the study was made, for a result of `summarize`."""
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


def _weights(weights: Mapping[str, Mapping[str, Any]]) -> str:
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
    """Format a mean and its deviation, such as "0.82 ± 0.01"; an empty string without a mean."""
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
    """Run the study with `run_all` and write its results.

    Args:
        settings: Settings of the study.
        model: Checkpoint that provides the frozen encoders; None means the checkpoint of drawings.
        work: Folder of cached features and finished runs.
        drawings: Folder of the pool of drawings, which are created if missing.
        out: Parent of the results' folder `study`.
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
