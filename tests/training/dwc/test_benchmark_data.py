"""Training triplets, held-out targets and evaluation queries of small annotation files."""

import random
from pathlib import Path

import pytest

from dwc.errors import DatasetError
from dwc.training.dwc.benchmark_data import is_held_out, read_benchmark
from dwc.training.dwc.presets import AUTHORS, RECOMMENDED, BenchmarkPreset, override
from tests.training.dwc.benchmark_files import write_css3d, write_fashion200k, write_shoes
from tests.training.dwc.benchmark_world import TRIPLETS, write_data

OURS = override(RECOMMENDED, ["batch_size=2", "held_out_share=0.3"])
THEIRS = override(AUTHORS, ["batch_size=2"])


@pytest.fixture(scope="module")
def fashion_iq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fashion_iq")
    write_data(root)
    return root


def learned(data) -> list:
    rng = random.Random(0)
    return [data.learned.draw(place, rng) for place in range(len(data.learned))]


def test_held_out_targets_are_never_trained_on(fashion_iq: Path) -> None:
    data = read_benchmark("fashion_iq", fashion_iq, OURS)
    asked = {hit for b in data.selection for query in b.queries for hit in query.hits}
    assert len(data.selection) == 3
    assert asked
    assert all(is_held_out(name, OURS) for name in asked)
    seen = {name for t in learned(data) for name in (t.reference, t.target)}
    assert not seen & asked
    lost = data.counts["triplets"] - data.counts["learned"] - data.counts["held_out_queries"]
    assert 0 < lost < data.counts["triplets"] / 3  # those that have a held-out reference


def test_a_held_out_gallery_has_the_images_of_its_queries(fashion_iq: Path) -> None:
    for benchmark in read_benchmark("fashion_iq", fashion_iq, OURS).selection:
        used = {name for q in benchmark.queries for name in (q.reference, *q.hits)}
        assert set(benchmark.gallery) == used
        assert benchmark.reference_removed


def test_the_authors_train_on_all_and_select_on_the_evaluation_set(fashion_iq: Path) -> None:
    data = read_benchmark("fashion_iq", fashion_iq, THEIRS, ("shirt",))
    assert len(data.learned) == TRIPLETS["train"]
    assert list(data.selection) == [data.evaluation["shirt"]]
    assert data.evaluation["shirt"].protocol == "fashion_iq-shirt-val-P3"
    assert data.counts["held_out_queries"] == 0


def test_missing_images_cost_triplets_but_no_words(fashion_iq: Path, tmp_path: Path) -> None:
    whole = read_benchmark("fashion_iq", fashion_iq, THEIRS)
    for part in ("captions", "image_splits"):
        (tmp_path / part).symlink_to(fashion_iq / part)
    gone = {"train-00001", "train-00002", "val-00000"}
    (tmp_path / "images").mkdir()
    for picture in (fashion_iq / "images").iterdir():
        if picture.stem not in gone:
            (tmp_path / "images" / picture.name).symlink_to(picture)
    data = read_benchmark("fashion_iq", tmp_path, THEIRS)
    left = [t for t in learned(whole) if not gone & {t.reference, t.target}]
    assert learned(data) == left
    assert data.vocabulary == whole.vocabulary
    used = {n for t in learned(whole) for n in (t.reference, t.target)}
    used |= {n for b in whole.evaluation.values() for n in b.gallery}
    assert data.counts["missing_pictures"] == len(gone & used)
    assert set(data.paths).isdisjoint(gone)


def test_shoes_are_listed_as_the_recipe_says(tmp_path: Path) -> None:
    write_shoes(tmp_path)
    twice = read_benchmark("shoes", tmp_path, THEIRS)
    assert len(twice.learned) == 20
    assert len(twice.evaluation[""].queries) == 2
    once = read_benchmark("shoes", tmp_path, override(OURS, ["held_out_share=0.5"]))
    assert once.counts["triplets"] == 10
    assert len(once.evaluation[""].queries) == 2  # asked alike, or numbers would not compare
    assert once.mirrored


def test_scenes_with_one_label_are_one_answer_and_held_out_together(tmp_path: Path) -> None:
    write_css3d(tmp_path)
    data = read_benchmark("css3d", tmp_path, OURS)
    assert data.answers["css_train_000004"] == data.answers["css_train_000005"]
    assert data.answers["css_train_000004"] != data.answers["css_train_000006"]
    asked = {data.answers[hit] for q in data.selection[0].queries for hit in q.hits}
    seen = {data.answers[n] for t in learned(data) for n in (t.reference, t.target)}
    assert asked
    assert not asked & seen
    assert not data.mirrored  # its words say left and right
    assert read_benchmark("css3d", tmp_path, THEIRS).answers == {}


@pytest.mark.parametrize(("preset", "states"), [(OURS, False), (THEIRS, True)])
def test_fashion200k_states_its_answer_only_where_the_recipe_says(
    tmp_path: Path, preset: BenchmarkPreset, states: bool
) -> None:
    write_fashion200k(tmp_path)
    data = read_benchmark("fashion200k", tmp_path, override(preset, ["held_out_share=0.5"]))
    texts = [t.captions[0] for t in learned(data)]
    texts += [q.captions[0] for b in data.selection for q in b.queries]
    assert all((" and get " in text) == states for text in texts)
    assert all(text.startswith("replace ") for text in texts)
    assert data.chosen_by == (1, 10, 50)


def test_all_images_of_a_fashion200k_caption_are_held_out_together(tmp_path: Path) -> None:
    write_fashion200k(tmp_path)
    preset = override(OURS, ["held_out_share=0.5"])
    data = read_benchmark("fashion200k", tmp_path, preset)
    held = {name for b in data.selection for name in b.gallery}
    seen = {name for t in learned(data) for name in (t.reference, t.target)}
    assert held
    assert not held & seen
    assert all(not is_held_out(data.answers[name], preset) for name in seen)


@pytest.mark.parametrize(
    ("preset", "says"),
    [
        (override(THEIRS, ["batch_size=100"]), "72 triplets of fashion_iq with pictures"),
        (override(OURS, ["held_out_share=0.0001"]), "or set a larger held_out_share"),
    ],
)
def test_too_little_data_is_an_error(fashion_iq: Path, preset: BenchmarkPreset, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        read_benchmark("fashion_iq", fashion_iq, preset)
