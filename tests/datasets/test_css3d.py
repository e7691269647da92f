from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwc.datasets.css3d import FILE, css3d_benchmark, css3d_images, css3d_triplets
from dwc.datasets.triplets import Triplet
from dwc.errors import DatasetError
from tests.datasets.test_restricted_pickle import save


def split(**changed: Any) -> dict[str, Any]:
    return {
        "objects_img": [[{"shape": "cube"}]] * 5,
        "labels": [7, 8, 8, 9, 7],
        "mods": [
            {"from": [0, 4], "to": [1, 3], "to_str": "make blue"},
            {"from": np.array([3]), "to": np.array([0]), "to_str": np.str_("add cube")},
        ],
    } | changed


def write(root: Path, **changed: Any) -> Path:
    save(root / FILE, {"train": split(), "test": split(**changed)})
    return root


def test_the_benchmark(tmp_path: Path) -> None:
    made = css3d_benchmark(write(tmp_path))
    assert made.protocol == "css3d-test"
    assert made.reference_removed
    assert made.gallery == tuple(f"css_test_{n:06d}" for n in range(5))
    assert [(q.reference, q.captions, sorted(q.hits)) for q in made.queries] == [
        ("css_test_000000", ("make blue",), ["css_test_000001", "css_test_000002"]),
        ("css_test_000004", ("make blue",), ["css_test_000003"]),
        ("css_test_000003", ("add cube",), ["css_test_000000", "css_test_000004"]),
    ]


def test_triplets(tmp_path: Path) -> None:
    assert css3d_triplets(write(tmp_path), "train")[1] == Triplet(
        "css_train_000004", ("make blue",), "css_train_000003"
    )


@pytest.mark.parametrize(
    "labels", [np.array([7, 8, 8, 9, 7]), [str(n) for n in (7, 8, 8, 9, 7)], (7, 8, 8, 9, 7)]
)
def test_labels_in_every_form(tmp_path: Path, labels: object) -> None:
    assert css3d_benchmark(write(tmp_path, labels=labels)) == css3d_benchmark(write(tmp_path))


def test_without_labels_only_the_target_itself_counts(tmp_path: Path) -> None:
    content = split()
    del content["labels"]
    save(tmp_path / FILE, {"test": content})
    assert css3d_benchmark(tmp_path).queries[0].hits == {"css_test_000001"}


def test_scenes_as_an_array(tmp_path: Path) -> None:
    made = css3d_benchmark(write(tmp_path, objects_img=np.zeros((5, 9, 2))))
    assert len(made.gallery) == 5


def test_pictures(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "css_test_000003.png").touch()
    names = css3d_benchmark(write(tmp_path)).gallery
    assert css3d_images(tmp_path, names).find(names[3]) == tmp_path / "images" / f"{names[3]}.png"
    assert len(css3d_images(tmp_path, names).missing(names)) == 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mods": 3}, "mods is 3; expected a list"),
        ({"mods": ["x"]}, "a modification is 'x'; expected a dict"),
        ({"mods": [{"from": [0], "to": [1], "to_str": 5}]}, "the text to_str"),
        ({"mods": [{"from": [0], "to": [5], "to_str": "x"}]}, "scene 5; expected a number below 5"),
        ({"mods": [{"from": [-1], "to": [1], "to_str": "x"}]}, "scene -1"),
        ({"mods": [{"from": ["0"], "to": [1], "to_str": "x"}]}, "scene '0'"),
        ({"mods": [{"from": [0, 1], "to": [1], "to_str": "x"}]}, "from 2 scenes to 1"),
        ({"mods": [{"to": [1], "to_str": "x"}]}, "from is None"),
        ({"labels": [1]}, "5 scenes have 1 labels"),
        ({"objects_img": None}, "objects_img is None"),
    ],
)
def test_malformed_content(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        css3d_benchmark(write(tmp_path, **changed))


def test_another_split_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is missing \(.*holds nothing\); expected css_toy"):
        css3d_benchmark(tmp_path)
    with pytest.raises(DatasetError, match="no split 'val'; there is train, test"):
        css3d_benchmark(write(tmp_path), "val")
    save(tmp_path / FILE, [1, 2])
    with pytest.raises(DatasetError, match=r"no split 'test'; there is \[1, 2\]"):
        css3d_benchmark(tmp_path)
