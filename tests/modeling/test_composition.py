"""The score split over random models, queries and shifts; and what shifting does."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import model, pictures, texts

from dwc.modeling.combiners import (
    ComposedQuery,
    Composition,
    normalize,
    shift_one_weight,
    shift_weight,
)

COMBINERS = ["dwc", "concat_mlp", "clip4cir", "average", "image_only", "text_only"]
SHIFTS = st.one_of(st.floats(-30, 30), st.sampled_from([math.inf, -math.inf]))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    combiner=st.sampled_from(COMBINERS),
    vision=st.sampled_from(["vit", "resnet"]),
    given_parts=st.sampled_from(["both", "picture", "words"]),
    shift=SHIFTS,
)
@torch.no_grad()
def test_parts_add_up_to_the_cosine_of_any_model(seed, combiner, vision, given_parts, shift):
    built = model(vision, seed=seed, combiner=combiner)
    inputs = {} if given_parts == "picture" else texts()
    if given_parts != "words":
        inputs["pixel_values"] = pictures(seed=seed)
    query = built.compose(**inputs).shifted(shift)
    gallery = built.embed_images(pictures(5, seed=seed + 1))
    total = torch.zeros(3, 5)
    for stream, vectors in zip(query.streams.values(), gallery.split([20, 12], dim=1), strict=True):
        parts = stream.split_scores(vectors)
        cosine = stream.embedding @ vectors.T
        torch.testing.assert_close(sum(parts), cosine, rtol=0, atol=1e-5)
        total += sum(parts)
    torch.testing.assert_close(total, query.embedding @ gallery.T, rtol=0, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dim=st.integers(1, 9),
    scale=st.floats(0.01, 100),
    weight=st.floats(0, 1),
    shift=SHIFTS,
    has_joint=st.booleans(),
)
def test_parts_add_up_to_the_cosine_for_any_weight(seed, dim, scale, weight, shift, has_joint):
    generator = torch.Generator().manual_seed(seed)
    image, text, joint = torch.randn(3, 2, dim, generator=generator, dtype=torch.float64) * scale
    weights = torch.full((2, 1), weight, dtype=torch.float64)
    gallery = normalize(torch.randn(4, dim, generator=generator, dtype=torch.float64))
    query = Composition.mix(image, text, weights, joint if has_joint else None).shifted(shift)
    parts = query.split_scores(gallery)
    torch.testing.assert_close(sum(parts), query.embedding @ gallery.T, rtol=0, atol=1e-5)
    if not has_joint:
        assert parts.joint.abs().sum() == 0


@given(weight=st.floats(0.001, 0.999), shift=st.floats(-5, 5))
def test_a_shift_adds_to_the_logit(weight, shift):
    shifted = float(shift_weight(torch.tensor([weight], dtype=torch.float64), shift))
    logit = math.log(weight / (1 - weight)) + shift
    assert shifted == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-9)


@pytest.mark.parametrize(("shift", "end"), [(math.inf, 1.0), (-math.inf, 0.0)])
def test_an_infinite_shift_is_one_modality_alone(shift: float, end: float):
    query = Composition.mix(
        torch.randn(3, 4), torch.randn(3, 4), torch.rand(3, 1), torch.ones(3, 4)
    )
    alone = query.shifted(shift)
    assert (alone.image_weight == end).all()
    assert alone.joint_part is None
    part = query.image_part if end else query.text_part
    torch.testing.assert_close(alone.embedding, normalize(part))


def test_one_sided_queries_have_nothing_to_lean_to():
    weights = torch.tensor([[0.0], [1.0]])
    for shift in (-math.inf, -2.0, 2.0, math.inf):
        assert torch.equal(shift_weight(weights, shift), weights)


@pytest.mark.parametrize("shift", [0.0, 0.3, -2.5, 40.0, -400.0, 1e4, math.inf, -math.inf])
def test_one_weight_is_shifted_as_in_a_tensor(shift):
    torch.manual_seed(0)
    weights = torch.cat([torch.rand(200), torch.tensor([0.0, 1.0, 1e-30, 1e-45, 1 - 6e-8])])
    shifted = [shift_one_weight(weight, shift) for weight in weights.tolist()]
    torch.testing.assert_close(
        torch.tensor(shifted), shift_weight(weights, shift), rtol=2e-7, atol=0
    )


@pytest.mark.parametrize("has_joint", [False, True])
def test_a_query_is_moved_from_what_it_excludes_and_its_parts_still_add_up(has_joint):
    parts = [torch.randn(3, 6) for _ in range(3)]
    weight = torch.tensor([[0.0], [0.4], [0.9]])
    query = Composition.mix(parts[0], parts[1], weight, parts[2] if has_joint else None)
    directions = normalize(torch.randn(3, 6)) * torch.tensor([[1.0], [0.5], [0.0]])
    moved = query.excluding(directions)
    torch.testing.assert_close(moved.embedding, normalize(query.embedding - directions))
    assert torch.equal(moved.image_weight, weight)
    gallery = normalize(torch.randn(5, 6))
    torch.testing.assert_close(sum(moved.split_scores(gallery)), moved.embedding @ gallery.T)


def test_a_query_lists_the_streams_it_has_and_keeps_its_ood_score():
    stream = Composition.mix(torch.randn(2, 4), torch.randn(2, 4), torch.rand(2, 1))
    query = ComposedQuery(cnn=stream, ood_score=torch.ones(2))
    assert list(query.streams) == ["cnn"]
    assert torch.equal(query.embedding, stream.embedding)
    shifted = query.shifted(1.5)
    assert shifted.clip is None
    assert torch.equal(shifted.cnn.embedding, stream.shifted(1.5).embedding)
    assert torch.equal(shifted.ood_score, torch.ones(2))
