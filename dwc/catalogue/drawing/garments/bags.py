"""Builder of bags: boxy, rounded and tote, with handles, a shoulder strap or a chain.

The upper edge of a bag lies at y = 0, its middle at x = 0. The unit of length is arbitrary, since
`framed` scales the finished bag.
"""

from dataclasses import dataclass

import numpy as np

from dwc.catalogue.drawing.garments.placing import Item, framed, moved, shifted
from dwc.catalogue.drawing.parts import (
    Disc,
    Line,
    Part,
    Points,
    Shape,
    arc,
    ellipse,
    mirror,
    rounded,
    smooth,
)
from dwc.catalogue.schema import Garment


@dataclass(frozen=True)
class Body:
    """The symmetrical front of a bag.

    Attributes:
        right: Outline (n, 2) of the right half, from the top corner to the middle of the bottom.
        top: Half the width of the top edge, which lies at y = 0.
        widest: Half the greatest width.
        height: Height of the front.
    """

    right: Points
    top: float
    widest: float
    height: float

    def outline(self, dip: float) -> Points:
        """Return the outline of the front; its upper edge is `dip` lower in the middle."""
        edge = arc((-self.top, 0.0), (0.0, 2 * dip), (self.top, 0.0), 14)
        return np.concatenate([edge, self.right, mirror(self.right)])

    def half_width(self, y: float) -> float:
        """Return half the width of the front at the vertical position `y`."""
        order = np.argsort(self.right[:, 1], kind="stable")
        return float(np.interp(y, self.right[order, 1], self.right[order, 0]))


def _cut(shape: str, rng: np.random.Generator) -> Body:
    stretch = float(rng.uniform(0.94, 1.08))
    if shape == "boxy":
        top, bottom, height = 0.63 * stretch, 0.66 * stretch, float(rng.uniform(0.74, 0.86))
        radius = float(rng.uniform(0.04, 0.09))
    elif shape == "tote":
        top, bottom, height = 0.6 * stretch, float(rng.uniform(0.38, 0.45)) * stretch, 1.06
        radius = 0.04
    else:
        top, height = float(rng.uniform(0.34, 0.42)) * stretch, float(rng.uniform(0.78, 0.92))
        bulge = 0.66 * stretch
        knots = [
            (top, 0.0), (top + 0.5 * (bulge - top), 0.09), (bulge * 0.97, 0.36 * height),
            (bulge * 0.95, 0.62 * height), (bulge * 0.66, 0.9 * height), (0.22, height),
            (0.0, height + 0.01),
        ]  # fmt: skip
        return Body(smooth(np.array(knots), closed=False, samples=6), top, bulge, height)
    corner = arc((bottom, height - radius), (bottom, height), (bottom - radius, height), 6)
    right = np.concatenate([[(top, 0.0)], corner, [(0.0, height + 0.012)]])
    return Body(right, top, max(top, bottom), height)


def bag(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a bag, seen from the front or at an angle.

    A long strap stands upright or lies next to the bag.
    """
    shape, strap, fastening = garment["shape"], garment["strap"], garment["fastening"]
    body = _cut(shape, rng)
    rim = 0.0 if fastening != "none" else float(rng.uniform(0.085, 0.12))
    items: list[Item] = []
    if strap == "handles":
        reach, gap = float(rng.uniform(0.36, 0.5)), float(rng.uniform(0.42, 0.6)) * body.top
        items += _handle(-rim * 0.6, reach + 0.13, gap * 0.86, -0.05)
    else:
        items += _long_strap(body, strap == "chain", rng)
    if shape == "boxy" and rng.random() < 0.5:
        items.append(_gusset(body, float(rng.uniform(0.1, 0.18))))
    if rim:
        hole = ellipse((0.0, 0.0), body.top, rim, 28)
        items.append(Part(hole, "lining", 0.0, 0.3, patterned=False))
        items.append(Line(hole[14:], "edge", 0.016))
    front = body.outline(rim)
    items.append(Part(front, "main", 0.0, 0.55 if shape == "rounded" else 0.3))
    items.append(Line(shifted(front[:14], 0.0, 0.004), "edge", 0.016))
    items += _surface(body, shape, rng)
    if fastening == "flap":
        items += _flap(body, shape, rng)
    elif fastening == "zip":
        items += _zip(body, rng)
    if strap == "handles":
        items += _handle(rim * 0.75, reach, gap, 0.13)
    box = (-body.top * 0.62, body.height * 0.3, body.top * 0.62, body.height * 0.88)
    if rng.random() < 0.5:
        items, box = moved(items, flip=True), (-box[2], box[1], -box[0], box[3])
    return framed(items, span=1.68, print_box=box)


def _ribbon(path: Points, width: float) -> Points:
    """Return the outline of a strip along a path (n, 2)."""
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across *= width / 2 / np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    return np.concatenate([path + across, (path - across)[::-1]])


def _handle(foot: float, reach: float, gap: float, sewn: float) -> list[Item]:
    """Return a short handle.

    Args:
        foot: Vertical position (y) of both ends.
        reach: Height of the handle above its ends.
        gap: Half the distance between the two ends.
        sewn: Length by which the ends overlap the bag.
    """
    knots = [
        (-gap, foot + sewn), (-gap, foot - 0.06), (-gap * 0.78, foot - 0.72 * reach),
        (0, foot - reach), (gap * 0.78, foot - 0.72 * reach), (gap, foot - 0.06),
        (gap, foot + sewn),
    ]  # fmt: skip
    path = smooth(np.array(knots), closed=False, samples=7)
    items: list[Item] = [Part(_ribbon(path, 0.085), "trim", 0.0, 0.6, patterned=False)]
    if sewn > 0:
        items += [Disc((x, foot + sewn - 0.03), 0.018, "metal") for x in (-gap, gap)]
    return items


def _long_strap(body: Body, chain: bool, rng: np.random.Generator) -> list[Item]:
    """Return a shoulder strap, or a chain, that stands upright or lies next to the bag."""
    start, end = (-body.top * 0.93, 0.04), (body.top * 0.93, 0.04)
    chance = rng.random()
    reach = float(rng.uniform(0.78, 0.98))
    if chance < 0.65:
        lean = float(rng.uniform(-0.2, 0.2))
        angle = np.linspace(np.pi, 0, 40)
        rise = np.sin(angle) ** float(rng.uniform(0.6, 0.9))
        pinch = 1 - float(rng.uniform(0.0, 0.35)) * rise**2
        path = np.stack(
            [0.93 * body.top * np.cos(angle) * pinch + lean * rise, 0.04 - reach * rise], axis=1
        )
    else:  # slack: falls to the side of the bag
        out = body.widest + float(rng.uniform(0.16, 0.26))
        knots = [
            start, (-body.top * 0.6, -0.22), (0.0, -0.34), (body.top * 0.8, -0.3),
            (out, 0.05), (out + 0.08, 0.5 * body.height), (out - 0.06, 0.72 * body.height),
            (out - 0.12, 0.4 * body.height), (body.top + 0.08, 0.1), end,
        ]  # fmt: skip
        path = smooth(np.array(knots), closed=False, samples=8)
    items: list[Item] = []
    if chain:
        items.append(Line(path, "chain", 0.08))
    else:
        items.append(Part(_ribbon(path, 0.07), "trim", 0.0, 0.5, patterned=False))
        if rng.random() < 0.5:
            x, y = path[len(path) // 4]
            items.append(
                Part(_square(float(x), float(y), 0.05), "metal", 0.0, 0.3, patterned=False)
            )
    return [*items, Disc(start, 0.038, "metal"), Disc(end, 0.038, "metal")]


def _gusset(body: Body, depth: float) -> Part:
    """Return the side panel of a bag that is seen at an angle."""
    bottom = body.half_width(body.height * 0.5)
    outline = [
        (body.top - 0.04, 0.01), (body.top + depth, -0.04),
        (bottom + depth, body.height - 0.12), (bottom - 0.06, body.height),
    ]  # fmt: skip
    return Part(rounded(np.array(outline), 0.03), "main", 0.0, 0.8)


def _surface(body: Body, shape: str, rng: np.random.Generator) -> list[Item]:
    items: list[Item] = []
    if shape == "boxy":
        outline = body.outline(0.0)
        middle = np.array([0.0, body.height / 2])
        inset = middle + (outline - middle) * (0.93, 0.9)
        items.append(Line(np.concatenate([inset, inset[:1]]), "stitch", 0.009))
    elif shape == "tote":
        for y in (0.12, body.height - 0.1):
            half = body.half_width(y) * 0.97
            items.append(Line(np.array([(-half, y), (half, y)]), "stitch", 0.009))
        for _ in range(2):
            x = float(rng.uniform(-0.3, 0.3))
            items.append(Line(arc((x, 0.35), (x + 0.08, 0.65), (x - 0.04, 0.92), 8), "fold", 0.035))
    else:
        for side in (-1.0, 1.0):
            seam = arc(
                (side * body.top * 0.85, 0.06),
                (side * body.widest * 0.86, body.height * 0.4),
                (side * body.widest * 0.62, body.height * 0.86),
                10,
            )
            items.append(Line(seam, "seam", 0.012))
        for share in (-0.5, -0.15, 0.2, 0.55):
            x = share * body.top
            items.append(Line(arc((x, 0.05), (x * 1.1, 0.15), (x * 1.35, 0.27), 6), "fold", 0.025))
    return items


def _flap(body: Body, shape: str, rng: np.random.Generator) -> list[Item]:
    depth = float(rng.uniform(0.48, 0.6)) * body.height
    kind = "round" if shape == "rounded" else str(rng.choice(["round", "straight", "pointed"]))
    top, low = body.top + 0.012, body.half_width(depth * 0.5) + 0.012
    right = {
        "round": [(top, -0.015), (low, depth * 0.42), (low * 0.72, depth * 0.86), (0.0, depth)],
        "straight": [(top, -0.015), (low, depth * 0.97), (0.0, depth)],
        "pointed": [
            (top, -0.015),
            (low, depth * 0.5),
            (low * 0.5, depth * 0.84),
            (0.0, depth * 1.1),
        ],
    }[kind]
    if kind == "round":
        side = smooth(np.array(right), closed=False, samples=7)
    else:  # straight edges with rounded corners
        side = rounded(np.array([*right, (0.0, -0.015)]), 0.07, 4)[4:-7]
    outline = np.concatenate([side, mirror(side)])
    tip = float(side[-1, 1])
    items: list[Item] = [
        Part(outline, "main", 0.0, 0.35),
        Line(outline[3:-3], "edge", 0.034),
        Line(outline[3:-3] * (0.94, 0.93), "stitch", 0.009),
    ]
    size = float(rng.uniform(0.085, 0.11))
    if rng.random() < 0.5:
        clasp = _square(0.0, tip - size * 0.5, size)
        items.append(Part(clasp, "metal", 0.0, 0.4, patterned=False))
        items.append(Disc((0.0, tip - size * 0.5), size * 0.3, "trim"))
    else:
        items.append(Disc((0.0, tip - size * 0.7), size * 0.85, "metal"))
    return items


def _zip(body: Body, rng: np.random.Generator) -> list[Item]:
    """Return a zip along the top, with its tapes and its puller."""
    y = float(rng.uniform(0.12, 0.17))
    half = body.half_width(y) * 0.86
    side = 1.0 if rng.random() < 0.5 else -1.0
    path = arc((-half, y), (0.0, y + 0.05), (half, y), 12)
    x = side * half * float(rng.uniform(0.3, 0.9))
    level = y + 0.025 * (1 - (x / half) ** 2)
    puller = np.array([(-0.03, 0), (0.03, 0), (0.04, 0.18), (0, 0.21), (-0.04, 0.18)])
    return [
        Part(_ribbon(path, 0.13), "trim", 0.0, 0.2, patterned=False),
        Line(path, "zip", 0.06),
        Part(shifted(puller, x, level), "metal", 0.0, 0.4, patterned=False),
        Disc((x, level), 0.042, "metal"),
    ]


def _square(x: float, y: float, half: float) -> Points:
    corners = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    return shifted(rounded(corners * half, half * 0.4, 3), x, y)
