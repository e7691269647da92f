"""Batches of drawn garments for every training stage.

The images, their augmented copies ("views") and the texts of a batch depend only on the seed and
the step number. A resumed run therefore gets the same batches as an uninterrupted one.

In a batch for a contrastive loss, up to half of the garments are hard negatives: groups of four
similar garments, which often differ in only one or two attributes. In the list of garments, the
variations of a garment are neighbors, so four consecutive garments form a group. Two garments
sampled at random mostly differ in category or color, so a model trained on such garments alone
would not learn finer differences.
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

_NEIGHBORS = 4  # number of neighboring garments of the pool in a group of hard negatives
FULL_SHARE = 0.6  # share of hard negatives whose description mentions every attribute


@dataclass(frozen=True)
class CatalogueBatches:
    """Batches for all training stages, with pixels and token ids (not cached features).

    Attributes:
        pool: The garments and their drawings.
        processor: Processor that tokenizes the texts.
        seed: Seed of all random choices.
        template: Format strings that join the captions of a query to one text, such as
            `{"single": "{0}", "pair": "{0} and {1}"}`.
    """

    pool: DrawnPool
    processor: DWCProcessor
    seed: int
    template: dict[str, str]

    def pairs(
        self, size: int, triplets: Sequence[PoolTriplet], modification_share: float
    ) -> Callable[[int], PairBatch]:
        """Return a function that makes batches of image-text pairs for CLIP's pretraining.

        The text of an image is its description, or a modification text whose target is the image.
        Modification texts teach CLIP words such as "longer" and "without", which a frozen CLIP
        model could not learn later. Some of the images are hard negatives: groups of similar
        garments. They mostly get full descriptions, since a description of a few words would match
        all garments of a group.

        Args:
            size: Number of images in a batch.
            triplets: Triplets that provide the modification texts.
            modification_share: Share of modification texts among the texts, in [0, 1].

        Returns:
            A function that takes a step number and returns the batch of that step.
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
                (describe_fully if rng.random() < FULL_SHARE else describe)(garment, rng)
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
        """Return a function that makes batches of images with attribute labels.

        Args:
            size: Number of images in a batch.

        Returns:
            A function that takes a step number and returns the batch of that step.
        """
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
        """Return a function that makes batches of queries and their target images.

        Most queries have a reference image and a modification text. Some have only one of the two,
        since users may leave out the image or the text. Up to half of the targets come in groups of
        similar garments (hard negatives).

        Args:
            triplets: Triplets to sample at random for the queries with image and text.
            size: Number of queries in a batch.
            text_only: Share of queries that are a description without an image, in [0, 1].
            image_only: Share of queries that are an image without a text, in [0, 1].

        Returns:
            A function that takes a step number and returns the batch of that step.
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
    """Sample groups of four consecutive garments of a pool at random, without repetition.

    Most consecutive garments are variations of one garment, which are hard to distinguish ("hard
    negatives").

    Args:
        items: Number of garments in the pool.
        count: Maximum number of garments to sample.
        generator: Source of random choices.

    Returns:
        Indices of garments, group by group. Their number is the largest multiple of four that
        exceeds neither `count` nor the size of the pool.
    """
    runs = torch.randperm(items // _NEIGHBORS, generator=generator)[: count // _NEIGHBORS]
    return (runs[:, None] * _NEIGHBORS + torch.arange(_NEIGHBORS)).flatten()


def cached_triplet_batches(
    cached: CachedPool, size: int, text_only: float, image_only: float, seed: int
) -> Callable[[int], TripletBatch]:
    """Return a function that makes batches of queries and targets from cached features.

    The batches are like those of `CatalogueBatches.triplets`, but have cached features in place of
    pixels and token ids. The model to train must be prepared by `with_cached_features`.

    Args:
        cached: Cached features of the pool and its triplets.
        size: Number of queries in a batch.
        text_only: Share of queries that are a description without an image, in [0, 1].
        image_only: Share of queries that are an image without a text, in [0, 1].
        seed: Seed of all random choices.

    Returns:
        A function that takes a step number and returns the batch of that step.
    """
    text_count, image_count = round(size * text_only), round(size * image_only)
    composed_count = size - text_count - image_count
    items = cached.images.count
    by_target = torch.argsort(cached.targets, stable=True)
    ordered = cached.targets[by_target]
    first = torch.searchsorted(ordered, torch.arange(items))
    count = torch.searchsorted(ordered, torch.arange(items), right=True) - first

    def triplets_to(targets: Tensor, generator: torch.Generator) -> Tensor:
        """Sample a triplet at random for each given target image and return the triplets' indices.

        Images that are not the target of any triplet are skipped.
        """
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
    """Return a function that makes batches of texts and image features for `tune_text_tower`.

    Args:
        images: Cached features of the drawings.
        pool: The garments and their drawings.
        triplets: Triplets of the pool's images.
        processor: Processor that tokenizes the texts.
        template: Format strings that join the captions of a query to one text.
        size: Number of texts in a batch.
        described_share: Share of texts that describe their image, in [0, 1]. The others are
            modification texts, each with its triplet's target image.
        seed: Seed of all random choices.

    Returns:
        A function that takes a step number and returns the batch of that step.
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
