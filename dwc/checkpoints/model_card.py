"""The model card of a checkpoint: what its config tells, what its evaluations measured, no more."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from dwc.modeling.configuration_dwc import DWCConfig, ModifiedResNetConfig

CARD = "README.md"

_GENERATED = "<!-- Written from the checkpoint. Take this line away to keep a text of your own. -->"
_TAGS = ("composed-image-retrieval", "image-retrieval", "dwc", "arxiv:2312.06179")
_RECALLS = (1, 10, 50)
_STREAMS = {"clip": "CLIP stream", "cnn": "CNN stream"}


class CardFacts(NamedTuple):
    """What a card says beside the config, all of it optional.

    `license` is the Hub's name of one, `datasets` what the model was trained on, `base_model` the
    Hub's name of its CLIP. `converted` are the sources of a conversion, a line each; `trained` says
    how it was trained, in a sentence; `evaluations` are the contents of what
    `python -m dwc evaluate --json` writes.
    """

    license: str | None = None
    datasets: tuple[str, ...] = ()
    base_model: str | None = None
    converted: tuple[str, ...] = ()
    trained: str | None = None
    evaluations: tuple[Mapping[str, Any], ...] = ()


def write_card(folder: Path, config: DWCConfig, facts: CardFacts, name: str | None = None) -> bool:
    """Write `folder/README.md`, unless there is one that was not written here; say whether.

    `name` is the model's, the folder's if it is not given.
    """
    file = folder / CARD
    if file.is_file() and _GENERATED not in file.read_text(encoding="utf-8", errors="replace"):
        return False
    file.write_text(render_card(name or folder.name, config, facts), encoding="utf-8")
    return True


def render_card(name: str, config: DWCConfig, facts: CardFacts) -> str:
    """The card of a model of this name, as Markdown with the Hub's front matter."""
    sections = [
        _GENERATED,
        f"# {name.rpartition('/')[2]}",
        _what(config),
        _reads(config),
        _measured(facts.evaluations),
        _origin(facts),
        _use(name),
        _limits(facts),
    ]
    body = "\n\n".join(section for section in sections if section)
    return f"---\n{_front_matter(name, facts)}\n---\n\n{body}\n"


def _front_matter(name: str, facts: CardFacts) -> str:
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
        tags=list(_TAGS),
        base_model=facts.base_model,
        datasets=list(facts.datasets) or None,
        model_name=name.rpartition("/")[2] if results else None,
        eval_results=results or None,
    )
    return data.to_yaml()


def _what(config: DWCConfig) -> str:
    streams = []
    if config.clip_config is not None:
        streams.append(
            f"- a CLIP stream (combiner `{config.combiner}`, embeddings of "
            f"{config.clip_embedding_dim}) over a frozen CLIP: {_tower(config.clip_config)}"
        )
    if config.cnn_config is not None:
        streams.append(
            f"- a CNN stream (embeddings of {config.cnn_embedding_dim}): a ResNet with "
            f"{list(config.cnn_config.resnet_config.depths)} blocks, an LSTM over a vocabulary of "
            f"{config.cnn_config.vocab_size:,} words"
        )
    listed = "\n".join(streams)
    return f"""A model for composed image retrieval after *Dynamic Weighted Combiner for Mixed-Modal
Image Retrieval* (AAAI 2024, arXiv 2312.06179): a picture and words that say what should differ go
in; an embedding of the picture wished for comes out, and with it the weight that each stream gave
the picture and the words.

{listed}"""


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


def _reads(config: DWCConfig) -> str:
    return f"""It read captions as `{config.caption_template["single"]}`, and two of one picture as
`{config.caption_template["pair"]}`; the app and the search put a wish into that form."""


def _measured(evaluations: Sequence[Mapping[str, Any]]) -> str:
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
        if len(views) == 2:  # a stream alone is the model
            del views["both streams"]
        for label, view in views.items():
            recalls = " | ".join(
                f"{100 * view[f'recall@{k}']:.2f}" if f"recall@{k}" in view else ""
                for k in _RECALLS
            )
            rows.append(
                f"| {evaluation['protocol']} | {queries} | {gallery} | {label} | {recalls} |"
            )
    table = "\n".join(rows)
    return f"""## Measured

Recalls in per cent, by protocol. Protocols are not to be compared with one another.

| protocol | queries | gallery | | R@1 | R@10 | R@50 |
|---|---|---|---|---|---|---|
{table}"""


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


def _use(name: str) -> str:
    return f"""## Use

```sh
python app.py --model {name}
python -m dwc search STORE --image PICTURE --text "but in red"
```"""


def _limits(facts: CardFacts) -> str:
    licence = (
        ""
        if facts.license
        else " No licence is stated here: ask whoever trained it, and mind those of CLIP's weights "
        "and of the training data."
    )
    return f"""## Limits

The weight mixes *edited* features, each of which has already looked at the other modality, and of
unequal lengths: it is not by itself a share of the result. Words outside the vocabulary do not
reach the CNN stream.{licence}"""
