"""The CLIP stream: projections of a frozen CLIP's features, and a combiner.

Parameter names: `project_image`, `project_text` (W_i, W_t; each `.weight` and `.bias`, absent where
the combiner works on CLIP's own features), `combiner.*` as in the combiner's module.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.errors import QueryError
from dwc.modeling.combiners import combiner_class
from dwc.modeling.composition import Composition, normalize


class ClipStream(nn.Module):
    """Composes queries and embeds gallery pictures from CLIP's features, precomputed or fresh."""

    def __init__(self, feature_dim: int, embedding_dim: int, combiner: str, dropout: float):
        """From CLIP's features (`feature_dim`) to embeddings (`embedding_dim`), D below."""
        super().__init__()
        combiner_type = combiner_class(combiner)
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.project_image: nn.Linear | None = None
        self.project_text: nn.Linear | None = None
        if combiner_type.uses_projections:
            self.project_image = nn.Linear(feature_dim, embedding_dim)
            self.project_text = nn.Linear(feature_dim, embedding_dim)
        self.combiner = combiner_type(embedding_dim, dropout)

    def embed(self, image_features: Tensor) -> Tensor:
        """CLIP's image features (N, F), as they come, -> gallery embeddings (N, D), unit length."""
        return self._project(self.project_image, image_features)

    def compose(self, image_features: Tensor | None, text_features: Tensor | None) -> Composition:
        """CLIP's features of images (N, F) and texts (N, F), not normalised, -> N queries.

        Without images (None) their unit features are zero and every image weight is exactly 0;
        without texts it is exactly 1. Either way there is no joint part. Raises QueryError where
        both are missing.
        """
        if text_features is None:
            if image_features is None:
                raise QueryError("the query has neither a picture nor words; give at least one.")
            image = self._project(self.project_image, image_features)  # (N, D): f_i
            return self._one_sided(image, torch.zeros_like(image), image_weight=1.0)
        text = self._project(self.project_text, text_features)  # (N, D): f_t
        if image_features is None:
            return self._one_sided(torch.zeros_like(text), text, image_weight=0.0)
        return self.combiner(self._project(self.project_image, image_features), text)

    def _one_sided(self, image: Tensor, text: Tensor, image_weight: float) -> Composition:
        """A query of one modality: edited as ever, then weighed whole."""
        composed = self.combiner(image, text)
        weight = torch.full_like(composed.image_weight, image_weight)
        return Composition.mix(composed.image_part, composed.text_part, weight)

    def _project(self, projection: nn.Linear | None, features: Tensor) -> Tensor:
        """norm(Drop(ReLU(W x))); norm(x) where the combiner works on CLIP's own features."""
        if projection is None:
            return normalize(features)
        activated = functional.relu(projection(features))  # (N, D)
        return normalize(functional.dropout(activated, self.dropout, self.training))
