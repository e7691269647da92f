"""Teaching a CLIP's text tower to read wishes: of what they speak, and what they ask of it.

A CLIP learns words by the pictures that belong to them, and most of the picture that answers a wish
is not in its words: of "longer, and without the belt" little is left in such features. Here the
image tower stays as it is (Zhai et al. 2022, "LiT: Zero-Shot Transfer with Locked-image text
Tuning"), and the text tower learns on, to find pictures by their words as before, and to say of
every attribute what a wish asks of it.
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
from dwc.training.loop import LoopSettings, OptimizerStep, run_stage
from dwc.training.losses import image_text_loss

# What a wish may ask of an attribute, beside one of its values: nothing, more or less of it than
# the reference has, or one of several values.
UNSAID, MORE, LESS, SEVERAL = range(4)
_BESIDE_VALUES = 4


def encode_modification(reference: Garment, wish: Modification) -> list[int]:
    """What `wish` asks of the category and every attribute, in `label_vocabulary`'s order.

    A number is one of the above, or, from 4 on, that of the one value asked for.
    """
    row = []
    for name, values in label_vocabulary().items():
        allowed = wish.allowed.get(name)
        if name == "category":
            allowed = (
                wish.allowed_categories(reference) if wish.changes_category(reference) else None
            )
        if allowed is None:
            row.append(UNSAID)
        elif name in wish.relative and name in ORDERED:
            order = ORDERED[name]
            row.append(
                MORE if min(map(order.index, allowed)) > order.index(reference[name]) else LESS
            )
        elif len(allowed) == 1:
            row.append(_BESIDE_VALUES + values.index(next(iter(allowed))))
        else:
            row.append(SEVERAL)
    return row


@dataclass(frozen=True)
class TextTuningBatch:
    """B texts as CLIP's tokens (B, L), and its features (B, F) of the picture that belongs to each.

    The first W texts are wishes, and `labels` (W, heads) are theirs, as `encode_wish` makes them.
    """

    input_ids: Tensor
    attention_mask: Tensor
    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "TextTuningBatch":
        """The same batch on a device."""
        return TextTuningBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class TextTuningSettings:
    """AdamW with warm-up and cosine; `scale` is that of the cosines between texts and pictures.

    `naming_weight` is that of what wishes ask, summed over the attributes, beside the contrastive
    loss.
    """

    total_steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    max_gradient_norm: float = 1.0
    scale: float = 40.0
    naming_weight: float = 0.5


class _TextTuner(nn.Module):
    """The text tower, and a linear head for each attribute on its features."""

    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.clip = clip
        self.heads = nn.ModuleList(
            nn.Linear(clip.config.projection_dim, _BESIDE_VALUES + len(values))
            for values in label_vocabulary().values()
        )

    def forward(self, batch: TextTuningBatch) -> tuple[Tensor, list[Tensor]]:
        """Features (B, F) of the texts, and what is said of each attribute by the wishes."""
        features = self.clip.text_features(batch.input_ids, batch.attention_mask)
        wishes = len(batch.labels)
        return features, [head(features[:wishes]) for head in self.heads]


def tune_text_tower(
    clip: ClipBackbone,
    batches: Callable[[int], TextTuningBatch],
    settings: TextTuningSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "reading",
) -> dict[str, float]:
    """Train the text tower of `clip` in place; the image tower stays as it is."""
    reader = _TextTuner(clip)
    for name, parameter in clip.named_parameters():
        parameter.requires_grad_(name.startswith("text_"))
    learner = OptimizerStep(reader, settings, accelerator, betas=(0.9, 0.98))
    scale = torch.tensor(settings.scale, device=accelerator.device)

    def step(number: int) -> dict[str, float]:
        batch = batches(number).to(accelerator.device)
        # As in the contrastive stage: the plain attention's backward pass is the faster one.
        with accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            features, said = learner.module(batch)
        images = normalize(batch.images)
        contrast = image_text_loss(images, normalize(features.float()), scale)
        naming = torch.stack(
            [
                functional.cross_entropy(guess.float(), wanted)
                for guess, wanted in zip(said, batch.labels.unbind(dim=1), strict=True)
            ]
        ).sum()
        loss = contrast + settings.naming_weight * naming
        learner.learn(loss)
        right = torch.stack([guess.argmax(dim=-1) for guess in said], dim=1) == batch.labels
        return {
            "contrast": float(contrast.detach()),
            "naming": float(naming.detach()),
            "read_right": float(right.all(dim=1).float().mean()),
        }

    return run_stage(stage, accelerator, step, loop)
