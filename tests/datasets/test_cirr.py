import json
import os
from pathlib import Path
from typing import Any

import pytest

from dwc.datasets.cirr import cirr_benchmark, cirr_images, cirr_queries, cirr_triplets, image_paths
from dwc.datasets.triplets import Triplet
from dwc.errors import DatasetError

NAMES = [f"dev-{n}-0-img0" for n in range(8)]


def entry(pair_id: int = 1, **changed: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "pairid": pair_id,
        "reference": NAMES[2],
        "target_hard": NAMES[4],
        "target_soft": {NAMES[4]: 1.0},
        "caption": "fewer dogs",
        "img_set": {"id": 3, "members": NAMES[:6], "reference_rank": 2, "target_rank": 1},
    } | changed
    return {key: value for key, value in made.items() if value is not None}


def write(
    root: Path,
    entries: object = None,
    split: str = "val",
    paths: object = None,
) -> Path:
    for folder in ("captions", "image_splits"):
        (root / folder).mkdir(exist_ok=True, parents=True)
    entries = [entry(1), entry(2, reference=NAMES[0])] if entries is None else entries
    paths = {name: f"./dev/{name}.png" for name in NAMES} if paths is None else paths
    (root / "captions" / f"cap.rc2.{split}.json").write_text(json.dumps(entries))
    (root / "image_splits" / f"split.rc2.{split}.json").write_text(json.dumps(paths))
    return root


def withheld(pair_id: int, **changed: Any) -> dict[str, Any]:
    return entry(pair_id, target_hard=None, target_soft=None, **changed)


def test_the_benchmark(tmp_path: Path) -> None:
    made = cirr_benchmark(write(tmp_path))
    assert made.protocol == "cirr-val"
    assert made.gallery == tuple(NAMES)
    assert made.reference_removed
    first = cirr_queries(tmp_path, "val")[0]
    assert made.queries[0] == first
    assert (first.pair_id, first.reference, first.captions) == (1, NAMES[2], ("fewer dogs",))
    assert first.hits == {NAMES[4]}
    assert first.others == (*NAMES[:2], *NAMES[3:6])  # the set without its reference
    assert cirr_triplets(tmp_path, "val")[0] == Triplet(NAMES[2], ("fewer dogs",), NAMES[4])


def test_the_folders_may_lie_in_one_called_cirr(tmp_path: Path) -> None:
    write(tmp_path / "cirr")
    assert cirr_benchmark(tmp_path) == cirr_benchmark(tmp_path / "cirr")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / f"{NAMES[1]}.png").touch()
    for root in (tmp_path, tmp_path / "cirr"):
        assert cirr_images(root, "val").find(NAMES[1]) == tmp_path / "dev" / f"{NAMES[1]}.png"


@pytest.mark.parametrize("base", ["", "images", "img_raw"])
@pytest.mark.parametrize("place", ["train/34", "train", "."])
def test_pictures_are_found_in_every_tree(tmp_path: Path, base: str, place: str) -> None:
    write(tmp_path, split="train", paths={n: f"./train/34/{n}.png" for n in NAMES})
    path = tmp_path / base / place / f"{NAMES[5]}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    found = cirr_images(tmp_path, "train")
    assert found.find(NAMES[5]) == path
    assert len(found.missing(NAMES)) == 7


def test_withheld_targets_are_an_error_unless_none_are_needed(tmp_path: Path) -> None:
    write(tmp_path, [withheld(1), withheld(2)], "test1")
    with pytest.raises(DatasetError, match=r"withholds the targets of 2 of 2.*--submission"):
        cirr_benchmark(tmp_path, "test1")
    with pytest.raises(DatasetError, match="withholds"):
        cirr_triplets(tmp_path, "test1")
    made = cirr_benchmark(tmp_path, "test1", targets_withheld=True)
    assert [query.hits for query in made.queries] == [frozenset()] * 2


def test_a_target_that_is_missing_from_another_split_is_a_broken_file(tmp_path: Path) -> None:
    write(tmp_path, [withheld(7), withheld(2)], "val")
    for read in (cirr_benchmark, cirr_triplets):
        with pytest.raises(
            DatasetError, match="for 2 of 2 queries, the first with pairid 7"
        ) as error:
            read(tmp_path, "val")
        assert "Fetch the file again" in str(error.value)
        assert "Use the split val" not in str(error.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a": 1}, "expected a list"),
        ([], "0 queries"),
        ([entry(1), entry(1)], "2 queries have 1 different pairids"),
        ([entry(1), "x"], "entry 1 is 'x'; expected an object with pairid"),
        ([entry(1) | {"pairid": "1"}], "entry 0"),
        ([entry(1, caption=3)], "entry 0"),
        ([entry(1, target_hard=3)], "entry 0"),
        ([entry(1, target_hard=NAMES[7])], "entry 0"),
        ([entry(1, reference=NAMES[7])], "entry 0"),
        ([entry(1, img_set={"members": NAMES[:5]})], "6 names that include the reference"),
        ([entry(1, img_set={"members": [*NAMES[:5], NAMES[4]]})], "entry 0"),
        ([entry(1, img_set={"members": [*NAMES[:5], 6]})], "entry 0"),
        ([entry(1, img_set=None)], "entry 0"),
    ],
)
def test_malformed_captions(tmp_path: Path, entries: object, message: str) -> None:
    write(tmp_path, entries)
    with pytest.raises(DatasetError, match=message):
        cirr_benchmark(tmp_path)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "expected an object"),
        ({NAMES[0]: 3}, "the path of dev-0-0-img0 is 3"),
        ({NAMES[0]: "."}, "the path of dev-0-0-img0 is '.'"),
        ({NAMES[0]: "./dev/x.png"}, "5 pictures of cap.rc2.val.json .* not in split.rc2.val.json"),
    ],
)
def test_malformed_splits(tmp_path: Path, paths: object, message: str) -> None:
    write(tmp_path, paths=paths)
    with pytest.raises(DatasetError, match=message):
        cirr_benchmark(tmp_path)


def test_missing_files_and_unknown_splits(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DatasetError, match=r"cap\.rc2\.train\.json is missing.*cap\.rc2\.val"):
        cirr_queries(tmp_path, "train")
    with pytest.raises(DatasetError, match="no split 'test'; there are train, val, test1"):
        cirr_queries(tmp_path, "test")


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
def test_the_real_files_have_the_documented_counts() -> None:
    root = Path(os.environ["DWC_TEST_DATA"]) / "cirr"
    made = cirr_benchmark(root)
    assert (len(made.gallery), len(made.queries)) == (2297, 4181)
    hidden = cirr_benchmark(root, "test1", targets_withheld=True)
    assert (len(hidden.gallery), len(hidden.queries)) == (2315, 4148)
    assert len(image_paths(root, "train")) == 16939
    with pytest.raises(DatasetError, match="withholds the targets of 4148 of 4148"):
        cirr_benchmark(root, "test1")
