"""Rasterization: conversion of outlines into pixel masks and shading.

Masks are filled at three times the image's resolution and then reduced, which gives smooth edges.
Shading is computed at a low resolution and enlarged; since shading is soft, no detail is lost.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from dwc.catalogue.drawing.materials import Color, Field, relief, upsampled
from dwc.catalogue.drawing.parts import Points

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

OVER = 3  # oversampling factor of masks


def colors(height: int, width: int) -> NDArray[np.float32]:
    """Return a black image (height, width, 3) that is stored as a red, a green and a blue plane.

    With this memory layout, arithmetic with a (height, width) field takes a fifth of the time
    needed with interleaved colors. Arrays computed from the image have the same layout.
    """
    return np.zeros((3, height, width), np.float32).transpose(1, 2, 0)


@dataclass
class Layer:
    """A drawn garment without background.

    Attributes:
        rgb: Colors (size, size, 3) in [0, 1], premultiplied by `alpha`.
        alpha: Coverage (size, size) in [0, 1].
        tones: Lightening (positive) or darkening (negative) of each pixel (size, size). All changes
            are collected in this array and applied to the colors at the end, because changing one
            array is faster than changing three color channels.
        light: Unit vector (x, y) in the image, y down, that points towards the light.
    """

    rgb: NDArray[np.float32]
    alpha: Field
    tones: Field
    light: tuple[float, float]

    @classmethod
    def empty(cls, size: int, light: tuple[float, float]) -> "Layer":
        """Return a layer on which nothing is drawn yet."""
        rgb = colors(size, size)
        return cls(rgb, np.zeros_like(rgb[..., 0]), np.zeros_like(rgb[..., 0]), light)

    @property
    def size(self) -> int:
        """Width and height in pixels."""
        return len(self.alpha)

    def box_around(self, points: Points, margin: float) -> Box | None:
        """Return the box (left, top, right, bottom) around points and a margin, all in pixels.

        The box is clipped to the image; None if less than two rows or columns remain.
        """
        low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        left, top = max(floor(low[0] - margin), 0), max(floor(low[1] - margin), 0)
        right = min(ceil(high[0] + margin), self.size)
        bottom = min(ceil(high[1] + margin), self.size)
        return (left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None

    def paint(
        self, box: Box, mask: Field, color: NDArray[np.float32], tone: Field | None = None
    ) -> None:
        """Paint a color onto a box of the layer.

        Args:
            box: The box, of height h and width w.
            mask: Opacity (h, w) of the paint, 0 to 1.
            color: One color (3,) or a color per pixel (h, w, 3).
            tone: Lightening (h, w) of the new paint. If None, the pixels keep the lightening that
                they have.
        """
        left, top, right, bottom = box
        region = self.rgb[top:bottom, left:right]
        region += mask[..., None] * (color - region)
        alpha = self.alpha[top:bottom, left:right]
        alpha += mask * (1 - alpha)
        if tone is not None:
            beneath = self.tones[top:bottom, left:right]
            beneath += mask * (tone - beneath)

    def tone(self, box: Box, amount: Field) -> None:
        """Lighten or darken the pixels of a box by `amount` (h, w), -1 (darken) to 1 (lighten)."""
        left, top, right, bottom = box
        self.tones[top:bottom, left:right] += amount

    def lit(self) -> NDArray[np.float32]:
        """Apply `tones` to the colors and return them (size, size, 3), premultiplied by `alpha`.

        A tone both multiplies a color and adds to it, so that folds are visible on black cloth,
        too. Call this method only once, at the end: the array `rgb` is overwritten and returned,
        because allocating a new array would take as long as the arithmetic.
        """
        tones, alpha = self.tones, self.alpha
        self.rgb *= (1 + np.float32(0.75) * tones)[..., None]
        self.rgb += (np.float32(0.13) * tones * alpha)[..., None]
        return np.clip(self.rgb, 0, alpha[..., None], out=self.rgb)


def filled(outlines: list[Points], box: Box, holes: tuple[Points, ...] = ()) -> Image.Image:
    """Return the mask of closed outlines within a box, with smooth edges.

    Args:
        outlines: Closed outlines, each (n, 2), in pixels of the whole image.
        box: The box (left, top, right, bottom) in pixels.
        holes: Outlines of areas that are left empty.

    Returns:
        An 8-bit greyscale image of the box's size: 255 inside the outlines, 0 outside.
    """
    left, top, right, bottom = box
    mask = Image.new("L", ((right - left) * OVER, (bottom - top) * OVER), 0)
    pen = ImageDraw.Draw(mask)
    corner = np.array([left, top])
    for outline in outlines:
        pen.polygon(((outline - corner) * OVER).ravel().tolist(), fill=255)
    for hole in holes:
        pen.polygon(((hole - corner) * OVER).ravel().tolist(), fill=0)
    return mask.reduce(OVER)


def as_field(mask: Image.Image) -> Field:
    """Convert an 8-bit mask to an array (h, w) in [0, 1]."""
    return np.multiply(np.asarray(mask), np.float32(1 / 255), dtype=np.float32)


def softened(mask: Image.Image, radius: float) -> Field:
    """Return a mask as an array (h, w) in [0, 1] after a blur by `radius` pixels.

    The blur is computed at a reduced size for speed.
    """
    width, height = mask.size
    factor = max(1, min(int(radius / 1.5), width // 4, height // 4))
    if factor > 1:
        small = mask.reduce(factor).filter(ImageFilter.GaussianBlur(radius / factor))
        box = (0, 0, width / factor, height / factor)
        mask = small.resize((width, height), Image.Resampling.BILINEAR, box=box)
    else:
        mask = mask.filter(ImageFilter.GaussianBlur(radius))
    return as_field(mask)


def bulge_radius(thickness: float) -> float:
    """Return the blur radius in pixels that turns the mask of a piece into a bulging height field.

    `thickness` is the typical width of the piece in pixels.
    """
    return max(0.16 * thickness, 0.6)


def roundness_shade(
    bulge: Field, radius: float, roundness: float, light: tuple[float, float]
) -> Field:
    """Return the shading (h, w) of a piece that bulges towards the viewer.

    Positive values lighten. Edges and the side away from the light are darker.

    Args:
        bulge: Height field (h, w) of the piece: its mask after a blur by `radius`.
        radius: Blur radius of `bulge` in pixels.
        roundness: Strength of the bulge, from 0 (flat) to 1 (a tube).
        light: Unit vector (x, y) that points towards the light.
    """
    facing = relief(bulge, light)
    facing *= np.float32(0.5 * roundness * radius)
    sunken = np.minimum(2 - 2 * bulge, 1)
    sunken *= sunken
    sunken *= np.float32(0.24 * roundness)
    facing += np.float32(0.025)
    facing -= sunken
    return facing


def coarse_roundness_shade(
    mask: Image.Image, thickness: float, roundness: float, light: tuple[float, float]
) -> Field:
    """Return `roundness_shade` of a mask, computed at a reduced size for speed.

    Args:
        mask: The mask of the piece.
        thickness: Typical width of the piece in pixels.
        roundness: Strength of the bulge, from 0 (flat) to 1 (a tube).
        light: Unit vector (x, y) that points towards the light.
    """
    factor = int(np.clip(thickness / 9, 1, 4))
    radius = bulge_radius(thickness) / factor
    small = (mask.reduce(factor) if factor > 1 else mask).filter(ImageFilter.GaussianBlur(radius))
    shade = roundness_shade(as_field(small), radius, roundness, light)
    if factor == 1:
        return shade
    tall, wide = shade.shape
    return upsampled(shade, wide * factor, tall * factor)[: mask.height, : mask.width]


def ribbon(points: Points, width: float, taper: bool = False) -> Points:
    """Return the closed outline (2n, 2) of a line through n points (n, 2).

    Args:
        points: The points.
        width: Width of the line.
        taper: Whether the line gets thin towards both ends.
    """
    if len(points) < 2:
        return points
    along = np.empty_like(points)
    along[1:-1] = points[2:] - points[:-2]
    along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    across = along[:, ::-1] / length * (-width / 2, width / 2)
    if taper:
        across *= _spindle(len(points))
    return np.concatenate([points + across, (points - across)[::-1]])


@lru_cache(maxsize=64)
def _spindle(count: int) -> NDArray[np.float64]:
    """Return the widths (count, 1) of a line with thin ends, as fractions of its full width."""
    return np.sin(np.linspace(0.12, np.pi - 0.12, count))[:, None] ** 0.7


def dashes(points: Points, length: float, gap: float) -> Points:
    """Return the start and end points (d, 2, 2) of the d dashes of a dashed line.

    Args:
        points: Points (n, 2) of the line.
        length: Length of a dash.
        gap: Distance between two dashes.
    """
    steps = np.hypot(*np.diff(points, axis=0).T)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    count = int((travelled[-1] + gap) // (length + gap))
    starts = np.arange(count) * (length + gap)
    spots = starts[:, None] + np.array([0.0, length])
    x = np.interp(spots, travelled, points[:, 0])
    y = np.interp(spots, travelled, points[:, 1])
    return np.stack([x, y], axis=-1)


def dashed(points: Points, length: float, gap: float, width: float) -> list[Points]:
    """Return the outlines, each (4, 2), of the dashes of a dashed line; see `dashes`."""
    ends = dashes(points, length, gap)
    along = ends[:, 1] - ends[:, 0]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    across = (along[:, ::-1] * (-width / 2, width / 2))[:, None]
    return list(np.concatenate([ends + across, ends[:, ::-1] - across], axis=1))


def mixed(one: Color, other: Color, weight: Field) -> NDArray[np.float32]:
    """Return a mixture (h, w, 3) of two colors.

    `weight` (h, w) is the weight of `other` at each pixel: 0 gives `one`, 1 gives `other`.
    """
    found = np.multiply(weight[..., None], other - one, out=colors(*weight.shape))
    return np.add(one, found, out=found)
