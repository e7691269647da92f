"""Projection of three-dimensional shoes and hats onto the image, and the views of shoes.

Space: x runs from the heel of a shoe to its toe, y across the shoe, z up.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.drawing.garments.placing import Item, bounds, framed, moved
from dwc.catalogue.drawing.parts import Points, Shape

HULL_DIRECTIONS = 72  # directions in which the outermost points of a convex hull are searched
FROM_ABOVE = math.radians(50)  # elevation beyond which a view counts as "from above"


@dataclass(frozen=True)
class Camera:
    """A camera without perspective (a parallel projection).

    Attributes:
        yaw: Horizontal rotation in radians. At 0, the shoe is seen from the side with its toe to
            the right; at -pi/2, the toe points towards the camera, at pi/2 away from it.
        elevation: Height of the camera as an angle in radians; 0 is level with the shoe, pi/2
            directly above it.
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
        """Whether the camera is so high that mainly the opening of a shoe is visible."""
        return self.elevation > FROM_ABOVE

    @property
    def towards(self) -> NDArray[np.float64]:
        """Unit vector (3,) in space that points from the shoe to the camera."""
        level = -math.cos(self.elevation)
        return np.array(
            [level * math.sin(self.yaw), level * math.cos(self.yaw), math.sin(self.elevation)]
        )

    def project(self, places: NDArray[np.float64]) -> Points:
        """Project points in space (..., 3) to image points (..., 2), y down."""
        return np.asarray(places @ self._matrix)


@lru_cache(maxsize=1)
def _hull_rays() -> NDArray[np.float64]:
    angles = np.arange(HULL_DIRECTIONS) * (2 * np.pi / HULL_DIRECTIONS)
    return np.stack([np.cos(angles), np.sin(angles)])


def hull(points: Points) -> Points:
    """Return the convex hull of points (n, 2), clockwise.

    The hull is approximate: it has at most `HULL_DIRECTIONS` points.
    """
    furthest = np.argmax(points @ _hull_rays(), axis=0)
    return points[furthest[np.diff(furthest, append=furthest[0]) != 0]]


Arrangement = Literal["single", "side_pair", "quarter_pair", "front_pair", "above_pair", "lying"]


@dataclass(frozen=True)
class View:
    """The camera and the arrangement of one shoe or a pair in the image.

    Attributes:
        arrangement: "single" for one shoe, else how the two shoes of a pair are placed: next to
            each other, seen from the side, at an angle ("quarter"), from the front or from above,
            or lying down.
        camera: The camera.
        flip: Whether the image is mirrored left to right.
        turn: Rotation of each shoe in the image, in radians, clockwise.
        spread: Distance between the two shoes, 0 (close) to 1.
        slip: How much the second shoe deviates from its regular position, -1 to 1.
    """

    arrangement: Arrangement
    camera: Camera
    flip: bool
    turn: float
    spread: float
    slip: float

    def compose(self, shoe: list[Item]) -> Shape:
        """Arrange one drawn shoe, or two copies as a pair, within the image.

        Args:
            shoe: The drawing elements (pieces, lines and buttons) of one shoe.

        Returns:
            The drawing elements of the whole image.
        """
        left, top, right, bottom = bounds(shoe)
        width, height = right - left, bottom - top
        if self.arrangement == "single":
            return framed(moved(shoe, flip=self.flip, turn=self.turn))
        if self.arrangement in ("side_pair", "quarter_pair"):
            step = (0.16 + 0.3 * self.spread) * width
            other = moved(
                shoe, scale=0.97, turn=0.06 * self.slip, shift=(-step, -0.2 * self.camera.elevation)
            )
            return framed(moved([*other, *shoe], flip=self.flip, turn=self.turn), span=1.7)
        if self.arrangement == "lying":
            # The second shoe lies next to the first with its toe pointing the other way, or below
            # the first if the shoe is longer than high, so that the pair fills the image.
            gap = 0.04 + 0.1 * self.spread
            other = moved(shoe, flip=True, turn=0.5 * self.slip)
            other_left, other_top, other_right, _ = bounds(other)
            if width > 0.9 * height:
                across = (left + right - other_left - other_right) / 2 + 0.15 * width * self.slip
                shift = (across, bottom + gap - other_top)
            else:
                shift = (left - gap - other_right, 0.15 * self.slip)
            other = moved(other, shift=shift)
            return framed(moved([*other, *shoe], flip=self.flip, turn=self.turn), span=1.7)
        # Two mirrored shoes next to each other, each rotated by `turn`.
        half = moved(shoe, turn=self.turn)
        left, _, _, _ = bounds(half)
        half = moved(half, shift=(0.03 + 0.1 * self.spread - left, 0.0))
        other = moved(
            half, flip=True, turn=0.12 * self.slip, shift=(0.0, 0.12 * self.slip * height)
        )
        return framed([*other, *half], span=1.65)


Kind = Literal["low", "heeled", "tall"]

# Relative frequency of each arrangement. The height of a heel and the thickness of a sole are
# visible from the side and hardly from the front or above; tall boots are shown lying down instead
# of from above.
SHARES: dict[Kind, dict[Arrangement, float]] = {
    "low": {
        "single": 0.24,
        "side_pair": 0.16,
        "quarter_pair": 0.26,
        "front_pair": 0.14,
        "above_pair": 0.2,
    },
    "heeled": {
        "single": 0.3,
        "side_pair": 0.28,
        "quarter_pair": 0.28,
        "front_pair": 0.08,
        "above_pair": 0.06,
    },
    "tall": {
        "single": 0.28,
        "side_pair": 0.22,
        "quarter_pair": 0.29,
        "front_pair": 0.05,
        "lying": 0.16,
    },
}


def draw_view(rng: np.random.Generator, kind: Kind = "low") -> View:
    """Return a random view of a shoe or a pair that shows the features of this kind of shoe.

    `kind` is "tall" for boots and high trainers, "heeled" for shoes with a heel, else "low".
    """
    shares = SHARES[kind]
    marks = np.cumsum(list(shares.values()))
    chance = rng.random() * marks[-1]
    arrangement = list(shares)[min(int(np.searchsorted(marks, chance)), len(shares) - 1)]
    yaw, elevation, spread, slip, turn = rng.uniform((0, 0, 0, -1, -1), (1, 1, 1, 1, 1)).tolist()
    flip = bool(rng.random() < 0.5)
    if arrangement == "single":
        camera = Camera(math.radians(-8 - 32 * yaw), math.radians(8 + 20 * elevation))
        return View(arrangement, camera, flip, math.radians(5 * turn), spread, slip)
    if arrangement == "side_pair":
        camera = Camera(math.radians(-8 - 20 * yaw), math.radians(10 + 18 * elevation))
        return View(arrangement, camera, flip, math.radians(4 * turn), spread, slip)
    if arrangement == "quarter_pair":
        camera = Camera(math.radians(-38 - 25 * yaw), math.radians(22 + 22 * elevation))
        return View(arrangement, camera, flip, math.radians(4 * turn), spread, slip)
    if arrangement == "lying":
        camera = Camera(math.radians(-4 - 14 * yaw), math.radians(6 + 10 * elevation))
        return View(arrangement, camera, flip, math.radians(30 * turn), spread, slip)
    if arrangement == "front_pair":
        lean = 14 * (yaw - 0.3) + (18 if kind == "heeled" else 0)
        camera = Camera(math.radians(-90 + lean), math.radians(28 + 17 * elevation))
        return View(arrangement, camera, flip, math.radians(6 * turn), spread, slip)
    toes_down = bool(rng.random() < 0.6)
    lean, steep = 16 * (yaw - 0.4), 56 + 26 * elevation
    if kind == "heeled":  # rotated and low enough to show the heel's height
        toes_down, lean, steep = True, 14 + 16 * yaw, 51 + 8 * elevation
    camera = Camera(math.radians(-90 + lean if toes_down else 90 - lean), math.radians(steep))
    return View(arrangement, camera, flip, math.radians(4 * turn), spread, slip)
