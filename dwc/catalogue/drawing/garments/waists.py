"""What holds skirts, trousers and shorts at the waist: band, belt, drawstring."""

import numpy as np

from dwc.catalogue.drawing.garments.placing import Item, shifted
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, smooth

WAIST_STEPS = np.linspace(-1, 1, 13)


def waist_line(half_width: float, y: float, dip: float) -> Points:
    """The waist from left to right, `dip` lower in its middle, (13, 2)."""
    return np.stack([WAIST_STEPS * half_width, y + dip * (1 - WAIST_STEPS**2)], axis=1)


def waistband(top: float, bottom: float, depth: float, dip: float) -> list[Item]:
    """The band of half widths `top` and `bottom`, `depth` high, and the back seen above it."""
    above, below = waist_line(top, 0.0, dip), waist_line(bottom, depth, dip)
    back = waist_line(top, 0.0, -0.35 * dip)
    return [
        Part(np.concatenate([above, back[::-1]]), "lining", 0.0, 0.2, patterned=False),
        Part(np.concatenate([above, below[::-1]]), "main", 0.0, 0.3),
        Line(below, "seam", 0.012),
    ]


def belt_loops(half_width: float, depth: float, dip: float) -> list[Item]:
    """Upright loops of cloth over the band or belt."""
    items: list[Item] = []
    for share in (-0.72, -0.34, 0.34, 0.72):
        x, y = share * half_width, dip * (1 - share**2)
        outline = np.array([(-0.013, -0.012), (0.013, -0.012), (0.013, 0.012), (-0.013, 0.012)])
        outline[2:, 1] += depth
        items.append(Part(shifted(outline, x, y), "main", 0.0, 0.2, patterned=False))
    return items


def belt(half_width: float, depth: float, dip: float, rng: np.random.Generator) -> list[Item]:
    """A belt of leather with a buckle a little off or at the middle, and its loose end."""
    centre = float(rng.uniform(-0.05, 0.05))
    size, side = float(rng.uniform(0.07, 0.09)), 1.0 if rng.random() < 0.5 else -1.0
    above, below = waist_line(half_width, -0.004, dip), waist_line(half_width, depth, dip)
    y = dip + depth / 2
    items: list[Item] = [
        Part(np.concatenate([above, below[::-1]]), "trim", 0.0, 0.4, patterned=False),
        Line(shifted(above, 0.0, 0.012), "stitch", 0.006),
        Line(shifted(below, 0.0, -0.012), "stitch", 0.006),
    ]
    if rng.random() < 0.5:
        frame = _box(centre, y, size * 1.15, size)
        inner = _box(centre, y, size * 0.72, size * 0.58)
    else:
        angle = np.arange(20) * (2 * np.pi / 20)
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        frame, inner = ring * size * 1.15 + (centre, y), ring * size * 0.7 + (centre, y)
    items.append(Part(frame, "metal", 0.0, 0.3, patterned=False, holes=(inner,)))
    items.append(
        Line(np.array([(centre - side * size, y), (centre + side * size, y)]), "edge", 0.014)
    )
    holes = (centre + side * step * size for step in (1.9, 2.5, 3.1))
    return items + [Disc((x, y - 0.004), 0.008, "metal") for x in holes]


def drawstring(half_width: float, depth: float, dip: float, rng: np.random.Generator) -> list[Item]:
    """A gathered waist, tied by a cord in a bow with two hanging ends."""
    items: list[Item] = []
    for share in np.linspace(-0.92, 0.92, 15):
        x, y = share * half_width, dip * (1 - share**2)
        items.append(Line(np.array([(x, y + 0.01), (x * 1.01, y + depth)]), "crease", 0.014))
    y = dip + depth * 0.55
    length = float(rng.uniform(0.2, 0.36))
    loop = np.array([(0, 0), (0.07, -0.055), (0.135, -0.02), (0.1, 0.045), (0, 0)])
    if rng.random() < 0.25:  # a knot without loops
        loop *= 0.3
    for side in (-1.0, 1.0):
        end = np.array(
            [(0, 0), (0.035, length * 0.45), (rng.uniform(0.02, 0.1), length)]
        )  # hangs down, each end its own way
        items.append(
            Line(smooth(shifted(loop * (side, 1), 0, y), closed=False, samples=5), "lace", 0.03)
        )
        tail = smooth(end * (side, 1) + np.array((0, y)), closed=False, samples=5)
        items.append(Line(tail, "lace", 0.03))
        items.append(Disc((float(tail[-1, 0]), float(tail[-1, 1])), 0.018, "metal"))
    items.append(Disc((0.0, y), 0.02, "trim"))
    return items


def _box(x: float, y: float, half_width: float, half_height: float) -> Points:
    corners = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    return corners * (half_width, half_height) + np.array((x, y))
