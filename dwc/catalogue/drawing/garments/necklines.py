"""Necklines without a collar: how the front is cut, what shows behind it, bands and roll necks."""

import numpy as np

from dwc.catalogue.drawing.garments.curves import arc, comb, ellipse, polygon, shifted, unit_steps
from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.garments.torso import Torso
from dwc.catalogue.drawing.parts import Line, Part, Points, Role, mirror


def cut_neckline(kind: str, half_width: float, depth: float) -> Points:
    """The right half of a neckline, (n, 2), from the centre front up to (half_width, 0)."""
    if kind == "round":
        angle = unit_steps(9) * (np.pi / 2)
        return np.stack([half_width * np.sin(angle), depth * np.cos(angle)], axis=1)
    if kind == "v":
        return arc((0, depth), (half_width * 0.62, depth * 0.42), (half_width, 0), 7)
    if kind == "square":
        return polygon((0, depth), (half_width * 0.94, depth), (half_width, 0))
    raise ValueError(f"a neckline is cut round, v or square; got {kind!r}")


def neck_lining(neckline: Points, rise: float = 0.012) -> list[Item]:
    """The inside of the back seen through the neckline, with its label, for the bottom layer.

    `rise` is how far the back of the neck stands above the shoulders' ends.
    """
    half_width = float(neckline[-1, 0])
    back = arc((half_width, 0), (0, -2 * rise), (-half_width, 0), 9)
    front = mirror(neckline)  # from the left shoulder down to the centre
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
    """A band sewn around a round or v neckline of this depth, `width` broad."""
    inner = cut_neckline(kind, torso.neck, depth)
    deeper = depth + width * (1.0 if kind == "round" else 1.7)
    rise = torso.shoulder_at(torso.neck + width)
    outer = shifted(cut_neckline(kind, torso.neck + width, deeper - rise), 0, rise)
    inside = np.concatenate([mirror(inner), inner[1:]])  # left shoulder, centre, right shoulder
    outside = np.concatenate([mirror(outer), outer[1:]])
    band = np.concatenate([inside, outside[::-1]])
    items: list[Item] = [Part(band, role, patterned=False, roundness=0.5)]
    if ribbed:
        items.append(Line(comb(inside, outside, 22), "seam", 0.005))
    else:
        items.append(Line(outside, "stitch", 0.006))
    return items


def roll_neck(half_width: float, height: float) -> tuple[list[Item], list[Item]]:
    """A knitted tube around the neck, folded over: its back, and its front to go on the body."""
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
