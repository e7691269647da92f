"""Batch norm over sequences of unequal length.

Ioffe and Szegedy 2015, "Batch Normalization", with statistics over words alone: with padding among
them, a sentence's features would depend on how long its batch-mates are.
"""

import torch
from torch import Tensor, nn


class MaskedBatchNorm1d(nn.BatchNorm1d):
    """`BatchNorm1d` whose training statistics, and whose outputs, are of valid positions only."""

    # The mask is not optional, as the parent has it: a forgotten one would go unnoticed.
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """(N, C, L) and a mask (N, L), True where valid, -> (N, C, L), zero elsewhere.

        In training at least two positions must be valid in the batch.
        """
        if not self.training:
            return super().forward(features) * mask.unsqueeze(1)
        by_position = features.transpose(1, 2)  # (N, L, C)
        normalised = super().forward(by_position[mask])  # (valid positions, C)
        spread = torch.zeros_like(by_position, dtype=normalised.dtype)
        return spread.masked_scatter(mask.unsqueeze(-1), normalised).transpose(1, 2)
