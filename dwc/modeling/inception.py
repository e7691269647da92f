"""Inception blocks, over maps and over packed sentences.

Szegedy et al. 2015, "Going Deeper with Convolutions", in the form that CLVC-Net and DWC use: every
convolution is bias-free and followed by batch norm, ReLU stands only between the convolutions of a
branch, and the caller applies the outer activation.

Parameter names: `point`, `narrow`, `wide`, `pooled` are the four branches in order; each is a list
of `N.convolution` and `N.normalisation`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.modeling.packed_sequences import PackedSequences


def _branches(in_channels: int, out_channels: int) -> dict[str, list[tuple[int, int, int]]]:
    """Each branch's convolutions as (input channels, output channels, kernel size)."""
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
    """A convolution without bias and its batch norm, over a map."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.normalisation = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out_channels, H, W)."""
        return self.normalisation(self.convolution(features))


class _Step1d(nn.Module):
    """A convolution without bias and its batch norm, over packed words."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.convolution = nn.Conv1d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.normalisation = nn.BatchNorm1d(out_channels)

    def forward(self, rows: Tensor, sentences: PackedSequences) -> Tensor:
        """(M, C) -> (M, out_channels)."""
        weight = self.convolution.weight  # (out_channels, C, 1 or 3)
        if weight.shape[-1] == 3:
            before, after = sentences.neighbours(rows)
            rows = torch.cat([before, rows, after], dim=-1)  # (M, 3 C)
        by_place = weight.transpose(1, 2).flatten(1)  # (out_channels, C or 3 C)
        return self.normalisation(functional.linear(rows, by_place))


class _Inception(nn.Module):
    """The four branches, whatever they run over."""

    def __init__(self, in_channels: int, out_channels: int, step: type[nn.Module]):
        super().__init__()
        for name, convolutions in _branches(in_channels, out_channels).items():
            self.add_module(name, nn.ModuleList(step(*shape) for shape in convolutions))

    def _join(self, features: Tensor, averaged: Tensor, *sentences: PackedSequences) -> Tensor:
        """Run every branch and lay the channels side by side, in the order above."""
        sources = {"point": features, "narrow": features, "wide": features, "pooled": averaged}
        outputs = [
            _run(self.get_submodule(name), source, *sentences) for name, source in sources.items()
        ]
        for output in outputs:
            if output.requires_grad:
                output.register_hook(_dense_like(output))
        return torch.cat(outputs, dim=1)


def _dense_like(output: Tensor) -> Callable[[Tensor], Tensor]:
    """Lays a branch's gradient out as its output is.

    It comes as a view into that of the joined branches, with which the batch norm behind it takes
    ten times as long on a CPU.
    """
    by_pixel = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if by_pixel else torch.contiguous_format
    return lambda gradient: gradient.contiguous(memory_format=layout)


def _run(branch: nn.Module, features: Tensor, *sentences: PackedSequences) -> Tensor:
    for number, step in enumerate(branch.children()):
        features = step(features if number == 0 else functional.relu(features), *sentences)
    return features


class Inception2d(_Inception):
    """An Inception block over maps."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, _Step2d)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W), before any activation."""
        averaged = functional.avg_pool2d(
            features, kernel_size=3, stride=1, padding=1, count_include_pad=False
        )
        return self._join(features, averaged)


class Inception1d(_Inception):
    """An Inception block over sentences of unequal length; padding neither adds nor counts."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, _Step1d)

    def forward(self, rows: Tensor, sentences: PackedSequences) -> Tensor:
        """Packed words (M, in_channels) -> (M, out_channels), before any activation.

        In training at least two words must be in the batch.
        """
        before, after = sentences.neighbours(rows)
        return self._join(rows, (before + rows + after) / sentences.window, sentences)
