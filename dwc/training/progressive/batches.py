"""Drawn garments for PL's first two stages; a reconstruction.

Drawings are fashion throughout, so the stages differ in what is said of them. Stage one hears what
a caption of any picture says: the kind of thing, and a word or two. Stage two hears what a shop
says: descriptions in full, attribute tags, and two pictures of one product. Stage three takes the
triplets of `CatalogueBatches`.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.language.nouns import nouns_for
from dwc.catalogue.language.statements import say_colour, say_value
from dwc.catalogue.schema import Garment
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.batches import CatalogueBatches
from dwc.training.catalogue.pretraining import PairBatch
from dwc.training.catalogue.recipe import MEAN, PICTURE_PX, STD
from dwc.training.progressive.stages import FashionBatch

_CAPTION_DETAIL = 0.25  # of the attributes, at most this share is told in an open-domain caption
_FULL_SHARE = 0.6  # of stage two's descriptions, those that leave nothing out


@dataclass(frozen=True)
class Tag:
    """An attribute written out, and the values that it allows; of `category` alone, if one."""

    text: str
    allowed: dict[str, frozenset[str]]
    category: str | None = None

    def suits(self, garment: Garment) -> bool:
        """Whether the garment has what the tag says."""
        if self.category not in (None, garment.category):
            return False
        return all(garment.get(name) in values for name, values in self.allowed.items())


def draw_tag(garment: Garment, rng: random.Random) -> Tag:
    """One thing that is so of a garment, as a tag: its kind, its colour, or another attribute."""
    name = rng.choice(["kind", *(name for name in garment.attributes if name != "second_colour")])
    if name == "kind":
        noun = rng.choice(nouns_for(garment))
        return Tag(noun.text, dict(noun.says), garment.category)
    if name == "colour":
        saying = say_colour(rng, garment["colour"], None)
    else:
        saying = say_value(rng, garment.category, name, garment[name])
    text = f"no {saying.text}" if saying.form == "no" else saying.text
    # The same words can mean another length of another kind of garment.
    category = None if name in ("colour", "shade", "pattern") else garment.category
    return Tag(text, dict(saying.allowed), category)


@dataclass(frozen=True)
class ProgressiveBatches(CatalogueBatches):
    """Makes the batches of PL's stages from one pool; pictures as the CLIP that learns wants them.

    `size_px`, `mean` and `std` are those of its preprocessing. `kept` (views, items, K), if given,
    stands for the pictures: a picture is then one of its rows, the views already taken. See
    `CatalogueBatches` for the rest.
    """

    size_px: int = PICTURE_PX
    mean: Sequence[float] = MEAN
    std: Sequence[float] = STD
    kept: Tensor | None = None

    def open_domain(self, size: int) -> Callable[[int], PairBatch]:
        """Stage one: garments drawn alone, each with a short caption."""

        def batch(step: int) -> PairBatch:
            generator, rng = self._random("open_domain", step)
            chosen = torch.randint(0, len(self.pool.items), (size,), generator=generator)
            captions = [
                describe(garment, rng, detail=rng.uniform(0, _CAPTION_DETAIL))
                for garment in self._garments(chosen)
            ]
            inputs = self.processor(text=captions)
            return PairBatch(
                self._views(chosen, generator),
                inputs["clip_input_ids"],
                inputs["clip_attention_mask"],
            )

        return batch

    def fashion(self, size: int) -> Callable[[int], FashionBatch]:
        """Stage two: two pictures of each garment, a description, a tag; half come in relatives."""

        def batch(step: int) -> FashionBatch:
            generator, rng = self._random("fashion", step)
            related = self._related(size // 2, generator)
            alone = torch.randint(
                0, len(self.pool.items), (size - len(related),), generator=generator
            )
            chosen = torch.cat([related, alone])
            garments = self._garments(chosen)
            described = self.processor(
                text=[
                    (describe_fully if rng.random() < _FULL_SHARE else describe)(garment, rng)
                    for garment in garments
                ]
            )
            tags = [draw_tag(garment, rng) for garment in garments]
            written = self.processor(text=[tag.text for tag in tags])
            return FashionBatch(
                pixels=self._views(chosen, generator),
                input_ids=described["clip_input_ids"],
                attention_mask=described["clip_attention_mask"],
                labels=chosen,
                other_pixels=self._views(chosen, generator),
                tag_ids=written["clip_input_ids"],
                tag_mask=written["clip_attention_mask"],
                has_tag=torch.tensor([[tag.suits(g) for tag in tags] for g in garments]),
            )

        return batch

    def _views(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        if self.kept is not None:
            views = torch.randint(0, len(self.kept), (len(indices),), generator=generator)
            return self.kept[views, indices].float()
        pictures = self.pool.take(indices, generator)
        return random_views(pictures, self.size_px, generator, self.mean, self.std)
