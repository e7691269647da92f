"""Wishes and descriptions with the kept pictures that belong to them, for the reading stage."""

import random
from collections.abc import Callable, Sequence

import torch

from dwc.catalogue.description import describe
from dwc.modeling.captions import fill_template
from dwc.processing import DWCProcessor
from dwc.training.catalogue_batches import PoolTriplet
from dwc.training.kept import KeptPictures
from dwc.training.pool import DrawnPool
from dwc.training.reading import ReadingBatch, encode_wish


def reading_batches(
    pictures: KeptPictures,
    pool: DrawnPool,
    triplets: Sequence[PoolTriplet],
    processor: DWCProcessor,
    template: dict[str, str],
    size: int,
    described_share: float,
    seed: int,
) -> Callable[[int], ReadingBatch]:
    """Batches of `size` texts, each a function of (seed, step).

    A share `described_share` of them describes its picture; the rest are wishes, with the picture
    that answers each.
    """
    described = round(size * described_share)

    def batch(step: int) -> ReadingBatch:
        rng = random.Random(f"{seed}/reading/{step}")
        generator = torch.Generator().manual_seed(rng.getrandbits(63))
        drawn = rng.choices(triplets, k=size - described)
        shown = torch.randint(0, pictures.items, (described,), generator=generator)
        texts = [fill_template(template, wish.captions) for _, _, wish in drawn]
        texts += [describe(pool.items[place].garment, rng) for place in shown.tolist()]
        places = torch.cat([torch.tensor([target for _, target, _ in drawn]), shown])
        labels = [encode_wish(pool.items[ref].garment, wish) for ref, _, wish in drawn]
        inputs = processor(text=texts)
        return ReadingBatch(
            inputs["clip_input_ids"],
            inputs["clip_attention_mask"],
            pictures.look(places, generator)[:, : pictures.feature_dim],
            torch.tensor(labels),
        )

    return batch
