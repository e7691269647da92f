"""CSS3D over generated pictures, against a naive ranker."""

import random
from pathlib import Path

import numpy as np
import pytest

from dwc.datasets.css3d import FILE
from dwc.errors import DatasetError
from dwc.evaluation.benchmarks import evaluate_benchmark
from tests.datasets.test_restricted_pickle import save
from tests.evaluation.made import WORLD, Asked, check_recalls, write_pictures

SCENES = [f"css_test_{n:06d}" for n in range(70)]
LABELS = [n % 50 for n in range(70)]


def write(root: Path, base: str = "images/") -> list[Asked]:
    """70 scenes, 20 of which show what another does, and 30 modifications of two scenes each."""
    rng = random.Random(0)
    changes = [(f"make {n * 'x'} red", rng.sample(range(70), 4)) for n in range(30)]
    mods = [{"from": four[:2], "to": np.array(four[2:]), "to_str": s} for s, four in changes]
    split = {"objects_img": [[] for _ in SCENES], "labels": LABELS, "mods": mods}
    save(root / FILE, {"train": split, "test": split})
    write_pictures(root, {name: f"{base}{name}.png" for name in SCENES})
    return [
        Asked(SCENES[before], words, alike(after))
        for words, four in changes
        for before, after in ((four[0], four[2]), (four[1], four[3]))
    ]


def alike(scene: int) -> list[str]:
    return [name for name, label in zip(SCENES, LABELS, strict=True) if label == LABELS[scene]]


@pytest.mark.parametrize("base", ["images/", ""])
def test_the_numbers_are_the_naive_rankers(tmp_path: Path, base: str) -> None:
    asked = write(tmp_path, base)
    report = evaluate_benchmark("css3d", *WORLD, tmp_path)
    check_recalls(report, asked, SCENES)
    assert report["protocol"] == "css3d-test"
    assert report["comparable"] is True


def test_blank_texts_are_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path)
    mods = [{"from": [0, 1], "to": [2, 3], "to_str": ""}, {"from": [4], "to": [5], "to_str": "x"}]
    split = {"objects_img": [[] for _ in SCENES], "labels": LABELS, "mods": mods}
    save(tmp_path / FILE, {"test": split})
    assert evaluate_benchmark("css3d", *WORLD, tmp_path)["blank_captions"] == 2
    assert caplog.text.count(f"{FILE}, test: 2 captions are blank") == 1


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    asked = write(tmp_path)
    gone = asked[0].reference
    (tmp_path / "images" / f"{gone}.png").unlink()
    report = evaluate_benchmark("css3d", *WORLD, tmp_path)
    left = [name for name in SCENES if name != gone]
    kept = [
        one._replace(hits=[hit for hit in one.hits if hit != gone])
        for one in asked
        if one.reference != gone and set(one.hits) != {gone}
    ]
    check_recalls(report, kept, left)
    assert (report["missing"], report["comparable"]) == (1, False)


def test_an_unknown_layout_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").touch()
    with pytest.raises(DatasetError, match=r"is missing \(.* holds readme\.txt\).*Name the folder"):
        evaluate_benchmark("css3d", *WORLD, tmp_path)
