"""The model card of the bundled checkpoint: every number in it comes from the evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwc.catalogue.schema import CATEGORIES, count_garments
from dwc.modeling.configuration_dwc import DWCConfig

_COMBINER_NAMES = {
    "dwc": "**DWC**",
    "image_only": "picture only",
    "text_only": "words only",
    "average": "plain average",
    "concat_mlp": "concatenation MLP",
    "clip4cir": "CLIP4Cir's Combiner",
    "dwc_joint": "DWC with a joint part (ours)",
    "dwc_unit": "DWC with parts of unit length (ours)",
    "tirg": "TIRG",
    "progressive": "PL's adaptive weight (reconstruction), on CLIP's own features",
    "progressive_fixed": "plain average of CLIP's own features",
}

_FRONT_MATTER = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-feature-extraction
tags:
- composed-image-retrieval
- image-retrieval
- dwc
- arxiv:2312.06179
language: en
---
"""

_MEASURED_BEGIN = "<!-- measured: written by the training, from evaluation.json -->"
_MEASURED_END = "<!-- end of measured -->"


def write_card(folder: Path, numbers: Mapping[str, Any], config: DWCConfig) -> None:
    """Write `folder/README.md` from the numbers of `evaluation.json`."""
    sections = [
        _what(config),
        _measured(numbers["catalogue"]),
        _combiners(numbers["combiners"]),
        _photographs(numbers.get("photographs")),
        _made(numbers),
        _limits(),
    ]
    (folder / "README.md").write_text(_FRONT_MATTER + "\n\n".join(sections) + "\n")


def write_measured(readme: Path, numbers: Mapping[str, Any]) -> None:
    """Put the measured tables between the two marks of the project's own README.

    ValueError where the marks are missing.
    """
    text = readme.read_text()
    begin, end = text.find(_MEASURED_BEGIN), text.find(_MEASURED_END)
    if not 0 <= begin < end:
        raise ValueError(f"{readme} lacks the lines {_MEASURED_BEGIN} and {_MEASURED_END}")
    sections = [
        _measured(numbers["catalogue"]),
        _combiners(numbers["combiners"]),
        _photographs(numbers.get("photographs")),
    ]
    measured = "\n\n".join(sections).replace("\n## ", "\n### ").removeprefix("## ")
    head = text[: begin + len(_MEASURED_BEGIN)]
    readme.write_text(f"{head}\n\n### {measured}\n\n{text[end:]}")


def _what(config: DWCConfig) -> str:
    size = config.clip_config.vision_config.image_size
    return f"""# DWC, trained on drawn garments

A small composed-image-retrieval model after *Dynamic Weighted Combiner for Mixed-Modal Image
Retrieval* (AAAI 2024, arXiv 2312.06179). A picture and words that say what should differ go in; an
embedding of the picture wished for comes out, and with it the weight that each of two streams gave
the picture and the words. Both streams and the small CLIP under them were trained from scratch on
garments that the project draws itself: {len(CATEGORIES)} categories, {count_garments():,} distinct
garments, pictures of {size} pixels.{_parts(config)}

Intended for trying the method, for teaching, for tests, and as the default of the app. Not a model
for a real shop."""


def _parts(config: DWCConfig) -> str:
    if config.combiner != "dwc_unit":
        return ""
    return """

The CLIP stream's combiner is the paper's but for one thing, which is ours: what it mixes is scaled
to unit length first, so that the weight alone decides how much each side counts. In the
paper the editors decide it, too, by the length of what they leave, and the weight tells less the
longer they learn. The table of combiners has both."""


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _measured(catalogue: Mapping[str, Any]) -> str:
    rows = {"together": catalogue, **catalogue["streams"]}
    lines = []
    for name, row in rows.items():
        correlation = row.get("weight_truth_correlation")
        shown = "" if correlation is None else f"{correlation:.2f}"
        recalls = " | ".join(_percent(row[f"recall@{k}"]) for k in (1, 10, 50))
        label = {"together": "both streams", "clip": "CLIP stream", "cnn": "CNN stream"}[name]
        lines.append(f"| {label} | {recalls} | {shown} |")
    table = "\n".join(lines)
    return f"""## Measured on drawings

Test split: {catalogue["queries"]:,} queries to a gallery of {catalogue["gallery"]:,} garments whose
combinations of category, colour and pattern do not occur in training; the reference is removed; a
hit is any garment that fits. The last column is Spearman's correlation of the image weight with the
share of the wish that only the picture tells.

| | R@1 | R@10 | R@50 | weight and truth |
|---|---|---|---|---|
{table}

`python -m dwc evaluate dwc-catalogue --dataset catalogue --seed {catalogue["seed"]}`"""


def _combiners(combiners: Mapping[str, Mapping[str, Any]]) -> str:
    ranked = sorted(combiners.items(), key=lambda item: -item[1]["recall@1"])
    lines = []
    for name, row in ranked:
        correlation = row["weight_truth_correlation"]
        shown = "" if correlation is None else f"{correlation:.2f}"
        label = _COMBINER_NAMES.get(name, name)
        recalls = f"{_percent(row['recall@1'])} | {_percent(row['recall@10'])}"
        size = f"{row['parameters'] / 1e6:.2f} M"
        rate = "" if row["learning_rate"] is None else f"{row['learning_rate']:g}"
        lines.append(f"| {label} | {recalls} | {shown} | {size} | {rate} |")
    table = "\n".join(lines)
    return f"""### The combiner against others

One frozen CLIP, the same features, triplets, steps and loss; the CLIP stream alone, without a
teacher. Only the way of combining differs, with it how many numbers are learned, and the learning
rate, of which each combiner has the one that serves it best on the validation split.

| combiner | R@1 | R@10 | weight and truth | learned | rate |
|---|---|---|---|---|---|
{table}"""


def _photographs(photographs: Mapping[str, Any] | None) -> str:
    if photographs is None:
        return "## On photographs\n\nNot measured for this checkpoint."
    classes = ", ".join(
        f"{name} {precision:.1f}" for name, precision in photographs["classes"].items()
    )
    return f"""## On photographs

It has never seen a photograph. Words alone over 1,000 photographs of clothes (the Clothing dataset,
CC0), precision among the first ten, mean of seven classes: **{photographs["precision@10"]:.2f}**
(chance {photographs["chance"]:.2f}). By class: {classes}.

`python -m dwc evaluate dwc-catalogue --dataset photographs --data FOLDER`"""


def _made(numbers: Mapping[str, Any]) -> str:
    recipe, minutes = numbers["recipe"], numbers["training_minutes"]
    stages = ", ".join(f"{stage} {spent:.0f}" for stage, spent in minutes.items())
    return f"""## How it was made

`make checkpoint` on {numbers["machine"]}: {sum(minutes.values()):.0f} minutes ({stages}), seed
{recipe["seed"]}. {recipe["pool"]["items"]:,} garments, each drawn in the styles
{" and ".join(recipe["pool"]["styles"])}; {recipe["contrastive"]["total_steps"]:,} contrastive steps
for the CLIP, whose image tower learned to name attributes as well,
{recipe["attributes"]["total_steps"]:,} steps of naming attributes for the ResNet; then, on
{recipe["kept_views"]} random views of each drawing as both image towers see them,
{recipe["reading"]["total_steps"]:,} steps in which CLIP's text tower learned to read wishes, and
{recipe["alternating"]["total_steps"]:,} alternating steps of DWC's two streams, their towers
frozen.{_taught(recipe["alternating"])} The log is `training.jsonl`, every number of this card is in
`evaluation.json`."""


def _taught(alternating: Mapping[str, Any]) -> str:
    if not alternating["weight_teaching"]:
        return ""
    return """ The CNN stream's weight was taught by the CLIP stream's, which is ours and in no
paper: left to itself it follows little, since that stream's editors put the words into the
picture's part."""


def _limits() -> str:
    return """## Limits

It learned from drawings alone: its idea of a floral print or a hood is the project's own. Words
outside its vocabulary reach only the CLIP stream, in pieces. It knows garments, shoes, bags and
hats, one at a time, and nothing of people. The weight mixes *edited* features, each of which has
already looked at the other modality, and in the CNN stream of unequal lengths: it is not by itself
a share of the result."""
