"""Verdicts follow from numbers, and every number shown is one of the summary's."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from dwc.training.study.figures import PlotLine, PlotRow, draw_figures, draw_lines, draw_rows
from dwc.training.study.report import evaluate_claim, summarize, write_markdown
from dwc.training.study.runs import StudyResults
from dwc.training.study.variants import Claim, all_variants
from tests.training.study.made import TINY

QUESTIONS = 400


def run_of(recall: float, correlation: float | None = 0.5, streams: tuple = ("clip",)) -> Any:
    """A run's numbers as `run_variant` gives them, the first questions found."""
    found = "1" * round(recall * QUESTIONS)
    found += "0" * (QUESTIONS - len(found))
    recalls = {"recall@1": recall, "recall@10": recall, "recall@50": recall}
    told = {**recalls, "image_weight_mean": 0.4, "weight_truth_correlation": correlation}
    numbers = {"queries": QUESTIONS, **recalls, "streams": dict.fromkeys(streams, told)}
    return {
        **numbers,
        "by_share": [{"from": 0.0, "to": 0.5, **numbers}, {"from": 0.5, "to": 1.0, **numbers}],
        "found_first": dict.fromkeys(("together", *streams), found),
        "weights": {"learned": {"recall@1": recall / 2}, "best_fixed": {"recall@1": recall / 3}},
        "seconds": 12.0,
    }


def asked(better: list[float], worse: list[float]) -> dict[str, Any]:
    numbers = {
        "one": {seed: run_of(value) for seed, value in enumerate(better)},
        "other": {seed: run_of(value) for seed, value in enumerate(worse)},
    }
    return evaluate_claim(Claim("It helps", "one", "other"), numbers)


@pytest.mark.parametrize(
    ("better", "worse", "verdict", "said"),
    [
        ([0.60, 0.61, 0.60], [0.50, 0.51, 0.50], "holds", "It helps: holds (+10.0 ±"),
        ([0.50, 0.51, 0.50], [0.60, 0.61, 0.60], "reversed", "does not hold, it is the other way"),
        ([0.50, 0.60, 0.50], [0.52, 0.52, 0.52], "undecided", "no difference that can be told"),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "undecided", "(+0.0 ± 0.0 points)"),
    ],
)
def test_the_sentence_follows_from_the_difference(
    better: list[float], worse: list[float], verdict: str, said: str
) -> None:
    found = asked(better, worse)
    assert found["verdict"] == verdict
    assert said in found["sentence"]
    assert found["difference"] == pytest.approx(sum(better) / 3 - sum(worse) / 3)


def test_queries_contribute_to_the_standard_error() -> None:
    """Seeds that agree entirely do not make three questions of four hundred a difference."""
    close = asked([0.5075, 0.5075], [0.50, 0.50])
    assert close["verdict"] == "undecided"
    assert close["standard_error"] == pytest.approx(0.00432, abs=1e-4)
    assert asked([0.55, 0.55], [0.50, 0.50])["verdict"] == "holds"


def test_a_weight_follows_the_truth_from_the_given_correlation_on() -> None:
    question = Claim("It follows", "one", None, "streams.clip.weight_truth_correlation", least=0.3)

    def told(*values: float | None) -> dict[str, Any]:
        runs = {seed: run_of(0.5, value) for seed, value in enumerate(values)}
        return evaluate_claim(question, {"one": runs})

    assert told(0.7, 0.72)["sentence"] == "It follows: holds (0.71 ± 0.01, at least 0.3 asked)."
    assert told(0.1, 0.12)["sentence"].startswith("It follows: does not hold (0.11")
    assert told(None, None)["verdict"] == "undecided"
    assert "one has no such number" in told(None, None)["sentence"]


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (0.58, "It costs little: holds (-2.0 ± 0.7 points, at least -5 asked)."),
        (0.50, "It costs little: does not hold (-10.0 ± 1.5 points, at least -5 asked)."),
    ],
)
def test_a_cost_is_compared_with_its_limit(left: float, said: str) -> None:
    numbers = {"wrong": {0: run_of(left)}, "clean": {0: run_of(0.6)}}
    question = Claim("It costs little", "wrong", "clean", source="ours", least=-0.05)
    assert evaluate_claim(question, numbers)["sentence"] == said


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    numbers = {}
    for place, variant in enumerate(all_variants(TINY.wrong_texts)):
        streams = variant.streams
        numbers[variant.name] = {
            seed: run_of((place + 10 + seed) / 100, 0.5, streams) for seed in TINY.seeds
        }
    return {**summarize(TINY, StudyResults(numbers, "0123456789ab", "a-model")), "how": ""}


def test_the_summary_has_every_variant_with_mean_and_deviation(summary: dict[str, Any]) -> None:
    rows = summary["variants"]
    assert [row["name"] for row in rows] == [v.name for v in all_variants(TINY.wrong_texts)]
    first = rows[0]["numbers"]["recall@1"]
    assert first["mean"] == pytest.approx(0.105)
    assert first["deviation"] == pytest.approx(0.00707, abs=1e-4)
    assert "cnn.recall@1" in rows[0]["numbers"]
    assert set(summary["weights"]) == {"dwc_clip_alone", "pl"}
    assert summary["core_minutes"] == pytest.approx(len(rows) * 2 * 12 / 60, abs=0.1)


def test_the_tables_have_every_variant_and_verdict(summary: dict[str, Any]) -> None:
    text = write_markdown(summary)
    for row in summary["variants"]:
        assert f"| {row['label']} | {100 * row['numbers']['recall@1']['mean']:.1f} ± 0.7 |" in text
    for verdict in summary["verdicts"]:
        assert f"- {verdict['sentence']}" in text
    assert "0123456789ab" in text
    assert "small budget" in text


def test_figures_are_valid_and_have_their_numbers(summary: dict[str, Any]) -> None:
    figures = draw_figures(summary)
    assert set(figures) == {
        "dwc.svg", "combiner.svg", "pl.svg", "noise.svg", "share.svg",
        "weight_dwc.svg", "weight_dwc_ours.svg",
    }  # fmt: skip
    for drawing in figures.values():
        ElementTree.fromstring(drawing)
        assert "prefers-color-scheme: dark" in drawing
    for row in summary["variants"]:
        for family in {"dwc", "combiner", "pl"} & set(row["families"]):
            assert (
                f">{100 * row['numbers']['recall@1']['mean']:.1f}</text>"
                in figures[f"{family}.svg"]
            )


def test_wrong_texts_have_a_line_for_each_kind_of_label(summary: dict[str, Any]) -> None:
    drawing = ElementTree.fromstring(draw_figures(summary)["noise.svg"])
    lines = list(drawing.iter("{http://www.w3.org/2000/svg}polyline"))
    assert [line.get("class") for line in lines] == ["first", "second", "third"]
    assert {len((line.get("points") or "").split()) for line in lines} == {len(TINY.wrong_texts)}


def test_a_dot_is_at_its_value() -> None:
    drawing = draw_rows(
        "a < b", [PlotRow("one", 50.0, 5.0, [45.0, 55.0]), PlotRow("two", 25.0, 0.0, [25])]
    )
    tree = ElementTree.fromstring(drawing)
    circles = tree.iter("{http://www.w3.org/2000/svg}circle")
    places = [float(circle.get("cx", "nan")) for circle in circles]
    assert places[0] < places[2] < places[1]
    grid = next(tree.iter("{http://www.w3.org/2000/svg}line"))
    left = float(grid.get("x1", "nan"))  # where 0 is
    assert places[2] - left == pytest.approx(2 * (places[4] - left), abs=0.2)
    assert "a &lt; b" in drawing


def test_a_line_without_points_is_left_out() -> None:
    drawing = draw_lines(
        "t", "x", [PlotLine("gone", "first", []), PlotLine("there", "second", [(0, 1.0)])]
    )
    assert "there" in drawing
    assert "gone" not in drawing
