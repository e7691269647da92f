"""Curves that several garments are cut along: arcs, bands, scallops, ribbing."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dwc.catalogue.drawing.parts import Points

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
