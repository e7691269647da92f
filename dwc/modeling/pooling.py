"""Generalised-mean pooling, over maps and over masked sequences.

Radenović, Tolias and Chum 2019, "Fine-tuning CNN Image Retrieval with No Human Annotation":
`(mean x^p)^(1/p)`, between the mean (p = 1) and the maximum (p to infinity), p learned.

Parameter name: `p`, of shape (1,).
"""

import torch
from torch import Tensor, nn

_FLOOR = 1e-6  # What is negative counts as this much: a power of it must exist.


class GeneralisedMean(nn.Module):
    """GeM pooling over the last axis."""

    def __init__(self, p: float = 3.0):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(N, C, L) and a mask (N, L), True where valid, -> (N, C).

        Without a mask every position counts; a row with none valid is zero.
        """
        # Half precision cannot hold the floor's cube.
        powers = _power(features.float().clamp_min(_FLOOR), self.p)  # (N, C, L)
        if mask is None:
            return _power(powers.mean(dim=-1), 1 / self.p).to(features.dtype)
        valid = mask.unsqueeze(1).to(powers.dtype)  # (N, 1, L)
        count = valid.sum(dim=-1)  # (N, 1)
        # A row without a valid position is pooled as if it held the floor, then cleared: the root
        # has no derivative at zero.
        total = (powers * valid).sum(dim=-1) + (count == 0) * _FLOOR
        pooled = _power(total / count.clamp_min(1), 1 / self.p) * (count > 0)
        return pooled.to(features.dtype)


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """`base ** exponent` of what is above 0, in half the time that a learned power takes on a CPU.

    `pow` must mind zeros and negative bases, above all where it runs backward.
    """
    return (base.log() * exponent).exp()
