"""PL's batches: texts are true of their images, and a step always has the same batch."""

import random
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dwc.catalogue.schema import sample_garment
from dwc.training.catalogue.drawn_pool import PoolSettings, draw_pool
from dwc.training.catalogue.train_catalogue import make_processor
from dwc.training.progressive.train_progressive import ProgressiveBatches, Tag, draw_tag


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> ProgressiveBatches:
    folder: Path = tmp_path_factory.mktemp("pool")
    pool = draw_pool(PoolSettings(items=24, styles=("training",), size_px=24), folder, workers=1)
    processor = make_processor(pool.items, 0, 100)
    template = {"single": "{0}", "pair": "{0} and {1}"}
    return ProgressiveBatches(pool, processor, 3, template, size_px=16)


@given(seed=st.integers(0, 100_000))
def test_a_tag_is_true_of_its_garment(seed: int) -> None:
    rng = random.Random(seed)
    garment = sample_garment(rng)
    tag = draw_tag(garment, rng)
    assert tag.text
    assert tag.suits(garment)
    for name, values in tag.allowed.items():
        assert garment[name] in values


def test_a_tag_suits_by_its_values_and_its_kind() -> None:
    rng = random.Random(1)
    dress, hat = sample_garment(rng, "dress"), sample_garment(rng, "hat")
    dress = dress.with_values(sleeve="long")
    assert Tag("long sleeves", {"sleeve": frozenset({"long"})}).suits(dress)
    assert not Tag("short sleeves", {"sleeve": frozenset({"short"})}).suits(dress)
    assert not Tag("long sleeves", {"sleeve": frozenset({"long"})}).suits(hat)
    colour = {"colour": frozenset({dress["colour"]})}
    assert Tag(dress["colour"], colour, "dress").suits(dress)
    assert not Tag(dress["colour"], colour, "hat").suits(dress)


@pytest.mark.slow
def test_stage_one_pairs_images_and_captions(batches: ProgressiveBatches) -> None:
    batch = batches.open_domain(6)(0)
    assert batch.pixels.shape == (6, 3, 16, 16)
    assert batch.input_ids.shape == batch.attention_mask.shape
    assert len(batch.input_ids) == 6
    assert batch.labels is None


def test_stage_two_has_two_images_and_a_tag_of_each_garment(batches: ProgressiveBatches) -> None:
    batch = batches.fashion(12)(0)
    assert batch.other_pixels is not None
    assert batch.tag_ids is not None
    assert batch.has_tag is not None
    assert batch.pixels.shape == batch.other_pixels.shape == (12, 3, 16, 16)
    assert not torch.equal(batch.pixels, batch.other_pixels)
    assert batch.has_tag.shape == (12, 12)
    assert batch.has_tag.diagonal().all()  # each tag was drawn for the garment of its row
    assert not batch.has_tag.all()
    same = batch.labels[:, None] == batch.labels[None, :]
    first, second = (rows.tolist() for rows in torch.nonzero(same, as_tuple=True))
    assert torch.equal(batch.has_tag[first], batch.has_tag[second])


def test_triplets_have_the_image_size_of_the_clip(batches: ProgressiveBatches) -> None:
    from dwc.catalogue.splits import training_triplets

    triplets = list(training_triplets(batches.pool.items, 0, 20))
    batch = batches.triplets(triplets, 8, 0.25, 0.125)(0)
    assert batch.require_target_pixels().shape == (8, 3, 16, 16)


@pytest.mark.parametrize("stage", ["open_domain", "fashion"])
def test_a_step_has_the_same_batch_every_time(batches: ProgressiveBatches, stage: str) -> None:
    first, again, other = (getattr(batches, stage)(8)(step) for step in (5, 5, 6))
    for field in fields(first):
        value = getattr(first, field.name)
        if value is not None:
            assert torch.equal(value, getattr(again, field.name)), field.name
    assert not torch.equal(first.pixels, other.pixels)
