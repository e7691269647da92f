import io
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dwc.datasets.fashion_iq import (
    CATEGORIES,
    FashionIqImages,
    fashion_iq_benchmark,
    fashion_iq_triplets,
    split_ids,
)
from dwc.datasets.triplets import Triplet
from dwc.errors import DatasetError


def entry(reference: str, target: str, *captions: str) -> dict[str, Any]:
    return {"target": target, "candidate": reference, "captions": list(captions)}


ENTRIES = [
    entry("A", "B", "is blue", "has sleeves"),
    entry("B", "C", "is longer", "is longer"),
    entry("A", "D", "has dots", "is plainer"),
]
IDS = ["E", "D", "C", "B", "A"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, ENTRIES, IDS)
    return tmp_path


def write(root: Path, entries: object, ids: object, split: str = "val") -> None:
    for folder, name, content in (
        ("captions", f"cap.dress.{split}.json", entries),
        ("image_splits", f"split.dress.{split}.json", ids),
    ):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / name).write_text(json.dumps(content))


def put_pictures(root: Path, folder: str, *names: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / folder / name).touch()


def test_triplets_keep_the_order_and_both_captions(root: Path) -> None:
    assert fashion_iq_triplets(root, "dress", "val") == [
        Triplet("A", ("is blue", "has sleeves"), "B"),
        Triplet("B", ("is longer", "is longer"), "C"),
        Triplet("A", ("has dots", "is plainer"), "D"),
    ]


@pytest.mark.parametrize(
    ("protocol", "gallery", "removed", "queries"),
    [
        ("P1", ("E", "D", "C", "B", "A"), False, 3),
        ("P2", ("E", "D", "C", "B", "A"), True, 3),
        ("P3", ("D", "C", "B", "A"), True, 3),
        ("P4", ("D", "C", "B", "A"), True, 6),
    ],
)
def test_the_protocols(
    root: Path, protocol: str, gallery: tuple[str, ...], removed: bool, queries: int
) -> None:
    made = fashion_iq_benchmark(root, "dress", protocol)
    assert made.gallery == gallery
    assert made.reference_removed is removed
    assert len(made.queries) == queries
    assert made.protocol.endswith(protocol)
    first = made.queries[0]
    assert first.captions == (("is blue",) if protocol == "P4" else ("is blue", "has sleeves"))
    assert first.reference == "A"
    assert first.hits == {"B"}


def test_pictures_are_found_in_every_tree(root: Path) -> None:
    put_pictures(root, "images", "A.png", "A.jpg", "readme.txt")
    put_pictures(root, "all_imgs", "A.jpg", "B.jpg")
    put_pictures(root, "resized_image/dress", "C.PNG")
    put_pictures(root, "resized_image/shirt", "D.png")
    pictures = FashionIqImages(root, "dress")
    assert pictures.find("A") == root / "images" / "A.png"
    assert pictures.find("B") == root / "all_imgs" / "B.jpg"
    assert pictures.find("C") == root / "resized_image" / "dress" / "C.PNG"
    assert pictures.find("D") is None
    assert pictures.missing(["D", "A", "readme", "D"]) == ["D", "readme"]


def test_another_number_of_captions_is_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    fashion_iq_triplets(root, "dress", "val")
    assert not caplog.records
    write(root, [*ENTRIES, {"candidate": "A", "captions": ["is red"], "target": "B"}], IDS)
    fashion_iq_triplets(root, "dress", "val")
    assert "1 of 4 entries have another number of captions than 2" in caplog.text


def test_missing_pictures_are_counted_and_left_out(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_pictures(root, "images", "A.png", "B.jpg", "D.jpg", "E.jpg")
    with caplog.at_level(logging.WARNING):
        made = fashion_iq_benchmark(root, "dress", "P1", pictures=FashionIqImages(root, "dress"))
    assert made.missing == ("C",)
    assert made.gallery == ("E", "D", "B", "A")
    assert [query.reference for query in made.queries] == ["A", "A"]
    assert made.notes["triplets"] == "3"
    assert "1 of 5 gallery pictures are missing; 2 of 3 queries are left" in caplog.text


def test_no_pictures_at_all_is_an_error_that_names_the_trees(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"all_imgs.*put FashionIQ's pictures"):
        fashion_iq_benchmark(root, "dress", "P3", pictures=FashionIqImages(root, "dress"))


def test_a_missing_file_says_what_is_there(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"cap\.dres\.val\.json is missing.*cap\.dress\.val"):
        fashion_iq_triplets(root, "dres", "val")
    with pytest.raises(DatasetError, match=r"split\.dress\.train\.json is missing"):
        split_ids(root, "dress", "train")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"A": 1}, "expected a list"),
        (["A"], "entry 0 is 'A'; expected an object"),
        ([ENTRIES[0], {"candidate": "A", "captions": ["x"]}], "entry 1 has no target.*split val"),
        ([entry("A", "B")], "entry 0 .* a list of captions"),
        ([{"target": 3, "candidate": "A", "captions": ["x"]}], "expected the strings"),
        ([{"target": "B", "candidate": "A", "captions": "x"}], "expected the strings"),
    ],
)
def test_malformed_captions(root: Path, entries: object, message: str) -> None:
    write(root, entries, IDS)
    with pytest.raises(DatasetError, match=message):
        fashion_iq_triplets(root, "dress", "val")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["A", "A", "B", "C", "D"], "lists 5 ids of which 4 are different"),
        (["A", 3], "entry 1 is 3; expected a picture id"),
        (["A", "B", "C"], "1 pictures of cap.dress.val.json .D, …. are not in"),
    ],
)
def test_malformed_splits(root: Path, ids: object, message: str) -> None:
    write(root, ENTRIES, ids)
    with pytest.raises(DatasetError, match=message):
        fashion_iq_benchmark(root, "dress")


def test_a_file_cut_short(root: Path) -> None:
    path = root / "captions" / "cap.dress.val.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DatasetError, match="cannot be read as JSON"):
        fashion_iq_triplets(root, "dress", "val")


def test_an_unknown_protocol(root: Path) -> None:
    with pytest.raises(DatasetError, match="no protocol 'P5'; there are P1, P2, P3, P4"):
        fashion_iq_benchmark(root, "dress", "P5")


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
def test_the_real_files_have_the_documented_counts() -> None:
    root = Path(os.environ["DWC_TEST_DATA"]) / "fashion_iq"
    train = tuple(len(fashion_iq_triplets(root, category, "train")) for category in CATEGORIES)
    assert train == (5985, 5988, 6027)
    expected = {
        "P1": ((3817, 6346, 5373), (2017, 2038, 1961)),
        "P2": ((3817, 6346, 5373), (2017, 2038, 1961)),
        "P3": ((2628, 3089, 2902), (2017, 2038, 1961)),
        "P4": ((2628, 3089, 2902), (4034, 4076, 3922)),
    }
    for protocol, (galleries, queries) in expected.items():
        made = [fashion_iq_benchmark(root, category, protocol) for category in CATEGORIES]
        assert tuple(len(each.gallery) for each in made) == galleries
        assert tuple(len(each.queries) for each in made) == queries
    with pytest.raises(DatasetError, match="withholds"):
        fashion_iq_triplets(root, "dress", "test")


def saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 50).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "broken",
    [b"", b"<!DOCTYPE html><html>404 Not Found</html>", saved("PNG")[:300]],
    ids=["empty", "html", "cut"],
)
@pytest.mark.parametrize("folder", ["images", "all_imgs"])
def test_a_sound_copy_is_taken_over_a_failed_download(
    root: Path, broken: bytes, folder: str
) -> None:
    put_pictures(root, "images", "A.png")
    put_pictures(root, folder, "A.jpg")
    (root / "images" / "A.png").write_bytes(broken)
    (root / folder / "A.jpg").write_bytes(saved("JPEG"))
    assert FashionIqImages(root, "dress").find("A") == root / folder / "A.jpg"
    (root / "images" / "A.png").write_bytes(saved("PNG"))
    assert FashionIqImages(root, "dress").find("A") == root / "images" / "A.png"


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".WEBP"])
def test_webp_and_gif_are_images(root: Path, suffix: str) -> None:
    put_pictures(root, "images", f"A{suffix}")
    assert FashionIqImages(root, "dress").find("A") == root / "images" / f"A{suffix}"


def test_an_unreadable_image_without_another_copy_is_not_missing(root: Path) -> None:
    put_pictures(root, "images", "A.png", "A.jpg")
    assert FashionIqImages(root, "dress").find("A") == root / "images" / "A.png"


@pytest.mark.parametrize(("protocol", "named"), [("P1", False), ("P2", True), ("P3", True)])
def test_a_triplet_of_one_picture_is_named(root: Path, protocol: str, named: bool) -> None:
    write(root, [*ENTRIES, entry("C", "C", "is the same", "no change")], IDS)
    notes = fashion_iq_benchmark(root, "dress", protocol).notes
    assert ("C" in notes.values()) is named
