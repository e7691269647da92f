"""The combiners' base class, their registry by name, and the two-layer perceptron they share."""

from collections.abc import Callable
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from dwc.modeling.composition import Composition


def mlp(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    """Return a perceptron of two linear layers with ReLU and dropout between them.

    Its parameter names are `{0,3}.{weight,bias}`.
    """
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_dim, out_dim),
    )


class Combiner(nn.Module):
    """Base class of modules that mix image and text features of unit length into a query.

    Attributes:
        uses_projections: True if the combiner takes the CLIP stream's learned projections of CLIP's
            features, False if it takes CLIP's features scaled to unit length.
    """

    uses_projections: ClassVar[bool] = True

    def __init__(self, dim: int, dropout: float):
        """Build a combiner.

        Args:
            dim: Length of the feature vectors.
            dropout: Dropout probability in training, 0 to 1.
        """
        super().__init__()

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from image and text features, each (N, dim)."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward.")

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor | None:
        """Return a scalar training loss to add to the retrieval loss, or None if there is none.

        Args:
            composed: B queries that `forward` returned.
            gallery: Unit-length embeddings (B, dim) of the queries' target images, in their order.
            labels: (B,), equal for targets that show the same item.
            temperature: Temperature of the retrieval loss.
        """
        return None


_CombinerType = TypeVar("_CombinerType", bound=type[Combiner])
_REGISTER: dict[str, type[Combiner]] = {}


def register(name: str) -> Callable[[_CombinerType], _CombinerType]:
    """Return a class decorator that registers a combiner under a name not yet in use."""

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
    """Return the combiner class registered under a name.

    Raises:
        ValueError: No combiner has this name; the message lists all names.
    """
    if name not in _REGISTER:
        raise ValueError(f"no combiner is named {name!r}; there are {', '.join(combiner_names())}.")
    return _REGISTER[name]


def combiner_names() -> list[str]:
    """Return the sorted names of all combiners."""
    return sorted(_REGISTER)
