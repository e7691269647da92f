"""The page's section of the study: there with its numbers, or not there at all."""

import html
import json
from pathlib import Path
from typing import Any

import pytest

from dwc.training.study.report import summarize
from dwc.training.study.runs import StudyResults
from dwc.training.study.variants import all_variants
from dwc.ui.panels.study import percent, read_study, render_study, render_study_file
from tests.training.study.made import TINY
from tests.training.study.test_study_summary import run_of


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    numbers = {
        variant.name: {
            seed: run_of((place + 10 + seed) / 100, 0.5, variant.streams) for seed in TINY.seeds
        }
        for place, variant in enumerate(all_variants(TINY.wrong_texts))
    }
    made = summarize(TINY, StudyResults(numbers, "0123456789ab", "a-model"))
    return {**made, "how": "How <it> was made."}


def test_every_verdict_and_variant_is_shown(summary: dict[str, Any]) -> None:
    shown = html.unescape(render_study(summary))
    for verdict in summary["verdicts"]:
        mark = "holds" if verdict["verdict"] == "holds" else "fails"
        assert f'<li class="{mark}">{verdict["sentence"]}</li>' in shown
    for row in summary["variants"]:
        label = f'<th scope="row">{row["label"]}</th><td class="worth"'
        assert shown.count(label) == len(row["families"])
        assert percent(row["numbers"]["recall@1"]) in shown


def test_what_a_file_says_is_text(summary: dict[str, Any]) -> None:
    assert "How &lt;it&gt; was made." in render_study(summary)


def test_the_longest_bar_is_the_best(summary: dict[str, Any]) -> None:
    shown = render_study(summary)
    assert shown.count('style="width:100.0%"') == 4  # one in each family
    assert "width:0.0%" not in shown


def test_a_number_that_is_not_there_is_a_dash() -> None:
    assert percent(None) == "–"
    assert percent({"mean": 0.5, "deviation": None}) == "50.0"
    assert percent({"mean": 0.5, "deviation": 0.01}) == "50.0 <small>± 1.0</small>"


def test_without_a_study_there_is_no_section(tmp_path: Path, summary: dict[str, Any]) -> None:
    file = tmp_path / "study.json"

    assert render_study_file(file) == ""
    file.write_text("{broken")
    assert read_study(file) is None
    assert render_study_file(file) == ""
    file.write_text(json.dumps(summary))
    assert "What the parts are worth" in render_study_file(file)
