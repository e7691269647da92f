"""What a learned combiner is measured against: one modality alone, their mean, a perceptron.

The image-only, text-only and concatenation baselines of Vo et al. 2019, "Composing Text and Image
for Image Retrieval" (TIRG), and the unweighted mean.
"""

import torch
from torch import Tensor

from dwc.modeling.combiners.base import Combiner, mlp, register
from dwc.modeling.composition import Composition


def _constant_weight(features: Tensor, image_weight: float) -> Tensor:
    """(N, dim) -> (N, 1), the same weight for every query."""
    return features.new_full((len(features), 1), image_weight)


@register("image_only")
class ImageOnly(Combiner):
    """The reference image as it is; the words are not heard."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of image weight 1."""
        weight = _constant_weight(image_features, 1.0)
        return Composition.mix(image_features, text_features, weight)


@register("text_only")
class TextOnly(Combiner):
    """The words as they are; the picture is not seen."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of image weight 0."""
        weight = _constant_weight(image_features, 0.0)
        return Composition.mix(image_features, text_features, weight)


@register("average")
class Average(Combiner):
    """The mean of both, the same for every query."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of image weight 0.5."""
        weight = _constant_weight(image_features, 0.5)
        return Composition.mix(image_features, text_features, weight)


@register("concat_mlp")
class ConcatenationMLP(Combiner):
    """The mean of both, plus a perceptron's reading of the two side by side as joint part.

    The mean stands beside the perceptron so that the query still has an image and a text part to
    lean to when its weight is shifted; by itself the perceptron would be one joint part.

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
