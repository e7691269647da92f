"""Shoes over generated pictures: each number against a naive ranker, duplicates and self pairs."""

import json
import os
import random
from pathlib import Path

import pytest

from dwc.errors import DatasetError
from dwc.evaluation.benchmarks import evaluate_benchmark
from tests.evaluation.made import (
    WORLD,
    Asked,
    check_recalls,
    naive_rank,
    naive_recall,
    write_pictures,
)

NAMES = [f"img_womens_clogs_{n}.jpg" for n in range(80)]
TREES = ("womens_clogs/0/", "attributedata/womens_clogs/3/", "images/womens_clogs/", "images/")


def write(root: Path, tree: str = TREES[0]) -> list[Asked]:
    """60 pairs over 80 pictures, the last of one picture; the pairs once, in order."""
    rng = random.Random(0)
    pairs = [rng.sample(NAMES, 2) for _ in range(59)] + [[NAMES[7], NAMES[7]]]
    asked = [Asked(one, "are red" + "r" * (n % 9), {two}) for n, (one, two) in enumerate(pairs)]
    entries = [
        {"ReferenceImageName": a.reference, "RelativeCaption": f" {a.text} ", "ImageName": target}
        for a in asked
        for target in a.hits
    ]
    (root / "relative_captions_shoes.json").write_text(json.dumps(entries))
    (root / "eval_im_names.txt").write_text("\n".join(NAMES))
    (root / "train_im_names.txt").write_text("other.jpg")
    write_pictures(root, {name: tree + name for name in NAMES})
    return asked


def test_blank_captions_are_counted_logged_and_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path)
    file = tmp_path / "relative_captions_shoes.json"
    entries = json.loads(file.read_text())
    entries[0]["RelativeCaption"] = " "
    file.write_text(json.dumps(entries))
    report = evaluate_benchmark("shoes", *WORLD, tmp_path)
    assert report["blank_captions"] == 2  # a pair is two queries
    message = "shoes-test-twice: 2 captions of the queries are blank, in the published split 0"
    assert message in report["comparability"]
    assert caplog.text.count("captions_shoes.json, test: 1 captions are blank") == 1


def twice(asked: list[Asked]) -> list[Asked]:
    return [one for one in asked for _ in range(1 if one.reference in one.hits else 2)]


@pytest.mark.parametrize("tree", TREES)
def test_the_numbers_are_the_naive_rankers_in_every_tree(tmp_path: Path, tree: str) -> None:
    asked = write(tmp_path, tree)
    report = evaluate_benchmark("shoes", *WORLD, tmp_path)
    check_recalls(report, twice(asked), NAMES)
    once = report["each_pair_once"]
    ranks = [naive_rank(one, NAMES) for one in asked]
    assert once["queries"] == 60
    for k in (1, 10, 50):
        assert once[f"recall@{k}"] == pytest.approx(naive_recall(ranks, k))
    assert report["protocol"] == "shoes-test-twice"
    assert report["comparable"] is False
    assert "have 119 queries, the published split 3,521" in report["comparability"]
    assert "have 80 gallery pictures, the published split 4,658" in report["comparability"]


def test_a_pair_of_one_picture_is_never_found(tmp_path: Path) -> None:
    asked = write(tmp_path)
    (tmp_path / "relative_captions_shoes.json").write_text(
        json.dumps(
            [{"ReferenceImageName": NAMES[7], "RelativeCaption": "same", "ImageName": NAMES[7]}]
        )
    )
    (tmp_path / "eval_im_names.txt").write_text("\n".join(NAMES[5:10]))
    report = evaluate_benchmark("shoes", *WORLD, tmp_path)
    assert (report["queries"], report["gallery"]) == (1, 5)
    assert report["recall@50"] == 0  # although the gallery has only five
    assert NAMES[7] in report["notes"].values()
    assert asked[-1].hits == {NAMES[7]}


def test_missing_and_broken_pictures_are_counted(tmp_path: Path) -> None:
    asked = write(tmp_path)
    gone, broken = asked[0].reference, asked[1].reference
    (tmp_path / TREES[0] / gone).unlink()
    (tmp_path / TREES[0] / broken).unlink()
    (tmp_path / TREES[0] / broken).write_text("<html>404</html>")
    report = evaluate_benchmark("shoes", *WORLD, tmp_path)
    left = [name for name in NAMES if name not in (gone, broken)]
    kept = [a for a in asked if {a.reference, *a.hits} <= set(left)]
    check_recalls(report, twice(kept), left)
    assert (report["missing"], report["unreadable"]) == (2, 1)
    assert report["missing_pictures"] == [gone, broken]
    assert report["comparable"] is False
    assert report["coverage"]["queries"] == pytest.approx(len(twice(kept)) / len(twice(asked)))
    assert report["coverage"]["gallery"] == pytest.approx(78 / 80)
    assert report["each_pair_once"]["queries"] == len(kept)
    assert "78 of 80 gallery pictures (97.5%)" in report["comparability"]


def test_no_picture_at_all_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/")
    with pytest.raises(DatasetError, match=r"no pictures such as .*holds .*elsewhere.*put Shoes"):
        evaluate_benchmark("shoes", *WORLD, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
def test_the_real_annotations(tmp_path: Path) -> None:
    real = Path(os.environ["DWC_TEST_DATA"]) / "shoes"
    for path in real.iterdir():
        (tmp_path / path.name).symlink_to(path)
    gallery = (real / "eval_im_names.txt").read_text().split()
    places = {name: f"{name.removeprefix('img_').rpartition('_')[0]}/0/{name}" for name in gallery}
    write_pictures(tmp_path, places)
    listed = set(gallery)
    asked = [
        Asked(e["ReferenceImageName"], e["RelativeCaption"].strip(), {e["ImageName"]})
        for e in json.loads((real / "relative_captions_shoes.json").read_text())
        if {e["ReferenceImageName"], e["ImageName"]} <= listed
    ]
    report = evaluate_benchmark("shoes", *WORLD, tmp_path)
    assert (report["gallery"], report["queries"]) == (4658, 3521)
    assert report["each_pair_once"]["queries"] == len(asked) == 1761
    assert report["comparable"] is True
    ranks = [naive_rank(one, gallery) for one in asked]
    weights = [1 if one.reference in one.hits else 2 for one in asked]
    for k in (1, 10, 50):
        assert report["each_pair_once"][f"recall@{k}"] == pytest.approx(naive_recall(ranks, k))
        found = sum(weight for rank, weight in zip(ranks, weights, strict=True) if rank <= k)
        assert report[f"recall@{k}"] == pytest.approx(found / 3521)
