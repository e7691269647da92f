"""The two-layer perceptron that editors, weighers and combiners are made of."""

from torch import nn


def perceptron(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout, linear; the parameters are `{0,3}.{weight,bias}`."""
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_dim, out_dim),
    )
