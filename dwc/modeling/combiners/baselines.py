"""Baseline combiners from earlier work.

`ImageOnly`, `TextOnly`, `ConcatenationMLP` and `Tirg` follow Vo et al. 2019, "Composing Text and
Image for Image Retrieval - An Empirical Odyssey" (CVPR, arXiv 1812.07119); `Average` is the
unweighted mean; `Clip4CirCombiner` follows Baldrati et al. 2022, "Effective Conditioned and
Composed Image Retrieval Combining CLIP-based Features" (CVPR).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.modeling.combiners.base import Combiner, mlp, register
from dwc.modeling.composition import Composition


def _constant_weight(features: Tensor, image_weight: float) -> Tensor:
    """Return `image_weight` for each of N queries, (N, 1), on the device of `features` (N, dim)."""
    return features.new_full((len(features), 1), image_weight)


@register("image_only")
class ImageOnly(Combiner):
    """Uses the reference image's features as the query and ignores the text."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries of image weight 1 from image and text features, each (N, dim)."""
        weight = _constant_weight(image_features, 1.0)
        return Composition.mix(image_features, text_features, weight)


@register("text_only")
class TextOnly(Combiner):
    """Uses the text's features as the query and ignores the image."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries of image weight 0 from image and text features, each (N, dim)."""
        weight = _constant_weight(image_features, 0.0)
        return Composition.mix(image_features, text_features, weight)


@register("average")
class Average(Combiner):
    """Uses the mean of image and text features, with weight 0.5 for every query."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries of image weight 0.5 from image and text features, each (N, dim)."""
        weight = _constant_weight(image_features, 0.5)
        return Composition.mix(image_features, text_features, weight)


@register("concat_mlp")
class ConcatenationMLP(Combiner):
    """Adds a joint part, an MLP's output for both features, to the mean of image and text features.

    The mean gives the query an image part and a text part, so that a user can change the image
    weight. The MLP's output alone could not be split into such parts.

    Parameter names: `join.{0,3}.{weight,bias}`.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.join = mlp(2 * dim, dim, dim, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries of image weight 0.5 from image and text features, each (N, dim).

        The queries have a joint part, which is computed from both features together.
        """
        joint_part = self.join(torch.cat([image_features, text_features], dim=-1))  # (N, dim)
        weight = _constant_weight(image_features, 0.5)
        return Composition.mix(image_features, text_features, weight, joint_part)


@register("clip4cir")
class Clip4CirCombiner(Combiner):
    """The Combiner of CLIP4Cir: a joint part plus a weighted mean of image and text features.

    The inputs are CLIP's features scaled to unit length. The joint part and the weight are computed
    from projections of both inputs together. The projections are four times as wide as the
    features, and the hidden layers eight times as wide.

    Parameter names: `project_image`, `project_text`, `join`, `output`, `weigh.{0,3}`.
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
        """Compose N queries from unit-length image and text features, each (N, dim).

        The features are also the image part and the text part of the queries.
        """
        both = torch.cat(
            [
                self._relu_dropout(self.project_text(text_features)),
                self._relu_dropout(self.project_image(image_features)),
            ],
            dim=-1,
        )  # (N, 8 dim)
        joint_part = self.output(self._relu_dropout(self.join(both)))  # (N, dim)
        # The scalar in the paper is the weight of the text.
        image_weight = 1 - torch.sigmoid(self.weigh(both))  # (N, 1)
        return Composition.mix(image_features, text_features, image_weight, joint_part)

    def _relu_dropout(self, features: Tensor) -> Tensor:
        return functional.dropout(functional.relu(features), self.dropout, self.training)


@register("tirg")
class Tirg(Combiner):
    """TIRG: gated image features plus a residual computed from both modalities.

    The module follows the released code (github.com/google/tirg) except for the learned scale of
    the normalized embeddings, which only affects a softmax; here the loss's temperature has that
    role.

    TIRG itself defines neither an image weight nor a text part. TIRG's query
    `norm(gated image + residual)` equals `norm(0.5 gated image + 0.5 residual)`. Here, the gated
    image is therefore the image part, the residual is the text part, and every image weight is 0.5.

    `dropout` is unused, as in the released code. In training, a batch needs at least two queries
    because of batch norm.

    Parameter names: `gate.{0,2}`, `residual.{0,2,4}` (`0` is a batch norm), `gate_scale`,
    `residual_scale`.
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
        """Compose N queries of image weight 0.5 from image and text features, each (N, dim)."""
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        gated = self.gate_scale * torch.sigmoid(self.gate(both)) * image_features  # (N, dim)
        residual = self.residual_scale * self.residual(both)  # (N, dim)
        weight = image_features.new_full((len(image_features), 1), 0.5)
        return Composition.mix(gated, residual, weight)
