"""The losses against loops written from their formulas, several matches and none included."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dwc.modeling.combiners import normalize
from dwc.training.losses import contrastive_loss, image_text_loss
from dwc.training.progressive.stages import matching_loss, one_way_loss, same_label, top1_accuracy

D = 5


def rows(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, D, generator=generator, dtype=torch.float64))


def naive(left: Tensor, right: Tensor, matches: Tensor, scale: float) -> float:
    """Mean over rows with a match of minus the mean log probability of their matches."""
    losses = []
    for j in range(len(left)):
        mine = [k for k in range(len(right)) if matches[j, k]]
        if not mine:
            continue
        powers = [math.exp(scale * float(left[j] @ right[k])) for k in range(len(right))]
        logs = [math.log(powers[k] / sum(powers)) for k in mine]
        losses.append(-sum(logs) / len(mine))
    return sum(losses) / len(losses) if losses else 0.0


@settings(max_examples=40)
@given(
    left_count=st.integers(1, 6),
    right_count=st.integers(1, 6),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    scale=st.sampled_from([1.0, 14.0]),
    seed=st.integers(0, 1000),
)
def test_info_nce_is_the_formula(
    left_count: int, right_count: int, share: float, scale: float, seed: int
) -> None:
    left, right = rows(left_count, seed), rows(right_count, seed + 5000)
    generator = torch.Generator().manual_seed(seed)
    matches = torch.rand(left_count, right_count, generator=generator) < share
    forth = naive(left, right, matches, scale)
    back = naive(right, left, matches.T, scale)
    assert float(one_way_loss(left, right, matches, scale)) == pytest.approx(forth, abs=1e-10)
    both = float(matching_loss(left, right, matches, scale))
    assert both == pytest.approx((forth + back) / 2, abs=1e-10)


def test_one_match_each_is_clips_loss() -> None:
    images, texts = rows(6, 0), rows(6, 1)
    scale = torch.tensor(9.0, dtype=torch.float64)
    ours = matching_loss(images, texts, torch.eye(6, dtype=torch.bool), scale)
    torch.testing.assert_close(ours, image_text_loss(images, texts, scale))


def test_shared_targets_are_answered_as_in_the_contrastive_loss_without_soft_labels() -> None:
    labels = torch.tensor([1, 0, 1, 2, 0, 1])
    query, gallery = rows(6, 0), rows(6, 1)
    ours = one_way_loss(query, gallery, same_label(labels), 1 / 0.07)
    torch.testing.assert_close(ours, contrastive_loss(query, gallery, labels, 0.07, alpha=0.0))


def test_a_batch_without_a_match_has_no_gradient() -> None:
    left = rows(3, 0).requires_grad_()
    loss = one_way_loss(left, rows(4, 1), torch.zeros(3, 4, dtype=torch.bool), 10.0)
    loss.backward()
    assert loss.item() == 0
    assert left.grad is not None
    assert not left.grad.any()


def test_the_gradient_reaches_both_sides_and_the_scale() -> None:
    left, right = rows(4, 0).requires_grad_(), rows(4, 1).requires_grad_()
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    matching_loss(left, right, torch.eye(4, dtype=torch.bool), scale).backward()
    assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in (left, right, scale))


def test_top1_accuracy_counts_rows_whose_nearest_is_a_match() -> None:
    left, right = torch.eye(3), torch.eye(3)[[1, 0, 2]]
    assert top1_accuracy(left, right, torch.eye(3, dtype=torch.bool)) == pytest.approx(1 / 3)
    matches = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()
    assert top1_accuracy(left, right, matches) == pytest.approx(2 / 3)
