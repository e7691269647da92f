"""Generalised-mean pooling, over maps and over masked sequences.

Radenović, Tolias and Chum 2019, "Fine-tuning CNN Image Retrieval with No Human Annotation":
`(mean x^p)^(1/p)`, between the mean (p = 1) and the maximum (p to infinity), p learned.

Parameter name: `p`, of shape (1,).
"""

import math

import torch
from torch import Tensor, nn

_FLOOR = 1e-6  # What is negative counts as this much: a power of it must exist.
# The logarithm of a share of the greatest term: one that any float32 sum loses. Of still smaller
# ones a CPU takes the exponential six times as slowly.
_FAINTEST = -80.0


class GeneralizedMean(nn.Module):
    """GeM pooling over the last axis."""

    def __init__(self, p: float = 3.0):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(N, C, L) and a mask (N, L), True where valid, -> (N, C).

        Without a mask every position counts; a row with none valid is zero.
        """
        # Logarithms of powers: a learned p soon is one whose powers no float can hold, and powers
        # themselves take a CPU twice as long, above all backward.
        logs = features.float().clamp_min(_FLOOR).log() * self.p  # (N, C, L)
        if mask is None:
            logs = _log_sum_exp(logs) - math.log(logs.shape[-1])
            return (logs / self.p).exp().to(features.dtype)
        valid = mask.unsqueeze(1)  # (N, 1, L)
        count = valid.sum(dim=-1)  # (N, 1)
        logs = _log_sum_exp(logs.masked_fill(~valid, torch.finfo(logs.dtype).min))
        # A row without a valid position is given a finite logarithm, then cleared.
        logs = torch.where(count > 0, logs - count.clamp_min(1).log(), 0.0)
        return ((logs / self.p).exp() * (count > 0)).to(features.dtype)


def _log_sum_exp(logs: Tensor) -> Tensor:
    """`logs.logsumexp(dim=-1)` in less time, forward and backward."""
    greatest = logs.detach().amax(dim=-1, keepdim=True)
    shares = (logs - greatest).clamp_min(_FAINTEST).exp()
    return shares.sum(dim=-1).log() + greatest.squeeze(-1)
