"""The two-layer perceptron that editors, weighers and combiners are made of.

What every combiner is, and the register of their names.
"""

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
    """Mixes unit features of an image and of a text into a query.

    `uses_projections` says what the features are: the stream's own projections of CLIP's features
    (True), or CLIP's features themselves, at unit length (False).
    """

    uses_projections: ClassVar[bool] = True

    def __init__(self, dim: int, dropout: float):
        """A combiner of features of length `dim`; `dropout` (0 to 1) acts in training alone."""
        super().__init__()

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """(N, dim), (N, dim) -> N queries."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it mixes.")

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor | None:
        """What a combiner learns of its own queries beside retrieval, a scalar; None for nothing.

        `composed` are B queries as `forward` made them, `gallery` (B, dim) the unit embeddings of
        their targets in the same order, `labels` (B,) equal where targets are the same thing,
        `temperature` that of the retrieval loss.
        """
        return None


_CombinerType = TypeVar("_CombinerType", bound=type[Combiner])
_REGISTER: dict[str, type[Combiner]] = {}


def register(name: str) -> Callable[[_CombinerType], _CombinerType]:
    """Class decorator: make a combiner known to the config by this name, which must be free."""

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
    """Find a combiner by its name; raises ValueError listing those there are."""
    if name not in _REGISTER:
        raise ValueError(f"no combiner is named {name!r}; there are {', '.join(combiner_names())}.")
    return _REGISTER[name]


def combiner_names() -> list[str]:
    """The names of all combiners, sorted."""
    return sorted(_REGISTER)
