"""PL's stage two: the space moves to fashion, by pre-training tasks; a reconstruction.

The paper's abstract says that there are fashion-related pre-training tasks. The three here are:

    image and description    symmetric InfoNCE
    image and image          symmetric InfoNCE over two pictures of each product
    image and tags           symmetric InfoNCE with attribute tags written out as text; a tag
                             belongs to every picture of the batch that has it
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from accelerate import Accelerator
from torch import Tensor, nn

from dwc.modeling.composition import normalise
from dwc.training.loop import LoopSettings
from dwc.training.progressive.losses import first_found, matching_loss, same
from dwc.training.progressive.towers import Towers, TowerSettings, cosine_scale, train_towers


@dataclass(frozen=True)
class FashionBatch:
    """Products: a picture, a description, and where there are any a second picture and tags.

    `pixels` and `other_pixels` (B, 3, H, W); `input_ids` and `attention_mask` (B, L) of the
    descriptions; `tag_ids` and `tag_mask` (T, L) of tags written out, `has_tag` (B, T) bool; and
    `labels` (B,), equal where rows are the same product.
    """

    pixels: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    other_pixels: Tensor | None = None
    tag_ids: Tensor | None = None
    tag_mask: Tensor | None = None
    has_tag: Tensor | None = None


@dataclass(frozen=True)
class FashionSettings(TowerSettings):
    """Weights of the image-image and the image-tag loss; that of the descriptions is 1.

    A weight of 0 leaves a task out. `image_scale` multiplies the cosines of two images, which lie
    closer together than an image and a text.
    """

    image_weight: float = 0.5
    tag_weight: float = 0.5
    image_scale: float = 10.0


@dataclass(frozen=True)
class FashionOutput:
    """Unit embeddings (B, D), of tags (T, D), and the `scale` () of images with texts."""

    images: Tensor
    texts: Tensor
    scale: Tensor
    others: Tensor | None = None
    tags: Tensor | None = None


class _Fashion(nn.Module):
    def __init__(self, clip: Towers, settings: FashionSettings) -> None:
        super().__init__()
        self.clip, self.settings = clip, settings

    def forward(self, batch: FashionBatch) -> FashionOutput:
        others = tags = None
        if batch.other_pixels is not None and self.settings.image_weight > 0:
            others = self._images(batch.other_pixels)
        if batch.tag_ids is not None and self.settings.tag_weight > 0:
            tags = self._texts(batch.tag_ids, batch.tag_mask)
        return FashionOutput(
            self._images(batch.pixels),
            self._texts(batch.input_ids, batch.attention_mask),
            cosine_scale(self.clip),
            others,
            tags,
        )

    def _images(self, pixels: Tensor) -> Tensor:
        return normalise(self.clip.image_features(pixels).float())

    def _texts(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        return normalise(self.clip.text_features(ids, mask).float())


def judge_fashion(
    output: FashionOutput, batch: FashionBatch, settings: FashionSettings
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of the tasks that the batch has, and each one by name."""
    products = same(batch.labels)  # (B, B)
    described = matching_loss(output.images, output.texts, products, output.scale)
    loss, numbers = described, {"described": float(described.detach())}
    if output.others is not None:
        seen_again = matching_loss(output.images, output.others, products, settings.image_scale)
        loss = loss + settings.image_weight * seen_again
        numbers["seen_again"] = float(seen_again.detach())
    if output.tags is not None and batch.has_tag is not None:
        tagged = matching_loss(output.images, output.tags, batch.has_tag, output.scale)
        loss = loss + settings.tag_weight * tagged
        numbers["tagged"] = float(tagged.detach())
    numbers["accuracy"] = first_found(output.images, output.texts, products)
    return loss, numbers


def train_fashion(
    clip: Towers,
    batches: Callable[[int], FashionBatch],
    settings: FashionSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
    stage: str = "fashion",
) -> dict[str, float]:
    """Train both towers of `clip` in place; see `train_towers`."""
    judge = partial(judge_fashion, settings=settings)
    return train_towers(
        stage, _Fashion(clip, settings), batches, judge, settings, accelerator, loop
    )
