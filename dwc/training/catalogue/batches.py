"""Batches of drawn garments for every training stage.

Each batch is a function of (seed, step) alone, with its images, views and texts. A resumed run gets
the batches that an uninterrupted one would, and processes never share a batch.

Half of a batch consists of hard negatives: neighbors in the pool, garments of one family that often
differ in one or two attributes. Among garments drawn at random, category and color tell nearly all
apart, and no smaller difference would be learned.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.schema import Garment
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.drawn_pool import DrawnPool, PoolTriplet
from dwc.training.catalogue.pretraining import LabeledBatch, PairBatch, encode_labels
from dwc.training.catalogue.recipe import MEAN, PICTURE_PX, STD
from dwc.training.catalogue.text_tuning import TextTuningBatch, encode_modification
from dwc.training.dwc.mutual_training import TripletBatch
from dwc.training.feature_cache import CachedImages, CachedPool

_NEIGHBORS = 4  # neighbors of the pool that enter a batch together
_FULL_SHARE = 0.6  # share of hard negatives whose description omits nothing


@dataclass(frozen=True)
class CatalogueBatches:
    """Makes the batches of all stages that train on pixels.

    Attributes:
        pool: The drawings.
        processor: Tokenizes.
        seed: Decides every random number.
        template: The caption template.
    """

    pool: DrawnPool
    processor: DWCProcessor
    seed: int
    template: dict[str, str]

    def pairs(
        self, size: int, triplets: Sequence[PoolTriplet], modification_share: float
    ) -> Callable[[int], PairBatch]:
        """Make batches of images with texts and attributes, for contrastive pretraining.

        A text describes its image, or is the modification text of a triplet with the target as
        image: "longer" and "without stripes" are said of images too, and a CLIP that is frozen
        afterwards must have seen such words. Hard negatives mostly get full descriptions, since a
        few words would fit them all.

        Args:
            size: B.
            triplets: Where modification texts come from.
            modification_share: Their share of the batch, in [0, 1].
        """
        labels = encode_labels([item.garment for item in self.pool.items])

        def batch(step: int) -> PairBatch:
            generator, rng = self._random("pairs", step)
            modified = rng.choices(triplets, k=round(size * modification_share))
            negatives = self._hard_negatives(size // 2, generator)
            others = torch.randint(
                0, len(labels), (size - len(negatives) - len(modified),), generator=generator
            )
            texts = [
                (describe_fully if rng.random() < _FULL_SHARE else describe)(garment, rng)
                for garment in self._garments(negatives)
            ]
            texts += [describe(garment, rng) for garment in self._garments(others)]
            texts += [fill_template(self.template, text.captions) for _, _, text in modified]
            targets = torch.tensor([target for _, target, _ in modified]).long()
            indices = torch.cat([negatives, others, targets])
            inputs = self.processor(text=texts)
            return PairBatch(
                self._views(indices, generator),
                inputs["clip_input_ids"],
                inputs["clip_attention_mask"],
                labels[indices],
            )

        return batch

    def labeled(self, size: int) -> Callable[[int], LabeledBatch]:
        """Make batches of `size` images with attributes, for attribute classification."""
        labels = encode_labels([item.garment for item in self.pool.items])

        def batch(step: int) -> LabeledBatch:
            generator, _ = self._random("labelled", step)
            indices = torch.randint(0, len(labels), (size,), generator=generator)
            return LabeledBatch(self._views(indices, generator), labels[indices])

        return batch

    def triplets(
        self,
        triplets: Sequence[PoolTriplet],
        size: int,
        text_only: float,
        image_only: float,
    ) -> Callable[[int], TripletBatch]:
        """Make batches of triplets, for composed queries.

        Queries of one modality are among them, since the page allows them. Half of the remaining
        targets are hard negatives of each other.

        Args:
            triplets: The triplets to draw from.
            size: B.
            text_only: Share of queries that are a description without an image, in [0, 1].
            image_only: Share of queries that are an image without a text, in [0, 1].
        """
        text_count, image_count = round(size * text_only), round(size * image_only)
        by_target: dict[int, list[PoolTriplet]] = {}
        for triplet in triplets:
            by_target.setdefault(triplet[1], []).append(triplet)

        def batch(step: int) -> TripletBatch:
            generator, rng = self._random("triplets", step)
            negatives = self._hard_negatives(size // 2, generator).tolist()
            drawn = [rng.choice(by_target[index]) for index in negatives if index in by_target]
            drawn = drawn[: size - text_count - image_count]
            drawn += rng.choices(triplets, k=size - text_count - image_count - len(drawn))
            references = torch.tensor([reference for reference, _, _ in drawn])
            texts = [fill_template(self.template, text.captions) for _, _, text in drawn]
            composed = dict(self.processor(text=texts))
            composed["pixel_values"] = self._views(references, generator)
            single = torch.randint(
                0, len(self.pool.items), (text_count + image_count,), generator=generator
            )
            described, depicted = single[:text_count], single[text_count:]
            queries = [composed]
            if text_count:
                descriptions = [describe(garment, rng) for garment in self._garments(described)]
                queries.append(dict(self.processor(text=descriptions)))
            if image_count:
                queries.append({"pixel_values": self._views(depicted, generator)})
            targets = torch.cat([torch.tensor([target for _, target, _ in drawn]), single])
            return TripletBatch(queries, self._views(targets, generator), targets)

        return batch

    def _hard_negatives(self, count: int, generator: torch.Generator) -> Tensor:
        return draw_hard_negatives(len(self.pool.items), count, generator)

    def _garments(self, indices: Tensor) -> list[Garment]:
        return [self.pool.items[index].garment for index in indices.tolist()]

    def _views(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        images = self.pool.take(indices, generator)
        return random_views(images, PICTURE_PX, generator, MEAN, STD)

    def _random(self, stage: str, step: int) -> tuple[torch.Generator, random.Random]:
        rng = random.Random(f"{self.seed}/{stage}/{step}")
        return torch.Generator().manual_seed(rng.getrandbits(63)), rng


def draw_hard_negatives(items: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw distinct positions in a pool of `items`, in runs of four neighbors: (at most count,)."""
    runs = torch.randperm(items // _NEIGHBORS, generator=generator)[: count // _NEIGHBORS]
    return (runs[:, None] * _NEIGHBORS + torch.arange(_NEIGHBORS)).flatten()


def cached_triplet_batches(
    cached: CachedPool, size: int, text_only: float, image_only: float, seed: int
) -> Callable[[int], TripletBatch]:
    """Make batches like `CatalogueBatches.triplets`, of cached features.

    For a model within `with_cached_features`; each batch is a function of (seed, step).

    Args:
        cached: The pool's features.
        size: B.
        text_only: Share of queries that are a description without an image, in [0, 1].
        image_only: Share of queries that are an image without a text, in [0, 1].
        seed: Decides every random number.
    """
    text_count, image_count = round(size * text_only), round(size * image_only)
    composed_count = size - text_count - image_count
    items = cached.images.count
    by_target = torch.argsort(cached.targets, stable=True)
    ordered = cached.targets[by_target]
    first = torch.searchsorted(ordered, torch.arange(items))
    count = torch.searchsorted(ordered, torch.arange(items), right=True) - first

    def triplets_to(targets: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a triplet for each of these targets that has any."""
        present = targets[count[targets] > 0]
        number = (torch.rand(len(present), generator=generator) * count[present]).long()
        return by_target[first[present] + number]

    def batch(step: int) -> TripletBatch:
        batch_seed = random.Random(f"{seed}/kept/{step}").getrandbits(63)
        generator = torch.Generator().manual_seed(batch_seed)
        negatives = draw_hard_negatives(items, size // 2, generator)
        negatives = triplets_to(negatives, generator)[:composed_count]
        rest = (composed_count - len(negatives),)
        others = torch.randint(0, len(cached.targets), rest, generator=generator)
        drawn = torch.cat([negatives, others])
        references = cached.images.sample(cached.references[drawn], generator)
        queries = [{"pixel_values": references, **cached.modifications.take(drawn)}]
        targets = [cached.targets[drawn]]
        if text_count:
            described = torch.randint(0, items, (text_count,), generator=generator)
            queries.append(cached.descriptions.take(described))
            targets.append(described)
        if image_count:
            depicted = torch.randint(0, items, (image_count,), generator=generator)
            queries.append({"pixel_values": cached.images.sample(depicted, generator)})
            targets.append(depicted)
        labels = torch.cat(targets)
        return TripletBatch(queries, cached.images.sample(labels, generator), labels)

    return batch


def text_tuning_batches(
    images: CachedImages,
    pool: DrawnPool,
    triplets: Sequence[PoolTriplet],
    processor: DWCProcessor,
    template: dict[str, str],
    size: int,
    described_share: float,
    seed: int,
) -> Callable[[int], TextTuningBatch]:
    """Make batches of texts with cached images; each is a function of (seed, step).

    Args:
        images: The drawings' cached features.
        pool: The drawings.
        triplets: Triplets over the pool.
        processor: Tokenizes.
        template: The caption template.
        size: B.
        described_share: Share of texts that describe their image, in [0, 1]; the others are
            modification texts, with the target as image.
        seed: Decides every random number.
    """
    described = round(size * described_share)

    def batch(step: int) -> TextTuningBatch:
        rng = random.Random(f"{seed}/reading/{step}")
        generator = torch.Generator().manual_seed(rng.getrandbits(63))
        drawn = rng.choices(triplets, k=size - described)
        depicted = torch.randint(0, images.count, (described,), generator=generator)
        texts = [fill_template(template, text.captions) for _, _, text in drawn]
        texts += [describe(pool.items[index].garment, rng) for index in depicted.tolist()]
        indices = torch.cat([torch.tensor([target for _, target, _ in drawn]), depicted])
        labels = [encode_modification(pool.items[ref].garment, text) for ref, _, text in drawn]
        inputs = processor(text=texts)
        return TextTuningBatch(
            inputs["clip_input_ids"],
            inputs["clip_attention_mask"],
            images.sample(indices, generator)[:, : images.feature_dim],
            torch.tensor(labels),
        )

    return batch
