"""The model card of a PL checkpoint: every number in it comes from the evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WEIGHT_NAMES = {
    "learned": "as the model answers",
    "image_only": "picture only",
    "text_only": "words only",
    "half": "half and half",
    "best_fixed": "the best fixed one (chosen on the validation split)",
    "oracle": "the best for each query (knows the answer)",
}

_STAGE_NAMES = {
    "open_domain": "pictures and captions",
    "fashion": "fashion pre-training",
    "hybrid": "composed queries",
}

_FRONT_MATTER = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-feature-extraction
tags:
- composed-image-retrieval
- image-retrieval
- arxiv:2204.11212
language: en
---
"""


def write_card(folder: Path, numbers: Mapping[str, Any]) -> None:
    """Write `folder/README.md` from the numbers of `evaluation.json`."""
    sections = [_what(), _measured(numbers["catalogue"]), _weights(numbers["weights"])]
    sections += [_made(numbers), _limits()]
    (folder / "README.md").write_text(_FRONT_MATTER + "\n\n".join(sections) + "\n")


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _recalls(row: Mapping[str, Any]) -> str:
    return " | ".join(_percent(row[f"recall@{k}"]) for k in (1, 10, 50))


def _what() -> str:
    return """# PL, a reconstruction, trained on drawn garments

A composed-image-retrieval model after *Progressive Learning for Image Retrieval with
Hybrid-Modality Queries* (SIGIR 2022, arXiv 2204.11212). The paper's code was not released. **This
is a reconstruction**: its abstract names the three stages and the adaptive weight; the losses, the
pseudo weights and every number are this project's own, and its results say nothing of the
paper's."""


def _measured(catalogue: Mapping[str, Any]) -> str:
    correlation = catalogue["streams"]["clip"].get("weight_truth_correlation")
    followed = (
        "The weight is the same for every query."
        if correlation is None
        else "Spearman's correlation of the image weight with the share of the wish that only the "
        f"picture tells: **{correlation:.2f}**."
    )
    return f"""## Measured on drawings

Test split: {catalogue["queries"]:,} queries to a gallery of {catalogue["gallery"]:,} garments whose
combinations of category, colour and pattern do not occur in training; the reference is removed; a
hit is any garment that fits.

| R@1 | R@10 | R@50 |
|---|---|---|
| {_recalls(catalogue)} |

{followed}"""


def _weights(weights: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        f"| {_WEIGHT_NAMES[name]} | {row['image_weight_mean']:.2f} | {_recalls(row)} |"
        for name, row in weights.items()
    ]
    table = "\n".join(lines)
    return f"""### What the weight is worth

The same queries and gallery; only the weight of the picture differs.

| weight | its mean | R@1 | R@10 | R@50 |
|---|---|---|---|---|
{table}"""


def _made(numbers: Mapping[str, Any]) -> str:
    recipe = numbers["recipe"]
    stages = ", ".join(
        f"{_STAGE_NAMES[stage]} ({recipe[stage]['total_steps']:,} steps)"
        for stage in numbers["stages"]
    )
    begun = f" It began as {numbers['start']}." if numbers["start"] else ""
    if recipe["kept_views"]:
        begun += (
            " Its image tower stayed as it was but for the last layer: what that layer reads was "
            f"computed once for {recipe['kept_views']} views of every picture."
        )
    return f"""## How it was made

Stages: {stages or "none"}; seed {recipe["seed"]}; {recipe["pool"]["items"]:,} garments.{begun} The
log is `training.jsonl`, every number of this card is in `evaluation.json`."""


def _limits() -> str:
    return """## Limits

It was trained on drawings of garments, shoes, bags and hats, one at a time. The weight mixes CLIP's
features of the picture and of the words as they are; it says how both were mixed, not how much of a
result each one caused."""
