"""The words of a batch of sentences, one after the other, without the padding between them.

What runs on these rows costs what there is to read, and statistics over them are of words alone:
with padding among them, a sentence's features would depend on how long its batch-mates are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

MANY = 64


def length_bucketed(lengths: Tensor, read: Callable[[Tensor, int], Tensor]) -> Tensor:
    """What `read` makes of texts with these lengths (N,), read in three lots of like length.

    `read(rows, longest)` takes the numbers of some of the texts and the greatest of their lengths,
    and gives a row for each. Most texts are short and a few are long: in lots there is less padding
    to pay for, which is worth three calls from `MANY` texts on.
    """
    order = lengths.argsort()
    half, most = len(order) // 2, len(order) * 7 // 8
    lots = [lot for lot in (order[:half], order[half:most], order[most:]) if len(lot)]
    return torch.cat([read(lot, int(lengths[lot].max())) for lot in lots])[order.argsort()]


@dataclass(frozen=True)
class PackedSequences:
    """Which of N sentences' L places hold words, M in all; `mask` (N, L) is True on words.

    Padding must follow the words.
    """

    mask: Tensor

    @cached_property
    def _places(self) -> Tensor:
        return self.mask.flatten().nonzero().squeeze(-1)  # (M,)

    @cached_property
    def _has_before(self) -> Tensor:
        return (self._places % self.mask.shape[1] != 0).unsqueeze(-1)  # (M, 1)

    @cached_property
    def _has_after(self) -> Tensor:
        return torch.cat([self._has_before[1:], self._has_before.new_zeros(1, 1)])  # (M, 1)

    @cached_property
    def window(self) -> Tensor:
        """(M, 1): how many words a window of three around each word holds, 1 to 3."""
        return 1 + self._has_before.float() + self._has_after.float()

    def pack(self, padded: Tensor) -> Tensor:
        """(N, L, C) -> (M, C)."""
        return padded.flatten(0, 1).index_select(0, self._places)

    def unpack(self, rows: Tensor) -> Tensor:
        """(M, C) -> (N, L, C), zero on padding."""
        empty = rows.new_zeros(self.mask.numel(), rows.shape[1])
        return empty.index_copy(0, self._places, rows).unflatten(0, self.mask.shape)

    def neighbours(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(M, C) -> each word's left and right neighbour in its sentence, zero where none."""
        none = rows.new_zeros(1, rows.shape[1])
        before = torch.cat([none, rows[:-1]]) * self._has_before
        after = torch.cat([rows[1:], none]) * self._has_after
        return before, after
