"""Builders of bags and hats.

Bags (boxy, rounded or tote) have handles, a shoulder strap or a chain. A bag is built in the plane:
its upper edge lies at y = 0, its middle at x = 0. The unit of length is arbitrary, since `framed`
scales the finished bag.

Hats are beanies, caps, bucket hats, trilbies and sun hats. A hat is modeled in space as a stack of
horizontal rings around a vertical axis. A head is about 1 unit wide. Rings are oval: `OVAL` times
as long (x) as wide (y).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.drawing.garments.placing import Camera, Item, framed, hull, moved
from dwc.catalogue.drawing.parts import (
    Disc,
    Line,
    Part,
    Points,
    Shape,
    arc,
    comb,
    ellipse,
    mirror,
    rounded,
    shifted,
    smooth,
)
from dwc.catalogue.schema import Garment


@dataclass(frozen=True)
class BagBody:
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
        """Return the outline of the bag's front; its upper edge sags by `dip` in the middle."""
        edge = arc((-self.top, 0.0), (0.0, 2 * dip), (self.top, 0.0), 14)
        return np.concatenate([edge, self.right, mirror(self.right)])

    def half_width(self, y: float) -> float:
        """Return half the width of the bag's front at the vertical position `y`."""
        order = np.argsort(self.right[:, 1], kind="stable")
        return float(np.interp(y, self.right[order, 1], self.right[order, 0]))


def _bag_body(shape: str, rng: np.random.Generator) -> BagBody:
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
        return BagBody(smooth(np.array(knots), closed=False, samples=6), top, bulge, height)
    corner = arc((bottom, height - radius), (bottom, height), (bottom - radius, height), 6)
    right = np.concatenate([[(top, 0.0)], corner, [(0.0, height + 0.012)]])
    return BagBody(right, top, max(top, bottom), height)


def bag(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a bag, seen from the front or at an angle.

    A bag has handles, a shoulder strap or a chain. The latter two stand upright or lie next to it.
    """
    shape, strap, fastening = garment["shape"], garment["strap"], garment["fastening"]
    body = _bag_body(shape, rng)
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
    """Return the closed outline (2n, 2) of a strip of a given width along a path (n, 2)."""
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across *= width / 2 / np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    return np.concatenate([path + across, (path - across)[::-1]])


def _handle(foot: float, reach: float, gap: float, sewn: float) -> list[Item]:
    """Return a short handle of a bag.

    Args:
        foot: Vertical position (y) at which the handle leaves the bag, on both sides.
        reach: Height of the handle above `foot`.
        gap: Half the distance between the two ends.
        sewn: Length by which the ends extend below `foot`, onto the bag.
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


def _long_strap(body: BagBody, chain: bool, rng: np.random.Generator) -> list[Item]:
    """Return a shoulder strap that stands upright or lies next to the bag.

    If `chain` is True, the strap is a chain.
    """
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


def _gusset(body: BagBody, depth: float) -> Part:
    """Return the side panel of a bag that is seen at an angle; the panel is about `depth` wide."""
    bottom = body.half_width(body.height * 0.5)
    outline = [
        (body.top - 0.04, 0.01), (body.top + depth, -0.04),
        (bottom + depth, body.height - 0.12), (bottom - 0.06, body.height),
    ]  # fmt: skip
    return Part(rounded(np.array(outline), 0.03), "main", 0.0, 0.8)


def _surface(body: BagBody, shape: str, rng: np.random.Generator) -> list[Item]:
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


def _flap(body: BagBody, shape: str, rng: np.random.Generator) -> list[Item]:
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


def _zip(body: BagBody, rng: np.random.Generator) -> list[Item]:
    """Return a zip along the top of a bag's front, with its tapes and its puller."""
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


Floats = NDArray[np.float64]
ROUND: Floats = np.arange(48, dtype=np.float64) * (2 * np.pi / 48)  # angles of a full circle
OVAL = 1.12  # ratio of length to width of a head


def hat(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a hat, seen from slightly above and tilted at random."""
    brim, banded = garment["brim"], garment["trim"] == "band"
    builder = {"none": _beanie, "peaked": _cap, "narrow": _narrow, "wide": _sun_hat}[brim]
    items = builder(banded, rng)
    tilt = float(rng.normal(0, 0.09)) if rng.random() < 0.8 else float(rng.uniform(-0.45, 0.45))
    items = moved(items, flip=bool(rng.random() < 0.5), turn=tilt)
    return framed(items, span=1.45 if brim == "none" else 1.62)


def _ring(radius: float | Floats, height: float | Floats, angle: Floats = ROUND) -> Floats:
    """Return the points (n, 3) of a horizontal ring in space.

    Args:
        radius: Radius of the ring.
        height: Height of the ring; an array (n,) makes it wavy.
        angle: Angles (n,) around the axis in radians; 0 is the front.
    """
    return np.stack(
        [
            OVAL * radius * np.cos(angle),
            radius * np.sin(angle) + 0 * angle,
            height + 0 * angle,
        ],
        axis=1,
    )


def _near(camera: Camera, radius: float, height: float, count: int = 17) -> Points:
    """Return the half of a horizontal ring that is nearer to the camera.

    The result consists of `count` image points (count, 2). The ring lies at `height` around the
    hat's vertical axis.
    """
    start = -camera.yaw - math.pi
    return camera.project(_ring(radius, height, start + np.linspace(0, math.pi, count)))


def _strip(camera: Camera, low: tuple[float, float], high: tuple[float, float]) -> Points:
    """Return the outline of the visible side of a band around the hat.

    `low` and `high` are the (radius, height) of the rings at the band's lower and upper edge.
    """
    return np.concatenate([_near(camera, *high), _near(camera, *low)[::-1]])


def _crown(camera: Camera, profile: list[tuple[float, float]]) -> Points:
    """Return the image outline of a hat's crown (the part above the brim).

    `profile` lists (radius, height) of the crown's rings from the bottom to the top.
    """
    curve = smooth(np.array(profile), closed=False, samples=4)
    rings = np.concatenate([_ring(float(radius), float(height)) for radius, height in curve[::2]])
    return hull(camera.project(rings))


def _meridian(camera: Camera, profile: list[tuple[float, float]], angle: float) -> Points | None:
    """Return a line from the bottom to the top of a hat's crown, as the camera sees it.

    Args:
        camera: The camera.
        profile: The (radius, height) of the crown's rings from the bottom to the top.
        angle: Position of the line around the crown, as an angle in radians; 0 is the front.

    Returns:
        The line (n, 2), or None if the side of the crown at this angle faces away from the camera.
    """
    facing = np.array([math.cos(angle) / OVAL, math.sin(angle), 0.25]) @ camera.towards
    if facing < 0.05:
        return None
    curve = smooth(np.array(profile), closed=False, samples=4)
    places = np.stack(
        [
            OVAL * curve[:, 0] * math.cos(angle),
            curve[:, 0] * math.sin(angle),
            curve[:, 1],
        ],
        axis=1,
    )
    return camera.project(places)


def _beanie(banded: bool, rng: np.random.Generator) -> list[Item]:
    camera = Camera(0.0, math.radians(float(rng.uniform(4, 16))))
    tall = float(rng.uniform(0.8, 1.05))
    profile = [(0.5, 0.0), (0.52, 0.25), (0.47, 0.5 * tall), (0.33, 0.78 * tall),
               (0.16, 0.92 * tall), (0.0, 0.95 * tall)]  # fmt: skip
    items: list[Item] = []
    top = camera.project(np.array([[0.0, 0.0, 0.96 * tall]]))[0]
    if rng.random() < 0.4:
        wobble = 1 + 0.06 * np.cos(9 * ROUND) + 0.04 * np.cos(5 * ROUND + 1)
        ball = np.stack([np.cos(ROUND), np.sin(ROUND)], axis=1) * (0.17 * wobble)[:, None]
        items.append(Part(ball + top - (0, 0.08), "trim", 0.0, 0.8, patterned=False))
    fold = float(rng.uniform(0.24, 0.3))
    far_rim = camera.project(_ring(0.545, fold))
    items.append(Part(far_rim, "main", 0.0, 0.3, patterned=False))
    items.append(Part(_crown(camera, profile), "main", 0.0, 0.7))
    ribs = int(rng.integers(9, 15))
    for angle in np.linspace(-math.pi, 0, ribs + 2)[1:-1]:
        line = _meridian(camera, profile, float(angle))
        if line is not None:
            items.append(Line(line, "crease", 0.022))
    items.append(Part(_strip(camera, (0.545, -0.04), (0.545, fold)), "main", 0.0, 0.6))
    if banded:
        strip = _strip(camera, (0.55, 0.03), (0.55, fold - 0.05))
        items.append(Part(strip, "trim", 0.0, 0.6, patterned=False))
    low, high = _near(camera, 0.55, -0.03), _near(camera, 0.55, fold - 0.01)
    items.append(Line(comb(high, low, 2 * ribs), "crease", 0.016))
    items.append(Line(_near(camera, 0.548, fold), "edge", 0.016))
    return items


def _cap(banded: bool, rng: np.random.Generator) -> list[Item]:
    front = rng.random() < 0.5
    yaw = rng.uniform(-105, -75) if front else rng.uniform(-60, -5)
    camera = Camera(math.radians(float(yaw)), math.radians(float(rng.uniform(14, 34))))
    profile = [(0.5, 0.0), (0.505, 0.16), (0.46, 0.36), (0.33, 0.52), (0.14, 0.6), (0.0, 0.61)]
    span = math.radians(68)
    inner_angle = np.linspace(-span, span, 15)
    inner = _ring(0.5, 0.015, inner_angle)
    length = float(rng.uniform(0.52, 0.62))
    share = np.linspace(-1, 1, 15)
    outer = inner.copy()
    reach = (1 - np.abs(share) ** 2.6) ** 0.75
    outer[:, 0] += length * reach
    outer[:, 1] *= 1 + 0.06 * reach
    outer[:, 2] -= 0.13 * share**2 * reach + 0.05 * reach
    peak = np.concatenate([camera.project(outer), camera.project(inner)[::-1]])
    items: list[Item] = []
    under = shifted(peak, 0.0, 0.035)
    items.append(Part(under, "lining", 0.0, 0.2, patterned=False))
    contrast = rng.random() < 0.25
    items.append(Part(peak, "trim" if contrast else "main", 0.0, 0.45, patterned=not contrast))
    for scale in (0.86, 0.72):
        row = inner + (outer - inner) * scale
        items.append(Line(camera.project(row[1:-1]), "stitch", 0.008))
    items.append(Part(_crown(camera, profile), "main", 0.0, 0.7))
    for step in range(6):
        line = _meridian(camera, profile, math.radians(60 * step))
        if line is not None:
            items.append(Line(line, "seam", 0.013))
            angle = math.radians(60 * step + 30)
            if _facing(camera, angle) > 0.3:
                eyelet = camera.project(_ring(0.36, 0.47, np.array([angle])))[0]
                items.append(Disc((float(eyelet[0]), float(eyelet[1])), 0.016, "trim"))
    if banded:
        strip = _strip(camera, (0.507, 0.0), (0.512, 0.2))
        items.append(Part(strip, "trim", 0.0, 0.6, patterned=False))
        items.append(Line(_near(camera, 0.512, 0.2), "edge", 0.014))
    items.append(Line(_near(camera, 0.503, 0.0), "edge", 0.014))
    top = camera.project(np.array([[0.0, 0.0, 0.625]]))[0]
    items.append(Disc((float(top[0]), float(top[1])), 0.035, "main"))
    return items


def _facing(camera: Camera, angle: float) -> float:
    return float(np.array([math.cos(angle), math.sin(angle), 0.0]) @ camera.towards)


def _narrow(banded: bool, rng: np.random.Generator) -> list[Item]:
    return _bucket(banded, rng) if rng.random() < 0.5 else _trilby(banded, rng)


def _bucket(banded: bool, rng: np.random.Generator) -> list[Item]:
    """Return the drawing elements of a soft hat with a brim that slopes down.

    With `banded`, the hat has a band around its crown.
    """
    camera = Camera(0.0, math.radians(float(rng.uniform(8, 24))))
    profile = [(0.5, 0.0), (0.47, 0.3), (0.43, 0.5), (0.4, 0.54), (0.2, 0.56), (0.0, 0.56)]
    rim, drop = float(rng.uniform(0.68, 0.76)), float(rng.uniform(-0.24, -0.18))
    brim = hull(camera.project(np.concatenate([_ring(0.5, 0.0), _ring(rim, drop)])))
    items: list[Item] = [Part(brim, "main", 0.0, 0.5)]
    items.append(Line(_near(camera, rim, drop), "edge", 0.014))
    for share in (0.3, 0.5, 0.7, 0.88):
        row = _near(camera, 0.5 + (rim - 0.5) * share, drop * share)
        items.append(Line(row, "stitch", 0.008))
    items.append(Part(_crown(camera, profile), "main", 0.0, 0.6))
    if banded:
        strip = _strip(camera, (0.505, 0.0), (0.488, 0.2))
        items.append(Part(strip, "trim", 0.0, 0.6, patterned=False))
    items.append(Line(_near(camera, 0.5, 0.0), "seam", 0.016))
    items.append(
        Line(camera.project(np.vstack([_ring(0.405, 0.53), _ring(0.405, 0.53)[:1]])), "seam", 0.012)
    )
    return items


def _brimmed(
    camera: Camera, rim: float, lift: Floats, profile: list[tuple[float, float]]
) -> list[Item]:
    """Return the drawing elements of a hat with a stiff brim: its brim and its crown.

    Args:
        camera: The camera.
        rim: Radius of the brim.
        lift: Heights (48,) of the brim's edge at 48 evenly spaced angles around the hat.
        profile: The (radius, height) of the crown's rings from the bottom to the top.
    """
    edge = _ring(rim, lift)
    base = profile[0][0]
    outline = hull(camera.project(edge)) if np.ptp(lift) < 0.02 else camera.project(edge)
    items: list[Item] = [
        Part(shifted(outline, 0.0, 0.03), "lining", 0.0, 0.2, patterned=False),
        Part(outline, "main", 0.0, 0.35),
    ]
    for share in (0.93, 0.7):
        middle = _ring(base + (rim - base) * share, lift * share)
        line = camera.project(np.concatenate([middle, middle[:1]]))
        items.append(Line(line, "stitch" if share > 0.9 else "crease", 0.01))
    items.append(Part(_crown(camera, profile), "main", 0.0, 0.65))
    return items


def _trilby(banded: bool, rng: np.random.Generator) -> list[Item]:
    camera = Camera(
        math.radians(float(rng.uniform(-70, 0))), math.radians(float(rng.uniform(10, 28)))
    )
    profile = [(0.46, 0.0), (0.45, 0.2), (0.4, 0.46), (0.35, 0.52), (0.15, 0.53), (0.0, 0.53)]
    rim = float(rng.uniform(0.66, 0.74))
    lift = 0.02 + 0.06 * np.sin(ROUND) ** 2 - 0.03 * np.cos(ROUND)
    items = _brimmed(camera, rim, lift, profile)
    dent = np.array([[0.3, 0.0, 0.52], [0.05, 0.04, 0.5], [-0.3, 0.0, 0.53]])
    items.append(Line(smooth(camera.project(dent), closed=False, samples=6), "fold", 0.06))
    return items + _hat_band(camera, banded, 0.465, 0.455, rng)


def _sun_hat(banded: bool, rng: np.random.Generator) -> list[Item]:
    camera = Camera(
        math.radians(float(rng.uniform(-60, 0))), math.radians(float(rng.uniform(16, 48)))
    )
    profile = [(0.44, 0.0), (0.43, 0.26), (0.38, 0.46), (0.26, 0.55), (0.1, 0.57), (0.0, 0.57)]
    rim = float(rng.uniform(1.05, 1.2))
    lift = -0.05 + float(rng.uniform(0.0, 0.05)) * np.cos(3 * ROUND + float(rng.uniform(0, 6)))
    items = _brimmed(camera, rim, lift, profile)
    return items + _hat_band(camera, banded, 0.445, 0.435, rng)


def _hat_band(
    camera: Camera, banded: bool, low: float, high: float, rng: np.random.Generator
) -> list[Item]:
    if not banded:
        return [Line(_near(camera, low, 0.0), "edge", 0.02)]
    strip = _strip(camera, (low, 0.005), (high, 0.2))
    items: list[Item] = [Part(strip, "trim", 0.0, 0.6, patterned=False)]
    angle = np.array([-camera.yaw - math.pi * float(rng.uniform(0.25, 0.75))])
    knot = camera.project(_ring(low + 0.01, 0.09, angle))[0]
    if rng.random() < 0.6:  # bow of the ribbon
        wing = np.array([(0.0, -0.03), (0.1, -0.07), (0.11, 0.07), (0.0, 0.03)])
        items += [
            Part(wing * (side, 1) + knot, "trim", 0.0, 0.4, patterned=False) for side in (-1.0, 1.0)
        ]
        items.append(Line(np.stack([knot - (0, 0.045), shifted(knot, 0.0, 0.045)]), "edge", 0.03))
    return items
