"""Out-of-distribution (OOD) score of an image: how far it lies from the training images.

The score is a Mahalanobis distance between the image's features and the training images' features.
The method follows Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution
Samples and Adversarial Attacks", but without classes: `MahalanobisOOD` has one mean for all
training images, and `SubspaceOOD` has one mean for each group of training images, such as drawings
and photographs.

Buffer names of `MahalanobisOOD`: `mean`, `precision`, `threshold`. Buffer names of `SubspaceOOD`:
`means`, `components`, `variances`, `noise`, `thresholds`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class MahalanobisOOD(nn.Module):
    """Out-of-distribution (OOD) score from the mean and covariance of training images' features.

    Attributes:
        mean: Mean of the features, (F,); F is the length of a feature vector.
        precision: Inverse of the features' covariance matrix, (F, F).
        threshold: Distance from the mean beyond which an image is out of distribution, a scalar.
    """

    mean: Tensor  # (F,)
    precision: Tensor  # (F, F)
    threshold: Tensor  # ()

    def __init__(self, feature_dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("precision", torch.eye(feature_dim))
        self.register_buffer("threshold", torch.ones(()))

    def score(self, image_features: Tensor) -> Tensor:
        """Return the out-of-distribution scores (N,) of N images.

        The score, 0 or more, is the image's distance from the mean of the training images, divided
        by the threshold. An image with a score above 1 counts as out of distribution.

        Args:
            image_features: CLIP's features (N, F) of N images; F is the length of a feature vector.
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
            features: CLIP's features (M, F) of M training images, at least 2; F is the length of a
                feature vector.
            held_out: CLIP's features (K, F) of K held-out images similar to the training images, at
                least 1.
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
        """Return the Mahalanobis distances (N,) of N images from the training images' mean.

        `image_features` are CLIP's features (N, F); F is the length of a feature vector.
        """
        offset = image_features - self.mean  # (N, F)
        squared = ((offset @ self.precision) * offset).sum(dim=-1)
        return squared.clamp_min(0).sqrt()


class SubspaceOOD(nn.Module):
    """Out-of-distribution (OOD) score: how far an image is from the nearest of G training groups.

    A group consists of similar training images and is described by the mean and the covariance of
    their features. A feature vector has F numbers and is scaled to unit length. To save memory, a
    covariance matrix is described by its K largest principal components and one variance for all
    other directions.

    Source: Tipping & Bishop 1999, "Probabilistic Principal Component Analysis".

    Attributes:
        means: Mean of each group, (G, F).
        components: Principal components of each group, (G, K, F).
        variances: Variances along the principal components, (G, K).
        noise: Variance of each group in all other directions, (G,).
        thresholds: Distance from each group's mean beyond which an image does not belong to the
            group, (G,).
    """

    means: Tensor  # (G, F)
    components: Tensor  # (G, K, F)
    variances: Tensor  # (G, K)
    noise: Tensor  # (G,)
    thresholds: Tensor  # (G,)

    def __init__(self, feature_dim: int, groups: int, components: int):
        super().__init__()
        self.register_buffer("means", torch.zeros(groups, feature_dim))
        self.register_buffer("components", torch.zeros(groups, components, feature_dim))
        self.register_buffer("variances", torch.ones(groups, components))
        self.register_buffer("noise", torch.ones(groups))
        self.register_buffer("thresholds", torch.ones(groups))

    def score(self, image_features: Tensor) -> Tensor:
        """Return the out-of-distribution scores (N,) of N images.

        For each group of training images, the image's distance from the group is divided by the
        group's threshold. The score, 0 or more, is the smallest of these ratios. An image with a
        score above 1 counts as out of distribution.

        Args:
            image_features: Features (N, F) of N images, of any length (this method scales them to
                unit length); F is the number of features of an image.
        """
        features = functional.normalize(image_features.float(), dim=-1)
        distances = [
            self._distance(features, group) / self.thresholds[group].float()
            for group in range(len(self.thresholds))
        ]
        return torch.stack(distances).amin(dim=0)

    @torch.no_grad()
    def fit(self, groups: Sequence[tuple[Tensor, Tensor]], quantile: float = 0.99) -> None:
        """Estimate the mean, the covariance and the threshold of each group from images.

        Args:
            groups: For each group, features (M, F) of M training images, at least 2, and features
                (K, F) of K held-out images similar to the training images, at least 1.
            quantile: The threshold of a group is this quantile (0 to 1) of the distances of its
                held-out images.

        Raises:
            ValueError: There are too few images, or not as many groups as in the model.
        """
        if len(groups) != len(self.thresholds):
            raise ValueError(
                f"there are images of {len(groups)} groups; the model has {len(self.thresholds)}."
            )
        for group, (training, held_out) in enumerate(groups):
            if len(training) < 2 or len(held_out) < 1:
                raise ValueError(
                    f"group {group} has {len(training)} training and {len(held_out)} held-out "
                    "images; at least 2 and 1 are needed."
                )
            exact = functional.normalize(training.double(), dim=-1)
            variances, directions = torch.linalg.eigh(torch.cov(exact.T))  # ascending
            count = self.components.shape[1]
            noise = variances[:-count].mean().clamp_min(1e-9)
            self.means[group] = exact.mean(dim=0)
            self.components[group] = directions[:, -count:].T
            self.variances[group] = variances[-count:].clamp_min(noise)
            self.noise[group] = noise
            features = functional.normalize(held_out.float(), dim=-1)
            distances = self._distance(features, group)
            self.thresholds[group] = torch.quantile(distances, quantile).clamp_min(1e-12)

    def _distance(self, features: Tensor, group: int) -> Tensor:
        """Return the Mahalanobis distances (N,) of N images from the mean of a training group.

        Args:
            features: Unit feature vectors (N, F) of F numbers each.
            group: Index of the group.
        """
        offset = features - self.means[group].float()  # (N, F)
        within = offset @ self.components[group].float().T  # (N, K)
        outside = offset.square().sum(dim=-1) - within.square().sum(dim=-1)
        squared = (within.square() / self.variances[group].float()).sum(dim=-1)
        return (squared + outside.clamp_min(0) / self.noise[group].float()).sqrt()
