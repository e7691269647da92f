"""The study's summary as Markdown: what was done, what holds, and every number.

The study, conducted and written: `study.json`, a table and the figures.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
_WHOSE = {
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
    "oracle": "best for each question (knows the answer)",
}
_SHARED = {"dwc": "DWC with all parts", OURS: "with our two changes"}
_SYSTEMS = {"dwc_clip_alone": "DWC's CLIP stream", "pl": "PL"}


def write_markdown(summary: Mapping[str, Any]) -> str:
    """The whole document."""
    sections = [_how(summary), _verdicts(summary["verdicts"])]
    for family, title in _FAMILIES.items():
        rows = [row for row in summary["variants"] if family in row["families"]]
        sections.append(f"## {title}\n\n{_variants(rows)}")
    sections += [_shares(name, bins) for name, bins in summary["by_share"].items()]
    sections.append(_weights(summary["weights"]))
    return "\n\n".join(sections) + "\n"


def method_paragraph(summary: Mapping[str, Any]) -> str:
    """One paragraph: data, budget, what was frozen; the page says it, too."""
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
    for whose, title in _WHOSE.items():
        said = [f"- {verdict['sentence']}" for verdict in verdicts if verdict["whose"] == whose]
        if said:
            parts.append(f"### {title}\n\n" + "\n".join(said))
    parts.append(
        "± is one standard error; what is smaller than two of them is called no difference."
    )
    return "\n\n".join(parts)


def _variants(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "| | R@1 | R@10 | CLIP stream R@1 | its weight and truth | seconds a run |"
    lines = [head, "|---|---|---|---|---|---|"]
    for row in rows:
        numbers = row["numbers"]
        cells = [
            percent(numbers.get("recall@1")),
            percent(numbers.get("recall@10")),
            percent(numbers.get("clip.recall@1")),
            plain(numbers.get("clip.weight_truth_correlation")),
            f"{row['seconds']:.0f}",
        ]
        lines.append(f"| {row['label']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shares(name: str, bins: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| share | questions | R@1 | the picture's weight, CLIP | CNN | CLIP's and truth, inside |",
        "|---|---|---|---|---|---|",
    ]
    for row in bins:
        numbers = row["numbers"]
        cells = [
            percent(numbers.get("recall@1")),
            plain(numbers.get("clip.image_weight_mean")),
            plain(numbers.get("cnn.image_weight_mean")),
            plain(numbers.get("clip.weight_truth_correlation")),
        ]
        share = f"{row['from']:.0%} to {row['to']:.0%}".replace("%", " %")
        lines.append(f"| {share} | {row['queries']} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    return f"## By the share of the wish that only the picture tells, {_SHARED[name]}\n\n{table}"


def _weights(weights: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"| weight | {' | '.join(_SYSTEMS[name] for name in weights)} |"]
    lines.append("|---|" + "---|" * len(weights))
    for name, label in _WEIGHT_NAMES.items():
        cells = [percent(rows.get(name)) for rows in weights.values()]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    return (
        "## What the learned weight is worth\n\nR@1 of the same queries, parts as they are; only "
        f"the weight of the picture differs.\n\n{table}"
    )


def percent(spread: Mapping[str, float | None] | None) -> str:
    """A share and its deviation in percent; empty where there is none."""
    return _shown(spread, 100, 1)


def plain(spread: Mapping[str, float | None] | None) -> str:
    """A number and its deviation; empty where there is none."""
    return _shown(spread, 1, 2)


def _shown(spread: Mapping[str, float | None] | None, factor: float, digits: int) -> str:
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
    """Conduct the study and write it into `out`/study; the folder. See `conduct`."""
    conducted = run_all(settings, model, work, drawings, workers)
    summary = summarize(settings, conducted)
    summary["how"] = method_paragraph(summary)
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in draw_figures(summary).items():
        (folder / name).write_text(drawing)
    (folder / "study.md").write_text(write_markdown(summary))
    (folder / "study.json").write_text(json.dumps(summary, indent=2) + "\n")
    return folder
