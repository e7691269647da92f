"""The tensor names of CLIP in OpenAI's code, and the derivation of a CLIP model's config.

The sizes in the config are derived from the tensors. Other settings, which the tensors do not show
(activation, attention heads, image preprocessing), are read from open_clip's
`open_clip_config.json` and transformers' `preprocessor_config.json`. An unknown setting in
`open_clip_config.json` is an error, since a converter that ignores the setting would produce a
different model.

Names are those of `openai/CLIP` at commit d05afc4 (Radford et al. 2021). All nine released models
are supported: RN50, RN101, RN50x4, RN50x16, RN50x64, ViT-B/32, ViT-B/16, ViT-L/14 and its 336 px
version.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import CLIPTextConfig, CLIPVisionConfig
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from dwc.convert.key_mapping import Rule, rename, rename_back
from dwc.errors import CheckpointError, list_names, quote
from dwc.files import parse_json, refuse_lfs_pointer
from dwc.modeling.configuration_dwc import ClipBackboneConfig, ModifiedResNetConfig
from dwc.modeling.processing_dwc import (
    NEEDED_SETTINGS,
    is_known_setting,
    problem_of_range,
    problem_of_setting,
)

CONFIG_FILE = "open_clip_config.json"

_MODEL_FIELDS = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "init_logit_scale"}
_VISION_FIELDS = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
_TEXT_FIELDS = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}
# Fields that only affect training, or that select a tokenizer with the same merges as CLIP's.
_IGNORED_FIELDS = {"patch_dropout", "vocab_size_multiple", "custom_text"}
_PREPROCESS_FIELDS = {"size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"}
# PIL's numbers of the filters.
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
# OpenCLIP's names of filters. "random" is a random filter for each training image; bicubic is used.
_RESAMPLING = {**{name: _FILTERS[name] for name in ("bilinear", "bicubic")}, "random": 3}
_CURE = "give --clip-config none to convert without this config, or the config of these weights"


class ImagePreprocessing(NamedTuple):
    """The image preprocessing of a CLIP model.

    Attributes:
        mean: Mean of each channel; it is subtracted from the rescaled pixel values.
        std: Standard deviation of each channel; the difference is divided by it.
        squash: True to resize to a square regardless of the aspect ratio; False to resize the short
            side and crop the center.
        resize_px: Length in pixels of the square's side or of the short side after resizing; None
            for the model's image size.
        resample: PIL's number of the interpolation filter.
        rescale_factor: Factor by which pixel values, 0 to 255, are multiplied before the mean is
            subtracted.
        origin: Name of the file with these settings; empty if there is none.
        remark: Remark on a setting of the file that this project ignores; `describe` appends the
            remark to its text. Empty if there is no such setting.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    squash: bool = False
    resize_px: int | None = None
    resample: int = 3
    rescale_factor: float = 1 / 255
    origin: str = ""
    remark: str = ""

    def describe(self) -> str:
        """Return a one-line description of the preprocessing, for logs and model cards."""
        resize = "resized to a square" if self.squash else "short side resized, center cropped"
        filters = {number: name for name, number in _FILTERS.items()}
        mean, std = (", ".join(f"{value:.4g}" for value in row) for row in (self.mean, self.std))
        text = f"{resize}, {filters[self.resample]}, mean ({mean}), std ({std})"
        if not math.isclose(self.rescale_factor, 1 / 255):
            text += f", pixel values times {self.rescale_factor:.6g}"
        stated = f"{text}, as {self.origin} states" if self.origin else text
        return f"{stated}; {self.remark}" if self.remark else stated


class ClipSettings(NamedTuple):
    """Settings of a CLIP model from its config files; None for settings that the files lack.

    Attributes:
        activation: Activation function of the MLPs, by its name in transformers.
        vision_head_dim: Number of channels per attention head, for a ViT as image tower.
        text_heads: Number of attention heads of the text tower.
        preprocessing: Image preprocessing.
        sizes: Sizes by their names in open_clip's config, for a comparison with the weights.
    """

    activation: str | None = None
    vision_head_dim: int | None = None
    text_heads: int | None = None
    preprocessing: ImagePreprocessing | None = None
    sizes: Mapping[str, Any] = {}

    def require_fit(self, config: ClipBackboneConfig, source: str, origin: str) -> None:
        """Check that the sizes in these settings are those of the weights.

        Args:
            config: Config derived from the weights.
            source: Where the weights were read from; used in error messages.
            origin: Where the settings were read from; used in error messages.

        Raises:
            CheckpointError: Sizes differ; the message lists them.
        """
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
"""Settings of a CLIP model that has no config files."""


def read_open_clip_config(file: Path) -> ClipSettings:
    """Return the settings of a CLIP model from its file `open_clip_config.json`.

    Raises:
        CheckpointError: The file has another format, or has settings that are not supported.
    """
    refuse_lfs_pointer(file, CheckpointError)
    try:
        content = parse_json(file.read_text(encoding="utf-8-sig"))
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


IMAGE_SETTINGS = "image_processor"
"""The field of `processor_config.json` that has the image settings."""


def read_json(file: str | Path, convert: Callable[[Any], Any] | None = None) -> Any:
    """Return the content of a JSON file.

    Args:
        file: The file.
        convert: Function applied to the parsed content, for example `dict`; None to return the
            content unchanged.

    Raises:
        CheckpointError: The file is a Git LFS pointer, cannot be read or is not JSON, or `convert`
            raised a `ValueError` or `TypeError`.
    """
    refuse_lfs_pointer(Path(file), CheckpointError)
    try:
        content = parse_json(Path(file).read_text(encoding="utf-8-sig"))
        return content if convert is None else convert(content)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{file} cannot be read as JSON: {error}") from error


def read_preprocessor_config(file: Path, image_size_px: int) -> ImagePreprocessing:
    """Return a CLIP model's image preprocessing from one of transformers' files.

    A missing setting has the default of transformers' CLIP image processor, except that images get
    the size of the image tower's input. As in transformers, a step that is null, such as
    `"do_center_crop": null`, is omitted.

    Args:
        file: A `preprocessor_config.json`, or a `processor_config.json` with the same settings in
            its object "image_processor".
        image_size_px: Height and width of the image tower's input in pixels.

    Raises:
        CheckpointError: The file cannot be read, a setting is unknown or not supported, or the
            preprocessed images would not have the size of the image tower's input.
    """
    content = read_json(file, dict)
    if IMAGE_SETTINGS in content:
        content = content[IMAGE_SETTINGS]
        if not isinstance(content, dict):
            raise CheckpointError(
                f"{file}: {IMAGE_SETTINGS} is {quote(content)}, not an object; {_correct(file)}"
            )
    for step, needed in {**NEEDED_SETTINGS, "do_resize": ("size", "resample")}.items():
        if content.setdefault(step, True) is None:
            content[step] = False
        for name in needed if content[step] else ():
            if name in content and content[name] is None:
                raise CheckpointError(
                    f"{file}: {name} is null, and {step} needs it; {_correct(file)}"
                )
    content = {name: value for name, value in content.items() if value is not None}
    if isinstance(content.get("resample"), str):
        content["resample"] = _filter_number(content["resample"])
    _require_supported(file, content)
    squash, resize_px = _resizing(file, content, image_size_px)
    crop = content.get("crop_size", image_size_px)
    crop_px = _side(file, list(crop.values()) if isinstance(crop, dict) else crop, _correct(file))
    crops = content["do_center_crop"]
    if not crops and not squash:
        raise CheckpointError(
            f"{file}: do_center_crop is false and size is {quote(content.get('size'))}, so that "
            "images would not be square; expected do_center_crop true, or a size of height and "
            f"width; {_correct(file)}"
        )
    output_px = crop_px if crops else resize_px
    if output_px != image_size_px:
        raise CheckpointError(
            f"{file} prepares images of {output_px} px, and CLIP reads {image_size_px} px; "
            f"{_correct(file)}"
        )
    rescales, normalizes = content["do_rescale"], content["do_normalize"]
    values = {
        "image_mean": content.get("image_mean", list(OPENAI_CLIP_MEAN)) if normalizes else 0.0,
        "image_std": content.get("image_std", list(OPENAI_CLIP_STD)) if normalizes else 1.0,
        "rescale_factor": content.get("rescale_factor", 1 / 255) if rescales else 1.0,
    }
    if problem := problem_of_range(values):
        raise CheckpointError(
            f"{file} {problem}. It has do_rescale {rescales}, rescale_factor "
            f"{values['rescale_factor']:.6g}, do_normalize {normalizes} and image_std "
            f"{values['image_std']}; {_correct(file)}"
        )
    return ImagePreprocessing(
        mean=_channels(file, "image_mean", values["image_mean"]),
        std=_channels(file, "image_std", values["image_std"]),
        squash=squash,
        resize_px=resize_px,
        resample=content.get("resample", _FILTERS["bicubic"]),
        rescale_factor=float(values["rescale_factor"]),
        origin=file.name,
        remark=""
        if content.get("do_convert_rgb", True)
        else "do_convert_rgb is false there, and images are converted to RGB all the same",
    )


def _filter_number(name: str) -> int | str:
    """Return the number that PIL uses for a filter, such as "bicubic" or "PIL.Image.BICUBIC".

    If PIL has no filter of this name, the name is returned.
    """
    return _FILTERS.get(name.rpartition(".")[2].lower(), name)


def _correct(file: Path) -> str:
    return f"correct {file.name}, or give --preprocessing authors to use the authors' instead of it"


def _require_supported(file: Path, content: Mapping[str, Any]) -> None:
    """Check that a `preprocessor_config.json` has only settings that the converter supports.

    Args:
        file: The file; used in error messages.
        content: The fields of the file that are not null.

    Raises:
        CheckpointError: A field is unknown, has a wrong value, or requires an unsupported step.
    """
    for name, value in content.items():
        if not is_known_setting(name):
            if value is not False:
                raise CheckpointError(
                    f"{file} has the field {name} ({quote(value)}), which this converter does not "
                    f"know; {_correct(file)}"
                )
        elif problem := problem_of_setting(name, value):
            names = f" or one of {', '.join(_FILTERS)}" if name == "resample" else ""
            raise CheckpointError(f"{file}: {problem}{names}; {_correct(file)}")
    needed = {"do_resize": True, "do_pad": False}
    for name, expected in needed.items():
        if content.get(name, expected) is not expected:
            raise CheckpointError(
                f"{file}: {name} is {json.dumps(content[name])}, which is not supported, since "
                f"all images must get the size of CLIP's input; expected "
                f"{json.dumps(expected)}; {_correct(file)}"
            )


def _resizing(file: Path, content: Mapping[str, Any], image_size_px: int) -> tuple[bool, int]:
    """Return how images are resized according to the settings in a file.

    Returns:
        A pair: True if images are resized to a square regardless of the aspect ratio, False if the
        aspect ratio is kept; and the length in pixels of the square's side or of the short side.

    Raises:
        CheckpointError: The setting `size` has a form that is not supported.
    """
    size = content.get("size", image_size_px)
    if isinstance(size, int):
        return content.get("default_to_square", False), size
    if isinstance(size, list):
        return True, _side(file, size, _correct(file))
    sides = {name: side for name, side in size.items() if side is not None}
    if sides.keys() == {"shortest_edge"}:
        return False, sides["shortest_edge"]
    if sides.keys() == {"height", "width"}:
        return True, _side(file, list(sides.values()), _correct(file))
    raise CheckpointError(
        f"{file}: size is {quote(size)}; supported are shortest_edge alone, and equal height and "
        f"width; {_correct(file)}"
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
    """Return the sizes in a CLIP config under the names of open_clip's fields."""
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


def _side(file: Path, value: Any, cure: str = _CURE) -> int:
    sides = set(value) if isinstance(value, list | tuple) else {value}
    if len(sides) != 1:
        raise CheckpointError(f"{file}: images of {value} are not square; {cure}")
    return int(sides.pop())


def _channels(file: Path, field: str, value: Any) -> tuple[float, ...]:
    values = tuple(map(float, value)) if isinstance(value, list | tuple) else (float(value),) * 3
    if len(values) != 3:
        raise CheckpointError(f"{file}: {field} has {len(values)} values, one per channel is 3")
    return values


_HEAD_DIM = 64  # channels per attention head in all of OpenAI's models
# Channels per attention head in open_clip's ViT-H, ViT-g and ViT-bigG, by the width of the ViT.
_WIDE_HEAD_DIMS = {1280: 80, 1408: 88, 1664: 104}
_ACTIVATION = "quick_gelu"  # activation of OpenAI's models; tensors do not show it


class Sizes(NamedTuple):
    """The sizes that distinguish OpenAI's released models.

    Attributes:
        tower: For a ResNet, the number of blocks of each stage and the width; for a ViT, the number
            of layers, the width, and the patch size in pixels.
        image_size_px: Height and width of the images in pixels.
        projection_dim: Dimension of the features, the same for images and texts.
    """

    tower: tuple[int, ...]
    image_size_px: int
    projection_dim: int


RELEASED = {
    "RN50": Sizes((3, 4, 6, 3, 64), 224, 1024),
    "RN101": Sizes((3, 4, 23, 3, 64), 224, 512),
    "RN50x4": Sizes((4, 6, 10, 6, 80), 288, 640),
    "RN50x16": Sizes((6, 8, 18, 8, 96), 384, 768),
    "RN50x64": Sizes((3, 15, 36, 10, 128), 448, 1024),
    "ViT-B/32": Sizes((12, 768, 32), 224, 512),
    "ViT-B/16": Sizes((12, 768, 16), 224, 512),
    "ViT-L/14": Sizes((24, 1024, 14), 224, 768),
    "ViT-L/14@336px": Sizes((24, 1024, 14), 336, 768),
}
"""Sizes of OpenAI's released models by name."""


def _transformer_rules(theirs: str, ours: str) -> list[Rule]:
    """Return rules that rename the tensors of a transformer (the text tower, or a ViT).

    OpenAI's single matrix for queries, keys and values is split into three.

    Args:
        theirs: Name of the module in OpenAI's code.
        ours: Name of the module in this project.
    """
    block, layer = f"{theirs}.resblocks.{{n}}", f"{ours}.encoder.layers.{{n}}"
    attention = tuple(f"{layer}.self_attn.{part}_proj.{{leaf}}" for part in "qkv")
    parts = {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    return [
        Rule(f"{block}.attn.in_proj_{{leaf}}", attention),
        *(
            Rule(f"{block}.{part}.{{leaf}}", (f"{layer}.{part_name}.{{leaf}}",))
            for part, part_name in parts.items()
        ),
    ]


def _normalized_rules(convolution: str, norm: str, ours: str) -> list[Rule]:
    """Return rules that rename the tensors of a bias-free convolution and its batch norm.

    Args:
        convolution: Name of the convolution in OpenAI's code.
        norm: Name of the batch norm in OpenAI's code.
        ours: Name of the module with both in this project.
    """
    return [
        Rule(f"{convolution}.weight", (f"{ours}.convolution.weight",)),
        Rule(f"{norm}.{{statistic}}", (f"{ours}.normalisation.{{statistic}}",)),
    ]


def _modified_resnet_rules() -> list[Rule]:
    rules = []
    for step in range(3):
        ours = f"vision_model.stem.{step}"
        rules += _normalized_rules(f"visual.conv{step + 1}", f"visual.bn{step + 1}", ours)
    for stage in range(4):
        block, ours = f"visual.layer{stage + 1}.{{n}}", f"vision_model.stages.{stage}.{{n}}"
        for step, part_name in enumerate(("reduce", "spatial", "expand"), start=1):
            rules += _normalized_rules(
                f"{block}.conv{step}", f"{block}.bn{step}", f"{ours}.{part_name}"
            )
        rules += _normalized_rules(
            f"{block}.downsample.0", f"{block}.downsample.1", f"{ours}.shortcut"
        )
    pool = "vision_model.attention_pool"
    rules.append(Rule("visual.attnpool.positional_embedding", (f"{pool}.position_embedding",)))
    for letter, part_name in {"q": "query", "k": "key", "v": "value", "c": "projection"}.items():
        rules.append(
            Rule(f"visual.attnpool.{letter}_proj.{{leaf}}", (f"{pool}.{part_name}.{{leaf}}",))
        )
    return rules


_TEXT_RULES = (
    Rule("token_embedding.weight", ("text_model.embeddings.token_embedding.weight",)),
    Rule("positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
    Rule("ln_final.{leaf}", ("text_model.final_layer_norm.{leaf}",)),
    Rule("text_projection", ("text_projection.weight",), transposed=True),
    Rule("logit_scale", ("logit_scale",)),
    *_transformer_rules("transformer", "text_model"),
    # Numbers that describe the model; only OpenAI's released archives have them.
    Rule("input_resolution", ()),
    Rule("context_length", ()),
    Rule("vocab_size", ()),
)

_MODIFIED_RESNET_RULES = (*_TEXT_RULES, *_modified_resnet_rules())

_VIT_RULES = (
    *_TEXT_RULES,
    Rule("visual.class_embedding", ("vision_model.embeddings.class_embedding",)),
    Rule("visual.conv1.weight", ("vision_model.embeddings.patch_embedding.weight",)),
    Rule("visual.positional_embedding", ("vision_model.embeddings.position_embedding.weight",)),
    Rule("visual.ln_pre.{leaf}", ("vision_model.pre_layrnorm.{leaf}",)),
    Rule("visual.ln_post.{leaf}", ("vision_model.post_layernorm.{leaf}",)),
    Rule("visual.proj", ("visual_projection.weight",), transposed=True),
    *_transformer_rules("visual.transformer", "vision_model"),
)


def backbone_rules(state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    """Return the rules that rename a CLIP state dict with OpenAI's names.

    The rules depend on the kind of image tower: ViT or ResNet.
    """
    return _VIT_RULES if _is_vit(state) else _MODIFIED_RESNET_RULES


def backbone_weights(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of a CLIP model under the names of `ClipBackbone`.

    Args:
        state: The tensors by OpenAI's names.
        source: Where the tensors were read from; used in error messages.

    Raises:
        CheckpointError: There are unknown names; the message lists them.
    """
    return rename(state, backbone_rules(state), source, "a CLIP with OpenAI's names")


def openai_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a `ClipBackbone` under OpenAI's names.

    Raises:
        CheckpointError: OpenAI's code has no names for some tensors; the message lists them.
    """
    is_vit = "visual_projection.weight" in weights
    return rename_back(weights, _VIT_RULES if is_vit else _MODIFIED_RESNET_RULES)


def released_name(config: ClipBackboneConfig) -> str | None:
    """Return the name of OpenAI's model that has the sizes of a config; None if there is none.

    The weights may nevertheless be different from OpenAI's.
    """
    vision = config.vision_config
    if isinstance(vision, ModifiedResNetConfig):
        tower = (*vision.layers, vision.width)
    else:
        tower = (vision.num_hidden_layers, vision.hidden_size, vision.patch_size)
    sizes = Sizes(tower, vision.image_size, config.projection_dim)
    return next((name for name, released in RELEASED.items() if released == sizes), None)


def backbone_config(
    state: Mapping[str, Tensor], source: str, settings: ClipSettings = UNSTATED
) -> ClipBackboneConfig:
    """Derive the config of a CLIP model from the sizes of its tensors and from other settings.

    Args:
        state: The tensors by OpenAI's names.
        source: Where the tensors were read from; used in error messages.
        settings: The settings that cannot be derived from tensors. If the activation is None,
            OpenAI's is used. If a number of heads or of channels per head is None, heads have 64
            channels, as in OpenAI's models. Heads of ViTs of width 1280, 1408 or 1664, which only
            open_clip has, then have 80, 88 or 104 channels.

    Raises:
        CheckpointError: A tensor is missing, or the shapes do not fit a CLIP model.
    """
    try:
        width = state["ln_final.weight"].shape[0]
        projection_dim = state["text_projection"].shape[1]
        vocab_size = state["token_embedding.weight"].shape[0]
        text = CLIPTextConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            intermediate_size=state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            num_hidden_layers=_count(state, r"transformer\.resblocks\.(\d+)\..*"),
            num_attention_heads=settings.text_heads or width // _HEAD_DIM,
            max_position_embeddings=state["positional_embedding"].shape[0],
            projection_dim=projection_dim,
            hidden_act=settings.activation or _ACTIVATION,
            # The last two ids are the start and the end of a text; the latter is also the padding.
            bos_token_id=vocab_size - 2,
            eos_token_id=vocab_size - 1,
            pad_token_id=vocab_size - 1,
        )
        vision = (
            _vit_config(state, projection_dim, settings)
            if _is_vit(state)
            else _modified_resnet_config(state, projection_dim)
        )
        return ClipBackboneConfig(
            text_config=text, vision_config=vision, projection_dim=projection_dim
        )
    except KeyError as error:
        raise CheckpointError(
            f"{source} lacks {error}, which shows the size of CLIP; give a CLIP state dict with "
            "OpenAI's names, or a transformers CLIP folder"
        ) from error
    except (IndexError, ValueError, ZeroDivisionError, StrictDataclassError) as error:
        raise CheckpointError(
            f"the tensors in {source} have OpenAI's names, but their shapes do not make a CLIP: "
            f"{error}. Check that the file is whole"
        ) from error


def _is_vit(state: Mapping[str, Tensor]) -> bool:
    return "visual.proj" in state


def _vit_config(
    state: Mapping[str, Tensor], projection_dim: int, settings: ClipSettings
) -> CLIPVisionConfig:
    width, _, patch_size, _ = state["visual.conv1.weight"].shape
    patches = state["visual.positional_embedding"].shape[0] - 1
    head_dim = settings.vision_head_dim or _WIDE_HEAD_DIMS.get(width, _HEAD_DIM)
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        num_hidden_layers=_count(state, r"visual\.transformer\.resblocks\.(\d+)\..*"),
        num_attention_heads=width // head_dim,
        patch_size=patch_size,
        image_size=patch_size * round(patches**0.5),
        projection_dim=projection_dim,
        hidden_act=settings.activation or _ACTIVATION,
    )


def _modified_resnet_config(
    state: Mapping[str, Tensor], projection_dim: int
) -> ModifiedResNetConfig:
    regions, channels = state["visual.attnpool.positional_embedding"].shape
    reduction = 32  # the stem divides the resolution by 4, three of the stages by 2 each
    return ModifiedResNetConfig(
        layers=[_count(state, rf"visual\.layer{stage}\.(\d+)\..*") for stage in range(1, 5)],
        width=state["visual.layer1.0.conv1.weight"].shape[0],
        image_size=reduction * round((regions - 1) ** 0.5),
        num_attention_heads=channels // _HEAD_DIM,
        projection_dim=projection_dim,
    )


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """Return the number of blocks in a tower, from the names of its tensors.

    Args:
        state: The tensors by name.
        pattern: Regular expression of a block's tensors, with a group for the block's number.
    """
    return len({match[1] for name in state if (match := re.fullmatch(pattern, name))})
