"""What frozen towers make of pictures and texts, kept: then a step costs what its head costs.

A kept picture is one row, CLIP's features and behind them the ResNet's last map; it stands where
pixels would. A kept text's features stand where CLIP's token ids would. So the same loop trains a
model on what is kept as on pixels, its towers replaced for the while by `standing_in`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import torch
from torch import Tensor, nn
from transformers import ResNetModel

from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.model import DWCModel


@dataclass(frozen=True)
class KeptTexts:
    """T texts: CLIP's `features` (T, F), and `words` (T, L), of which `lengths` (T,) are words."""

    features: Tensor
    words: Tensor
    lengths: Tensor

    def take(self, rows: Tensor) -> dict[str, Tensor]:
        """What a group of queries has for texts; see `TripletBatch`."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        features = self.features[rows].float()
        return {
            "clip_input_ids": features,
            "clip_attention_mask": torch.ones(len(rows), 1, dtype=torch.long),
            "word_ids": self.words[rows, :longest].long(),
            "word_mask": torch.arange(longest) < lengths[:, None],
        }


@dataclass(frozen=True)
class KeptPictures:
    """Several views of every picture of a pool: `rows` (views, items, F + C h w).

    `map_shape` is (C, h, w).
    """

    rows: Tensor
    map_shape: tuple[int, int, int]

    @property
    def items(self) -> int:
        """How many pictures there are."""
        return self.rows.shape[1]

    @property
    def feature_dim(self) -> int:
        """F."""
        channels, height, width = self.map_shape
        return self.rows.shape[-1] - channels * height * width

    def look(self, items: Tensor, generator: torch.Generator) -> Tensor:
        """A random one of the kept views of each of `items` (N,): (N, F + C h w) float32."""
        views = torch.randint(0, len(self.rows), (len(items),), generator=generator)
        return self.rows[views, items].float()


@dataclass(frozen=True)
class KeptPool:
    """A pool of drawings, triplets over it and their wishes, as frozen towers made them.

    `references` and `targets` (T,) are pictures, row by row with `wishes`; `descriptions` has one
    of every picture.
    """

    pictures: KeptPictures
    references: Tensor
    targets: Tensor
    wishes: KeptTexts
    descriptions: KeptTexts


class KeptClip(nn.Module):
    """A CLIP to which pictures come as kept rows, and texts as its features."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim

    def image_features(self, pictures: Tensor) -> Tensor:
        """Rows (N, F + C h w) -> (N, F)."""
        return pictures[:, : self.feature_dim]

    def text_features(self, texts: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features (N, F), as they are."""
        return texts


class KeptMaps(nn.Module):
    """A ResNet to which pictures come as kept rows, which end in its last map."""

    def __init__(self, map_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.map_shape = map_shape

    def forward(self, pictures: Tensor) -> SimpleNamespace:
        """Rows (N, F + C h w) -> the map (N, C, h, w), as the ResNet hands it over."""
        size = self.map_shape[0] * self.map_shape[1] * self.map_shape[2]
        return SimpleNamespace(last_hidden_state=pictures[:, -size:].unflatten(1, self.map_shape))


@contextmanager
def standing_in(model: DWCModel, kept: KeptPool) -> Iterator[DWCModel]:
    """The model with kept pictures and texts for its towers; they are back at the end, as before.

    The CNN stream's ResNet is frozen that way, like CLIP.
    """
    assert model.clip is not None, "what is kept is of both streams; this model lacks CLIP's"
    assert model.cnn_stream is not None, "what is kept is of both streams; this model lacks the CNN"
    clip, resnet = model.clip, model.cnn_stream.resnet
    model.clip = cast(ClipBackbone, KeptClip(kept.pictures.feature_dim))
    model.cnn_stream.resnet = cast(ResNetModel, KeptMaps(kept.pictures.map_shape))
    try:
        yield model
    finally:
        model.clip, model.cnn_stream.resnet = clip, resnet
