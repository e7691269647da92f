"""Base class of the combiners, their registry by name, and the two-layer MLP that they use."""

from collections.abc import Callable
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from dwc.modeling.composition import Composition


def mlp(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    """Return a multilayer perceptron (MLP): two linear layers with ReLU and dropout between them.

    The parameter names are `{0,3}.{weight,bias}`: 0 is the first linear layer, 3 the second.
    """
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_dim, out_dim),
    )


class Combiner(nn.Module):
    """Base class of modules that combine image and text features of unit length into a query.

    Attributes:
        uses_projections: True if the inputs of the combiner are learned projections of CLIP's
            features, False if they are CLIP's features scaled to unit length.
    """

    uses_projections: ClassVar[bool] = True

    def __init__(self, dim: int, dropout: float):
        """Build a combiner.

        Args:
            dim: Length of the image and text feature vectors.
            dropout: Dropout probability in training, 0 to 1.
        """
        super().__init__()

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from image and text features, each (N, dim)."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward.")

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor | None:
        """Return a scalar training loss to add to the retrieval loss; None by default.

        Args:
            composed: B queries that `forward` returned.
            gallery: Unit-length embeddings (B, dim) of the target images, in the order of the
                queries.
            labels: (B,); targets with equal labels are correct for each other's queries.
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
