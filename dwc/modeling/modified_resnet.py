"""ModifiedResNet, the image encoder ("tower") of OpenAI's CLIP models RN50, RN101 and RN50x4.

transformers does not contain this model. It is a ResNet with a stem of three convolutions, an
average pool before every strided convolution against aliasing, and attention in place of the last
average pool. Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural
Language Supervision", section 2.4.

Parameter names (left) and OpenAI's names for the same parameters (right):

    stem.{0,1,2}.{convolution,normalisation}              conv{1,2,3}, bn{1,2,3}
    stages.S.B.reduce.{convolution,normalisation}         layer{S+1}.B.conv1, bn1
    stages.S.B.spatial.{convolution,normalisation}        layer{S+1}.B.conv2, bn2
    stages.S.B.expand.{convolution,normalisation}         layer{S+1}.B.conv3, bn3
    stages.S.B.shortcut.{convolution,normalisation}       layer{S+1}.B.downsample.{0,1}
    attention_pool.position_embedding                     attnpool.positional_embedding
    attention_pool.{query,key,value,projection}           attnpool.{q,k,v,c}_proj
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.modeling.configuration_dwc import ModifiedResNetConfig
from dwc.modeling.fused_convolution import Activation, convolve


class NormalizedConvolution(nn.Module):
    """Bias-free convolution, then batch norm and, if requested, an activation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1):
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=False,
        )
        self.normalisation = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor, activation: Activation = "none") -> Tensor:
        """Map N feature maps (N, C, H, W) to (N, out_channels, H / stride, W / stride).

        C is the number of input channels, H the height and W the width. The activation is applied
        last.
        """
        return convolve(self.convolution, self.normalisation, features, activation)


class AntiAliasedBottleneck(nn.Module):
    """Bottleneck block: 1x1 convolution, 3x3 convolution, average pool, 1x1 convolution.

    The convolutions have stride 1; the average pool reduces the resolution by `stride`.
    """

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        out_channels = 4 * channels
        self.reduce = NormalizedConvolution(in_channels, channels, 1)
        self.spatial = NormalizedConvolution(channels, channels, 3)
        self.expand = NormalizedConvolution(channels, out_channels, 1)
        self.downsample = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        has_shortcut = stride > 1 or in_channels != out_channels
        self.shortcut = (
            NormalizedConvolution(in_channels, out_channels, 1) if has_shortcut else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map N feature maps (N, C, H, W) to (N, 4 * channels, H / stride, W / stride).

        C is the number of input channels, H the height and W the width.
        """
        residual = self.reduce(features, "relu")
        residual = self.downsample(self.spatial(residual, "relu"))
        residual = self.expand(residual)
        if self.shortcut is not None:
            features = self.shortcut(self.downsample(features))
        return functional.relu(features + residual)


class AttentionPool(nn.Module):
    """Attention pooling of a feature map to one feature vector.

    The query of the attention is computed from the mean of the map. The learned position embeddings
    fit only one size of feature map.
    """

    def __init__(self, grid_size: int, feature_dim: int, heads: int, projection_dim: int):
        super().__init__()
        self.grid_size = grid_size
        self.heads = heads
        self.position_embedding = nn.Parameter(torch.empty(grid_size**2 + 1, feature_dim))
        nn.init.normal_(self.position_embedding, std=feature_dim**-0.5)
        self.query = nn.Linear(feature_dim, feature_dim)
        self.key = nn.Linear(feature_dim, feature_dim)
        self.value = nn.Linear(feature_dim, feature_dim)
        self.projection = nn.Linear(feature_dim, projection_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Pool N feature maps of C channels to feature vectors (N, projection_dim).

        Args:
            features: The maps (N, C, grid_size, grid_size).
        """
        if features.shape[-2:] != (self.grid_size, self.grid_size):
            raise ValueError(
                f"the image tower's last map is {tuple(features.shape[-2:])} cells; its position "
                f"embedding has {(self.grid_size, self.grid_size)}. Resize the images to the "
                "configured image_size."
            )
        tokens = features.flatten(2).transpose(1, 2)  # (N, R, C)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)  # (N, 1 + R, C)
        tokens = tokens + self.position_embedding
        pooled = functional.scaled_dot_product_attention(
            self._by_head(self.query(tokens[:, :1])),
            self._by_head(self.key(tokens)),
            self._by_head(self.value(tokens)),
        )  # (N, heads, 1, C / heads)
        return self.projection(pooled.flatten(1))

    def _by_head(self, tokens: Tensor) -> Tensor:
        """Split C channels among the attention heads: (N, T, C) to (N, heads, T, C / heads).

        N is the number of images, T the number of tokens.
        """
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ModifiedResNet(nn.Module):
    """CLIP's convolutional image tower (image encoder)."""

    def __init__(self, config: ModifiedResNetConfig):
        super().__init__()
        half = config.width // 2
        self.stem = nn.ModuleList(
            [
                NormalizedConvolution(config.num_channels, half, 3, stride=2),
                NormalizedConvolution(half, half, 3),
                NormalizedConvolution(half, config.width, 3),
            ]
        )
        self.stages = nn.ModuleList()
        in_channels = config.width
        for stage, depth in enumerate(config.layers):
            channels = config.width * 2**stage
            blocks = nn.Sequential()
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(AntiAliasedBottleneck(in_channels, channels, stride))
                in_channels = 4 * channels
            self.stages.append(blocks)
        self.attention_pool = AttentionPool(
            config.grid_size,
            config.feature_dim,
            config.num_attention_heads,
            config.projection_dim,
        )

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map N normalized images (N, 3, image_size, image_size) to features (N, projection_dim).

        The features are not scaled to unit length.
        """
        features = pixel_values
        for layer in self.stem:
            features = layer(features, "relu")
        features = functional.avg_pool2d(features, 2)  # (N, width, H / 4, W / 4)
        for stage in self.stages:
            features = stage(features)
        return self.attention_pool(features)
