"""Pieces, lines and buttons of a garment as curves, and functions that construct curves.

Coordinates: x to the right, y down. The image is the square [-1, 1] x [-1, 1], and the longer side
of a garment spans about [-0.85, 0.85]. Pieces, lines and buttons are painted in the given order,
back to front.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]  # (n, 2), x and y

Role = Literal["main", "second", "trim", "lining", "sole", "metal"]
"""The role of a piece in the garment, which determines the color of the piece.

- "main": the garment's main color.
- "second": the garment's second color.
- "trim": a color that suits the main color and is darker than it or contrasts with it, for belts
  and collars.
- "lining": a darker color, for the inner side that is visible at a neck or cuff.
- "sole": the color of a shoe's sole.
- "metal": silver or gold, for buckles and zips.
"""

LineKind = Literal["seam", "stitch", "fold", "crease", "lace", "zip", "chain", "edge"]
"""Kind of a line, which determines how the line is painted.

- "seam": thin and darker than the cloth (lighter on dark cloth).
- "stitch": dashed.
- "fold": broad and soft, with a light and a dark side.
- "crease": a thinner fold.
- "lace": a raised shoe lace.
- "zip": the teeth and tapes of a zip.
- "chain": metal links.
- "edge": the edge of a hem or cuff that lies on top of other cloth.
"""


@dataclass(frozen=True)
class Part:
    """One piece of cloth or leather, filled with color and shaded.

    Attributes:
        outline: Closed curve (n, 2), already smooth; the last point is joined to the first.
        role: Role of the piece, which determines the piece's color; see `Role`.
        grain: Rotation of the pattern in radians, clockwise; 0 is upright. A sleeve's grain makes
            stripes run around the sleeve.
        roundness: Strength of the shading towards the edges, from 0 (flat) to 1 (a tube).
        patterned: Whether the garment's pattern covers the piece; false for belts, soles and
            linings.
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
    """A line on the cloth.

    Attributes:
        points: Points (n, 2) of the line, already smooth.
        kind: Kind of line; see `LineKind`.
        width: Width in the unit of the points' coordinates.
    """

    points: Points
    kind: LineKind = "seam"
    width: float = 0.012


@dataclass(frozen=True)
class Disc:
    """A round button, stud or eyelet.

    Attributes:
        centre: Center (x, y).
        radius: Radius in the unit of the center's coordinates.
        role: Role of the disc, which determines the disc's color; see `Role`.
    """

    centre: tuple[float, float]
    radius: float = 0.02
    role: Role = "trim"


@dataclass(frozen=True)
class Shape:
    """The drawing elements of a garment: its pieces, lines and buttons.

    Attributes:
        items: Pieces (`Part`), lines and buttons (`Disc`) in painting order, back to front.
        print_box: Area (left, top, right, bottom) for a chest print; None for garments without such
            an area.
        hung_from: Points (x, y) at which a hanger or clips hold the garment; empty if the garment
            does not hang.
    """

    items: tuple[Part | Line | Disc, ...]
    print_box: tuple[float, float, float, float] | None = None
    hung_from: tuple[tuple[float, float], ...] = field(default=())


def smooth(points: object, closed: bool = True, samples: int = 12) -> Points:
    """Return a smooth (Catmull-Rom) curve through points, as an array (m, 2).

    Args:
        points: The n points (n, 2). Two successive points that are equal make a corner.
        closed: Whether the curve continues from the last point to the first.
        samples: The number of curve points per pair of neighboring points.
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
    # Skip the segment between the two equal points of a corner, where the curve would make a loop.
    curve = curve[(p1 != p2).any(axis=(1, 2))].reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def mirror(points: Points) -> Points:
    """Return points (n, 2) mirrored at the vertical axis x = 0, in reverse order.

    With the reversed order, the mirrored curve continues the given one on the other half of a
    garment.
    """
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
    """Return `count` evenly spaced numbers from 0 to 1.

    The array is cached and read-only.
    """
    steps = np.linspace(0, 1, count)
    steps.flags.writeable = False
    return steps


def arc(start: ArrayLike, control: ArrayLike, end: ArrayLike, count: int = 8) -> Points:
    """Return a quadratic Bezier curve (count, 2) from `start` to `end`.

    The curve bends towards the point `control`.
    """
    return _quadratic_basis(count) @ np.array([start, control, end], dtype=np.float64)


def bow(
    start: ArrayLike, first: ArrayLike, second: ArrayLike, end: ArrayLike, count: int = 8
) -> Points:
    """Return a cubic Bezier curve (count, 2) from `start` to `end`.

    `first` and `second` are the two inner control points.
    """
    return _cubic_basis(count) @ np.array([start, first, second, end], dtype=np.float64)


def shifted(points: Points, x: float, y: float) -> Points:
    """Return the points translated by (x, y)."""
    return points + np.array([x, y])


def side_of(points: Points, side: int) -> Points:
    """Return points for one side of a garment: unchanged for the right, mirrored for the left.

    `side` is 1 for the right side of the image and -1 for the left.
    """
    return points if side > 0 else points * (-1.0, 1.0)


def polygon(*corners: Vector) -> Points:
    """Return the n corners as an array (n, 2)."""
    return np.array(corners, dtype=np.float64)


def rounded(corners: Points, radius: float, count: int = 4) -> Points:
    """Return a closed polygon with rounded corners.

    Args:
        corners: The n corners (n, 2).
        radius: Distance from a corner at which its rounding starts.
        count: Points per rounded corner.

    Returns:
        The outline (n * count, 2).
    """
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
    """Return `count` points (count, 2) of an ellipse around `centre`."""
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack(
        [centre[0] + half_width * np.cos(angle), centre[1] + half_height * np.sin(angle)], axis=1
    )


def comb(top: Points, bottom: Points, count: int) -> Points:
    """Return the ribs of a knitted band as one zigzag line (2 * count, 2).

    Args:
        top: Upper edge (m, 2) of the band, from one end to the other.
        bottom: Lower edge (m, 2), in the same direction.
        count: Number of ribs.
    """
    at = (np.arange(count) + 0.5) / count
    above, below = _at(top, at), _at(bottom, at)
    ribs = np.empty((count, 2, 2))
    ribs[:, 0], ribs[:, 1] = above, below
    ribs[1::2] = ribs[1::2, ::-1]  # alternate the direction so that the ribs connect
    return ribs.reshape(-1, 2)


def _at(edge: Points, at: NDArray[np.float64]) -> Points:
    """Return points of an edge at positions from 0 (first point) to 1 (last point).

    The given points of the edge are treated as evenly spaced.
    """
    knots = unit_steps(len(edge))
    return np.stack([np.interp(at, knots, edge[:, 0]), np.interp(at, knots, edge[:, 1])], axis=1)


def scalloped(start: Vector, end: Vector, sag: float, depth: float, count: int) -> Points:
    """Return an edge from `start` to `end` that consists of `count` rounded lobes.

    The lobes hang down by `depth`. In addition, the edge as a whole sags: its middle is `sag` lower
    than its ends.
    """
    u = unit_steps(count * 7 + 1)
    line = np.array(start) * (1 - u[:, None]) + np.array(end) * u[:, None]
    line[:, 1] += sag * 4 * u * (1 - u) + depth * np.sqrt(np.abs(np.sin(np.pi * count * u)))
    return line


def waved(start: Vector, end: Vector, sag: float, depth: float, count: int, phase: float) -> Points:
    """Return an edge from `start` to `end` with `count` gentle waves.

    Args:
        start: First point (x, y).
        end: Last point.
        sag: How much lower the middle of the edge is than its ends.
        depth: Height of the waves above and below the edge.
        count: The number of waves.
        phase: Phase of the waves in radians.
    """
    u = unit_steps(count * 6 + 1)
    line = np.array(start) * (1 - u[:, None]) + np.array(end) * u[:, None]
    rise = np.sin(np.pi * u) ** 0.5  # the waves fade out at the side seams
    line[:, 1] += sag * 4 * u * (1 - u) + depth * rise * np.sin(2 * np.pi * count * u + phase)
    return line
