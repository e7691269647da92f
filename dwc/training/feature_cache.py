"""What frozen towers make of pictures and texts, kept: then a step costs what its head costs.

A kept picture is one row, CLIP's features and behind them the ResNet's last map; it stands where
pixels would. A kept text's features stand where CLIP's token ids would. So the same loop trains a
model on what is kept as on pixels, its towers replaced for the while by `standing_in`.

Random views of every drawing of a pool, each looked at once; what was seen is kept in a file.

What frozen towers make of a pool of drawings and its texts, computed: each goes through once.
"""

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import ResNetModel

from dwc.catalogue.language.description import describe
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.drawn_pool import DrawnPool, PoolTriplet
from dwc.training.catalogue.recipe import MEAN, PICTURE_PX, STD


@dataclass(frozen=True)
class CachedTexts:
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
class CachedImages:
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
class CachedPool:
    """A pool of drawings, triplets over it and their wishes, as frozen towers made them.

    `references` and `targets` (T,) are pictures, row by row with `wishes`; `descriptions` has one
    of every picture.
    """

    pictures: CachedImages
    references: Tensor
    targets: Tensor
    wishes: CachedTexts
    descriptions: CachedTexts


class CachedClip(nn.Module):
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


class CachedFeatureMaps(nn.Module):
    """A ResNet to which pictures come as kept rows, which end in its last map."""

    def __init__(self, map_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.map_shape = map_shape

    def forward(self, pictures: Tensor) -> SimpleNamespace:
        """Rows (N, F + C h w) -> the map (N, C, h, w), as the ResNet hands it over."""
        size = self.map_shape[0] * self.map_shape[1] * self.map_shape[2]
        return SimpleNamespace(last_hidden_state=pictures[:, -size:].unflatten(1, self.map_shape))


@contextmanager
def with_cached_features(model: DWCModel, kept: CachedPool) -> Iterator[DWCModel]:
    """The model with kept pictures and texts for its towers; they are back at the end, as before.

    The CNN stream's ResNet is frozen that way, like CLIP.
    """
    assert model.clip is not None, "what is kept is of both streams; this model lacks CLIP's"
    assert model.cnn_stream is not None, "what is kept is of both streams; this model lacks the CNN"
    clip, resnet = model.clip, model.cnn_stream.resnet
    model.clip = cast(ClipBackbone, CachedClip(kept.pictures.feature_dim))
    model.cnn_stream.resnet = cast(ResNetModel, CachedFeatureMaps(kept.pictures.map_shape))
    try:
        yield model
    finally:
        model.clip, model.cnn_stream.resnet = clip, resnet


logger = logging.getLogger(__name__)

Chunk = TypeVar("Chunk")
CHUNK = 500  # pictures, or texts, that go through in one go


def cache_view_features(
    pool: DrawnPool,
    views: int,
    seed: int,
    preprocessing: tuple[int, Sequence[float], Sequence[float]],
    look: Callable[[Tensor], Tensor],
    file: Path,
) -> None:
    """Write `look` of `views` random views of every drawing, (views, items, K) float16.

    `look` takes pixels (N, 3, side, side) and gives (N, K); `preprocessing` is the side, mean and
    standard deviation. The file has another name until it is whole.
    """
    side, mean, std = preprocessing
    generator = torch.Generator().manual_seed(seed)
    items = len(pool.items)
    chunks = [
        (view, places) for view in range(views) for places in torch.arange(items).split(CHUNK)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npy")
    rows: np.memmap | None = None
    for view, places in log_progress(chunks, "looking at pictures"):
        pixels = random_views(pool.take(places, generator), side, generator, mean, std)
        seen = look(pixels).half().cpu().numpy()
        if rows is None:
            shape = (views, items, seen.shape[1])
            rows = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        rows[view, places[0] : places[-1] + 1] = seen
    assert rows is not None, "a pool has drawings"
    rows.flush()
    partial.rename(file)


def log_progress(chunks: Sequence[Chunk], what: str) -> Iterator[Chunk]:
    """The chunks one by one; logs how many are done, and the time left."""
    began = time.monotonic()
    for done, chunk in enumerate(chunks, 1):
        yield chunk
        if done % 40 == 0 or done == len(chunks):
            left = (time.monotonic() - began) / done * (len(chunks) - done)
            logger.info("%s %d/%d, %.0f s left", what, done, len(chunks), left)


@torch.inference_mode()
def cache_image_features(
    model: DWCModel, pool: DrawnPool, views: int, seed: int, folder: Path
) -> CachedImages:
    """Look at `views` random views of every drawing with both image towers of `model`.

    The rows, float16, are kept in `folder`, and read back where they are there already and of
    these very towers. `model` is left in eval mode.
    """
    model.eval()
    assert model.clip is not None
    assert model.cnn_stream is not None
    model.clip.to(memory_format=torch.channels_last)
    resnet = model.cnn_stream.resnet.to(memory_format=torch.channels_last)

    def look(pixels: Tensor) -> Tensor:
        with torch.autocast(model.device.type, torch.bfloat16):
            return tower_features(model, pixels.to(model.device))

    file = folder / f"kept-{_name(model, pool, views, seed)}.npy"
    if not file.exists():
        with _logged(folder, "pictures", views * len(pool.items)):
            cache_view_features(pool, views, seed, (PICTURE_PX, MEAN, STD), look, file)
    blank = torch.zeros(1, 3, PICTURE_PX, PICTURE_PX, device=model.device)
    _, channels, height, width = resnet(blank).last_hidden_state.shape
    return CachedImages(torch.from_numpy(np.load(file)), (channels, height, width))


def tower_features(model: DWCModel, pixel_values: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) -> (N, F + C h w), CLIP's features and the ResNet's last map."""
    assert model.clip is not None
    assert model.cnn_stream is not None
    maps = model.cnn_stream.resnet(pixel_values).last_hidden_state
    features = model.clip.image_features(pixel_values)
    return torch.cat([features.float(), maps.float().flatten(1)], dim=1)


@torch.inference_mode()
def cache_text_features(
    model: DWCModel,
    processor: DWCProcessor,
    pictures: CachedImages,
    pool: DrawnPool,
    triplets: Sequence[PoolTriplet],
    seed: int,
    folder: Path,
) -> CachedPool:
    """Read the wish of every triplet, and a description of every drawing, and keep all together."""
    model.eval()
    template = model.config.caption_template
    wishes = [fill_template(template, wish.captions) for _, _, wish in triplets]
    rng = random.Random(f"{seed}/descriptions")
    descriptions = [describe(item.garment, rng) for item in pool.items]
    with _logged(folder, "texts", len(wishes) + len(descriptions)):
        return CachedPool(
            pictures=pictures,
            references=torch.tensor([reference for reference, _, _ in triplets]),
            targets=torch.tensor([target for _, target, _ in triplets]),
            wishes=encode_texts(model, processor, wishes),
            descriptions=encode_texts(model, processor, descriptions),
        )


@torch.inference_mode()
def encode_texts(model: DWCModel, processor: DWCProcessor, texts: Sequence[str]) -> CachedTexts:
    """Texts as CLIP and the word tokenizer read them, in their order; the template is applied."""
    assert model.clip is not None
    # By length, since a batch is as long as its longest.
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    chunks = [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]
    features = torch.zeros(len(texts), model.clip.config.projection_dim)
    lengths = torch.zeros(len(texts), dtype=torch.long)
    words = []
    for chunk in log_progress(chunks, "keeping texts"):
        inputs = processor(text=[texts[row] for row in chunk]).to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16):
            read = model.clip.text_features(inputs["clip_input_ids"], inputs["clip_attention_mask"])
        features[chunk] = read.float().cpu()
        lengths[chunk] = inputs["word_mask"].sum(dim=1).cpu()
        words.append(inputs["word_ids"].int().cpu())
    padded = torch.zeros(len(texts), max(part.shape[1] for part in words), dtype=torch.int32)
    for chunk, part in zip(chunks, words, strict=True):
        padded[chunk, : part.shape[1]] = part
    return CachedTexts(features, padded, lengths)


@contextmanager
def _logged(folder: Path, what: str, count: int) -> Iterator[None]:
    """One line in `folder/keeping.jsonl` when it is done: how many of what, in how long."""
    began = time.monotonic()
    yield
    line = {"step": count, "seconds": round(time.monotonic() - began, 1), "kept": what}
    with (folder / "keeping.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def _name(model: DWCModel, pool: DrawnPool, views: int, seed: int) -> str:
    """12 hex digits of all that decides what is kept of the pictures."""
    digest = hashlib.sha256(repr((views, seed, PICTURE_PX, MEAN, STD, pool.items[-1])).encode())
    digest.update(np.ascontiguousarray(pool.pictures[:, ::997].numpy()).tobytes())
    assert model.clip is not None
    assert model.cnn_stream is not None
    for tower in (model.clip, model.cnn_stream.resnet):
        for name, tensor in sorted(tower.state_dict().items()):
            if not name.startswith("text_"):  # what CLIP reads with says nothing of pictures
                digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
