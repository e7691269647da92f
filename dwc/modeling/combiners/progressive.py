"""Combiner of Progressive Learning (PL): a weight trained by which modality finds the target.

After Zhao et al. 2022, "Progressive Learning for Image Retrieval with Hybrid-Modality Queries"
(SIGIR, arXiv 2204.11212). The paper's abstract names a self-supervised adaptive weighting of the
two modalities; its code was not released. **This is a reconstruction**: the input of the weight
head, the pseudo weights and the loss are this project's own.

    v, t    CLIP's features of image and text, unit length
    w       sigmoid(MLP[v; t; v * t]), without a gradient into v and t
    q       norm(w v + (1 - w) t)
    s_m     probability of the target in a softmax over the batch, from modality m alone
    w*      s_v^gamma / (s_v^gamma + s_t^gamma), the pseudo weight, target of w

Parameter names: `weigh.{0,3}`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from dwc.modeling.combiners.base import Combiner, mlp, register
from dwc.modeling.composition import Composition, normalize


@torch.no_grad()
def pseudo_weights(
    image_features: Tensor,
    text_features: Tensor,
    gallery: Tensor,
    matches: Tensor,
    temperature: float = 0.07,
    gamma: float = 1.0,
) -> Tensor:
    """Pseudo image weights: how much better the image alone finds the target than the text.

    A modality's probability of the target is that of its matches in a softmax over the gallery. A
    reconstruction.

    Args:
        image_features: (N, D), any length.
        text_features: (N, D), any length.
        gallery: (M, D), the batch's targets, unit length.
        matches: (N, M) bool, the right answers of each query, at least one per row.
        temperature: Temperature of the softmax.
        gamma: From 0, how sharply the better modality wins; 0 makes every weight 0.5.

    Returns:
        (N, 1) in [0, 1], without a gradient.
    """
    image = _log_probability(image_features, gallery, matches, temperature)
    text = _log_probability(text_features, gallery, matches, temperature)
    return torch.sigmoid(gamma * (image - text))[:, None]  # (N, 1): w*, in logs against underflow


def weight_loss(image_weight: Tensor, pseudo: Tensor) -> Tensor:
    """Binary cross-entropy between weights and pseudo weights; a reconstruction.

    Args:
        image_weight: (N, 1) in [0, 1].
        wanted: Pseudo weights (N, 1) in [0, 1]; gets no gradient.

    Returns:
        A scalar.
    """
    # In half precision a weight can round to exactly 0 or 1.
    with torch.autocast(image_weight.device.type, enabled=False):
        return functional.binary_cross_entropy(image_weight.float(), pseudo.detach().float())


def _log_probability(query: Tensor, gallery: Tensor, matches: Tensor, temperature: float) -> Tensor:
    """Log-probability (N,) of each query's matches."""
    log_probabilities = functional.log_softmax(
        normalize(query.float()) @ gallery.float().T / temperature, dim=-1
    )
    return log_probabilities.masked_fill(~matches, -torch.inf).logsumexp(dim=-1)


@register("progressive")
class ProgressiveCombiner(Combiner):
    """CLIP's own features mixed by a self-supervised weight; a reconstruction.

    The weight head passes no gradient into the features: retrieval alone trains the towers.
    """

    uses_projections = False

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.weigh = mlp(3 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim), unit length -> N queries; the parts are the input features."""
        image, text = image_features.detach(), text_features.detach()
        both = torch.cat([image, text, image * text], dim=-1)  # (N, 3 dim)
        image_weight = torch.sigmoid(self.weigh(both))  # (N, 1): w
        return Composition.mix(image_features, text_features, image_weight)

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor:
        """Train the weights towards the pseudo weights with `gamma` 1; see `pseudo_weights`."""
        same = labels[:, None] == labels[None, :]  # (B, B)
        pseudo = pseudo_weights(composed.image_part, composed.text_part, gallery, same, temperature)
        return weight_loss(composed.image_weight, pseudo)


@register("progressive_fixed")
class FixedWeightCombiner(Combiner):
    """PL without its adaptive weight: the mean of CLIP's own features."""

    uses_projections = False

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim), unit length -> N queries of image weight 0.5."""
        weight = image_features.new_full((len(image_features), 1), 0.5)
        return Composition.mix(image_features, text_features, weight)
