"""The contrastive losses of PL's stages, as pure functions of embeddings; a reconstruction.

N rows on the left, M on the right, D the embedding; embeddings are unit length. `matches` (N, M)
says what belongs together; a row may have several matches, which share its answer evenly.
"""

import torch
from torch import Tensor
from torch.nn import functional


def same(labels: Tensor) -> Tensor:
    """(B,) -> (B, B): which rows carry the same label."""
    return labels[:, None] == labels[None, :]


def one_way_loss(left: Tensor, right: Tensor, matches: Tensor, scale: Tensor | float) -> Tensor:
    """InfoNCE from each row of `left` (N, D) to its matches among `right` (M, D); a scalar.

    `scale` multiplies the cosines. Rows without any match do not count; 0 where none has one.
    """
    answers = functional.log_softmax(scale * left @ right.T, dim=-1)  # (N, M)
    wanted = matches.to(answers.dtype)
    counts = wanted.sum(dim=-1)  # (N,)
    by_row = -(wanted * answers).sum(dim=-1) / counts.clamp_min(1)
    return by_row.sum() / (counts > 0).sum().clamp_min(1)


def matching_loss(left: Tensor, right: Tensor, matches: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE: the mean of both ways; see `one_way_loss`."""
    forth = one_way_loss(left, right, matches, scale)
    return (forth + one_way_loss(right, left, matches.T, scale)) / 2


def first_found(left: Tensor, right: Tensor, matches: Tensor) -> float:
    """The share (0 to 1) of rows of `left` whose nearest row of `right` is a match."""
    nearest = (left.detach() @ right.detach().T).argmax(dim=-1)  # (N,)
    rows = torch.arange(len(left), device=left.device)
    return float(matches[rows, nearest].float().mean())
