"""PL's stage one: the common space of pictures and captions of any kind; a reconstruction.

A CLIP from the Hub has been through it, and goes straight to stage two. Any other goes through it
here: symmetric InfoNCE between pictures and their captions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.composition import normalise
from dwc.training.contrastive import PairBatch
from dwc.training.loop import LoopSettings
from dwc.training.progressive.losses import first_found, matching_loss
from dwc.training.progressive.towers import TowerSettings, cosine_scale, train_towers


@dataclass(frozen=True)
class OpenDomainOutput:
    """`images` and `texts` (B, D), unit length, and the `scale` () of their cosines."""

    images: Tensor
    texts: Tensor
    scale: Tensor


class _OpenDomain(nn.Module):
    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, batch: PairBatch) -> OpenDomainOutput:
        images = self.clip.image_features(batch.pixels)
        texts = self.clip.text_features(batch.input_ids, batch.attention_mask)
        return OpenDomainOutput(
            normalise(images.float()), normalise(texts.float()), cosine_scale(self.clip)
        )


def judge_open_domain(
    output: OpenDomainOutput, batch: PairBatch
) -> tuple[Tensor, dict[str, float]]:
    """CLIP's symmetric loss, and the share of pictures whose own caption is the nearest."""
    own = torch.eye(len(output.images), dtype=torch.bool, device=output.images.device)
    loss = matching_loss(output.images, output.texts, own, output.scale)
    return loss, {"accuracy": first_found(output.images, output.texts, own)}


def train_open_domain(
    clip: ClipBackbone,
    batches: Callable[[int], PairBatch],
    settings: TowerSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "open_domain",
) -> dict[str, float]:
    """Train both towers of `clip` in place; see `train_towers`. Attribute labels are not read."""
    return train_towers(
        stage, _OpenDomain(clip), batches, judge_open_domain, settings, accelerator, loop
    )
