"""Batches of drawn garments for the three training stages of Progressive Learning (PL).

This project reconstructed PL from its paper, since its code was not released.

Stage one has one short caption per garment, with its kind and one or two attributes. Stage two has
two images of each garment, and texts as in an online shop: descriptions, most of them complete, and
tags about single attributes. Stage three has composed queries from `CatalogueBatches.triplets`.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.language.nouns import nouns_for
from dwc.catalogue.language.statements import say_color, say_value
from dwc.catalogue.schema import Garment
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.batches import CatalogueBatches
from dwc.training.catalogue.pretraining import PairBatch
from dwc.training.catalogue.recipe import MEAN, PICTURE_PX, STD
from dwc.training.progressive.stages import FashionBatch

_CAPTION_DETAIL = 0.25  # maximum share of a garment's attributes in a stage-one caption
_FULL_SHARE = 0.6  # share of stage-two descriptions that mention every attribute


@dataclass(frozen=True)
class Tag:
    """Short text about a garment's kind or about one of its attributes, such as "long sleeves".

    Attributes:
        text: The text.
        allowed: Attribute name -> values of the attribute that match the text.
        category: Category of the garments that the text applies to; None for all categories.
    """

    text: str
    allowed: dict[str, frozenset[str]]
    category: str | None = None

    def suits(self, garment: Garment) -> bool:
        """Return whether the tag's text is true of a garment."""
        if self.category not in (None, garment.category):
            return False
        return all(garment.get(name) in values for name, values in self.allowed.items())


def draw_tag(garment: Garment, rng: random.Random) -> Tag:
    """Return a random tag that matches a garment: its kind, its color, or another attribute."""
    name = rng.choice(["kind", *(name for name in garment.attributes if name != "second_colour")])
    if name == "kind":
        noun = rng.choice(nouns_for(garment))
        return Tag(noun.text, dict(noun.says), garment.category)
    if name == "colour":
        statement = say_color(rng, garment["colour"], None)
    else:
        statement = say_value(rng, garment.category, name, garment[name])
    text = f"no {statement.text}" if statement.form == "no" else statement.text
    # The same words can mean different lengths for different kinds of garment.
    category = None if name in ("colour", "shade", "pattern") else garment.category
    return Tag(text, dict(statement.allowed), category)


@dataclass(frozen=True)
class ProgressiveBatches(CatalogueBatches):
    """Batches for the stages of Progressive Learning (PL) from a pool of drawings.

    Images are preprocessed as the CLIP model in training requires.

    Attributes:
        size_px: Side of the square input images in pixels.
        mean: Mean to subtract from each channel, for values in [0, 1].
        std: Standard deviation to divide each channel by.
        cached: Inputs of length K of the last layer of CLIP's image encoder, computed beforehand
            for several augmented copies ("views") of each drawing, (views, garments, K). They are
            used instead of the images' pixels; see `cache_tower_inputs`. None to use the pixels.
    """

    size_px: int = PICTURE_PX
    mean: Sequence[float] = MEAN
    std: Sequence[float] = STD
    cached: Tensor | None = None

    def open_domain(self, size: int) -> Callable[[int], PairBatch]:
        """Return a function that makes the batches of stage one.

        A batch has `size` random garments, each with a short caption.

        Returns:
            A function that takes a step number and returns the batch of that step.
        """

        def batch(step: int) -> PairBatch:
            generator, rng = self._random("open_domain", step)
            indices = torch.randint(0, len(self.pool.items), (size,), generator=generator)
            captions = [
                describe(garment, rng, detail=rng.uniform(0, _CAPTION_DETAIL))
                for garment in self._garments(indices)
            ]
            inputs = self.processor(text=captions)
            return PairBatch(
                self._views(indices, generator),
                inputs["clip_input_ids"],
                inputs["clip_attention_mask"],
            )

        return batch

    def fashion(self, size: int) -> Callable[[int], FashionBatch]:
        """Return a function that makes the batches of stage two.

        A batch has `size` garments, each with two images, a description and a tag. About half of
        the garments come in groups of similar garments (hard negatives).

        Returns:
            A function that takes a step number and returns the batch of that step.
        """

        def batch(step: int) -> FashionBatch:
            generator, rng = self._random("fashion", step)
            negatives = self._hard_negatives(size // 2, generator)
            others = torch.randint(
                0, len(self.pool.items), (size - len(negatives),), generator=generator
            )
            indices = torch.cat([negatives, others])
            garments = self._garments(indices)
            descriptions = self.processor(
                text=[
                    (describe_fully if rng.random() < _FULL_SHARE else describe)(garment, rng)
                    for garment in garments
                ]
            )
            tags = [draw_tag(garment, rng) for garment in garments]
            tag_inputs = self.processor(text=[tag.text for tag in tags])
            return FashionBatch(
                pixels=self._views(indices, generator),
                input_ids=descriptions["clip_input_ids"],
                attention_mask=descriptions["clip_attention_mask"],
                labels=indices,
                other_pixels=self._views(indices, generator),
                tag_ids=tag_inputs["clip_input_ids"],
                tag_mask=tag_inputs["clip_attention_mask"],
                has_tag=torch.tensor([[tag.suits(g) for tag in tags] for g in garments]),
            )

        return batch

    def _views(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        if self.cached is not None:
            views = torch.randint(0, len(self.cached), (len(indices),), generator=generator)
            return self.cached[views, indices].float()
        images = self.pool.take(indices, generator)
        return random_views(images, self.size_px, generator, self.mean, self.std)
