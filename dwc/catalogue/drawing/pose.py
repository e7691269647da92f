"""The pose of a garment: from the curves' square to pixels of the image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape


@dataclass(frozen=True)
class Crumple:
    """A smooth displacement field: a few waves in random directions.

    `waves` (k, 2) are radians a unit, `phases` (2, k) radians, `heights` (2, k) units.
    """

    waves: NDArray[np.float64]
    phases: NDArray[np.float64]
    heights: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, strength: float, waves: int = 5) -> "Crumple":
        """A random field; `strength` is its root mean square displacement in units."""
        angles = rng.uniform(0, 2 * np.pi, waves)
        lengths = np.exp(rng.uniform(np.log(1.5), np.log(11.0), waves))
        heights = rng.normal(size=(2, waves)) / lengths  # the shorter the wave, the lower
        heights *= strength / np.sqrt((heights**2).sum() / 4 + 1e-12)
        return cls(
            lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1),
            rng.uniform(0, 2 * np.pi, (2, waves)),
            heights,
        )

    def __call__(self, points: Points) -> Points:
        """The points, displaced."""
        angles = points @ self.waves.T
        across = np.sin(angles + self.phases[0]) @ self.heights[0]
        down = np.sin(angles + self.phases[1]) @ self.heights[1]
        return points + np.stack([across, down], axis=1)


@dataclass(frozen=True)
class Pose:
    """An affine map from the curves' square [-1, 1]² to pixels, after an optional crumple.

    Attributes:
        turn: Radians, clockwise.
        zoom: 1 fills the image as the curves say.
        aspect: Width over height.
        lean: A shear.
        centre: (x, y) of the square's middle, in units.
        tilt: (x, y), the perspective of a camera that is not level; 0.1 puts that end 10 % farther.
        crumple: A displacement before the map.
    """

    turn: float = 0.0
    zoom: float = 1.0
    aspect: float = 1.0
    lean: float = 0.0
    centre: tuple[float, float] = (0.0, 0.0)
    tilt: tuple[float, float] = (0.0, 0.0)
    crumple: Crumple | None = None

    def place(self, shape: Shape, size: int) -> Shape:
        """The same shape with every point and width in pixels of a picture `size` pixels wide."""
        half = size / 2
        stretch = np.sqrt(self.aspect)
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        matrix = np.array([[cos, -sin], [sin, cos]])
        matrix = matrix @ np.array([[stretch, self.lean], [0.0, 1 / stretch]]) * (self.zoom * half)
        offset = half * (1 + np.asarray(self.centre))
        scale = self.zoom * half

        # One pass over all points: a call for each piece costs more than the arithmetic.
        pieces: list[Points] = []
        for item in shape.items:
            if isinstance(item, Part):
                pieces += [item.outline, *item.holes]
            elif isinstance(item, Line):
                pieces.append(item.points)
            else:
                pieces.append(np.asarray([item.centre], dtype=np.float64))
        box = shape.print_box
        if box is not None:
            left, top, right, bottom = box
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            pieces.append(np.asarray(corners, dtype=np.float64))
        pieces.append(np.asarray(shape.hung_from, dtype=np.float64).reshape(-1, 2))
        stacked = np.concatenate(pieces)
        if self.crumple is not None:
            stacked = self.crumple(stacked)
        depth = 1.0
        if self.tilt != (0.0, 0.0):
            depth = np.clip(1 + stacked @ np.asarray(self.tilt), 0.6, 1.6)[:, None]
        stacked = stacked @ matrix.T / depth + offset
        placed = iter(np.split(stacked, np.cumsum([len(piece) for piece in pieces])[:-1]))

        items: list[Part | Line | Disc] = []
        for item in shape.items:
            points = next(placed)
            if isinstance(item, Part):
                holes = tuple(next(placed) for _ in item.holes)
                grain = item.grain + self.turn
                items.append(Part(points, item.role, grain, item.roundness, item.patterned, holes))
            elif isinstance(item, Line):
                items.append(Line(points, item.kind, item.width * scale))
            else:
                items.append(Disc((points[0, 0], points[0, 1]), item.radius * scale, item.role))
        if box is not None:
            corners_px = next(placed)
            middle = corners_px.mean(axis=0)
            half_box = scale * np.array([box[2] - box[0], box[3] - box[1]]) / 2
            low, high = middle - half_box, middle + half_box
            box = (low[0], low[1], high[0], high[1])
        hung = tuple((x, y) for x, y in next(placed).tolist())
        return Shape(tuple(items), box, hung)
