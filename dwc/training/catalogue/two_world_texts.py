"""The texts of drawings and of photographs that one model learns."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from dwc.catalogue.language.description import describe
from dwc.catalogue.language.modifications import picture_share
from dwc.catalogue.language.nouns import generic_nouns
from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import CatalogueItem, training_triplets
from dwc.modeling.processing_dwc import fill_template
from dwc.training.catalogue.photographs import PhotographPool, describe_photograph


@dataclass(frozen=True)
class TwoWorldTexts:
    """Every text of the run.

    Attributes:
        captions: one of each photograph.
        short_texts: several of each image, recolorings included.
        drawing_names: the name and color of each drawing.
        descriptions: one of each drawing.
        modifications: (reference, target, words, share) over drawings.
        words: words of the teacher's dictionary, which go with no picture.
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
) -> TwoWorldTexts:
    """Draw the texts of both worlds; `negation_share` of those over drawings exclude something."""
    rng = random.Random(f"{seed}/two worlds")
    drawn = training_triplets(items, seed, triplets, negation_share=negation_share)
    return TwoWorldTexts(
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
