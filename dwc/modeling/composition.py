"""A composed query: its parts, their weighted sum, and the exact split of its scores.

embedding = norm(image_weight * image_part + (1 - image_weight) * text_part [+ joint_part])
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


def normalize(vectors: Tensor) -> Tensor:
    """Scale each row (the last axis) to unit length; a zero row stays zero."""
    return functional.normalize(vectors, dim=-1, eps=1e-12)


def shift_weight(image_weight: Tensor, shift: float) -> Tensor:
    """Add `shift` to the logit of image weights.

    Args:
        image_weight: In [0, 1], any shape. Exactly 0 or 1 (a query of one modality) stays.
        shift: 0 leaves the weight, positive favors the image, negative the text; plus and minus
            infinity give exactly 1 and 0.
    """
    if shift == 0:
        return image_weight
    one_sided = (image_weight == 0) | (image_weight == 1)
    shifted = torch.sigmoid(torch.logit(image_weight.double()) + shift).to(image_weight.dtype)
    return torch.where(one_sided, image_weight, shifted)


class ScoreParts(NamedTuple):
    """The contribution of each part of a query to each cosine; the three sum to the score."""

    image: Tensor  # (N, M)
    text: Tensor  # (N, M)
    joint: Tensor  # (N, M), zero for combiners without a joint part


@dataclass(frozen=True)
class Composition:
    """Composed queries of one stream: N queries, D dimensions.

    Attributes:
        embedding: (N, D), unit length.
        image_part: (N, D), edited image features before mixing, any length.
        text_part: (N, D), edited text features before mixing, any length.
        image_weight: (N, 1) in [0, 1]; the text's weight is its complement.
        joint_part: (N, D), added unweighted; None for combiners without one.
    """

    embedding: Tensor
    image_part: Tensor
    text_part: Tensor
    image_weight: Tensor
    joint_part: Tensor | None = None

    @classmethod
    def mix(
        cls,
        image_part: Tensor,
        text_part: Tensor,
        image_weight: Tensor,
        joint_part: Tensor | None = None,
    ) -> "Composition":
        """Mix the parts by the weight and scale to unit length."""
        mixed = image_weight * image_part + (1 - image_weight) * text_part  # (N, D)
        if joint_part is not None:
            mixed = mixed + joint_part
        return cls(normalize(mixed), image_part, text_part, image_weight, joint_part)

    def shifted(self, shift: float) -> "Composition":
        """Return the same queries with shifted image weights; see `shift_weight`.

        A joint part belongs to both modalities, so it is left out at plus and minus infinity.
        """
        if shift == 0:
            return self
        joint = None if shift in (float("inf"), float("-inf")) else self.joint_part
        weight = shift_weight(self.image_weight, shift)
        return Composition.mix(self.image_part, self.text_part, weight, joint)

    def to(self, target: torch.device | str | torch.dtype) -> "Composition":
        """The same queries on another device or in another float type."""
        joint = None if self.joint_part is None else self.joint_part.to(target)
        return Composition(
            self.embedding.to(target),
            self.image_part.to(target),
            self.text_part.to(target),
            self.image_weight.to(target),
            joint,
        )

    def split_scores(self, gallery: Tensor) -> ScoreParts:
        """Split the cosines with gallery vectors into their exact parts.

        Gallery vectors do not depend on the query, so a score is a sum over the query's parts and
        nothing is approximated. The parts are those of the *edited* features, which already depend
        on the other modality.

        Args:
            gallery: (M, D), unit length.
        """
        mixed = self.image_weight * self.image_part + (1 - self.image_weight) * self.text_part
        if self.joint_part is not None:
            mixed = mixed + self.joint_part
        length = mixed.norm(dim=-1, keepdim=True).clamp_min(1e-12)  # (N, 1)
        image = (self.image_weight * self.image_part / length) @ gallery.T  # (N, M)
        text = ((1 - self.image_weight) * self.text_part / length) @ gallery.T  # (N, M)
        if self.joint_part is None:
            return ScoreParts(image, text, torch.zeros_like(image))
        return ScoreParts(image, text, (self.joint_part / length) @ gallery.T)


@dataclass(frozen=True)
class ComposedQuery:
    """The same N queries in each stream of a model; None for a stream that it lacks.

    Attributes:
        clip: The CLIP stream's composition.
        cnn: The CNN stream's composition.
        ood_score: (N,), from 0; above 1 the reference lies further from the training images than
            nearly all of them. None without images or without the statistics.
    """

    clip: Composition | None = None
    cnn: Composition | None = None
    ood_score: Tensor | None = None

    @property
    def streams(self) -> dict[str, Composition]:
        """The existing streams by name, in the order of the gallery vectors."""
        named = {"clip": self.clip, "cnn": self.cnn}
        return {name: stream for name, stream in named.items() if stream is not None}

    @property
    def embedding(self) -> Tensor:
        """(N, sum of D): the streams' unit vectors side by side, so that scores add up."""
        return torch.cat([stream.embedding for stream in self.streams.values()], dim=-1)

    def shifted(self, shift: float) -> "ComposedQuery":
        """The same queries with every stream's weight shifted; see `Composition.shifted`."""
        shifted = {name: stream.shifted(shift) for name, stream in self.streams.items()}
        return replace(self, clip=shifted.get("clip"), cnn=shifted.get("cnn"))

    def to(self, device: torch.device | str) -> "ComposedQuery":
        """The same queries on another device."""
        return ComposedQuery(
            **{name: stream.to(device) for name, stream in self.streams.items()},
            ood_score=None if self.ood_score is None else self.ood_score.to(device),
        )
