"""Calm backgrounds and soft shadows for the gallery style."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from dwc.catalogue.drawing.materials import (
    Color,
    Field,
    cloud_tile,
    cut,
    oklch_to_srgb,
    srgb_to_oklab,
    upsampled,
)
from dwc.catalogue.drawing.raster import Layer, colors

ImageArray = NDArray[np.float32]  # (height, width, 3), sRGB in [0, 1]; always square here

# (lightness, chroma, hue) of the backgrounds: off-whites and muted pastels that do not distract
# from any garment.
_TINTS = tuple(
    oklch_to_srgb(*value)
    for value in (
        (0.950, 0.008, 85), (0.930, 0.014, 75), (0.945, 0.006, 250), (0.905, 0.026, 60),
        (0.900, 0.024, 145), (0.900, 0.022, 220), (0.895, 0.026, 290), (0.905, 0.028, 20),
        (0.870, 0.020, 95), (0.845, 0.026, 165), (0.835, 0.026, 245), (0.840, 0.030, 40),
        (0.790, 0.020, 80), (0.765, 0.026, 200), (0.760, 0.028, 310),
    )
)  # fmt: skip
_TINTS_LAB = srgb_to_oklab(np.stack(_TINTS))


def backdrop(rng: np.random.Generator, garment_colors: list[Color], size: int) -> ImageArray:
    """Return a random calm background (size, size, 3) that contrasts with the garment's colors."""
    distance = np.linalg.norm(
        _TINTS_LAB[:, None] - srgb_to_oklab(np.stack(garment_colors))[None], axis=-1
    ).min(axis=1)  # (tints,)
    choices = np.flatnonzero(distance > 0.15)
    if not len(choices):
        choices = np.array([int(distance.argmax())])
    tint = _TINTS[int(rng.choice(choices))]
    corner = rng.uniform(-1, 1, 2)
    steps = np.linspace(-1, 1, 9, dtype=np.float32)
    slope = np.float32(corner[0]) * steps[None] + np.float32(corner[1]) * steps[:, None]
    vignette = steps[None] ** 2 + steps[:, None] ** 2
    light = upsampled(1.005 + 0.022 * slope - 0.030 * vignette.astype(np.float32), size, size)
    kind = rng.random()
    if kind < 0.16:
        light = light + cut(_wood_tile(), rng, size, size / 256) * np.float32(0.022)
    elif kind < 0.34:
        light = light + cut(_linen_tile(), rng, size, size / 256) * np.float32(0.014)
    elif kind < 0.5:
        light = light + cut(cloud_tile(0.6, 96), rng, size, size / 256) * np.float32(0.006)
    return np.multiply(tint, light[..., None], out=colors(size, size))


@lru_cache(maxsize=1)
def _wood_tile() -> Field:
    """Return a texture (256, 256) of wooden planks with a fine grain; its mean is about 0."""
    grain = np.asarray(
        Image.fromarray(cloud_tile(1.0, 90)[:24]).resize((256, 256), Image.Resampling.BICUBIC)
    ).T.copy()
    y = np.arange(256)
    plank = y // 64
    tones = np.array([0.5, -0.7, 0.9, -0.4])[plank][:, None]
    joints = np.where(y % 64 < 2, -3.0, 0.0)[:, None]
    shifted = np.stack([np.roll(grain[row], 61 * int(plank[row])) for row in range(256)])
    return (0.7 * shifted.T[::1].T + tones + joints).astype(np.float32)


@lru_cache(maxsize=1)
def _linen_tile() -> Field:
    """Return a texture (256, 256) of linen, with threads of uneven thickness; mean about 0."""
    noise = cloud_tile(0.3, 100)
    across = noise.mean(axis=0, keepdims=True) * 8 + np.roll(noise, 9, 0)
    threads = np.asarray(
        Image.fromarray(np.ascontiguousarray(noise[:, :32])).resize((256, 256)), np.float32
    )
    return (threads + threads.T[::-1] + 0.3 * across).astype(np.float32) * np.float32(0.8)


def cast_shadow(layer: Layer, reach: float, blur: float) -> Field:
    """Return the shadow (size, size), 0 to 1, that a garment casts on the surface below it.

    Args:
        layer: The drawn garment.
        reach: Distance in pixels by which the shadow is offset away from the light.
        blur: Softness of the shadow's edge in pixels.
    """
    size = layer.size
    factor = max(1, min(4, int(blur / 1.5)))
    mask = Image.fromarray((layer.alpha * 255).astype(np.uint8)).reduce(factor)
    border = math.ceil(reach / factor) + 1
    small = ImageOps.expand(mask, border).filter(ImageFilter.GaussianBlur(blur / factor))
    left = border + layer.light[0] * reach / factor
    top = border + layer.light[1] * reach / factor
    window = (left, top, left + size / factor, top + size / factor)
    moved = small.resize((size, size), Image.Resampling.BILINEAR, box=window)
    return np.asarray(moved, dtype=np.float32) * np.float32(1 / 255)


def compose(layer: Layer, background: ImageArray, shadow: Field) -> ImageArray:
    """Return an image of a garment with its shadow on a background.

    `layer` and `background` are overwritten to save memory.

    Args:
        layer: The drawn garment.
        background: The background (size, size, 3).
        shadow: Darkness (size, size) of the shadow, 0 to 1.
    """
    background *= ((1 - shadow) * (1 - layer.alpha))[..., None]
    background += layer.lit()
    return background


def as_image(image: ImageArray) -> Image.Image:
    """Convert a float image to an 8-bit image by rounding; values outside [0, 1] are clipped.

    The input array is overwritten.
    """
    image *= 255
    image += np.float32(0.5)
    pixels = np.clip(image, 0, 255, out=image).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(pixels[..., channel]) for channel in range(3)])
