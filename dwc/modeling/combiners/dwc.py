"""DWC's combiner: two editors and a weigher; and two of ours: even parts, and a joint part.

Huang et al. 2024, "Dynamic Weighted Combiner for Mixed-Modal Image Retrieval" (AAAI): the Editable
Modality De-equalizer.

Parameter names: `edit_image.{0,3}`, `edit_text.{0,3}`, `weigh.{0,3}`, and ours' `join.{0,3}`, each
`.weight` and `.bias`.
"""

import torch
from torch import Tensor

from dwc.modeling.combiners.base import Combiner, mlp, register
from dwc.modeling.composition import Composition, normalize


@register("dwc")
class DynamicWeightedCombiner(Combiner):
    """Both modalities gate each one's features; a weight that is the query's own mixes them."""

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.edit_image = mlp(2 * dim, dim, dim, dropout)
        self.edit_text = mlp(2 * dim, dim, dim, dropout)
        self.weigh = mlp(2 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries; the parts are the edited features, not unit length."""
        image_part, text_part = self.edit(image_features, text_features)
        parts = torch.cat([image_part, text_part], dim=-1)  # (N, 2 dim)
        image_weight = torch.sigmoid(self.weigh(parts))  # (N, 1): w
        return Composition.mix(image_part, text_part, image_weight)

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """The parts (N, dim) that are mixed: i and t."""
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        image_part = torch.sigmoid(self.edit_image(both)) * image_features
        text_part = torch.sigmoid(self.edit_text(both)) * text_features
        return image_part, text_part


@register("dwc_unit")
class UnitDynamicCombiner(DynamicWeightedCombiner):
    """DWC's combiner with parts of unit length, so that the weight alone decides; ours.

    In the paper an editor may make its part longer or shorter, which does what the weight does. The
    longer it learns, the more is decided there, and the less the weight tells: it follows what only
    the picture can tell less and less, with no more found for it. Here length says nothing, and the
    weight is each part's share of what is mixed.
    """

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """As DWC's, scaled to unit length; a modality that is missing stays zero."""
        image_part, text_part = super().edit(image_features, text_features)
        return normalize(image_part), normalize(text_part)


@register("dwc_joint")
class JointDynamicCombiner(DynamicWeightedCombiner):
    """DWC's combiner and a joint part of both features, added unweighted; a variant of ours.

    The editors can only take away from what a picture and words say by themselves. What the two say
    together, and neither alone, is the joint part's, as in CLIP4Cir's Combiner, at a sixth of that
    one's size.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.join = mlp(2 * dim, 4 * dim, dim, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries, each with a joint part."""
        edited = super().forward(image_features, text_features)
        joint_part = self.join(torch.cat([image_features, text_features], dim=-1))  # (N, dim)
        return Composition.mix(edited.image_part, edited.text_part, edited.image_weight, joint_part)
