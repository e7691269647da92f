"""Triplets, held-out targets and queries of small annotation files, and batches of triplets."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from dwc.datasets.triplets import Triplet
from dwc.errors import DatasetError
from dwc.training.dwc.benchmark_data import (
    BatchLoader,
    BenchmarkBatches,
    FixedTriplets,
    is_held_out,
    read_benchmark,
)
from dwc.training.dwc.mutual_training import TripletBatch
from dwc.training.dwc.presets import AUTHORS, RECOMMENDED, BenchmarkPreset, override
from tests.training.dwc.benchmark_files import (
    data_of,
    write_css3d,
    write_fashion200k,
    write_noise,
    write_shoes,
)
from tests.training.dwc.benchmark_world import TRIPLETS, write_data
from tests.training.tiny import tiny_processor

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


@pytest.mark.slow
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


COUNT, SIZE = 11, 2
TEMPLATE = {"single": "{0}", "pair": "{0} {1}"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_noise(tmp_path_factory.mktemp("pictures"), COUNT + 1)


@pytest.fixture(scope="module")
def batches(pictures: dict[str, Path]) -> BenchmarkBatches:
    """Every triplet's words are of another length; two of them have the same target."""
    targets = [min(n + 1, COUNT - 1) for n in range(COUNT)]
    triplets = [
        Triplet(f"p{n}", ("top red", " ".join(["bottom"] * (n % 3 + 1))), f"p{target}")
        for n, target in enumerate(targets)
    ]
    data = data_of(triplets, pictures)
    return BenchmarkBatches(data, tiny_processor(), TEMPLATE, SIZE, seed=5)


def tensors(batch: TripletBatch) -> list[torch.Tensor]:
    return [*batch.queries[0].values(), batch.require_target_pixels(), batch.labels]


def same(one: TripletBatch, other: TripletBatch) -> bool:
    pairs = zip(tensors(one), tensors(other), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def references(batches: BenchmarkBatches, step: int) -> list[str]:
    """Which pictures a batch holds, mirrored or not, by their pixels."""
    known = {}
    for name, path in batches.data.paths.items():
        with Image.open(path) as picture:
            for view in (picture.convert("RGB"), ImageOps.mirror(picture.convert("RGB"))):
                pixels = batches.processor(images=[view])["pixel_values"][0]
                known[pixels.numpy().tobytes()] = name
    found = batches.make(step).queries[0]["pixel_values"].contiguous()
    return [known[row.numpy().tobytes()] for row in found]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_step_has_the_same_batch_for_any_start_and_number_of_workers(
    batches: BenchmarkBatches, workers: int
) -> None:
    reader = BatchLoader(batches, 8, torch.device("cpu"), workers)
    assert all(same(reader(step), batches.make(step)) for step in range(4))
    resumed = BatchLoader(batches, 8, torch.device("cpu"), workers)
    assert same(resumed(6), batches.make(6))
    assert not same(batches.make(0), batches.make(5))  # the same place, an epoch later


def test_loading_leaves_the_global_random_numbers_alone(batches: BenchmarkBatches) -> None:
    """Dropout's are among them: a resumed run makes its reader at another step."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    BatchLoader(batches, 8, torch.device("cpu"), 0)(4)
    assert torch.equal(torch.rand(2), expected)


def test_an_epoch_has_each_triplet_once_and_drops_the_rest(batches: BenchmarkBatches) -> None:
    assert batches.steps_per_epoch == COUNT // SIZE
    epochs = [
        [name for step in range(5) for name in references(batches, epoch * 5 + step)]
        for epoch in range(2)
    ]
    assert all(len(set(names)) == 10 for names in epochs)
    assert epochs[0] != epochs[1]


def test_several_processes_share_an_epoch(batches: BenchmarkBatches) -> None:
    parts = [replace(batches, rank=rank, world=2) for rank in range(2)]
    assert {part.steps_per_epoch for part in parts} == {2}
    seen = [name for part in parts for step in range(2) for name in references(part, step)]
    assert len(set(seen)) == len(seen) == 8
    with pytest.raises(DatasetError, match="11 triplets are not enough for 6 processes with 2"):
        _ = replace(batches, world=6).steps_per_epoch


def test_about_half_of_the_images_are_mirrored_where_texts_allow_it(
    batches: BenchmarkBatches,
) -> None:
    def left_as_they_are(some: BenchmarkBatches) -> list[bool]:
        upright = set()
        for path in some.data.paths.values():
            with Image.open(path) as picture:
                pixels = some.processor(images=[picture])["pixel_values"]
                upright.add(pixels.numpy().tobytes())
        rows = [
            row
            for step in range(10)
            for row in some.make(step).require_target_pixels().contiguous()
        ]
        return [row.numpy().tobytes() in upright for row in rows]

    unchanged = left_as_they_are(batches)
    assert 0.2 < sum(unchanged) / len(unchanged) < 0.8
    never = replace(batches, data=replace(batches.data, mirrored=False))
    assert all(left_as_they_are(never))


def test_padding_counts_as_words_only_if_the_preset_says_so(batches: BenchmarkBatches) -> None:
    unmasked = replace(batches, masks_padding=False)
    masked = [batches.make(step).queries[0]["word_mask"] for step in range(5)]
    assert not all(mask.all() for mask in masked)
    assert all(unmasked.make(step).queries[0]["word_mask"].all() for step in range(5))
    ids = [some.make(1).queries[0]["word_ids"] for some in (batches, unmasked)]
    assert torch.equal(*ids)


def test_labels_are_equal_for_equal_answers(batches: BenchmarkBatches) -> None:
    whole = replace(batches, size=COUNT)
    labels = whole.make(0).labels
    assert len(set(labels.tolist())) == COUNT - 1  # two triplets share a target
    answers = {f"p{n}": "even" if n % 2 == 0 else "odd" for n in range(COUNT + 1)}
    alike = replace(whole, data=replace(whole.data, answers=answers))
    assert len(set(alike.make(0).labels.tolist())) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_names_its_triplet(
    batches: BenchmarkBatches, tmp_path: Path, workers: int
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    bad = replace(batches, data=replace(batches.data, paths={**batches.data.paths, "p4": broken}))
    reader = BatchLoader(bad, 5, torch.device("cpu"), workers)
    with pytest.raises(DatasetError) as raised:
        list(map(reader, range(5)))
    message = str(raised.value)
    assert message.startswith(
        ("triplet 3 (p3 -> p4, 'top red / ", "triplet 4 (p4 -> p5, 'top red / ")
    )
    assert str(broken) in message
    assert "\n" not in message


def test_a_text_that_is_too_long_names_its_triplet(batches: BenchmarkBatches) -> None:
    triplets = list(batches.data.learned.triplets)
    triplets[7] = Triplet("p7", ("red " * 40,), "p8")
    long = replace(batches, data=replace(batches.data, learned=FixedTriplets(triplets)))
    with pytest.raises(DatasetError, match=r"triplet 7 \(p7 -> p8, .*CLIP tokens") as raised:
        replace(long, size=COUNT).make(0)
    assert "at most 16" in str(raised.value)
