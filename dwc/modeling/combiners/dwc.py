"""The paper's combiner (two gating MLPs and a weight MLP) and two variants of this project.

Source: the Editable Modality De-equalizer of Huang et al. 2024, "Dynamic Weighted Combiner for
Mixed-Modal Image Retrieval" (AAAI).

Parameter names: `edit_image.{0,3}`, `edit_text.{0,3}`, `weigh.{0,3}`, and `join.{0,3}` in
`JointDynamicCombiner`, each with `.weight` and `.bias`.
"""

import torch
from torch import Tensor

from dwc.modeling.combiners.base import Combiner, mlp, register
from dwc.modeling.composition import Composition, normalize


@register("dwc")
class DynamicWeightedCombiner(Combiner):
    """Multiplies image and text features by learned gates, then mixes them by a query's weight.

    Both gates and the weight depend on the image and the text.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.edit_image = mlp(2 * dim, dim, dim, dropout)
        self.edit_text = mlp(2 * dim, dim, dim, dropout)
        self.weigh = mlp(2 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from image and text features (N, dim); their parts are from `edit`."""
        image_part, text_part = self.edit(image_features, text_features)
        parts = torch.cat([image_part, text_part], dim=-1)  # (N, 2 dim)
        image_weight = torch.sigmoid(self.weigh(parts))  # (N, 1): w
        return Composition.mix(image_part, text_part, image_weight)

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated image features and text features (the paper's i and t), (N, dim)."""
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        image_part = torch.sigmoid(self.edit_image(both)) * image_features
        text_part = torch.sigmoid(self.edit_text(both)) * text_features
        return image_part, text_part


@register("dwc_unit")
class UnitDynamicCombiner(DynamicWeightedCombiner):
    """Variant of this project whose image and text parts are scaled to unit length.

    In the paper's combiner a gate may lengthen or shorten its part, which changes the balance of
    image and text as the weight does. The more training uses the gates for this, the less the
    weight tells how much a query depends on its image, with no gain in recall. With parts of unit
    length the weight alone sets the balance.
    """

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated features (N, dim) at unit length; a missing modality stays zero."""
        image_part, text_part = super().edit(image_features, text_features)
        return normalize(image_part), normalize(text_part)


@register("dwc_joint")
class JointDynamicCombiner(DynamicWeightedCombiner):
    """Variant of this project that adds an unweighted joint part computed from both features.

    The gates can only attenuate the features of image and text separately. The joint part adds
    information that depends on both together, as in CLIP4Cir's Combiner but with a sixth of its
    parameters.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.join = mlp(2 * dim, 4 * dim, dim, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries with a joint part from image and text features, each (N, dim)."""
        edited = super().forward(image_features, text_features)
        joint_part = self.join(torch.cat([image_features, text_features], dim=-1))  # (N, dim)
        return Composition.mix(edited.image_part, edited.text_part, edited.image_weight, joint_part)
