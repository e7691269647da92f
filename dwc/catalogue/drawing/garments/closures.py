"""What closes, gathers and carries: buttons, zips, belts, pockets, knitted bands."""

import numpy as np

from dwc.catalogue.drawing.garments.curves import arc, comb, polygon, rounded, side_of
from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.garments.torso import Torso
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, mirror


def _upright(x: float, top: float, bottom: float) -> Points:
    return arc((x, top), (x, (top + bottom) / 2), (x, bottom), 6)


def button_row(x: float, top: float, bottom: float, count: int, radius: float) -> list[Item]:
    """Buttons one below another."""
    return [Disc((x, float(y)), radius) for y in np.linspace(top, bottom, count)]


def placket(top: float, bottom: float, half_width: float) -> list[Item]:
    """The band that the buttons of a shirt sit on: its edge and its stitching."""
    return [
        Line(_upright(half_width, top, bottom), "seam", 0.010),
        Line(_upright(-half_width, top, bottom), "stitch", 0.006),
    ]


def zip_fastening(
    top: float, bottom: float, slant: float = 0.0, width: float = 0.028
) -> list[Item]:
    """A zip down the front with its puller; `slant` moves its lower end sideways."""
    tape = arc((0, top), (slant * 0.4, (top + bottom) / 2), (slant, bottom), 8)
    pull = polygon((-0.012, 0.0), (0.012, 0.0), (0.015, 0.055), (-0.015, 0.055))
    pull = rounded(pull, 0.008, 3) + (slant * 0.05, top + 0.004)
    return [Line(tape, "zip", width), Part(pull, "metal", patterned=False, roundness=0.6)]


def front_opening(top: float, bottom: float, x: float = 0.0) -> Line:
    """The edge of the front that lies on top."""
    return Line(_upright(x, top, bottom), "edge", 0.012)


def buckled_belt(torso: Torso, y: float, height: float, sag: float, loops: bool) -> list[Item]:
    """A belt around the waist with a buckle, its end hanging to one side."""
    over = 1.03
    top = torso.across(y - height / 2, sag) * (over, 1.0)
    bottom = torso.across(y + height / 2, sag) * (over, 1.0)
    items: list[Item] = [Part(np.concatenate([top, bottom[::-1]]), "trim", 0, 0.6, False)]
    middle = y + sag
    half = height * 0.78
    frame = rounded(polygon((-half, -half), (half, -half), (half, half), (-half, half)), 0.012)
    items.append(
        Part(
            frame + (0, middle),
            "metal",
            patterned=False,
            roundness=0.4,
            holes=(frame * 0.56 + (0, middle),),
        )
    )
    items.append(Line(polygon((-half * 0.6, middle), (half * 0.9, middle)), "edge", 0.008))
    items += [Disc((half * 1.5 + 0.022 * step, middle), 0.005, "lining") for step in range(3)]
    if loops:
        x = torso.half_width(y) * 0.62
        for at in (-x, x):
            loop = polygon(
                (at - 0.009, y - height * 0.7),
                (at + 0.009, y - height * 0.7),
                (at + 0.009, y + height * 0.8),
                (at - 0.009, y + height * 0.8),
            )
            items.append(Part(loop + (0, sag * 0.6), patterned=False, roundness=0.3))
    return items


def tied_belt(torso: Torso, y: float, height: float, sag: float, at: float) -> list[Item]:
    """A belt of cloth, knotted at `at` from the centre, its two ends hanging."""
    top = torso.across(y - height / 2, sag) * (1.03, 1.0)
    bottom = torso.across(y + height / 2, sag) * (1.03, 1.0)
    items: list[Item] = [Part(np.concatenate([top, bottom[::-1]]), "trim", 0, 0.5, False)]
    middle = y + sag * 0.9
    for way, length in ((-1, 0.24), (1, 0.20)):
        end = polygon(
            (0.0, 0.0), (way * 0.028, 0.0), (way * 0.085, length), (way * 0.035, length + 0.03)
        )
        items.append(Part(end + (at, middle), "trim", -0.2 * way, 0.5, False))
    knot = polygon((-0.03, -0.034), (0.03, -0.034), (0.026, 0.034), (-0.026, 0.034))
    items.append(Part(rounded(knot, 0.02) + (at, middle), "trim", 0, 0.7, False))
    return items


def patch_pocket(
    side: int, centre: float, top: float, width: float, height: float, pointed: bool, flap: bool
) -> list[Item]:
    """A pocket sewn on, `centre` from the middle of the front."""
    w, dip = width / 2, 0.022 if pointed else 0.0
    corners = polygon((-w, 0), (w, 0), (w, height - dip), (0, height), (-w, height - dip))
    bag = rounded(corners, 0.006 if pointed else 0.03) + (centre, top)
    items: list[Item] = [Part(side_of(bag, side), roundness=0.35)]
    inner = rounded(corners * (0.84, 0.92), 0.02)
    items.append(Line(side_of(inner[4:] + (centre, top), side), "stitch", 0.006))
    lid = 0.30 * height if flap else 0.16 * height
    if flap:
        lid_corners = polygon(
            (-w * 1.08, -0.008),
            (w * 1.08, -0.008),
            (w * 1.08, lid - dip),
            (0, lid + dip / 2),
            (-w * 1.08, lid - dip),
        )
        items.append(
            Part(side_of(rounded(lid_corners, 0.012) + (centre, top), side), roundness=0.35)
        )
        items.append(Disc((side * centre, top + lid * 0.68), 0.009))
    else:
        items.append(
            Line(side_of(polygon((-w, lid), (w, lid)) + (centre, top), side), "seam", 0.009)
        )
        items.append(Line(side_of(polygon((-w, 0), (w, 0)) + (centre, top), side), "edge", 0.014))
    return items


def pouch_pocket(top: float, height: float, half_width: float, split: bool) -> list[Item]:
    """A hoodie's pocket for both hands; in two where a zip runs through it."""
    upper = half_width * 0.62
    right = np.concatenate(
        [
            polygon((0.0 if not split else 0.014, top), (upper, top)),
            arc(
                (upper, top),
                (half_width * 0.70, top + height * 0.42),
                (half_width, top + height * 0.66),
                6,
            ),
            polygon((half_width, top + height), (0.0 if not split else 0.014, top + height)),
        ]
    )
    mouth = right[1:8]
    items: list[Item] = []
    if split:
        items += [Part(side_of(right, side), roundness=0.4) for side in (-1, 1)]
    else:
        items.append(Part(np.concatenate([right, mirror(right)]), roundness=0.4))
    items.append(Line(polygon((-upper, top), (upper, top)), "edge", 0.013))
    for side in (-1, 1):
        items.append(Line(side_of(mouth, side), "edge", 0.018))
        items.append(Line(side_of(mouth - (0.018, -0.004), side), "stitch", 0.006))
    return items


def welt_pocket(side: int, start: tuple[float, float], end: tuple[float, float]) -> list[Item]:
    """A pocket of which only the slit with its narrow lip shows."""
    across = np.array([end[1] - start[1], start[0] - end[0]])
    across = across / float(np.hypot(*across)) * 0.011
    a, b = np.array(start), np.array(end)
    lip = np.stack([a + across, b + across, b - across, a - across])
    return [
        Part(side_of(lip, side), roundness=0.3),
        Line(side_of(np.stack([a, b]), side), "seam", 0.006),
    ]


def hem_band(torso: Torso, depth: float, sag: float, taper: float, ribs: int) -> list[Item]:
    """A band below the hem, knitted in ribs (or none), narrowing to `taper` of the hem's width."""
    x, y = torso.hem
    top = arc((-x, y - 0.006), (0, y + 2 * sag - 0.006), (x, y - 0.006), 11)
    low = x * taper
    bottom = arc((-low, y + depth), (0, y + depth + 2 * sag), (low, y + depth), 11)
    items: list[Item] = [Part(np.concatenate([top, bottom[::-1]]), roundness=0.6, patterned=False)]
    if ribs:
        items.append(Line(comb(top, bottom, ribs), "seam", 0.005))
    items.append(Line(top, "seam", 0.010))
    return items
