"""Fashion200k over generated pictures, with the two texts, against a naive ranker."""

import random
from pathlib import Path

import pytest

from dwc.errors import DatasetError
from dwc.evaluation.benchmarks import BenchmarkOptions, evaluate_benchmark
from tests.evaluation.made import WORLD, Asked, check_recalls, write_pictures

COLOURS = ("black", "white", "red", "blue", "green", "golden")
CAPTIONS = [f"{colour} lace dress" for colour in COLOURS]
PICTURES = {f"women/dresses/{n}/{n}_0.jpeg": CAPTIONS[n % 6] for n in range(90)}


def write(root: Path, base: str = "") -> list[tuple[str, str]]:
    """90 pictures of six captions, and 40 queries: the paths of references and targets."""
    rng = random.Random(0)
    lines = [f"{path}\t0.9\t{caption}" for path, caption in PICTURES.items()]
    (root / "labels").mkdir()
    (root / "labels" / "dress_test_detect_all.txt").write_text("\n".join(lines))
    pairs = [tuple(rng.sample(list(PICTURES), 2)) for _ in range(40)]
    (root / "test_queries.txt").write_text("\n".join(" ".join(pair) for pair in pairs))
    write_pictures(root, {path: base + path for path in PICTURES})
    return [(one, two) for one, two in pairs]


def ask(reference: str, target: str, states_answer: bool) -> Asked:
    old, new = PICTURES[reference], PICTURES[target]
    one, two = ("dress", "dress") if old == new else (old.split()[0], new.split()[0])
    text = f"replace {one} with {two}" + (f" and get {new}" if states_answer else "")
    return Asked(reference, text, [path for path, caption in PICTURES.items() if caption == new])


@pytest.mark.parametrize("base", ["", "images/"])
@pytest.mark.parametrize("states_answer", [False, True])
def test_the_numbers_are_the_naive_rankers(tmp_path: Path, states_answer: bool, base: str) -> None:
    pairs = write(tmp_path, base)
    report = evaluate_benchmark(
        "fashion200k", *WORLD, tmp_path, BenchmarkOptions(states_answer=states_answer)
    )
    check_recalls(report, [ask(*pair, states_answer) for pair in pairs], list(PICTURES))
    assert report["protocol"].endswith("states_answer" if states_answer else "replace")
    assert ("states its answer" in report["notes"]["words"]) is states_answer
    assert report["comparable"] is True
    assert "the size of the published split is not known" in report["comparability"]


def test_a_query_stays_while_one_of_its_hits_does(tmp_path: Path) -> None:
    pairs = write(tmp_path)
    reference, target = pairs[0]
    (tmp_path / target).unlink()
    report = evaluate_benchmark("fashion200k", *WORLD, tmp_path)
    kept = [ask(*pair, False) for pair in pairs if pair[0] != target]
    left = [path for path in PICTURES if path != target]
    asked = [one._replace(hits=[hit for hit in one.hits if hit != target]) for one in kept]
    check_recalls(report, asked, left)
    assert reference in {one.reference for one in asked}
    assert report["missing"] == 1


def test_an_unknown_layout_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "Fashion200k-master").mkdir()
    with pytest.raises(DatasetError, match=r"no files.*holds Fashion200k-master.*Name the folder"):
        evaluate_benchmark("fashion200k", *WORLD, tmp_path)
