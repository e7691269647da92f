"""Drawing of a garment as an image in one of three styles.

`draw` draws a garment with given attribute values. A seed decides everything else, such as pose,
light and background.
"""

import hashlib
from typing import Literal, get_args

import numpy as np
from PIL import Image

from dwc.catalogue.drawing.garments import outline
from dwc.catalogue.drawing.materials import crease_tile, cut, material_of
from dwc.catalogue.drawing.parts import Line, Part, Shape, smooth
from dwc.catalogue.drawing.patterns import Pattern
from dwc.catalogue.drawing.pose import Crumple, Pose
from dwc.catalogue.drawing.render import Layer, Renderer, ribbon
from dwc.catalogue.drawing.scene import (
    ImageArray,
    Snapshot,
    as_image,
    backdrop,
    cast_shadow,
    compose,
    varied,
)
from dwc.catalogue.schema import Garment

_WIRE = 0.026  # thickness of a hanger's wire; the image is 2 units wide


def on_hanger(shape: Shape, clipped: bool) -> Shape:
    """Return a shape with a hanger added behind the garment.

    Args:
        shape: The pieces, lines and buttons of the garment. If `shape.hung_from` does not have two
            points, the shape is returned unchanged.
        clipped: Whether the hanger has a bar with clips, as for a skirt or trousers.
    """
    if len(shape.hung_from) != 2:
        return shape
    (left_x, left_y), (right_x, right_y) = sorted(shape.hung_from)
    middle, half = (left_x + right_x) / 2, (right_x - left_x) / 2
    shoulder = (left_y + right_y) / 2
    apex = shoulder - (0.05 + 0.28 * half)
    wires = [
        smooth([(left_x, left_y), (middle - 0.45 * half, apex + 0.11 * half), (middle, apex),
                (middle + 0.45 * half, apex + 0.11 * half), (right_x, right_y)], False, 6),
        smooth([(middle, apex), (middle, apex - 0.05), (middle + 0.05, apex - 0.09),
                (middle + 0.035, apex - 0.15), (middle - 0.02, apex - 0.165),
                (middle - 0.05, apex - 0.13)], False, 6),
    ]  # fmt: skip
    clips: list[Part] = []
    if clipped:
        wires.append(np.array([(left_x, left_y - 0.02), (right_x, right_y - 0.02)]))
        for x, y in shape.hung_from:
            clip = np.array([(x, y - 0.045), (x, y + 0.05)])
            clips.append(Part(ribbon(clip, 0.05), "metal", roundness=0.6, patterned=False))
    behind = [Part(ribbon(wire, _WIRE), "metal", roundness=0.8, patterned=False) for wire in wires]
    shade = Line(wires[0], "crease", _WIRE)
    return Shape((*behind, shade, *shape.items, *clips), shape.print_box, shape.hung_from)


Style = Literal["gallery", "training", "plain"]
"""The style of an image.

- "gallery": well lit on a calm background.
- "training": like a hasty photograph, with clutter, blur and noise.
- "plain": upright on white.
"""

SMALLEST_SIZE = 16  # pixels per side; in smaller images a seam would be wider than a sleeve

_ON_HANGER = 0.6  # share of hanging garments drawn with a visible hanger
_CLIPPED = frozenset({"skirt", "trousers", "shorts"})
_IN_PAIRS = frozenset({"trainers", "boots", "heels", "flats", "sandals"})


def draw(garment: Garment, seed: int, size: int = 256, style: Style = "gallery") -> Image.Image:
    """Draw a garment as an RGB image.

    The same arguments always give the same image. Everything that the garment's attributes do not
    specify (pose, light, background, color of buttons, position and scale of the pattern) is random
    and determined by the seed.

    Args:
        garment: The garment's category and attribute values.
        seed: Seed of the random properties.
        size: Width and height of the image in pixels, 16 or more.
        style: One of `Style`.

    Raises:
        ValueError: The size is below 16, or the style is unknown.
    """
    rng = generator(garment, seed, style)
    return draw_shape(outline(garment, rng), garment, rng, size, style)


def generator(garment: Garment, seed: int, style: str) -> np.random.Generator:
    """Return the random generator for the drawing of one image.

    Generators for equal arguments give equal random numbers.
    """
    key = "|".join((garment.category, *garment.values, str(seed), style))
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def draw_shape(
    shape: Shape, garment: Garment, rng: np.random.Generator, size: int, style: Style = "gallery"
) -> Image.Image:
    """Draw a shape from `garments.outline` in the colors and pattern of a garment.

    Args:
        shape: The pieces, lines and buttons of the garment.
        garment: The garment's category and attribute values.
        rng: Random generator for everything that the attribute values do not specify.
        size: Width and height of the image in pixels, 16 or more.
        style: One of `Style`.

    Raises:
        ValueError: The size is below 16, or the style is unknown.
    """
    if size < SMALLEST_SIZE:
        raise ValueError(f"size is {size} pixels; a garment takes at least {SMALLEST_SIZE}")
    if style not in get_args(Style):
        raise ValueError(f"style is one of {', '.join(get_args(Style))}; got {style!r}")
    if style != "plain" and rng.random() < _ON_HANGER:
        shape = on_hanger(shape, clipped=garment.category in _CLIPPED)
    if style == "training":
        image = _photographed(shape, garment, rng, size)
    else:
        image = _well_lit(shape, garment, rng, size, style == "plain")
    return as_image(image)


def _well_lit(
    shape: Shape, garment: Garment, rng: np.random.Generator, size: int, plain: bool
) -> ImageArray:
    if plain:
        pose = Pose()
        light = (-0.5, -0.866)
    else:
        pose = Pose(
            turn=float(rng.normal(0, 0.035)),
            zoom=float(rng.uniform(0.90, 1.0)),
            aspect=float(rng.uniform(0.97, 1.03)),
            centre=(float(rng.normal(0, 0.015)), float(rng.normal(0, 0.015))),
            crumple=Crumple.draw(rng, 0.006),
        )
        angle = rng.uniform(-2.6, -0.55)
        light = (float(np.cos(angle)), float(np.sin(angle)))
    material = material_of(garment, rng)
    pattern = Pattern.draw(garment["pattern"], rng, size, across=garment.category in _IN_PAIRS)
    layer = Layer.empty(size, light)
    unit = pose.zoom * size / 2
    Renderer(layer, material, pattern, unit, pose.turn).draw(pose.place(shape, size), rng)
    if plain:
        return compose(layer, np.ones((size, size, 3), np.float32), 0 * layer.alpha)
    folds = cut(crease_tile(), rng, size, size / 160) * np.float32(0.022)
    layer.tone((0, 0, size, size), folds)
    colors = [material.colors["main"], material.colors["second"]]
    background = backdrop(rng, colors, size)
    shadow = 0.20 * cast_shadow(layer, 0.035 * size, 0.035 * size)
    shadow += 0.22 * cast_shadow(layer, 0.008 * size, 0.009 * size)
    return compose(layer, background, shadow)


def _photographed(
    shape: Shape, garment: Garment, rng: np.random.Generator, size: int
) -> ImageArray:
    snapshot = Snapshot.draw(rng)
    pose = snapshot.pose(rng)
    material = material_of(garment, rng)
    for role in ("main", "second"):
        material.colors[role] = varied(material.colors[role], rng, snapshot.strength)
    askew = 0.012 + 0.03 * snapshot.strength * rng.random()
    pattern = Pattern.draw(garment["pattern"], rng, size, askew, garment.category in _IN_PAIRS)
    layer = Layer.empty(size, snapshot.light_direction(rng))
    unit = pose.zoom * size / 2
    detail = float(rng.uniform(1 - 0.65 * snapshot.strength, 1))
    Renderer(layer, material, pattern, unit, pose.turn, detail).draw(pose.place(shape, size), rng)
    snapshot.wrinkle(layer, rng)
    return snapshot.show(layer, rng, [material.colors["main"], material.colors["second"]])
