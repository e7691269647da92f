"""Batches of drawn garments for each training stage.

Every batch is a function of (seed, step): pictures, views, words and all. So a run that goes on
after a kill sees what it would have seen, and several processes never see the same batch.

Half of a batch comes in relatives: garments that stand side by side in the pool, of one family,
which often differ in an attribute or two. Among garments drawn at random the category and the
colour tell nearly all apart, and nothing smaller would be learned.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dwc.catalogue.description import describe, describe_fully
from dwc.catalogue.schema import Garment
from dwc.catalogue.wishes import Wish
from dwc.modeling.captions import fill_template
from dwc.processing import DWCProcessor
from dwc.training.alternating import TripletBatch
from dwc.training.attributes import LabelledBatch, encode_labels
from dwc.training.augmentation import random_views
from dwc.training.contrastive import PairBatch
from dwc.training.pool import DrawnPool
from dwc.training.recipe import MEAN, PICTURE_PX, STD

PoolTriplet = tuple[int, int, Wish]  # places of reference and target in the pool, the words
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

    def labelled(self, size: int) -> Callable[[int], LabelledBatch]:
        """Pictures with their attributes, for the attribute stage."""
        labels = encode_labels([item.garment for item in self.pool.items])

        def batch(step: int) -> LabelledBatch:
            generator, _ = self._random("labelled", step)
            chosen = torch.randint(0, len(labels), (size,), generator=generator)
            return LabelledBatch(self._views(chosen, generator), labels[chosen])

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
        return draw_relatives(len(self.pool.items), count, generator)

    def _garments(self, places: Tensor) -> list[Garment]:
        return [self.pool.items[place].garment for place in places.tolist()]

    def _views(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        pictures = self.pool.take(indices, generator)
        return random_views(pictures, PICTURE_PX, generator, MEAN, STD)

    def _random(self, stage: str, step: int) -> tuple[torch.Generator, random.Random]:
        rng = random.Random(f"{self.seed}/{stage}/{step}")
        return torch.Generator().manual_seed(rng.getrandbits(63)), rng


def draw_relatives(items: int, count: int, generator: torch.Generator) -> Tensor:
    """Places (at most `count`,) in a pool of `items`, in runs of neighbours; no place twice."""
    chosen = torch.randperm(items // _RELATIVES, generator=generator)[: count // _RELATIVES]
    return (chosen[:, None] * _RELATIVES + torch.arange(_RELATIVES)).flatten()
