"""DWC's combiner from the paper (two gating MLPs and a weight MLP) and two variations of it.

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
    """Multiplies image and text features by gates, then mixes them with an image weight per query.

    MLPs compute both gates and the weight from the image and the text together.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.edit_image = mlp(2 * dim, dim, dim, dropout)
        self.edit_text = mlp(2 * dim, dim, dim, dropout)
        self.weigh = mlp(2 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from image and text features, each (N, dim).

        The image part and the text part of the queries are the results of `edit`.
        """
        image_part, text_part = self.edit(image_features, text_features)
        parts = torch.cat([image_part, text_part], dim=-1)  # (N, 2 dim)
        image_weight = torch.sigmoid(self.weigh(parts))  # (N, 1): w
        return Composition.mix(image_part, text_part, image_weight)

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated image features and the gated text features of N queries, each (N, dim).

        The results are the paper's i and t. The arguments (N, dim) are the features before gating.
        """
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        image_part = torch.sigmoid(self.edit_image(both)) * image_features
        text_part = torch.sigmoid(self.edit_text(both)) * text_features
        return image_part, text_part


@register("dwc_unit")
class UnitDynamicCombiner(DynamicWeightedCombiner):
    """DWC's combiner with image and text parts scaled to unit length; this project's variation.

    In the paper's combiner, a gate may change the length of the image part or of the text part. A
    change in length alters the balance of image and text, as the image weight does. If the
    gates influence the balance, the image weight says less about how much a query depends on its
    image; in our comparison of combiners, this freedom of the gates did not improve the recall. If
    both parts have unit length, the weight alone determines the balance.
    """

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated image and text features of N queries, each (N, dim), at unit length.

        Features of a missing modality, which are zero, stay zero.
        """
        image_part, text_part = super().edit(image_features, text_features)
        return normalize(image_part), normalize(text_part)


@register("dwc_joint")
class JointDynamicCombiner(DynamicWeightedCombiner):
    """DWC's combiner with an additional joint part that has no weight; this project's variation.

    The gates can only attenuate the features of the image and of the text. The joint part is
    computed from both features and adds information that depends on their combination. CLIP4Cir's
    Combiner has a joint part, too, whose layers have six times as many parameters.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.join = mlp(2 * dim, 4 * dim, dim, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from image and text features, each (N, dim).

        The queries have a joint part, which is computed from both features together.
        """
        edited = super().forward(image_features, text_features)
        joint_part = self.join(torch.cat([image_features, text_features], dim=-1))  # (N, dim)
        return Composition.mix(edited.image_part, edited.text_part, edited.image_weight, joint_part)
