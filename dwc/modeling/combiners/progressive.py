"""Combiner of Progressive Learning (PL), whose image weight is trained to match a pseudo weight.

The pseudo weight of a query measures how much better the target is found with the query's image
alone than with its text alone.

The combiner follows Zhao et al. 2022, "Progressive Learning for Image Retrieval with
Hybrid-Modality Queries" (SIGIR, arXiv 2204.11212). The paper's abstract names a self-supervised
adaptive weighting of the two modalities; the paper's code was not released. **This is a
reconstruction**: the inputs of the weight MLP, the pseudo weights and the loss are this project's
own choice.

    v, t    CLIP's features of image and text, unit length
    w       image weight: sigmoid(MLP[v; t; v * t]), without a gradient into v and t
    q       query: norm(w v + (1 - w) t)
    s_m     probability of the target in a softmax over the batch, from modality m (v or t) alone
    w*      pseudo weight, which w is trained to predict: s_v^gamma / (s_v^gamma + s_t^gamma)

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
    """Return pseudo weights: image weights that are large where the image finds the target better.

    Each modality alone gets a score for a query: the total probability of the correct targets in a
    softmax over the modality's cosines with all targets of the batch. The better the image's score
    is compared with the text's score, the larger the weight. The formula is this project's own
    reconstruction.

    Args:
        image_features: Image features of N queries, of size D and any vector length, (N, D).
        text_features: Text features of any vector length, (N, D).
        gallery: Unit-length embeddings of the batch's M target images, (M, D).
        matches: Boolean matrix (N, M), True on the correct targets of each query, at least one per
            row.
        temperature: Temperature of the softmax, above 0.
        gamma: Exponent of the scores, at least 0. Larger values move the weights towards 0 and 1; 0
            makes every weight 0.5.

    Returns:
        Pseudo weights (N, 1) in [0, 1], without a gradient.
    """
    image = _log_probability(image_features, gallery, matches, temperature)
    text = _log_probability(text_features, gallery, matches, temperature)
    # Equal to s_v^gamma / (s_v^gamma + s_t^gamma), but from logarithms, which do not underflow.
    return torch.sigmoid(gamma * (image - text))[:, None]  # (N, 1): w*


def weight_loss(image_weight: Tensor, pseudo: Tensor) -> Tensor:
    """Return the binary cross-entropy between image weights and pseudo weights, a scalar.

    Args:
        image_weight: The combiner's image weights of N queries, (N, 1), in [0, 1].
        pseudo: Pseudo weights (N, 1) in [0, 1]; they get no gradient.
    """
    # In float32, because in half precision a weight can round to exactly 0 or 1.
    with torch.autocast(image_weight.device.type, enabled=False):
        return functional.binary_cross_entropy(image_weight.float(), pseudo.detach().float())


def _log_probability(query: Tensor, gallery: Tensor, matches: Tensor, temperature: float) -> Tensor:
    """Return the log-probability of each query's correct targets in a softmax, (N,).

    Args:
        query: Image features or text features of N queries, of size D, (N, D).
        gallery: Unit-length embeddings of M target images, (M, D).
        matches: Boolean matrix (N, M), True on the correct targets of each query.
        temperature: Temperature of the softmax.
    """
    log_probabilities = functional.log_softmax(
        normalize(query.float()) @ gallery.float().T / temperature, dim=-1
    )
    return log_probabilities.masked_fill(~matches, -torch.inf).logsumexp(dim=-1)


@register("progressive")
class ProgressiveCombiner(Combiner):
    """Mixes CLIP's own features with an image weight that is trained to match pseudo weights.

    The MLP that computes the weight passes no gradient to the features, so only the retrieval loss
    trains CLIP. This is a reconstruction of the combiner of Progressive Learning (PL).
    """

    uses_projections = False

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.weigh = mlp(3 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from unit-length image and text features, each (N, dim).

        The features are also the image part and the text part of the queries.
        """
        image, text = image_features.detach(), text_features.detach()
        both = torch.cat([image, text, image * text], dim=-1)  # (N, 3 dim)
        image_weight = torch.sigmoid(self.weigh(both))  # (N, 1): w
        return Composition.mix(image_features, text_features, image_weight)

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor:
        """Return the binary cross-entropy between image weights and pseudo weights, a scalar.

        The pseudo weights are computed with `gamma` 1.
        """
        same = labels[:, None] == labels[None, :]  # (B, B)
        pseudo = pseudo_weights(composed.image_part, composed.text_part, gallery, same, temperature)
        return weight_loss(composed.image_weight, pseudo)


@register("progressive_fixed")
class FixedWeightCombiner(Combiner):
    """Progressive Learning (PL) without its adaptive weight: the mean of CLIP's own features."""

    uses_projections = False

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries of image weight 0.5 from unit-length features, each (N, dim)."""
        weight = image_features.new_full((len(image_features), 1), 0.5)
        return Composition.mix(image_features, text_features, weight)
