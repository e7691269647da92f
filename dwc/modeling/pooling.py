"""Generalized-mean (GeM) pooling over feature maps and masked sequences.

GeM is `(mean x^p)^(1/p)` with a learned p. It equals the mean for p = 1 and approaches the maximum
for large p. Source: Radenović, Tolias and Chum 2019, "Fine-tuning CNN Image Retrieval with No Human
Annotation".

Parameter name: `p`, of shape (1,).
"""

import math

import torch
from torch import Tensor, nn

_FLOOR = 1e-6  # smaller inputs are replaced by it: powers of negative numbers are not real
# Lower limit of a term's logarithm relative to the greatest term. A term of this size is lost in a
# float32 sum anyway, and on a CPU the exponential of smaller values takes six times as long.
_FAINTEST = -80.0


class GeneralizedMean(nn.Module):
    """Generalized-mean (GeM) pooling over the last axis, with a learned exponent p."""

    def __init__(self, p: float = 3.0):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool N sequences of L positions and C channels: (N, C, L) to (N, C).

        Args:
            features: (N, C, L); values below 1e-6 are replaced by 1e-6.
            mask: (N, L), True on valid positions; None if all positions are valid. The result of a
                sequence without valid positions is zero.
        """
        # Computed in logarithms: with a learned p the powers soon overflow, and on a CPU powers
        # take twice as long, most of it in the backward pass.
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
    """Return `logs.logsumexp(dim=-1)`; forward and backward pass are faster than torch's."""
    greatest = logs.detach().amax(dim=-1, keepdim=True)
    shares = (logs - greatest).clamp_min(_FAINTEST).exp()
    return shares.sum(dim=-1).log() + greatest.squeeze(-1)
