"""The CLIP stream: projections of frozen CLIP features, and a combiner.

Parameter names: `project_image`, `project_text` (W_i, W_t; each with `.weight` and `.bias`; absent
where the combiner takes CLIP's own features), `combiner.*` as in the combiner's module.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.errors import QueryError
from dwc.modeling.combiners import combiner_class
from dwc.modeling.composition import Composition, normalize


class ClipStream(nn.Module):
    """Composes queries and embeds gallery images from CLIP features."""

    def __init__(self, feature_dim: int, embedding_dim: int, combiner: str, dropout: float):
        """Make the stream.

        Args:
            feature_dim: Length F of CLIP's features.
            embedding_dim: Length D of the embeddings.
            combiner: A registered combiner's name.
            dropout: Dropout probability in training, 0 to 1.
        """
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
        """Embed gallery images: CLIP's image features (N, F) -> unit vectors (N, D)."""
        return self._project(self.project_image, image_features)

    def compose(self, image_features: Tensor | None, text_features: Tensor | None) -> Composition:
        """Compose N queries from CLIP's features, which need not be normalized.

        A missing modality counts as a zero feature: the image weight is then exactly 0 (no images)
        or 1 (no texts), and there is no joint part.

        Args:
            image_features: (N, F), or None.
            text_features: (N, F), or None.

        Raises:
            QueryError: Both are None.
        """
        if text_features is None:
            if image_features is None:
                raise QueryError("the query has neither a picture nor words; give at least one.")
            image = self._project(self.project_image, image_features)  # (N, D): f_i
            return self._compose_single_modality(image, torch.zeros_like(image), image_weight=1.0)
        text = self._project(self.project_text, text_features)  # (N, D): f_t
        if image_features is None:
            return self._compose_single_modality(torch.zeros_like(text), text, image_weight=0.0)
        return self.combiner(self._project(self.project_image, image_features), text)

    def _compose_single_modality(
        self, image: Tensor, text: Tensor, image_weight: float
    ) -> Composition:
        """Compose a query of one modality with a fixed image weight."""
        composed = self.combiner(image, text)
        weight = torch.full_like(composed.image_weight, image_weight)
        return Composition.mix(composed.image_part, composed.text_part, weight)

    def _project(self, projection: nn.Linear | None, features: Tensor) -> Tensor:
        """norm(Drop(ReLU(W x))); norm(x) where the combiner takes CLIP's own features."""
        if projection is None:
            return normalize(features)
        activated = functional.relu(projection(features))  # (N, D)
        return normalize(functional.dropout(activated, self.dropout, self.training))
