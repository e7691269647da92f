"""PL's adaptive weight: its pseudo weights against loops, and where its loss may reach."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import scatter
from torch import Tensor

from dwc.modeling.combiners import (
    ProgressiveCombiner,
    combiner_class,
    normalize,
    pseudo_weights,
    weight_loss,
)

DIM = 6
LABELS = torch.tensor([2, 0, 2, 1, 3])  # the first and the third want the same thing
COUNT = len(LABELS)
SAME = LABELS[:, None] == LABELS[None, :]


def unit_rows(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(COUNT, DIM, generator=generator))


def build() -> ProgressiveCombiner:
    combiner = combiner_class("progressive")(DIM, 0.0)
    scatter(combiner)
    return combiner


def naive_probability(query: Tensor, gallery: Tensor, row: int, temperature: float) -> float:
    """Of the right targets of this row, by a softmax over the batch, written out."""
    scores = [
        math.exp(
            sum(float(q) * float(g) for q, g in zip(query[row], other, strict=True)) / temperature
        )
        for other in gallery
    ]
    return sum(s for s, label in zip(scores, LABELS, strict=True) if label == LABELS[row]) / sum(
        scores
    )


@pytest.mark.slow
@given(
    seed=st.integers(0, 1000),
    gamma=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    temperature=st.sampled_from([0.07, 1.0]),
)
def test_pseudo_weights_are_the_formula(seed: int, gamma: float, temperature: float):
    image, text, gallery = (unit_rows(3 * seed + part) for part in range(3))
    weights = pseudo_weights(image, text, gallery, SAME, temperature, gamma)
    assert weights.shape == (COUNT, 1)
    for row in range(COUNT):
        by_image = naive_probability(image, gallery, row, temperature) ** gamma
        by_text = naive_probability(text, gallery, row, temperature) ** gamma
        assert float(weights[row]) == pytest.approx(by_image / (by_image + by_text), abs=1e-4)


def test_pseudo_weights_follow_the_modality_that_finds_the_target():
    gallery = torch.eye(COUNT, DIM)
    lost = gallery.roll(1, dims=0)
    own = torch.eye(COUNT, dtype=torch.bool)
    assert (pseudo_weights(gallery, lost, gallery, own) > 0.999).all()
    assert (pseudo_weights(lost, gallery, gallery, own) < 0.001).all()
    assert torch.equal(pseudo_weights(gallery, gallery, gallery, own), torch.full((COUNT, 1), 0.5))


def test_pseudo_weights_see_directions_alone_and_survive_a_small_temperature():
    image, text, gallery = (unit_rows(part) for part in range(3))
    plain = pseudo_weights(image, text, gallery, SAME)
    torch.testing.assert_close(pseudo_weights(3 * image, 0.1 * text, gallery, SAME), plain)
    sharp = pseudo_weights(image, text, gallery, SAME, temperature=1e-4)  # exp() would underflow
    assert torch.isfinite(sharp).all()
    assert ((sharp >= 0) & (sharp <= 1)).all()


def test_the_weight_loss_is_the_cross_entropy_written_out():
    weight, wanted = torch.rand(COUNT, 1), torch.rand(COUNT, 1)
    total = 0.0
    for w, target in zip(weight.flatten().tolist(), wanted.flatten().tolist(), strict=True):
        total -= target * math.log(w) + (1 - target) * math.log(1 - w)
    assert float(weight_loss(weight, wanted)) == pytest.approx(total / COUNT, rel=1e-5)


def test_the_weight_loss_works_where_half_precision_rounds():
    with torch.autocast("cpu", torch.bfloat16):
        loss = weight_loss(torch.ones(2, 1, dtype=torch.bfloat16), torch.tensor([[0.9], [1.0]]))
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)


def test_the_query_is_the_formula():
    combiner = build().eval()
    image, text = unit_rows(0), unit_rows(1)
    composed = combiner(image, text)
    read = torch.cat([image, text, image * text], dim=1)
    weights = combiner.state_dict()
    hidden = (read @ weights["weigh.0.weight"].T + weights["weigh.0.bias"]).clamp_min(0)
    logit = hidden @ weights["weigh.3.weight"].T + weights["weigh.3.bias"]
    w = 1 / (1 + (-logit).exp())
    torch.testing.assert_close(composed.image_weight, w)
    mixed = w * image + (1 - w) * text
    torch.testing.assert_close(composed.embedding, mixed / mixed.norm(dim=1, keepdim=True))
    assert composed.image_part is image
    assert composed.text_part is text
    assert not combiner.uses_projections


def test_the_side_loss_reaches_the_weigher_and_nothing_else():
    combiner = build()
    image, text, gallery = (unit_rows(part).requires_grad_() for part in range(3))
    composed = combiner(image, text)
    loss = combiner.side_loss(composed, gallery, LABELS, 0.07)
    wanted = pseudo_weights(image, text, gallery, SAME, 0.07)
    torch.testing.assert_close(loss, weight_loss(composed.image_weight, wanted))
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in combiner.parameters())
    assert (image.grad, text.grad, gallery.grad) == (None, None, None)


def test_retrieval_reaches_the_features_past_the_weigher():
    """With the weigher's reading held, the gradient into features is that of a constant weight."""
    combiner = build()
    image, text = unit_rows(0).requires_grad_(), unit_rows(1).requires_grad_()
    composed = combiner(image, text)
    (composed.embedding * unit_rows(2)).sum().backward()
    assert all(p.grad is not None for p in combiner.parameters())
    held = composed.image_weight.detach()
    again_image, again_text = (rows.detach().clone().requires_grad_() for rows in (image, text))
    mixed = normalize(held * again_image + (1 - held) * again_text)
    (mixed * unit_rows(2)).sum().backward()
    torch.testing.assert_close(image.grad, again_image.grad)
    torch.testing.assert_close(text.grad, again_text.grad)


def test_the_weight_learns_which_modality_to_hear():
    """Where the image finds the target and the words do not, and the other way round."""
    combiner = combiner_class("progressive")(DIM, 0.0)
    gallery = torch.eye(COUNT, DIM)
    lost = torch.zeros(COUNT, DIM)
    lost[:, COUNT] = 1  # a direction that no target has
    labels = torch.arange(COUNT)
    image, text = torch.cat([gallery, lost]), torch.cat([lost, gallery])
    optimiser = torch.optim.Adam(combiner.parameters(), lr=0.05)
    both = torch.cat([gallery, gallery])
    for _ in range(60):
        composed = combiner(image, text)
        loss = combiner.side_loss(composed, both, labels.repeat(2), 0.07)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    weights = combiner(image, text).image_weight.flatten()
    assert (weights[:COUNT] > 0.8).all()
    assert (weights[COUNT:] < 0.2).all()


@pytest.mark.parametrize("name", ["dwc", "average", "tirg", "progressive_fixed"])
def test_other_combiners_learn_nothing_beside_retrieval(name: str):
    combiner = combiner_class(name)(DIM, 0.0)
    composed = combiner(unit_rows(0), unit_rows(1))
    assert combiner.side_loss(composed, unit_rows(2), LABELS, 0.07) is None
