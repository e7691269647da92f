"""The study's variants: each lacks the part that it names, learns, and repeats its numbers."""

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dwc.catalogue.splits import gallery, training_triplets
from dwc.evaluation.metrics import first_hit_rank
from dwc.modeling.combiners import Composition, normalize
from dwc.training.catalogue.eval_set import first_ranks
from dwc.training.feature_cache import CachedTexts
from dwc.training.progressive.stages import FashionBatch
from dwc.training.study import runs
from dwc.training.study.models import (
    StudyFeatures,
    build_dwc,
    build_pl,
    is_complete,
    load_features,
    save_features,
)
from dwc.training.study.runs import SHARES, evaluate, fashion_batches, run_all, run_variant
from dwc.training.study.variants import Run, Variant, all_claims, all_variants
from tests.training.study.made import FEATURES, LEARNING, TINY, made_features

VARIANTS = {variant.name: variant for variant in all_variants(TINY.wrong_texts)}


@pytest.fixture(scope="module")
def features() -> StudyFeatures:
    torch.set_num_threads(1)
    return made_features()


def _compose(variant: Variant, features: StudyFeatures) -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = build_dwc(variant, features, TINY).eval()
    rows = features.pool.images.rows[0].float()
    with torch.no_grad():
        words = features.pool.modifications.take(torch.arange(len(rows)))
        return model, model.compose(pixel_values=rows, **words)


def test_names_are_unique_and_claims_are_about_existing_variants() -> None:
    assert len(VARIANTS) == len(all_variants(TINY.wrong_texts))
    for question in all_claims(TINY.wrong_texts):
        assert question.better in VARIANTS
        assert question.worse is None or question.worse in VARIANTS
        assert question.worse is None or (question.worse, question.worse_metric) != (
            question.better,
            None,
        )


@pytest.mark.slow
def test_without_editors_the_parts_are_the_features_as_they_are(features: StudyFeatures) -> None:
    model, composed = _compose(VARIANTS["dwc_no_editors"], features)
    clip = features.pool.images.rows[0, :, :FEATURES].float()
    torch.testing.assert_close(composed.clip.image_part, model.clip_stream.embed(clip))
    # The CNN stream's picture then has nothing of the words; with editors it has.
    wishes = features.pool.modifications
    said = replace(wishes, words=(wishes.words + 1).clamp_max(7))
    other = replace(features, pool=replace(features.pool, modifications=said))
    for name, is_same in (("dwc_no_editors", True), ("dwc", False)):
        _, one = _compose(VARIANTS[name], features)
        _, two = _compose(VARIANTS[name], other)
        assert torch.equal(one.cnn.image_part, two.cnn.image_part) == is_same


def test_without_a_weight_head_every_weight_is_one_half(features: StudyFeatures) -> None:
    _, composed = _compose(VARIANTS["dwc_half"], features)
    for stream in composed.streams.values():
        assert (stream.image_weight == 0.5).all()
    _, weighed = _compose(VARIANTS["dwc"], features)
    assert weighed.clip.image_weight.std() > 0


def test_a_variant_has_its_own_streams_only(features: StudyFeatures) -> None:
    assert set(_compose(VARIANTS["dwc"], features)[1].streams) == {"clip", "cnn"}
    assert set(_compose(VARIANTS["dwc_clip_alone"], features)[1].streams) == {"clip"}
    assert set(_compose(VARIANTS["dwc_cnn_alone"], features)[1].streams) == {"cnn"}


def test_pl_starts_as_the_clip_unless_stage_one_is_left_out(features: StudyFeatures) -> None:
    rows = features.pool.images.rows[0].float()
    first = build_pl(VARIANTS["pl"], features).towers
    assert torch.equal(first.image_features(rows), rows[:, :FEATURES])
    anew = build_pl(VARIANTS["pl_without_open_domain"], features).towers
    assert not torch.allclose(anew.image_features(rows), rows[:, :FEATURES])


@pytest.mark.training
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_runs_and_repeats_its_numbers(name: str, features: StudyFeatures) -> None:
    run = Run(VARIANTS[name], 3)
    numbers = run_variant(run, features, TINY)
    assert set(numbers["streams"]) == set(VARIANTS[name].streams)
    assert sum(part["queries"] for part in numbers["by_share"]) == numbers["queries"] == 16
    again = run_variant(run, features, TINY)
    assert {**again, "seconds": 0} == {**numbers, "seconds": 0}


@pytest.mark.training
@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("dwc_clip_alone", 1e-3),
        ("dwc_cnn_alone", 1e-3),
        ("combiner_tirg", 1e-3),
        ("pl", 3e-2),  # the made CLIP's layers are far from fitting, and long vectors
    ],
)
def test_variants_learn(name: str, rate: float, features: StudyFeatures) -> None:
    learning = replace(LEARNING, learning_rate=rate, pl_learning_rate=rate)
    nothing = replace(learning, steps=1, fashion_steps=1, learning_rate=1e-9, pl_learning_rate=1e-9)
    before = run_variant(Run(VARIANTS[name], 0), features, nothing)
    after = run_variant(Run(VARIANTS[name], 0), features, learning)
    assert after["recall@1"] > max(0.6, before["recall@1"])


def test_wrong_texts_are_those_of_training_triplets(
    features: StudyFeatures,
) -> None:
    items = gallery("train", 60)
    right = [wish for _, _, wish in training_triplets(items, 0, 40)]
    noisy = [wish for _, _, wish in training_triplets(items, 0, 40, wrong_text_share=0.4)]
    dial = random.Random("noise|0")
    numbered = CachedTexts(*(torch.arange(40)[:, None],) * 2, torch.ones(40))
    kept = replace(
        features,
        noise=torch.tensor([dial.random() for _ in right], dtype=torch.float64),
        pool=replace(features.pool, modifications=numbered),
    )
    chosen = kept.pool_with(0.4).modifications.features[:, 0]
    assert [right[place].captions for place in chosen.tolist()] == [w.captions for w in noisy]
    assert 5 < (chosen != torch.arange(40)).sum() < 30
    assert kept.pool_with(0.0) is kept.pool
    fewer = kept.pool_with(0.2).modifications.features[:, 0]
    wrong, wrong_before = chosen != torch.arange(40), fewer != torch.arange(40)
    assert (wrong | ~wrong_before).all()


def test_stage_twos_batches_have_views_of_their_labels(features: StudyFeatures) -> None:
    def batch(seed: int, step: int = 5) -> FashionBatch:
        return fashion_batches(features.pool, 8, seed)(step)

    one = batch(0)
    rows = features.pool.images.rows[:, one.labels].float()
    assert all(
        any(torch.equal(row, view) for view in rows[:, n]) for n, row in enumerate(one.pixels)
    )
    described = features.pool.descriptions.features[one.labels]
    assert torch.equal(one.input_ids, described)
    assert torch.equal(one.pixels, batch(0).pixels)
    assert not torch.equal(one.labels, batch(1).labels)


def test_ranks_are_those_of_the_evaluation(features: StudyFeatures) -> None:
    asked = features.test
    generator = torch.Generator().manual_seed(2)
    scores = torch.randint(0, 5, asked.hits.shape, generator=generator).float()  # with ties
    expected = []
    for row, hits, reference in zip(scores, asked.hits, asked.references, strict=True):
        values, found = row.numpy().copy(), hits.numpy().copy()
        values[reference], found[reference] = -np.inf, False
        expected.append(first_hit_rank(values, found))
    assert first_ranks(scores, asked).tolist() == expected


def test_perfect_queries_have_perfect_numbers(features: StudyFeatures) -> None:
    asked = features.test
    gallery_vectors = torch.eye(len(asked.hits))
    queries = normalize(asked.hits.float())
    weight = asked.picture_shares[:, None]
    composed = Composition(queries, queries, queries, weight)
    numbers = evaluate({"clip": (composed, gallery_vectors)}, asked)
    assert numbers["recall@1"] == 1
    assert numbers["found_first"] == {"together": "1" * 16, "clip": "1" * 16}
    edges = [(part["from"], part["to"]) for part in numbers["by_share"]]
    assert edges == list(pairwise(SHARES))
    means = [part["streams"]["clip"]["image_weight_mean"] for part in numbers["by_share"]]
    assert means == sorted(means)
    assert all(
        part["from"] <= mean <= part["to"]
        for part, mean in zip(numbers["by_share"], means, strict=True)
    )


def test_saved_features_load_unchanged(features: StudyFeatures, tmp_path: Path) -> None:
    folder = tmp_path / "features"
    save_features(features, folder)
    assert is_complete(folder)
    back = load_features(folder)
    assert back.config.to_dict() == features.config.to_dict()
    assert back.pool.images.map_shape == features.pool.images.map_shape
    for one, other in (
        (back.noise, features.noise),
        (back.test.hits, features.test.hits),
        (back.test.texts.features, features.test.texts.features),
        (back.pool.images.rows, features.pool.images.rows),
        (back.pool.descriptions.words, features.pool.descriptions.words),
    ):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


@pytest.fixture
def kept_world(
    features: StudyFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """A study of two variants over made features; the names of the runs that were run."""
    save_features(features, tmp_path / "features")
    ran: list[str] = []

    def run(run: Run, *arguments: Any) -> dict[str, Any]:
        ran.append(run.name)
        return run_variant(run, *arguments)

    few = [VARIANTS["dwc_clip_alone"], VARIANTS["combiner_average"]]
    monkeypatch.setattr(runs, "cache_features", lambda *_: tmp_path / "features")
    monkeypatch.setattr(runs, "all_variants", lambda _: few)
    monkeypatch.setattr(runs, "run_variant", run)
    return ran


@pytest.mark.training
def test_a_stopped_study_continues(
    kept_world: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_all(replace(TINY, seeds=(0,)), None, tmp_path, tmp_path, 1)
    assert kept_world == ["dwc_clip_alone-0", "combiner_average-0"]
    whole = run_all(TINY, None, tmp_path, tmp_path, 1)
    assert kept_world[2:] == ["dwc_clip_alone-1", "combiner_average-1"]
    for name, by_seed in first.numbers.items():
        assert whole.numbers[name][0] == by_seed[0]
    run_all(replace(TINY, seeds=(0,), steps=2), None, tmp_path, tmp_path, 1)
    assert len(kept_world) == 6  # other settings are other runs


@pytest.mark.training
def test_several_processes_give_the_numbers_of_one(features: StudyFeatures, tmp_path: Path) -> None:
    folder = tmp_path / "features"
    save_features(features, folder)
    selected = [Run(VARIANTS[name], 0) for name in ("dwc_clip_alone", "dwc_cnn_alone")]

    def numbers(workers: int) -> dict[str, Any]:
        done = runs._finished(selected, folder, TINY, workers)
        return {run.name: {**found, "seconds": 0} for run, found in done}

    assert numbers(2) == numbers(1)
