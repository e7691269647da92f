"""What a garment is drawn from: cut pieces and lines, as curves without pixels.

Coordinates: x to the right, y down, the picture is the square [-1, 1] x [-1, 1], and a garment
fills about [-0.85, 0.85] of its longer side. Parts are painted in the order given, back to front.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 2), x and y

Role = Literal["main", "second", "trim", "lining", "sole", "metal"]
"""Which colour a piece has: the garment's colour, its second one, a trim that goes with the colour
(a belt, a collar: darker or contrasting), the inside seen at a neck or cuff (darker), a shoe's
sole, buckles and zips."""

LineKind = Literal["seam", "stitch", "fold", "crease", "lace", "zip", "chain", "edge"]
"""How a line is painted: a seam (thin, darker), stitches (dashed), a fold (broad, soft, a light
side and a dark side), a crease (a fold's thinner sister), shoe laces (light, raised), a zip, a
chain, and an edge (a hem or cuff that stands out)."""


@dataclass(frozen=True)
class Part:
    """One piece of cloth or leather, filled and shaded.

    `outline` (n, 2) is closed (the last point joins the first), already smooth. `grain` turns the
    pattern with the piece (radians, clockwise; 0 is upright): a sleeve's stripes run around the
    sleeve. `roundness` (0 flat to 1 tube-like) says how much the shading falls off towards the
    edges. `patterned` False leaves the pattern out (belts, soles, linings).
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
    """A whole garment, back to front, and where a print on it would sit.

    `print_box` is (left, top, right, bottom) of the area for a chest print, None where there is
    none. `hung_from` are points a hanger or a peg would hold (may be empty).
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
