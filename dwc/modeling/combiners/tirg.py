"""TIRG: the image's features, gated, plus a residual that the words ask for.

Vo et al. 2019, "Composing Text and Image for Image Retrieval - An Empirical Odyssey" (CVPR, arXiv
1812.07119), as in the released code (github.com/google/tirg), without its scale of the normalised
embeddings, which only a softmax feels and which the loss's temperature does here.

Parameter names: `gate.{0,2}`, `residual.{0,2,4}` (each one's `0` a batch norm), `gate_scale`,
`residual_scale`.
"""

import torch
from torch import Tensor, nn

from dwc.modeling.combiners.base import Combiner, register
from dwc.modeling.composition import Composition


@register("tirg")
class Tirg(Combiner):
    """Walks from the image's features along a residual that both modalities decide.

    TIRG has no weight and no text part. Its query is `norm(gated image + residual)`, which is
    `norm(0.5 gated image + 0.5 residual)`: so the gated image stands as image part, the residual
    as text part, and the weight is 0.5 for every query.

    `dropout` is not used, as in the released code. Batch norms need two queries or more in
    training.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.gate = nn.Sequential(nn.BatchNorm1d(2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.residual = nn.Sequential(
            nn.BatchNorm1d(2 * dim),
            nn.ReLU(),
            nn.Linear(2 * dim, 2 * dim),
            nn.ReLU(),
            nn.Linear(2 * dim, dim),
        )
        # Learned; the released code starts them so.
        self.gate_scale = nn.Parameter(torch.tensor(1.0))
        self.residual_scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of weight 0.5: gated image, residual."""
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        gated = self.gate_scale * torch.sigmoid(self.gate(both)) * image_features  # (N, dim)
        residual = self.residual_scale * self.residual(both)  # (N, dim)
        weight = image_features.new_full((len(image_features), 1), 0.5)
        return Composition.mix(gated, residual, weight)
