"""Batches of drawn garments for each training stage.

Every batch is a function of (seed, step): pictures, views, words and all. So a run that goes on
after a kill sees what it would have seen, and several processes never see the same batch.

Half of a batch comes in relatives: garments that stand side by side in the pool, of one family,
which often differ in an attribute or two. Among garments drawn at random the category and the
colour tell nearly all apart, and nothing smaller would be learned.

Batches of triplets over a kept pool, as `CatalogueBatches.triplets` makes them of pixels.

Wishes and descriptions with the kept pictures that belong to them, for the reading stage.
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

_RELATIVES = 4  # neighbours in the pool that come into a batch together
_FULL_SHARE = 0.6  # of the descriptions of relatives, those that leave nothing out


@dataclass(frozen=True)
class CatalogueBatches:
    """Makes the batches of all stages from one pool of drawings."""

    pool: DrawnPool
    processor: DWCProcessor
    seed: int
    template: dict[str, str]

    def pairs(
        self, size: int, triplets: Sequence[PoolTriplet], wish_share: float
    ) -> Callable[[int], PairBatch]:
        """Pictures with a text and the attributes of each, for the contrastive stage.

        A text describes its picture, or, in a share `wish_share` of the batch, is the wish that
        the picture answers: people say "longer" and "without stripes" of pictures, too, and a CLIP
        that is frozen afterwards must have read such words. Relatives are mostly described in
        full, since a few words would fit them all.
        """
        labels = encode_labels([item.garment for item in self.pool.items])

        def batch(step: int) -> PairBatch:
            generator, rng = self._random("pairs", step)
            wished = rng.choices(triplets, k=round(size * wish_share))
            related = self._related(size // 2, generator)
            alone = torch.randint(
                0, len(labels), (size - len(related) - len(wished),), generator=generator
            )
            texts = [
                (describe_fully if rng.random() < _FULL_SHARE else describe)(garment, rng)
                for garment in self._garments(related)
            ]
            texts += [describe(garment, rng) for garment in self._garments(alone)]
            texts += [fill_template(self.template, wish.captions) for _, _, wish in wished]
            targets = torch.tensor([target for _, target, _ in wished]).long()
            chosen = torch.cat([related, alone, targets])
            inputs = self.processor(text=texts)
            return PairBatch(
                self._views(chosen, generator),
                inputs["clip_input_ids"],
                inputs["clip_attention_mask"],
                labels[chosen],
            )

        return batch

    def labelled(self, size: int) -> Callable[[int], LabeledBatch]:
        """Pictures with their attributes, for the attribute stage."""
        labels = encode_labels([item.garment for item in self.pool.items])

        def batch(step: int) -> LabeledBatch:
            generator, _ = self._random("labelled", step)
            chosen = torch.randint(0, len(labels), (size,), generator=generator)
            return LabeledBatch(self._views(chosen, generator), labels[chosen])

        return batch

    def triplets(
        self,
        triplets: Sequence[PoolTriplet],
        size: int,
        words_only: float,
        picture_only: float,
    ) -> Callable[[int], TripletBatch]:
        """Batches of `triplets` (places of reference and target in the pool, and the wish).

        A share `words_only` of the queries is a description without a picture, a share
        `picture_only` a picture without words: what the page allows, training must have seen. Of
        half of the other queries the targets are relatives.
        """
        word_count, picture_count = round(size * words_only), round(size * picture_only)
        by_target: dict[int, list[PoolTriplet]] = {}
        for triplet in triplets:
            by_target.setdefault(triplet[1], []).append(triplet)

        def batch(step: int) -> TripletBatch:
            generator, rng = self._random("triplets", step)
            related = self._related(size // 2, generator).tolist()
            drawn = [rng.choice(by_target[place]) for place in related if place in by_target]
            drawn = drawn[: size - word_count - picture_count]
            drawn += rng.choices(triplets, k=size - word_count - picture_count - len(drawn))
            references = torch.tensor([reference for reference, _, _ in drawn])
            texts = [fill_template(self.template, wish.captions) for _, _, wish in drawn]
            composed = dict(self.processor(text=texts))
            composed["pixel_values"] = self._views(references, generator)
            alone = torch.randint(
                0, len(self.pool.items), (word_count + picture_count,), generator=generator
            )
            described, pictured = alone[:word_count], alone[word_count:]
            queries = [composed]
            if word_count:
                words = [describe(garment, rng) for garment in self._garments(described)]
                queries.append(dict(self.processor(text=words)))
            if picture_count:
                queries.append({"pixel_values": self._views(pictured, generator)})
            targets = torch.cat([torch.tensor([target for _, target, _ in drawn]), alone])
            return TripletBatch(queries, self._views(targets, generator), targets)

        return batch

    def _related(self, count: int, generator: torch.Generator) -> Tensor:
        return draw_hard_negatives(len(self.pool.items), count, generator)

    def _garments(self, places: Tensor) -> list[Garment]:
        return [self.pool.items[place].garment for place in places.tolist()]

    def _views(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        pictures = self.pool.take(indices, generator)
        return random_views(pictures, PICTURE_PX, generator, MEAN, STD)

    def _random(self, stage: str, step: int) -> tuple[torch.Generator, random.Random]:
        rng = random.Random(f"{self.seed}/{stage}/{step}")
        return torch.Generator().manual_seed(rng.getrandbits(63)), rng


def draw_hard_negatives(items: int, count: int, generator: torch.Generator) -> Tensor:
    """Places (at most `count`,) in a pool of `items`, in runs of neighbours; no place twice."""
    chosen = torch.randperm(items // _RELATIVES, generator=generator)[: count // _RELATIVES]
    return (chosen[:, None] * _RELATIVES + torch.arange(_RELATIVES)).flatten()


def cached_triplet_batches(
    kept: CachedPool, size: int, words_only: float, picture_only: float, seed: int
) -> Callable[[int], TripletBatch]:
    """Batches for a model under `standing_in`; each is a function of (seed, step).

    A share `words_only` of the queries is a description without a picture, a share `picture_only`
    a picture without words. Of half of the other queries the targets are relatives.
    """
    words_count, picture_count = round(size * words_only), round(size * picture_only)
    composed_count = size - words_count - picture_count
    items = kept.pictures.items
    by_target = torch.argsort(kept.targets, stable=True)
    ordered = kept.targets[by_target]
    first = torch.searchsorted(ordered, torch.arange(items))
    count = torch.searchsorted(ordered, torch.arange(items), right=True) - first

    def wishes_for(places: Tensor, generator: torch.Generator) -> Tensor:
        """One of the triplets with each of these targets that has any."""
        asked = places[count[places] > 0]
        picked = (torch.rand(len(asked), generator=generator) * count[asked]).long()
        return by_target[first[asked] + picked]

    def batch(step: int) -> TripletBatch:
        draw = random.Random(f"{seed}/kept/{step}").getrandbits(63)
        generator = torch.Generator().manual_seed(draw)
        related = wishes_for(draw_hard_negatives(items, size // 2, generator), generator)
        related = related[:composed_count]
        rest = (composed_count - len(related),)
        others = torch.randint(0, len(kept.targets), rest, generator=generator)
        drawn = torch.cat([related, others])
        seen = kept.pictures.look(kept.references[drawn], generator)
        queries = [{"pixel_values": seen, **kept.wishes.take(drawn)}]
        targets = [kept.targets[drawn]]
        if words_count:
            told = torch.randint(0, items, (words_count,), generator=generator)
            queries.append(kept.descriptions.take(told))
            targets.append(told)
        if picture_count:
            shown = torch.randint(0, items, (picture_count,), generator=generator)
            queries.append({"pixel_values": kept.pictures.look(shown, generator)})
            targets.append(shown)
        labels = torch.cat(targets)
        return TripletBatch(queries, kept.pictures.look(labels, generator), labels)

    return batch


def text_tuning_batches(
    pictures: CachedImages,
    pool: DrawnPool,
    triplets: Sequence[PoolTriplet],
    processor: DWCProcessor,
    template: dict[str, str],
    size: int,
    described_share: float,
    seed: int,
) -> Callable[[int], TextTuningBatch]:
    """Batches of `size` texts, each a function of (seed, step).

    A share `described_share` of them describes its picture; the rest are wishes, with the picture
    that answers each.
    """
    described = round(size * described_share)

    def batch(step: int) -> TextTuningBatch:
        rng = random.Random(f"{seed}/reading/{step}")
        generator = torch.Generator().manual_seed(rng.getrandbits(63))
        drawn = rng.choices(triplets, k=size - described)
        shown = torch.randint(0, pictures.items, (described,), generator=generator)
        texts = [fill_template(template, wish.captions) for _, _, wish in drawn]
        texts += [describe(pool.items[place].garment, rng) for place in shown.tolist()]
        places = torch.cat([torch.tensor([target for _, target, _ in drawn]), shown])
        labels = [encode_modification(pool.items[ref].garment, wish) for ref, _, wish in drawn]
        inputs = processor(text=texts)
        return TextTuningBatch(
            inputs["clip_input_ids"],
            inputs["clip_attention_mask"],
            pictures.look(places, generator)[:, : pictures.feature_dim],
            torch.tensor(labels),
        )

    return batch
