"""Composed queries, and the combiners: modules that combine image and text features into a query.

    combiner(image_features, text_features) -> Composition
    embedding = normalize(image_weight * image_part + (1 - image_weight) * text_part [+ joint_part])

A `Composition` is one stream's queries: their image and text parts, the weight of the parts, and
each part's share of a score. A `ComposedQuery` has the compositions of both streams.

`combiner_class("dwc")` returns the combiner class of a name, `combiner_names()` lists all names,
and the decorator `register("name")` adds a class. The classes are, in this order:

- DWC's combiner and two variations of it. Source: the Editable Modality De-equalizer of Huang et
  al. 2024, "Dynamic Weighted Combiner for Mixed-Modal Image Retrieval" (AAAI).
- The combiner of Progressive Learning (PL), a reconstruction, and its variant with a fixed weight.
  Source: Zhao et al. 2022, "Progressive Learning for Image Retrieval with Hybrid-Modality Queries"
  (SIGIR, arXiv 2204.11212).
- Baselines from earlier work. `ImageOnly`, `TextOnly`, `ConcatenationMLP` and `Tirg` follow Vo et
  al. 2019, "Composing Text and Image for Image Retrieval - An Empirical Odyssey" (CVPR, arXiv
  1812.07119). `Average` is the unweighted mean. `Clip4CirCombiner` follows Baldrati et al. 2022,
  "Effective Conditioned and Composed Image Retrieval Combining CLIP-based Features" (CVPR).

Each class documents the names of its parameters.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_MIN_TEXT_WEIGHT = 0.05  # keeps text parts finite where the image weight is nearly 1


def normalize(vectors: Tensor) -> Tensor:
    """Scale the vectors along the last axis to unit length; a zero vector stays zero."""
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


def shift_one_weight(image_weight: float, shift: float) -> float:
    """Return the same as `shift_weight` for one float32 weight, without torch.

    Each operation of torch releases Python's global lock. In a thread of a busy server, waiting for
    the lock again takes milliseconds, and an explanation shifts some 80 weights.

    Args:
        image_weight: A weight in [0, 1].
        shift: Number added to the logit of the weight, or plus or minus infinity.
    """
    if shift == 0 or image_weight in (0.0, 1.0):
        return image_weight
    logit = math.log(image_weight / (1 - image_weight)) + shift
    # Of a weight below 1e-300, the float32 is 0; a greater exponent would overflow.
    return float(np.float32(1 / (1 + math.exp(min(-logit, 700.0)))))


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
    """N composed queries of one stream (the model's CLIP or CNN branch), with D numbers each.

    Attributes:
        embedding: Query embeddings (N, D) of unit length.
        image_part: Image features (N, D), which the combiner may have adapted to the text; not
            scaled to unit length.
        text_part: Text features (N, D), which the combiner may have adapted to the image; not
            scaled to unit length.
        image_weight: Weights (N, 1) of the image parts, in [0, 1]. The weights of the text parts
            are 1 - image_weight.
        joint_part: Vectors (N, D) that are computed from image and text together, and added without
            a weight; None for combiners without a joint part.
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

        The embedding of the result is
        normalize(w * image_part + (1 - w) * text_part + joint_part), where w is the image weight.
        The function `normalize` scales vectors to unit length.

        Args:
            image_part: Image features (N, D), not scaled to unit length.
            text_part: Text features (N, D), not scaled to unit length.
            image_weight: Weights (N, 1) of the image parts, in [0, 1].
            joint_part: Vectors (N, D) that are added without a weight; None to add nothing.
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

    def excluding(self, directions: Tensor) -> "Composition":
        """Return the same queries after subtracting excluded properties, such as colors.

        The embedding of the result is `embedding - directions`, scaled to unit length. The
        difference is made in the text part only: the image weights do not change, and the
        contributions of the parts (see `split_scores`) still sum to the scores. If the weight of a
        text is below 0.05, less is subtracted, so that the text part does not become too large.

        Args:
            directions: Vectors (N, D) that point towards the excluded properties, in the space of
                the embeddings; zero for queries that exclude nothing. A vector of length 1 counts
                as much as the query's embedding, which has this length too.
        """
        mixed = self.image_weight * self.image_part + (1 - self.image_weight) * self.text_part
        if self.joint_part is not None:
            mixed = mixed + self.joint_part
        length = mixed.norm(dim=-1, keepdim=True)  # (N, 1)
        text_weight = (1 - self.image_weight).clamp_min(_MIN_TEXT_WEIGHT)
        text_part = self.text_part - length * directions / text_weight
        return Composition.mix(self.image_part, text_part, self.image_weight, self.joint_part)

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
        """Return the same queries on another device or with another float type."""
        joint = None if self.joint_part is None else self.joint_part.to(target)
        return Composition(
            self.embedding.to(target),
            self.image_part.to(target),
            self.text_part.to(target),
            self.image_weight.to(target),
            joint,
        )

    def split_scores(self, gallery: Tensor) -> ScoreParts:
        """Compute how much each query part contributes to the cosines with gallery vectors.

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
    """N queries of a model, each composed separately by the model's CLIP and CNN streams.

    Attributes:
        clip: The CLIP stream's composition; None if the model has no CLIP stream.
        cnn: The CNN stream's composition; None if the model has no CNN stream.
        ood_score: Out-of-distribution scores (N,) of the reference images, 0 or more: how far each
            image is from the training images. If the score is above 1, the image is farther away
            than 99% of held-out images of the same kind as the training images. None if the queries
            have no images, or the model has no statistics of its training images.
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

        Gallery vectors concatenate the streams' vectors in the same order. So the dot product of a
        query vector with a gallery vector is the sum of the streams' scores.
        """
        return torch.cat([stream.embedding for stream in self.streams.values()], dim=-1)

    def shifted(self, shift: float) -> "ComposedQuery":
        """Return the same queries with other image weights in every stream.

        Args:
            shift: Number added to the logits of the image weights. Infinity uses the image part
                alone, minus infinity the text part alone; both leave out the joint part.
        """
        shifted = {name: stream.shifted(shift) for name, stream in self.streams.items()}
        return replace(self, clip=shifted.get("clip"), cnn=shifted.get("cnn"))

    def excluding(self, directions: Mapping[str, Tensor]) -> "ComposedQuery":
        """Return the same queries after subtracting excluded properties in every stream.

        Args:
            directions: By the name of each stream, vectors (N, D) that point towards the excluded
                properties; zero for queries that exclude nothing. A vector of length 1 counts as
                much as the query's embedding in the stream, which has this length too.
        """
        moved = {name: part.excluding(directions[name]) for name, part in self.streams.items()}
        return replace(self, clip=moved.get("clip"), cnn=moved.get("cnn"))

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
        """Return the queries as nested tuples: (clip, cnn, ood_score), without values of None.

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


def mlp(in_dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    """Return a multilayer perceptron (MLP): two linear layers with ReLU and dropout between them.

    The parameter names are `{0,3}.{weight,bias}`: 0 is the first linear layer, 3 the second.
    """
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden_dim, out_dim),
    )


class Combiner(nn.Module):
    """Base class of modules that combine image and text features of unit length into a query.

    Attributes:
        uses_projections: True if the inputs of the combiner are learned projections of CLIP's
            features, False if they are CLIP's features scaled to unit length.
    """

    uses_projections: ClassVar[bool] = True

    def __init__(self, dim: int, dropout: float):
        """Build a combiner.

        Args:
            dim: Length of the image and text feature vectors.
            dropout: Dropout probability in training, 0 to 1.
        """
        super().__init__()

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from image and text features, each (N, dim)."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward.")

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor | None:
        """Return a scalar training loss to add to the retrieval loss.

        By default, combiners have no such loss, and the result is None.

        Args:
            composed: B queries that `forward` returned.
            gallery: Unit-length embeddings (B, dim) of the target images, in the order of the
                queries.
            labels: Labels (B,) of the target images. All target images with the same label as a
                query's own target are correct for this query.
            temperature: Temperature of the retrieval loss.
        """
        return None


_CombinerType = TypeVar("_CombinerType", bound=type[Combiner])
_REGISTER: dict[str, type[Combiner]] = {}


def register(name: str) -> Callable[[_CombinerType], _CombinerType]:
    """Return a class decorator that registers a combiner under a name.

    The decorator raises ValueError if another combiner has this name.
    """

    def add(combiner: _CombinerType) -> _CombinerType:
        if name in _REGISTER:
            raise ValueError(
                f"the combiner name {name!r} is taken by {_REGISTER[name].__name__}; choose "
                "another."
            )
        _REGISTER[name] = combiner
        return combiner

    return add


def combiner_class(name: str) -> type[Combiner]:
    """Return the combiner class registered under a name.

    Raises:
        ValueError: No combiner has this name; the message lists all names.
    """
    if name not in _REGISTER:
        raise ValueError(f"no combiner is named {name!r}; there are {', '.join(combiner_names())}.")
    return _REGISTER[name]


def combiner_names() -> list[str]:
    """Return the sorted names of all combiners."""
    return sorted(_REGISTER)


@register("dwc")
class DynamicWeightedCombiner(Combiner):
    """Combiner that gates image and text features, and mixes them with an image weight per query.

    A gate multiplies each feature by a factor between 0 and 1. MLPs compute both gates and the
    weight from the image and the text together. This is the combiner of the DWC paper.

    Parameter names: `edit_image.{0,3}`, `edit_text.{0,3}`, `weigh.{0,3}`, each with `.weight` and
    `.bias`.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.edit_image = mlp(2 * dim, dim, dim, dropout)
        self.edit_text = mlp(2 * dim, dim, dim, dropout)
        self.weigh = mlp(2 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from image and text features, each (N, dim).

        Gates first change the image features and the text features; the results are a query's image
        part and its text part. An MLP computes the query's image weight w from both parts. The
        query's embedding is w * image part + (1 - w) * text part, scaled to unit length.
        """
        image_part, text_part = self.edit(image_features, text_features)
        parts = torch.cat([image_part, text_part], dim=-1)  # (N, 2 dim)
        image_weight = torch.sigmoid(self.weigh(parts))  # (N, 1): w
        return Composition.mix(image_part, text_part, image_weight)

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image features and the text features of N queries after gating, each (N, dim).

        The results are the vectors i and t of the DWC paper.

        Args:
            image_features: Image features (N, dim) before gating.
            text_features: Text features (N, dim) before gating.
        """
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        image_part = torch.sigmoid(self.edit_image(both)) * image_features
        text_part = torch.sigmoid(self.edit_text(both)) * text_features
        return image_part, text_part


@register("dwc_unit")
class UnitDynamicCombiner(DynamicWeightedCombiner):
    """DWC's combiner with image and text parts scaled to unit length; this project's variation.

    In the paper's combiner, the gates also change the lengths of the image part and the text part.
    Like the image weight, these lengths influence how much a query depends on its image, so the
    weight alone does not show this. If both parts have unit length, the weight alone determines the
    balance of image and text. In this project's comparison of combiners, parts of varying length
    did not improve the recall.
    """

    def edit(self, image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated image and text features of N queries, each (N, dim), at unit length.

        Features of a missing modality, which are zero, stay zero.
        """
        image_part, text_part = super().edit(image_features, text_features)
        return normalize(image_part), normalize(text_part)


@register("dwc_joint")
class JointDynamicCombiner(DynamicWeightedCombiner):
    """DWC's combiner with an additional joint part that has no weight; this project's variation.

    The gates can only attenuate the features of the image and of the text. The joint part is
    computed from both features and adds information that depends on their combination. The Combiner
    of CLIP4Cir also has a joint part, but computes it with six times as many parameters.

    Parameter names: those of `DynamicWeightedCombiner`, and `join.{0,3}`.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.join = mlp(2 * dim, 4 * dim, dim, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from image and text features, each (N, dim).

        An MLP computes a joint part from both; it is added to the weighted sum of the gated image
        features and the gated text features.
        """
        edited = super().forward(image_features, text_features)
        joint_part = self.join(torch.cat([image_features, text_features], dim=-1))  # (N, dim)
        return Composition.mix(edited.image_part, edited.text_part, edited.image_weight, joint_part)


@torch.no_grad()
def pseudo_weights(
    image_features: Tensor,
    text_features: Tensor,
    gallery: Tensor,
    matches: Tensor,
    temperature: float = 0.07,
    gamma: float = 1.0,
) -> Tensor:
    """Return the pseudo weights of N queries: training targets for their image weights.

    A query's pseudo weight is large if its image alone finds the target better than its text alone.
    The score of a modality is the total probability of the correct targets in a softmax over the
    modality's cosines with all targets of the batch. The higher the image's score is relative to
    the text's score, the larger the weight. The formula is this project's reconstruction, not the
    paper's.

    Args:
        image_features: Image features (N, D) of N queries; they need not have unit length.
        text_features: Text features (N, D); they need not have unit length.
        gallery: Unit-length embeddings of the batch's M target images, (M, D).
        matches: Boolean matrix (N, M), True on the correct targets of each query, at least one per
            row.
        temperature: Temperature of the softmax, above 0.
        gamma: Exponent of the scores, at least 0. Larger values move the weights towards 0 and 1; 0
            makes every weight 0.5.

    Returns:
        Pseudo weights (N, 1) in [0, 1], without a gradient.
    """
    image = _log_probability(image_features, gallery, matches, temperature)
    text = _log_probability(text_features, gallery, matches, temperature)
    # Equal to s_v^gamma / (s_v^gamma + s_t^gamma), but from logarithms, which do not underflow.
    return torch.sigmoid(gamma * (image - text))[:, None]  # (N, 1): w*


def weight_loss(image_weight: Tensor, pseudo: Tensor) -> Tensor:
    """Return the binary cross-entropy between image weights and their targets, a scalar.

    Args:
        image_weight: The combiner's image weights of N queries, (N, 1), in [0, 1].
        pseudo: The targets (N, 1) in [0, 1], as `pseudo_weights` returns them. No gradient flows
            into them.
    """
    # In float32, because in half precision a weight can round to exactly 0 or 1.
    with torch.autocast(image_weight.device.type, enabled=False):
        return functional.binary_cross_entropy(image_weight.float(), pseudo.detach().float())


def _log_probability(query: Tensor, gallery: Tensor, matches: Tensor, temperature: float) -> Tensor:
    """Return the log-probability (N,) of each query's correct targets, in a softmax over targets.

    If a query has several correct targets, their probabilities are added before the logarithm. The
    softmax is taken over the query's cosines with all M targets.

    Args:
        query: Image features or text features (N, D) of N queries.
        gallery: Unit-length embeddings of M target images, (M, D).
        matches: Boolean matrix (N, M), True on the correct targets of each query.
        temperature: Temperature of the softmax.
    """
    log_probabilities = functional.log_softmax(
        normalize(query.float()) @ gallery.float().T / temperature, dim=-1
    )
    return log_probabilities.masked_fill(~matches, -torch.inf).logsumexp(dim=-1)


@register("progressive")
class ProgressiveCombiner(Combiner):
    """Combiner of CLIP's unprojected features; its image weight learns to match pseudo weights.

    This is the combiner of Progressive Learning (PL). The paper's abstract mentions a
    self-supervised adaptive weighting of image and text; the paper's code was not released. **This
    is a reconstruction**: this project chose the inputs of the weight MLP, the pseudo weights and
    the loss.

        v, t    CLIP's features of image and text, unit length
        w       image weight: sigmoid(MLP[v; t; v * t]), without a gradient into v and t
        q       query: w v + (1 - w) t, scaled to unit length
        s_m     probability of the target in a softmax over the batch, with m = v or m = t as query
        w*      pseudo weight, which w is trained to predict: s_v^gamma / (s_v^gamma + s_t^gamma)

    Because the MLP passes no gradient to the features, only the retrieval loss trains CLIP.

    Parameter names: `weigh.{0,3}`.
    """

    uses_projections = False

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.weigh = mlp(3 * dim, dim, 1, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from unit-length image and text features, each (N, dim).

        The image part of a query is its image features, unchanged, and the text part is its text
        features, unchanged. An MLP computes the image weight from detached copies of both, so its
        gradient does not reach the features.
        """
        image, text = image_features.detach(), text_features.detach()
        both = torch.cat([image, text, image * text], dim=-1)  # (N, 3 dim)
        image_weight = torch.sigmoid(self.weigh(both))  # (N, 1): w
        return Composition.mix(image_features, text_features, image_weight)

    def side_loss(
        self, composed: Composition, gallery: Tensor, labels: Tensor, temperature: float
    ) -> Tensor:
        """Return the binary cross-entropy between image weights and pseudo weights, a scalar.

        The pseudo weights, which the function `pseudo_weights` computes with `gamma` 1, are the
        training targets of the image weights. `Combiner.side_loss` describes the arguments.
        """
        same = labels[:, None] == labels[None, :]  # (B, B)
        pseudo = pseudo_weights(composed.image_part, composed.text_part, gallery, same, temperature)
        return weight_loss(composed.image_weight, pseudo)


@register("progressive_fixed")
class FixedWeightCombiner(Combiner):
    """Combiner of Progressive Learning (PL) with a fixed image weight of 0.5.

    A query is the mean of CLIP's image and text features, without learned projections.
    """

    uses_projections = False

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries with image weight 0.5 from unit-length features, each (N, dim)."""
        weight = image_features.new_full((len(image_features), 1), 0.5)
        return Composition.mix(image_features, text_features, weight)


def _constant_weight(features: Tensor, image_weight: float) -> Tensor:
    """Return `image_weight` for each of N queries, (N, 1), on the device of `features` (N, dim)."""
    return features.new_full((len(features), 1), image_weight)


@register("image_only")
class ImageOnly(Combiner):
    """Combiner that uses the reference image's features as the query and ignores the text."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries with image weight 1 from image and text features, each (N, dim)."""
        weight = _constant_weight(image_features, 1.0)
        return Composition.mix(image_features, text_features, weight)


@register("text_only")
class TextOnly(Combiner):
    """Combiner that uses the text's features as the query and ignores the image."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries with image weight 0 from image and text features, each (N, dim)."""
        weight = _constant_weight(image_features, 0.0)
        return Composition.mix(image_features, text_features, weight)


@register("average")
class Average(Combiner):
    """Combiner that uses the mean of image and text features: weight 0.5 for every query."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries with image weight 0.5 from image and text features, each (N, dim)."""
        weight = _constant_weight(image_features, 0.5)
        return Composition.mix(image_features, text_features, weight)


@register("concat_mlp")
class ConcatenationMLP(Combiner):
    """Combiner that adds a joint part to the mean of the image features and the text features.

    The joint part is the output of an MLP, whose input is the concatenation of both features. The
    mean is added so that the query has an image part and a text part, whose weights a user can
    change. The MLP's output alone could not be split into two such parts.

    Parameter names: `join.{0,3}.{weight,bias}`.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.join = mlp(2 * dim, dim, dim, dropout)

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries with image weight 0.5 from image and text features, each (N, dim).

        An MLP computes a joint part from both; it is added to the mean of image and text.
        """
        joint_part = self.join(torch.cat([image_features, text_features], dim=-1))  # (N, dim)
        weight = _constant_weight(image_features, 0.5)
        return Composition.mix(image_features, text_features, weight, joint_part)


@register("clip4cir")
class Clip4CirCombiner(Combiner):
    """The Combiner of CLIP4Cir: a joint part plus a weighted mean of image and text features.

    The inputs are CLIP's features scaled to unit length. The joint part and the weight are computed
    from the concatenated projections of both inputs. Each projection has the length 4 dim, and each
    hidden layer has the length 8 dim, where dim is the length of the features.

    Parameter names: `project_image`, `project_text`, `join`, `output`, `weigh.{0,3}`.
    """

    uses_projections = False

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.project_image = nn.Linear(dim, 4 * dim)
        self.project_text = nn.Linear(dim, 4 * dim)
        self.join = nn.Linear(8 * dim, 8 * dim)
        self.output = nn.Linear(8 * dim, dim)
        self.weigh = mlp(8 * dim, 8 * dim, 1, dropout)
        self.dropout = dropout

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries from unit-length image and text features, each (N, dim).

        The image part of a query is its image features, unchanged, and the text part is its text
        features, unchanged. The joint part and the image weight are computed from both.
        """
        both = torch.cat(
            [
                self._relu_dropout(self.project_text(text_features)),
                self._relu_dropout(self.project_image(image_features)),
            ],
            dim=-1,
        )  # (N, 8 dim)
        joint_part = self.output(self._relu_dropout(self.join(both)))  # (N, dim)
        # The scalar in the paper is the weight of the text.
        image_weight = 1 - torch.sigmoid(self.weigh(both))  # (N, 1)
        return Composition.mix(image_features, text_features, image_weight, joint_part)

    def _relu_dropout(self, features: Tensor) -> Tensor:
        return functional.dropout(functional.relu(features), self.dropout, self.training)


@register("tirg")
class Tirg(Combiner):
    """TIRG: gated image features plus a residual computed from both modalities.

    The module follows the released code (github.com/google/tirg) with one exception. The released
    code learns a scale of the normalized embeddings. This scale only affects the softmax in the
    loss, so the temperature of the loss replaces it here.

    TIRG itself defines neither an image weight nor a text part. Its query is `gated image +
    residual`, scaled to unit length, which equals `0.5 gated image + 0.5 residual`, scaled to unit
    length. Here, the gated image is therefore the image part, the residual is the text part, and
    every image weight is 0.5.

    `dropout` is unused, as in the released code. In training, a batch needs at least two queries
    because of batch norm.

    Parameter names: `gate.{0,2}`, `residual.{0,2,4}` (`0` is a batch norm), `gate_scale`,
    `residual_scale`.
    """

    def __init__(self, dim: int, dropout: float):
        super().__init__(dim, dropout)
        self.gate = nn.Sequential(nn.BatchNorm1d(2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.residual = nn.Sequential(
            nn.BatchNorm1d(2 * dim),
            nn.ReLU(),
            nn.Linear(2 * dim, 2 * dim),
            nn.ReLU(),
            nn.Linear(2 * dim, dim),
        )
        # Initial values of the released code.
        self.gate_scale = nn.Parameter(torch.tensor(1.0))
        self.residual_scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, image_features: Tensor, text_features: Tensor) -> Composition:
        """Compose N queries with image weight 0.5 from image and text features, each (N, dim)."""
        both = torch.cat([image_features, text_features], dim=-1)  # (N, 2 dim)
        gated = self.gate_scale * torch.sigmoid(self.gate(both)) * image_features  # (N, dim)
        residual = self.residual_scale * self.residual(both)  # (N, dim)
        weight = image_features.new_full((len(image_features), 1), 0.5)
        return Composition.mix(gated, residual, weight)
