"""Batches of texts without the cost and the effects of padding.

`length_bucketed` encodes texts in groups of similar length. `PackedSequences` converts between
padded tensors and tensors of the words alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

MIN_BUCKETED = 64  # fewest texts for which `length_bucketed` is faster


def length_bucketed(lengths: Tensor, encode: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Encode texts in three groups of similar length, so that less padding is needed.

    Most texts are short and a few are long. With at least `MIN_BUCKETED` texts, three calls of
    `encode` with less padding are faster than one call.

    Args:
        lengths: Lengths (N,) of the texts.
        encode: Function `encode(rows, longest)` that takes the indices of some texts and the
            greatest of their lengths, and returns a tensor with one row per text.

    Returns:
        The encoded rows of all N texts, in the order of `lengths`.
    """
    order = lengths.argsort()
    half, most = len(order) // 2, len(order) * 7 // 8
    buckets = [bucket for bucket in (order[:half], order[half:most], order[most:]) if len(bucket)]
    return torch.cat([encode(bucket, int(lengths[bucket].max())) for bucket in buckets])[
        order.argsort()
    ]


@dataclass(frozen=True)
class PackedSequences:
    """Positions of all M words of N sequences that are padded to L words each.

    The methods convert between padded tensors (N, L, C) and packed tensors (M, C), for C channels.

    Attributes:
        mask: (N, L) bool, True on words; padding comes after a sequence's words.
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
        """Number of words, (M, 1), in a window around each of the M words.

        The window consists of the word, the word before it and the word after it. It has three
        words, or fewer at the first and the last word of a sequence.
        """
        return 1 + self._has_before.float() + self._has_after.float()

    def pack(self, padded: Tensor) -> Tensor:
        """Remove the padding from N sequences of word features: (N, L, C) to (M, C).

        L is the padded length, M the number of words in all sequences, C the number of channels.
        """
        return padded.flatten(0, 1).index_select(0, self._positions)

    def unpack(self, rows: Tensor) -> Tensor:
        """Arrange the features of M words as N padded sequences: (M, C) to (N, L, C).

        L is the padded length and C the number of channels. The result is zero on padding.
        """
        empty = rows.new_zeros(self.mask.numel(), rows.shape[1])
        return empty.index_copy(0, self._positions, rows).unflatten(0, self.mask.shape)

    def neighbors(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the words before and after each word.

        The features of the word before are zero for the first word of a sequence. The features of
        the word after are zero for the last word.

        Args:
            rows: Features of the M words with C channels, (M, C).

        Returns:
            The features of the words before, (M, C), and of the words after, (M, C).
        """
        none = rows.new_zeros(1, rows.shape[1])
        before = torch.cat([none, rows[:-1]]) * self._has_before
        after = torch.cat([rows[1:], none]) * self._has_after
        return before, after
