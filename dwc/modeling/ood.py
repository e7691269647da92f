"""Out-of-distribution (OOD) score of an image: how far it lies from the training images.

The score is the Mahalanobis distance of the image's features from the mean of the training images'
features. The method follows Lee et al. 2018, "A Simple Unified Framework for Detecting
Out-of-Distribution Samples and Adversarial Attacks", but with one mean for all training images.

Buffer names: `mean`, `precision`, `threshold`.
"""

import torch
from torch import Tensor, nn


class MahalanobisOOD(nn.Module):
    """Mean and inverse covariance of the training images' features, and a distance threshold."""

    mean: Tensor  # (F,)
    precision: Tensor  # (F, F)
    threshold: Tensor  # ()

    def __init__(self, feature_dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("precision", torch.eye(feature_dim))
        self.register_buffer("threshold", torch.ones(()))

    def score(self, image_features: Tensor) -> Tensor:
        """Return the out-of-distribution score of each image, (N,).

        The score is the distance from the mean divided by the threshold, at least 0. An image with
        a score above 1 counts as out of distribution.

        Args:
            image_features: CLIP's features of N images, of length F, (N, F).
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
        """Estimate the mean, the inverse covariance and the threshold from images.

        Args:
            features: CLIP's features of M training images, of length F, (M, F); at least 2 images.
            held_out: CLIP's features (K, F) of K other images of the same kind; at least 1 image.
            quantile: The threshold is this quantile (0 to 1) of the held-out images' distances.
            shrinkage: Share (0 to 1) of a scaled identity matrix that is mixed into the covariance
                matrix, so that the matrix is invertible for any M.

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
        """Return the Mahalanobis distance of N images from the mean, (N,).

        `image_features` are CLIP's features of size F, (N, F).
        """
        offset = image_features - self.mean  # (N, F)
        squared = ((offset @ self.precision) * offset).sum(dim=-1)
        return squared.clamp_min(0).sqrt()
