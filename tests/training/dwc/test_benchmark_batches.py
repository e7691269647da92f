"""Batches of triplets depend on the step alone; errors name the triplet."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from dwc.datasets.triplets import Triplet
from dwc.errors import DatasetError
from dwc.training.dwc.benchmark_data import BatchLoader, BenchmarkBatches, FixedTriplets
from dwc.training.dwc.mutual_training import TripletBatch
from tests.training.dwc.benchmark_files import data_of, write_noise
from tests.training.tiny import tiny_processor

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

    kept = left_as_they_are(batches)
    assert 0.2 < sum(kept) / len(kept) < 0.8
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
    told = str(raised.value)
    assert told.startswith(("triplet 3 (p3 -> p4, 'top red / ", "triplet 4 (p4 -> p5, 'top red / "))
    assert str(broken) in told
    assert "\n" not in told


def test_a_text_that_is_too_long_names_its_triplet(batches: BenchmarkBatches) -> None:
    triplets = list(batches.data.learned.triplets)
    triplets[7] = Triplet("p7", ("red " * 40,), "p8")
    long = replace(batches, data=replace(batches.data, learned=FixedTriplets(triplets)))
    with pytest.raises(DatasetError, match=r"triplet 7 \(p7 -> p8, .*CLIP tokens") as raised:
        replace(long, size=COUNT).make(0)
    assert "at most 16" in str(raised.value)
