"""Caches of features of frozen image and text encoders ("towers"), which make training faster.

For drawings, the cached features of an image form one row: CLIP's features, followed by the
flattened last feature map of the CNN stream's ResNet. A batch contains such rows instead of pixels,
and cached text features instead of token ids. `with_cached_features` replaces the model's towers
with stand-ins that accept cached features, so that training with and without caches uses the same
loop. There are three kinds of cache:

- `cache_image_features`, `cache_text_features`: features of drawings and texts, for both streams;
- `cache_tower_inputs`: inputs of the image tower's last layer, for PL (Progressive Learning);
- `cache_clip_features`: CLIP's features of a benchmark's images and texts (`ClipFeatureTable`).

In shapes, F is the size of CLIP's features, and C, h, w are channels, height and width of the
ResNet's last feature map. N is the number of rows.
"""

import copy
import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from transformers import ResNetModel

from dwc.catalogue.language.description import describe
from dwc.datasets.image_prefetch import ImagePrefetcher
from dwc.errors import ImageError, QueryError
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.efficientnet_lite import ConvolutionNorm, EfficientNetLiteTower, reduced
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.modified_resnet import ModifiedResNet
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.progress import track
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.drawn_pool import DrawnPool, PoolTriplet
from dwc.training.catalogue.recipe import MEAN, PICTURE_PX, STD
from dwc.training.loop import autocast_bfloat16, has_fast_bfloat16
from dwc.training.run_dir import append_log, new_array_file

logger = logging.getLogger(__name__)

Preprocessing = tuple[int, Sequence[float], Sequence[float]]
"""Side of the square images in pixels, and mean and standard deviation of each channel."""

_CHUNK = 500  # images or texts per forward pass
_FUSED_CHUNK = 8  # images per forward pass of EfficientNet-Lite; its maps then fit into the caches
_TABLE_CHUNK = 64  # full-size benchmark images per forward pass


class ImagePool(Protocol):
    """Interface of a set of images whose features can be cached, such as drawings."""

    @property
    def images(self) -> int:
        """Number of images."""

    def take(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return N images (N, 3, H, W) of height H and width W, uint8.

        Args:
            indices: Indices of the images (N,).
            generator: Source of random choices, for sets that have several images per index, such
                as drawings in several styles.
        """


@dataclass(frozen=True)
class CachedTexts:
    """CLIP features and word ids of T texts of at most L words; F is the size of CLIP's features.

    Attributes:
        features: CLIP's text features (T, F).
        words: Word ids for the CNN stream (T, L), padded on the right.
        lengths: Number of words in each text (T,).
    """

    features: Tensor
    words: Tensor
    lengths: Tensor

    def take(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the inputs of `DWCModel.compose` for the texts with the given indices (N,).

        CLIP's features replace the token ids. Word ids are padded to the longest of the N texts.
        """
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
    """Cached features of drawings, for several augmented copies ("views") of every drawing.

    Attributes:
        rows: One row per view and image (views, images, F + C h w): CLIP's F features, then the
            ResNet's flattened last feature map with C channels, height h and width w.
        map_shape: Shape (C, h, w) of the ResNet's last feature map.
    """

    rows: Tensor
    map_shape: tuple[int, int, int]

    @property
    def count(self) -> int:
        """Number of images."""
        return self.rows.shape[1]

    @property
    def feature_dim(self) -> int:
        """Length F of CLIP's feature vector of an image.

        An image's row consists of this vector and the ResNet's flattened feature map.
        """
        channels, height, width = self.map_shape
        return self.rows.shape[-1] - channels * height * width

    def sample(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return one cached row per image, in float32, each of a random view (augmented copy).

        Args:
            indices: Indices of N images (N,).
            generator: Source of random choices.

        Returns:
            Rows (N, F + C h w): CLIP's F features, then the ResNet's flattened feature map with C
            channels, height h and width w.
        """
        views = torch.randint(0, len(self.rows), (len(indices),), generator=generator)
        return self.rows[views, indices].float()


@dataclass(frozen=True)
class CachedPool:
    """Cached features of a pool of drawings and of T training triplets of these drawings.

    Attributes:
        images: Cached features of the drawings.
        references: Image indices of the reference images (T,).
        targets: Image indices of the target images (T,).
        modifications: Cached features of the T modification texts.
        descriptions: Cached features of one description per image.
    """

    images: CachedImages
    references: Tensor
    targets: Tensor
    modifications: CachedTexts
    descriptions: CachedTexts


class CachedClip(nn.Module):
    """Stand-in for CLIP that takes rows of cached features instead of pixels and token ids.

    The row of an image begins with CLIP's features; the row of a text consists of CLIP's features.
    """

    vision_model = None  # there are no feature maps to share with the CNN stream

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim

    def image_features(self, rows: Tensor) -> Tensor:
        """Return CLIP's features (N, F), the first F columns of the cached rows of N images."""
        return rows[:, : self.feature_dim]

    def text_features(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the cached features (N, F) of N texts unchanged; the mask is ignored."""
        return features


class CachedFeatureMaps(nn.Module):
    """Stand-in for the CNN stream's ResNet that returns the feature maps stored in cached rows."""

    def __init__(self, map_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.map_shape = map_shape

    def forward(self, rows: Tensor) -> SimpleNamespace:
        """Return the feature maps that N cached rows contain.

        Args:
            rows: The rows (N, F + C h w): CLIP's F features, then the ResNet's flattened feature
                map.

        Returns:
            An object whose `last_hidden_state` is the maps (N, C, h, w) of C channels, height h and
            width w.
        """
        size = self.map_shape[0] * self.map_shape[1] * self.map_shape[2]
        return SimpleNamespace(last_hidden_state=rows[:, -size:].unflatten(1, self.map_shape))


class CachedTowers(nn.Module):
    """Trainable stand-in for CLIP that takes cached inputs of its last image layer, not pixels.

    The stand-in has this layer and the whole text encoder of a CLIP model. It shares the parameters
    with that model, so training also changes the model. See `cache_tower_inputs`.
    """

    def __init__(self, clip: ClipBackbone) -> None:
        super().__init__()
        self.text_model, self.text_projection = clip.text_model, clip.text_projection
        self.image_layer = last_image_layer(clip)
        self.logit_scale = clip.logit_scale
        self._encode_texts = clip.text_features

    def image_features(self, inputs: Tensor) -> Tensor:
        """Map inputs of the last image layer to image features: (N, K) to (N, F).

        N is the number of images, K the layer's input size and F the size of the features.
        """
        return self.image_layer(inputs)

    def text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return the features (N, F) of N texts, F features per text.

        The texts are given as token ids (N, L), padded to L tokens, and as a mask (N, L) that is 1
        on tokens and 0 on padding.
        """
        return self._encode_texts(input_ids, attention_mask)


@contextmanager
def with_cached_features(model: DWCModel, cached: CachedPool) -> Iterator[DWCModel]:
    """Let a model take cached features instead of pixels and token ids in the `with` block.

    In the block, stand-ins replace CLIP and the CNN stream's ResNet. After the block, CLIP and the
    ResNet are back in the model, unchanged by any training in the block.
    """
    assert model.clip is not None, "features are cached for both streams; this model lacks CLIP's"
    assert model.cnn_stream is not None, "features are cached for both streams; this model has one"
    clip, resnet = model.clip, model.cnn_stream.resnet
    model.clip = cast(ClipBackbone, CachedClip(cached.images.feature_dim))
    model.cnn_stream.resnet = cast(ResNetModel, CachedFeatureMaps(cached.images.map_shape))
    try:
        yield model
    finally:
        model.clip, model.cnn_stream.resnet = clip, resnet


def cache_view_features(
    pool: ImagePool,
    views: int,
    seed: int,
    preprocessing: Preprocessing,
    compute: Callable[[Tensor], Tensor],
    file: Path,
) -> None:
    """Compute features of augmented copies ("views") of every image and write them to a file.

    Args:
        pool: The images.
        views: Number of views per image, each with a random augmentation.
        seed: Seed of the random augmentation.
        preprocessing: Size and normalization of the views.
        compute: Function that maps pixels (N, 3, side, side) to N feature vectors of length K,
            (N, K).
        file: Path of the .npy file to write: (views, images, K) in float16.

    Raises:
        TrainingError: the disk has too little space.
    """
    side, mean, std = preprocessing
    generator = torch.Generator().manual_seed(seed)

    def features(indices: Tensor) -> np.ndarray:
        pixels = random_views(pool.take(indices, generator), side, generator, mean, std)
        return compute(pixels).half().cpu().numpy()

    chunks = torch.arange(pool.images).split(_CHUNK)
    steps = iter(
        track([(v, chunk) for v in range(views) for chunk in chunks], "caching images", logger)
    )
    first_view, first_chunk = next(steps)
    first = features(first_chunk)
    shape = (views, pool.images, first.shape[1])
    with new_array_file(file, shape, np.float16) as rows:
        rows[first_view, : len(first_chunk)] = first
        for view, indices in steps:
            rows[view, indices[0] : indices[-1] + 1] = features(indices)


@torch.inference_mode()
def cache_image_features(
    model: DWCModel, pool: DrawnPool, views: int, seed: int, folder: Path
) -> CachedImages:
    """Return CLIP's and the ResNet's features of several augmented copies of every drawing.

    The features are stored in a file. If there is already a file for the same CLIP, ResNet,
    drawings, number of views and seed, the features are loaded from that file instead.

    Args:
        model: Model with both streams; its CLIP and ResNet compute the features. It is left in eval
            mode.
        pool: The drawings.
        views: Number of augmented copies ("views") of each drawing.
        seed: Seed of the random augmentation.
        folder: Folder of the file.
    """
    model.eval()
    assert model.clip is not None
    assert model.cnn_stream is not None
    model.clip.to(memory_format=torch.channels_last)
    resnet = model.cnn_stream.resnet.to(memory_format=torch.channels_last)

    def compute(pixels: Tensor) -> Tensor:
        with autocast_bfloat16(model.device.type):
            return tower_features(model, pixels.to(model.device))

    file = folder / f"image-features-{_image_cache_name(model, pool, views, seed)}.npy"
    if not file.exists():
        with _timed(folder, "pictures", views * len(pool.items)):
            cache_view_features(pool, views, seed, (PICTURE_PX, MEAN, STD), compute, file)
    blank = torch.zeros(1, 3, PICTURE_PX, PICTURE_PX, device=model.device)
    _, channels, height, width = resnet(blank).last_hidden_state.shape
    return CachedImages(torch.from_numpy(np.load(file)), (channels, height, width))


def tower_features(model: DWCModel, pixel_values: Tensor) -> Tensor:
    """Compute CLIP's and the ResNet's features of N images, in one row per image.

    Args:
        model: Model with both streams, on the device of the pixels.
        pixel_values: Normalized images (N, 3, height, width).

    Returns:
        Rows (N, F + C h w) in float32: CLIP's F features, then the ResNet's flattened feature map
        with C channels, height h and width w.
    """
    assert model.clip is not None
    assert model.cnn_stream is not None
    maps = model.cnn_stream.resnet(pixel_values).last_hidden_state
    features = model.clip.image_features(pixel_values)
    return torch.cat([features.float(), maps.float().flatten(1)], dim=1)


@torch.inference_mode()
def cache_text_features(
    model: DWCModel,
    processor: DWCProcessor,
    images: CachedImages,
    pool: DrawnPool,
    triplets: Sequence[PoolTriplet],
    seed: int,
    folder: Path,
) -> CachedPool:
    """Encode the texts of a pool of drawings; return their features with the image features.

    The texts are the modification text of every triplet and a random description of every drawing.

    Args:
        model: Model whose CLIP encodes the texts; left in eval mode.
        processor: Processor that tokenizes the texts.
        images: Cached image features to include in the result.
        pool: The drawings.
        triplets: Triplets of the pool's images.
        seed: Seed of the random descriptions.
        folder: Folder of the log "keeping.jsonl", to which a line with the run time is appended.
            The features are not written to disk.
    """
    model.eval()
    template = model.config.caption_template
    modifications = [fill_template(template, text.captions) for _, _, text in triplets]
    rng = random.Random(f"{seed}/descriptions")
    descriptions = [describe(item.garment, rng) for item in pool.items]
    with _timed(folder, "texts", len(modifications) + len(descriptions)):
        return CachedPool(
            images=images,
            references=torch.tensor([reference for reference, _, _ in triplets]),
            targets=torch.tensor([target for _, target, _ in triplets]),
            modifications=encode_texts(model, processor, modifications),
            descriptions=encode_texts(model, processor, descriptions),
        )


@torch.inference_mode()
def encode_texts(model: DWCModel, processor: DWCProcessor, texts: Sequence[str]) -> CachedTexts:
    """Encode texts with CLIP and with the word tokenizer of the CNN stream.

    Args:
        model: Model whose CLIP encodes the texts.
        processor: The processor, whose two tokenizers are used.
        texts: The texts, to which the caption template has been applied already.

    Returns:
        CLIP features and word ids of the texts, on the CPU.
    """
    assert model.clip is not None
    # Sorted by length, since a batch is padded to its longest text.
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    chunks = [order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK)]
    features = torch.zeros(len(texts), model.clip.config.projection_dim)
    lengths = torch.zeros(len(texts), dtype=torch.long)
    words = []
    for chunk in track(chunks, "caching texts", logger):
        inputs = processor(text=[texts[row] for row in chunk]).to(model.device)
        with autocast_bfloat16(model.device.type):
            encoded = model.clip.text_features(
                inputs["clip_input_ids"], inputs["clip_attention_mask"]
            )
        features[chunk] = encoded.float().cpu()
        lengths[chunk] = inputs["word_mask"].sum(dim=1).cpu()
        words.append(inputs["word_ids"].int().cpu())
    padded = torch.zeros(len(texts), max(part.shape[1] for part in words), dtype=torch.int32)
    for chunk, part in zip(chunks, words, strict=True):
        padded[chunk, : part.shape[1]] = part
    return CachedTexts(features, padded, lengths)


@contextmanager
def _timed(folder: Path, kind: str, count: int) -> Iterator[None]:
    """Append the duration of the `with` block to the log of the stage "keeping".

    "keeping" is the published name of the caching of features. Published files contain this name,
    so it must not change.

    Args:
        folder: Folder of the log.
        kind: Kind of the cached data, "pictures" or "texts".
        count: Number of images or texts.
    """
    start = time.monotonic()
    yield
    seconds = round(time.monotonic() - start, 1)
    append_log(folder, "keeping", {"step": count, "seconds": seconds, "kept": kind})


def weights_digest(
    modules: Iterable[nn.Module], header: bytes = b"", skipped_prefix: str | None = None
) -> str:
    """Return a hash of 12 hex digits that changes if a parameter or buffer of the modules changes.

    Args:
        modules: Modules whose tensors are hashed together with their names, in this order.
        header: Bytes to hash before the modules, so that the result also depends on them.
        skipped_prefix: Tensors whose names begin with this prefix are not hashed; None to hash all.
    """
    digest = hashlib.sha256(header)
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            if skipped_prefix is None or not name.startswith(skipped_prefix):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _image_cache_name(model: DWCModel, pool: DrawnPool, views: int, seed: int) -> str:
    """Return a hash of 12 hex digits that identifies the cached image features.

    The hash depends on the networks, the settings and a sample of the drawings.
    """
    assert model.clip is not None
    assert model.cnn_stream is not None
    settings = repr((views, seed, PICTURE_PX, MEAN, STD, pool.items[-1])).encode()
    drawings = np.ascontiguousarray(pool.pictures[:, ::997].numpy()).tobytes()
    towers = (model.clip, model.cnn_stream.resnet)
    return weights_digest(towers, settings + drawings, skipped_prefix="text_")


def last_image_layer(clip: ClipBackbone) -> nn.Linear:
    """Return the last layer of CLIP's image tower (image encoder), a linear layer."""
    if isinstance(clip.vision_model, ModifiedResNet):
        return clip.vision_model.attention_pool.projection
    if isinstance(clip.vision_model, EfficientNetLiteTower):
        return clip.vision_model.projection
    assert clip.visual_projection is not None  # the other towers have it
    return clip.visual_projection


@torch.no_grad()
def last_layer_inputs(clip: ClipBackbone, pixel_values: Tensor) -> Tensor:
    """Run CLIP's image encoder on N images, and return the inputs of its last layer.

    Args:
        clip: CLIP, on the device of the pixels.
        pixel_values: Normalized images (N, 3, H, W) of height H and width W.

    Returns:
        The inputs (N, K), where K is the layer's input size.
    """
    return input_of(last_image_layer(clip), lambda: clip.image_features(pixel_values))


def input_of(layer: nn.Module, call: Callable[[], object]) -> Tensor:
    """Run `call` and return the input that `layer` gets; `call` must use the layer exactly once."""
    inputs: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    try:
        call()
    finally:
        hook.remove()
    return inputs[0]


def _fuse_norms(backbone: nn.Module) -> nn.Module:
    """Return a copy of EfficientNet-Lite with its batch norms merged into convolutions.

    The copy computes in bfloat16 if the CPU is fast at it. On such CPUs, its forward pass takes
    half as long as the original's.
    """
    fused = copy.deepcopy(backbone).eval()
    fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in fused.modules():
        if isinstance(module, ConvolutionNorm):
            module.convolution = fuse_conv_bn_eval(module.convolution, module.normalization)
            module.normalization = cast(nn.BatchNorm2d, nn.Identity())
    return fused.bfloat16() if has_fast_bfloat16("cpu") else fused


def _fused_inputs(clip: ClipBackbone) -> Callable[[Tensor], Tensor]:
    """Return a faster, less precise version of `last_layer_inputs` for an EfficientNet-Lite.

    The function takes normalized images (N, 3, H, W) and returns the inputs (N, K) of the last
    layer of CLIP's image encoder. This encoder must be an EfficientNet-Lite, with or without a
    second, small network for details. The EfficientNet-Lite has its batch norms fused into the
    convolutions, and computes in bfloat16 if the CPU is fast at it. The small network computes in
    float32, where it is faster.
    """
    tower = clip.vision_model
    assert isinstance(tower, EfficientNetLiteTower)
    backbone, detail = _fuse_norms(tower.backbone), tower.detail
    dtype = next(backbone.parameters()).dtype

    @torch.no_grad()
    def compute(chunk: Tensor) -> Tensor:
        pixels = chunk.contiguous(memory_format=torch.channels_last)
        maps = backbone(pixels.to(dtype)).last_hidden_state
        features = maps.float().mean(dim=(2, 3))  # (N, C)
        if detail is None:
            return features
        small = reduced(pixels, tower.detail_size).contiguous(memory_format=torch.channels_last)
        return torch.cat([features, detail(small)], dim=1)

    return lambda pixels: torch.cat([compute(chunk) for chunk in pixels.split(_FUSED_CHUNK)])


def cache_tower_inputs(
    clip: ClipBackbone,
    pool: ImagePool,
    views: int,
    seed: int,
    preprocessing: Preprocessing,
    folder: Path,
    name: str,
    mixed_precision: str = "no",
) -> Tensor:
    """Compute the inputs of CLIP's last image layer for augmented copies of every image.

    CLIP's image encoder ("tower") takes nearly all the time of a training step. If the CLIP model
    is already trained on similar images, all of the image tower except its last layer can remain
    frozen. The inputs of that layer are then computed once, for a few augmented copies ("views") of
    every image, and only the layer and the text encoder are trained.

    Args:
        clip: The CLIP model; left in eval mode.
        pool: The images.
        views: Number of views per image, each with a random augmentation.
        seed: Seed of the random augmentation.
        preprocessing: Size and normalization of the views.
        folder: Folder of the cache file; an existing file is loaded instead of recomputed.
        name: Part of the file's name. It must be different if CLIP, pool, preprocessing, number of
            views or seed are different.
        mixed_precision: Precision of the forward pass, "no" (float32) or "bf16".

    Returns:
        The inputs (views, images, K) in float16, on the CPU; K is the layer's input size.
    """
    file = folder / f"tower-inputs-{name}.npy"
    if not file.exists():
        clip.eval()
        device, is_bf16 = clip.logit_scale.device, mixed_precision == "bf16"
        if is_bf16 and isinstance(clip.vision_model, EfficientNetLiteTower):
            fused = _fused_inputs(clip)

        def compute(pixels: Tensor) -> Tensor:
            if is_bf16 and isinstance(clip.vision_model, EfficientNetLiteTower):
                return fused(pixels.to(device))
            with autocast_bfloat16(device.type, is_bf16):
                return last_layer_inputs(clip, pixels.to(device))

        cache_view_features(pool, views, seed, preprocessing, compute, file)
    return torch.from_numpy(np.load(file))


@dataclass(frozen=True)
class ClipFeatureTable:
    """Files with CLIP's features of a benchmark's images and texts.

    CLIP is frozen, and training uses an image either unchanged or mirrored. Once the features of
    both are in the files, training steps need no forward pass of CLIP. Files are opened only when
    features are loaded, so that a table can be sent to another process at almost no cost.

    Attributes:
        images_file: File with image features (images * views, F), where F is the size of CLIP's
            features.
        rows: Image name -> index of the image. The file's row `index * views` has the features of
            the image. If `views` is 2, the next row has the features of the mirrored image.
        views: Rows per image: 1, or 2 if mirrored images are included.
        texts_file: File with text features (triplets, F); None if triplets have random texts.
    """

    images_file: Path
    rows: Mapping[str, int]
    views: int
    texts_file: Path | None

    def images(self, names: Sequence[str], mirrored: Sequence[bool]) -> Tensor:
        """Return CLIP's features (N, F) of N images, in float32; F is the size of the features.

        Args:
            names: Names of the images.
            mirrored: For each image, whether to return the features of the mirrored image.
        """
        rows = [
            self.rows[name] * self.views + int(is_mirrored)
            for name, is_mirrored in zip(names, mirrored, strict=True)
        ]
        return torch.from_numpy(_mapped(self.images_file)[rows])

    def texts(self, triplets: Sequence[int]) -> Tensor | None:
        """Return CLIP's text features (N, F) of N triplets, F features per text, in float32.

        The result is None if the table has no text features.

        Args:
            triplets: Indices of the triplets.
        """
        if self.texts_file is None:
            return None
        return torch.from_numpy(_mapped(self.texts_file)[list(triplets)])


@lru_cache(maxsize=8)
def _mapped(file: Path) -> np.ndarray:
    return np.load(file, mmap_mode="r")


def cache_clip_features(
    clip: ClipBackbone,
    processor: DWCProcessor,
    images: Mapping[str, Path],
    mirrored: bool,
    texts: Sequence[str] | None,
    folder: Path,
    accelerator: Accelerator,
    threads: int,
) -> ClipFeatureTable:
    """Return a table of CLIP's features of images and texts; compute the files that are missing.

    If there are several processes, only the first computes features. Images that cannot be read and
    texts that cannot be tokenized get rows of NaN instead of causing an error.

    Args:
        clip: The frozen CLIP model.
        processor: Image preprocessor and tokenizer.
        images: Image name -> image file.
        mirrored: Whether to include the features of the mirrored images.
        texts: The text of each triplet; None if triplets have random texts.
        folder: Folder of the feature files.
        accelerator: The accelerator with the processes and the precision of the forward passes.
        threads: Number of threads that load images.
    """
    table = ClipFeatureTable(
        folder / "clip_images.npy",
        {name: row for row, name in enumerate(images)},
        2 if mirrored else 1,
        folder / "clip_texts.npy" if texts is not None else None,
    )
    if accelerator.is_main_process:
        with accelerator.autocast():
            if not table.images_file.exists():
                with _new_table(table.images_file, len(images) * table.views, clip) as rows:
                    _compute_images(clip, processor, images, table.views, rows, threads)
            if texts is not None and table.texts_file and not table.texts_file.exists():
                with _new_table(table.texts_file, len(texts), clip) as rows:
                    _compute_texts(clip, processor, texts, rows)
    accelerator.wait_for_everyone()
    return table


@contextmanager
def _new_table(file: Path, count: int, clip: ClipBackbone) -> Iterator[np.ndarray]:
    """Yield an array for CLIP's features, initialized with NaN, and save it after the `with` block.

    The array's shape is (count, F), where F is the size of CLIP's features.
    """
    shape = (count, clip.config.projection_dim)
    with new_array_file(file, shape, np.float32) as rows:
        rows[:] = np.nan
        yield rows
    logger.info("%s: CLIP's features of %s, %.0f MB", file, f"{count:,}", rows.nbytes / 1e6)


@torch.no_grad()
def _compute_images(
    clip: ClipBackbone,
    processor: DWCProcessor,
    files: Mapping[str, Path],
    views: int,
    rows: np.ndarray,
    threads: int,
) -> None:
    device = next(clip.parameters()).device
    names = list(files)
    starts = range(0, len(names), _TABLE_CHUNK)
    with ImagePrefetcher(files, names, threads) as open_image:
        for start in track(starts, "caching CLIP's features, images", logger):
            images: list[Image.Image] = []
            filled: list[int] = []
            for index, name in enumerate(names[start : start + _TABLE_CHUNK], start):
                try:
                    image = open_image(name)
                except ImageError:
                    continue
                images += [image, ImageOps.mirror(image)][:views]
                filled += range(index * views, (index + 1) * views)
            if images:
                pixels = processor(images=images)["pixel_values"]
                pixels = pixels.to(device, memory_format=torch.channels_last)
                rows[filled] = clip.image_features(pixels).float().cpu().numpy()


@torch.no_grad()
def _compute_texts(
    clip: ClipBackbone, processor: DWCProcessor, texts: Sequence[str], rows: np.ndarray
) -> None:
    device = next(clip.parameters()).device

    def compute(start: int, end: int) -> None:
        inputs = processor(text=list(texts[start:end])).to(device)
        features = clip.text_features(inputs["clip_input_ids"], inputs["clip_attention_mask"])
        rows[start:end] = features.float().cpu().numpy()

    starts = range(0, len(texts), _TABLE_CHUNK)
    for start in track(starts, "caching CLIP's features, texts", logger):
        end = min(start + _TABLE_CHUNK, len(texts))
        try:
            compute(start, end)
        except QueryError:
            for index in range(start, end):
                with suppress(QueryError):
                    compute(index, index + 1)
