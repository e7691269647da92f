"""The losses of DWC, as pure functions of embeddings and labels.

B is the batch, D the embedding. Embeddings are unit length; row j of the queries belongs to row j
of the gallery (its target). Formulas as in the released code of DWC (AAAI 2024).
"""

import torch
from torch import Tensor
from torch.nn import functional


def soft_labels(
    gallery: Tensor, labels: Tensor, temperature: float = 0.07, alpha: float = 0.2
) -> Tensor:
    """Soft-similarity labels (SSG): which targets of the batch answer each query, and how well.

    Targets with the same label (B,) share the answer evenly; a part `alpha` of each row goes to
    targets in the measure in which they look alike. Rows (B, B) sum to 1. The gradient flows
    through the similarities, as in the released code.
    """
    same = (labels[:, None] == labels[None, :]).to(gallery.dtype)  # (B, B)
    hard = same / same.sum(dim=-1, keepdim=True)
    if alpha == 0:
        return hard
    alike = functional.softmax(gallery @ gallery.T / temperature, dim=-1)
    return alpha * alike + (1 - alpha) * hard


def contrastive_loss(
    query: Tensor,
    gallery: Tensor,
    labels: Tensor,
    temperature: float = 0.07,
    alpha: float = 0.2,
    doubt: float = 0.0,
) -> Tensor:
    """Mixed-modality contrastive loss: each query (B, D) towards its targets (B, D), one way.

    `doubt`, in [0, 1], is ours: with 0 the loss of an answer of probability p is -log p, as in the
    paper; above, it is (1 - p^doubt) / doubt, the generalised cross entropy of Zhang & Sabuncu
    (NeurIPS 2018). What stays improbable then counts less, as a text that is wrong does.
    """
    answers = functional.log_softmax(query @ gallery.T / temperature, dim=-1)  # (B, B)
    wanted = soft_labels(gallery, labels, temperature, alpha)
    if doubt > 0:
        answers = torch.expm1(doubt * answers) / doubt
    return -(wanted * answers).sum(dim=-1).mean()


def mutual_loss(
    query: Tensor,
    gallery: Tensor,
    teacher_query: Tensor,
    teacher_gallery: Tensor,
    scale: float = 10.0,
) -> Tensor:
    """Mutual enhancement: KL from the other stream's ranking of the batch to this stream's.

    The teacher is detached. `teacher_gallery` holds the other stream's embeddings of the *targets*
    here by default; the released code hands over those of the *references* (the training loop's
    `teacher_side` chooses).
    """
    taught = functional.log_softmax(scale * query @ gallery.T, dim=-1)  # (B, B)
    teacher = functional.log_softmax(
        scale * teacher_query.detach() @ teacher_gallery.detach().T, dim=-1
    )
    return functional.kl_div(taught, teacher, reduction="batchmean", log_target=True)


def weight_loss(image_weight: Tensor, teacher_weight: Tensor) -> Tensor:
    """KL from the other stream's image weights (B, 1) to this stream's; ours, in neither paper.

    A weight is taken as the chance that the picture decides. The teacher is detached. Only queries
    with both modalities count: the others' weights are 0 or 1 in both streams; 0 without any.
    """
    both = ((teacher_weight > 0) & (teacher_weight < 1)).squeeze(-1)
    teacher = teacher_weight.detach()[both]
    if not len(teacher):
        return image_weight.new_zeros(())
    own = image_weight[both].clamp(1e-6, 1 - 1e-6)  # a weight may round to 0 or 1
    entropy = functional.binary_cross_entropy(teacher, teacher)
    return functional.binary_cross_entropy(own, teacher) - entropy


def share_loss(image_weight: Tensor, image_shares: Tensor) -> Tensor:
    """Cross-entropy from known shares (B,) to a stream's image weights (B, 1); ours.

    A share (0 to 1) is how much of what a query asks for only the picture tells; NaN where it is
    not known. Only queries with both modalities count. The entropy of the shares is taken off, so
    that the loss is 0 where every weight is its share; 0 without any.
    """
    weight = image_weight.squeeze(-1)
    counts = torch.isfinite(image_shares) & (weight.detach() > 0) & (weight.detach() < 1)
    shares = image_shares[counts]
    if not len(shares):
        return image_weight.new_zeros(())
    own = weight[counts].clamp(1e-6, 1 - 1e-6)
    entropy = functional.binary_cross_entropy(shares, shares)
    return functional.binary_cross_entropy(own, shares) - entropy


def image_text_loss(images: Tensor, texts: Tensor, logit_scale: Tensor) -> Tensor:
    """CLIP's symmetric contrastive loss; images (B, D) and texts (B, D) are unit length."""
    logits = logit_scale * images @ texts.T  # (B, B)
    labels = torch.arange(len(images), device=images.device)
    return (
        functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)
    ) / 2
