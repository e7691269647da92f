"""Builders of necklines, collars, lapels, hoods and neck bands.

Coordinates are those of `torso`: meters, x to the right, y down. The point (`neck`, 0) is where the
right shoulder seam meets the neck.
"""

from dataclasses import dataclass

import numpy as np

from dwc.catalogue.drawing.garments.placing import Item
from dwc.catalogue.drawing.garments.torso import Torso
from dwc.catalogue.drawing.parts import (
    Disc,
    Line,
    Part,
    Points,
    Role,
    arc,
    comb,
    ellipse,
    mirror,
    polygon,
    shifted,
    side_of,
    unit_steps,
)


def cut_neckline(kind: str, half_width: float, depth: float) -> Points:
    """Return the right half (n, 2) of a neckline, from its lowest point to its upper end.

    Args:
        kind: "round", "v" or "square".
        half_width: Half the width; the upper end is (half_width, 0).
        depth: Depth; the lowest point is (0, depth).

    Raises:
        ValueError: The kind is unknown.
    """
    if kind == "round":
        angle = unit_steps(9) * (np.pi / 2)
        return np.stack([half_width * np.sin(angle), depth * np.cos(angle)], axis=1)
    if kind == "v":
        return arc((0, depth), (half_width * 0.62, depth * 0.42), (half_width, 0), 7)
    if kind == "square":
        return polygon((0, depth), (half_width * 0.94, depth), (half_width, 0))
    raise ValueError(f"a neckline is cut round, v or square; got {kind!r}")


def neck_lining(neckline: Points, rise: float = 0.012) -> list[Item]:
    """Return the inner side of the back that is visible in the neckline, with the brand label.

    The pieces have to be painted before the body. `rise` is the height of the back of the neck
    above y = 0.
    """
    half_width = float(neckline[-1, 0])
    back = arc((half_width, 0), (0, -2 * rise), (-half_width, 0), 9)
    front = mirror(neckline)  # from the left shoulder down to the center
    outline = np.concatenate([neckline, back, front]) * (1.02, 1.0)
    items: list[Item] = [Part(outline, "lining", patterned=False, roundness=0.25)]
    depth = float(neckline[0, 1])
    if depth > 0.06:
        inner = back * (0.96, 1.0) + (0, 0.022)
        items.append(Line(inner, "seam", 0.006))
        half = 0.026
        top = 0.022 - rise
        label = polygon((-half, top), (half, top), (half, top + 0.026), (-half, top + 0.026))
        items.append(Part(label, "trim", patterned=False, roundness=0.0))
    return items


def neck_band(
    torso: Torso, kind: str, depth: float, width: float, role: Role = "main", ribbed: bool = False
) -> list[Item]:
    """Return a band that is sewn around a neckline.

    Args:
        torso: The body of the garment.
        kind: "round" or "v".
        depth: Depth of the neckline.
        width: Width of the band.
        role: Role of the band, which determines its color; see `parts.Role`.
        ribbed: Whether the band is knitted with ribs.
    """
    inner = cut_neckline(kind, torso.neck, depth)
    deeper = depth + width * (1.0 if kind == "round" else 1.7)
    rise = torso.shoulder_at(torso.neck + width)
    outer = shifted(cut_neckline(kind, torso.neck + width, deeper - rise), 0, rise)
    inside = np.concatenate([mirror(inner), inner[1:]])  # left shoulder, center, right shoulder
    outside = np.concatenate([mirror(outer), outer[1:]])
    band = np.concatenate([inside, outside[::-1]])
    items: list[Item] = [Part(band, role, patterned=False, roundness=0.5)]
    if ribbed:
        items.append(Line(comb(inside, outside, 22), "seam", 0.005))
    else:
        items.append(Line(outside, "stitch", 0.006))
    return items


def roll_neck(half_width: float, height: float) -> tuple[list[Item], list[Item]]:
    """Build a roll neck, a folded knitted tube around the neck.

    Returns:
        The drawing elements of the back of the roll neck, to paint before the body, and those of
        the front, to paint after the body.
    """
    top = half_width * 0.94
    back: list[Item] = [
        Part(ellipse((0, -height), top, 0.026), "lining", patterned=False, roundness=0.2)
    ]
    rim = arc((-top, -height), (0, -height + 0.05), (top, -height), 9)
    foot_width = half_width * 1.12
    foot = arc((-foot_width, 0.018), (0, 0.095), (foot_width, 0.018), 9)
    right = arc((top, -height), (foot_width * 1.02, -height * 0.4), (foot_width, 0.018), 5)
    tube = np.concatenate([rim, right[1:-1], foot[::-1], mirror(right)[1:-1]])
    front: list[Item] = [
        Part(tube, roundness=0.8),
        Line(comb(rim, foot, 15), "seam", 0.006),
        Line(rim, "edge", 0.014),
        Line(foot, "edge", 0.016),
    ]
    return back, front


@dataclass(frozen=True)
class NeckPiece:
    """A collar or a hood.

    Attributes:
        behind: Pieces and lines to paint before the body.
        on_top: Pieces and lines to paint after the body.
    """

    behind: list[Item]
    on_top: list[Item]


def _inside(points: Points) -> Part:
    return Part(points, "lining", patterned=False, roundness=0.25)


def turned_collar(
    neck: float,
    drop: float,
    size: float,
    pointed: bool,
    role: Role = "main",
    stand: float = 0.035,
) -> NeckPiece:
    """Return the collar of a shirt, two halves that meet in the middle of the front.

    Args:
        neck: Half the neck's width at the shoulder.
        drop: Vertical position (y) at which the two halves meet.
        size: Factor for the size of the halves.
        pointed: Whether the halves have sharp tips; otherwise they are round.
        role: Role of the collar, which determines its color; see `parts.Role`.
        stand: Factor for the height of the collar at the back of the neck.
    """
    top = arc((neck * 0.95, -stand * 0.6), (0, -stand * 2.1), (-neck * 0.95, -stand * 0.6), 9)
    well = np.concatenate([top, arc((-neck, 0), (0, 2.0 * drop), (neck, 0), 9)])
    behind: list[Item] = [
        _inside(well),
        Line(shifted(top * (0.97, 1.0), 0, 0.026), "seam", 0.006),
    ]
    fall = drop + 0.115 * size
    tip = (min(0.3 * neck + 0.065 * size, neck * 1.5), fall - 0.023 * size)
    rolled = arc((neck * 0.93, -stand * 0.75), (neck * 0.86, drop * 0.45), (0.004, drop), 8)
    shoulder = (neck * 1.22, 0.0)
    if pointed:
        front = polygon((0.25 * tip[0], drop + 0.048 * size), tip)
        outer = arc((tip[0] + 0.02, drop + 0.05 * size), (neck * 1.55, drop * 0.3), shoulder, 6)
    else:
        cheek = (tip[0] + 0.035, drop + 0.05 * size)
        front = arc((0.008, drop + 0.02), (tip[0] * 0.35, drop + 0.172 * size), cheek, 8)
        outer = arc(cheek, (neck * 1.6, drop * 0.3), shoulder, 6)[1:]
    free = np.concatenate([front, outer])
    leaf = np.concatenate([rolled, free])
    middle = leaf.mean(axis=0)
    on_top: list[Item] = []
    for side in (-1, 1):
        on_top.append(Part(side_of(leaf, side), role, grain=-0.5 * side, roundness=0.35))
        on_top.append(Line(side_of(free, side), "seam", 0.009))
        on_top.append(Line(side_of((free - middle) * 0.84 + middle, side), "stitch", 0.005))
    return NeckPiece(behind, on_top)


def lapels(neck: float, gorge: float, break_y: float, size: float, notch: float) -> NeckPiece:
    """Return a collar with lapels, as on a blazer.

    Args:
        neck: Half the neck's width at the shoulder.
        gorge: Vertical position (y) at which collar and lapel meet.
        break_y: Vertical position at which the lapels end in the middle of the front.
        size: Factor for the breadth of the lapels.
        notch: Depth of the notch between collar and lapel, 0 to 1.
    """
    back = arc((neck, -0.02), (0, -0.085), (-neck, -0.02), 9)
    edge = arc((0.0, break_y), (neck * 0.62, break_y * 0.5), (neck, 0), 7)
    fall = arc((neck * 0.86, 0.012), (0, -0.03), (-neck * 0.86, 0.012), 9)
    behind: list[Item] = [
        _inside(np.concatenate([back, mirror(edge), edge])),
        Part(np.concatenate([back, fall[::-1]]), roundness=0.4),
    ]
    breadth = neck + 0.085 * size
    point = (breadth + 0.01, gorge - 0.004)
    bite = (breadth - 0.058 * size, gorge + 0.024)
    fold = arc((0.006, break_y), (neck * 0.66, break_y * 0.45), (neck * 0.80, gorge * 0.7), 8)
    belly = arc(point, (breadth * 0.90, break_y * 0.72), (0.006, break_y), 9)
    lapel = np.concatenate([fold, polygon(bite), belly[:-1]])
    collar_tip = (breadth * 0.95, gorge - 0.03 - 0.025 * notch)
    rolled = arc((neck * 0.80, gorge * 0.7), (neck * 0.95, gorge * 0.1), (neck * 0.86, -0.03), 5)
    outer = arc((neck * 1.1, -0.008), (breadth * 0.98, gorge * 0.35), collar_tip, 6)
    collar = np.concatenate([rolled, outer, polygon(bite)])
    on_top: list[Item] = []
    for side in (-1, 1):
        on_top.append(Part(side_of(lapel, side), grain=-0.25 * side, roundness=0.35))
        on_top.append(Line(side_of(belly, side), "seam", 0.014))
        on_top.append(Part(side_of(collar, side), grain=-0.6 * side, roundness=0.35))
        rim = np.concatenate([outer, polygon(bite)])
        on_top.append(Line(side_of(rim, side), "seam", 0.012))
        on_top.append(Line(side_of(polygon(bite, point), side), "seam", 0.012))
        on_top.append(Line(side_of(polygon(bite, fold[-1]), side), "seam", 0.009))
        on_top.append(Line(side_of(fold, side), "edge", 0.010))
    return NeckPiece(behind, on_top)


def hood_up(neck: float, drop: float, height: float, width: float) -> NeckPiece:
    """Return a hood that stands above the neck, with its opening to the front.

    Args:
        neck: Half the neck's width at the shoulder.
        drop: Vertical position (y) of the hood's lower end in the middle of the front.
        height: Height of the hood above y = 0.
        width: About half the width of the hood.
    """
    outer = np.concatenate(
        [
            arc(
                (neck * 1.25, 0.03),
                (width * 1.25, -height * 0.35),
                (width * 0.86, -height * 0.72),
                8,
            ),
            arc((width * 0.86, -height * 0.72), (width * 0.5, -height * 1.06), (0, -height), 7)[1:],
        ]
    )
    shell = np.concatenate([outer, mirror(outer)[1:], polygon((0, drop))])
    rim = np.concatenate(
        [
            arc((0.0, drop * 1.15), (neck * 1.3, drop * 0.2), (width * 0.66, -height * 0.38), 8),
            arc(
                (width * 0.66, -height * 0.38),
                (width * 0.55, -height * 0.84),
                (0, -height * 0.82),
                7,
            )[1:],
        ]
    )
    opening = np.concatenate([rim, mirror(rim)[1:-1]])
    behind: list[Item] = [
        Part(shell, roundness=0.6),
        _inside(opening),
        Line(opening, "edge", 0.016),
        Line(
            arc((0, -height * 0.98), (0.004, -height * 0.9), (0, -height * 0.83), 4), "seam", 0.008
        ),
    ]
    front = arc((-neck * 1.28, 0.022), (0, 2 * drop + 0.01), (neck * 1.28, 0.022), 11)
    return NeckPiece(behind, [Line(front, "edge", 0.014)])


def hood_down(neck: float, drop: float, size: float) -> NeckPiece:
    """Return a hood that lies on the shoulders as a broad soft roll around the neck.

    Args:
        neck: Half the neck's width at the shoulder.
        drop: Vertical position (y) of the neckline in the middle of the front.
        size: Factor for the size of the hood.
    """
    wide, high = neck + 0.085 * size, 0.10 * size
    behind: list[Item] = [
        Part(ellipse((0, -0.012), wide * 0.98, high, 24), roundness=0.7),
        _inside(ellipse((0, 0.0), neck * 0.98, 0.062, 18)),
        Line(arc((0, -high), (0.005, -high * 0.8), (0, -0.06), 4), "seam", 0.008),
    ]
    roll = np.concatenate(
        [
            arc((0.002, drop + 0.055), (neck * 0.95, drop * 0.9), (neck * 0.97, -0.02), 8),
            arc((wide * 0.96, -0.035), (wide * 1.12, 0.07), (0.002, drop + 0.15 * size), 10),
        ]
    )
    on_top: list[Item] = []
    for side in (-1, 1):
        on_top.append(Part(side_of(roll, side), grain=-0.6 * side, roundness=0.7))
        crease = arc((neck * 1.15, 0.0), (neck * 1.2, drop * 0.9), (neck * 0.5, drop + 0.085), 6)
        on_top.append(Line(side_of(crease, side), "fold", 0.022))
    return NeckPiece(behind, on_top)


def drawstrings(start_y: float, spread: float, lengths: tuple[float, float]) -> list[Item]:
    """Return two cords that hang from a hood.

    Args:
        start_y: Vertical position (y) of the upper ends of the cords.
        spread: Distance of each cord from the middle.
        lengths: Lengths of the left and the right cord.
    """
    items: list[Item] = []
    for side, length in zip((-1, 1), lengths, strict=True):
        x = side * spread
        end = (x + side * 0.012, start_y + length)
        items.append(
            Line(arc((x, start_y), (x - side * 0.014, start_y + length / 2), end, 7), "lace", 0.015)
        )
        items.append(Disc((x, start_y), 0.010, "metal"))
        tip = polygon((-0.008, 0), (0.008, 0), (0.008, 0.028), (-0.008, 0.028)) + end
        items.append(Part(tip, "metal", patterned=False, roundness=0.6))
    return items


def standing_collar(neck: float, height: float, drop: float, gap: float) -> NeckPiece:
    """Return a collar that stands up around the neck.

    Args:
        neck: Half the neck's width at the shoulder.
        height: Height of the collar above y = 0.
        drop: Vertical position (y) of the collar's lower end in the middle of the front.
        gap: Half the distance between the collar's two halves at the top of the front.
    """
    top = neck * 1.02
    back = arc((top, -height), (0, -height - 0.045), (-top, -height), 9)
    behind: list[Item] = [
        _inside(np.concatenate([back, arc((-neck, 0.01), (0, 2 * drop), (neck, 0.01), 9)])),
        Line(shifted(back, 0, 0.022), "seam", 0.007),
    ]
    front = np.concatenate(
        [
            arc((top, -height), (top * 0.6, -height + 0.055), (gap, -height + 0.05), 6),
            polygon((0.003, drop * 0.9 if gap > 0.01 else drop)),
            arc((0.003, drop + 0.012), (neck * 0.8, drop * 0.95), (neck * 1.16, 0.014), 7),
        ]
    )
    on_top: list[Item] = [Part(side_of(front, side), roundness=0.6) for side in (-1, 1)]
    foot = arc((-neck * 1.16, 0.014), (0, 2 * drop), (neck * 1.16, 0.014), 11)
    on_top.append(Line(foot, "edge", 0.012))
    return NeckPiece(behind, on_top)
