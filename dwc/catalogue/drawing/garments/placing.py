"""Moving drawn pieces as a whole: turning, mirroring, copying, fitting them into the picture.

From a garment cut in metres around its own origin to one that fills the picture.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from dwc.catalogue.drawing.garments.stance import Stance
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape

Item = Part | Line | Disc


def shifted(points: Points, across: float, down: float) -> Points:
    """The points, moved without turning."""
    return np.asarray(points + np.array((across, down)))


def moved(
    items: Iterable[Item],
    *,
    scale: float = 1.0,
    flip: bool = False,
    turn: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> list[Item]:
    """The items mirrored left to right (`flip`), scaled, turned clockwise (radians) and shifted."""
    cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
    across = -1.0 if flip else 1.0
    # Row vectors: (x, y) @ matrix; y points down, so a positive angle turns clockwise.
    matrix = np.array([[across * cosine, across * sine], [-sine, cosine]])
    offset = np.array(shift)

    # One product for all points: a call for each piece costs more than the arithmetic.
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
    """(left, top, right, bottom) of everything that is drawn; a line's width is not counted."""
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
    """Centre the items and scale them so that their longer side is `span` (the picture's is 2)."""
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


FILL = 0.85  # of the half picture, along the garment's longer side

Box = tuple[float, float, float, float]


def place(
    items: Sequence[Item],
    stance: Stance,
    *,
    print_box: Box | None = None,
    held_at: tuple[float, float] | None = None,
    largest_scale: float = 2.3,
) -> Shape:
    """Lay the items a little crooked as the stance says, and scale them into the picture.

    `held_at` is a point of the right shoulder for a hanger, used where the garment hangs.
    `largest_scale` keeps short garments from being blown up to the size of long ones.
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
    """The points (n, 2) stretched, sheared, bent and tilted as the stance says."""
    x, y = points[:, 0] * stance.width, points[:, 1] * stance.length
    return np.stack([x + stance.lean * y + stance.bow * np.sin(3 * y), y + stance.tilt * x], axis=1)
