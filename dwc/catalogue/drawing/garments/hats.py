"""Builder of hats: beanies, caps, bucket hats, trilbies and sun hats.

A hat is modeled in space as a stack of horizontal rings around a vertical axis. A head is about 1
unit wide. Rings are oval: `OVAL` times as long (x) as wide (y).
"""

import math

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.drawing.garments.camera import Camera, hull
from dwc.catalogue.drawing.garments.placing import Item, framed, moved, shifted
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape, comb, smooth
from dwc.catalogue.schema import Garment

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
    """Return the points (n, 3) in space of a horizontal ring.

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
    """Return the image points (count, 2) of the half of a ring that is nearer to the camera."""
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
    rings = (
        _ring(curve[:, :1], curve[:, 1:], ROUND[None, :])
        if False
        else np.concatenate([_ring(float(radius), float(height)) for radius, height in curve[::2]])
    )
    return hull(camera.project(rings))


def _meridian(camera: Camera, profile: list[tuple[float, float]], angle: float) -> Points | None:
    """Return the line in the image that runs up a crown at an angle around its axis.

    Args:
        camera: The camera.
        profile: The (radius, height) of the crown's rings from the bottom to the top.
        angle: The angle in radians; 0 is the front.

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
    """Return the drawing elements of a soft hat with a brim that slopes down."""
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
    """Return the drawing elements of a crown on a stiff brim.

    Args:
        camera: The camera.
        rim: Radius of the brim.
        lift: Height (48,) of the brim's edge at the angles `ROUND`.
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
