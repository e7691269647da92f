"""Prints for the chest: simple emblems as outlines in the square [-1, 1] x [-1, 1]."""

from collections.abc import Callable

import numpy as np

from dwc.catalogue.drawing.parts import Points, smooth


def _circle(x: float, y: float, radius: float, corners: int = 28) -> Points:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def _polygon(*corners: tuple[float, float]) -> Points:
    return np.array(corners, dtype=np.float64)


def _star(rng: np.random.Generator) -> list[Points]:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2, 0.42, 1.0)
    return [np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)]


def _heart(rng: np.random.Generator) -> list[Points]:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [np.stack([np.sin(t) ** 3 * 0.95, -y / 17.5 + 0.12], axis=1)]


def _mountain(rng: np.random.Generator) -> list[Points]:
    left = _polygon((-1, 0.75), (-0.42, -0.35), (-0.22, -0.05), (-0.02, 0.28), (-0.3, 0.75))
    right = _polygon((-0.16, 0.75), (0.36, -0.12), (1, 0.75))
    return [left, right, _circle(0.42, -0.62, 0.24)]


def _sun(rng: np.random.Generator) -> list[Points]:
    rays = []
    for angle in np.arange(10) * np.pi / 5:
        corners = [(0.62, -0.13), (1.0, 0.0), (0.62, 0.13)]
        cos, sin = np.cos(angle), np.sin(angle)
        rays.append(_polygon(*[(x * cos - y * sin, x * sin + y * cos) for x, y in corners]))
    return [_circle(0, 0, 0.5), *rays]


def _words(rng: np.random.Generator) -> list[Points]:
    """Bars of uneven width in two or three rows, as lettering looks from afar."""
    blocks = []
    rows = int(rng.integers(2, 4))
    for row in range(rows):
        top = -0.75 + 1.5 * row / rows
        tall = 1.05 / rows
        x, end = rng.uniform(-1, -0.7), rng.uniform(0.7, 1)
        while x < end - 0.08:
            wide = min(rng.uniform(0.12, 0.3), end - x)
            blocks.append(
                _polygon((x, top), (x + wide, top), (x + wide, top + tall), (x, top + tall))
            )
            x += wide + 0.07
    return blocks


def _flower(rng: np.random.Generator) -> list[Points]:
    return [
        _circle(0.58 * np.cos(a), 0.58 * np.sin(a) - 0.05, 0.34)
        for a in np.arange(6) * np.pi / 3 + rng.uniform(0, 1)
    ]


def _leaf(rng: np.random.Generator) -> list[Points]:
    half = smooth([(0, -1), (0, -1), (0.5, -0.45), (0.5, 0.2), (0.06, 0.8), (0.06, 0.8)], False)
    mirrored = half * (-1, 1)
    stalk = _polygon((-0.04, 0.7), (0.04, 0.7), (0.03, 1.0), (-0.03, 1.0))
    left = np.concatenate([mirrored, [(-0.06, -0.5)]])
    right = np.concatenate([half, [(0.06, -0.5)]])
    return [left, right, stalk]


def _cat(rng: np.random.Generator) -> list[Points]:
    face = [(-0.75, -0.95), (-0.75, -0.95), (-0.3, -0.55), (0.3, -0.55), (0.75, -0.95),
            (0.75, -0.95), (0.86, -0.1), (0.62, 0.55), (0, 0.82), (-0.62, 0.55),
            (-0.86, -0.1)]  # fmt: skip
    return [smooth(face, samples=6)]


def _waves(rng: np.random.Generator) -> list[Points]:
    t = np.linspace(-1, 1, 40)
    rows = []
    for middle in (-0.5, 0.0, 0.5):
        crest = middle + 0.13 * np.sin(t * 3 * np.pi)
        upper = np.stack([t, crest - 0.12], axis=1)
        lower = np.stack([t, crest + 0.12], axis=1)[::-1]
        rows.append(np.concatenate([upper, lower]))
    return rows


_EMBLEMS: tuple[Callable[[np.random.Generator], list[Points]], ...] = (
    _star, _heart, _mountain, _sun, _words, _words, _flower, _leaf, _cat, _waves,
)  # fmt: skip


def draw_emblem(
    rng: np.random.Generator,
    box: tuple[float, float, float, float],
    turn: float,
    least_radius: float = 0.0,
) -> tuple[list[Points], list[Points]]:
    """The outlines of a random emblem and the holes in it.

    It fills `box` (left, top, right, bottom), is turned by `turn` (radians) and at least
    `least_radius` from its middle to its sides.
    """
    emblem = _EMBLEMS[int(rng.integers(len(_EMBLEMS)))]
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    radius = max(min(box[2] - box[0], box[3] - box[1]) / 2, least_radius)
    cos, sin = np.cos(turn) * radius, np.sin(turn) * radius
    matrix = np.array([[cos, -sin], [sin, cos]])
    outlines = [outline @ matrix.T + middle for outline in emblem(rng)]
    holes = [hole @ matrix.T + middle for hole in _HOLES.get(emblem, ())]
    return outlines, holes


_HOLES: dict[Callable[[np.random.Generator], list[Points]], tuple[Points, ...]] = {
    _cat: (
        _circle(-0.36, -0.02, 0.13, 14),
        _circle(0.36, -0.02, 0.13, 14),
        _polygon((-0.11, 0.27), (0.11, 0.27), (0.0, 0.42)),
    ),
    _flower: (_circle(0.0, -0.05, 0.2, 18),),
}
