"""CLIP4Cir's Combiner.

Baldrati et al. 2022, "Effective Conditioned and Composed Image Retrieval Combining CLIP-based
Features" (CVPR).

Parameter names: `project_image`, `project_text`, `join`, `output`, `weigh.{0,3}`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.modeling.combiners.base import Combiner, mlp, register
from dwc.modeling.composition import Composition


@register("clip4cir")
class Clip4CirCombiner(Combiner):
    """A joint part from wide projections plus a learned mix of the input features.

    Takes CLIP's features at unit length. The projections are four times as wide, the hidden layers
    eight times.
    """

    uses_projections = False

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.project_image = nn.Linear(dim, 4 * dim)
        self.project_text = nn.Linear(dim, 4 * dim)
        self.join = nn.Linear(8 * dim, 8 * dim)
        self.output = nn.Linear(8 * dim, dim)
        self.weigh = mlp(8 * dim, 8 * dim, 1, dropout)
        self.dropout = dropout

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim), unit length -> N queries; the parts are the input features."""
        both = torch.cat(
            [
                self._relu_dropout(self.project_text(text_features)),
                self._relu_dropout(self.project_image(image_features)),
            ],
            dim=-1,
        )  # (N, 8 dim)
        joint_part = self.output(self._relu_dropout(self.join(both)))  # (N, dim)
        # The paper's scalar is the text's weight; the image's is its complement.
        image_weight = 1 - torch.sigmoid(self.weigh(both))  # (N, 1)
        return Composition.mix(image_features, text_features, image_weight, joint_part)

    def _relu_dropout(self, features: Tensor) -> Tensor:
        return functional.dropout(functional.relu(features), self.dropout, self.training)
