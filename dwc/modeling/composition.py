"""A composed query: what it is made of, how it is mixed, and how its scores split.

    embedding = norm(image_weight * image_part + (1 - image_weight) * text_part [+ joint_part])

Everything here is plain arithmetic on tensors, shared by the models, the search and the tests.
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
    """Move a weight along its logit: 0 leaves it, positive leans to the image, negative to text.

    `image_weight` is in [0, 1], any shape. A shift of plus or minus infinity gives exactly 1 or 0.
    A weight of exactly 0 or 1 (a query without image, or without text) has no other modality to
    lean to, and stays.
    """
    if shift == 0:
        return image_weight
    one_sided = (image_weight == 0) | (image_weight == 1)
    shifted = torch.sigmoid(torch.logit(image_weight.double()) + shift).to(image_weight.dtype)
    return torch.where(one_sided, image_weight, shifted)


class ScoreParts(NamedTuple):
    """What each part of a query adds to each gallery item's cosine; the three sum to the score."""

    image: Tensor  # (N, M)
    text: Tensor  # (N, M)
    joint: Tensor  # (N, M), zero for combiners without a joint part


@dataclass(frozen=True)
class Composition:
    """One stream's composed queries, N of them, D-dimensional.

    `embedding` (N, D) is unit length; `image_part` and `text_part` (N, D) are the edited features
    before mixing, of any length; `image_weight` (N, 1) is in [0, 1], the text's is its complement;
    `joint_part` (N, D), where a combiner has one, is added unweighted.
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
        """Mix the parts by their weight and scale to unit length."""
        mixed = image_weight * image_part + (1 - image_weight) * text_part  # (N, D)
        if joint_part is not None:
            mixed = mixed + joint_part
        return cls(normalize(mixed), image_part, text_part, image_weight, joint_part)

    def shifted(self, shift: float) -> "Composition":
        """The same query leaning more to its image (positive) or its text (negative).

        A joint part belongs to both modalities, so it is left out at the two ends.
        """
        if shift == 0:
            return self
        joint = None if shift in (float("inf"), float("-inf")) else self.joint_part
        weight = shift_weight(self.image_weight, shift)
        return Composition.mix(self.image_part, self.text_part, weight, joint)

    def to(self, place: torch.device | str | torch.dtype) -> "Composition":
        """The same on a device, or in another float type."""
        joint = None if self.joint_part is None else self.joint_part.to(place)
        return Composition(
            self.embedding.to(place),
            self.image_part.to(place),
            self.text_part.to(place),
            self.image_weight.to(place),
            joint,
        )

    def split_scores(self, gallery: Tensor) -> ScoreParts:
        """Split the cosine with each row of `gallery` (M, D), unit length, into exact parts.

        Gallery vectors do not depend on the query, so a score is a sum over the query's parts:
        nothing is approximated. The parts are of the *edited* features, each of which has already
        looked at the other modality.
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
    """The same queries in every stream that a model has; a stream it lacks is None.

    `ood_score` (N,), from 0, above 1 where a reference lies further out than the pictures the
    model was trained on; None without pictures, or where the checkpoint cannot tell.
    """

    clip: Composition | None = None
    cnn: Composition | None = None
    ood_score: Tensor | None = None

    @property
    def streams(self) -> dict[str, Composition]:
        """The streams that are there, by name, in the order of the gallery vectors."""
        named = {"clip": self.clip, "cnn": self.cnn}
        return {name: stream for name, stream in named.items() if stream is not None}

    @property
    def embedding(self) -> Tensor:
        """(N, sum of D): the streams' unit vectors side by side, so that scores add up."""
        return torch.cat([stream.embedding for stream in self.streams.values()], dim=-1)

    def shifted(self, shift: float) -> "ComposedQuery":
        """Every stream shifted alike; see `Composition.shifted`."""
        shifted = {name: stream.shifted(shift) for name, stream in self.streams.items()}
        return replace(self, clip=shifted.get("clip"), cnn=shifted.get("cnn"))

    def to(self, device: torch.device | str) -> "ComposedQuery":
        """The same on a device."""
        return ComposedQuery(
            **{name: stream.to(device) for name, stream in self.streams.items()},
            ood_score=None if self.ood_score is None else self.ood_score.to(device),
        )
