"""Inception blocks, the convolutions of the CNN stream: `Inception2d` and `Inception1d`.

`Inception2d` is for feature maps of images, `Inception1d` for sequences of words.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.modeling.fused_convolution import can_fold, fold, state_of
from dwc.modeling.text_batching import PackedSequences


def _branches(in_channels: int, out_channels: int) -> dict[str, list[tuple[int, int, int]]]:
    """Return the convolutions of an Inception block's four branches.

    Args:
        in_channels: Number of input channels of the block.
        out_channels: Number of output channels of all branches together, a multiple of 8.

    Returns:
        A dict from the name of each branch to its convolutions in order, each as (input channels,
        output channels, kernel size).

    Raises:
        ValueError: `out_channels` is not a multiple of 8.
    """
    if out_channels % 8:
        raise ValueError(f"an Inception block has {out_channels} outputs; give a multiple of 8.")
    eighth = out_channels // 8
    return {
        "point": [(in_channels, 3 * eighth, 1)],
        "narrow": [(in_channels, 4 * eighth, 1), (4 * eighth, 2 * eighth, 3)],
        "wide": [
            (in_channels, 2 * eighth, 1),
            (2 * eighth, eighth, 3),
            (eighth, 2 * eighth, 3),
        ],
        "pooled": [(in_channels, eighth, 1)],
    }


class _Step2d(nn.Module):
    """Bias-free 2-d convolution followed by batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.normalisation = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map N feature maps (N, C, H, W) to (N, out_channels, H, W).

        C is the number of input channels, H the height and W the width.
        """
        return self.normalisation(self.convolution(features))


class _Step1d(nn.Module):
    """Bias-free 1-d convolution followed by batch norm, for sequences stored without padding."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.convolution = nn.Conv1d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.normalisation = nn.BatchNorm1d(out_channels)

    def forward(self, rows: Tensor, sequences: PackedSequences) -> Tensor:
        """Map the features of M words from (M, C) to (M, out_channels).

        Args:
            rows: Features with C input channels of the words of all sequences, (M, C).
            sequences: Positions of the words in their sequences.
        """
        return self.normalisation(_convolve_words(rows, sequences, self.convolution.weight))


def _convolve_words(
    rows: Tensor, sequences: PackedSequences, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Apply a 1-d convolution to the features of M words, (M, C) to (M, out_channels).

    Args:
        rows: Features with C channels of the words of all sequences, (M, C).
        sequences: Positions of the words in their sequences.
        weight: The weight (out_channels, C, kernel size), for a kernel of 1 or 3 words.
        bias: The bias (out_channels,); None for no bias.
    """
    if weight.shape[-1] == 3:
        before, after = sequences.neighbors(rows)
        rows = torch.cat([before, rows, after], dim=-1)  # (M, 3 C)
    by_position = weight.transpose(1, 2).flatten(1)  # (out_channels, C or 3 C)
    return functional.linear(rows, by_position, bias)


class _FoldedInception(NamedTuple):
    """Weights of an Inception block in which the batch norms are folded into the convolutions.

    Each convolution is given as its weight (out_channels, in_channels, kernel size, ...) and bias
    (out_channels,).

    Attributes:
        state: The state of the parameters that were folded; see `state_of`.
        first: The first convolutions of all branches as one, since all have kernels of size 1. The
            outputs of the branches follow each other in the order of `branches`.
        branches: The number of outputs of the first convolution of each branch, and the branch's
            other convolutions.
    """

    state: tuple[int, ...]
    first: tuple[Tensor, Tensor]
    branches: list[tuple[int, list[tuple[Tensor, Tensor]]]]


# They are not stored in the module: they are no part of its state, and are not copied with it.
_folded_blocks: WeakKeyDictionary[nn.Module, _FoldedInception] = WeakKeyDictionary()


class _Inception(nn.Module):
    """Base class of Inception blocks, with four branches; each is a sequence of convolutions.

    The constructor's argument `step` is the class of all convolutions: `_Step2d` or `_Step1d`.

    Source: Szegedy et al. 2015, "Going Deeper with Convolutions", in the variant of CLVC-Net and
    DWC: every convolution is bias-free and followed by batch norm, there is a ReLU only between the
    convolutions of a branch, and the caller applies the activation to the block's output.

    Without gradients and in eval mode, the block computes the same in fewer operations, within
    rounding: batch norms are folded, and the first convolutions of the branches run as one. In the
    branch `pooled`, the convolution then precedes the average pooling, with which it commutes. For
    one query, this takes 0.4 of the time.

    Parameter names: the branches are `point`, `narrow`, `wide` and `pooled`; the Nth convolution of
    a branch has `N.convolution` and `N.normalisation`.
    """

    def __init__(self, in_channels: int, out_channels: int, step: type[nn.Module]):
        super().__init__()
        for name, convolutions in _branches(in_channels, out_channels).items():
            self.add_module(name, nn.ModuleList(step(*shape) for shape in convolutions))

    def _join(
        self,
        features: Tensor,
        average: Callable[[Tensor], Tensor],
        convolve: Callable[[Tensor, Tensor, Tensor], Tensor],
        *sequences: PackedSequences,
    ) -> Tensor:
        """Run the four branches and concatenate their outputs along the channels.

        Args:
            features: Input of the block.
            average: The average pooling of the branch `pooled`.
            convolve: Function that applies a convolution to its first argument; the others are the
                convolution's weight and bias.
            *sequences: Where each sequence's words are, which only the 1-d block needs.

        Returns:
            Features (N, out_channels, height, width) of N images from the 2-d block, or features
            (M, out_channels) of M words from the 1-d block.
        """
        step: Any = self.get_submodule("point.0")
        if can_fold(step.convolution, step.normalisation, features):
            return self._join_folded(features, average, convolve)
        outputs = [
            _run(branch, average(features) if name == "pooled" else features, *sequences)
            for name, branch in self.named_children()
        ]
        for output in outputs:
            if output.requires_grad:
                output.register_hook(_dense_like(output))
        return torch.cat(outputs, dim=1)

    def _join_folded(
        self,
        features: Tensor,
        average: Callable[[Tensor], Tensor],
        convolve: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Do the same as `_join`, with folded weights."""
        folded = self._fold()
        sizes = [size for size, _ in folded.branches]
        outputs = []
        starts = convolve(features, *folded.first).split(sizes, dim=1)
        for output, (_, convolutions) in zip(starts, folded.branches, strict=True):
            for weight, bias in convolutions:
                output = convolve(functional.relu(output), weight, bias)
            outputs.append(output)
        outputs[-1] = average(outputs[-1])
        return torch.cat(outputs, dim=1)

    def _fold(self) -> _FoldedInception:
        """Return the folded weights; they are computed again if a parameter has changed."""
        branches: list[Any] = list(self.children())
        steps = [(step.convolution, step.normalisation) for branch in branches for step in branch]
        state = tuple(number for step in steps for number in state_of(*step))
        known = _folded_blocks.get(self)
        if known is None or known.state != state:
            folded = [
                [fold(step.convolution, step.normalisation) for step in branch]
                for branch in branches
            ]
            weights, biases = zip(*(convolutions[0] for convolutions in folded), strict=True)
            known = _FoldedInception(
                state,
                (torch.cat(weights), torch.cat(biases)),
                [(len(bias), rest) for (_, bias), *rest in folded],
            )
            _folded_blocks[self] = known
        return known


def _dense_like(output: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a gradient hook that copies the gradient into the memory layout of `output`.

    `output` is the output of one branch of an Inception block. Without the hook, its gradient is a
    view into the gradient of the concatenated outputs, which makes the backward pass of the
    branch's last batch norm ten times slower on a CPU.
    """
    by_pixel = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if by_pixel else torch.contiguous_format
    return lambda gradient: gradient.contiguous(memory_format=layout)


def _run(branch: nn.Module, features: Tensor, *sequences: PackedSequences) -> Tensor:
    for number, step in enumerate(branch.children()):
        features = step(features if number == 0 else functional.relu(features), *sequences)
    return features


class Inception2d(_Inception):
    """An Inception block of 2-d convolutions, for feature maps."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, _Step2d)

    def forward(self, features: Tensor) -> Tensor:
        """Map N feature maps (N, in_channels, height, width) to (N, out_channels, height, width).

        No activation is applied to the result.
        """

        def average(maps: Tensor) -> Tensor:
            return functional.avg_pool2d(
                maps, kernel_size=3, stride=1, padding=1, count_include_pad=False
            )

        def convolve(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return functional.conv2d(maps, weight, bias, padding=weight.shape[-1] // 2)

        return self._join(features, average, convolve)


class Inception1d(_Inception):
    """An Inception block of 1-d convolutions, for sequences of words stored without padding."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, _Step1d)

    def forward(self, rows: Tensor, sequences: PackedSequences) -> Tensor:
        """Map the features of M words from (M, in_channels) to (M, out_channels).

        No activation is applied to the result. In training, batch norm needs at least two words.

        Args:
            rows: Features of the words of all sequences, (M, in_channels).
            sequences: Positions of the words in their sequences.
        """

        def average(words: Tensor) -> Tensor:
            before, after = sequences.neighbors(words)
            return (before + words + after) / sequences.window.to(words.dtype)

        def convolve(words: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return _convolve_words(words, sequences, weight, bias)

        return self._join(rows, average, convolve, sequences)
