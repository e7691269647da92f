"""Teaching a convolutional network to name the attributes of drawn garments.

The authors start their CNN stream from a ResNet trained on ImageNet's labels. Drawings have labels
of their own, so the bundled ResNet starts from those: one linear head for the category and one for
each attribute, all on the pooled features; a garment trains only the heads that apply to it.

Training a CLIP from scratch: pictures and descriptions that belong together attract.

A few words say little of a picture, and what they leave out teaches the image tower nothing. Where
the attributes of the pictures are known, it learns to name them as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dwc.catalogue.schema import CATEGORIES, Garment, attributes_of
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.composition import normalize
from dwc.training.loop import LoopSettings, OptimizerStep, decay_groups, run_stage
from dwc.training.losses import image_text_loss

NOT_APPLICABLE = -100  # cross-entropy's own default for "do not count"


def label_vocabulary() -> dict[str, tuple[str, ...]]:
    """Every head's name with its values: the category, then each attribute over all categories."""
    heads: dict[str, dict[str, None]] = {"category": dict.fromkeys(CATEGORIES)}
    for category in CATEGORIES:
        for name, values in attributes_of(category).items():
            heads.setdefault(name, {}).update(dict.fromkeys(values))
    return {name: tuple(values) for name, values in heads.items()}


def encode_labels(garments: list[Garment]) -> Tensor:
    """(N, heads) int64, `NOT_APPLICABLE` where a garment lacks the attribute."""
    numbers = {
        name: {value: index for index, value in enumerate(values)}
        for name, values in label_vocabulary().items()
    }
    rows = [
        [
            numbers[head].get(
                garment.category if head == "category" else garment.get(head) or "", NOT_APPLICABLE
            )
            for head in numbers
        ]
        for garment in garments
    ]
    return torch.tensor(rows)


@dataclass(frozen=True)
class LabeledBatch:
    """Pictures (B, 3, H, W) and labels (B, heads) as `encode_labels` makes them."""

    pixels: Tensor
    labels: Tensor


@dataclass(frozen=True)
class AttributeSettings:
    """AdamW with warm-up and cosine."""

    total_steps: int
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    max_gradient_norm: float = 5.0


class AttributeHeads(nn.Module):
    """One linear classifier for the category and one for each attribute, on the same features."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Linear(feature_dim, len(values)) for values in label_vocabulary().values()
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """Features (B, F) -> the logits (B, values) of every head."""
        return [head(features) for head in self.heads]


def attribute_loss(guesses: list[Tensor], labels: Tensor) -> tuple[Tensor, float]:
    """The mean cross-entropy over all labels that apply, and the share of them guessed right.

    `guesses` as `AttributeHeads` gives them, `labels` (B, heads) as `encode_labels` does. Every
    label counts the same, so that the colour, which every garment has, weighs more than the brim.
    """
    losses, right = [], 0
    for guess, wanted in zip(guesses, labels.unbind(dim=1), strict=True):
        losses.append(functional.cross_entropy(guess.float(), wanted, reduction="sum"))
        right += int((guess.argmax(dim=-1) == wanted).sum())
    counted = int((labels != NOT_APPLICABLE).sum())
    return torch.stack(losses).sum() / counted, right / counted


class _AttributeClassifier(nn.Module):
    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = AttributeHeads(channels)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        regions = self.backbone(pixels).last_hidden_state  # (B, C, H, W)
        return self.heads(regions.mean(dim=(2, 3)))


def train_attributes(
    backbone: nn.Module,
    channels: int,
    batches: Callable[[int], LabeledBatch],
    settings: AttributeSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "attributes",
) -> dict[str, float]:
    """Train `backbone` (its `last_hidden_state` has `channels` channels) in place."""
    classifier = _AttributeClassifier(backbone, channels)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = OptimizerStep(classifier, settings, accelerator)

    def step(number: int) -> dict[str, float]:
        batch = batches(number)
        with accelerator.autocast():
            guesses = learner.module(batch.pixels)
        loss, accuracy = attribute_loss(guesses, batch.labels)
        learner.learn(loss)
        return {"loss": float(loss.detach()), "accuracy": accuracy}

    return run_stage(stage, accelerator, step, loop)


@dataclass(frozen=True)
class PairBatch:
    """Pictures (B, 3, H, W) and the descriptions (B, L) that belong to them, row by row.

    `labels` (B, heads), where they are known, are the pictures' attributes as `encode_labels` makes
    them.
    """

    pixels: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class ContrastiveSettings:
    """AdamW with warm-up and cosine; the temperature is learned, from CLIP's 1/0.07 up to 100.

    `attribute_weight` is that of the attributes' loss beside the contrastive one.
    """

    total_steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 200
    max_gradient_norm: float = 1.0
    attribute_weight: float = 2.0


class _DualEncoder(nn.Module):
    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.clip = clip
        self.name_attributes = AttributeHeads(clip.config.projection_dim)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, batch: PairBatch) -> tuple[Tensor, Tensor, list[Tensor]]:
        images = self.clip.image_features(batch.pixels)
        texts = self.clip.text_features(batch.input_ids, batch.attention_mask)
        named = self.name_attributes(images)
        return normalize(images.float()), normalize(texts.float()), named


def train_contrastive(
    clip: ClipBackbone,
    batches: Callable[[int], PairBatch],
    settings: ContrastiveSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "contrastive",
) -> dict[str, float]:
    """Train both towers of `clip` in place."""
    encoder = _DualEncoder(clip)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = decay_groups(encoder)
    learner = OptimizerStep(encoder, settings, accelerator, groups, betas=(0.9, 0.98))

    def step(number: int) -> dict[str, float]:
        batch = batches(number)
        # On CPUs the fused attention's backward pass takes four times as long as the plain one.
        with accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            images, texts, named = learner.module(batch)
        loss = image_text_loss(images, texts, encoder.log_scale.exp().clamp(max=100))
        numbers = {"contrast": float(loss.detach())}
        if batch.labels is not None:
            naming, numbers["named_right"] = attribute_loss(named, batch.labels)
            loss = loss + settings.attribute_weight * naming
        learner.learn(loss)
        found = (images @ texts.T).argmax(dim=-1).cpu()
        accuracy = (found == torch.arange(len(found))).float().mean()
        return {"loss": float(loss.detach()), "accuracy": float(accuracy), **numbers}

    return run_stage(stage, accelerator, step, loop)
