"""Composed queries: their parts, the weighted sum of the parts, and the scores of each part.

embedding = norm(image_weight * image_part + (1 - image_weight) * text_part [+ joint_part])
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


def normalize(vectors: Tensor) -> Tensor:
    """Scale the vectors along the last axis to unit length; a zero vector stays zero."""
    return functional.normalize(vectors, dim=-1, eps=1e-12)


def shift_weight(image_weight: Tensor, shift: float) -> Tensor:
    """Return image weights with `shift` added to their logits: sigmoid(logit(weight) + shift).

    Args:
        image_weight: Weights in [0, 1] of any shape. Exactly 0 and 1 (queries of one modality) stay
            as they are.
        shift: 0 changes nothing, a positive value favors the image, a negative one the text; plus
            and minus infinity give exactly 1 and 0.
    """
    if shift == 0:
        return image_weight
    one_sided = (image_weight == 0) | (image_weight == 1)
    shifted = torch.sigmoid(torch.logit(image_weight.double()) + shift).to(image_weight.dtype)
    return torch.where(one_sided, image_weight, shifted)


class ScoreParts(NamedTuple):
    """Contributions of the image, text and joint parts of N queries to their M cosines.

    The cosines are those with M gallery vectors; the three contributions sum to the cosine.
    """

    image: Tensor  # (N, M)
    text: Tensor  # (N, M)
    joint: Tensor  # (N, M), zero for combiners without a joint part


@dataclass(frozen=True)
class Composition:
    """N composed queries of one stream, with embeddings of length D.

    Attributes:
        embedding: Query embeddings (N, D) of unit length.
        image_part: (N, D), image features as the combiner edited them, not scaled to unit length.
        text_part: (N, D), text features as the combiner edited them, not scaled to unit length.
        image_weight: (N, 1) in [0, 1], the weight of the image part; the text part's weight is
            1 - image_weight.
        joint_part: (N, D), added without a weight; None for combiners without a joint part.
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
        """Return the composition of these parts; its embedding is their normalized weighted sum."""
        mixed = image_weight * image_part + (1 - image_weight) * text_part  # (N, D)
        if joint_part is not None:
            mixed = mixed + joint_part
        return cls(normalize(mixed), image_part, text_part, image_weight, joint_part)

    def shifted(self, shift: float) -> "Composition":
        """Return the same queries with image weights shifted by `shift_weight`.

        A joint part depends on both modalities, so it is dropped for a shift of plus or minus
        infinity, which means one modality alone.
        """
        if shift == 0:
            return self
        joint = None if shift in (float("inf"), float("-inf")) else self.joint_part
        weight = shift_weight(self.image_weight, shift)
        return Composition.mix(self.image_part, self.text_part, weight, joint)

    def to(self, target: torch.device | str | torch.dtype) -> "Composition":
        """Return the same queries on another device or in another float type."""
        joint = None if self.joint_part is None else self.joint_part.to(target)
        return Composition(
            self.embedding.to(target),
            self.image_part.to(target),
            self.text_part.to(target),
            self.image_weight.to(target),
            joint,
        )

    def split_scores(self, gallery: Tensor) -> ScoreParts:
        """Split the cosines with gallery vectors into the contributions of the queries' parts.

        The split is exact: a cosine is linear in the query vector, which is a sum of parts. Note
        that the parts are *edited* features, each of which already depends on the other modality.

        Args:
            gallery: Gallery vectors (M, D) of unit length.
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
    """N queries as composed by each stream of a model.

    Attributes:
        clip: The CLIP stream's composition; None if the model has no CLIP stream.
        cnn: The CNN stream's composition; None if the model has no CNN stream.
        ood_score: Out-of-distribution scores (N,) of the reference images, at least 0; above 1, an
            image lies further from the mean training image than 99% of similar images do. None if
            the queries have no images or the model no such statistics.
    """

    clip: Composition | None = None
    cnn: Composition | None = None
    ood_score: Tensor | None = None

    @property
    def streams(self) -> dict[str, Composition]:
        """The compositions of the existing streams by name, in the order of gallery vectors."""
        named = {"clip": self.clip, "cnn": self.cnn}
        return {name: stream for name, stream in named.items() if stream is not None}

    @property
    def embedding(self) -> Tensor:
        """The streams' unit vectors, concatenated (N, sum of D), so that dot products add up."""
        return torch.cat([stream.embedding for stream in self.streams.values()], dim=-1)

    def shifted(self, shift: float) -> "ComposedQuery":
        """Return the same queries with every stream's weight shifted; see `Composition.shifted`."""
        shifted = {name: stream.shifted(shift) for name, stream in self.streams.items()}
        return replace(self, clip=shifted.get("clip"), cnn=shifted.get("cnn"))

    def to(self, device: torch.device | str) -> "ComposedQuery":
        """Return the same queries on another device."""
        return ComposedQuery(
            **{name: stream.to(device) for name, stream in self.streams.items()},
            ood_score=None if self.ood_score is None else self.ood_score.to(device),
        )
