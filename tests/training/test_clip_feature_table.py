"""CLIP's cached features are those of the views and texts of a batch, computed once."""

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from dwc.datasets.triplets import Triplet
from dwc.errors import DatasetError
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.dwc.benchmark_data import (
    BenchmarkBatches,
    BenchmarkData,
    cache_benchmark_features,
)
from dwc.training.dwc.mutual_training import MutualSettings, frozen_clip_features, train_mutually
from dwc.training.feature_cache import ClipFeatureTable
from dwc.training.loop import LoopSettings
from tests.training.dwc.benchmark_files import data_of, write_noise
from tests.training.tiny import tiny_model, tiny_processor

COUNT, SIZE = 9, 4
TEMPLATE = {"single": "{0}", "pair": "{0} {1}"}


@pytest.fixture
def data(tmp_path: Path) -> BenchmarkData:
    triplets = [
        Triplet(f"p{n}", ("top red", " ".join(["bottom"] * (n % 3 + 1))), f"p{(n + 2) % COUNT}")
        for n in range(COUNT)
    ]
    return data_of(triplets, write_noise(tmp_path, COUNT))


@pytest.fixture
def model() -> DWCModel:
    return tiny_model(tiny_processor())


def keep(clip: ClipBackbone, data: BenchmarkData, folder: Path) -> ClipFeatureTable:
    processor, accelerator = tiny_processor(), Accelerator(cpu=True)
    return cache_benchmark_features(clip, processor, TEMPLATE, data, folder, accelerator, 2)


def batches(data: BenchmarkData, table: ClipFeatureTable | None) -> BenchmarkBatches:
    return BenchmarkBatches(data, tiny_processor(), TEMPLATE, SIZE, seed=5, clip_table=table)


@pytest.mark.slow
def test_a_batch_has_clips_features_of_its_images_and_texts(
    data: BenchmarkData, model: DWCModel, tmp_path: Path
) -> None:
    table = keep(model.clip, data, tmp_path / "work")
    for step in range(4):  # two epochs: some pictures are mirrored in one and not in the other
        known = batches(data, table).make(step)
        with torch.no_grad():
            computed = frozen_clip_features(model.clip, batches(data, None).make(step))
            brought = frozen_clip_features(_Broken(), known)
        for one, other in (
            (brought.images[0], computed.images[0]),
            (brought.texts[0], computed.texts[0]),
            (brought.targets, computed.targets),
        ):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


class _Broken:
    """A CLIP that nobody may ask."""

    def image_features(self, *_: object) -> torch.Tensor:
        raise AssertionError("what is known was computed again")

    text_features = image_features


@pytest.mark.training
def test_training_does_not_compute_cached_features_again(
    data: BenchmarkData, model: DWCModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = keep(model.clip, data, tmp_path / "work")
    monkeypatch.setattr(ClipBackbone, "image_features", _Broken.image_features)
    monkeypatch.setattr(ClipBackbone, "text_features", _Broken.text_features)
    assert keep(model.clip, data, tmp_path / "work") == table
    numbers = train_mutually(
        model,
        batches(data, table).make,
        MutualSettings(total_steps=2),
        Accelerator(cpu=True),
        LoopSettings(2),
    )
    assert numbers["clip_contrast"] > 0


def test_a_damaged_image_is_an_error_of_the_batch_that_uses_it(
    data: BenchmarkData, model: DWCModel, tmp_path: Path
) -> None:
    data.paths["p3"].write_bytes(b"no picture")
    table = keep(model.clip, data, tmp_path / "work")
    assert table.images(["p3"], [False]).isnan().all()
    assert table.images(["p2", "p4"], [True, False]).isfinite().all()
    with pytest.raises(DatasetError, match="p3"):
        list(map(batches(data, table).make, range(2)))


class _Drawn:
    """Triplets whose words are drawn."""

    def __len__(self) -> int:
        return COUNT

    def draw(self, place: int, generator: random.Random) -> Triplet:
        return Triplet(f"p{place}", (generator.choice(["red", "top"]),), "p0")

    def names(self) -> Iterable[str]:
        return [f"p{n}" for n in range(COUNT)]


def test_drawn_texts_are_not_cached(data: BenchmarkData, model: DWCModel, tmp_path: Path) -> None:
    drawn = replace(data, learned=_Drawn(), mirrored=False)
    table = keep(model.clip, drawn, tmp_path / "work")
    batch = batches(drawn, table).make(0)
    assert "clip_text_features" not in batch.queries[0]
    with torch.no_grad():
        texts = frozen_clip_features(model.clip, batch).texts[0]
        expected = frozen_clip_features(model.clip, batches(drawn, None).make(0)).texts[0]
    torch.testing.assert_close(texts, expected)
