"""A CLIP stream's head, trained on the features of its frozen CLIP that are kept."""

import random
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from dwc.modeling.clip_stream import ClipStream
from dwc.training.alternating import AlternatingSettings, adam
from dwc.training.kept import KeptPool
from dwc.training.loop import LoopSettings, run_stage
from dwc.training.losses import contrastive_loss


@dataclass(frozen=True)
class FeatureBank:
    """Features of several views of every pool picture, and triplets with those of their words.

    `images` (views, items, F); `references`, `targets` (T,) index items; `texts` (T, F).
    """

    images: Tensor
    references: Tensor
    targets: Tensor
    texts: Tensor

    def batch(self, step: int, size: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reference, text and target features (B, F) and the targets' labels (B,) of a step."""
        generator = torch.Generator().manual_seed(random.Random(f"{seed}/{step}").getrandbits(63))
        chosen = torch.randint(0, len(self.texts), (size,), generator=generator)
        views = torch.randint(0, len(self.images), (2, size), generator=generator)
        references, targets = self.references[chosen], self.targets[chosen]
        return (
            self.images[views[0], references],
            self.texts[chosen],
            self.images[views[1], targets],
            targets,
        )


def bank_of(kept: KeptPool) -> FeatureBank:
    """CLIP's share of what is kept."""
    images = kept.pictures.rows[..., : kept.pictures.feature_dim].float()
    return FeatureBank(images, kept.references, kept.targets, kept.wishes.features)


def train_on_features(
    stream: ClipStream,
    bank: FeatureBank,
    settings: AlternatingSettings,
    batch_size: int,
    seed: int,
    stage: str,
    mixed_precision: str = "no",
    log_every: int = 500,
) -> dict[str, float]:
    """Train a CLIP stream's head, whatever its combiner, on a bank; in place, alone, untaught.

    In `mixed_precision` ("no" or "bf16") the head computes; the loss is in float32.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    trained = [parameter for parameter in stream.parameters() if parameter.requires_grad]
    if not trained:
        return {}
    optimiser, schedule = adam(trained, settings)
    stream.train()

    def step(number: int) -> dict[str, float]:
        references, texts, targets, labels = bank.batch(number, batch_size, seed)
        device = references.device.type
        with torch.autocast(device, torch.bfloat16, enabled=mixed_precision == "bf16"):
            composed, gallery = stream.compose(references, texts), stream.embed(targets)
        gallery = gallery.float()
        contrast = contrastive_loss(
            composed.embedding.float(),
            gallery,
            labels,
            settings.temperature,
            settings.alpha,
            settings.doubt,
        )
        side = stream.combiner.side_loss(composed, gallery, labels, settings.temperature)
        loss = contrast if side is None else contrast + side
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        return {"contrast": float(contrast.detach())}

    loop = LoopSettings(settings.total_steps, log_every=log_every)
    return run_stage(stage, accelerator, step, loop)
