"""Locked-image tuning of the text tower on modification texts, with attribute heads.

A CLIP learns words from the images that belong to them, and most of a target image is not in its
modification text: features of "longer, and without the belt" hold little. Here the image tower is
frozen (Zhai et al. 2022, "LiT: Zero-Shot Transfer with Locked-image text Tuning") and the text
tower trains on: contrastively as before, and to classify what a modification
asks of each attribute.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dwc.catalogue.language.modifications import Modification
from dwc.catalogue.schema import ORDERED, Garment
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.composition import normalize
from dwc.training.catalogue.pretraining import label_vocabulary
from dwc.training.loop import AdamWSettings, LoopSettings, OptimizerStep, run_stage
from dwc.training.losses import image_text_loss

# What a modification may ask of an attribute besides one of its values: nothing, more or less of it
# than the reference has, or any of several values.
UNSPECIFIED, MORE, LESS, SEVERAL = range(4)
_RELATIONS = 4


def encode_modification(reference: Garment, modification: Modification) -> list[int]:
    """Return what a modification asks of the category and of every attribute.

    Args:
        reference: The garment to modify.
        modification: What should differ.

    Returns:
        A label per head, in `label_vocabulary`'s order: one of the constants above, or 4 plus the
        index of the one value asked for.
    """
    row = []
    for name, values in label_vocabulary().items():
        allowed = modification.allowed.get(name)
        if name == "category":
            changes = modification.changes_category(reference)
            allowed = modification.allowed_categories(reference) if changes else None
        if allowed is None:
            row.append(UNSPECIFIED)
        elif name in modification.relative and name in ORDERED:
            order = ORDERED[name]
            row.append(
                MORE if min(map(order.index, allowed)) > order.index(reference[name]) else LESS
            )
        elif len(allowed) == 1:
            row.append(_RELATIONS + values.index(next(iter(allowed))))
        else:
            row.append(SEVERAL)
    return row


@dataclass(frozen=True)
class TextTuningBatch:
    """B texts with the CLIP features of the image that belongs to each.

    Attributes:
        input_ids: CLIP's tokens (B, L).
        attention_mask: (B, L).
        images: Features (B, F).
        labels: (M, heads) of the first M texts, which are modifications; see
            `encode_modification`. The other texts are descriptions.
    """

    input_ids: Tensor
    attention_mask: Tensor
    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "TextTuningBatch":
        """Return the batch on a device."""
        return TextTuningBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class TextTuningSettings(AdamWSettings):
    """Settings of text tuning.

    `scale` multiplies the cosines of texts and images. `label_weight` multiplies the sum of the
    attributes' losses, which is added to the contrastive loss.
    """

    scale: float = 40.0
    label_weight: float = 0.5


class _TextTuner(nn.Module):
    """The text tower, and a linear head for each attribute on its features."""

    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.clip = clip
        self.heads = nn.ModuleList(
            nn.Linear(clip.config.projection_dim, _RELATIONS + len(values))
            for values in label_vocabulary().values()
        )

    def forward(self, batch: TextTuningBatch) -> tuple[Tensor, list[Tensor]]:
        """Return the texts' features (B, F) and each head's logits for the modifications."""
        features = self.clip.text_features(batch.input_ids, batch.attention_mask)
        count = len(batch.labels)
        return features, [head(features[:count]) for head in self.heads]


def tune_text_tower(
    clip: ClipBackbone,
    batches: Callable[[int], TextTuningBatch],
    settings: TextTuningSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "reading",
) -> dict[str, float]:
    """Train the text tower of a CLIP in place; its image tower is frozen.

    Args:
        clip: The CLIP.
        batches: Returns the batch of a step.
        settings: The optimizer's and the loss weights.
        accelerator: A new one.
        loop: Length and folder.
        stage: Name of log and state.

    Returns:
        The last means logged.
    """
    tuner = _TextTuner(clip)
    for name, parameter in clip.named_parameters():
        parameter.requires_grad_(name.startswith("text_"))
    optimizer_step = OptimizerStep(tuner, settings, accelerator, betas=(0.9, 0.98))
    scale = torch.tensor(settings.scale, device=accelerator.device)

    def step(number: int) -> dict[str, float]:
        batch = batches(number).to(accelerator.device)
        # As in contrastive pretraining: plain attention has the faster backward pass on CPUs.
        with accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            features, logits = optimizer_step.module(batch)
        images = normalize(batch.images)
        contrast = image_text_loss(images, normalize(features.float()), scale)
        labels = torch.stack(
            [
                functional.cross_entropy(head_logits.float(), expected)
                for head_logits, expected in zip(logits, batch.labels.unbind(dim=1), strict=True)
            ]
        ).sum()
        loss = contrast + settings.label_weight * labels
        optimizer_step(loss)
        predicted = torch.stack([head_logits.argmax(dim=-1) for head_logits in logits], dim=1)
        correct = predicted == batch.labels
        return {
            "contrast": float(contrast.detach()),
            "naming": float(labels.detach()),
            "read_right": float(correct.all(dim=1).float().mean()),
        }

    return run_stage(stage, accelerator, step, loop)
