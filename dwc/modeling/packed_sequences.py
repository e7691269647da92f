"""Batches of sequences without the cost and the influence of padding.

`PackedSequences` lays the words of a batch one after the other. Layers over packed rows cost what
there is to read, and batch statistics over them are of words alone: with padding, a sequence's
features would depend on the length of the others in its batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

MANY = 64


def length_bucketed(lengths: Tensor, encode: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Encode texts in three groups of similar length.

    Most texts are short and a few are long: groups have less padding, which pays for three calls
    from `MANY` texts on.

    Args:
        lengths: (N,), the texts' lengths.
        encode: `encode(rows, longest)` takes indices of texts and their greatest length, and
            returns one row per text.

    Returns:
        The rows of all texts, in the order of `lengths`.
    """
    order = lengths.argsort()
    half, most = len(order) // 2, len(order) * 7 // 8
    buckets = [bucket for bucket in (order[:half], order[half:most], order[most:]) if len(bucket)]
    return torch.cat([encode(bucket, int(lengths[bucket].max())) for bucket in buckets])[
        order.argsort()
    ]


@dataclass(frozen=True)
class PackedSequences:
    """Which of N sequences' L positions hold words, M in all.

    Attributes:
        mask: (N, L) bool, True on words, which padding follows.
    """

    mask: Tensor

    @cached_property
    def _positions(self) -> Tensor:
        return self.mask.flatten().nonzero().squeeze(-1)  # (M,)

    @cached_property
    def _has_before(self) -> Tensor:
        return (self._positions % self.mask.shape[1] != 0).unsqueeze(-1)  # (M, 1)

    @cached_property
    def _has_after(self) -> Tensor:
        return torch.cat([self._has_before[1:], self._has_before.new_zeros(1, 1)])  # (M, 1)

    @cached_property
    def window(self) -> Tensor:
        """(M, 1): the number of words in a window of three around each word, 1 to 3."""
        return 1 + self._has_before.float() + self._has_after.float()

    def pack(self, padded: Tensor) -> Tensor:
        """(N, L, C) -> (M, C)."""
        return padded.flatten(0, 1).index_select(0, self._positions)

    def unpack(self, rows: Tensor) -> Tensor:
        """(M, C) -> (N, L, C), zero on padding."""
        empty = rows.new_zeros(self.mask.numel(), rows.shape[1])
        return empty.index_copy(0, self._positions, rows).unflatten(0, self.mask.shape)

    def neighbors(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(M, C) -> the left and the right neighbor of each word, zero at a sequence's ends."""
        none = rows.new_zeros(1, rows.shape[1])
        before = torch.cat([none, rows[:-1]]) * self._has_before
        after = torch.cat([rows[1:], none]) * self._has_after
        return before, after
