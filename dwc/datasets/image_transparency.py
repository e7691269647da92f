"""Transparency: which pixels of an image are transparent, and the color that replaces them.

A transparent background is replaced with a color that contrasts with the object. Other functions
correct what Pillow reads from some formats: alpha channels that are unused (BMP, TGA) or in a plane
of their own (TIFF), the transparent gray level of a PNG, and the area around a GIF's first frame.
"""

import numpy as np
from PIL import Image

from dwc.datasets.image_color import apply_profile
from dwc.datasets.image_details import FILLED_WITH, HALF_TRANSPARENT

# Background colors (RGB) for images with a transparent background. The first color that hides at
# most a quarter of the object is used. A pixel of the object is hidden if each of its channels
# differs from the background by less than `_HIDDEN_DIFFERENCE`.
_BACKGROUNDS = {(255, 255, 255): "white", (128, 128, 128): "gray", (40, 40, 40): "near black"}
_HIDDEN_DIFFERENCE = 40
# If less of an image is transparent, such as the rounded corners of a screenshot, it is as good as
# opaque.
_LEAST_TRANSPARENT = 0.01
# A pixel with an alpha in this range is half transparent. More than a quarter of an object's pixels
# are more than its edges and its shadow.
_HALF_TRANSPARENT = (16, 239)
_MOST_HALF_TRANSPARENT = 0.25


def convert_layers(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert an image with transparency to sRGB with an alpha channel (RGBA).

    Args:
        image: The image.
        icc: Content of its ICC color profile, or None.
    """
    if not image.mode.startswith("L"):
        return apply_profile(image.convert("RGBA"), icc)
    gray = image.convert("LA")  # a profile for gray images does not fit RGBA
    layers = apply_profile(gray.convert("L"), icc)
    layers.putalpha(gray.getchannel("A"))
    return layers


def flatten(layers: Image.Image) -> Image.Image:
    """Blend an RGBA image with a background color that contrasts with its opaque parts.

    The `info` of the result has at most two keys. If at least 1 % of the image is transparent,
    `FILLED_WITH` is the name of the background color. If, in addition, more than a quarter of the
    visible pixels are half transparent, `HALF_TRANSPARENT` is True.
    """
    alpha = layers.getchannel("A")
    if alpha.getextrema() == (255, 255):
        result = layers.convert("RGB")
        result.info = {}
        return result
    sample = layers.resize((min(128, layers.width), min(128, layers.height)), reducing_gap=None)
    values = np.asarray(sample, dtype=np.int64)
    weights = values[..., 3]
    total = int(weights.sum())
    hidden = []
    for background in _BACKGROUNDS:
        difference = np.abs(values[..., :3] - background).max(axis=-1)
        hidden.append(int(weights[difference < _HIDDEN_DIFFERENCE].sum()))
    best = next((n for n, weight in enumerate(hidden) if 4 * weight <= total), None)
    if best is None:
        best = int(np.argmin(hidden))
    color, name = list(_BACKGROUNDS.items())[best]
    ground = Image.new("RGBA", layers.size, (*color, 255))
    result = Image.alpha_composite(ground, layers).convert("RGB")
    result.info = {}
    counts = np.array(alpha.histogram())
    low, high = _HALF_TRANSPARENT
    if np.arange(255, -1, -1) @ counts >= _LEAST_TRANSPARENT * 255 * counts.sum():
        result.info[FILLED_WITH] = name
        if counts[low : high + 1].sum() > _MOST_HALF_TRANSPARENT * counts[low:].sum():
            result.info[HALF_TRANSPARENT] = True
    return result


def scale_transparent_level(image: Image.Image) -> None:
    """Scale the transparent gray level of a 2-bit or 4-bit PNG to 8 bits.

    In such a PNG, all pixels of one gray level are transparent. Pillow scales the pixels to 8 bits,
    but not this level. Call the function before the pixels are loaded.
    """
    level = image.info.get("transparency")
    tiles = getattr(image, "tile", None)
    raw_mode = tiles[0].args if image.format == "PNG" and tiles else None
    bits = {"L;2": 2, "L;4": 4}.get(raw_mode) if isinstance(raw_mode, str) else None
    if bits is not None and isinstance(level, int):
        image.info["transparency"] = level * 255 // (2**bits - 1)


def clear_outside_frame(converted: Image.Image, original: Image.Image) -> Image.Image:
    """Make the area around a GIF's first frame transparent, as in browsers.

    The first frame may be smaller than the image. Pillow fills the area around it with the
    background color in the file. Browsers ignore this color.

    Args:
        converted: The image's pixels, possibly converted to another mode.
        original: The image as opened.
    """
    extent = getattr(original, "dispose_extent", None)  # set by Pillow for GIF only
    if original.format != "GIF" or original.tell() or extent in (None, (0, 0, *original.size)):
        return converted
    result = Image.new("RGBA", converted.size)
    result.paste(converted.crop(extent).convert("RGBA"), extent)
    return result


def drop_unused_alpha(image: Image.Image, format: str | None) -> Image.Image:
    """Return a BMP or TGA image without its alpha channel if this channel is zero everywhere.

    Many programs write BMP and TGA files whose fourth channel is unused and zero. All other images
    are returned unchanged.

    Args:
        image: The loaded image.
        format: The file's format.
    """
    if format not in ("BMP", "TGA") or image.mode != "RGBA":
        return image
    return image.convert("RGB") if image.getchannel("A").getextrema() == (0, 0) else image


def read_premultiplied_planes(image: Image.Image) -> bool:
    """Prepare a TIFF with associated alpha in a separate plane, so that Pillow can load it.

    With associated alpha, the stored colors have been multiplied by alpha. A plane has the levels
    of one channel for all pixels. Pillow cannot decode such an alpha plane, so it is declared as a
    plane of ordinary alpha. Call the function before the pixels are loaded.

    Returns:
        Whether the image is such a TIFF. If so, the caller must divide the loaded colors by alpha.
    """
    tiles = getattr(image, "tile", None)
    if image.format != "TIFF" or image.mode != "RGBA" or not tiles:
        return False
    planes = [tile.args[0] if isinstance(tile.args, tuple) else tile.args for tile in tiles]
    if "a" not in planes:
        return False
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=("A", *tile.args[1:])) if plane == "a" else tile
        for tile, plane in zip(tiles, planes, strict=True)
    ]
    return True
