"""Loss functions of DWC, computed from embeddings and labels.

B is the batch size and D the embedding size. Embeddings have unit length. Row j of the gallery is
the target of row j of the queries. The formulas of DWC's own losses follow its released code (AAAI
2024).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

NOT_APPLICABLE = -100
"""Label of an attribute whose value is unknown or does not apply; cross-entropy ignores it."""


def soft_labels(
    gallery: Tensor,
    labels: Tensor,
    temperature: float = 0.07,
    alpha: float = 0.2,
    relevance: Tensor | None = None,
) -> Tensor:
    """Compute soft-similarity labels (SSG): for each query, a probability of each target.

    A query's probabilities are a mixture of two distributions over the targets of the batch. One is
    uniform over the targets with the query's label (share 1 - `alpha`). The other is the softmax
    over the similarities of the query's own target to all targets (share `alpha`). The gradient
    flows through the similarities, as in the released code. If `relevance` is given, the first
    distribution is proportional to the relevance instead, which is this project's addition.

    Args:
        gallery: Target embeddings (B, D).
        labels: Integer identities of the targets (B,).
        temperature: Divisor of the similarities.
        alpha: Share of the similarity distribution, in [0, 1].
        relevance: Relevance of each target (column) to each query (row), (B, B), in [0, 1], with 1
            on the diagonal; None for equal labels.

    Returns:
        Labels (B, B), one row per query; each row sums to 1.
    """
    if relevance is None:
        relevance = labels[:, None] == labels[None, :]
    hard = relevance.to(gallery.dtype)  # (B, B)
    hard = hard / hard.sum(dim=-1, keepdim=True)
    if alpha == 0:
        return hard
    similar = functional.softmax(gallery @ gallery.T / temperature, dim=-1)
    return alpha * similar + (1 - alpha) * hard


def contrastive_loss(
    query: Tensor,
    gallery: Tensor,
    labels: Tensor,
    temperature: float = 0.07,
    alpha: float = 0.2,
    gce_q: float = 0.0,
    relevance: Tensor | None = None,
) -> Tensor:
    """Compute the mixed-modality contrastive loss from queries to targets (one direction).

    Args:
        query: Query embeddings (B, D).
        gallery: Target embeddings (B, D).
        labels: Integer identities of the targets (B,).
        temperature: Divisor of the similarities.
        alpha: Share of the similarity distribution in the labels; see `soft_labels`.
        gce_q: Parameter q of the generalized cross entropy (Zhang & Sabuncu, NeurIPS 2018), in
            [0, 1); this project's addition for data with wrong texts. With q = 0 the loss of a
            target of probability p is -log p, as in the paper. With q > 0 it is (1 - p^q) / q, so
            that improbable targets have less influence.
        relevance: Relevance (B, B) of each target to each query, or None; see `soft_labels`.

    Returns:
        The loss, a scalar.
    """
    log_probabilities = functional.log_softmax(query @ gallery.T / temperature, dim=-1)  # (B, B)
    expected = soft_labels(gallery, labels, temperature, alpha, relevance)
    if gce_q > 0:
        log_probabilities = torch.expm1(gce_q * log_probabilities) / gce_q
    return -(expected * log_probabilities).sum(dim=-1).mean()


def mutual_loss(
    query: Tensor,
    gallery: Tensor,
    teacher_query: Tensor,
    teacher_gallery: Tensor,
    scale: float = 10.0,
) -> Tensor:
    """Compute the mutual-enhancement loss, with which one stream learns from the other.

    Each stream has a distribution over the targets of the batch for each query: the softmax of the
    scaled cosine similarities. The loss is the Kullback-Leibler (KL) divergence between the
    distributions of this stream and those of the other stream, the teacher.

    Args:
        query: This stream's query embeddings (B, D).
        gallery: This stream's target embeddings (B, D).
        teacher_query: The other stream's query embeddings (B, D'); detached here.
        teacher_gallery: The other stream's embeddings (B, D') of the *targets*, or, as in the
            released code, of the *references*; see `MutualSettings.teacher_side`. Detached here.
        scale: Factor of both streams' cosine similarities.

    Returns:
        The loss, a scalar.
    """
    student = functional.log_softmax(scale * query @ gallery.T, dim=-1)  # (B, B)
    teacher = functional.log_softmax(
        scale * teacher_query.detach() @ teacher_gallery.detach().T, dim=-1
    )
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def weight_loss(image_weight: Tensor, teacher_weight: Tensor) -> Tensor:
    """Compute the KL divergence between this stream's image weights and the teacher stream's.

    This loss is this project's own addition. An image weight is treated as the probability of the
    image in a choice between image and text. Only queries with an image and a text count; the
    weights of all other queries are 0 or 1 in both streams.

    Args:
        image_weight: This stream's image weights (B, 1), in [0, 1].
        teacher_weight: The other stream's image weights (B, 1), in [0, 1]; detached here.

    Returns:
        The loss, a scalar; 0 if no query has both modalities.
    """
    both = ((teacher_weight > 0) & (teacher_weight < 1)).squeeze(-1)
    teacher = teacher_weight.detach()[both]
    if not len(teacher):
        return image_weight.new_zeros(())
    student = image_weight[both].clamp(1e-6, 1 - 1e-6)  # a weight may round to 0 or 1
    entropy = functional.binary_cross_entropy(teacher, teacher)
    return functional.binary_cross_entropy(student, teacher) - entropy


def anchor_loss(embedding: Tensor, anchors: Tensor) -> Tensor:
    """Compute the mean cosine distance between embeddings and anchors (embeddings to preserve).

    This loss is this project's own addition.

    Args:
        embedding: Embeddings (B, D) with norm 1.
        anchors: Embeddings (B, D) with norm 1; rows of NaN where there is nothing to preserve.

    Returns:
        The loss, a scalar; 0 if no row has an anchor.
    """
    has_anchor = torch.isfinite(anchors[:, 0])
    if not has_anchor.any():
        return embedding.new_zeros(())
    return 1 - (embedding[has_anchor] * anchors[has_anchor]).sum(dim=1).mean()


def share_loss(image_weight: Tensor, image_shares: Tensor) -> Tensor:
    """Compute one minus the correlation of a stream's image weights with known image shares.

    The loss depends only on how the weights vary from query to query, not on their mean or range.
    This loss is this project's own addition. Only queries with an image, a text and a known share
    count.

    Args:
        image_weight: This stream's image weights (B, 1), in [0, 1].
        image_shares: Share of the target's attributes that only the query image determines, (B,)
            in [0, 1]; NaN where unknown.

    Returns:
        The loss, a scalar in [0, 2]; 0 if the weights are an increasing linear function of the
        shares, or if fewer than two queries count.
    """
    weight = image_weight.squeeze(-1)
    counts = torch.isfinite(image_shares) & (weight.detach() > 0) & (weight.detach() < 1)
    if counts.sum() < 2:
        return image_weight.new_zeros(())
    student, shares = weight[counts], image_shares[counts].to(weight.dtype)
    return 1 - functional.cosine_similarity(
        student - student.mean(), shares - shares.mean(), dim=0, eps=1e-6
    )


def attribute_loss(
    logits: Sequence[Tensor],
    labels: Tensor,
    weights: Sequence[float],
    label_smoothing: float = 0.1,
) -> Tensor:
    """Compute the weighted mean of the classification losses (cross-entropy) of attributes.

    This loss is this project's own addition.

    Args:
        logits: For each of A attributes, logits (B, classes).
        labels: Class labels of the attributes (B, A), int64; `NOT_APPLICABLE` where an attribute
            is unknown or does not apply.
        weights: The weight of each attribute, (A,).
        label_smoothing: Share of the target probability that is spread over all classes, in [0, 1].

    Returns:
        The loss, a scalar; an attribute without labels adds nothing.
    """
    losses = [
        weight
        * functional.cross_entropy(
            scores,
            wanted,
            ignore_index=NOT_APPLICABLE,
            label_smoothing=label_smoothing,
            reduction="sum",
        )
        / (wanted != NOT_APPLICABLE).sum().clamp_min(1)
        for scores, wanted, weight in zip(logits, labels.unbind(dim=1), weights, strict=True)
    ]
    return torch.stack(losses).sum() / sum(weights)


def image_text_loss(images: Tensor, texts: Tensor, logit_scale: Tensor) -> Tensor:
    """Compute CLIP's symmetric contrastive loss.

    Args:
        images: Unit-length image embeddings (B, D).
        texts: Unit-length text embeddings (B, D); row j describes image j.
        logit_scale: Factor of the cosine similarities, a scalar tensor.

    Returns:
        The loss, a scalar.
    """
    logits = logit_scale * images @ texts.T  # (B, B)
    labels = torch.arange(len(images), device=images.device)
    return (
        functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)
    ) / 2
