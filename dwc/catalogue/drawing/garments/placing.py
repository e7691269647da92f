"""From a garment cut in metres around its own origin to one that fills the picture."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.garments.stance import Stance
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape

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
