import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dwc.datasets.shoes import ShoesImages, self_pairs, shoes_benchmark, shoes_triplets, split_names
from dwc.datasets.triplets import Triplet
from dwc.errors import DatasetError


def pair(reference: str, target: str, words: str) -> dict[str, str]:
    return {"ImageName": target, "ReferenceImageName": reference, "RelativeCaption": words}


PAIRS = [
    pair("e1", "e2", " are red \n"),
    pair("t1", "t2", "are blue"),
    pair("e3", "e1", "have a heel"),
    pair("e3", "e3", "are the same"),
]


def write(root: Path, pairs: object = PAIRS, test: str = "e3\ne2\r\ne1\ne4\n") -> Path:
    (root / "relative_captions_shoes.json").write_text(json.dumps(pairs))
    (root / "train_im_names.txt").write_text("t1\nt2")
    (root / "eval_im_names.txt").write_text(test)
    return root


def test_pairs_once_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    write(tmp_path)
    assert shoes_triplets(tmp_path, "test", "once") == [
        Triplet("e1", ("are red",), "e2"),
        Triplet("e3", ("have a heel",), "e1"),
        Triplet("e3", ("are the same",), "e3"),
    ]
    assert shoes_triplets(tmp_path, "train", "once") == [Triplet("t1", ("are blue",), "t2")]


def test_pairs_twice_are_as_going_through_the_names_finds_them(tmp_path: Path) -> None:
    write(tmp_path)
    naive = [
        (entry["ReferenceImageName"], entry["ImageName"])
        for name in ("e3", "e2", "e1", "e4")
        for entry in PAIRS
        if name in (entry["ImageName"], entry["ReferenceImageName"])
    ]
    assert [(t.reference, t.target) for t in shoes_triplets(tmp_path, "test")] == naive
    assert len(naive) == 5  # 2 x 2, and the one whose reference is its target


def test_the_benchmark(tmp_path: Path) -> None:
    made = shoes_benchmark(write(tmp_path))
    assert made.protocol == "shoes-test-twice"
    assert made.gallery == ("e3", "e2", "e1", "e4")
    assert made.reference_removed
    assert (len(made.queries), made.notes["pairs"]) == (5, "3")
    assert "e3" in made.notes.values()  # the pair that cannot be found is named
    assert all(len(query.hits) == 1 for query in made.queries)
    assert len(shoes_benchmark(tmp_path, listing="once").queries) == 3


def test_pictures_are_found_in_every_tree(tmp_path: Path) -> None:
    for place in (
        "womens_boots/0/img_womens_boots_1.jpg",
        "images/womens_clogs/img_womens_clogs_2.jpg",
        "attributedata/womens_flats/12/img_womens_flats_3.jpg",
        "images/img_womens_pumps_4.jpg",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
        assert ShoesImages(tmp_path).find(Path(place).name) == tmp_path / place
    assert ShoesImages(tmp_path).missing(["img_womens_flats_3.jpg", "x"]) == ["x"]


def test_no_pictures_at_all(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no pictures.*put Shoes' folders womens_\*"):
        ShoesImages(tmp_path).find("x")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"pairs": [pair("e1", "t1", "x")]}, "1 pairs of .* one that is not.*4,658"),
        ({"test": "e1\n"}, r"2 pairs of .*\(1 names\)"),
        ({"test": "e1\ne1\n"}, "lists 2 pictures of which 1 are different"),
        ({"test": "\n"}, "lists 0 pictures"),
        ({"pairs": {"a": 1}}, "expected a list"),
        ({"pairs": [PAIRS[0], "x"]}, "entry 1 is 'x'; expected an object"),
        ({"pairs": [{"ImageName": "e1"}]}, "entry 0 .* ReferenceImageName"),
        ({"pairs": [pair("e1", "e2", "x") | {"RelativeCaption": 3}]}, "entry 0"),
    ],
)
def test_malformed_files(tmp_path: Path, written: dict[str, Any], message: str) -> None:
    write(tmp_path, **written)
    with pytest.raises(DatasetError, match=message):
        shoes_benchmark(tmp_path)


def test_missing_files_and_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"eval_im_names\.txt is missing.*Name the folder"):
        shoes_benchmark(tmp_path)
    write(tmp_path)
    with pytest.raises(DatasetError, match="no split 'val'; there are train, test"):
        split_names(tmp_path, "val")
    with pytest.raises(DatasetError, match="no listing 'thrice' of Shoes; there are twice, once"):
        shoes_triplets(tmp_path, "test", "thrice")


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
def test_the_real_files_have_the_documented_counts() -> None:
    root = Path(os.environ["DWC_TEST_DATA"]) / "shoes"
    pairs = {split: shoes_triplets(root, split, "once") for split in ("train", "test")}
    assert (len(pairs["train"]), len(pairs["test"])) == (8990, 1761)
    listed = {split: shoes_triplets(root, split) for split in pairs}
    assert (len(listed["train"]), len(listed["test"])) == (17954, 3521)
    for split, once in pairs.items():
        counts = Counter(listed[split])
        assert set(counts) == set(once)
        assert all(n == 1 if t.reference == t.target else n == 2 for t, n in counts.items())
    made = shoes_benchmark(root)
    assert (len(made.gallery), len(made.queries), made.notes["pairs"]) == (4658, 3521, "1761")
    assert self_pairs(pairs["test"]) == ["img_womens_rain_boots_550.jpg"]
    assert "img_womens_rain_boots_550.jpg" in made.notes.values()
    assert {n for q in made.queries for n in (q.reference, *q.hits)} <= set(made.gallery)
