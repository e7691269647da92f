"""Fill pieces, lines and buttons as pixels, with their shading.

Masks are filled three times finer than the image and reduced, so that edges are smooth. Shading is
computed at a coarse size and stretched, which loses nothing where it is soft.
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

OVER = 3  # how much finer masks are filled


def colors(height: int, width: int) -> NDArray[np.float32]:
    """Black (height, width, 3): in memory all of red, then all of green, then all of blue.

    So a field that is laid over them goes along rows, not three numbers at a time: a fifth of the
    time. What is computed from such an array lies in memory as it does.
    """
    return np.zeros((3, height, width), np.float32).transpose(1, 2, 0)


@dataclass
class Layer:
    """A garment on nothing: `rgb` (size, size, 3) multiplied by `alpha` (size, size), in [0, 1].

    `tones` (size, size) is how much lighter or darker than its own color each point is, about 0:
    kept apart until the end, since one field is cheaper to change than three colors. `light` is
    the unit direction (x, y; y down) from which light comes.
    """

    rgb: NDArray[np.float32]
    alpha: Field
    tones: Field
    light: tuple[float, float]

    @classmethod
    def empty(cls, size: int, light: tuple[float, float]) -> "Layer":
        """A layer on which nothing is drawn yet."""
        rgb = colors(size, size)
        return cls(rgb, np.zeros_like(rgb[..., 0]), np.zeros_like(rgb[..., 0]), light)

    @property
    def size(self) -> int:
        """Pixels a side."""
        return len(self.alpha)

    def box_around(self, points: Points, margin: float) -> Box | None:
        """The pixels around points with a margin, cut at the picture; None if all lie outside."""
        low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        left, top = max(floor(low[0] - margin), 0), max(floor(low[1] - margin), 0)
        right = min(ceil(high[0] + margin), self.size)
        bottom = min(ceil(high[1] + margin), self.size)
        return (left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None

    def paint(
        self, box: Box, mask: Field, color: NDArray[np.float32], tone: Field | None = None
    ) -> None:
        """Lay a color, (3,) or (h, w, 3), over a box where the mask (h, w) says.

        `tone` (h, w) is the light on what is laid; without it, as on what lies beneath.
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
        """Make what is drawn in a box lighter (positive) or darker (negative), -1 to 1."""
        left, top, right, bottom = box
        self.tones[top:bottom, left:right] += amount

    def lit(self) -> NDArray[np.float32]:
        """The colors (size, size, 3) in their light, multiplied by `alpha`; the layer's own array.

        Partly in proportion and partly absolute, so that folds show on black cloth too. To be taken
        once, at the end: in fresh memory, the pages alone would cost as much as the arithmetic.
        """
        tones, alpha = self.tones, self.alpha
        self.rgb *= (1 + np.float32(0.75) * tones)[..., None]
        self.rgb += (np.float32(0.13) * tones * alpha)[..., None]
        return np.clip(self.rgb, 0, alpha[..., None], out=self.rgb)


def filled(outlines: list[Points], box: Box, holes: tuple[Points, ...] = ()) -> Image.Image:
    """The mask ("L") of closed outlines within a box, with smooth edges."""
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
    """An "L" mask as (h, w) in [0, 1]."""
    return np.multiply(np.asarray(mask), np.float32(1 / 255), dtype=np.float32)


def softened(mask: Image.Image, radius: float) -> Field:
    """A mask blurred by `radius` pixels, computed at a size at which that is cheap."""
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
    """By how many pixels a piece's mask is blurred to serve as its height."""
    return max(0.16 * thickness, 0.6)


def roundness_shade(
    bulge: Field, radius: float, roundness: float, light: tuple[float, float]
) -> Field:
    """How a bulging piece catches light: (h, w), about 0, less at edges and away from the light.

    `bulge` is the piece's mask, blurred by `radius` pixels of its own.
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
    """`roundness_shade` of a mask, computed at a size at which that is cheap."""
    factor = int(np.clip(thickness / 9, 1, 4))
    radius = bulge_radius(thickness) / factor
    small = (mask.reduce(factor) if factor > 1 else mask).filter(ImageFilter.GaussianBlur(radius))
    shade = roundness_shade(as_field(small), radius, roundness, light)
    if factor == 1:
        return shade
    tall, wide = shade.shape
    return upsampled(shade, wide * factor, tall * factor)[: mask.height, : mask.width]


def ribbon(points: Points, width: float, taper: bool = False) -> Points:
    """The closed outline of a line of a given width; tapered, it is thin at both ends."""
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
    """Widths (count, 1) along a line that is thin at both ends."""
    return np.sin(np.linspace(0.12, np.pi - 0.12, count))[:, None] ** 0.7


def dashes(points: Points, length: float, gap: float) -> Points:
    """Where dashes `length` long and `gap` apart begin and end: (dashes, 2, 2)."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    count = int((travelled[-1] + gap) // (length + gap))
    starts = np.arange(count) * (length + gap)
    spots = starts[:, None] + np.array([0.0, length])
    x = np.interp(spots, travelled, points[:, 0])
    y = np.interp(spots, travelled, points[:, 1])
    return np.stack([x, y], axis=-1)


def dashed(points: Points, length: float, gap: float, width: float) -> list[Points]:
    """The outlines of dashes along a line, see `dashes`; each (4, 2)."""
    ends = dashes(points, length, gap)
    along = ends[:, 1] - ends[:, 0]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    across = (along[:, ::-1] * (-width / 2, width / 2))[:, None]
    return list(np.concatenate([ends + across, ends[:, ::-1] - across], axis=1))


def mixed(one: Color, other: Color, weight: Field) -> NDArray[np.float32]:
    """Two colors mixed: (h, w, 3), weight 0 the one and 1 the other."""
    found = np.multiply(weight[..., None], other - one, out=colors(*weight.shape))
    return np.add(one, found, out=found)
