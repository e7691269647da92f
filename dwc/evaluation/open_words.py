"""Evaluation of searches for photographs by words that occur in no training text.

A wardrobe is a folder of labeled photographs of clothes. `OPEN_WORDS` is a fixed set of names of
colors and garments that no training text may contain. A model can still find matching photographs
if its processor replaces an unknown word with a known one; see `DWCProcessor.read_typed`.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dwc.datasets.wardrobe import Photograph
from dwc.evaluation.retrieval import Vectors, embed_texts
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template

logger = logging.getLogger(__name__)


def _words(values: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return a dict from each word to the values that are correct for it.

    `values` maps correct values to words; several of either are separated by spaces. For example,
    the input `{"teal blue": "cyan"}` gives `{"cyan": {"teal", "blue"}}`.
    """
    return {
        word: frozenset(right.split()) for right, words in values.items() for word in words.split()
    }


OPEN_COLORS = _words(
    {
        "red": "ruby vermilion claret oxblood",
        "pink": "cerise rosy",
        "orange": "pumpkin",
        "orange brown": "terracotta",
        "yellow orange": "saffron amber",
        "yellow": "canary",
        "green": "jade pistachio fern",
        "teal blue": "cyan",
        "blue": "azure sapphire cerulean ultramarine",
        "purple": "mulberry heliotrope",
        "brown": "russet mahogany walnut mocha",
        "beige": "ecru",
        "grey": "gunmetal",
        "black": "ebony onyx",
        "white": "alabaster",
    }
)
"""Name of a color -> values of a photograph's attribute `colour` that count as correct."""

OPEN_GARMENTS = _words(
    {
        "dress": "kaftan cheongsam shirtdress",
        "tank_top": "singlet",
        "bodysuit": "leotard",
        "waistcoat": "jerkin",
        "jacket": "windcheater blouson",
        "jacket blazer": "tuxedo",
        "jacket coat": "anorak",
        "coat": "mackintosh peacoat topcoat greatcoat",
        "skirt": "kilt tutu sarong petticoat",
        "trousers": "breeches pantaloons corduroys",
        "trousers leggings": "jodhpurs",
        "jeans": "denims",
        "shorts": "hotpants boardshorts",
        "flats": "moccasins",
        "boots": "wellingtons",
        "hat": "sombrero stetson bowler",
    }
)
"""Name of a garment -> categories of photographs that count as correct."""

OPEN_WORDS = frozenset(OPEN_COLORS) | frozenset(OPEN_GARMENTS)
"""All words that no training text may contain."""


def evaluate_open_words(
    model: DWCModel,
    processor: DWCProcessor,
    photographs: Sequence[Photograph],
    gallery: Vectors,
) -> dict[str, Any]:
    """Search with each word of `OPEN_WORDS` as the only text, and check the first result.

    A word that the model cannot use counts as a wrong result. A word is left out if none of
    its correct values occurs among the photographs. If all color names or all garment names are
    left out, a warning is logged. This happens, for example, if the photographs' categories are in
    another language.

    Args:
        model: The model.
        processor: The model's processor.
        photographs: The M photographs.
        gallery: Embeddings (M, D) of the photographs in the same order, where D is the sum of the
            streams' dimensions.

    Returns:
        A dict with the keys:
        `share`: the fraction (0 to 1) of words whose first result has a correct value, or None if
        there are no words; `colors` and `garments`: the same for each kind of word.
        `count`: the number of words.
        `left_out`: the words that are left out.
        `words`: for each word a dict with `read`, the text that the model gets (None if the
        model cannot use the word); `found`, the value of the first result; and `right`,
        whether this value is correct.
    """
    template = model.config.caption_template or {}
    colors = [photograph.attributes["colour"] for photograph in photographs]
    categories = [photograph.category for photograph in photographs]
    words: dict[str, dict[str, Any]] = {}
    shares: dict[str, float | None] = {}
    left_out: list[str] = []
    for kind, column, table, values in (
        ("colors", "colour", OPEN_COLORS, colors),
        ("garments", "category", OPEN_GARMENTS, categories),
    ):
        evaluated = {word: right for word, right in table.items() if not right.isdisjoint(values)}
        left_out += [word for word in table if word not in evaluated]
        if not evaluated:
            names = sorted({name for right in table.values() for name in right})
            logger.warning(
                "open words: none of the %s is measured, since no photograph has a %s of %s",
                kind, column, ", ".join(names),
            )  # fmt: skip
        for word, right in evaluated.items():
            text = processor.read_typed(word, template).text
            found = None
            if text:
                query = embed_texts(model, processor, [fill_template(template, [text])])  # (1, D)
                found = values[int(np.argmax(query @ gallery.T))]
            words[word] = {"read": text or None, "found": found, "right": found in right}
        shares[kind] = _share([words[word]["right"] for word in evaluated])
    return {
        "share": _share([entry["right"] for entry in words.values()]),
        **shares,
        "count": len(words),
        "left_out": left_out,
        "words": words,
    }


def _share(right: Sequence[bool]) -> float | None:
    return float(np.mean(right)) if right else None
