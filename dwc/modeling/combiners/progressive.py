"""PL's combiner: a weight for every query, learned from which modality finds the target better.

After Zhao et al. 2022, "Progressive Learning for Image Retrieval with Hybrid-Modality Queries"
(SIGIR, arXiv 2204.11212). The paper's abstract names a self-supervised adaptive weighting of the
two modalities; its code was not released. **What is here is a reconstruction**: what the weigher
reads, the pseudo weights and the loss are this project's own.

    v, t    CLIP's features of image and text, unit length
    w       sigmoid(MLP[v; t; v * t]), read without a gradient into v and t
    q       norm(w v + (1 - w) t)
    s_m     probability of the target in a softmax over the batch, asked by modality m alone
    w*      s_v^gamma / (s_v^gamma + s_t^gamma), the pseudo weight that w is drawn to

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
    """How much each query owes to its image, by which modality alone finds the target better.

    `image_features`, `text_features` (N, D), any length; `gallery` (M, D), the batch's targets,
    unit length; `matches` (N, M) bool, which of them answer which query, at least one each. A
    modality's probability of the target is that of its matches in a softmax over the gallery at
    `temperature`. `gamma` (from 0) is how sharply the better modality wins; 0 makes every weight
    0.5. Returns (N, 1) in [0, 1], with no gradient. A reconstruction.
    """
    image = _log_probability(image_features, gallery, matches, temperature)
    text = _log_probability(text_features, gallery, matches, temperature)
    return torch.sigmoid(gamma * (image - text))[:, None]  # (N, 1): w*, in logs so none underflows


def weight_loss(image_weight: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy of weights (N, 1) to the pseudo weights (N, 1); a scalar.

    Both in [0, 1]. `wanted` passes no gradient. A reconstruction.
    """
    # Under autocast to half precision a weight rounds to exactly 0 or 1; float32 first.
    with torch.autocast(image_weight.device.type, enabled=False):
        return functional.binary_cross_entropy(image_weight.float(), wanted.detach().float())


def _log_probability(query: Tensor, gallery: Tensor, matches: Tensor, temperature: float) -> Tensor:
    """Log of the probability (N,) that each query gives to its matches."""
    answers = functional.log_softmax(
        normalize(query.float()) @ gallery.float().T / temperature, dim=-1
    )
    return answers.masked_fill(~matches, -torch.inf).logsumexp(dim=-1)


@register("progressive")
class ProgressiveCombiner(Combiner):
    """CLIP's own features mixed by a weight that teaches itself; a reconstruction.

    The weigher reads features but does not shape them: what trains the towers is retrieval alone.
    """

    uses_projections = False

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.weigh = mlp(3 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim), unit length, -> N queries; the parts are the features themselves."""
        image, text = image_features.detach(), text_features.detach()
        read = torch.cat([image, text, image * text], dim=-1)  # (N, 3 dim)
        image_weight = torch.sigmoid(self.weigh(read))  # (N, 1): w
        return Composition.mix(image_features, text_features, image_weight)

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor:
        """Draw the weights to the pseudo weights, `gamma` 1; see `pseudo_weights`."""
        same = labels[:, None] == labels[None, :]  # (B, B)
        wanted = pseudo_weights(composed.image_part, composed.text_part, gallery, same, temperature)
        return weight_loss(composed.image_weight, wanted)


@register("progressive_fixed")
class FixedWeightCombiner(Combiner):
    """PL without its adaptive weight: CLIP's own features, half and half."""

    uses_projections = False

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim), unit length, -> N queries of image weight 0.5."""
        weight = image_features.new_full((len(image_features), 1), 0.5)
        return Composition.mix(image_features, text_features, weight)
