"""Section with the results of the ablation study of DWC and Progressive Learning (PL).

To measure the contribution of a part of a model, the study trains the model with and without that
part. If the file with the study's results is missing, the section is empty.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dwc.files import asset_path
from dwc.ui.format import escape

logger = logging.getLogger(__name__)

STUDY_FILE = asset_path("study", "study.json")
"""The file with the study's results, which the command `python -m dwc study` writes."""

_FAMILIES = {
    "dwc": "DWC, a part at a time",
    "combiner": "Ways of combining, on the same frozen CLIP",
    "pl": "PL (our reconstruction), a stage at a time",
    "noise": "Some of the texts in training were wrong",
}
_WHOSE = {
    "DWC": "What DWC’s paper claims",
    "PL": "What PL’s paper claims",
    "ours": "Our own questions",
}
_WEIGHT_NAMES = {
    "learned": "the learned weight",
    "image_only": "picture only",
    "text_only": "words only",
    "half": "half and half",
    "best_fixed": "the best fixed one",
    "oracle": "the best for each question, knowing the answer",
}
_SHARED = {"dwc": "DWC with all parts", "dwc_ours": "with our two changes"}
_SYSTEMS = {"dwc_clip_alone": "DWC’s CLIP stream", "pl": "PL"}

Spread = Mapping[str, float | None]


def read_study(file: Path = STUDY_FILE) -> dict[str, Any] | None:
    """Return the results of the ablation study, read from the output of `python -m dwc study`.

    The result is None if the file does not exist, cannot be read, or does not contain a dict.
    """
    if not file.is_file():
        return None
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        logger.warning("no study is shown: %s cannot be read (%s); make study", file, error)
        return None
    return summary if isinstance(summary, dict) else None


def render_study_file(file: Path = STUDY_FILE) -> str:
    """Return the HTML of the section with the ablation study's results, read from a file.

    The result is empty if the file cannot be read.
    """
    summary = read_study(file)
    return "" if summary is None else render_study(summary)


def render_study(summary: Mapping[str, Any]) -> str:
    """Return the HTML of the section with the results of the ablation study, collapsed at first.

    Args:
        summary: The study's results, as `read_study` returns them.
    """
    families = "".join(
        _family(title, [row for row in summary["variants"] if family in row["families"]])
        for family, title in _FAMILIES.items()
    )
    shares = "".join(_shares(name, bins) for name, bins in summary["by_share"].items())
    return (
        '<details class="study"><summary><h2>What the parts are worth</h2></summary>'
        f'<p class="hint">{escape(summary["how"])}</p>'
        f"{_verdicts(summary['verdicts'])}"
        '<p class="hint">R@1 is the share of questions whose first result fits. Behind it stands '
        "how much it differed between runs that began otherwise.</p>"
        f"{families}{shares}{_weights(summary['weights'])}</details>"
    )


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for whose, title in _WHOSE.items():
        items = "".join(
            f'<li class="{"holds" if verdict["verdict"] == "holds" else "fails"}">'
            f"{escape(verdict['sentence'])}</li>"
            for verdict in verdicts
            if verdict["whose"] == whose
        )
        if items:
            parts.append(f'<h3>{title}</h3><ul class="verdicts">{items}</ul>')
    return "".join(parts)


def _family(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML of a table of models; each row shows a model's R@1 as a bar and as a number.

    R@1 (recall at 1) is the fraction of queries whose first result is correct. The bars are scaled
    so that the longest bar, that of the best model, fills its column.

    Args:
        title: The title of the table.
        rows: The models, each with a `label` and with `numbers`, its results by metric.
    """
    if not rows:
        return ""
    top = max(row["numbers"]["recall@1"]["mean"] for row in rows) or 1.0
    body = "".join(
        f'<tr><th scope="row">{escape(row["label"])}</th>'
        f'<td class="worth" aria-hidden="true"><i style="width:'
        f'{100 * row["numbers"]["recall@1"]["mean"] / top:.1f}%"></i></td>'
        f"<td>{percent(row['numbers']['recall@1'])}</td></tr>"
        for row in rows
    )
    return _table(title, ("", "", "R@1"), body)


def _shares(name: str, bins: Sequence[Mapping[str, Any]]) -> str:
    body = "".join(
        f'<tr><th scope="row">{100 * row["from"]:.0f} to {100 * row["to"]:.0f}&nbsp;%</th>'
        f"<td>{percent(row['numbers'].get('recall@1'))}</td>"
        f"<td>{percent(row['numbers'].get('clip.image_weight_mean'))}</td>"
        f"<td>{percent(row['numbers'].get('cnn.image_weight_mean'))}</td></tr>"
        for row in bins
    )
    heads = ("of the wish", "R@1", "picture’s weight, CLIP", "CNN")
    title = f"By how much of the wish only the picture tells, {_SHARED.get(name, name)}"
    return _table(title, heads, body)


def _weights(weights: Mapping[str, Mapping[str, Spread]]) -> str:
    body = "".join(
        f'<tr><th scope="row">{label}</th>'
        + "".join(f"<td>{percent(rows.get(name))}</td>" for rows in weights.values())
        + "</tr>"
        for name, label in _WEIGHT_NAMES.items()
    )
    heads = ("R@1 with", *(_SYSTEMS.get(name, name) for name in weights))
    return _table("The same questions, weighed otherwise", heads, body)


def _table(title: str, heads: Sequence[str], body: str) -> str:
    cells = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return (
        f"<table><caption>{escape(title)}</caption><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def percent(spread: Spread | None) -> str:
    """Format a share in percent, such as `52.9 ± 0.4`, where 0.4 is the standard deviation.

    Args:
        spread: A dict with the `mean` and the standard `deviation` of the share over several
            training runs, in [0, 1]. If the deviation is None, it is omitted. If the mean or
            `spread` is None, the result is a dash.
    """
    if spread is None or spread["mean"] is None:
        return "–"
    mean, deviation = f"{100 * spread['mean']:.1f}", spread["deviation"]
    return mean if deviation is None else f"{mean} <small>± {100 * deviation:.1f}</small>"
