"""Layers of the CNN stream, besides its Inception blocks.

- `WordEncoder` computes states of a text's words with an LSTM.
- `cross_attention` relates words and image regions, in both directions.
- `GeneralizedMean` (GeM) pools features of regions or words to one vector.

Symbols in comments are those of the paper; see `cnn_stream.py`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.errors import QueryError
from dwc.modeling.text_batching import MIN_BUCKETED, length_bucketed

_SMALLEST_INPUT = 1e-6  # of generalized-mean pooling; powers of negative numbers are not real
# Smallest logarithm of a term relative to the greatest term; smaller logarithms are replaced by it.
# Such a term is lost in a float32 sum anyway, and on a CPU the exponential of smaller values takes
# six times as long.
_SMALLEST_LOG = -80.0


class WordEncoder(nn.Module):
    """A word embedding and an LSTM, which compute one state vector per word of a text.

    The state of a word depends on the word and the words before it.
    """

    def __init__(self, vocab_size: int, embedding_dim: int, hidden_dim: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)

    def forward(self, word_ids: Tensor, mask: Tensor) -> Tensor:
        """Compute a state vector for each word of N texts.

        Args:
            word_ids: Word ids (N, L), padded to L words.
            mask: (N, L), True on words. Padding must come after the words, because the LSTM runs
                from left to right.

        Returns:
            States (N, L, H) of length H, zero on padding.

        Raises:
            QueryError: A word follows padding.
        """
        if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
            raise QueryError(
                "word_mask has words behind padding; pad texts on the right, as the checkpoint's "
                "processor does."
            )
        if len(word_ids) >= MIN_BUCKETED:
            return self._encode_bucketed(word_ids, mask)
        states = self._run_lstm(word_ids)  # (N, L, H)
        return states * mask.unsqueeze(-1)

    def _run_lstm(self, word_ids: Tensor) -> Tensor:
        """Return the LSTM's states (N, L, H) for word ids (N, L).

        Under an autocast to bfloat16, torch 2.13 raises an error for an LSTM on a CPU without
        instructions for bfloat16. There, the LSTM computes in float32.
        """
        words = self.embedding(word_ids)  # (N, L, embedding_dim)
        is_cast = words.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if is_cast and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            with torch.autocast("cpu", enabled=False):
                return self.lstm(words.float())[0]
        return self.lstm(words)[0]

    def _encode_bucketed(self, word_ids: Tensor, mask: Tensor) -> Tensor:
        """Compute a state vector for each word of N texts, in groups of texts of similar length.

        Groups need less padding, which saves time.

        Args:
            word_ids: Word ids (N, L), padded to L words.
            mask: (N, L), True on words.

        Returns:
            States (N, L, H) of length H, zero on padding.
        """

        def encode(rows: Tensor, longest: int) -> Tensor:
            states = self._run_lstm(word_ids[rows, :longest])
            states = states * mask[rows, :longest].unsqueeze(-1)
            return functional.pad(states, (0, 0, 0, word_ids.shape[1] - longest))

        return length_bucketed(mask.sum(dim=1), encode)


@dataclass(frozen=True)
class CrossAttention:
    """Attention between the L words and the R image regions of N queries.

    Attributes:
        word_context: (N, R, H), for each region the mean of the word features of length H, weighted
            by `over_words`.
        region_context: (N, L, H), for each word the mean of the region features of length H,
            weighted by `over_regions`.
        over_words: Attention weights (N, L, R). For each region they sum to 1 over the words; they
            are 0 on padding.
        over_regions: Attention weights (N, L, R). For each word they sum to 1 over the regions;
            they are 0 on padding.
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
    """Compute dot-product attention in both directions between words and image regions.

    Args:
        words: Features (N, L, H) of length H for the L words of N queries.
        regions: Features (N, R, H) of length H for the R image regions of the queries.
        mask: (N, L), True on words and False on padding. For a query without words, both contexts
            of the result are zero.
        word_temperature: Divisor of the scores before the softmax over words, above 0.
        region_temperature: Divisor of the scores before the softmax over regions, above 0.
    """
    valid = mask.unsqueeze(-1)  # (N, L, 1)
    scores = words @ regions.transpose(1, 2)  # (N, L, R): S
    # The lowest finite number, not minus infinity: a query without words must not yield NaN.
    masked = (scores / word_temperature).masked_fill(~valid, torch.finfo(scores.dtype).min)
    over_words = masked.softmax(dim=1) * valid  # (N, L, R): A_i
    over_regions = (scores / region_temperature).softmax(dim=2) * valid  # (N, L, R): A_t
    return CrossAttention(
        word_context=over_words.transpose(1, 2) @ words,  # (N, R, H): C
        region_context=over_regions @ regions,  # (N, L, H): V
        over_words=over_words,
        over_regions=over_regions,
    )


class GeneralizedMean(nn.Module):
    """Generalized-mean (GeM) pooling over the last axis: `(mean x^p)^(1/p)` with a learned p.

    The result equals the mean for p = 1 and approaches the maximum for large p. Source: Radenović,
    Tolias and Chum 2019, "Fine-tuning CNN Image Retrieval with No Human Annotation".
    """

    def __init__(self, p: float = 3.0):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool N sequences of L positions and C channels from (N, C, L) to (N, C).

        Args:
            features: (N, C, L); values below 1e-6 are replaced by 1e-6.
            mask: (N, L), True on valid positions; None if all positions are valid. A sequence
                without valid positions is pooled to zeros.
        """
        # Logarithms replace powers: with a learned p powers soon overflow, and on a CPU they take
        # twice as long, mostly in the backward pass.
        logs = features.float().clamp_min(_SMALLEST_INPUT).log() * self.p  # (N, C, L)
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
    """Compute the same as `logs.logsumexp(dim=-1)`, but faster, both forward and backward."""
    greatest = logs.detach().amax(dim=-1, keepdim=True)
    shares = (logs - greatest).clamp_min(_SMALLEST_LOG).exp()
    return shares.sum(dim=-1).log() + greatest.squeeze(-1)
