"""Placing of garments in the image: how clothes lie or hang, and the camera for shoes and hats.

Clothes are built in meters around their own origin, x to the right and y down. `place` distorts
them as `Stance` describes and moves them into the image, the square [-1, 1]². The stance is random,
and no text mentions it.

Shoes and hats are modeled in space: x from the heel of a shoe to its toe, y across the shoe, z up.
A `Camera` projects them onto the image; a `View` arranges one shoe or a pair.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape

Setting = Literal["flat", "hung", "worn"]


@dataclass(frozen=True)
class Arm:
    """The position of one sleeve.

    Attributes:
        lift: Outward rotation of the upper half of the sleeve in radians; 0 hangs straight down.
        bend: Rotation of the lower half at the elbow, back towards the body, in radians; 0 is
            straight.
        in_front: Whether the sleeve is painted over the body; otherwise the body covers it.
    """

    lift: float
    bend: float
    in_front: bool


@dataclass(frozen=True)
class Stance:
    """How a garment lies or hangs.

    Attributes:
        setting: "flat" (laid on a surface), "hung" (from a hanger) or "worn".
        arms: Positions of the two sleeves; the sleeve on the left of the image is first.
        lean: Horizontal shear: meters to the right per meter downwards.
        bow: Amplitude of the sideways bend in meters.
        tilt: Vertical shear, which lowers one shoulder: meters down per meter to the right.
        width: Horizontal stretch factor.
        length: Vertical stretch factor.
    """

    setting: Setting
    arms: tuple[Arm, Arm]
    lean: float
    bow: float
    tilt: float
    width: float
    length: float

    @property
    def roundness(self) -> float:
        """Strength of the shading that makes the garment's body look round, 0 (flat) to 1."""
        return {"flat": 0.4, "hung": 0.5, "worn": 0.65}[self.setting]

    @property
    def shoulder_drop(self) -> float:
        """Meters by which the shoulders are lower in this setting than if the garment lay flat."""
        return {"flat": 0.0, "hung": 0.02, "worn": 0.01}[self.setting]


def draw_stance(rng: np.random.Generator) -> Stance:
    """Return a random stance: "flat" in half of all cases, else "hung" or "worn"."""
    setting: Setting = ("flat", "flat", "hung", "worn")[int(rng.integers(4))]
    manner = _draw_manner(rng, setting)
    other = _draw_manner(rng, setting) if setting == "flat" and rng.random() < 0.25 else manner
    arms = (_draw_arm(rng, manner), _draw_arm(rng, other))
    crooked = 1.0 if setting == "flat" else 0.5
    lean, bow, tilt = rng.normal(0, (0.022, 0.012, 0.02)) * crooked
    width, length = rng.uniform((0.95, 0.96), (1.05, 1.04))
    return Stance(
        setting,
        arms,
        lean=float(np.clip(lean, -0.06, 0.06)),
        bow=float(np.clip(bow, -0.03, 0.03)),
        tilt=float(np.clip(tilt, -0.05, 0.05)),
        width=float(width),
        length=float(length),
    )


def _draw_manner(rng: np.random.Generator, setting: Setting) -> str:
    shares = {"flat": (0.2, 0.55, 0.25), "hung": (0.75, 0.15, 0.1), "worn": (0.65, 0.1, 0.25)}
    down, spread, _ = shares[setting]
    chance = rng.random()
    return "down" if chance < down else "spread" if chance < down + spread else "bent"


def _draw_arm(rng: np.random.Generator, manner: str) -> Arm:
    low, high, least_bend, most_bend = {
        "down": (10.0, 19.0, -3.0, 8.0),
        "spread": (28.0, 58.0, -8.0, 16.0),
        "bent": (32.0, 48.0, 50.0, 78.0),
    }[manner]
    lift, bend = rng.uniform((low, least_bend), (high, most_bend))
    return Arm(float(np.radians(lift)), float(np.radians(bend)), manner != "spread")


Item = Part | Line | Disc


def moved(
    items: Iterable[Item],
    *,
    scale: float = 1.0,
    flip: bool = False,
    turn: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> list[Item]:
    """Return drawing elements after mirroring, scaling, rotation and translation, in this order.

    Args:
        items: The drawing elements: pieces, lines and buttons.
        scale: Scale factor.
        flip: Whether the elements are mirrored left to right.
        turn: Rotation in radians, clockwise.
        shift: Translation (x, y).
    """
    cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
    across = -1.0 if flip else 1.0
    # Points are row vectors: (x, y) @ matrix. As y points down, a positive angle rotates clockwise.
    matrix = np.array([[across * cosine, across * sine], [-sine, cosine]])
    offset = np.array(shift)

    # All points are transformed in one matrix product, because one product per piece would be
    # slower.
    items = list(items)
    clouds: list[Points] = []
    for item in items:
        if isinstance(item, Part):
            clouds += (item.outline, *item.holes)
        else:
            clouds.append(item.points if isinstance(item, Line) else np.array((item.centre,)))
    points = np.concatenate(clouds) @ matrix + offset
    start = 0

    def taken(cloud: Points) -> Points:
        nonlocal start
        start += len(cloud)
        return points[start - len(cloud) : start]

    out: list[Item] = []
    for item in items:
        if isinstance(item, Part):
            outline = taken(item.outline)
            holes = tuple(taken(hole) for hole in item.holes)
            grain = across * item.grain + turn
            out.append(Part(outline, item.role, grain, item.roundness, item.patterned, holes))
        elif isinstance(item, Line):
            out.append(Line(taken(item.points), item.kind, item.width * scale))
        else:
            x, y = points[start].tolist()
            start += 1
            out.append(Disc((x, y), item.radius * scale, item.role))
    return out


def bounds(items: Iterable[Item]) -> tuple[float, float, float, float]:
    """Return the extent (left, top, right, bottom) of pieces, lines and buttons.

    The width of lines and the radius of buttons are ignored.
    """
    clouds = [
        item.outline
        if isinstance(item, Part)
        else item.points
        if isinstance(item, Line)
        else np.array([item.centre])
        for item in items
    ]
    points = np.concatenate(clouds)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def framed(
    items: Sequence[Item],
    *,
    span: float = 1.6,
    print_box: tuple[float, float, float, float] | None = None,
    hung_from: Sequence[tuple[float, float]] = (),
) -> Shape:
    """Return drawing elements as a shape that is centered in the image and scaled to a given size.

    Args:
        items: The pieces, lines and buttons of the garment, in any unit.
        span: Length of the longer side after scaling; the image's side is 2.
        print_box: Area (left, top, right, bottom) for a chest print, in the unit of `items`.
        hung_from: Points held by a hanger or clips, in the unit of `items`.
    """
    left, top, right, bottom = bounds(items)
    scale = span / max(right - left, bottom - top)
    across, down = -scale * (left + right) / 2, -scale * (top + bottom) / 2
    if print_box is not None:
        print_box = (
            print_box[0] * scale + across,
            print_box[1] * scale + down,
            print_box[2] * scale + across,
            print_box[3] * scale + down,
        )
    return Shape(
        tuple(moved(items, scale=scale, shift=(across, down))),
        print_box,
        tuple((x * scale + across, y * scale + down) for x, y in hung_from),
    )


FILL = 0.85  # length of the garment's longer side as a fraction of the image's

Box = tuple[float, float, float, float]


def place(
    items: Sequence[Item],
    stance: Stance,
    *,
    print_box: Box | None = None,
    held_at: tuple[float, float] | None = None,
    largest_scale: float = 2.3,
) -> Shape:
    """Return the drawing elements of a garment as a shape in the image.

    The elements are distorted as `stance` describes, then centered and scaled.

    Args:
        items: The pieces, lines and buttons of the garment, in meters.
        stance: How the garment lies or hangs.
        print_box: Area (left, top, right, bottom) for a chest print, in meters.
        held_at: Point (x, y) of the right shoulder, in meters, where a hanger holds the garment.
            The point is used only if the garment hangs.
        largest_scale: Upper limit of the scale (image units per meter; the image is 2 units wide).
            Without a limit, short garments would be drawn as large as long ones.
    """
    arrays: list[Points] = []
    for item in items:
        if isinstance(item, Part):
            arrays += (item.outline, *item.holes)
        elif isinstance(item, Line):
            arrays.append(item.points)
        else:
            arrays.append(np.array([item.centre]))
    held = [held_at, (-held_at[0], held_at[1])] if held_at and stance.setting == "hung" else []

    drawn = _crooked(np.concatenate(arrays), stance)
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    scale = min(largest_scale, 2 * FILL / float((high - low).max()))
    centre = (low + high) / 2
    ends = np.cumsum([len(array) for array in arrays])[:-1]
    pieces = iter(np.split((drawn - centre) * scale, ends))

    placed: list[Item] = []
    for item in items:
        points = next(pieces)
        if isinstance(item, Part):
            holes = tuple(next(pieces) for _ in item.holes)
            placed.append(replace(item, outline=points, holes=holes))
        elif isinstance(item, Line):
            placed.append(Line(points, item.kind, item.width * scale))
        else:
            middle = (float(points[0, 0]), float(points[0, 1]))
            placed.append(Disc(middle, item.radius * scale, item.role))
    if print_box:
        corners = np.array(print_box).reshape(2, 2) * (stance.width, stance.length)
        left, top, right, bottom = ((corners - centre) * scale).ravel().tolist()
        print_box = (left, top, right, bottom)
    hung_from: tuple[tuple[float, float], ...] = ()
    if held:
        points = (_crooked(np.array(held), stance) - centre) * scale
        hung_from = tuple((x, y) for x, y in points.tolist())
    return Shape(tuple(placed), print_box, hung_from)


def _crooked(points: Points, stance: Stance) -> Points:
    """Return points (n, 2) after the stretch, shear and bend that `stance` describes."""
    x, y = points[:, 0] * stance.width, points[:, 1] * stance.length
    return np.stack([x + stance.lean * y + stance.bow * np.sin(3 * y), y + stance.tilt * x], axis=1)


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
        """Whether the camera is so high that it mainly sees the opening of a shoe."""
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
        arrangement: One shoe ("single"), or a pair that stands and is seen from the side
            ("side_pair"), at an angle ("quarter_pair"), from the front ("front_pair") or from
            above ("above_pair"), or a pair that lies on the floor ("lying").
        camera: The camera.
        flip: Whether the image is mirrored left to right.
        turn: Rotation of each shoe in the image, in radians, clockwise.
        spread: Distance between the two shoes, 0 (close) to 1.
        slip: How much the second shoe deviates from its regular position or rotation, -1 to 1.
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
    """Return a random view of one shoe or a pair, from directions that suit the kind of shoe.

    `kind` is "tall" for boots and high trainers, "heeled" for shoes with a heel, else "low". For
    example, "heeled" shoes are mostly seen from the side or at an angle, which shows the heel.
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
