"""Batches of triplets over a kept pool, as `CatalogueBatches.triplets` makes them of pixels."""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from dwc.training.alternating import TripletBatch
from dwc.training.catalogue_batches import draw_relatives
from dwc.training.kept import KeptPool


def kept_triplets(
    kept: KeptPool, size: int, words_only: float, picture_only: float, seed: int
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
        related = wishes_for(draw_relatives(items, size // 2, generator), generator)
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
