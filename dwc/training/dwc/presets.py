"""How DWC is trained on a benchmark: the authors' recipe and ours, every number on one screen.

`AUTHORS` is what the released code does, slips included, each of which is a switch here. It departs
in one thing: what is measured between epochs is the checkpoint as it will be used, one query alone
whatever its batch-mates, where the released code lets padding into a query's embedding.

`RECOMMENDED` undoes the slips and adds what a training of today has. Its additions were found
useful on drawn garments; they are not tuned on any of these benchmarks.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dwc.convert.to_checkpoint import CAPTION_TEMPLATES
from dwc.errors import TrainingError
from dwc.training.dwc.mutual_training import MutualSettings

_YES_NO = {"yes": True, "true": True, "no": False, "false": False}

COMBINERS = (
    "dwc", "dwc_unit", "dwc_joint",
    "image_only", "text_only", "average", "concat_mlp", "tirg", "clip4cir",
)  # fmt: skip
"""The combiners that learn from retrieval alone; PL's have a training of their own."""


@dataclass(frozen=True)
class BenchmarkPreset:
    """Everything about a training but its data; the defaults are the authors'.

    The switches for what the released code does against its purpose:

    - `teacher_side`: which of the other stream's embeddings a stream is taught by; "reference" is
      the released code's.
    - `states_answer`: Fashion200k's queries end in the caption of their target.
    - `masks_padding`: False lets padding count as words, in the LSTM, the softmax, batch norm and
      pooling, so that an embedding depends on the batch.
    - `caption_form`: "authors" writes FashionIQ's texts as `<BOS> a <AND> b <EOS>`, of which the
      word vocabulary keeps the letters of the marks; "plain" writes `a and b`.
    - `chooses_on`: the epoch is chosen on the "evaluation" set itself, or on "held_out" targets of
      the training set, a share `held_out_share` of them, which are then not learned from.
    - `same_target`: in a batch, a target counts as found by its "picture" alone, or by what it
      shows, as the benchmark's "answer" does (Fashion200k's captions, CSS3D's labels).
    - `shoes_listing`: every pair of Shoes "twice" an epoch, or "once".

    `streams` "clip" leaves the CNN stream out: CLIP's features are kept, so a step then costs what
    its head costs. `combiner` names the CLIP stream's, one of `COMBINERS`.
    `weight_teaching` and `doubt` are ours, see `AlternatingSettings`; 0 is the paper's and the
    released code's.
    `measures` says whether an epoch is measured "before" it begins, so that the last one's weights
    never are, or "after" it. `ema_decay` 0 keeps no average of the weights. `mixed_precision` holds
    on GPUs; elsewhere a training computes in float32.
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
    doubt: float = 0.0
    mutual_weight: float = 1.0
    weight_teaching: float = 0.0
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
        for name in ("weight_decay", "warmup_steps", "mutual_weight", "weight_teaching", "seed"):
            self._require(name, getattr(self, name) >= 0, "must be 0 or more")
        self._require("batch_size", self.batch_size >= 2, "must be at least 2, to have others")
        for name in ("alpha", "doubt", "ema_decay", "dropout"):
            self._require(name, 0 <= getattr(self, name) < 1, "must be at least 0 and below 1")
        self._require("combiner", self.combiner in COMBINERS, f"is one of {', '.join(COMBINERS)}")
        share = self.held_out_share
        self._require("held_out_share", 0 < share < 1, "must be above 0 and below 1")
        norm = self.max_gradient_norm
        self._require("max_gradient_norm", norm is None or norm > 0, "must be above 0, or none")
        # A state in the middle of what is averaged for the log would log other means later.
        whole = self.save_every % self.log_every == 0
        self._require("save_every", whole, f"must be a multiple of log_every ({self.log_every})")

    @property
    def has_cnn(self) -> bool:
        """Whether the model has a CNN stream."""
        return self.streams == "both"

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise TrainingError(f"{name} is {getattr(self, name)}; it {rule}")

    def caption_template(self, dataset: str) -> Mapping[str, str]:
        """The form of one and of two captions, as a checkpoint keeps it."""
        marked = self.caption_form == "authors" and dataset == "fashion_iq"
        return CAPTION_TEMPLATES["fashion_iq" if marked else "plain"]

    def measured_epochs(self) -> range:
        """After how many whole epochs the weights are measured."""
        first = 0 if self.measures == "before" else 1
        return range(first, first + self.epochs)

    def alternating(self, steps_per_epoch: int) -> MutualSettings:
        """The settings of the loop."""
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
            doubt=self.doubt,
            mutual_weight=self.mutual_weight,
            weight_teaching=self.weight_teaching,
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
    weight_teaching=0.5,
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
    """The preset with some fields set, each given as `name=value`.

    Booleans are yes and no; "none" is no limit, where there may be none. TrainingError for a name
    that is not a field's and for a value that is not one of its kind.
    """
    kinds = get_type_hints(BenchmarkPreset)
    names = [field.name for field in fields(BenchmarkPreset) if field.name != "name"]
    changes = {}
    for assignment in assignments:
        name, given, value = (part.strip() for part in assignment.partition("="))
        if not given or name not in names:
            raise TrainingError(
                f"{assignment!r} sets nothing; give NAME=VALUE, with one of {', '.join(names)}"
            )
        changes[name] = _read(name, value, kinds[name])
    return replace(preset, **changes)


def _read(name: str, text: str, kind: Any) -> Any:
    """The value that a text stands for."""
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise TrainingError(f"{name} is {text!r}; it is one of {', '.join(get_args(kind))}")
        return text
    if get_origin(kind) in (Union, types.UnionType):
        return None if text == "none" else _read(name, text, get_args(kind)[0])
    if kind is bool:
        if text not in _YES_NO:
            raise TrainingError(f"{name} is {text!r}; it is yes or no")
        return _YES_NO[text]
    try:
        return kind(text)
    except ValueError:
        shown = {"int": "a whole number", "float": "a number"}[kind.__name__]
        raise TrainingError(f"{name} is {text!r}; it is {shown}") from None
