"""Composed queries: image and text parts, their weighted sum, and each part's share of a score.

embedding = norm(image_weight * image_part + (1 - image_weight) * text_part [+ joint_part])
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


def normalize(vectors: Tensor) -> Tensor:
    """Scale all vectors to unit length; they run along the last axis. A zero vector stays zero."""
    return functional.normalize(vectors, dim=-1, eps=1e-12)


def shift_weight(image_weight: Tensor, shift: float) -> Tensor:
    """Return image weights with a weight shift applied: sigmoid(logit(image_weight) + shift).

    Args:
        image_weight: Weights in [0, 1] of any shape. Weights of exactly 0 or 1 stay unchanged;
            queries with only a text or only an image have such weights.
        shift: Number added to the logits of the weights. 0 changes nothing, a positive number
            favors the image, and a negative number favors the text. Plus infinity gives weights of
            exactly 1, minus infinity weights of exactly 0.
    """
    if shift == 0:
        return image_weight
    one_sided = (image_weight == 0) | (image_weight == 1)
    shifted = torch.sigmoid(torch.logit(image_weight.double()) + shift).to(image_weight.dtype)
    return torch.where(one_sided, image_weight, shifted)


class ScoreParts(NamedTuple):
    """Contributions of each query part (image, text, joint) to the query's scores.

    The scores are cosines of N queries with M gallery vectors. The three contributions to a score
    sum to the score.
    """

    image: Tensor  # (N, M)
    text: Tensor  # (N, M)
    joint: Tensor  # (N, M), zero for combiners without a joint part


@dataclass(frozen=True)
class Composition:
    """N composed queries of one stream, with embeddings of length D.

    Attributes:
        embedding: Query embeddings (N, D) of unit length.
        image_part: Image features (N, D), as the combiner adapted them to the text; not scaled to
            unit length.
        text_part: Text features (N, D), as the combiner adapted them to the image; not scaled to
            unit length.
        image_weight: (N, 1) in [0, 1], the weight of the image part; the text part's weight is
            1 - image_weight.
        joint_part: (N, D), a part computed from image and text together and added without a weight;
            None for combiners without a joint part.
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
        """Compose N queries from their parts and image weights.

        The embedding of the result is norm(w * image_part + (1 - w) * text_part + joint_part),
        where w is the image weight. The arguments are the class's attributes of the same names.
        """
        mixed = image_weight * image_part + (1 - image_weight) * text_part  # (N, D)
        if joint_part is not None:
            mixed = mixed + joint_part
        return cls(normalize(mixed), image_part, text_part, image_weight, joint_part)

    def shifted(self, shift: float) -> "Composition":
        """Return the same queries with other image weights.

        Args:
            shift: Number added to the logits of the image weights; see `shift_weight`. Infinity
                uses the image part alone, minus infinity the text part alone. The joint part is
                then left out, because it depends on both image and text.
        """
        if shift == 0:
            return self
        joint = None if shift in (float("inf"), float("-inf")) else self.joint_part
        weight = shift_weight(self.image_weight, shift)
        return Composition.mix(self.image_part, self.text_part, weight, joint)

    def rows(self, rows: Tensor) -> "Composition":
        """Return a copy of some of the queries, in the given order.

        Args:
            rows: Indices of the queries (M,), int64; an index may be repeated.
        """
        joint = None if self.joint_part is None else self.joint_part[rows]
        return Composition(
            self.embedding[rows],
            self.image_part[rows],
            self.text_part[rows],
            self.image_weight[rows],
            joint,
        )

    def to_tuple(self) -> tuple[Tensor, ...]:
        """Return all attributes that are not None as a tuple, in the order of their definition."""
        values = (
            self.embedding, self.image_part, self.text_part, self.image_weight, self.joint_part
        )  # fmt: skip
        return tuple(value for value in values if value is not None)

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
        """Split the queries' cosines with gallery vectors into contributions of the query parts.

        The split is exact, because a cosine is linear in the query vector, which is a sum of parts.
        A combiner may adapt the image part to the text and the text part to the image. The
        contribution of the image part then depends on the text too.

        Args:
            gallery: M gallery vectors of length D, scaled to unit length, (M, D).

        Returns:
            The contributions of the image, text and joint parts, each (N, M).
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
        ood_score: Out-of-distribution scores (N,) of the reference images, at least 0: how far they
            are from the training images. Above 1, an image is further away than 99% of similar
            images that were set aside to determine this limit. None if the queries have no images,
            or the model has no statistics of its training images.
    """

    clip: Composition | None = None
    cnn: Composition | None = None
    ood_score: Tensor | None = None

    @property
    def streams(self) -> dict[str, Composition]:
        """The compositions of the model's streams, by the stream's name ("clip" or "cnn").

        The order is that in which `embedding` concatenates the streams' vectors.
        """
        named = {"clip": self.clip, "cnn": self.cnn}
        return {name: stream for name, stream in named.items() if stream is not None}

    @property
    def embedding(self) -> Tensor:
        """The N query vectors, one per row: the CLIP stream's unit vector, then the CNN stream's.

        The dot product of a query vector with a gallery vector, which is built alike, is the sum of
        the streams' scores.
        """
        return torch.cat([stream.embedding for stream in self.streams.values()], dim=-1)

    def shifted(self, shift: float) -> "ComposedQuery":
        """Return the same queries with other image weights in every stream.

        Args:
            shift: Number added to the logits of the image weights; see `Composition.shifted`.
        """
        shifted = {name: stream.shifted(shift) for name, stream in self.streams.items()}
        return replace(self, clip=shifted.get("clip"), cnn=shifted.get("cnn"))

    def rows(self, rows: Tensor) -> "ComposedQuery":
        """Return a copy of some of the queries, in the given order.

        Args:
            rows: Indices of the queries (M,), int64; an index may be repeated.
        """
        return ComposedQuery(
            **{name: stream.rows(rows) for name, stream in self.streams.items()},
            ood_score=None if self.ood_score is None else self.ood_score[rows],
        )

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the queries as nested tuples: (clip, cnn, ood_score), without those that are None.

        `clip` and `cnn` are themselves tuples, as `Composition.to_tuple` returns them.
        """
        values: list[Any] = [stream.to_tuple() for stream in self.streams.values()]
        if self.ood_score is not None:
            values.append(self.ood_score)
        return tuple(values)

    def to(self, device: torch.device | str) -> "ComposedQuery":
        """Return the same queries on another device."""
        return ComposedQuery(
            **{name: stream.to(device) for name, stream in self.streams.items()},
            ood_score=None if self.ood_score is None else self.ood_score.to(device),
        )
