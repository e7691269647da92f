"""Generalized-mean (GeM) pooling over maps and masked sequences.

Radenović, Tolias and Chum 2019, "Fine-tuning CNN Image Retrieval with No Human Annotation":
`(mean x^p)^(1/p)`, between the mean (p = 1) and the maximum (p to infinity), p learned.

Parameter name: `p`, of shape (1,).
"""

import math

import torch
from torch import Tensor, nn

_FLOOR = 1e-6  # negative values have no real power
# Log of a term's share of the greatest term: lost in any float32 sum. The exponential of smaller
# values takes a CPU six times as long.
_FAINTEST = -80.0


class GeneralizedMean(nn.Module):
    """GeM pooling over the last axis."""

    def __init__(self, p: float = 3.0):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool (N, C, L) to (N, C).

        Args:
            features: (N, C, L); values below 1e-6 count as 1e-6.
            mask: (N, L), True on valid positions; None if all are. A row without any is zero.
        """
        # In logarithms: with a learned p the powers soon exceed any float, and powers take a CPU
        # twice as long, above all backward.
        logs = features.float().clamp_min(_FLOOR).log() * self.p  # (N, C, L)
        if mask is None:
            logs = _log_sum_exp(logs) - math.log(logs.shape[-1])
            return (logs / self.p).exp().to(features.dtype)
        valid = mask.unsqueeze(1)  # (N, 1, L)
        count = valid.sum(dim=-1)  # (N, 1)
        logs = _log_sum_exp(logs.masked_fill(~valid, torch.finfo(logs.dtype).min))
        # A row without valid positions gets a finite logarithm here and becomes zero below.
        logs = torch.where(count > 0, logs - count.clamp_min(1).log(), 0.0)
        return ((logs / self.p).exp() * (count > 0)).to(features.dtype)


def _log_sum_exp(logs: Tensor) -> Tensor:
    """`logs.logsumexp(dim=-1)` in less time, forward and backward."""
    greatest = logs.detach().amax(dim=-1, keepdim=True)
    shares = (logs - greatest).clamp_min(_FAINTEST).exp()
    return shares.sum(dim=-1).log() + greatest.squeeze(-1)
