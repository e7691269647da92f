"""Presets of all hyperparameters for training on a benchmark: the authors' recipe and ours.

`AUTHORS` reproduces the authors' released code, including its mistakes; each mistake is controlled
by a setting. There is one difference. When the released code evaluates an epoch, the embedding of a
query depends on the other queries of its batch, through the padding of the texts. Here, it does not
depend on them, neither in evaluation nor in later use of the checkpoint.

`RECOMMENDED` corrects the mistakes and adds techniques that are common today. These techniques were
useful on drawn garments, but are not tuned on any of these benchmarks.
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
"""Combiners that can be trained on a benchmark.

The combiners of Progressive Learning (PL) are trained by `dwc.training.progressive` instead.
"""


@dataclass(frozen=True)
class BenchmarkPreset:
    """All hyperparameters of training on a benchmark; the defaults are the authors'.

    Attributes:
        name: Name of the preset.
        epochs: Number of epochs.
        batch_size: Number of triplets in a batch of one process, at least 2.
        learning_rate: Adam's learning rate, after the warm-up.
        eps: Adam's epsilon.
        weight_decay: Adam's weight decay.
        schedule: Learning-rate schedule: "constant", as in the released code, or "cosine", a linear
            warm-up followed by a cosine decay to 0.
        warmup_steps: Number of warm-up steps of the cosine schedule.
        max_gradient_norm: Gradients with a larger norm are clipped to this norm; None disables
            clipping.
        temperature: Temperature of the contrastive loss.
        alpha: Share of the similarity distribution in the soft labels, in [0, 1); see
            `soft_labels`.
        gce_q: Exponent q of the generalized cross entropy (GCE), our addition for data with wrong
            texts; see `contrastive_loss`. 0 is the loss of the paper and the released code.
        mutual_weight: Factor of the mutual loss, with which each stream learns from the other.
        weight_distillation: Factor of our additional loss that trains the CNN stream's image
            weights towards those of the CLIP stream; 0, as in the paper, disables this loss.
        teacher_scale: Factor of the cosine similarities in the mutual loss.
        teacher_side: Images that the teaching stream's queries are compared with in the mutual
            loss: the targets ("target"), or, as in the released code, the reference images
            ("reference").
        states_answer: Whether the text of a Fashion200k query ends with the target's caption, as in
            the released code.
        masks_padding: Whether the CNN stream ignores the padding of texts. If False, padding counts
            as words in the LSTM, softmax, batch norm and pooling, so that an embedding depends on
            its batch, as in the released code.
        caption_form: How FashionIQ's two captions a and b become a text: "authors" for
            `<BOS> a <AND> b <EOS>`, whose three marks become words of the vocabulary, or "plain"
            for `a and b`.
        chooses_on: Queries whose recall selects the best epoch: the queries of the evaluation set
            itself ("evaluation"), or queries from the training set whose targets are excluded from
            training ("held_out").
        held_out_share: Share of the training targets that are held out, in (0, 1).
        same_target: Rule by which two targets of a batch count as the same: they are the same image
            ("picture"), or the benchmark accepts both as correct results of the same queries
            ("answer": equal captions in Fashion200k, equal labels in CSS3D).
        shoes_listing: How often an epoch contains each image pair of the benchmark Shoes: "twice",
            as in the released code, or "once".
        one_model_per_category: Whether each category of FashionIQ gets its own model.
        measures: When the model is evaluated: "after" each epoch, or "before" each epoch, as in the
            released code, so that the final parameters are never evaluated.
        ema_decay: Decay of the exponential moving average of the parameters; 0 disables averaging.
        mixed_precision: Precision on GPUs: "no" (float32), "fp16" or "bf16". Training on a CPU is
            always in float32.
        embedding_dim: Embedding size of both streams.
        word_embedding_dim: Size of the CNN stream's word vectors.
        hidden_dim: Hidden size of the CNN stream's LSTM.
        dropout: Dropout probability in both streams.
        streams: "both", or "clip" for a model without CNN stream. As CLIP's features are cached, a
            training step of a model without CNN stream computes only the layers after CLIP.
        combiner: Name of the CLIP stream's combiner, one of `COMBINERS`.
        seed: Seed of all random choices.
        log_every: Number of steps between log lines.
        save_every: Number of steps between saved states, a multiple of `log_every`.
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
        """Return the format strings that join a query's captions to one text.

        They are an entry of `CAPTION_TEMPLATES`.

        Args:
            dataset: Name of the benchmark, such as "fashion_iq".
        """
        marked = self.caption_form == "authors" and dataset == "fashion_iq"
        return CAPTION_TEMPLATES["fashion_iq" if marked else "plain"]

    def measured_epochs(self) -> range:
        """Return the epochs after which the model is evaluated; the first epoch is 1.

        0 stands for an evaluation before the first epoch.
        """
        first = 0 if self.measures == "before" else 1
        return range(first, first + self.epochs)

    def mutual_settings(self, steps_per_epoch: int) -> MutualSettings:
        """Return the settings of mutual training, in which each stream is the other's teacher.

        Args:
            steps_per_epoch: Number of training steps in an epoch.
        """
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
    """Return a preset with some of its fields changed.

    Args:
        preset: The preset to change.
        assignments: Texts of the form `name=value`, such as "epochs=20". Booleans are written "yes"
            or "no", and None is written "none". A field may also be given by its published name,
            such as `doubt` for `gce_q`.

    Raises:
        TrainingError: a name is not the name of a field, or the field does not allow the value.
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
    """Convert the text of a field's value to the field's type.

    Args:
        name: Name of the field, for the error message.
        text: Text of the value.
        kind: Type of the field.

    Raises:
        TrainingError: the text is not a value of this type.
    """
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
