"""Words to states: an embedding and an LSTM (Hochreiter and Schmidhuber 1997).

Parameter names: `embedding.weight`, `lstm.{weight,bias}_{ih,hh}_l0`.
"""

from torch import Tensor, nn
from torch.nn import functional

from dwc.errors import QueryError
from dwc.modeling.packed_sequences import MANY, length_bucketed


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
        if len(word_ids) >= MANY:
            return self._read_in_lots(word_ids, mask)
        states, _ = self.lstm(self.embedding(word_ids))  # (N, L, H)
        return states * mask.unsqueeze(-1)

    def _read_in_lots(self, word_ids: Tensor, mask: Tensor) -> Tensor:
        """The same, most rows without most of their padding."""

        def read(rows: Tensor, longest: int) -> Tensor:
            states, _ = self.lstm(self.embedding(word_ids[rows, :longest]))
            states = states * mask[rows, :longest].unsqueeze(-1)
            return functional.pad(states, (0, 0, 0, word_ids.shape[1] - longest))

        return length_bucketed(mask.sum(dim=1), read)
