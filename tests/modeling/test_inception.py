"""The Inception blocks and masked norms against versions written position by position."""

import pytest
import torch
from small_models import scatter
from torch import Tensor
from torch.nn import functional

from dwc.modeling.inception import Inception1d, Inception2d
from dwc.modeling.text_batching import PackedSequences


def normalise_by_hand(features: Tensor, norm: torch.nn.Module) -> Tensor:
    """Batch norm with running statistics, over (C, positions)."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (features - norm.running_mean[:, None]) * scale[:, None] + norm.bias[:, None]


def convolve_by_hand(features: Tensor, weight: Tensor) -> Tensor:
    """A 1-d convolution of one sequence (C, L), zeros outside, one position at a time."""
    reach = weight.shape[-1] // 2
    columns = []
    for position in range(features.shape[1]):
        column = torch.zeros(weight.shape[0])
        for offset in range(-reach, reach + 1):
            if 0 <= position + offset < features.shape[1]:
                column = column + weight[:, :, offset + reach] @ features[:, position + offset]
        columns.append(column)
    return torch.stack(columns, dim=1)


def branch_by_hand(branch: torch.nn.Module, features: Tensor) -> Tensor:
    for number, step in enumerate(branch):
        if number:
            features = features.clamp_min(0)
        features = convolve_by_hand(features, step.convolution.weight)
        features = normalise_by_hand(features, step.normalisation)
    return features


def inception1d_by_hand(block: Inception1d, features: Tensor) -> Tensor:
    length = features.shape[1]
    averaged = torch.stack(
        [features[:, max(0, p - 1) : min(length, p + 2)].mean(dim=1) for p in range(length)], dim=1
    )
    return torch.cat(
        [
            branch_by_hand(block.point, features),
            branch_by_hand(block.narrow, features),
            branch_by_hand(block.wide, features),
            branch_by_hand(block.pooled, averaged),
        ]
    )


def run_padded(block: Inception1d, features: Tensor, mask: Tensor) -> Tensor:
    """The block over (N, C, L) with a mask (N, L), as if it were padded itself."""
    sentences = PackedSequences(mask)
    rows = block(sentences.pack(features.transpose(1, 2)), sentences)
    return sentences.unpack(rows).transpose(1, 2)


def test_inception1d_equals_the_formula_for_each_length():
    block = Inception1d(6, 16).eval()
    scatter(block)
    features = torch.randn(3, 6, 5)
    lengths = [5, 1, 3]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    features = torch.where(mask[:, None], features, torch.full_like(features, 100.0))
    joined = run_padded(block, features, mask)
    assert joined.shape == (3, 16, 5)
    for row, length in enumerate(lengths):
        expected = inception1d_by_hand(block, features[row, :, :length])
        torch.testing.assert_close(joined[row, :, :length], expected, rtol=1e-5, atol=1e-5)
        assert joined[row, :, length:].abs().sum() == 0


def test_inception2d_of_one_row_equals_inception1d():
    """On a map one cell high, the middle row of each 3x3 kernel is all that counts."""
    flat, block = Inception1d(6, 16).eval(), Inception2d(6, 16).eval()
    scatter(block)
    weights = block.state_dict()
    for name, tensor in flat.state_dict().items():
        source = weights[name]
        tensor.copy_(source[:, :, source.shape[2] // 2] if source.dim() == 4 else source)
    features = torch.randn(2, 6, 7)
    expected = run_padded(flat, features, torch.ones(2, 7, dtype=torch.bool))
    torch.testing.assert_close(block(features[:, :, None])[:, :, 0], expected)


@pytest.mark.parametrize("kind", [Inception1d, Inception2d])
def test_folded_weights_give_the_same_and_follow_the_parameters(kind):
    torch.manual_seed(0)
    block = kind(6, 16).eval()
    for tensor in (*block.parameters(), *block.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5)
    if kind is Inception1d:
        mask = torch.arange(5) < torch.tensor([5, 1, 3])[:, None]
        inputs = (torch.randn(int(mask.sum()), 6), PackedSequences(mask))
    else:
        inputs = (torch.randn(3, 6, 4, 4),)
    parameter = block.get_submodule("wide.1").normalisation.running_var
    for factor in (1.0, 4.0):
        parameter.mul_(factor)
        expected = block(*inputs)  # with gradients, so without folded weights
        assert expected.requires_grad
        with torch.no_grad():
            folded = block(*inputs)
        torch.testing.assert_close(folded, expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        block.train()
        trained = block(*inputs)
    assert (trained - expected).abs().max() > 1e-3  # batch norm with the batch's statistics


def test_inception_branches_have_the_stated_shares():
    block = Inception2d(40, 64)
    shapes = {
        name: [tuple(step.convolution.weight.shape) for step in branch]
        for name, branch in block.named_children()
    }
    assert shapes == {
        "point": [(24, 40, 1, 1)],
        "narrow": [(32, 40, 1, 1), (16, 32, 3, 3)],
        "wide": [(16, 40, 1, 1), (8, 16, 3, 3), (16, 8, 3, 3)],
        "pooled": [(8, 40, 1, 1)],
    }
    assert all(step.convolution.bias is None for branch in block.children() for step in branch)


def test_inception2d_average_does_not_count_padding():
    block = Inception2d(1, 8).eval()
    scatter(block)
    constant = torch.ones(1, 1, 4, 4)
    pooled = block(constant)[0, -1]
    torch.testing.assert_close(pooled, pooled[0, 0].expand(4, 4))


def test_inception1d_in_training_takes_its_statistics_from_words_alone():
    block = Inception1d(6, 16).train()
    scatter(block)
    sentences = [torch.randn(6, 5), torch.randn(6, 2)]
    norm = block.point[0].normalisation
    words = torch.cat(sentences, dim=1).T @ block.point[0].convolution.weight[:, :, 0].T  # (7, C)
    expected = functional.batch_norm(words, None, None, norm.weight, norm.bias, training=True)
    padded = torch.full((2, 6, 5), 1e6)
    padded[0], padded[1, :, :2] = sentences
    mask = torch.arange(5) < torch.tensor([5, 2])[:, None]
    joined = run_padded(block, padded, mask)
    actual = torch.cat([joined[0], joined[1, :, :2]], dim=1).T[:, : norm.num_features]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert joined[1, :, 2:].abs().sum() == 0


def test_packing_leaves_padding_out_and_unpacking_puts_zeros_there():
    mask = torch.arange(4) < torch.tensor([4, 0, 1, 3])[:, None]
    padded = torch.randn(4, 4, 2)
    sentences = PackedSequences(mask)
    rows = sentences.pack(padded)
    torch.testing.assert_close(rows, padded[mask])
    torch.testing.assert_close(sentences.unpack(rows), padded * mask.unsqueeze(-1))
    before, after = sentences.neighbors(rows)
    assert before[[0, 4, 5]].abs().sum() == 0  # the first words of three sentences
    assert after[[3, 4, 7]].abs().sum() == 0  # and the last
    torch.testing.assert_close(before[6], rows[5])
    torch.testing.assert_close(after[5], rows[6])
    assert sentences.window.squeeze(-1).tolist() == [2, 3, 3, 2, 1, 2, 3, 2]
