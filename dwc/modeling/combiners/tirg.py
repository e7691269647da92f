"""TIRG: the image's features, gated, plus a residual computed from both modalities.

Vo et al. 2019, "Composing Text and Image for Image Retrieval - An Empirical Odyssey" (CVPR, arXiv
1812.07119), as in the released code (github.com/google/tirg) but without its scale of the
normalized embeddings: only a softmax depends on it, and the loss's temperature has that role here.

Parameter names: `gate.{0,2}`, `residual.{0,2,4}` (`0` is a batch norm), `gate_scale`,
`residual_scale`.
"""

import torch
from torch import Tensor, nn

from dwc.modeling.combiners.base import Combiner, register
from dwc.modeling.composition import Composition


@register("tirg")
class Tirg(Combiner):
    """Gated image features plus a residual of both modalities.

    TIRG has neither a weight nor a text part. Its query `norm(gated image + residual)` equals
    `norm(0.5 gated image + 0.5 residual)`, so the gated image is the image part, the residual the
    text part, and every weight is 0.5.

    `dropout` is unused, as in the released code. Batch norm needs at least two queries in training.
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
        # Initial values of the released code.
        self.gate_scale = nn.Parameter(torch.tensor(1.0))
        self.residual_scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries of weight 0.5: gated image, residual."""
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        gated = self.gate_scale * torch.sigmoid(self.gate(both)) * image_features  # (N, dim)
        residual = self.residual_scale * self.residual(both)  # (N, dim)
        weight = image_features.new_full((len(image_features), 1), 0.5)
        return Composition.mix(gated, residual, weight)
