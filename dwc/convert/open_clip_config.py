"""Settings of a CLIP that its tensors do not show: activation, heads, image preprocessing.

Read from open_clip's `open_clip_config.json` and transformers' `preprocessor_config.json`. A
setting that this converter does not know is an error: ignoring it would give another model.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from dwc.errors import CheckpointError, list_names
from dwc.modeling.configuration_dwc import ClipBackboneConfig, ModifiedResNetConfig

CONFIG_FILE = "open_clip_config.json"

_MODEL_FIELDS = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "init_logit_scale"}
_VISION_FIELDS = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
_TEXT_FIELDS = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}
# Fields that only matter in training, or that choose a tokenizer with CLIP's own merges.
_IGNORED_FIELDS = {"patch_dropout", "vocab_size_multiple", "custom_text"}
_PREPROCESS_FIELDS = {"size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"}
_RESAMPLING = {"bilinear": 2, "bicubic": 3, "random": 3}  # PIL's numbers
_CURE = "give --clip-config none to convert without this config, or the config of these weights"


class ImagePreprocessing(NamedTuple):
    """How a CLIP's images are prepared.

    Attributes:
        mean: Subtracted from the channels, which are in [0, 1].
        std: Divides them.
        squash: True resizes to a square whatever the shape, False the short side before a center
            crop.
        resize_px: Side of that square, or the short side.
        resample: PIL's number of the interpolation.
        origin: Where it is stated.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    squash: bool = False
    resize_px: int | None = None
    resample: int = 3
    origin: str = ""

    def describe(self) -> str:
        """One line for logs and cards."""
        resize = "resized to a square" if self.squash else "short side resized, center cropped"
        filters = {2: "bilinear", 3: "bicubic"}
        mean, std = (", ".join(f"{value:.4g}" for value in row) for row in (self.mean, self.std))
        text = f"{resize}, {filters.get(self.resample, 'nearest')}, mean ({mean}), std ({std})"
        return f"{text}, as {self.origin} states" if self.origin else text


class ClipSettings(NamedTuple):
    """What configs state about a CLIP; None for what they leave open.

    Attributes:
        activation: transformers' name of the MLPs' activation.
        vision_head_dim: Channels of each head of a ViT.
        text_heads: Heads of the text tower.
        preprocessing: Preparation of images.
        sizes: Further sizes by open_clip's field, to compare with the weights.
    """

    activation: str | None = None
    vision_head_dim: int | None = None
    text_heads: int | None = None
    preprocessing: ImagePreprocessing | None = None
    sizes: Mapping[str, Any] = {}

    def require_fit(self, config: ClipBackboneConfig, source: str, origin: str) -> None:
        """Raise CheckpointError where these settings belong to another model than the weights."""
        actual = _sizes_of(config)
        wrong = [
            f"{field} is {value}, the weights have {actual[field]}"
            for field, value in self.sizes.items()
            if field in actual and value != actual[field]
        ]
        if wrong:
            raise CheckpointError(
                f"{origin} describes another CLIP than {source}: {'; '.join(wrong)}. Move it away "
                f"from the weights, or {_CURE}"
            )


UNSTATED = ClipSettings()
"""Nothing is stated."""


def read_open_clip_config(file: Path) -> ClipSettings:
    """Read `open_clip_config.json`.

    Raises:
        CheckpointError: It is none, or has settings that this converter does not support.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        model = dict(content["model_cfg"])
        vision, text = (dict(model.get(name) or {}) for name in ("vision_cfg", "text_cfg"))
        preprocess = dict(content.get("preprocess_cfg") or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{file} is not an open_clip config, which has a 'model_cfg' ({error}); remove it if "
            f"it does not belong to the weights, or {_CURE}"
        ) from error
    _require_known(file, "model_cfg", model, _MODEL_FIELDS)
    _require_known(file, "vision_cfg", vision, _VISION_FIELDS)
    _require_known(file, "text_cfg", text, _TEXT_FIELDS)
    _require_known(file, "preprocess_cfg", preprocess, _PREPROCESS_FIELDS)
    sizes = {name: vision.get(name) for name in ("image_size", "layers", "width", "patch_size")}
    sizes["embed_dim"] = model.get("embed_dim")
    sizes |= {f"text {name}": text.get(name) for name in _TEXT_FIELDS}
    preprocessing = _read_preprocess_cfg(file, preprocess)
    if preprocessing is not None and preprocess.get("size") is not None:
        sizes["preprocess_cfg size"] = _side(file, preprocess["size"])
    return ClipSettings(
        activation="quick_gelu" if model.get("quick_gelu", False) else "gelu",
        vision_head_dim=vision.get("head_width", 64) if vision else None,
        text_heads=text.get("heads"),
        preprocessing=preprocessing,
        sizes={name: value for name, value in sizes.items() if value is not None},
    )


def read_preprocessor_config(file: Path, image_size_px: int) -> ImagePreprocessing | None:
    """Read transformers' `preprocessor_config.json`; None if it states no mean.

    Args:
        file: The file.
        image_size_px: The side that the image tower reads.

    Raises:
        CheckpointError: It prepares images of another size, or in an unsupported way.
    """
    try:
        content = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{file} cannot be read as JSON: {error}") from error
    if "image_mean" not in content or "image_std" not in content:
        return None
    size = content.get("size", image_size_px)
    size = {"shortest_edge": size} if isinstance(size, int) else dict(size)
    crop = content.get("crop_size", image_size_px)
    crop_px = crop if isinstance(crop, int) else _side(file, list(dict(crop).values()))
    squash = "shortest_edge" not in size
    resize_px = size.get("shortest_edge") or _side(file, list(size.values()))
    output_px = crop_px if content.get("do_center_crop", True) else resize_px
    if output_px != image_size_px:
        raise CheckpointError(
            f"{file} prepares images of {output_px} px, and CLIP reads {image_size_px} px; "
            "correct it, or give the folder without it to use the authors' preprocessing"
        )
    normalizes = content.get("do_normalize", True)
    return ImagePreprocessing(
        mean=_channels(file, "image_mean", content["image_mean"] if normalizes else 0.0),
        std=_channels(file, "image_std", content["image_std"] if normalizes else 1.0),
        squash=squash,
        resize_px=resize_px,
        resample=int(content.get("resample", 3)),
        origin=file.name,
    )


def _read_preprocess_cfg(file: Path, values: Mapping[str, Any]) -> ImagePreprocessing | None:
    if not values:
        return None
    mode, resize = values.get("mode", "RGB"), values.get("resize_mode") or "shortest"
    interpolation = values.get("interpolation") or "bicubic"
    if mode != "RGB" or resize not in ("shortest", "squash") or interpolation not in _RESAMPLING:
        raise CheckpointError(
            f"{file}: images of mode {mode!r}, resize mode {resize!r} and interpolation "
            f"{interpolation!r} are not supported (RGB; shortest, squash; "
            f"{', '.join(_RESAMPLING)}); {_CURE}"
        )
    return ImagePreprocessing(
        mean=_channels(file, "mean", values.get("mean", OPENAI_CLIP_MEAN)),
        std=_channels(file, "std", values.get("std", OPENAI_CLIP_STD)),
        squash=resize == "squash",
        resample=_RESAMPLING[interpolation],
        origin=file.name,
    )


def _sizes_of(config: ClipBackboneConfig) -> dict[str, Any]:
    """The sizes of a CLIP by open_clip's names."""
    vision, text = config.vision_config, config.text_config
    sizes = {
        "embed_dim": config.projection_dim,
        "image_size": vision.image_size,
        "preprocess_cfg size": vision.image_size,
        "text context_length": text.max_position_embeddings,
        "text vocab_size": text.vocab_size,
        "text width": text.hidden_size,
        "text heads": text.num_attention_heads,
        "text layers": text.num_hidden_layers,
    }
    if isinstance(vision, ModifiedResNetConfig):
        return sizes | {"layers": list(vision.layers), "width": vision.width}
    return sizes | {
        "layers": vision.num_hidden_layers,
        "width": vision.hidden_size,
        "patch_size": vision.patch_size,
    }


def _require_known(file: Path, part: str, values: Mapping[str, Any], known: set[str]) -> None:
    unknown = [
        name
        for name, value in values.items()
        if name not in known | _IGNORED_FIELDS and value not in (None, False)
    ]
    if unknown:
        raise CheckpointError(
            f"{file}: {part} has settings that this converter does not support: "
            f"{list_names(unknown)}. Without them the model would be another; {_CURE}"
        )


def _side(file: Path, value: Any) -> int:
    sides = set(value) if isinstance(value, list | tuple) else {value}
    if len(sides) != 1:
        raise CheckpointError(f"{file}: images of {value} are not square; {_CURE}")
    return int(sides.pop())


def _channels(file: Path, field: str, value: Any) -> tuple[float, ...]:
    values = tuple(map(float, value)) if isinstance(value, list | tuple) else (float(value),) * 3
    if len(values) != 3:
        raise CheckpointError(f"{file}: {field} has {len(values)} values, one per channel is 3")
    return values
