"""Texts and batches of the joint training on drawings and photographs.

`MixedBatches` draws the queries of a batch. `JointBatches` represents their images and texts by
cached features instead of pixels and token ids.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from dwc.catalogue.language.description import describe
from dwc.catalogue.language.modifications import picture_share
from dwc.catalogue.language.vocabulary import generic_nouns
from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import CatalogueItem, training_triplets
from dwc.modeling.processing_dwc import fill_template
from dwc.training.catalogue.photographs import (
    QUERY_ATTRIBUTES,
    PhotographPool,
    PhotographTriplet,
    attribute_triplets,
    describe_photograph,
    exclusion_pairs,
    query_attribute_labels,
    recoloring_triplets,
    text_exclusions,
)
from dwc.training.catalogue.widening import ImageRows
from dwc.training.dwc.mutual_training import TripletBatch
from dwc.training.feature_cache import CachedTexts
from dwc.training.losses import NOT_APPLICABLE


@dataclass(frozen=True)
class JointTexts:
    """All texts of a joint training on drawings and photographs.

    Attributes:
        captions: One caption per photograph.
        short_texts: Four short texts for each photograph, then four for each recolored photograph.
        drawing_names: For each drawing, a noun, mostly with a color, such as "red dress".
        descriptions: One description per drawing.
        modifications: Triplets of drawings: index of the reference, index of the target,
            modification text, and true image weight (the share of the target's attributes that only
            the reference image determines, in [0, 1]).
        words: Single words that are learned without images. They come from the vocabulary of the
            sentence encoder, the teacher of CLIP's text encoder.
    """

    captions: list[str]
    short_texts: list[list[str]]
    drawing_names: list[str]
    descriptions: list[str]
    modifications: list[tuple[int, int, str, float]]
    words: list[str]


def collect_texts(
    pool: PhotographPool,
    items: Sequence[CatalogueItem],
    template: dict[str, str],
    triplets: int,
    negation_share: float,
    words: list[str],
    seed: int,
) -> JointTexts:
    """Generate all texts of a joint training on drawings and photographs.

    Args:
        pool: The photographs.
        items: The drawings.
        template: Format strings that join the captions of a query to one text.
        triplets: Number of triplets of drawings.
        negation_share: Share of the texts about drawings that exclude an attribute value, such as
            "without stripes", in [0, 1].
        words: Single words that are learned without images; see `JointTexts`.
        seed: Seed of all random choices.
    """
    rng = random.Random(f"{seed}/two worlds")
    drawn = training_triplets(items, seed, triplets, negation_share=negation_share)
    return JointTexts(
        captions=[photograph.caption for photograph in pool.photographs],
        short_texts=[
            [describe_photograph(pool.photograph_of(image), rng) for _ in range(4)]
            for image in range(pool.images)
        ],
        drawing_names=[_name_drawing(item.garment, rng) for item in items],
        descriptions=[describe(item.garment, rng, negation_share=negation_share) for item in items],
        modifications=[
            (
                reference,
                target,
                fill_template(template, wish.captions),
                picture_share(items[reference].garment, wish),
            )
            for reference, target, wish in drawn
        ],
        words=words,
    )


def _name_drawing(garment: Garment, rng: random.Random) -> str:
    noun = rng.choice(generic_nouns(garment.category)).text
    return noun if rng.random() < 0.15 else f"{garment['colour']} {noun}"


TRIPLETS_PER_PHOTOGRAPH = 8  # number of triplets for each photograph that serves as a reference


@dataclass(frozen=True)
class PhotographTriplets:
    """Training triplets whose targets are photographs or recolored photographs.

    Attributes:
        attributes: Triplets of different photographs, from `attribute_triplets`.
        recolorings: Triplets of one garment in two colors, from `recoloring_triplets`.
        exclusions: Pairs of triplets from `exclusion_pairs`: one asks for a color or pattern, the
            other excludes it.
        text_exclusions: Pairs of text-only queries with their targets, from `text_exclusions`: one
            asks for a color or pattern, the other excludes it.
    """

    attributes: list[PhotographTriplet]
    recolorings: list[PhotographTriplet]
    exclusions: list[tuple[PhotographTriplet, PhotographTriplet]]
    text_exclusions: list[tuple[tuple[str, int], tuple[str, int]]]

    @classmethod
    def of(cls, pool: PhotographPool, seed: int) -> "PhotographTriplets":
        """Generate all triplets and text-only queries from the photographs at random.

        Args:
            pool: The photographs with their recolored copies.
            seed: Seed of all random choices.
        """
        pairs = exclusion_pairs(pool, seed)
        return cls(
            attribute_triplets(pool, TRIPLETS_PER_PHOTOGRAPH, seed),
            recoloring_triplets(pool, seed),
            pairs,
            text_exclusions(pool, pairs, seed),
        )

    def texts(self) -> list[str]:
        """Return the texts of all triplets and text-only queries."""
        pairs = [triplet for pair in self.exclusions for triplet in pair]
        texts = [triplet.words for triplet in [*self.attributes, *self.recolorings, *pairs]]
        return texts + [text for pair in self.text_exclusions for text, _ in pair]


@dataclass(frozen=True)
class BatchMix:
    """Number of queries of each kind in a batch.

    A composed query has a reference image and a text.

    Attributes:
        drawings: Composed queries whose two images are drawings; about half of the targets are hard
            negatives (drawings similar to one another).
        photographs: Composed queries from one photograph to another.
        recolorings: Composed queries whose target is the same garment in another color.
        exclusions: Composed queries that ask for or exclude a color or pattern; an even number,
            since they come in pairs.
        captions: Text-only queries with the caption of a photograph.
        short_texts: Text-only queries with a short text of a photograph or recolored photograph.
        text_exclusions: Text-only queries that ask for or exclude a color or pattern; an even
            number, since they come in pairs.
        descriptions: Text-only queries with the description of a drawing.
        images: Image-only queries with a photograph.
    """

    drawings: int = 64
    photographs: int = 56
    recolorings: int = 24
    exclusions: int = 24
    captions: int = 36
    short_texts: int = 20
    text_exclusions: int = 24
    descriptions: int = 8
    images: int = 4


@dataclass(frozen=True)
class MixedBatches(ABC):
    """Batches of training queries, some about drawings and some about photographs.

    A batch depends only on the seed and the step. Subclasses define how images and texts are
    represented in a batch.

    Attributes:
        pool: The photographs.
        texts: All texts.
        triplets: The triplets of photographs.
        mix: Number of queries of each kind.
        seed: Seed of all random choices.
    """

    pool: PhotographPool
    texts: JointTexts
    triplets: PhotographTriplets
    mix: BatchMix
    seed: int

    @property
    @abstractmethod
    def views(self) -> int:
        """Number of augmented copies ("views") of each photograph."""

    @abstractmethod
    def _photograph(self, image: int, view: int) -> Tensor:
        """Return the vector (K,) that represents an augmented photograph ("view") in a batch.

        Args:
            image: Index of the photograph.
            view: Index of the view.
        """

    @abstractmethod
    def _drawing(self, item: int) -> Tensor:
        """Return the vector (K,) that represents the drawing with index `item` in a batch."""

    @abstractmethod
    def _group(self, words: list[str] | None, images: list[Tensor] | None) -> dict[str, Tensor]:
        """Return the model's keyword arguments for N queries of the same modalities.

        The queries have image and text, only a text, or only an image.

        Args:
            words: The texts of the queries; None for image-only queries.
            images: The vectors (K,) that represent the reference images; None for text-only
                queries.
        """

    def batches(self) -> Callable[[int], TripletBatch]:
        """Return a function that takes a step number and returns the batch of that step."""
        attributes, recolorings = self.triplets.attributes, self.triplets.recolorings
        exclusions = self.triplets.exclusions
        by_target: dict[int, list[int]] = {}
        for row, modification in enumerate(self.texts.modifications):
            by_target.setdefault(modification[1], []).append(row)
        labels: dict[tuple[object, ...], int] = {}

        def number(label: tuple[object, ...]) -> int:
            return labels.setdefault(label, len(labels))

        # All labels get their numbers now, so that a resumed run assigns the same numbers.
        for triplet in [*attributes, *recolorings]:
            number(triplet.label)
        count = len(self.pool.photographs)

        def batch(step: int) -> TripletBatch:
            rng, mix = random.Random(f"{self.seed}/two worlds/{step}"), self.mix
            drawn_rows = self._draw_drawings(by_target, mix.drawings, rng)
            drawn = [self.texts.modifications[row] for row in drawn_rows]
            triplets = draw_photographs(attributes, mix.photographs, rng)
            triplets += rng.choices(recolorings, k=mix.recolorings) if recolorings else []
            pairs = rng.choices(exclusions, k=mix.exclusions // 2) if exclusions else []
            triplets += [triplet for pair in pairs for triplet in pair]
            views = [rng.randrange(self.views) for _ in triplets]
            references = [self._drawing(item[0]) for item in drawn]
            references += [
                self._photograph(triplet.reference, view)
                for triplet, view in zip(triplets, views, strict=True)
            ]
            # Indices of the targets' photographs in the pool; -1 for drawings.
            shown = [-1] * len(drawn) + [triplet.target for triplet in triplets]
            targets = [self._drawing(item[1]) for item in drawn]
            targets += [
                self._photograph(triplet.target, view - 1)
                for triplet, view in zip(triplets, views, strict=True)
            ]
            names: list[tuple[object, ...]] = [("drawing", item[1]) for item in drawn]
            names += [triplet.label for triplet in triplets]
            shares = [item[3] for item in drawn] + [triplet.image_share for triplet in triplets]
            words = [item[2] for item in drawn] + [triplet.words for triplet in triplets]
            alone: list[str] = []
            for image in rng.sample(range(count), min(mix.captions, count)):
                alone.append(self.texts.captions[image])
                names.append(("image", image))
                shown.append(image)
                targets.append(self._photograph(image, rng.randrange(self.views)))
            for image in rng.choices(range(self.pool.images), k=mix.short_texts):
                alone.append(rng.choice(self.texts.short_texts[image]))
                names.append(("text", alone[-1]))
                shown.append(image)
                targets.append(self._photograph(image, rng.randrange(self.views)))
            excluding = self.triplets.text_exclusions
            for pair in rng.choices(excluding, k=mix.text_exclusions // 2) if excluding else []:
                for text, image in pair:
                    alone.append(text)
                    names.append(("image", image))
                    shown.append(image)
                    targets.append(self._photograph(image, rng.randrange(self.views)))
            for item in rng.choices(range(len(self.texts.descriptions)), k=mix.descriptions):
                alone.append(self.texts.descriptions[item])
                names.append(("drawing", item))
                shown.append(-1)
                targets.append(self._drawing(item))
            lone = rng.sample(range(count), min(mix.images, count))
            names += [("image", image) for image in lone]
            shown += lone
            targets += [self._photograph(image, -1) for image in lone]
            unknown = [float("nan")] * (len(names) - len(shares))
            identities = torch.tensor([_stable(number, name) for name in names])
            of_targets = self._attributes_of(shown)
            wanted = self._wanted_attributes(triplets)
            made = TripletBatch(
                queries=[
                    self._group(words, references),
                    self._group(alone, None),
                    self._group(None, [self._photograph(image, 0) for image in lone]),
                ],
                target_pixels=torch.stack(targets),
                labels=identities,
                image_shares=torch.tensor(shares + unknown),
                relevance=_relevance(identities, of_targets, wanted[: mix.photographs], len(drawn)),
                attributes=(_padded(wanted, len(drawn), len(names)), of_targets),
            )
            return self._completed(made, drawn_rows)

        return batch

    @cached_property
    def _attributes(self) -> Tensor:
        """Labels (images, attributes) of `QUERY_ATTRIBUTES` for all images of the pool."""
        records = [self.pool.photograph_of(image) for image in range(self.pool.images)]
        return query_attribute_labels(records, QUERY_ATTRIBUTES)

    def _attributes_of(self, images: Sequence[int]) -> Tensor:
        """Return the attribute labels (n, attributes) of n images of the pool.

        Args:
            images: The indices of the images. The index -1 stands for a drawing, which is not in
                the pool; all its labels are `NOT_APPLICABLE`.
        """
        rows = torch.tensor(images)
        return self._attributes[rows].masked_fill((rows < 0)[:, None], NOT_APPLICABLE)

    def _wanted_attributes(self, triplets: Sequence[PhotographTriplet]) -> Tensor:
        """Return the labels (n, attributes) of the attribute values that n queries ask for.

        A query asks for the attribute values of its target. An attribute whose value is unknown for
        the reference image is left open: its label is `NOT_APPLICABLE`.

        Args:
            triplets: The n triplets from which the queries are made.
        """
        wanted = self._attributes_of([triplet.target for triplet in triplets])
        known = self._attributes_of([triplet.reference for triplet in triplets]) != NOT_APPLICABLE
        return wanted.masked_fill(~known, NOT_APPLICABLE)

    def _draw_drawings(
        self, by_target: dict[int, list[int]], count: int, rng: random.Random
    ) -> list[int]:
        """Draw random triplets of drawings.

        The targets of half of the triplets are hard negatives: groups of four neighboring drawings
        of the pool, which are similar to one another.

        Args:
            by_target: Index of a target -> row indices of its triplets in `texts.modifications`.
            count: Number of triplets to draw.
            rng: Source of random choices.

        Returns:
            Row indices of the drawn triplets in `texts.modifications`.
        """
        chosen: list[int] = []
        while len(chosen) < count // 2:
            start = rng.randrange(max(1, len(self.texts.descriptions) // 4)) * 4
            family = [row for row in range(start, start + 4) if row in by_target]
            chosen += [rng.choice(by_target[row]) for row in family]
        return chosen[: count // 2] + rng.choices(
            range(len(self.texts.modifications)), k=count - len(chosen[: count // 2])
        )

    def _completed(self, batch: TripletBatch, drawn_rows: list[int]) -> TripletBatch:
        """Return a batch with the fields that a subclass adds; this class adds none.

        Args:
            batch: The batch without added fields.
            drawn_rows: For the batch's triplets of drawings, their row indices in
                `texts.modifications`. These triplets give the first queries of the batch.
        """
        return batch


@dataclass(frozen=True)
class JointBatches(MixedBatches):
    """Batches of training queries about drawings and photographs, made from cached features.

    Attributes:
        photographs: Cached outputs of the image networks for the photographs, followed by the
            recolored photographs; one `ImageRows` per augmented view.
        drawings: Cached outputs of the image networks for the drawings.
        features: A pair: CLIP features (images, F) of the photographs, one tensor per view; and
            CLIP features (drawings, F) of the drawings.
        encoded: Cached features of all texts.
        rows: Text -> its index in `encoded`.
        anchors: For each stream's name, embeddings that the training should preserve: one for the
            query of each triplet of drawings, and one for each drawing. None if nothing should be
            preserved.
    """

    photographs: Sequence[ImageRows]
    drawings: ImageRows
    features: tuple[list[Tensor], Tensor]
    encoded: CachedTexts
    rows: dict[str, int]
    anchors: dict[str, tuple[Tensor, Tensor]] | None = None

    @property
    def views(self) -> int:
        """Number of augmented copies ("views") of each photograph."""
        return len(self.photographs)

    def _completed(self, batch: TripletBatch, drawn_rows: list[int]) -> TripletBatch:
        pixels = batch.require_target_pixels()
        return replace(
            batch,
            target_clip_features=pixels[:, : self.features[1].shape[1]],
            anchors=self._anchors(drawn_rows, len(pixels)),
        )

    def _anchors(self, rows: list[int], count: int) -> dict[str, tuple[Tensor, Tensor]] | None:
        """Return the embeddings that the training should preserve for the queries of a batch.

        The first queries of a batch come from triplets of drawings. Only these queries have
        embeddings to preserve.

        Args:
            rows: Row indices in `texts.modifications` of the batch's triplets of drawings.
            count: Number of all queries in the batch.

        Returns:
            For each stream's name, two tensors (count, D) of embeddings of size D: one for the
            queries and one for their targets. The rows of queries without such embeddings are NaN.
            None if the attribute `anchors` is None.
        """
        if self.anchors is None:
            return None
        items = [self.texts.modifications[row][1] for row in rows]
        anchors = {}
        for name, (queries, targets) in self.anchors.items():
            both = []
            for embeddings, chosen in ((queries, rows), (targets, items)):
                padded = torch.full((count, embeddings.shape[1]), float("nan"))
                padded[: len(chosen)] = embeddings[chosen].float()
                both.append(padded)
            anchors[name] = (both[0], both[1])
        return anchors

    def _photograph(self, image: int, view: int) -> Tensor:
        features, rows = self.features[0][view], self.photographs[view]
        return torch.cat([features[image], rows.maps(torch.tensor([image]))[0]])

    def _drawing(self, item: int) -> Tensor:
        return torch.cat([self.features[1][item], self.drawings.maps(torch.tensor([item]))[0]])

    def _group(self, words: list[str] | None, images: list[Tensor] | None) -> dict[str, Tensor]:
        group: dict[str, Tensor] = {}
        if words is not None:
            group |= self.encoded.take(torch.tensor([self.rows[text] for text in words]))
            group["clip_text_features"] = group["clip_input_ids"]
        if images is not None:
            group["pixel_values"] = torch.stack(images)
            group["clip_image_features"] = group["pixel_values"][:, : self.features[1].shape[1]]
        return group


def _padded(rows: Tensor, first: int, count: int) -> Tensor:
    """Extend labels to all queries of a batch; the added rows are filled with `NOT_APPLICABLE`.

    Args:
        rows: Labels (n, A) of some queries that follow each other in the batch.
        first: Index of the first of these queries in the batch.
        count: Number of all queries in the batch.

    Returns:
        Labels (count, A).
    """
    padded = torch.full((count, rows.shape[1]), NOT_APPLICABLE)
    padded[first : first + len(rows)] = rows
    return padded


_MISS = 3.5  # each attribute with another value divides the relevance by exp(3.5)
_CATEGORY_MISSES = 2.0  # another category counts as this number of other values
_LEAST_RELEVANCE = 0.005  # lower relevance is set to 0


def _relevance(identities: Tensor, attributes: Tensor, wanted: Tensor, first: int) -> Tensor:
    """Return the relevance (B, B) of each target (column) of a batch to each query (row).

    For most queries, a target has the relevance 1 if it has the identity of the query's own target,
    and 0 otherwise. `wanted` gives the attribute values that n queries ask for. If the wanted
    category is known, the relevance to the query is graded instead: it is 1 for a target with all
    wanted values, and each other value multiplies it by a factor below 1. A very low relevance, and
    the relevance of a drawing, are set to 0.

    Args:
        identities: Identities of the targets (B,).
        attributes: Labels (B, A) of the targets' attributes, the category first.
        wanted: Labels (n, A) of the values that n successive queries of the batch ask for.
        first: Index in the batch of the first of the n queries.
    """
    relevance = (identities[:, None] == identities[None, :]).float()
    missed = (attributes != wanted[:, None]) & (wanted[:, None] != NOT_APPLICABLE)  # (n, B, A)
    costs = torch.ones(len(QUERY_ATTRIBUTES))
    costs[0] = _CATEGORY_MISSES
    graded = torch.exp(-_MISS * (missed.float() @ costs))
    graded[graded < _LEAST_RELEVANCE] = 0
    graded[:, (attributes == NOT_APPLICABLE).all(dim=1)] = 0  # drawings
    rows = first + torch.arange(len(wanted))
    has_category = wanted[:, 0] != NOT_APPLICABLE
    relevance[rows[has_category]] = graded[has_category]
    return relevance


def draw_photographs(
    triplets: Sequence[PhotographTriplet], count: int, rng: random.Random
) -> list[PhotographTriplet]:
    """Draw random triplets of photographs, half of them with hard negatives.

    The triplets with hard negatives come in groups of four with the same reference image. The
    targets of a group differ from one another in few attributes.

    Args:
        triplets: All triplets, grouped by reference image; `TRIPLETS_PER_PHOTOGRAPH` per image.
        count: Number of triplets to draw.
        rng: Source of random choices.
    """
    chosen: list[PhotographTriplet] = []
    while len(chosen) < count // 2:
        start = rng.randrange(max(1, len(triplets) // 4)) * 4
        chosen += triplets[start : start + 4]
    return chosen[: count // 2] + rng.choices(triplets, k=count - count // 2)


def _stable(number: Any, name: tuple[object, ...]) -> int:
    """Return an integer label for the target of a query; equal targets have equal labels.

    Args:
        number: Function that returns the label of a tuple such as ("text", "red dress").
        name: Tuple that identifies the target. For an image ("image", index) or a drawing
            ("drawing", index), the label is computed from the index, without `number`.
    """
    offsets = {"image": 10_000_000, "drawing": 20_000_000}
    kind, value = name[0], name[1]
    return offsets[str(kind)] + int(cast(int, value)) if kind in offsets else number(name)
