"""The CLIP stream: projections of frozen CLIP features, and a combiner of image and text.

Parameter names: `project_image` and `project_text` (the paper's W_i and W_t), each with `.weight`
and `.bias`; and `combiner.*`, documented in the combiner's module. The projections do not exist if
the combiner takes CLIP's own features.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dwc.errors import QueryError
from dwc.modeling.combiners import combiner_class
from dwc.modeling.composition import Composition, normalize


class ClipStream(nn.Module):
    """Turns CLIP features into composed queries and gallery embeddings."""

    def __init__(self, feature_dim: int, embedding_dim: int, combiner: str, dropout: float):
        """Build the stream.

        Args:
            feature_dim: Length F of CLIP's feature vectors.
            embedding_dim: Length D of the embeddings.
            combiner: Name of a registered combiner.
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
        """Embed N gallery images.

        Args:
            image_features: CLIP's image features of size F, (N, F).

        Returns:
            Unit-length embeddings of size D, (N, D).
        """
        return self._project(self.project_image, image_features)

    def compose(self, image_features: Tensor | None, text_features: Tensor | None) -> Composition:
        """Compose N queries from CLIP's features, which need not have unit length.

        A missing modality is replaced by zero vectors. The image weight is then exactly 0 (for
        missing images) or 1 (for missing texts). The composition then lacks the joint part, a term
        that some combiners compute from image and text together.

        Args:
            image_features: CLIP's image features of size F, (N, F); None for missing images.
            text_features: CLIP's text features (N, F); None for missing texts.

        Raises:
            QueryError: Both arguments are None.
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
        """Compose N queries that lack one modality.

        Args:
            image: Projected image features of size D, (N, D); zeros if the images are missing.
            text: Projected text features (N, D); zeros if the texts are missing.
            image_weight: 0 if the images are missing, 1 if the texts are.
        """
        composed = self.combiner(image, text)
        weight = torch.full_like(composed.image_weight, image_weight)
        return Composition.mix(composed.image_part, composed.text_part, weight)

    def _project(self, projection: nn.Linear | None, features: Tensor) -> Tensor:
        """Project N feature vectors to unit vectors: normalize(dropout(relu(W x + b))).

        Args:
            projection: The linear layer W x + b. None if the combiner takes CLIP's own features,
                which are then only normalized.
            features: CLIP's features of size F, (N, F).

        Returns:
            Unit vectors of size D, (N, D).
        """
        if projection is None:
            return normalize(features)
        activated = functional.relu(projection(features))  # (N, D)
        return normalize(functional.dropout(activated, self.dropout, self.training))
