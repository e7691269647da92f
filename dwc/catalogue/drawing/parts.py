"""Pieces, lines and buttons as curves without pixels, and the curves they are cut along.

Coordinates: x to the right, y down. The image is the square [-1, 1] x [-1, 1], and a garment
fills about [-0.85, 0.85] of its longer side. Parts are painted in the order given, back to front.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]  # (n, 2), x and y

Role = Literal["main", "second", "trim", "lining", "sole", "metal"]
"""Which color a piece has: the garment's color, its second one, a trim that goes with the color
(a belt, a collar: darker or contrasting), the inside seen at a neck or cuff (darker), a shoe's
sole, buckles and zips."""

LineKind = Literal["seam", "stitch", "fold", "crease", "lace", "zip", "chain", "edge"]
"""How a line is painted: a seam (thin, darker), stitches (dashed), a fold (broad, soft, a light
side and a dark side), a crease (a fold's thinner sister), shoe laces (light, raised), a zip, a
chain, and an edge (a hem or cuff that stands out)."""


@dataclass(frozen=True)
class Part:
    """One piece of cloth or leather, filled and shaded.

    Attributes:
        outline: Closed curve (n, 2), already smooth; the last point joins the first.
        role: Which of the garment's colors it has.
        grain: Turn of the pattern in radians, clockwise; 0 is upright. A sleeve's stripes run
            around the sleeve.
        roundness: How much the shading falls off towards the edges, 0 (flat) to 1 (a tube).
        patterned: Whether the pattern is on it; not on belts, soles and linings.
        holes: Outlines of holes.
    """

    outline: Points
    role: Role = "main"
    grain: float = 0.0
    roundness: float = 0.5
    patterned: bool = True
    holes: tuple[Points, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line on the cloth: `points` (n, 2), already smooth; `width` in the same units."""

    points: Points
    kind: LineKind = "seam"
    width: float = 0.012


@dataclass(frozen=True)
class Disc:
    """A button, a stud, an eyelet: `centre` (x, y), `radius` in the same units."""

    centre: tuple[float, float]
    radius: float = 0.02
    role: Role = "trim"


@dataclass(frozen=True)
class Shape:
    """A garment's items, back to front.

    Attributes:
        items: Parts, lines and discs.
        print_box: (left, top, right, bottom) of the area for a chest print; None where there is
            none.
        hung_from: Points that a hanger or a peg holds; may be empty.
    """

    items: tuple[Part | Line | Disc, ...]
    print_box: tuple[float, float, float, float] | None = None
    hung_from: tuple[tuple[float, float], ...] = field(default=())


def smooth(points: object, closed: bool = True, samples: int = 12) -> Points:
    """A Catmull-Rom curve through `points` (n, 2): `samples` points for each stretch between two.

    A point given twice in a row makes a corner.
    """
    knots = np.asarray(points, dtype=np.float64)
    count = len(knots)
    ends = np.arange(count if closed else count - 1)
    wrap = (lambda i: i % count) if closed else (lambda i: np.clip(i, 0, count - 1))
    p0, p1, p2, p3 = (knots[wrap(ends + k)][:, None, :] for k in (-1, 0, 1, 2))
    t = np.linspace(0, 1, samples, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    # Between a corner's two points the curve would make a little loop.
    curve = curve[(p1 != p2).any(axis=(1, 2))].reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def mirror(points: Points) -> Points:
    """The same points on the other side of the vertical axis, in reverse order."""
    flipped = points[::-1].copy()
    flipped[:, 0] = -flipped[:, 0]
    return flipped


Vector = tuple[float, float]


@lru_cache(maxsize=64)
def _quadratic_basis(count: int) -> NDArray[np.float64]:
    t = np.linspace(0, 1, count)
    return np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)


@lru_cache(maxsize=64)
def _cubic_basis(count: int) -> NDArray[np.float64]:
    t = np.linspace(0, 1, count)
    return np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)


@lru_cache(maxsize=64)
def unit_steps(count: int) -> NDArray[np.float64]:
    """`count` evenly spaced numbers from 0 to 1; shared, so do not write to it."""
    steps = np.linspace(0, 1, count)
    steps.flags.writeable = False
    return steps


def arc(start: ArrayLike, control: ArrayLike, end: ArrayLike, count: int = 8) -> Points:
    """A quadratic Bezier curve, (count, 2), ends included."""
    return _quadratic_basis(count) @ np.array([start, control, end], dtype=np.float64)


def bow(
    start: ArrayLike, first: ArrayLike, second: ArrayLike, end: ArrayLike, count: int = 8
) -> Points:
    """A cubic Bezier curve, (count, 2), ends included."""
    return _cubic_basis(count) @ np.array([start, first, second, end], dtype=np.float64)


def shifted(points: Points, x: float, y: float) -> Points:
    """The points, moved by (x, y)."""
    return points + np.array([x, y])


def side_of(points: Points, side: int) -> Points:
    """Points drawn for the right (+1), put on the right or flipped to the left (-1)."""
    return points if side > 0 else points * (-1.0, 1.0)


def polygon(*corners: Vector) -> Points:
    """Corners as an (n, 2) array."""
    return np.array(corners, dtype=np.float64)


def rounded(corners: Points, radius: float, count: int = 4) -> Points:
    """The closed polygon `corners` (n, 2) with each corner rounded off by about `radius`."""
    before = np.roll(corners, 1, axis=0) - corners
    after = np.roll(corners, -1, axis=0) - corners
    before_length = np.hypot(before[:, 0], before[:, 1])
    after_length = np.hypot(after[:, 0], after[:, 1])
    cut = np.minimum(radius, np.minimum(before_length, after_length) * 0.48)[:, None]
    triples = np.stack(
        [
            corners + before / before_length[:, None] * cut,
            corners,
            corners + after / after_length[:, None] * cut,
        ],
        axis=1,
    )  # (n, 3, 2)
    return np.asarray(_quadratic_basis(count) @ triples).reshape(-1, 2)


def ellipse(centre: Vector, half_width: float, half_height: float, count: int = 20) -> Points:
    """A closed ellipse, (count, 2)."""
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack(
        [centre[0] + half_width * np.cos(angle), centre[1] + half_height * np.sin(angle)], axis=1
    )


def comb(top: Points, bottom: Points, count: int) -> Points:
    """One line running up and down `count` times between two edges: the ribs of knitted ribbing.

    `top` and `bottom` are (m, 2), each from one end of the band to the other.
    """
    at = (np.arange(count) + 0.5) / count
    above, below = _at(top, at), _at(bottom, at)
    ribs = np.empty((count, 2, 2))
    ribs[:, 0], ribs[:, 1] = above, below
    ribs[1::2] = ribs[1::2, ::-1]  # every second rib downwards, so that the ends meet
    return ribs.reshape(-1, 2)


def _at(edge: Points, at: NDArray[np.float64]) -> Points:
    """Points of a polyline at shares `at` of its knots."""
    knots = unit_steps(len(edge))
    return np.stack([np.interp(at, knots, edge[:, 0]), np.interp(at, knots, edge[:, 1])], axis=1)


def scalloped(start: Vector, end: Vector, sag: float, depth: float, count: int) -> Points:
    """An edge from `start` to `end` of `count` rounded lobes hanging `depth` down.

    The edge as a whole sags by `sag` in its middle.
    """
    u = unit_steps(count * 7 + 1)
    line = np.array(start) * (1 - u[:, None]) + np.array(end) * u[:, None]
    line[:, 1] += sag * 4 * u * (1 - u) + depth * np.sqrt(np.abs(np.sin(np.pi * count * u)))
    return line


def waved(start: Vector, end: Vector, sag: float, depth: float, count: int, phase: float) -> Points:
    """An edge from `start` to `end` in `count` gentle waves of height `depth`."""
    u = unit_steps(count * 6 + 1)
    line = np.array(start) * (1 - u[:, None]) + np.array(end) * u[:, None]
    rise = np.sin(np.pi * u) ** 0.5  # the waves die out at the side seams
    line[:, 1] += sag * 4 * u * (1 - u) + depth * rise * np.sin(2 * np.pi * count * u + phase)
    return line
