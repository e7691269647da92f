"""Presets of a training on a benchmark: the authors' recipe and ours, with all numbers.

`AUTHORS` does what the released code does, slips included; each slip is a switch here. It differs
in one thing: between epochs the checkpoint is measured as it will be used, a query independent of
its batch, where the released code lets padding into a query's embedding.

`RECOMMENDED` undoes the slips and adds what trainings commonly have today. Its additions were
useful on drawn garments; they are not tuned on any of these benchmarks.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dwc.convert.to_checkpoint import CAPTION_TEMPLATES
from dwc.errors import TrainingError
from dwc.training.dwc.mutual_training import MutualSettings
from dwc.training.run_dir import PUBLISHED_NAMES

_YES_NO = {"yes": True, "true": True, "no": False, "false": False}

COMBINERS = (
    "dwc", "dwc_unit", "dwc_joint",
    "image_only", "text_only", "average", "concat_mlp", "tirg", "clip4cir",
)  # fmt: skip
"""The combiners that train on retrieval alone; PL's have a training of their own."""


@dataclass(frozen=True)
class BenchmarkPreset:
    """All settings of a training but its data; the defaults are the authors'.

    Attributes:
        name: The preset's.
        epochs: Of the training triplets.
        batch_size: Triplets of one process and step.
        learning_rate: Adam's, after the warm-up.
        eps: Adam's.
        weight_decay: Adam's.
        schedule: See `MutualSettings`.
        warmup_steps: Of the cosine schedule.
        max_gradient_norm: None clips no gradients.
        temperature: Of the contrastive loss.
        alpha: Share of the soft labels.
        gce_q: Ours, see `MutualSettings`; 0 is the paper's and the released code's.
        mutual_weight: Multiplies the mutual loss.
        weight_distillation: Ours, see `MutualSettings`; 0 is the paper's.
        teacher_scale: Of the mutual loss.
        teacher_side: The teacher's gallery in the mutual loss; the released code's is "reference".
        states_answer: Whether Fashion200k's queries end in their target's caption; the released
            code's do.
        masks_padding: False lets padding count as words in LSTM, softmax, batch norm and pooling,
            so that an embedding depends on its batch, as in the released code.
        caption_form: "authors" writes FashionIQ's texts as `<BOS> a <AND> b <EOS>`, whose marks
            become words of the vocabulary; "plain" writes `a and b`.
        chooses_on: The best epoch is selected on the "evaluation" set itself, or on "held_out"
            targets of the training set, which are then not trained on.
        held_out_share: Share of the targets that are held out.
        same_target: Two targets of a batch count as the same if they are the same "picture", or if
            the benchmark accepts both as "answer" (Fashion200k's captions, CSS3D's labels).
        shoes_listing: Each pair of Shoes "twice" per epoch, as in the released code, or "once".
        one_model_per_category: Of FashionIQ.
        measures: Whether an epoch is measured "before" it begins, so that the last weights never
            are, or "after" it.
        ema_decay: Of the average of the weights; 0 keeps none.
        mixed_precision: On GPUs; on CPUs training is in float32.
        embedding_dim: Of both streams.
        word_embedding_dim: Of the CNN stream's words.
        hidden_dim: Of the CNN stream's LSTM.
        dropout: Of both streams.
        streams: "clip" omits the CNN stream; CLIP's features are cached, so a step then costs only
            its head.
        combiner: The CLIP stream's, one of `COMBINERS`.
        seed: Decides every random number.
        log_every: Steps between log lines.
        save_every: Steps between saved states, a multiple of `log_every`.
    """

    name: str = "authors"
    epochs: int = 201
    batch_size: int = 32
    learning_rate: float = 1e-4
    eps: float = 1e-8
    weight_decay: float = 1e-6
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    max_gradient_norm: float | None = None
    temperature: float = 0.07
    alpha: float = 0.2
    gce_q: float = 0.0
    mutual_weight: float = 1.0
    weight_distillation: float = 0.0
    teacher_scale: float = 10.0
    teacher_side: Literal["target", "reference"] = "reference"
    states_answer: bool = True
    masks_padding: bool = False
    caption_form: Literal["authors", "plain"] = "authors"
    chooses_on: Literal["evaluation", "held_out"] = "evaluation"
    held_out_share: float = 0.05
    same_target: Literal["picture", "answer"] = "picture"
    shoes_listing: Literal["twice", "once"] = "twice"
    one_model_per_category: bool = True
    measures: Literal["before", "after"] = "before"
    ema_decay: float = 0.0
    mixed_precision: Literal["no", "fp16", "bf16"] = "fp16"
    embedding_dim: int = 1024
    word_embedding_dim: int = 512
    hidden_dim: int = 1024
    dropout: float = 0.5
    streams: Literal["both", "clip"] = "both"
    combiner: str = "dwc"
    seed: int = 599
    log_every: int = 20
    save_every: int = 500

    def __post_init__(self) -> None:
        positive = ("epochs", "learning_rate", "eps", "temperature", "teacher_scale", "log_every")
        sizes = ("embedding_dim", "word_embedding_dim", "hidden_dim", "save_every")
        for name in (*positive, *sizes):
            self._require(name, getattr(self, name) > 0, "must be above 0")
        not_negative = ("weight_decay", "warmup_steps", "mutual_weight", "weight_distillation")
        for name in (*not_negative, "seed"):
            self._require(name, getattr(self, name) >= 0, "must be 0 or more")
        self._require("batch_size", self.batch_size >= 2, "must be at least 2, for negatives")
        for name in ("alpha", "gce_q", "ema_decay", "dropout"):
            self._require(name, 0 <= getattr(self, name) < 1, "must be at least 0 and below 1")
        self._require("combiner", self.combiner in COMBINERS, f"is one of {', '.join(COMBINERS)}")
        share = self.held_out_share
        self._require("held_out_share", 0 < share < 1, "must be above 0 and below 1")
        norm = self.max_gradient_norm
        self._require("max_gradient_norm", norm is None or norm > 0, "must be above 0, or none")
        # A state saved between two log lines would change the means of the next line.
        every = f"log_every ({self.log_every})"
        is_multiple = self.save_every % self.log_every == 0
        self._require("save_every", is_multiple, f"must be a multiple of {every}")

    @property
    def has_cnn(self) -> bool:
        """Whether the model has a CNN stream."""
        return self.streams == "both"

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise TrainingError(f"{name} is {getattr(self, name)}; it {rule}")

    def caption_template(self, dataset: str) -> Mapping[str, str]:
        """Return the caption template for a checkpoint trained on a benchmark."""
        marked = self.caption_form == "authors" and dataset == "fashion_iq"
        return CAPTION_TEMPLATES["fashion_iq" if marked else "plain"]

    def measured_epochs(self) -> range:
        """Return after how many finished epochs the weights are measured."""
        first = 0 if self.measures == "before" else 1
        return range(first, first + self.epochs)

    def mutual_settings(self, steps_per_epoch: int) -> MutualSettings:
        """Return the settings of mutual training."""
        total = self.epochs * steps_per_epoch
        return MutualSettings(
            total_steps=total,
            learning_rate=self.learning_rate,
            eps=self.eps,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            warmup_steps=min(self.warmup_steps, total // 2),
            temperature=self.temperature,
            alpha=self.alpha,
            gce_q=self.gce_q,
            mutual_weight=self.mutual_weight,
            weight_distillation=self.weight_distillation,
            teacher_scale=self.teacher_scale,
            teacher_side=self.teacher_side,
            max_gradient_norm=self.max_gradient_norm,
            log_every=self.log_every,
            save_every=self.save_every,
        )


AUTHORS = BenchmarkPreset()

RECOMMENDED = BenchmarkPreset(
    name="recommended",
    epochs=60,
    batch_size=128,
    learning_rate=2e-4,
    schedule="cosine",
    warmup_steps=500,
    max_gradient_norm=5.0,
    weight_distillation=0.5,
    teacher_side="target",
    states_answer=False,
    masks_padding=True,
    caption_form="plain",
    chooses_on="held_out",
    same_target="answer",
    shoes_listing="once",
    one_model_per_category=False,
    measures="after",
    ema_decay=0.999,
    mixed_precision="bf16",
)

PRESETS = {preset.name: preset for preset in (AUTHORS, RECOMMENDED)}


def override(preset: BenchmarkPreset, assignments: Sequence[str]) -> BenchmarkPreset:
    """Return the preset with some fields changed.

    Args:
        preset: What to start from.
        assignments: Each `name=value`. Booleans are yes and no; "none" is no limit, where there may
            be none. Published names of fields (`doubt` for `gce_q`) are accepted too.

    Raises:
        TrainingError: no field has the name, or its type does not allow the value.
    """
    kinds = get_type_hints(BenchmarkPreset)
    names = [field.name for field in fields(BenchmarkPreset) if field.name != "name"]
    by_published_name = {old: new for new, old in PUBLISHED_NAMES.items() if new in names}
    changes = {}
    for assignment in assignments:
        name, separator, value = (part.strip() for part in assignment.partition("="))
        name = by_published_name.get(name, name)
        if not separator or name not in names:
            raise TrainingError(
                f"{assignment!r} sets nothing; give NAME=VALUE, with one of {', '.join(names)}"
            )
        changes[name] = _parse(name, value, kinds[name])
    return replace(preset, **changes)


def _parse(name: str, text: str, kind: Any) -> Any:
    """Return the value of a text."""
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise TrainingError(f"{name} is {text!r}; it is one of {', '.join(get_args(kind))}")
        return text
    if get_origin(kind) in (Union, types.UnionType):
        return None if text == "none" else _parse(name, text, get_args(kind)[0])
    if kind is bool:
        if text not in _YES_NO:
            raise TrainingError(f"{name} is {text!r}; it is yes or no")
        return _YES_NO[text]
    try:
        return kind(text)
    except ValueError:
        expected = {"int": "a whole number", "float": "a number"}[kind.__name__]
        raise TrainingError(f"{name} is {text!r}; it is {expected}") from None
