"""The combiner interface, the register of names, and the two-layer perceptron they share."""

from collections.abc import Callable
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from dwc.modeling.composition import Composition


def mlp(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout, linear; the parameters are `{0,3}.{weight,bias}`."""
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_dim, out_dim),
    )


class Combiner(nn.Module):
    """Mixes unit image features and unit text features into a query.

    Attributes:
        uses_projections: True if the features are the stream's own projections of CLIP's features,
            False if they are CLIP's features at unit length.
    """

    uses_projections: ClassVar[bool] = True

    def __init__(self, dim: int, dropout: float):
        """Make a combiner.

        Args:
            dim: Length of the features.
            dropout: Dropout probability in training, 0 to 1.
        """
        super().__init__()

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward.")

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor | None:
        """Return a scalar loss besides retrieval, or None.

        Args:
            composed: B queries from `forward`.
            gallery: (B, dim), unit embeddings of their targets in the same order.
            labels: (B,), equal where targets show the same thing.
            temperature: Temperature of the retrieval loss.
        """
        return None


_CombinerType = TypeVar("_CombinerType", bound=type[Combiner])
_REGISTER: dict[str, type[Combiner]] = {}


def register(name: str) -> Callable[[_CombinerType], _CombinerType]:
    """Class decorator that registers a combiner under a free name."""

    def add(combiner: _CombinerType) -> _CombinerType:
        if name in _REGISTER:
            raise ValueError(
                f"the combiner name {name!r} is taken by {_REGISTER[name].__name__}; choose "
                "another."
            )
        _REGISTER[name] = combiner
        return combiner

    return add


def combiner_class(name: str) -> type[Combiner]:
    """Look up a combiner by name.

    Raises:
        ValueError: There is none; the message lists the names.
    """
    if name not in _REGISTER:
        raise ValueError(f"no combiner is named {name!r}; there are {', '.join(combiner_names())}.")
    return _REGISTER[name]


def combiner_names() -> list[str]:
    """The sorted names of all combiners."""
    return sorted(_REGISTER)
