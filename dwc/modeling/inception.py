"""Inception blocks for feature maps and for packed sequences (see `packed_sequences.py`).

Source: Szegedy et al. 2015, "Going Deeper with Convolutions", in the variant of CLVC-Net and DWC:
every convolution is bias-free and followed by batch norm, there is a ReLU only between the
convolutions of a branch, and the caller applies the activation to the block's output.

Parameter names: the four branches in order are `point`, `narrow`, `wide` and `pooled`; the Nth
convolution of a branch has `N.convolution` and `N.normalisation`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.modeling.packed_sequences import PackedSequences


def _branches(in_channels: int, out_channels: int) -> dict[str, list[tuple[int, int, int]]]:
    """Return each branch's convolutions by name: (input channels, output channels, kernel size)."""
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
    """Bias-free 1-d convolution followed by batch norm, for packed sequences."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.convolution = nn.Conv1d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.normalisation = nn.BatchNorm1d(out_channels)

    def forward(self, rows: Tensor, sequences: PackedSequences) -> Tensor:
        """Map the features of the M words of packed sequences from (M, C) to (M, out_channels).

        C is the number of input channels.
        """
        weight = self.convolution.weight  # (out_channels, C, 1 or 3)
        if weight.shape[-1] == 3:
            before, after = sequences.neighbors(rows)
            rows = torch.cat([before, rows, after], dim=-1)  # (M, 3 C)
        by_place = weight.transpose(1, 2).flatten(1)  # (out_channels, C or 3 C)
        return self.normalisation(functional.linear(rows, by_place))


class _Inception(nn.Module):
    """Base class with the four branches; each branch is a sequence of `step` modules."""

    def __init__(self, in_channels: int, out_channels: int, step: type[nn.Module]):
        super().__init__()
        for name, convolutions in _branches(in_channels, out_channels).items():
            self.add_module(name, nn.ModuleList(step(*shape) for shape in convolutions))

    def _join(self, features: Tensor, averaged: Tensor, *sequences: PackedSequences) -> Tensor:
        """Run the branches and concatenate their outputs along the channels.

        Args:
            features: Input of the branches `point`, `narrow` and `wide`.
            averaged: The average-pooled input, which goes to the branch `pooled`.
            *sequences: Further arguments of each `step` module: the packed sequences in 1-d, none
                in 2-d.
        """
        sources = {"point": features, "narrow": features, "wide": features, "pooled": averaged}
        outputs = [
            _run(self.get_submodule(name), source, *sequences) for name, source in sources.items()
        ]
        for output in outputs:
            if output.requires_grad:
                output.register_hook(_dense_like(output))
        return torch.cat(outputs, dim=1)


def _dense_like(output: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a gradient hook that copies the gradient into the memory layout of `output`.

    Without the hook, a branch's gradient is a view into the gradient of the concatenation, which
    makes the batch norm's backward pass ten times slower on a CPU.
    """
    by_pixel = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if by_pixel else torch.contiguous_format
    return lambda gradient: gradient.contiguous(memory_format=layout)


def _run(branch: nn.Module, features: Tensor, *sequences: PackedSequences) -> Tensor:
    for number, step in enumerate(branch.children()):
        features = step(features if number == 0 else functional.relu(features), *sequences)
    return features


class Inception2d(_Inception):
    """An Inception block for feature maps."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, _Step2d)

    def forward(self, features: Tensor) -> Tensor:
        """Map N feature maps (N, in_channels, height, width) to (N, out_channels, height, width).

        No activation is applied to the result.
        """
        averaged = functional.avg_pool2d(
            features, kernel_size=3, stride=1, padding=1, count_include_pad=False
        )
        return self._join(features, averaged)


class Inception1d(_Inception):
    """An Inception block for packed sequences; its results do not depend on padding."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, _Step1d)

    def forward(self, rows: Tensor, sequences: PackedSequences) -> Tensor:
        """Map the M words of packed sequences from (M, in_channels) to (M, out_channels).

        No activation is applied. In training a batch needs at least two words, for the batch norm.
        """
        before, after = sequences.neighbors(rows)
        window = sequences.window.to(rows.dtype)
        return self._join(rows, (before + rows + after) / window, sequences)
