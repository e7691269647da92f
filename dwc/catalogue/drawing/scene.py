"""Backgrounds, light and shadows of images in the styles "gallery" and "training".

The style "gallery" has calm backgrounds and a soft shadow (`backdrop`, `cast_shadow`).

The style "training" (`Snapshot`) imitates hasty photographs taken at home: cluttered background,
uneven light, blur and noise. A model that is trained on such images learns to ignore these effects.
The strength of the effects is random for each image; some images look almost like the gallery
style. The mean hue changes only a little, because otherwise the garment's color could not be
recognized.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from dwc.catalogue.drawing.materials import (
    Color,
    Field,
    cloud_tile,
    crease_tile,
    cut,
    oklab_to_srgb,
    oklch_to_srgb,
    srgb_to_oklab,
    upsampled,
)
from dwc.catalogue.drawing.patterns import turned_tile
from dwc.catalogue.drawing.pose import Crumple, Pose
from dwc.catalogue.drawing.render import Layer, colors

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
    return (0.7 * shifted + tones + joints).astype(np.float32)


@lru_cache(maxsize=1)
def _linen_tile() -> Field:
    """Return a texture (256, 256) of linen, with threads of uneven thickness.

    The mean of the texture is about 0.
    """
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


_NAMED = ("striped", "checked", "dotted", "floral", "zigzag", "leopard", "pinstriped")


def surroundings(rng: np.random.Generator, garment_colors: list[Color], size: int) -> ImageArray:
    """Return a random background (size, size, 3) as in a home: floor, carpet, bed sheet, wall, ...

    A background that does not contrast with the garment's colors is mostly replaced by another
    random one, up to three times. Each time, it is kept with a probability of 0.2.
    """
    kinds, shares = zip(*_KINDS, strict=True)
    kind = kinds[int(rng.choice(len(kinds), p=np.array(shares) / sum(shares)))]
    rgb = kind(rng, size)
    for _ in range(3):
        if rng.random() < 0.2:
            break
        seen = srgb_to_oklab(np.stack([rgb.mean(axis=(0, 1)), *garment_colors]))
        if np.linalg.norm(seen[1:] - seen[0], axis=1).min() > 0.12:
            break
        rgb = kinds[int(rng.choice(len(kinds), p=np.array(shares) / sum(shares)))](rng, size)
    return rgb


def any_color(rng: np.random.Generator, vivid: float = 0.06) -> Color:
    """Return a random, mostly muted color; `vivid` is the mean chroma (strength of the color)."""
    lightness = float(rng.beta(1.6, 1.1) * 0.78 + 0.2)
    chroma = min(float(rng.exponential(vivid)), 0.22)
    return oklch_to_srgb(lightness, chroma, float(rng.uniform(0, 360)))


def creased_cloth(rng: np.random.Generator, size: int, strength: float) -> Field:
    """Return brightness factors (size, size) near 1 that make a surface look creased.

    `strength` is the typical deviation from 1.
    """
    zoom = size / rng.uniform(70, 220)
    tile = crease_tile() if rng.random() < 0.5 else crease_tile(2.1, 12)
    folds = cut(tile, rng, size, zoom)
    # Light comes from one side, so a ridge has a light and a dark flank.
    slope = np.zeros_like(folds)
    slope[:, 1:] = folds[:, 1:] - folds[:, :-1]
    if rng.random() < 0.5:
        slope[1:] += folds[1:] - folds[:-1]
    slope *= np.float32(0.55 * size / 80)
    return 1 + np.float32(strength) * (0.35 * folds + slope)


def _wall(rng: np.random.Generator, size: int) -> ImageArray:
    """Return an image (size, size, 3) of a plain, slightly uneven wall."""
    lightness, chroma = float(rng.uniform(0.55, 0.98)), float(rng.exponential(0.015))
    tint = oklch_to_srgb(lightness, chroma, float(rng.uniform(0, 360)))
    return tint * (1 + np.float32(0.02) * cut(cloud_tile(1.2), rng, size))[..., None]


def _wood(rng: np.random.Generator, size: int) -> ImageArray:
    """Return an image (size, size, 3) of a wooden floor, from pale grey to red brown."""
    level, grey = float(rng.uniform(0.42, 0.88)), float(rng.beta(1.2, 1.5))
    tint = oklch_to_srgb(level, 0.015 + 0.085 * (1 - grey), float(rng.uniform(50, 85)))
    angle = float(rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.12))
    if rng.random() < 0.15:
        angle += float(rng.uniform(0, np.pi))
    planks = turned_tile(_planks(), size, rng.uniform(0.6, 1.9) * 256 / size, angle, rng)
    contrast = np.float32(rng.uniform(0.03, 0.09))
    return tint * (1 + contrast * planks)[..., None]


@lru_cache(maxsize=1)
def _planks() -> Field:
    """Return a repeating texture (256, 256) of horizontal wooden planks; its mean is about 0."""
    rng = np.random.default_rng(11)
    fine = np.asarray(
        Image.fromarray(cloud_tile(0.7, 100)[:, :20].copy()).resize((256, 256)), np.float32
    )
    field = 0.8 * fine
    for row in range(8):
        rows = slice(row * 32, row * 32 + 32)
        start = int(rng.integers(256))
        columns = (np.arange(256) - start) % 256
        field[rows] += np.where(columns < 128, rng.normal(0, 0.9), rng.normal(0, 0.9))
        field[rows.start : rows.start + 2] -= 2.2
        field[rows][:, (columns == 0) | (columns == 128)] -= 2.2
    return field.astype(np.float32)


def _tiles(rng: np.random.Generator, size: int) -> ImageArray:
    """Return an image (size, size, 3) of floor tiles, mostly pale, at a random angle."""
    level = float(rng.uniform(0.6, 0.95))
    tint = oklch_to_srgb(level, float(rng.exponential(0.015)), float(rng.uniform(40, 110)))
    scale = rng.uniform(0.5, 1.5) * 256 / size
    joints = turned_tile(_joints(), size, scale, float(rng.uniform(0, np.pi)), rng)
    marbled = cut(cloud_tile(1.5), rng, size)
    depth = np.float32(rng.uniform(-0.4, 0.12))
    return tint * (1 + depth * joints + np.float32(0.025) * marbled)[..., None]


@lru_cache(maxsize=1)
def _joints() -> Field:
    """Return the mask (256, 256) of the joints between four tiles: 1 in a joint, 0 on a tile."""
    side = np.arange(256) % 128
    joint = np.clip(2.6 - np.minimum(side, 128 - side), 0, 1).astype(np.float32)
    return np.maximum(joint[None], joint[:, None])


def _carpet(rng: np.random.Generator, size: int) -> ImageArray:
    """Return an image (size, size, 3) of a carpet, sometimes with an ornament."""
    tint = any_color(rng, 0.045)
    field = np.float32(rng.uniform(0.04, 0.16)) * cut(
        cloud_tile(0.5, 128), rng, size, rng.uniform(1.0, 2.6) * size / 128
    )
    field = field + np.float32(0.05) * cut(cloud_tile(1.6), rng, size)
    rgb = np.broadcast_to(tint, (size, size, 3))
    if rng.random() < 0.35:
        ornament = np.clip(cut(crease_tile(1.3, 10), rng, size, size / 128) * 1.5 + 0.6, 0, 1)
        rgb = tint + np.float32(0.75) * ornament[..., None] * (any_color(rng, 0.08) - tint)
    return rgb * (1 + field)[..., None]


def _sheet(rng: np.random.Generator, size: int) -> ImageArray:
    """Return an image (size, size, 3) of a creased bed sheet or blanket of any color."""
    pale = oklch_to_srgb(float(rng.uniform(0.8, 0.97)), 0.012, float(rng.uniform(40, 260)))
    tint = pale if rng.random() < 0.4 else any_color(rng, 0.10)
    return tint * creased_cloth(rng, size, float(rng.uniform(0.02, 0.10)))[..., None]


def _patterned(rng: np.random.Generator, size: int) -> ImageArray:
    """Return an image (size, size, 3) of patterned, lightly creased cloth."""
    ground, figures = any_color(rng, 0.06), any_color(rng, 0.10)
    name = str(rng.choice(_NAMED))
    weight = turned_tile(
        name, size, rng.uniform(0.35, 1.6) * 256 / (0.3 * size), float(rng.uniform(0, np.pi)), rng
    )
    weight = weight * np.float32(rng.uniform(0.4, 1))
    cloth = ground + weight[..., None] * (figures - ground)
    return cloth * creased_cloth(rng, size, float(rng.uniform(0.01, 0.06)))[..., None]


def _two_parts(rng: np.random.Generator, size: int) -> ImageArray:
    """Return an image (size, size, 3) of two adjacent surfaces, such as a wall and a floor."""
    plain = (_wall, _wood, _carpet, _sheet, _wall)
    first = plain[int(rng.integers(5))](rng, size)
    second = plain[int(rng.integers(5))](rng, size)
    angle = float(rng.normal(np.pi / 2 if rng.random() < 0.6 else 0, 0.15))
    steps = np.linspace(-1, 1, size, dtype=np.float32)
    edge = np.cos(angle) * steps[None] + np.sin(angle) * steps[:, None]
    edge = (edge - rng.uniform(-0.7, 0.7)) * (size / 2)
    weight = np.clip(edge, 0, 1)[..., None]
    dark = (1 - 0.35 * np.exp(-np.abs(edge) * 16 / size))[..., None]
    return (first + weight * (second - first)) * dark.astype(np.float32)


def _clutter(rng: np.random.Generator, size: int) -> ImageArray:
    """Return an image (size, size, 3) of overlapping blocks of many colors, like furniture."""
    image = Image.new("RGB", (size, size), _as_ink(any_color(rng)))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 14))):
        middle = rng.uniform(0, size, 2)
        half = rng.uniform(0.05, 0.4, 2) * size
        angle = rng.normal(0, 0.15)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = (np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half) @ turn.T + middle
        if rng.random() < 0.25:
            low, high = middle - half, middle + half
            pen.ellipse((low[0], low[1], high[0], high[1]), fill=_as_ink(any_color(rng, 0.08)))
        else:
            pen.polygon(corners.ravel().tolist(), fill=_as_ink(any_color(rng, 0.08)))
    rgb = np.asarray(image, dtype=np.float32) / np.float32(255)
    return rgb * (1 + np.float32(0.05) * cut(cloud_tile(1.2), rng, size))[..., None]


def _as_ink(color: Color) -> tuple[int, int, int]:
    red, green, blue = (color * 255).astype(int).tolist()
    return red, green, blue


def foreground(rgb: ImageArray, rng: np.random.Generator) -> None:
    """Paint a hand or a piece of cloth over the edge of the image `rgb`; the array is modified."""
    size = len(rgb)
    angle = float(rng.uniform(0, 2 * np.pi))
    inward = np.array([np.cos(angle), np.sin(angle)])
    border = size / 2 * (1 - inward / np.abs(inward).max())
    mask = Image.new("L", (size * 2, size * 2), 0)
    pen = ImageDraw.Draw(mask)
    if rng.random() < 0.45:
        skin = oklch_to_srgb(float(rng.uniform(0.42, 0.85)), 0.065, float(rng.uniform(40, 65)))
        reach, wide = rng.uniform(0.12, 0.26) * size, rng.uniform(0.05, 0.09) * size
        across = np.array([-inward[1], inward[0]])
        for k in range(-1, 3):
            tip = border + inward * reach * (1 - 0.12 * abs(k)) + across * k * wide * 0.8
            root = border + across * k * wide * 0.5
            pen.line([*(root * 2), *(tip * 2)], fill=255, width=max(2, round(wide * 1.7)))
            low, high = (tip - wide * 0.42) * 2, (tip + wide * 0.42) * 2
            pen.ellipse((*low, *high), fill=255)
        color: NDArray[np.float32] = skin
    else:
        depth = rng.uniform(0.04, 0.16) * size
        t = np.linspace(-1, 1, 12)
        across = np.array([-inward[1], inward[0]])
        wave = depth * (1 + 0.5 * np.sin(t * rng.uniform(2, 6) + rng.uniform(0, 6)))
        front = border + t[:, None] * across * size + wave[:, None] * inward
        rim = np.concatenate([front, (border + across * size - inward * size)[None],
                              (border - across * size - inward * size)[None]])  # fmt: skip
        pen.polygon((rim * 2).ravel().tolist(), fill=255)
        color = any_color(rng, 0.09) * creased_cloth(rng, size, 0.06)[..., None]
    cover = np.asarray(mask.reduce(2), dtype=np.float32)[..., None] / np.float32(255)
    rgb += cover * (color - rgb)


def uneven_light(rng: np.random.Generator, size: int, strength: float) -> Field:
    """Return brightness factors (size, size) near 1, as in the light of a window, lamp or flash.

    Some of the results have a shadow with a straight edge. `strength` is 0 for even light; 1.3 is
    strong.
    """
    steps = np.linspace(-1, 1, 10, dtype=np.float32)
    x, y = steps[None], steps[:, None]
    angle, centre = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.4, 2).astype(np.float32)
    slope = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    spot = 0.5 - ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) * np.float32(0.5)
    light = np.float32(rng.normal(0, 0.18)) * slope + np.float32(rng.normal(0.03, 0.12)) * spot
    field = upsampled((1 + np.float32(strength) * light).astype(np.float32), size, size)
    if rng.random() < 0.25 * strength:  # shadow of the photographer or of the window frame
        steps = np.linspace(-1, 1, size, dtype=np.float32)
        angle = rng.uniform(0, 2 * np.pi)
        edge = np.float32(np.cos(angle)) * steps[None] + np.float32(np.sin(angle)) * steps[:, None]
        edge = np.clip((edge - rng.uniform(-0.2, 0.9)) * rng.uniform(3, 20), 0, 1)
        field = field * (1 - np.float32(rng.uniform(0.1, 0.4)) * edge)
    return field.astype(np.float32)


_KINDS: tuple[tuple[Callable[[np.random.Generator, int], ImageArray], float], ...] = (
    (_wall, 0.17), (_wood, 0.18), (_tiles, 0.08), (_carpet, 0.16), (_sheet, 0.20),
    (_patterned, 0.08), (_two_parts, 0.09), (_clutter, 0.04),
)  # fmt: skip


_NEAR_GALLERY = 0.25  # share of careful photographs, similar to the gallery style


@dataclass(frozen=True)
class Snapshot:
    """Generator of the random pose, light, background and flaws of one imitated snapshot.

    Attributes:
        strength: Strength of the flaws, from 0 (none) to 1.
    """

    strength: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Snapshot":
        """Return a `Snapshot` whose flaws have a random strength.

        In a quarter of all cases, the flaws are weak, as in a careful photograph.
        """
        careful = rng.random() < _NEAR_GALLERY
        return cls(float(rng.uniform(0, 0.2) if careful else rng.uniform(0.4, 1.0)))

    def pose(self, rng: np.random.Generator) -> Pose:
        """Return a random pose, as in a photograph that was taken in a hurry.

        Rotation, distance, offset, viewing angle and crumpling are random.
        """
        strength = self.strength
        turn = np.clip(rng.normal(0, 0.05 + 0.22 * strength), -0.44, 0.44)
        if rng.random() < 0.07 * strength:
            turn = rng.uniform(-np.pi, np.pi)
        zoom = float(np.exp(rng.normal(0.06 * strength, 0.16 * strength)))
        return Pose(
            turn=float(turn),
            zoom=zoom * float(rng.uniform(0.92, 1.04)),
            aspect=float(np.exp(rng.normal(0, 0.07 * strength))),
            lean=float(rng.normal(0, 0.06 * strength)),
            centre=tuple((rng.normal(0, 0.02 + 0.10 * strength, 2)).tolist()),
            tilt=tuple((rng.normal(0, 0.09 * strength, 2)).tolist()),
            crumple=Crumple.draw(rng, 0.006 + 0.035 * strength * rng.random(), 7),
        )

    def light_direction(self, rng: np.random.Generator) -> tuple[float, float]:
        """Return a random unit vector (x, y; y down) towards the light, which is mostly above."""
        angle = rng.normal(-np.pi / 2, 0.6 + 0.8 * self.strength)
        return (float(np.cos(angle)), float(np.sin(angle)))

    def wrinkle(self, layer: Layer, rng: np.random.Generator) -> None:
        """Add random folds, and sometimes worn patches, to the garment on the layer."""
        size = layer.size
        box = (0, 0, size, size)
        depth = 0.02 + 0.18 * self.strength * rng.random()
        layer.tone(box, creased_cloth(rng, size, float(depth)) - 1)
        if rng.random() < 0.5 * self.strength:  # worn and faded in some areas
            patches = cut(crease_tile(2.1, 12), rng, size, size / 90)
            layer.tone(box, np.float32(rng.uniform(0.02, 0.07)) * patches)

    def show(self, layer: Layer, rng: np.random.Generator, colors: list[Field]) -> ImageArray:
        """Return an image (size, size, 3) of the garment that looks like a photograph.

        The background is random, and a hand or a piece of cloth may cover a part of the image.

        Args:
            layer: The drawn garment.
            rng: The random generator.
            colors: The garment's colors; backgrounds that contrast with them are preferred.
        """
        size, strength = layer.size, self.strength
        if strength < 0.2 and rng.random() < 0.6:
            ground = backdrop(rng, colors, size)
        else:
            ground = surroundings(rng, colors, size)
        hard = rng.random() * strength
        shadow = np.float32(0.15 + 0.30 * rng.random()) * cast_shadow(
            layer, float(rng.uniform(0.01, 0.07)) * size, max(0.6, (0.045 - 0.035 * hard) * size)
        )
        shadow += np.float32(0.25 * rng.random()) * cast_shadow(layer, 0.008 * size, 0.012 * size)
        rgb = compose(layer, ground, shadow)
        if rng.random() < 0.14 * strength:
            foreground(rgb, rng)
        return self._expose(rgb, rng)

    def _expose(self, rgb: ImageArray, rng: np.random.Generator) -> ImageArray:
        """Add the effects of light and camera to an image (size, size, 3), and return it.

        The effects are uneven light, exposure, white balance, blur, noise and JPEG compression.
        """
        size, strength = len(rgb), self.strength
        rgb = rgb * uneven_light(rng, size, 0.3 + strength)[..., None]
        gains = np.exp(rng.normal(0, 0.035 * strength, 3) + rng.normal(0, 0.15 * strength))
        rgb = np.clip(rgb * gains.astype(np.float32), 0, 1)
        gamma = np.float32(np.exp(rng.normal(0, 0.16 * strength)))
        if abs(gamma - 1) > 0.02:
            rgb = rgb**gamma
        fade = np.float32(rng.uniform(0, 0.10) * strength)  # haze brightens black
        rgb = rgb * (1 - fade) + fade * np.float32(rng.uniform(0.2, 0.9))
        return self._record(rgb, rng)

    def _record(self, rgb: ImageArray, rng: np.random.Generator) -> ImageArray:
        size, strength = len(rgb), self.strength
        image = as_image(rgb)
        if rng.random() < 0.25 * strength:
            side = max(12, round(size * rng.uniform(0.55, 0.9)))
            image = image.resize((side, side), Image.Resampling.BILINEAR)
            image = image.resize((size, size), Image.Resampling.BICUBIC)
        radius = rng.uniform(-0.6, 0.7) * strength * size / 80
        if radius > 0.15:
            image = image.filter(ImageFilter.GaussianBlur(radius))
        noise = float(rng.gamma(1.0, 0.013) * strength)
        if noise > 0.003:
            grain = rng.standard_normal((size, size, 3), dtype=np.float32)
            grain = 0.5 * grain + 0.5 * grain[..., :1]
            noisy = np.asarray(image, dtype=np.float32) + grain * np.float32(noise * 255)
            image = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
        if rng.random() < 0.7 * strength:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=int(rng.integers(35, 95)))
            image = Image.open(file)
        return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)


def varied(color: Field, rng: np.random.Generator, strength: float) -> Field:
    """Return a slightly different sRGB color (3,).

    The random changes of lightness, chroma and hue grow with `strength` (0 to 1). Even at 1, they
    are so small that the color's name stays correct.
    """
    lab = srgb_to_oklab(color)
    lab[0] += rng.normal(0, 0.018 * strength)
    chroma = rng.uniform(1 - 0.28 * strength, 1.06)
    angle = rng.normal(0, 0.06 * strength)
    cos, sin = np.cos(angle) * chroma, np.sin(angle) * chroma
    lab[1:] = (cos * lab[1] - sin * lab[2], sin * lab[1] + cos * lab[2])
    return oklab_to_srgb(lab).astype(np.float32)
