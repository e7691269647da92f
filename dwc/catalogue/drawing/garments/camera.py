"""Shoes and hats are modelled in space; this is how they come to lie in the picture."""

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.drawing.parts import Points

HULL_DIRECTIONS = 72
FROM_ABOVE = math.radians(50)


@dataclass(frozen=True)
class Camera:
    """A parallel projection.

    `yaw` (radians): 0 looks at the shoe's side with its toe to the right, -pi/2 has the toe point
    at the viewer, pi/2 away. `elevation`: 0 looks level, pi/2 straight down.
    """

    yaw: float
    elevation: float
    _matrix: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        up, away = math.cos(self.elevation), math.sin(self.elevation)
        matrix = np.array([[cosine, -sine * away], [-sine, -cosine * away], [0.0, -up]])
        object.__setattr__(self, "_matrix", matrix)

    @property
    def from_above(self) -> bool:
        """Whether one looks down into the shoe rather than at its side."""
        return self.elevation > FROM_ABOVE

    @property
    def towards(self) -> NDArray[np.float64]:
        """The unit vector in space from the shoe to the viewer."""
        level = -math.cos(self.elevation)
        return np.array(
            [level * math.sin(self.yaw), level * math.cos(self.yaw), math.sin(self.elevation)]
        )

    def project(self, places: NDArray[np.float64]) -> Points:
        """Picture points (..., 2), y down, of places in space (..., 3)."""
        return np.asarray(places @ self._matrix)


@lru_cache(maxsize=1)
def _hull_rays() -> NDArray[np.float64]:
    angles = np.arange(HULL_DIRECTIONS) * (2 * np.pi / HULL_DIRECTIONS)
    return np.stack([np.cos(angles), np.sin(angles)])


def hull(points: Points) -> Points:
    """The convex outline of `points` (n, 2), at most HULL_DIRECTIONS of them, clockwise."""
    furthest = np.argmax(points @ _hull_rays(), axis=0)
    return points[furthest[np.diff(furthest, append=furthest[0]) != 0]]
