"""Baselines: one modality alone, the mean of both, and a perceptron on their concatenation.

The image-only, text-only and concatenation baselines of Vo et al. 2019, "Composing Text and Image
for Image Retrieval" (TIRG), and the unweighted mean.
"""

import torch
from torch import Tensor

from dwc.modeling.combiners.base import Combiner, mlp, register
from dwc.modeling.composition import Composition


def _constant_weight(features: Tensor, image_weight: float) -> Tensor:
    """The same weight for every query: (N, dim) -> (N, 1)."""
    return features.new_full((len(features), 1), image_weight)


@register("image_only")
class ImageOnly(Combiner):
    """The reference image's features; the text is ignored."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of image weight 1."""
        weight = _constant_weight(image_features, 1.0)
        return Composition.mix(image_features, text_features, weight)


@register("text_only")
class TextOnly(Combiner):
    """The text's features; the image is ignored."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of image weight 0."""
        weight = _constant_weight(image_features, 0.0)
        return Composition.mix(image_features, text_features, weight)


@register("average")
class Average(Combiner):
    """The mean of both, with the same weight for every query."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of image weight 0.5."""
        weight = _constant_weight(image_features, 0.5)
        return Composition.mix(image_features, text_features, weight)


@register("concat_mlp")
class ConcatenationMLP(Combiner):
    """The mean of both plus a perceptron on their concatenation as joint part.

    The mean gives the query an image part and a text part, so that its weight can be shifted; the
    perceptron alone would be a joint part only.

    Parameter names: `join.{0,3}.{weight,bias}`.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.join = mlp(2 * dim, dim, dim, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of image weight 0.5, with a joint part."""
        joint_part = self.join(torch.cat([image_features, text_features], dim=-1))  # (N, dim)
        weight = _constant_weight(image_features, 0.5)
        return Composition.mix(image_features, text_features, weight, joint_part)
