"""A benchmark on what there is of its pictures: what is lost, and how it is counted."""

from pathlib import Path

import pytest
from PIL import Image

from dwc.datasets.annotation_files import NamedImages
from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.errors import DatasetError
from dwc.evaluation.retrieval import BenchmarkResult, evaluate_files
from tests.evaluation.made import WORLD, Asked, check_recalls, write_pictures

GALLERY = [f"g{n}" for n in range(30)]
OUTSIDE = ["r0", "r1"]  # references that are not in the gallery
ASKED = [
    Asked("r0", "are red", {"g1", "g2"}),
    Asked("r1", "are blue", {"g3"}),
    Asked("g4", "are so green", {"g5"}),
    Asked("g6", "are so very green", {"g7", "g8"}),
]


def run(root: Path, queries: int | None = None) -> BenchmarkResult:
    asked = tuple(RetrievalQuery(a.reference, (a.text,), frozenset(a.hits)) for a in ASKED)
    whole = Benchmark("made", tuple(GALLERY), asked, notes={"a": "b"})
    return evaluate_files(whole, NamedImages([root / "images"], "the"), *WORLD, queries=queries)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_pictures(tmp_path, {name: f"images/{name}.png" for name in GALLERY + OUTSIDE})
    return tmp_path


def lose(root: Path, *names: str) -> None:
    for name in names:
        (root / "images" / f"{name}.png").unlink()


def test_a_whole_one(root: Path) -> None:
    summary = run(root).to_dict()
    check_recalls(summary, ASKED, GALLERY)
    assert (summary["comparable"], summary["missing"], summary["notes"]) == (True, 0, {"a": "b"})


def test_a_reference_outside_the_gallery_may_be_missing_too(root: Path) -> None:
    lose(root, "r0")
    summary = run(root).to_dict()
    check_recalls(summary, ASKED[1:], GALLERY)
    assert summary["comparable"] is False
    assert summary["coverage"]["queries"] == pytest.approx(3 / 4)
    assert summary["coverage"]["gallery"] == 1
    assert summary["comparability"].startswith("not comparable")


def test_a_query_loses_some_hits_or_all(root: Path) -> None:
    lose(root, "g1", "g3")
    summary = run(root).to_dict()
    kept = [ASKED[0]._replace(hits={"g2"}), *ASKED[2:]]
    check_recalls(summary, kept, [name for name in GALLERY if name not in ("g1", "g3")])
    assert summary["missing_pictures"] == ["g1", "g3"]


def test_what_cannot_be_read_counts_as_missing_and_apart(root: Path) -> None:
    lose(root, "g1", "g5")
    (root / "images" / "g5.png").write_bytes(b"")
    measured = run(root)
    summary = measured.to_dict()
    assert (summary["missing"], summary["unreadable"], summary["queries"]) == (2, 1, 3)
    assert "is empty" in measured.encoded.unreadable["g5"]


def test_placeholders_of_missing_pictures_cannot_be_read(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lose(root, "g1", "g5")
    identical = run(root).to_dict()["identical_pictures"]
    for name, size in (("g1", (1, 1)), ("g5", (40, 2))):  # 40 x 2 is decoded as 2 x 2
        Image.new("RGB", size, "white").save(root / "images" / f"{name}.png")
    measured = run(root)
    summary = measured.to_dict()
    assert (summary["unreadable"], summary["missing_pictures"]) == (2, ["g1", "g5"])
    assert summary["identical_pictures"] == identical
    assert "has 1 x 1 pixels" in measured.encoded.unreadable["g1"]
    assert "has 40 x 2 pixels" in measured.encoded.unreadable["g5"]
    assert "skipped: g1: has 1 x 1 pixels" in caplog.text


def test_a_draw_is_counted_against_what_is_left(root: Path) -> None:
    lose(root, "g4")
    coverage = run(root, queries=2).coverage
    assert (coverage.evaluated, coverage.queries, coverage.all_queries) == (2, 3, 4)
    assert not coverage.comparable


def test_nothing_there_is_an_error(root: Path) -> None:
    lose(root, *GALLERY, *OUTSIDE)
    with pytest.raises(DatasetError, match="no pictures"):
        run(root)
