"""Builders of trainers, boots, heels, flats and sandals, from three-dimensional models of shoes.

An upper is the part of a shoe above its sole. `Upper` models an upper, `Base` a sole with its heel;
the builders draw both and add laces, straps and buckles.

Space: x from the back of the heel (0) to the tip of the toe (about 1), y across the shoe, z up from
the ground; the unit is the length of the shoe.

An upper is a bent tube of cross-sections. A point on an upper is given as (k, v):

- k is the cross-section: 0 is the tip of the toe, the last one is the opening for the foot.
  Fractions lie between two cross-sections. The cross-sections stand upright at the toe; towards the
  heel, they lean back more and more, until the opening is nearly horizontal.
- v is the position within the cross-section: -1 is the lower edge of one side, 0 the top (the
  middle of the shoe), 1 the lower edge of the other side.

The tables below (`FOOT`, `PUMP` and others) are inputs of `Base.rows`. The tables describe the
cross-sections behind the toe, one per row: (back x, back z, front x, front z, half width, angle,
sag). The angle is the fraction of a full circle that the cross-section covers: 0.5 for an arch that
stands on the sole, 1 for a closed ring. Sag is how far the sides hang down. The toe has five
cross-sections, so the first row of a table is k = 5.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dwc.catalogue.drawing.garments.placing import Camera, Item, draw_view, hull
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape, smooth
from dwc.catalogue.schema import Garment

Floats = NDArray[np.float64]

STRETCH = 4  # number of interpolated cross-sections for each given cross-section
BAND_POINTS = 15  # number of points along each edge of a strap
ACROSS = np.linspace(-1, 1, 19)  # values of v at which the surface is sampled


@lru_cache(maxsize=32)
def _spline_basis(knots: int) -> Floats:
    """Return a matrix that interpolates `knots` points by a smooth (Catmull-Rom) curve.

    The product of the matrix and points (knots, d) is the curve (samples, d), with `STRETCH`
    samples per pair of neighboring points. d is the number of coordinates of a point.
    """
    samples = (knots - 1) * STRETCH + 1
    basis = np.zeros((samples, knots))
    for row in range(samples):
        start = min(row // STRETCH, knots - 2)
        t = row / STRETCH - start
        weights = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (-(t**2) + t**3) / 2,
        )
        for step, weight in zip(range(-1, 3), weights, strict=True):
            basis[row, min(max(start + step, 0), knots - 1)] += weight
    return basis


class Upper:
    """The surface of an upper (the part of a shoe above its sole), seen by one camera.

    A point on the surface is given as (k, v). k is the index of a cross-section: 0 is the tip of
    the toe, and an index such as 2.5 lies between two cross-sections. v is the position on the
    cross-section: -1 is the lower edge of one side of the shoe, 0 the top, 1 the lower edge of the
    other side.

    Args:
        rows: The n cross-sections (n, 8), starting at the toe. The columns are: x and z of the
            lowest or rearmost point; x and z of the highest or foremost point; y of the center;
            half the width; the fraction of a full circle that the cross-section covers (0.5 for an
            arch that stands on the sole, 1 for a closed ring); how far the sides sag.
        camera: The camera.

    Attributes:
        last_section: Index of the last cross-section, which is the opening for the foot.
        camera: The camera.
    """

    def __init__(self, rows: ArrayLike, camera: Camera) -> None:
        knots = np.asarray(rows, dtype=np.float64)
        self.last_section = float(len(knots) - 1)
        self.camera = camera
        self._sections = _spline_basis(len(knots)) @ knots  # (s, 8)
        self._sections[:, 6] = np.clip(self._sections[:, 6], 0.5, 1.0)
        self._sections[:, 5] = np.maximum(self._sections[:, 5], 0.0)
        self._mesh = self._surface(self._sections.T[:, :, None], ACROSS)  # (s, v, 3)
        self._low, self._high = self._visible_range()

    @staticmethod
    def _surface(sections: Floats, v: Floats) -> Floats:
        back_x, back_z, front_x, front_z, centre, width, angle, sag = sections
        full = np.pi * angle
        theta, floor = v * full, np.cos(full)
        sideways = np.sin(theta)
        forward = (np.cos(theta) - floor) / (1 - floor)
        places = np.empty((*forward.shape, 3))
        places[..., 0] = back_x + (front_x - back_x) * forward
        places[..., 1] = centre + width * sideways
        places[..., 2] = back_z + (front_z - back_z) * forward - sag * sideways**2
        return places

    def _visible_range(self) -> tuple[Floats, Floats]:
        """Return which part of each interpolated cross-section is visible.

        Returns:
            Two arrays (s,) with one value for each of the s cross-sections: the smallest and the
            largest position at which the surface faces the camera. Positions run from -1 (lower
            edge of one side of the shoe) to 1 (lower edge of the other side).
        """
        along = np.gradient(self._mesh, axis=0)
        across = np.gradient(self._mesh, axis=1)
        facing = np.cross(across, along) @ self.camera.towards  # (s, v)
        seen = facing > 0
        rows = np.arange(len(seen))
        first = seen.argmax(axis=1)
        final = seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
        step = ACROSS[1] - ACROSS[0]

        def crossing(inside: NDArray[np.intp], outside: NDArray[np.intp]) -> Floats:
            here, there = facing[rows, inside], facing[rows, outside]
            share = np.where(here > there, here / np.where(here > there, here - there, 1.0), 0.0)
            return step * np.clip(share, 0, 1) * (inside != outside)

        low = ACROSS[first] - crossing(first, np.maximum(first - 1, 0))
        high = ACROSS[final] + crossing(final, np.minimum(final + 1, len(ACROSS) - 1))
        some = np.flatnonzero(seen.any(axis=1))
        if len(some) == 0:
            return low, high
        # A section without any visible point (the very tip of a toe) gets its neighbor's range.
        return np.interp(rows, some, low[some]), np.interp(rows, some, high[some])

    def places(self, k: ArrayLike, v: ArrayLike) -> Floats:
        """Return the three-dimensional coordinates (n, 3) of n points on the surface of the shoe.

        Args:
            k: Indices of the cross-sections on which the points lie, an array (n,) or one number; 0
                is the tip of the toe. An index such as 2.5 lies between two cross-sections.
            v: Positions on these cross-sections, an array (n,) or one number, from -1 (lower edge
                of one side of the shoe) to 1 (lower edge of the other side).
        """
        position = np.atleast_1d(np.asarray(k, dtype=np.float64)) * STRETCH
        position = np.minimum(np.maximum(position, 0), len(self._sections) - 1)
        below = np.minimum(position.astype(np.intp), len(self._sections) - 2)
        share = (position - below)[:, None]
        sections = self._sections[below]
        sections += (self._sections[below + 1] - sections) * share
        return self._surface(sections.T, np.asarray(v, dtype=np.float64))

    def visible(self, k: ArrayLike) -> tuple[Floats, Floats]:
        """Return which part of each of the given cross-sections faces the camera.

        Args:
            k: Indices of cross-sections, an array (n,) or one number; 0 is the tip of the toe. An
                index such as 2.5 lies between two cross-sections.

        Returns:
            For each cross-section, the smallest and the largest visible position. Positions run
            from -1 (lower edge of one side of the shoe) to 1 (lower edge of the other side).
        """
        position = np.asarray(k, dtype=np.float64) * STRETCH
        grid = np.arange(len(self._low))
        return np.interp(position, grid, self._low), np.interp(position, grid, self._high)

    def on_view(self, k: ArrayLike, v: ArrayLike) -> Points:
        """Return the image coordinates (n, 2) of n points on the surface of the shoe.

        A hidden point is moved to the nearest visible point of its cross-section.

        Args:
            k: Indices of the cross-sections on which the points lie, an array (n,) or one number; 0
                is the tip of the toe. An index such as 2.5 lies between two cross-sections.
            v: Positions on these cross-sections, an array (n,) or one number, from -1 (lower edge
                of one side of the shoe) to 1 (lower edge of the other side).
        """
        low, high = self.visible(k)
        return self.camera.project(self.places(k, np.maximum(np.minimum(v, high), low)))

    def hidden(self, k: float, v: float) -> bool:
        """Return whether the surface of the shoe faces away from the camera at a point.

        Args:
            k: Index of the cross-section on which the point lies; 0 is the tip of the toe.
            v: Position on this cross-section, from -1 (lower edge of one side of the shoe) to 1
                (lower edge of the other side).
        """
        low, high = self.visible(k)
        return not float(low) - 0.02 <= v <= float(high) + 0.02

    def ring(self, k: float, start: float = -1.0, end: float = 1.0, count: int = 24) -> Points:
        """Return a cross-section of the shoe, including hidden parts, as image points (count, 2).

        Args:
            k: Index of the cross-section; 0 is the tip of the toe.
            start: Position at which the curve starts, from -1 (lower edge of one side of the shoe)
                to 1 (lower edge of the other side).
            end: Position at which the curve ends.
            count: The number of points.
        """
        return self.camera.project(self.places(k, np.linspace(start, end, count)))

    def outline(self) -> Points:
        """Return the outline (n, 2), in the image, of a shoe without its sole.

        The opening for the foot lies within the outline.
        """
        if self.camera.from_above:
            return hull(self.camera.project(self._mesh.reshape(-1, 3)))
        k = np.arange(len(self._sections)) / STRETCH
        low, high = self._low, np.maximum(self._low, self._high)
        last = self.last_section
        end_low, end_high = float(low[-1]), float(high[-1])
        chains = [
            self.places(np.full(5, k[0]), np.linspace(high[0], low[0], 5)),
            self.places(k, low),
            self.places(np.full(8, last), np.linspace(end_low, -1, 8)),
            self.places(np.full(8, last), np.linspace(1, end_high, 8)),
            self.places(k, high)[::-1],
        ]
        return self.camera.project(np.concatenate(chains))

    def opening(self) -> Points:
        """Return the outline of the shoe's opening for the foot, as image points (23, 2)."""
        return self.ring(self.last_section)[:-1]

    def band(
        self, front: tuple[float, float], back: tuple[float, float], reach: float = 1.0
    ) -> Points:
        """Return the outline (n, 2), in the image, of the visible part of a strap across the shoe.

        Args:
            front: Indices of the cross-sections at which the front edge of the strap starts and
                ends, on the two sides of the shoe; 0 is the tip of the toe. Different indices make
                a diagonal strap.
            back: Indices of the cross-sections at which the back edge of the strap starts and ends.
            reach: Half the strap's length; 1 reaches from the lower edge of one side over the shoe
                to the lower edge of the other.
        """
        share = self._visible_stretch(front, back, reach)
        v = (2 * share - 1) * reach
        edge_front = front[0] + (front[1] - front[0]) * share
        edge_back = back[0] + (back[1] - back[0]) * share
        rise = np.linspace(0, 1, 5)[1:-1]
        right = edge_front[-1] + (edge_back[-1] - edge_front[-1]) * rise
        left = edge_back[0] + (edge_front[0] - edge_back[0]) * rise
        ones = np.ones(3)
        return self.on_view(
            np.concatenate([edge_front, right, edge_back[::-1], left]),
            np.concatenate([v, v[-1] * ones, v[::-1], v[0] * ones]),
        )

    def _visible_stretch(
        self, front: tuple[float, float], back: tuple[float, float], reach: float
    ) -> Floats:
        """Return `BAND_POINTS` evenly spaced positions along the visible part of a strap.

        The positions are fractions of the strap's length, 0 to 1.

        Args:
            front: Indices of the cross-sections at which the front edge starts and ends.
            back: Indices of the cross-sections at which the back edge starts and ends.
            reach: Half the strap's length; 1 reaches from the lower edge of one side over the shoe
                to the lower edge of the other.
        """
        share = np.linspace(0, 1, BAND_POINTS)
        if front[0] == front[1] and back[0] == back[1]:
            return share
        v = (2 * share - 1) * reach
        slack = reach / (BAND_POINTS - 1)
        seen = np.zeros(BAND_POINTS, dtype=bool)
        for start, end in (front, back):
            low, high = self.visible(start + (end - start) * share)
            seen |= (v >= low - slack) & (v <= high + slack)
        inside = np.flatnonzero(seen)
        if len(inside) == 0:
            return share
        return np.linspace(share[inside[0]], share[inside[-1]], BAND_POINTS)

    def inside_of_band(self, front: float, back: float) -> Points:
        """Return the outline (32, 2) of the part of an ankle strap that lies behind the leg.

        This part shows the inner side of the strap. `front` and `back` are the indices of the
        cross-sections of the shoe at which the two edges of the strap lie; 0 is the tip of the toe.
        """
        (low_front, low_back), (high_front, high_back) = self.visible([front, back])
        near = self.places(
            np.full(16, front),
            np.concatenate([np.linspace(high_front, 1, 8), np.linspace(-1, low_front, 8)]),
        )
        far = self.places(
            np.full(16, back),
            np.concatenate([np.linspace(low_back, -1, 8), np.linspace(1, high_back, 8)]),
        )
        return self.camera.project(np.concatenate([near, far]))

    def along(self, v: float, start: float, end: float, count: int = 12) -> Points:
        """Return a line along the visible surface of the shoe, as image points (count, 2).

        Args:
            v: Position of the line across the shoe: -1 is the lower edge of one side, 0 the top, 1
                the lower edge of the other side.
            start: Index of the cross-section at which the line starts; 0 is the tip of the toe.
            end: Index of the cross-section at which the line ends.
            count: The number of points.
        """
        return self.on_view(np.linspace(start, end, count), v)

    def flank(
        self, side: int, knots: tuple[tuple[float, float], ...], *, clamped: bool = True
    ) -> Points:
        """Return the outline, in the image, of a piece on one side of the shoe.

        Args:
            side: Side of the shoe, -1 or 1.
            knots: Corners of the piece. Each corner is a pair: the index of a cross-section (0 is
                the tip of the toe), and the distance from the middle of the shoe (1 is the lower
                edge of a side).
            clamped: Whether points that face away from the camera are moved to the nearest visible
                point of the surface. Otherwise, they stay where they are.
        """
        corners = np.array([*knots, knots[0]])
        steps = np.arange(4 * len(knots)) / 4
        marks = np.arange(len(corners))
        k = np.interp(steps, marks, corners[:, 0])
        v = side * np.interp(steps, marks, corners[:, 1])
        return self.on_view(k, v) if clamped else self.camera.project(self.places(k, v))

    def across(self, k: float, start: float = -1.0, end: float = 1.0, count: int = 14) -> Points:
        """Return a line along the visible part of a cross-section, as image points (count, 2).

        Args:
            k: Index of the cross-section; 0 is the tip of the toe.
            start: Position at which the line starts, from -1 (lower edge of one side of the shoe)
                to 1 (lower edge of the other side).
            end: Position at which the line ends.
            count: The number of points.
        """
        return self.on_view(k, np.linspace(start, end, count))


Rows = tuple[tuple[float, ...], ...]

# Cross-sections of the bare foot and ankle, on which straps lie.
FOOT: Rows = (
    (0.55, 0.0, 0.60, 0.205, 0.152, 0.5, 0.0),
    (0.36, 0.0, 0.51, 0.255, 0.128, 0.5, 0.0),
    (0.18, 0.0, 0.45, 0.295, 0.122, 0.52, 0.0),
    (0.05, 0.03, 0.42, 0.33, 0.116, 0.65, 0.0),
    (0.005, 0.14, 0.40, 0.355, 0.114, 0.88, 0.0),
    (0.015, 0.27, 0.38, 0.385, 0.112, 1.0, 0.0),
    (0.03, 0.37, 0.37, 0.45, 0.11, 1.0, 0.0),
)
PUMP: Rows = (
    (0.58, 0.0, 0.715, 0.15, 0.153, 0.5, 0.0),
    (0.36, 0.0, 0.70, 0.15, 0.128, 0.5, 0.0),
    (0.17, 0.0, 0.695, 0.15, 0.124, 0.53, 0.01),
    (0.05, 0.03, 0.69, 0.15, 0.122, 0.68, 0.02),
    (0.005, 0.11, 0.69, 0.152, 0.124, 0.88, 0.04),
    (0.012, 0.2, 0.685, 0.155, 0.13, 1.0, 0.055),
)
LOAFER: Rows = (
    (0.56, 0.0, 0.62, 0.2, 0.153, 0.5, 0.0),
    (0.36, 0.0, 0.55, 0.245, 0.128, 0.5, 0.0),
    (0.17, 0.0, 0.52, 0.265, 0.124, 0.53, 0.0),
    (0.05, 0.03, 0.51, 0.275, 0.12, 0.68, 0.01),
    (0.005, 0.12, 0.505, 0.28, 0.118, 0.88, 0.03),
    (0.015, 0.23, 0.50, 0.285, 0.112, 1.0, 0.06),
)
TRAINER: Rows = (
    (0.56, 0.0, 0.61, 0.215, 0.155, 0.5, 0.0),
    (0.36, 0.0, 0.53, 0.29, 0.135, 0.5, 0.0),
    (0.17, 0.0, 0.475, 0.345, 0.13, 0.53, 0.0),
    (0.04, 0.03, 0.45, 0.375, 0.125, 0.68, 0.01),
    (0.0, 0.14, 0.435, 0.395, 0.12, 0.88, 0.04),
    (0.01, 0.28, 0.42, 0.41, 0.112, 1.0, 0.08),
)
HIGH_TOP: Rows = (
    *TRAINER[:4],
    (0.0, 0.14, 0.43, 0.42, 0.12, 0.88, 0.0),
    (0.01, 0.3, 0.40, 0.5, 0.112, 1.0, 0.02),
    (0.03, 0.5, 0.38, 0.6, 0.115, 1.0, 0.03),
    (0.01, 0.68, 0.385, 0.7, 0.12, 1.0, 0.03),
)
BOOT_FOOT: Rows = (
    (0.55, 0.0, 0.60, 0.22, 0.156, 0.5, 0.0),
    (0.36, 0.0, 0.52, 0.3, 0.134, 0.5, 0.0),
    (0.18, 0.0, 0.46, 0.36, 0.13, 0.52, 0.0),
    (0.05, 0.03, 0.43, 0.43, 0.126, 0.65, 0.0),
    (0.0, 0.13, 0.41, 0.49, 0.124, 0.85, 0.0),
    (0.01, 0.28, 0.39, 0.55, 0.122, 0.97, 0.0),
)


def boot_shaft(top: float, calf: float) -> tuple[Rows, float]:
    """Return the cross-sections of a boot's shaft and the vertical distance between neighbors.

    Args:
        top: Height of the shaft's upper end above the footbed, divided by the length of the shoe.
        calf: Distance by which the shaft bulges backwards at the calf, divided by the length of the
            shoe.

    Returns:
        The cross-sections, as `Base.rows` needs them; and the distance divided by the length of the
        shoe.
    """
    levels = np.linspace(0.45, top, max(2, round((top - 0.3) / 0.28)))
    rows = []
    for level in levels.tolist():
        up = min(max((level - 0.4) / 0.9, 0.0), 1.0)
        bulge = calf * math.sin(math.pi * up * 0.72)
        front = level + 0.14 * (1 - up)
        rows.append((0.02 - bulge, level, 0.4 + 0.4 * bulge, front, 0.128 + 0.5 * bulge, 1.0, 0.0))
    return tuple(rows), float(levels[1] - levels[0])


def start_at(rows: NDArray[np.float64], section: float) -> NDArray[np.float64]:
    """Cut off the toe of a shoe, to make it open-toed; return the remaining cross-sections.

    Args:
        rows: Cross-sections (n, 8) of the complete shoe, starting at the tip of the toe.
        section: Index of the first cross-section to keep; an index such as 2.6 stands for an
            interpolation between two cross-sections.
    """
    start = int(section)
    share = section - start
    first = rows[start] * (1 - share) + rows[start + 1] * share
    return np.concatenate([first[None], rows[start + 1 :]])


Toe = Literal["round", "pointed"]

# Outline of the sole from the tip of the toe backwards: pairs of x and half the width. `PLANS` has
# the toe, `BACK_OF_PLAN` the rest.
PLANS: dict[Toe, tuple[tuple[float, float], ...]] = {
    "round": ((1.0, 0.0), (0.988, 0.073), (0.956, 0.12), (0.88, 0.158), (0.74, 0.174)),
    "pointed": ((1.20, 0.0), (1.165, 0.02), (1.07, 0.058), (0.94, 0.11), (0.76, 0.159)),
}
BACK_OF_PLAN = ((0.55, 0.152), (0.36, 0.126), (0.18, 0.122), (0.06, 0.1), (0.012, 0.055))

# Height of the upper above the footbed at the x of `PLANS`.
TOE_HEIGHTS: dict[Toe, tuple[float, ...]] = {
    "round": (0.035, 0.1, 0.125, 0.142, 0.16),
    "pointed": (0.008, 0.034, 0.064, 0.1, 0.145),
}


@dataclass(frozen=True)
class Base:
    """The measurements of a sole; all distances are fractions of the shoe's length.

    Attributes:
        toe: Shape of the toe: "round" or "pointed".
        rise: How much higher the heel of the foot is than the ball of the foot.
        platform: Height of the ball of the foot above the ground.
        sheet: Thickness of the sole.
        margin: Distance by which the sole extends beyond the upper.
        wedge: Whether the sole is solid down to the ground, instead of standing on a heel block.
        slender: Shape of the heel block, from 0 (a block) to 1 (a stiletto).
        width: Factor for the width of the shoe.
        swing: How strongly the shoe curves inwards towards the toe.
    """

    toe: Toe = "round"
    rise: float = 0.0
    platform: float = 0.03
    sheet: float = 0.03
    margin: float = 0.012
    wedge: bool = False
    slender: float = 0.0
    width: float = 1.0
    swing: float = 0.02

    def bed(self, x: NDArray[np.float64] | float) -> Floats:
        """Return the height of the footbed above the ground at x (0 is the heel, 1 the toe)."""
        x = np.asarray(x, dtype=np.float64)
        slope = np.clip((0.7 - x) / 0.52, 0, 1)
        spring = np.clip(x - 0.75, 0, None) ** 2 * 0.35
        return np.asarray(self.platform + self.rise * slope**2 * (3 - 2 * slope) + spring)

    def centre(self, x: NDArray[np.float64] | float) -> Floats:
        """Return the y of the sole's center line at x (0 is the heel, 1 the toe).

        y points across the shoe. `swing` determines how strongly the line is curved.
        """
        x = np.asarray(x, dtype=np.float64)
        return np.asarray(self.swing * np.sin((x - 0.15) * 3.4) * np.clip(x, 0, 1))

    def rows(
        self, back: tuple[tuple[float, ...], ...], toe_height: float = 1.0, lifted: float = 0.5
    ) -> Floats:
        """Return the n cross-sections (n, 8) of a shoe on this sole, as `Upper` needs them.

        Args:
            back: The cross-sections behind the toe, such as `PUMP`, one per row: (back x, back z,
                front x, front z, half width, angle, sag). Heights (z) are above the footbed.
            toe_height: Factor for the height of the toe.
            lifted: How much the instep rises with the heel, 0 to 1. The footbed's height is added
                to front z. With 0, this is the height at front x; with 1, the height at back x;
                otherwise, the height at a point in between.
        """
        out: list[tuple[float, ...]] = [
            (x, 0.0, x, height * toe_height, width, 0.5, 0.0)
            for (x, width), height in zip(PLANS[self.toe], TOE_HEIGHTS[self.toe], strict=True)
        ]
        table = np.array([*out, *back])
        back_x, front_x = table[:, 0], table[:, 2]
        heights = self.bed(np.stack([back_x, front_x + (back_x - front_x) * lifted]))
        full = np.empty((len(table), 8))
        full[:, 0], full[:, 1] = back_x, table[:, 1] + heights[0]
        full[:, 2], full[:, 3] = front_x, table[:, 3] + heights[1]
        full[:, 4], full[:, 5] = self.centre(back_x), table[:, 4] * self.width
        full[:, 6:] = table[:, 5:]
        return full

    @cached_property
    def _plan(self) -> Points:
        half = np.array([*PLANS[self.toe], *BACK_OF_PLAN])
        side = half * (1, self.width)
        both = np.concatenate([side, [[-0.002, 0.0]], side[:0:-1] * (1, -1)])
        return smooth(both, samples=4)

    def plan(self, margin: float | None = None) -> Points:
        """Return the outline (n, 2) of the sole from above: x along the shoe, y across.

        `margin` is the distance by which the sole extends beyond the upper; None stands for the
        attribute `margin`.
        """
        margin = self.margin if margin is None else margin
        grown = self._plan.copy()
        grown[:, 0] = 0.5 + (grown[:, 0] - 0.5) * (1 + 2 * margin)
        grown[:, 1] *= 1 + margin / 0.14
        grown[:, 1] += self.centre(grown[:, 0])
        return grown

    def footbed(self, camera: Camera, margin: float = -0.012) -> Part:
        """Return the upper side of the sole, which is visible in open shoes.

        `margin` is the distance by which this piece extends beyond the upper. With the default, a
        negative number, the piece lies within the sole.
        """
        plan = self.plan(margin)
        return Part(
            camera.project(_lifted(plan, self.bed(plan[:, 0]))), "lining", 0.0, 0.3, patterned=False
        )

    def parts(self, camera: Camera) -> list[Part | Line]:
        """Return the pieces and lines of the heel block and the sole.

        They have to be painted before the upper (the part of the shoe above the sole).
        """
        plan = self.plan()
        top = self.bed(plan[:, 0])
        bottom = np.maximum(top - self.sheet, 0.0)
        if self.wedge:
            bottom = np.maximum(self.platform - self.sheet + 0 * top, 0.0)
        items: list[Part | Line] = []
        if not self.wedge and self.rise + self.platform > self.sheet + 0.015:
            items.append(self._heel_block(camera))
        items.append(Part(_swept(camera, plan, top, bottom), "sole", 0.0, 0.25, patterned=False))
        if self.sheet > 0.06 or self.wedge:
            middle = self.platform * 0.5 if self.wedge else 0.5
            level = np.maximum(top * 0 + middle, 0) if self.wedge else top - self.sheet * 0.45
            items.append(Line(_near_chain(camera, plan, level), "seam", 0.01))
        return items

    def _heel_block(self, camera: Camera) -> Part:
        top = float(self.bed(0.1)) - self.sheet * 0.6
        share = np.linspace(0, 1, 8)
        taper = 1 - (1 - (1 - share) ** 2.2) * (0.12 + 0.74 * self.slender)
        along, across = 0.125 * taper, 0.112 * taper * self.width
        middle = 0.112 - 0.03 * self.slender * share
        across_view = np.hypot(
            along * np.cos(camera.yaw), across * np.sin(camera.yaw)
        )  # half width of the ellipse in the image
        spine = camera.project(
            np.stack([middle, 0 * share + float(self.centre(0.1)), top * (1 - share)], axis=1)
        )
        left, right = spine.copy(), spine.copy()
        left[:, 0] -= across_view
        right[:, 0] += across_view
        angle = np.linspace(np.pi, 0, 9)[1:-1]
        depth = np.hypot(along[-1] * np.sin(camera.yaw), across[-1] * np.cos(camera.yaw))
        foot = spine[-1] + np.stack(
            [
                across_view[-1] * np.cos(angle),
                depth * np.sin(camera.elevation) * np.sin(angle),
            ],
            axis=1,
        )
        return Part(np.concatenate([left, foot, right[::-1]]), "sole", 0.0, 0.6, patterned=False)


def _lifted(plan: Points, height: Floats) -> Floats:
    return np.column_stack([plan, height])


def _swept(camera: Camera, plan: Points, top: Floats, bottom: Floats) -> Points:
    """Return the outline, in the image, of a flat body with vertical sides, such as a sole.

    The outline consists of the far half of the upper edge and the near half of the lower edge.

    Args:
        camera: The camera.
        plan: Outline (n, 2) of the body from above.
        top: Height (n,) of the upper edge at each point of `plan`.
        bottom: Height (n,) of the lower edge at each point of `plan`.
    """
    upper = camera.project(_lifted(plan, top))
    lower = camera.project(_lifted(plan, bottom))
    far, near = _halves(camera, plan)
    return np.concatenate([upper[far], lower[near]])


def _near_chain(camera: Camera, plan: Points, height: Floats) -> Points:
    return camera.project(_lifted(plan, height))[_halves(camera, plan)[1]]


def _halves(camera: Camera, plan: Points) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split the points of an outline into the half that is far from the camera and the near half.

    Args:
        camera: The camera.
        plan: Outline (n, 2) of a sole from above.

    Returns:
        The indices of the far half and those of the near half. One half runs from left to right in
        the image, the other back from right to left.
    """
    across = plan @ (np.cos(camera.yaw), -np.sin(camera.yaw))
    away = plan @ (np.sin(camera.yaw), np.cos(camera.yaw))
    count = len(plan)
    start, end = int(across.argmin()), int(across.argmax())
    first = np.arange(start, start + (end - start) % count + 1) % count
    second = np.arange(end, end + (start - end) % count + 1) % count
    return (first, second) if away[first].mean() > away[second].mean() else (second, first)


def closed_upper(upper: Upper, rng: np.random.Generator, roundness: float = 0.6) -> list[Item]:
    """Return the drawing elements of a shoe's upper (the part above the sole) and its opening.

    The opening is where the foot enters. In half of the views from above, it shows the insole.
    `roundness` is the strength of the upper's shading, from 0 (flat) to 1 (a tube).
    """
    ring = upper.opening()
    items: list[Item] = [
        Part(upper.outline(), "main", 0.0, roundness),
        Part(ring, "lining", 0.0, 0.4, patterned=False),
    ]
    if upper.camera.from_above and rng.random() < 0.5:
        middle = ring.mean(axis=0)
        insole = middle + (ring - middle) * (0.66, 0.8)
        items.append(Part(insole, "sole", 0.0, 0.2, patterned=False))
    items.append(Line(upper.ring(upper.last_section), "edge", 0.017))
    return items


def lacing(upper: Upper, start: float, end: float, *, spread: float, rows: int) -> list[Item]:
    """Return crossed laces with eyelets.

    Args:
        upper: The surface on which the laces lie.
        start: Position of the first pair of eyelets along the shoe: the index of a cross-section
            of the upper, counted from 0 at the tip of the toe.
        end: Position of the last pair, counted in the same way.
        spread: Distance of the eyelets from the middle of the shoe; the lower edge of a side is at
            distance 1.
        rows: The number of pairs of eyelets.
    """
    k = np.linspace(start, end, rows)
    left, right = upper.on_view(k, -spread), upper.on_view(k, spread)
    zigzag = np.empty((2 * rows - 1, 2))
    zagzig = np.empty((2 * rows - 1, 2))
    ridge = upper.on_view((k[1:] + k[:-1]) / 2, 0.0)
    zigzag[1::2] = zagzig[1::2] = ridge
    zigzag[::4], zigzag[2::4] = left[::2], right[1::2]
    zagzig[::4], zagzig[2::4] = right[::2], left[1::2]
    items: list[Item] = [Line(zigzag, "lace", 0.034), Line(zagzig, "lace", 0.034)]
    for side, edge in ((-spread, left), (spread, right)):
        for section, point in zip(k, edge, strict=True):
            if not upper.hidden(float(section), side):
                items.append(Disc((float(point[0]), float(point[1])), 0.013, "metal"))
    return items


def bow(
    upper: Upper, k: float, *, size: float, kind: Literal["lace", "trim"] = "lace"
) -> list[Item]:
    """Return a tied bow in the middle of the shoe.

    Args:
        upper: The surface on which the bow lies.
        k: Position of the bow along the shoe: the index of a cross-section, counted from 0 at the
            tip of the toe.
        size: Length of each loop of the bow as a fraction of the shoe's length.
        kind: "lace" for a bow of laces, "trim" for a bow of ribbon.
    """
    centre = upper.on_view([k], 0.0)[0]
    loops = np.array([(0, 0), (0.6, -0.5), (1.05, -0.1), (0.65, 0.3), (0, 0)]) * size
    tail = np.array([(0, 0), (0.3, 0.5), (0.55, 1.1)]) * size
    items: list[Item] = []
    for side in (-1.0, 1.0):
        loop = smooth(loops * (side, 1) + centre, closed=False, samples=5)
        if kind == "trim":
            items.append(Part(loop, "trim", 0.0, 0.5, patterned=False))
        else:
            items.append(Line(loop, "lace", 0.032))
            items.append(
                Line(smooth(tail * (side, 1) + centre, closed=False, samples=5), "lace", 0.03)
            )
    if kind == "trim":
        knot = np.array([(-0.22, -0.28), (0.22, -0.28), (0.22, 0.28), (-0.22, 0.28)]) * size
        items.append(Part(knot + centre, "trim", 0.0, 0.5, patterned=False))
    else:
        items.append(Disc((float(centre[0]), float(centre[1])), 0.02, "trim"))
    return items


def buckle(upper: Upper, front: float, back: float, *, v: float, size: float) -> list[Item]:
    """Return a metal buckle on a strap across the shoe.

    Args:
        upper: The surface on which the strap lies.
        front: Index of the cross-section at the strap's front edge; 0 is the tip of the toe.
        back: Index of the cross-section at the strap's back edge.
        v: Position of the buckle across the shoe, from one side (-1) to the other (1). If this
            position is hidden, the buckle is moved to the visible side.
        size: Width of the buckle as a fraction of the shoe's length.
    """
    low, high = (float(bound) for bound in upper.visible((front + back) / 2))
    v = max(min(v, max(high - 0.12, (low + high) / 2)), low + 0.12)
    centre = upper.on_view([(front + back) / 2], v)[0]
    ends = upper.on_view([front, back], v)
    along = ends[1] - ends[0]
    length = float(np.hypot(*along)) or 1.0
    up = along / length * min(max(length * 0.68, size * 0.5), size * 0.75)
    across = np.array([-along[1], along[0]]) / length * size * 0.5
    frame = np.array([centre + up + across, centre + up - across, centre - up - across,
                      centre - up + across])  # fmt: skip
    inner = centre + (frame - centre) * 0.58
    return [
        Part(frame, "metal", 0.0, 0.3, patterned=False, holes=(inner,)),
        Line(np.stack([centre - across, centre + across * 0.7]), "edge", size * 0.12),
    ]


def buckled_strap(
    upper: Upper, front: float, back: float, *, reach: float, button: bool = False
) -> list[Item]:
    """Return a strap across the shoe that is closed by a buckle or a button.

    Args:
        upper: The surface on which the strap lies.
        front: Index of the cross-section at the strap's front edge; 0 is the tip of the toe.
        back: Index of the cross-section at the strap's back edge.
        reach: Half the strap's length; 1 reaches from the lower edge of one side over the shoe to
            the lower edge of the other.
        button: Whether the strap is closed by a button instead of a buckle.
    """
    band: Points = upper.band((front, front), (back, back), reach=reach)
    items: list[Item] = [Part(band, "main", 0.0, 0.5)]
    items += [Line(edge, "edge", 0.016) for edge in (band[:BAND_POINTS], band[BAND_POINTS:])]
    middle = (front + back) / 2
    if button:
        low, high = (float(bound) for bound in upper.visible(middle))
        v = max(min(0.45, high - 0.1), low + 0.1)
        x, y = upper.on_view([middle], v)[0]
        items.append(Disc((float(x), float(y)), 0.042, "metal"))
    else:
        items += buckle(upper, front, back, v=0.4, size=0.1)
    return items


ANKLE = (9.1, 10.0)  # the cross-sections k between which an ankle strap lies
# Corners (k, |v|) of the piece at each side of the heel that holds an ankle strap.
QUARTER = ((7.0, 0.8), (8.6, 0.62), (10.0, 0.66), (10.0, 1.0), (8.6, 1.0), (7.6, 1.0))


def ankle_strap_behind(foot: Upper) -> list[Item]:
    """Return the part of an ankle strap that lies behind the leg, to be painted before the shoe."""
    items: list[Item] = [Part(foot.inside_of_band(*ANKLE), "lining", 0.0, 0.3, patterned=False)]
    for side in (-1, 1):
        quarter = foot.flank(side, QUARTER, clamped=False)
        items.append(Part(quarter, "lining", 0.0, 0.3, patterned=False))
    return items


def ankle_strap(foot: Upper) -> list[Item]:
    """Return a buckled ankle strap, and the visible pieces at the heel that hold the strap."""
    items: list[Item] = [
        Part(foot.flank(side, QUARTER), "main", 0.0, 0.5)
        for side in (-1, 1)
        if not foot.hidden(9.0, side * 0.8)
    ]
    return items + buckled_strap(foot, *ANKLE, reach=1.0)


def flats(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build ballerinas, loafers, lace-ups or Mary Janes, flat or with a low heel."""
    low = garment["heel"] == "low"
    view = draw_view(rng, "heeled" if low else "low")
    camera = view.camera
    base = Base(
        toe="pointed" if garment["toe"] == "pointed" else "round",
        rise=0.17 if low else 0.0,
        platform=0.03,
        sheet=0.03,
        slender=float(rng.uniform(0.0, 0.3)),
        width=float(rng.uniform(0.95, 1.08)),
    )
    fastening = garment["fastening"]
    high_cut = fastening in ("laces", "buckle") or (fastening == "none" and rng.random() < 0.4)
    upper = Upper(
        base.rows(LOAFER, lifted=0.3) if high_cut else base.rows(PUMP, lifted=0.0), camera
    )
    last = upper.last_section
    items: list[Item] = [*base.parts(camera)]
    items += closed_upper(upper, rng)
    if fastening == "laces":
        items.append(Line(upper.across(3.6), "stitch"))
        items += lacing(upper, 5.4, last - 0.6, spread=0.22, rows=4)
        items += bow(upper, last - 0.5, size=0.13)
    elif fastening == "buckle":
        band = upper.band((4.7, 4.7), (5.9, 5.9), reach=0.9)
        items.append(Part(band, "trim", 0.0, 0.4, patterned=False))
        items += buckle(upper, 4.7, 5.9, v=0.3, size=0.15)
    elif fastening == "strap":
        foot = Upper(base.rows(FOOT), camera)
        items += buckled_strap(foot, 5.8, 7.0, reach=0.75, button=True)
    elif high_cut:
        items.append(Line(upper.across(5.0, -0.75, 0.75), "seam", 0.012))
        items.append(Line(upper.along(0.5, 2.2, 5.0), "seam", 0.01))
        items.append(Line(upper.along(-0.5, 2.2, 5.0), "seam", 0.01))
    elif rng.random() < 0.6:
        items += bow(upper, last - 0.3, size=float(rng.uniform(0.07, 0.12)), kind="trim")
    return view.compose(items)


def heels(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build heeled pumps, optionally with an open toe, an ankle strap or a platform."""
    high, chunky = garment["heel"] == "high", garment["sole"] == "chunky"
    view = draw_view(rng, "heeled")
    camera = view.camera
    platform = 0.16 if chunky else 0.022
    base = Base(
        toe="pointed" if garment["toe"] == "pointed" else "round",
        rise=0.44 if high else 0.15,
        platform=platform,
        sheet=0.16 if chunky else 0.022,
        margin=0.016 if chunky else 0.006,
        slender=float(rng.uniform(0.15, 0.4) if chunky else rng.uniform(0.75, 1.0)),
        width=float(rng.uniform(0.9, 1.0)),
    )
    open_toe = garment["toe"] == "open"
    rows = base.rows(PUMP, lifted=0.0)
    upper = Upper(start_at(rows, 2.6) if open_toe else rows, camera)
    items: list[Item] = [*base.parts(camera)]
    if open_toe:
        items.append(base.footbed(camera))
    items += closed_upper(upper, rng)
    if open_toe:
        items.append(Line(upper.across(0.0), "edge", 0.014))
    if garment["fastening"] == "strap":
        foot = Upper(base.rows(FOOT), camera)
        if rng.random() < 0.6:
            items[:0] = ankle_strap_behind(foot)
            items += ankle_strap(foot)
        else:
            items += buckled_strap(foot, 5.8, 6.7, reach=0.75)
    return view.compose(items)


# Height of a boot's shaft in lengths of the shoe: up to the ankle, the calf or the knee.
SHAFT_TOPS = {"short": 0.56, "medium": 1.0, "long": 1.62}


def trainers(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build sports shoes with a rubber sole that end below or above the ankle."""
    tall = garment["length"] == "medium"
    chunky = garment["sole"] == "chunky"
    view = draw_view(rng, "tall" if tall else "low")
    camera = view.camera
    thickness = 0.19 if chunky else 0.04
    base = Base(
        rise=0.04 if chunky else 0.0,
        platform=thickness,
        sheet=thickness,
        margin=0.03 if chunky else 0.012,
        wedge=chunky,
        width=float(rng.uniform(0.95, 1.1)),
    )
    upper = Upper(base.rows(HIGH_TOP if tall else TRAINER, 1.12), camera)
    last = upper.last_section
    items: list[Item] = [*base.parts(camera)]
    items += closed_upper(upper, rng)
    if rng.random() < 0.6:  # rubber toe cap
        cap = upper.band((0.0, 0.0), (2.7, 2.7))
        items.append(Part(cap, "sole", 0.0, 0.5, patterned=False))
    else:
        items.append(Line(upper.across(3.2), "stitch"))
    fastening = garment["fastening"]
    items += _flank_marks(upper, rng)
    if fastening == "laces":
        tongue = upper.band((4.7, 4.7), (last, last), reach=0.17)
        items.append(Part(tongue, "trim", 0.0, 0.3, patterned=False))
        items += lacing(upper, 5.0, last - 0.4, spread=0.2, rows=6 if tall else 5)
        items += bow(upper, last - 0.5, size=0.14)
    elif fastening == "strap":
        for k in (5.2, 6.6, 8.6) if tall else (5.2, 7.0):
            strap = upper.band((k, k), (k + 1.15, k + 1.15), reach=0.6)
            items.append(Part(strap, "trim", 0.0, 0.4, patterned=False))
            items.append(Line(strap[:BAND_POINTS], "edge", 0.016))
    return view.compose(items)


def _flank_marks(upper: Upper, rng: np.random.Generator) -> list[Item]:
    """Return random decoration for sports shoes: stripes or a curved mark, and a heel piece."""
    kind = rng.random()
    items: list[Item] = []
    for side in (-1, 1):
        if upper.camera.from_above or upper.hidden(6.2, side * 0.6):
            continue
        if kind < 0.35:
            for k in (5.8, 6.5, 7.2):
                stripe = upper.on_view([k, k + 0.4], [side * 0.92, side * 0.5])
                items.append(Line(stripe, "edge", 0.03))
        elif kind < 0.6:
            swoosh = ((4.6, 0.62), (5.6, 0.9), (8.0, 0.62), (5.8, 0.72))
            items.append(Part(upper.flank(side, swoosh), "trim", 0.0, 0.3, patterned=False))
        if kind > 0.2:
            heel = ((8.0, 0.86), (9.2, 0.66), (10.0, 0.72), (10.0, 1.0), (8.0, 1.0))
            items.append(Part(upper.flank(side, heel), "trim", 0.0, 0.4, patterned=False))
    return items


def _leather_seams(upper: Upper, rng: np.random.Generator) -> list[Item]:
    """Return random seams for a boot: across the toe, around the ankle and at the upper end."""
    items: list[Item] = []
    if rng.random() < 0.4:
        items.append(Line(upper.across(float(rng.uniform(3.0, 3.8))), "seam", 0.014))
    if rng.random() < 0.4:
        items.append(Line(upper.across(float(rng.uniform(8.6, 9.6))), "seam", 0.014))
    if rng.random() < 0.4:
        top = upper.last_section
        items.append(Line(upper.across(top - 0.25), "stitch", 0.009))
    return items


def boots(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build boots that reach the ankle, the calf or the knee."""
    view = draw_view(rng, "tall")
    camera = view.camera
    heel = {"flat": 0.0, "low": 0.16, "high": 0.42}[garment["heel"]]
    base = Base(
        toe="pointed" if garment["toe"] == "pointed" else "round",
        rise=heel,
        platform=0.04,
        sheet=0.04,
        margin=0.012,
        slender=float(rng.uniform(0.5, 1.0) if heel > 0.2 else rng.uniform(0.0, 0.2)),
        width=float(rng.uniform(0.95, 1.05)),
    )
    top = SHAFT_TOPS[garment["length"]] * float(rng.uniform(0.97, 1.03))
    shaft, apart = boot_shaft(top, float(rng.uniform(0.04, 0.11)))
    upper = Upper(base.rows((*BOOT_FOOT, *shaft), 1.05), camera)
    last = upper.last_section
    items: list[Item] = [*base.parts(camera)]
    items += closed_upper(upper, rng, 0.7)
    items += _leather_seams(upper, rng)
    for k, v in ((8.6, 0.5), (9.3, 0.4), (10.2, 0.55)):
        reach = float(rng.uniform(0.25, 0.4))
        items.append(Line(upper.across(k, v - reach, v + reach, 8), "crease", 0.03))
    fastening = garment["fastening"]
    if fastening == "laces":
        rows = {"short": 6, "medium": 8, "long": 11}[garment["length"]]
        items += lacing(upper, 5.2, last - 0.5, spread=0.2, rows=rows)
        items += bow(upper, last - 0.4, size=0.15)
    elif fastening == "zip":
        closes = np.linspace(8.3 if garment["length"] == "short" else 9.0, last, 16)
        low, high = upper.visible(closes)
        aside = float(low.max() + 0.62 * (high.min() - low.max()))
        line = upper.on_view(closes, aside)
        items.append(Line(line, "zip", 0.065))
        x, y = line[-2].tolist()
        items.append(Disc((x, y), 0.034, "metal"))
        items.append(Line(np.array([(x, y), (x, y + 0.1)]), "edge", 0.026))
    elif fastening == "buckle":
        straps = [(8.1, 9.2)]
        if garment["length"] != "short":  # a second strap of the same width, near the top
            end = last - 0.22 / apart
            straps.append((end - 0.12 / apart, end))
        for front, back in straps:
            strap = upper.band((front, front), (back, back))
            items.append(Part(strap, "trim", 0.0, 0.4, patterned=False))
            items += buckle(upper, front, back, v=0.4, size=0.18)
    return view.compose(items)


def sandals(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build sandals, flat or heeled, with thin, wide or crossed straps."""
    view = draw_view(rng, "low" if garment["heel"] == "flat" else "heeled")
    camera = view.camera
    chunky = garment["sole"] == "chunky"
    rise = {"flat": 0.0, "low": 0.15, "high": 0.42}[garment["heel"]]
    base = Base(
        rise=rise,
        platform=0.16 if chunky else 0.03,
        sheet=0.16 if chunky else 0.03,
        margin=0.02 if chunky else 0.01,
        wedge=chunky and bool(rise == 0 or rng.random() < 0.5),
        slender=float(rng.uniform(0.0, 0.3) if chunky else rng.uniform(0.5, 0.9)),
    )
    foot = Upper(base.rows(FOOT), camera)
    items: list[Item] = [*base.parts(camera), base.footbed(camera)]
    ankle = garment["fastening"] == "buckle"
    if ankle:
        items += ankle_strap_behind(foot)
    strap = garment["strap"]
    if strap == "wide":
        bands = [((2.9, 2.9), (5.4, 5.4))]
    elif strap == "crossed":
        bands = [((2.6, 5.0), (3.7, 6.1)), ((5.0, 2.6), (6.1, 3.7))]
    else:
        bands = [((2.9, 2.9), (3.3, 3.3)), ((4.9, 4.9), (5.3, 5.3))]
    for front, back in bands:
        outline = foot.band(front, back)
        items.append(Part(outline, "main", 0.0, 0.6))
        items.append(Line(outline[:BAND_POINTS], "edge", 0.01))
        items.append(Line(outline[BAND_POINTS + 3 : -3], "edge", 0.01))
    if ankle:
        items += ankle_strap(foot)
    return view.compose(items)
