"""Pretraining of CLIP and of the CNN stream's ResNet on drawn garments, before DWC's own training.

- CLIP is trained contrastively from scratch. A short text mentions few attributes of an image, and
  the image encoder learns nothing about attributes that the text omits. If the attributes are
  known, the image encoder is therefore also trained to classify them.
- The ResNet is trained to classify a garment's category and attributes, each by a linear head on
  its pooled features. Attributes that a garment lacks are ignored. (DWC's authors start from a
  ResNet that was trained on ImageNet's labels instead.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dwc.catalogue.schema import CATEGORIES, Garment, attributes_of
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.combiners import normalize
from dwc.training.loop import AdamWSettings, LoopSettings, OptimizerStep, decay_groups, run_stage
from dwc.training.losses import NOT_APPLICABLE, image_text_loss


def label_vocabulary() -> dict[str, tuple[str, ...]]:
    """Return the classes of each classification head by the head's name.

    The first head is "category", and its classes are the categories. Each other head is an
    attribute, such as "colour", and its classes are the attribute's values in any category.
    """
    heads: dict[str, dict[str, None]] = {"category": dict.fromkeys(CATEGORIES)}
    for category in CATEGORIES:
        for name, values in attributes_of(category).items():
            heads.setdefault(name, {}).update(dict.fromkeys(values))
    return {name: tuple(values) for name, values in heads.items()}


def encode_labels(garments: list[Garment]) -> Tensor:
    """Return the class indices of N garments for each classification head.

    Returns:
        Labels (N, heads), int64, one column per entry of `label_vocabulary`: the index of the
        garment's value in the entry, or `NOT_APPLICABLE` if the garment lacks the attribute.
    """
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
    """B images with their attribute labels.

    Attributes:
        pixels: Pixels of the images (B, 3, H, W) of height H and width W.
        labels: Labels (B, heads), from `encode_labels`.
    """

    pixels: Tensor
    labels: Tensor


@dataclass(frozen=True)
class AttributeSettings(AdamWSettings):
    """Optimizer settings for training a network that classifies attributes."""

    learning_rate: float = 2e-3
    max_gradient_norm: float = 5.0


class AttributeHeads(nn.Module):
    """Linear classifiers of a garment's category and of each attribute, on the same features."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Linear(feature_dim, len(values)) for values in label_vocabulary().values()
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return the logits (B, classes) of each head for B feature vectors of length F.

        Args:
            features: The feature vectors (B, F).
        """
        return [head(features) for head in self.heads]


def attribute_loss(logits: list[Tensor], labels: Tensor) -> tuple[Tensor, float]:
    """Return the classification loss and accuracy over all labels except missing attributes.

    Every label has the same weight. An attribute that all garments have, such as the color,
    therefore contributes more to the loss than a rare one, such as the brim.

    Args:
        logits: Logits of each head for B images, (B, classes), from `AttributeHeads`.
        labels: Labels (B, heads), from `encode_labels`.

    Returns:
        The mean cross-entropy, a scalar tensor, and the share (0 to 1) of correctly classified
        labels.
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
        backbone: Network whose output has a feature map `last_hidden_state`, (B, channels, h, w)
            for B images, of height h and width w.
        channels: Number of channels of the feature map.
        batches: Function that takes a step number and returns the batch of that step.
        settings: Optimizer settings.
        accelerator: A new accelerator for this training stage.
        loop: Length and folder of the stage.
        stage: Name of the stage and of its files.

    Returns:
        Means of `loss` and `accuracy` over the steps of the last log interval.
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
    """B images, each with a text.

    Attributes:
        pixels: Pixels of the images (B, 3, H, W) of height H and width W.
        input_ids: CLIP token ids of the texts (B, L), padded to L tokens.
        attention_mask: (B, L), 1 on tokens and 0 on padding.
        labels: Attribute labels of the images (B, heads), from `encode_labels`; None if unknown.
    """

    pixels: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class ContrastiveSettings(AdamWSettings):
    """Settings of contrastive pretraining.

    The temperature is not a setting but is learned: its inverse starts at 1/0.07, as in CLIP, and
    is at most 100. `attribute_weight` is the factor of the attribute classification loss, which is
    added to the contrastive loss.
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
    """Train the image and text encoders of a CLIP model in place on image-text pairs.

    Args:
        clip: The model to train.
        batches: Function that takes a step number and returns the batch of that step.
        settings: Optimizer settings and the factor of the attribute loss.
        accelerator: A new accelerator for this training stage.
        loop: Length and folder of the stage.
        stage: Name of the stage and of its files.

    Returns:
        Means over the steps of the last log interval of `loss`, `accuracy` (share of images whose
        own text is the most similar of the batch), `contrast` (the contrastive loss) and, if the
        batches have labels, `named_right` (share of correctly classified labels).
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
