"""How words and image regions look at each other: dot products and two softmaxes, no parameters."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CrossAttention:
    """What each region hears of the words, and what each word sees of the regions.

    For N queries of L words and R regions of features of length H: `word_context` (N, R, H) and
    `region_context` (N, L, H) are the sums, `over_words` (N, L, R) the weights that sum to 1 over
    the words of each region, `over_regions` (N, L, R) those that sum to 1 over the regions of each
    word. Padding has weight 0 in both.
    """

    word_context: Tensor
    region_context: Tensor
    over_words: Tensor
    over_regions: Tensor


def cross_attention(
    words: Tensor,
    regions: Tensor,
    mask: Tensor,
    word_temperature: float,
    region_temperature: float,
) -> CrossAttention:
    """Relate words (N, L, H) to regions (N, R, H); `mask` (N, L) is True on words.

    A query without a single word has contexts of zero.
    """
    valid = mask.unsqueeze(-1)  # (N, L, 1)
    scores = words @ regions.transpose(1, 2)  # (N, L, R): S
    # The lowest finite number, not minus infinity: a row of padding alone must not become NaN.
    masked = (scores / word_temperature).masked_fill(~valid, torch.finfo(scores.dtype).min)
    over_words = masked.softmax(dim=1) * valid  # (N, L, R): A_i
    over_regions = (scores / region_temperature).softmax(dim=2) * valid  # (N, L, R): A_t
    return CrossAttention(
        word_context=over_words.transpose(1, 2) @ words,  # (N, R, H): C
        region_context=over_regions @ regions,  # (N, L, H): V
        over_words=over_words,
        over_regions=over_regions,
    )
