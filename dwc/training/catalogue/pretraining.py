"""Pretraining of both image towers on drawn garments, before DWC's own training.

- The CLIP, contrastively, from scratch. A few words say little about an image, and what they leave
  out teaches the image tower nothing; where attributes are known, it learns to classify them too.
- The CNN stream's ResNet, by attribute classification. The authors start from a ResNet trained on
  ImageNet's labels; drawings have labels of their own: one linear head for the category and one for
  each attribute, on the pooled features. A garment trains only the heads that apply to it.
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
from dwc.training.loop import AdamWSettings, LoopSettings, OptimizerStep, decay_groups, run_stage
from dwc.training.losses import image_text_loss

NOT_APPLICABLE = -100  # the label that cross-entropy ignores by default


def label_vocabulary() -> dict[str, tuple[str, ...]]:
    """Return the values of every head: the category's, then each attribute's."""
    heads: dict[str, dict[str, None]] = {"category": dict.fromkeys(CATEGORIES)}
    for category in CATEGORIES:
        for name, values in attributes_of(category).items():
            heads.setdefault(name, {}).update(dict.fromkeys(values))
    return {name: tuple(values) for name, values in heads.items()}


def encode_labels(garments: list[Garment]) -> Tensor:
    """Return labels (N, heads) int64; `NOT_APPLICABLE` where a garment lacks the attribute."""
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
    """Images `pixels` (B, 3, H, W) and `labels` (B, heads), see `encode_labels`."""

    pixels: Tensor
    labels: Tensor


@dataclass(frozen=True)
class AttributeSettings(AdamWSettings):
    """Settings of attribute classification."""

    learning_rate: float = 2e-3
    max_gradient_norm: float = 5.0


class AttributeHeads(nn.Module):
    """One linear classifier for the category and one for each attribute, on shared features."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Linear(feature_dim, len(values)) for values in label_vocabulary().values()
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """Features (B, F) -> the logits (B, values) of every head."""
        return [head(features) for head in self.heads]


def attribute_loss(logits: list[Tensor], labels: Tensor) -> tuple[Tensor, float]:
    """Return the mean cross-entropy over all labels that apply, and their accuracy.

    Every label counts the same, so the color, which every garment has, weighs more than the brim.

    Args:
        logits: As from `AttributeHeads`.
        labels: (B, heads), as from `encode_labels`.
    """
    losses, correct = [], 0
    for head_logits, expected in zip(logits, labels.unbind(dim=1), strict=True):
        losses.append(functional.cross_entropy(head_logits.float(), expected, reduction="sum"))
        correct += int((head_logits.argmax(dim=-1) == expected).sum())
    count = int((labels != NOT_APPLICABLE).sum())
    return torch.stack(losses).sum() / count, correct / count


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
    """Train a convolutional network in place to classify attributes.

    Args:
        backbone: Returns an output with `last_hidden_state` (B, channels, H, W).
        channels: Of that map.
        batches: Returns the batch of a step.
        settings: The optimizer's.
        accelerator: A new one.
        loop: Length and folder.
        stage: Name of log and state.

    Returns:
        The last means logged.
    """
    classifier = _AttributeClassifier(backbone, channels)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer_step = OptimizerStep(classifier, settings, accelerator)

    def step(number: int) -> dict[str, float]:
        batch = batches(number)
        with accelerator.autocast():
            logits = optimizer_step.module(batch.pixels)
        loss, accuracy = attribute_loss(logits, batch.labels)
        optimizer_step(loss)
        return {"loss": float(loss.detach()), "accuracy": accuracy}

    return run_stage(stage, accelerator, step, loop)


@dataclass(frozen=True)
class PairBatch:
    """Images with their texts, row by row.

    Attributes:
        pixels: (B, 3, H, W).
        input_ids: CLIP's tokens (B, L).
        attention_mask: (B, L).
        labels: The images' attributes (B, heads), see `encode_labels`, where they are known.
    """

    pixels: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class ContrastiveSettings(AdamWSettings):
    """Settings of contrastive pretraining.

    The temperature is learned; its inverse starts at CLIP's 1/0.07 and stays below 100.
    `attribute_weight` multiplies the attribute loss, which is added to the contrastive one.
    """

    warmup_steps: int = 200
    attribute_weight: float = 2.0


class _DualEncoder(nn.Module):
    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.clip = clip
        self.attribute_heads = AttributeHeads(clip.config.projection_dim)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, batch: PairBatch) -> tuple[Tensor, Tensor, list[Tensor]]:
        images = self.clip.image_features(batch.pixels)
        texts = self.clip.text_features(batch.input_ids, batch.attention_mask)
        logits = self.attribute_heads(images)
        return normalize(images.float()), normalize(texts.float()), logits


def train_contrastive(
    clip: ClipBackbone,
    batches: Callable[[int], PairBatch],
    settings: ContrastiveSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "contrastive",
) -> dict[str, float]:
    """Train both towers of a CLIP in place.

    Args:
        clip: The CLIP.
        batches: Returns the batch of a step.
        settings: The optimizer's.
        accelerator: A new one.
        loop: Length and folder.
        stage: Name of log and state.

    Returns:
        The last means logged.
    """
    encoder = _DualEncoder(clip)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = decay_groups(encoder)
    optimizer_step = OptimizerStep(encoder, settings, accelerator, groups, betas=(0.9, 0.98))

    def step(number: int) -> dict[str, float]:
        batch = batches(number)
        # On CPUs the backward pass of fused attention takes four times as long as the plain one.
        with accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            images, texts, logits = optimizer_step.module(batch)
        loss = image_text_loss(images, texts, encoder.log_scale.exp().clamp(max=100))
        numbers = {"contrast": float(loss.detach())}
        if batch.labels is not None:
            attributes, numbers["named_right"] = attribute_loss(logits, batch.labels)
            loss = loss + settings.attribute_weight * attributes
        optimizer_step(loss)
        nearest = (images @ texts.T).argmax(dim=-1).cpu()
        accuracy = (nearest == torch.arange(len(nearest))).float().mean()
        return {"loss": float(loss.detach()), "accuracy": float(accuracy), **numbers}

    return run_stage(stage, accelerator, step, loop)
