"""What an error says was seen."""

from pathlib import Path

import pytest

from dwc.datasets.annotation_files import describe_folder, read_text
from dwc.datasets.css3d import css3d_benchmark
from dwc.datasets.image_loading import decode
from dwc.errors import DatasetError, ImageError


def test_a_folder_is_described_by_its_content(tmp_path: Path) -> None:
    assert describe_folder(tmp_path) == f"{tmp_path} holds nothing"
    for n in range(12):
        (tmp_path / f"{n:02}.txt").touch()
    seen = describe_folder(tmp_path)
    assert seen.startswith(f"{tmp_path} holds 00.txt, 01.txt, ")
    assert seen.endswith("08.txt and 3 more")


def test_a_missing_folder_is_described_by_its_parent(tmp_path: Path) -> None:
    (tmp_path / "captions.zip").touch()
    assert describe_folder(tmp_path / "captions" / "deep") == f"{tmp_path} holds captions.zip"


def test_a_missing_file_is_described_by_similar_names_first(tmp_path: Path) -> None:
    (tmp_path / "cap.dress.val.json").touch()
    (tmp_path / "readme.txt").touch()
    with pytest.raises(DatasetError, match=r"is missing \(there are cap\.dress\.val\.json\); go"):
        read_text(tmp_path / "cap.shirt.val.json", "go")
    with pytest.raises(DatasetError, match=r"holds cap\.dress\.val\.json, readme\.txt\); go"):
        read_text(tmp_path / "split.json", "go")


def test_a_git_lfs_pointer_is_called_one(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    for name in ("cap.dress.val.json", "css_toy_dataset_novel2_small.dup.npy", "a.png"):
        (tmp_path / name).write_text(pointer)
    message = "is a Git LFS pointer.*git lfs pull"
    with pytest.raises(DatasetError, match=message):
        read_text(tmp_path / "cap.dress.val.json", "go")
    with pytest.raises(DatasetError, match=message):
        css3d_benchmark(tmp_path)
    with pytest.raises(ImageError, match=message):
        decode(tmp_path / "a.png")
