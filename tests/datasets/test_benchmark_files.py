"""What an error says was seen."""

from pathlib import Path

import pytest

from dwc.datasets.benchmark_files import describe_folder, read_text
from dwc.errors import DatasetError


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
