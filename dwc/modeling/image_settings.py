"""Checks of the image settings in a checkpoint's `processor_config.json`.

transformers accepts unknown settings, and takes its own default for a setting that is missing or
null: with a misspelled "image_means", images would be normalized with another mean, and nothing
would be reported.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from transformers.processing_utils import ImagesKwargs

# Fields that processors of transformers may write beside the settings of `ImagesKwargs`.
_OTHER_FIELDS = frozenset(
    {"image_processor_type", "feature_extractor_type", "processor_class", "auto_map", "use_fast"}
    | {"transformers_version", "_name_or_path", "_valid_processor_keys", "crop_rounding"}
)
_SIDES = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")
_MOST_RESAMPLING = 5  # the largest of PIL's numbers of resampling filters

NEEDED_SETTINGS = {
    "do_resize": ("size",),
    "do_center_crop": ("crop_size",),
    "do_rescale": ("rescale_factor",),
    "do_normalize": ("image_mean", "image_std"),
}
"""The settings that each step of the preprocessing needs."""

# The span of (pixel value * factor - mean) / std from black to white; with others, the model would
# get no usable picture.
_LEAST_SPAN, _LARGEST_SPAN = 0.1, 256.0


class _Kind(NamedTuple):
    """The values that a setting may have, as a test and in words."""

    accepts: Callable[[Any], bool]
    expected: str


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_size(value: Any) -> bool:
    if isinstance(value, dict):
        sides = {name: side for name, side in value.items() if side is not None}
        return bool(sides) and set(sides) <= set(_SIDES) and all(map(_is_side, sides.values()))
    is_pair = isinstance(value, list) and len(value) == 2 and all(map(_is_side, value))
    return _is_side(value) or is_pair


def _are_channels(value: Any) -> bool:
    is_triple = isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))
    return _is_number(value) or is_triple


_SWITCH = _Kind(lambda value: isinstance(value, bool), "true or false, without quotation marks")
_SIZE = _Kind(_is_size, f"positive numbers of pixels under some of {', '.join(_SIDES)}")
_CHANNELS = _Kind(_are_channels, "three numbers")
_KINDS = {
    **dict.fromkeys((*NEEDED_SETTINGS, "do_convert_rgb", "do_pad", "default_to_square"), _SWITCH),
    **dict.fromkeys(("size", "crop_size", "pad_size"), _SIZE),
    "rescale_factor": _Kind(lambda value: _is_number(value) and value > 0, "a positive number"),
    "image_mean": _CHANNELS,
    "image_std": _Kind(
        lambda value: _are_channels(value) and min(_as_list(value)) > 0, "three positive numbers"
    ),
    "resample": _Kind(
        lambda value: (
            (value == 0 and value is not False) or (_is_side(value) and value <= _MOST_RESAMPLING)
        ),
        f"the number of a resampling filter of PIL, 0 to {_MOST_RESAMPLING}",
    ),
    "data_format": _Kind(lambda value: value == "channels_first", "'channels_first'"),
}


def _as_list(value: Any) -> list[float]:
    return value if isinstance(value, list) else [value]


def problem_of_image_settings(settings: Any) -> str | None:
    """Return what is wrong with the image settings of a checkpoint, as a part of a sentence.

    Args:
        settings: The content of `image_processor` in `processor_config.json`.

    Returns:
        The first problem; None if there is none.
    """
    if not isinstance(settings, dict):
        return "has no table image_processor, which says how images are prepared"
    unknown = sorted(name for name in settings if not is_known_setting(name))
    if unknown:
        known = ", ".join(sorted(_KINDS))
        return (
            f"image_processor has unknown fields: {', '.join(unknown)}; the known ones are {known}"
        )
    for name in _KINDS:
        problem = problem_of_setting(name, settings.get(name))
        if problem:
            return f"image_processor.{problem}"
    for step, needed in NEEDED_SETTINGS.items():
        absent = [name for name in needed if settings.get(name) is None]
        if settings.get(step, True) is None:
            return f"image_processor.{step} is null; expected {_SWITCH.expected}"
        if settings.get(step, True) and absent:
            return f"image_processor.{step} needs {', '.join(absent)}, which it lacks"
    problem = problem_of_range(settings)
    return problem and f"image_processor {problem}"


def is_known_setting(name: str) -> bool:
    """Return whether transformers' image processors have a setting or field of this name."""
    return name in ImagesKwargs.__annotations__ or name in _OTHER_FIELDS


def problem_of_setting(name: str, value: Any) -> str | None:
    """Return a message if an image setting has a value of a wrong kind, which starts with its name.

    The result is None for null and for a setting whose values are not checked.
    """
    kind = _KINDS.get(name)
    if kind is None or value is None or kind.accepts(value):
        return None
    return f"{name} is {value!r}; expected {kind.expected}"


def problem_of_range(settings: Mapping[str, Any]) -> str | None:
    """Return a message if black and white would be almost equal, or unusually far apart.

    Args:
        settings: `rescale_factor`, `image_std`, and optionally the switches of these steps.

    Returns:
        A sentence without its subject; None if there is no problem.
    """
    factor = settings["rescale_factor"] if settings.get("do_rescale", True) else 1.0
    deviations = _as_list(settings["image_std"]) if settings.get("do_normalize", True) else [1.0]
    spans = [255 * factor / deviation for deviation in deviations]
    if min(spans) >= _LEAST_SPAN and max(spans) <= _LARGEST_SPAN:
        return None
    return (
        f"prepares images with levels {max(spans):.3g} apart from black to white; "
        f"expected {_LEAST_SPAN} to {_LARGEST_SPAN:.0f}. Usually rescale_factor is 1/255, and "
        "image_std is between 0.2 and 1"
    )
