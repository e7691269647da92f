"""DWC's combiner (two gating MLPs, one weight head), and our unit-norm and joint-term variants.

Huang et al. 2024, "Dynamic Weighted Combiner for Mixed-Modal Image Retrieval" (AAAI): the Editable
Modality De-equalizer.

Parameter names: `edit_image.{0,3}`, `edit_text.{0,3}`, `weigh.{0,3}`, and `join.{0,3}` of the joint
variant, each `.weight` and `.bias`.
"""

import torch
from torch import Tensor

from dwc.modeling.combiners.base import Combiner, mlp, register
from dwc.modeling.composition import Composition, normalize


@register("dwc")
class DynamicWeightedCombiner(Combiner):
    """Gates each modality's features by both, then mixes them by a per-query weight."""

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.edit_image = mlp(2 * dim, dim, dim, dropout)
        self.edit_text = mlp(2 * dim, dim, dim, dropout)
        self.weigh = mlp(2 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries; the parts are the edited features, of any length."""
        image_part, text_part = self.edit(image_features, text_features)
        parts = torch.cat([image_part, text_part], dim=-1)  # (N, 2 dim)
        image_weight = torch.sigmoid(self.weigh(parts))  # (N, 1): w
        return Composition.mix(image_part, text_part, image_weight)

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """The edited features (N, dim) of image and text: i and t."""
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        image_part = torch.sigmoid(self.edit_image(both)) * image_features
        text_part = torch.sigmoid(self.edit_text(both)) * text_features
        return image_part, text_part


@register("dwc_unit")
class UnitDynamicCombiner(DynamicWeightedCombiner):
    """DWC's combiner with parts of unit length, so that the weight alone decides; ours.

    In the paper an editor may lengthen or shorten its part, which has the same effect as the
    weight. The more training decides there, the less the weight says about what only the image can
    tell, with no gain in recall. With unit parts, the weight is each part's share of the mix.
    """

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """DWC's edited features at unit length; a missing modality stays zero."""
        image_part, text_part = super().edit(image_features, text_features)
        return normalize(image_part), normalize(text_part)


@register("dwc_joint")
class JointDynamicCombiner(DynamicWeightedCombiner):
    """DWC's combiner plus an unweighted joint part of both features; ours.

    The editors can only attenuate what image and text say separately. What only the two together
    say goes into the joint part, as in CLIP4Cir's Combiner but at a sixth of its size.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.join = mlp(2 * dim, 4 * dim, dim, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries with a joint part."""
        edited = super().forward(image_features, text_features)
        joint_part = self.join(torch.cat([image_features, text_features], dim=-1))  # (N, dim)
        return Composition.mix(edited.image_part, edited.text_part, edited.image_weight, joint_part)
