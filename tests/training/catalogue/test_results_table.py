"""The page of results comes from a checkpoint's evaluation, and from nothing else."""

import json
from pathlib import Path

import pytest

from dwc.checkpoints import load
from dwc.cli import main

ROOT = Path(__file__).parents[3]


def test_the_page_in_the_docs_is_that_of_the_bundled_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "docs" / "results.md"
    assert main(["report", "--out", str(out)]) == 0
    assert out.read_text() == (ROOT / "assets" / "docs" / "results.md").read_text()
    numbers = json.loads((load.BUNDLED_FOLDER / "evaluation.json").read_text())
    recall = 100 * numbers["catalogue"]["recall@1"]
    assert f"| both streams | {recall:.1f} |" in out.read_text()
    assert f"fingerprint {numbers['fingerprint']}" in out.read_text()


def test_checkpoints_come_in_the_order_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "progressive-catalogue", "dwc-catalogue"]) == 0
    page = capsys.readouterr().out
    assert page.index("`progressive-catalogue`") < page.index("`dwc-catalogue`")
    assert "| the best for each query (knows the answer) |" in page


@pytest.mark.parametrize("content", [None, {"fingerprint": "0"}])
def test_a_folder_without_such_an_evaluation_is_refused(
    content: dict | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "evaluation.json").write_text(json.dumps(content))
    assert main(["report", str(tmp_path)]) == 2
    assert "python -m dwc train catalogue" in capsys.readouterr().err
