"""CIRR over generated pictures: the split, the sets of six, and the files for the test server."""

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwc.datasets.cirr import cirr_benchmark
from dwc.errors import DatasetError
from dwc.evaluation.benchmarks import (
    CIRR_HEADLINE,
    BenchmarkOptions,
    evaluate_benchmark,
    write_cirr_submission,
)
from tests.evaluation.made import (
    WORLD,
    Asked,
    check_recalls,
    naive_rank,
    naive_recall,
    scores_of,
    write_pictures,
)

KS = (1, 5, 10, 50)
NAMES = [f"dev-{n}-0-img1" for n in range(90)]


def blank_the_first(file: Path, field: str) -> None:
    entries = json.loads(file.read_text())
    entries[0][field] = " "
    file.write_text(json.dumps(entries))


def write(root: Path, split: str = "val", folder: str = "dev/") -> list[dict[str, Any]]:
    """40 queries over 15 sets of six."""
    rng = random.Random(1)
    entries = []
    for n in range(40):
        first = 6 * rng.randrange(15)
        members = NAMES[first : first + 6]
        reference, target = rng.sample(members, 2)
        entry = {
            "pairid": 100 + n,
            "reference": reference,
            "target_hard": target,
            "target_soft": {reference: 1.0, members[0]: 0.5},
            "caption": "fewer " + "d" * (n % 11),
            "img_set": {"members": members},
        }
        entries.append({k: v for k, v in entry.items() if split == "val" or "target" not in k})
    for place in ("captions", "image_splits"):
        (root / place).mkdir(exist_ok=True)
    (root / "captions" / f"cap.rc2.{split}.json").write_text(json.dumps(entries))
    paths = {name: f"./{folder}{name}.png" for name in NAMES}
    (root / "image_splits" / f"split.rc2.{split}.json").write_text(json.dumps(paths))
    write_pictures(root, {name: f"{folder}{name}.png" for name in NAMES})
    return entries


def read(entries: Sequence[dict[str, Any]]) -> list[Asked]:
    return [Asked(e["reference"], e["caption"].strip(), {e.get("target_hard")}) for e in entries]


def others(entry: dict[str, Any]) -> list[str]:
    return [name for name in entry["img_set"]["members"] if name != entry["reference"]]


def check_subsets(
    report: dict[str, Any], entries: Sequence[dict[str, Any]], there: Sequence[str]
) -> None:
    """Among the other five: the naive rank of the target, over those that are there."""
    names = set(there)
    for stream in ("together", "clip", "cnn"):
        numbers = report if stream == "together" else report["streams"][stream]
        ranks = [
            naive_rank(one, [name for name in others(entry) if name in names], True, stream)
            for one, entry in zip(read(entries), entries, strict=True)
        ]
        for k in (1, 2, 3):
            assert numbers[f"recall_subset@{k}"] == pytest.approx(naive_recall(ranks, k))
        mean = (numbers["recall@5"] + numbers["recall_subset@1"]) / 2
        assert numbers[CIRR_HEADLINE] == pytest.approx(mean)


@pytest.mark.parametrize("base", ["", "img_raw/"])
def test_the_numbers_are_the_naive_rankers(tmp_path: Path, base: str) -> None:
    entries = write(tmp_path)
    if base:
        (tmp_path / base).mkdir()
        (tmp_path / "dev").rename(tmp_path / base / "dev")
    report = evaluate_benchmark("cirr", *WORLD, tmp_path)
    check_recalls(report, read(entries), NAMES, KS)
    check_subsets(report, entries, NAMES)
    assert report["protocol"] == "cirr-val"
    assert (report["comparable"], report["whole_subsets"]) == (False, 1)
    assert "have 40 queries, the published split 4,181" in report["comparability"]
    assert "have 90 gallery pictures, the published split 2,297" in report["comparability"]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["val", "test1"])
def test_blank_captions_are_counted_logged_and_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, split: str
) -> None:
    write(tmp_path, split)

    def report() -> dict[str, Any]:
        if split == "val":
            return evaluate_benchmark("cirr", *WORLD, tmp_path)
        return write_cirr_submission(*WORLD, tmp_path, tmp_path / "out")

    assert "blank_captions" not in report()
    assert "blank" not in caplog.text
    blank_the_first(tmp_path / "captions" / f"cap.rc2.{split}.json", "caption")
    blank = report()
    assert blank["blank_captions"] == 1
    assert caplog.text.count(f"cap.rc2.{split}.json: 1 captions are blank") == 1
    # The published test split has a blank caption, too.
    message = "cirr-val: 1 captions of the queries are blank, in the published split 0"
    assert (message in blank["comparability"]) == (split == "val")


def test_missing_members_of_a_set_are_told(tmp_path: Path) -> None:
    entries = write(tmp_path)
    gone = others(entries[0])[0]
    if gone == entries[0]["target_hard"]:
        gone = others(entries[0])[1]
    (tmp_path / "dev" / f"{gone}.png").unlink()
    report = evaluate_benchmark("cirr", *WORLD, tmp_path)
    left = [name for name in NAMES if name != gone]
    kept = [e for e in entries if gone not in (e["reference"], e["target_hard"])]
    check_recalls(report, read(kept), left, KS)
    check_subsets(report, kept, left)
    whole = sum(gone not in others(entry) for entry in kept)
    assert report["whole_subsets"] == pytest.approx(whole / len(kept))
    assert whole < len(kept)


def best_first(asked: Asked, names: Sequence[str]) -> list[str]:
    """Without the reference, by score; of equal scores the one listed first."""
    scores = scores_of(asked, names)
    order = sorted(range(len(names)), key=lambda n: (-scores[n], n))
    return [names[n] for n in order if names[n] != asked.reference]


def check_files(folder: Path, entries: Sequence[dict[str, Any]], gallery: Sequence[str]) -> None:
    everything, subset = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("recall", "recall_subset")
    )
    for made, metric in ((everything, "recall"), (subset, "recall_subset")):
        assert made.pop("version") == "rc2"
        assert made.pop("metric") == metric
        assert set(made) == {str(entry["pairid"]) for entry in entries}
    for one, entry in zip(read(entries), entries, strict=True):
        assert everything[str(entry["pairid"])] == best_first(one, gallery)[:50]
        assert subset[str(entry["pairid"])] == best_first(one, others(entry))[:3]


def test_the_submission_ranks_every_query(tmp_path: Path) -> None:
    entries = write(tmp_path, "test1", "test1/")
    report = write_cirr_submission(*WORLD, tmp_path, tmp_path / "out" / "mine")
    check_files(tmp_path / "out" / "mine", entries, NAMES)
    assert report["complete"] is True
    assert (report["queries"], report["gallery"], report["missing"]) == (40, 90, 0)
    assert [Path(name).name for name in report["submission"]] == [
        "recall.json", "recall_subset.json",
    ]  # fmt: skip


def test_a_submission_without_some_pictures_is_called_incomplete(tmp_path: Path) -> None:
    entries = write(tmp_path, "test1", "test1/")
    gone = entries[0]["reference"]
    (tmp_path / "test1" / f"{gone}.png").unlink()
    report = write_cirr_submission(*WORLD, tmp_path, tmp_path)
    assert report["complete"] is False
    assert report["missing_pictures"] == [gone]
    made = json.loads((tmp_path / "recall.json").read_text())
    kept = {str(entry["pairid"]) for entry in entries if entry["reference"] != gone}
    assert set(made) - {"version", "metric"} == kept
    assert all(gone not in made[pair] for pair in kept)


def test_withheld_targets_ask_for_a_submission(tmp_path: Path) -> None:
    write(tmp_path, "test1", "test1/")
    with pytest.raises(DatasetError, match="--split test1 --submission"):
        evaluate_benchmark("cirr", *WORLD, tmp_path, BenchmarkOptions("test1"))


def real(root: Path, split: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The real annotations beside generated pictures: the entries and the gallery."""
    given = Path(os.environ["DWC_TEST_DATA"]) / "cirr"
    for place in ("captions", "image_splits"):
        (root / place).symlink_to(given / place)
    paths = json.loads((given / "image_splits" / f"split.rc2.{split}.json").read_text())
    write_pictures(root, paths)
    entries = json.loads((given / "captions" / f"cap.rc2.{split}.json").read_text())
    return entries, list(paths)


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
def test_the_real_annotations(tmp_path: Path) -> None:
    entries, gallery = real(tmp_path, "val")
    report = evaluate_benchmark("cirr", *WORLD, tmp_path)
    assert (report["queries"], report["gallery"]) == (len(entries), len(gallery)) == (4181, 2297)
    assert report["comparable"] is True
    long = [e for e in entries if len(e["caption"].split()) > 40]
    assert report["texts_cut"] == len(long)
    fitting = np.array([len(e["caption"].split()) <= 40 for e in entries])
    assert fitting.mean() > 0.99
    ranks = [naive_rank(one, gallery) for one in read(entries)]
    for k in KS:  # texts that were cut may rank otherwise
        assert abs(report[f"recall@{k}"] - naive_recall(ranks, k)) <= 1 - fitting.mean()


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
def test_the_real_test_split_gives_the_servers_files(tmp_path: Path) -> None:
    entries, gallery = real(tmp_path, "test1")
    report = write_cirr_submission(*WORLD, tmp_path, tmp_path / "out")
    assert (report["queries"], report["gallery"], report["complete"]) == (4148, 2315, True)
    made = json.loads((tmp_path / "out" / "recall.json").read_text())
    assert len(made) == 4148 + 2
    names = set(gallery)
    for entry in entries:
        best = made[str(entry["pairid"])]
        assert len(set(best)) == len(best) == 50
        assert entry["reference"] not in best
        assert names.issuperset(best)
    for file in report["submission"]:
        assert Path(file).stat().st_size < 5_000_000  # what the server takes


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
def test_only_the_hard_target_is_a_hit() -> None:
    """In the real validation file 37 soft targets hold the reference and lack the target."""
    path = Path(os.environ["DWC_TEST_DATA"]) / "cirr" / "captions" / "cap.rc2.val.json"
    entries = {entry["pairid"]: entry for entry in json.loads(path.read_text())}
    odd = {
        pair_id
        for pair_id, entry in entries.items()
        if entry["reference"] in entry["target_soft"]
        and entry["target_hard"] not in entry["target_soft"]
    }
    assert len(odd) == 37
    queries = cirr_benchmark(path.parents[1], "val").queries
    assert len(queries) == len(entries)
    for query in queries:
        assert query.hits == {entries[query.pair_id]["target_hard"]}
        assert query.reference not in query.hits
