"""Out-of-distribution score of an image: how far it lies from the training images.

Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
Adversarial Attacks": the Mahalanobis distance of its features, here from the single mean of the
training images.

Buffer names: `mean`, `precision`, `threshold`.
"""

import torch
from torch import Tensor, nn


class MahalanobisOOD(nn.Module):
    """Mean and inverse covariance of training features, and a distance threshold."""

    mean: Tensor  # (F,)
    precision: Tensor  # (F, F)
    threshold: Tensor  # ()

    def __init__(self, feature_dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("precision", torch.eye(feature_dim))
        self.register_buffer("threshold", torch.ones(()))

    def score(self, image_features: Tensor) -> Tensor:
        """Distance over threshold of CLIP's image features (N, F) -> (N,).

        At least 0; above 1 is out of distribution.
        """
        return self._distance(image_features) / self.threshold

    @torch.no_grad()
    def fit(
        self,
        features: Tensor,
        held_out: Tensor,
        quantile: float = 0.99,
        shrinkage: float = 0.05,
    ) -> None:
        """Estimate the statistics.

        Args:
            features: CLIP's features of training images (M, F), M at least 2.
            held_out: Features of other images of the same kind (K, F), K at least 1.
            quantile: The threshold is this quantile of the held-out distances.
            shrinkage: Share (0 to 1) of a multiple of the identity in the covariance, which makes
                it invertible for any M.

        Raises:
            ValueError: There are too few images.
        """
        if len(features) < 2 or len(held_out) < 1:
            raise ValueError(
                f"there are {len(features)} training and {len(held_out)} held-out images; at "
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
