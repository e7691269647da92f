"""The pose of a garment: how its curves, given in the square [-1, 1]², are placed in the image.

The coordinates in this square (x to the right, y down) are called curve coordinates. One unit is
half the image's side at `zoom` 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape


@dataclass(frozen=True)
class Crumple:
    """A smooth displacement of points that makes a garment look crumpled.

    The displacement is the sum of a few waves in random directions. Points and displacements are
    given in the square [-1, 1]², in which the garment is drawn.

    Attributes:
        waves: Wave vectors (k, 2) of the k waves, in radians per unit of the square's coordinates.
        phases: Phases (2, k) in radians, for the x and the y displacement.
        heights: Amplitudes (2, k) of the x and the y displacement; 1 is half the square's side.
    """

    waves: NDArray[np.float64]
    phases: NDArray[np.float64]
    heights: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, strength: float, waves: int = 5) -> "Crumple":
        """Return a random displacement for garments that are drawn in the square [-1, 1]².

        Args:
            rng: The random generator.
            strength: Root mean square of the displacement; 1 is half the square's side.
            waves: The number of waves to add up.
        """
        angles = rng.uniform(0, 2 * np.pi, waves)
        lengths = np.exp(rng.uniform(np.log(1.5), np.log(11.0), waves))
        heights = rng.normal(size=(2, waves)) / lengths  # shorter waves get smaller amplitudes
        heights *= strength / np.sqrt((heights**2).sum() / 4 + 1e-12)
        return cls(
            lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1),
            rng.uniform(0, 2 * np.pi, (2, waves)),
            heights,
        )

    def __call__(self, points: Points) -> Points:
        """Return the displaced points (n, 2)."""
        angles = points @ self.waves.T
        across = np.sin(angles + self.phases[0]) @ self.heights[0]
        down = np.sin(angles + self.phases[1]) @ self.heights[1]
        return points + np.stack([across, down], axis=1)


@dataclass(frozen=True)
class Pose:
    """A map from the square [-1, 1]², in which garments are drawn, to image pixels.

    Attributes:
        turn: Rotation in radians, clockwise; 0 is upright.
        zoom: Scale factor; at 1 the square [-1, 1]² fills the image.
        aspect: Factor by which the ratio of width to height changes.
        lean: Horizontal shear: shift to the right per unit downwards.
        centre: Offset (x, y) of the square's center from the image's center, as a fraction of half
            the image's side.
        tilt: Perspective (x, y). If x is 0.1, the right side of the square is 10 % farther from the
            camera than the center; if y is 0.1, the lower side is. With negative values, the left
            or the upper side is farther away.
        crumple: Displacement that is applied to all points first; None for no displacement.
    """

    turn: float = 0.0
    zoom: float = 1.0
    aspect: float = 1.0
    lean: float = 0.0
    centre: tuple[float, float] = (0.0, 0.0)
    tilt: tuple[float, float] = (0.0, 0.0)
    crumple: Crumple | None = None

    def place(self, shape: Shape, size: int) -> Shape:
        """Convert a shape to pixel coordinates of an image that is `size` pixels wide and high."""
        half = size / 2
        stretch = np.sqrt(self.aspect)
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        matrix = np.array([[cos, -sin], [sin, cos]])
        matrix = matrix @ np.array([[stretch, self.lean], [0.0, 1 / stretch]]) * (self.zoom * half)
        offset = half * (1 + np.asarray(self.centre))
        scale = self.zoom * half

        # All points are transformed in one call: a call for each piece would cost more than the
        # arithmetic.
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
