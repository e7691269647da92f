"""Training a CLIP from scratch: pictures and descriptions that belong together attract.

A few words say little of a picture, and what they leave out teaches the image tower nothing. Where
the attributes of the pictures are known, it learns to name them as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.composition import normalize
from dwc.training.catalogue.attributes import AttributeHeads, attribute_loss
from dwc.training.loop import LoopSettings, OptimizerStep, decay_groups, run_stage
from dwc.training.losses import image_text_loss


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
