"""Evaluation on words that a model was never taught, over the photographs of a wardrobe.

`OPEN_WORDS` is a fixed list of names of colors and garments. A training refuses them, so that no
model knows them. A model can still find them if its processor reads an unknown word as a known one;
see `DWCProcessor.read_typed`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dwc.datasets.wardrobe import Photograph
from dwc.evaluation.retrieval import Vectors
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template


def _words(values: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return a mapping from each word to its right values, given words by right values."""
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
"""Name of a color -> the values of a photograph's attribute `colour` that are right."""

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
"""Name of a garment -> the categories of photographs that are right."""

OPEN_WORDS = frozenset(OPEN_COLORS) | frozenset(OPEN_GARMENTS)
"""All words that are kept out of every training."""


@torch.inference_mode()
def evaluate_open_words(
    model: DWCModel,
    processor: DWCProcessor,
    photographs: Sequence[Photograph],
    gallery: Vectors,
) -> dict[str, Any]:
    """Search with each word of `OPEN_WORDS` alone, and check the first result.

    A word that the processor cannot read counts as not found. Words whose right values no
    photograph has are left out.

    Args:
        model: The model.
        processor: The model's processor.
        photographs: The M photographs.
        gallery: Embeddings (M, D) of the photographs in the same order, where D is the sum of the
            streams' dimensions.

    Returns:
        A dict with the keys:
        `share`: the fraction of words whose first result has a right value; `colors` and
        `garments`: the same for each kind of word. None if there are no such words.
        `count`: the number of words.
        `words`: a dict from each word to `read`, the text that the model gets (None if it cannot
        read the word), `found`, the value of the first result, and `right`.
    """
    template = model.config.caption_template or {}
    colors = [photograph.attributes["colour"] for photograph in photographs]
    categories = [photograph.category for photograph in photographs]
    words: dict[str, dict[str, Any]] = {}
    shares: dict[str, float | None] = {}
    for kind, table, values in (
        ("colors", OPEN_COLORS, colors),
        ("garments", OPEN_GARMENTS, categories),
    ):
        evaluated = {word: right for word, right in table.items() if not right.isdisjoint(values)}
        for word, right in evaluated.items():
            text = processor.read_typed(word, template).text
            found = None
            if text:
                inputs = processor(text=[fill_template(template, [text])]).to(model.device)
                query = model.compose(**inputs).embedding.float().cpu().numpy()  # (1, D)
                found = values[int(np.argmax(query @ gallery.T))]
            words[word] = {"read": text or None, "found": found, "right": found in right}
        shares[kind] = _share([words[word]["right"] for word in evaluated])
    return {
        "share": _share([entry["right"] for entry in words.values()]),
        **shares,
        "count": len(words),
        "words": words,
    }


def _share(right: Sequence[bool]) -> float | None:
    return float(np.mean(right)) if right else None
