"""Moving drawn pieces as a whole: turning, mirroring, copying, fitting them into the picture."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

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
