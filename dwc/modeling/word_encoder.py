"""Words to states: an embedding and an LSTM (Hochreiter and Schmidhuber 1997).

Parameter names: `embedding.weight`, `lstm.{weight,bias}_{ih,hh}_l0`.
"""

from torch import Tensor, nn

from dwc.errors import QueryError


class WordEncoder(nn.Module):
    """One state for each word, having read the words before it."""

    def __init__(self, vocab_size: int, embedding_dim: int, hidden_dim: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)

    def forward(self, word_ids: Tensor, mask: Tensor) -> Tensor:
        """Word ids (N, L) and a mask (N, L), True on words, -> states (N, L, H), zero on padding.

        Padding must follow the words, since the LSTM reads from the left: raises QueryError where
        it does not.
        """
        if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
            raise QueryError(
                "word_mask has words behind padding; pad texts on the right, as the checkpoint's "
                "processor does."
            )
        states, _ = self.lstm(self.embedding(word_ids))  # (N, L, H)
        return states * mask.unsqueeze(-1)
