"""How far a picture lies outside of what the model was trained on.

Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
Adversarial Attacks": the Mahalanobis distance of its features, here from the training pictures'
single mean.

Buffer names: `mean`, `precision`, `threshold`.
"""

import torch
from torch import Tensor, nn


class MahalanobisOOD(nn.Module):
    """The training pictures' mean and inverse covariance, and the distance that counts as far."""

    mean: Tensor  # (F,)
    precision: Tensor  # (F, F)
    threshold: Tensor  # ()

    def __init__(self, feature_dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("precision", torch.eye(feature_dim))
        self.register_buffer("threshold", torch.ones(()))

    def score(self, image_features: Tensor) -> Tensor:
        """CLIP's image features (N, F), as they come, -> (N,), from 0; above 1 is unfamiliar."""
        return self._distance(image_features) / self.threshold

    @torch.no_grad()
    def fit(
        self,
        features: Tensor,
        held_out: Tensor,
        quantile: float = 0.99,
        shrinkage: float = 0.05,
    ) -> None:
        """Learn from training pictures' features (M, F), M at least 2, and held-out ones (K, F).

        The threshold is this quantile of the held-out distances. `shrinkage` (0 to 1) mixes the
        covariance with a multiple of the identity, so that it has an inverse however few they are.
        """
        if len(features) < 2 or len(held_out) < 1:
            raise ValueError(
                f"there are {len(features)} training and {len(held_out)} held-out pictures; at "
                "least 2 and 1 are needed."
            )
        exact = features.double()
        covariance = torch.cov(exact.T)  # (F, F)
        scale = covariance.diagonal().mean().clamp_min(1e-12)
        identity = torch.eye(len(covariance), dtype=torch.float64, device=covariance.device)
        shrunk = (1 - shrinkage) * covariance + shrinkage * scale * identity
        self.mean.copy_(exact.mean(dim=0))
        self.precision.copy_(torch.linalg.inv(shrunk))
        distances = self._distance(held_out.to(self.mean.dtype))
        self.threshold.copy_(torch.quantile(distances, quantile).clamp_min(1e-12))

    def _distance(self, image_features: Tensor) -> Tensor:
        """Mahalanobis distance of each row, (N, F) -> (N,)."""
        offset = image_features - self.mean  # (N, F)
        squared = ((offset @ self.precision) * offset).sum(dim=-1)
        return squared.clamp_min(0).sqrt()
