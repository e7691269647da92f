"""Builders of fastenings, belts, pockets and knitted bands.

Coordinates are those of `torso`: meters from the neck, x to the right, y down. `side` is 1 for the
right side of the image and -1 for the left.
"""

import numpy as np

from dwc.catalogue.drawing.garments.placing import Item
from dwc.catalogue.drawing.garments.torso import Torso
from dwc.catalogue.drawing.parts import (
    Disc,
    Line,
    Part,
    Points,
    arc,
    comb,
    mirror,
    polygon,
    rounded,
    shifted,
    side_of,
)


def _upright(x: float, top: float, bottom: float) -> Points:
    return arc((x, top), (x, (top + bottom) / 2), (x, bottom), 6)


def button_row(x: float, top: float, bottom: float, count: int, radius: float) -> list[Item]:
    """Return `count` evenly spaced buttons in a vertical row at `x`, from `top` to `bottom` (y)."""
    return [Disc((x, float(y)), radius) for y in np.linspace(top, bottom, count)]


def placket(top: float, bottom: float, half_width: float) -> list[Item]:
    """Return the edge and the stitching of a placket, the band of cloth under a shirt's buttons.

    The placket lies in the middle of the front, from y = `top` to y = `bottom`.
    """
    return [
        Line(_upright(half_width, top, bottom), "seam", 0.010),
        Line(_upright(-half_width, top, bottom), "stitch", 0.006),
    ]


def zip_tape(top: float, bottom: float, width: float, slant: float = 0.0) -> Line:
    """Return the teeth and tapes of a zip from y = `top` to y = `bottom`.

    `slant` is how far the zip's lower end is moved to the right.
    """
    tape = arc((0, top), (slant * 0.4, (top + bottom) / 2), (slant, bottom), 8)
    return Line(tape, "zip", width)


def zip_fastening(top: float, bottom: float, slant: float = 0.0, width: float = 0.03) -> list[Item]:
    """Return a zip from y = `top` to y = `bottom` with its puller.

    `slant` is how far the zip's lower end is moved to the right.
    """
    pull = polygon((-0.016, 0.0), (0.016, 0.0), (0.02, 0.07), (-0.02, 0.07))
    pull = shifted(rounded(pull, 0.008, 3), slant * 0.05, top + 0.004)
    return [
        zip_tape(top, bottom, width, slant),
        Part(pull, "metal", patterned=False, roundness=0.6),
    ]


def front_opening(top: float, bottom: float, x: float = 0.0) -> Line:
    """Return the vertical edge, at `x`, where one half of a garment's front overlaps the other."""
    return Line(_upright(x, top, bottom), "edge", 0.012)


def _belt(torso: Torso, y: float, height: float, sag: float) -> list[Item]:
    top = torso.across(y - height / 2, sag) * (1.03, 1.0)
    bottom = torso.across(y + height / 2, sag) * (1.03, 1.0)
    band = Part(np.concatenate([top, bottom[::-1]]), "trim", 0, 0.6, False)
    return [band, Line(top, "seam", 0.012), Line(bottom, "seam", 0.012)]


def buckled_belt(torso: Torso, y: float, height: float, sag: float, loops: bool) -> list[Item]:
    """Return a belt with a buckle and the holes at its end.

    Args:
        torso: The body of the garment.
        y: Vertical position of the belt's middle line at the sides.
        height: Height of the belt.
        sag: How much lower the belt lies in the middle than at the sides.
        loops: Whether to add two belt loops.
    """
    items = _belt(torso, y, height, sag)
    middle = y + sag
    half = height * 0.78
    frame = rounded(_box(-half, -half, half, half), 0.012)
    hole = shifted(frame * 0.56, 0, middle)
    items.append(Part(shifted(frame, 0, middle), "metal", 0, 0.4, False, (hole,)))
    items.append(Line(polygon((-half * 0.6, middle), (half * 0.9, middle)), "edge", 0.008))
    items += [Disc((half * 1.5 + 0.022 * step, middle), 0.005, "lining") for step in range(3)]
    if loops:
        x = torso.half_width(y) * 0.62
        for at in (-x, x):
            loop = _box(at - 0.009, y - height * 0.7, at + 0.009, y + height * 0.8)
            items.append(Part(shifted(loop, 0, sag * 0.6), patterned=False, roundness=0.3))
    return items


def tied_belt(torso: Torso, y: float, height: float, sag: float, at: float) -> list[Item]:
    """Return a cloth belt with a knot and two hanging ends.

    Args:
        torso: The body of the garment.
        y: Vertical position of the belt's middle line at the sides.
        height: Height of the belt.
        sag: How much lower the belt lies in the middle than at the sides.
        at: Horizontal position (x) of the knot.
    """
    items = _belt(torso, y, height, sag)
    middle = y + sag * 0.9
    for way, length in ((-1, 0.24), (1, 0.20)):
        near, far = way * 0.028, way * 0.085
        end = polygon((0, 0), (near, 0), (far, length), (far - way * 0.05, length + 0.03))
        items.append(Part(shifted(end, at, middle), "trim", -0.2 * way, 0.5, False))
    knot = rounded(polygon((-0.03, -0.034), (0.03, -0.034), (0.026, 0.034), (-0.026, 0.034)), 0.02)
    items.append(Part(shifted(knot, at, middle), "trim", 0, 0.7, False))
    return items


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def patch_pocket(
    side: int, centre: float, top: float, width: float, height: float, pointed: bool, flap: bool
) -> list[Item]:
    """Return a pocket that is sewn onto the cloth.

    Args:
        side: 1 for the right side of the image, -1 for the left.
        centre: Distance of the pocket's center from the middle of the front.
        top: Vertical position of the pocket's upper edge.
        width: Width of the pocket.
        height: Height of the pocket.
        pointed: Whether the lower edge has a point in the middle.
        flap: Whether a buttoned flap covers the upper part of the pocket.
    """
    half, dip = width / 2, 0.022 if pointed else 0.0

    def sewn(points: Points) -> Points:
        return side_of(shifted(points, centre, top), side)

    corners = polygon(
        (-half, 0), (half, 0), (half, height - dip), (0, height), (-half, height - dip)
    )
    bag = sewn(rounded(corners, 0.006 if pointed else 0.03))
    items: list[Item] = [
        Part(bag, roundness=0.35, patterned=False),  # a patterned pocket would be invisible
        Line(bag[2:], "edge", 0.02),
        Line(sewn(rounded(corners * (0.82, 0.91), 0.02)[4:]), "stitch", 0.006),
    ]
    if flap:
        lid, wide = 0.32 * height, half * 1.08
        shape = polygon(
            (-wide, -0.008), (wide, -0.008), (wide, lid - dip), (0, lid + dip / 2),
            (-wide, lid - dip),
        )  # fmt: skip
        lid_edge = sewn(rounded(shape, 0.012))
        items.append(Part(lid_edge, roundness=0.35, patterned=False))
        items.append(Line(lid_edge[6:], "edge", 0.018))
        items.append(Disc((side * centre, top + lid * 0.62), 0.016))
    else:
        hem = 0.17 * height
        items.append(Line(sewn(polygon((-half, hem), (half, hem))), "seam", 0.012))
        items.append(Line(sewn(polygon((-half, 0), (half, 0))), "edge", 0.024))
    return items


def pouch_pocket(top: float, height: float, half_width: float, split: bool) -> list[Item]:
    """Return the large front pocket of a hoodie.

    Args:
        top: Vertical position of the pocket's upper edge.
        height: Height of the pocket.
        half_width: Half the width of the pocket.
        split: Whether the pocket consists of two halves with a gap for a zip.
    """
    upper, middle = half_width * 0.60, 0.016 if split else 0.0
    mouth = arc(
        (upper, top), (half_width * 0.69, top + height * 0.42), (half_width, top + height * 0.66), 7
    )
    foot = polygon((half_width, top + height), (middle, top + height))
    right = np.concatenate([polygon((middle, top)), mouth, foot])
    items: list[Item] = []
    if split:
        items += [Part(side_of(right, side), roundness=0.4, patterned=False) for side in (-1, 1)]
    else:
        pouch = np.concatenate([right, mirror(right)])
        items.append(Part(pouch, roundness=0.4, patterned=False))
    items.append(Line(polygon((-upper, top), (upper, top)), "edge", 0.022))
    for side in (-1, 1):
        items.append(Line(side_of(mouth, side), "edge", 0.034))
        items.append(Line(side_of(shifted(mouth, -0.024, 0.004), side), "stitch", 0.007))
        items.append(Line(side_of(polygon(mouth[-1], foot[0]), side), "edge", 0.018))
    return items


def welt_pocket(side: int, start: tuple[float, float], end: tuple[float, float]) -> list[Item]:
    """Return a slit pocket: a slit from `start` to `end` and the narrow strip of cloth along it.

    `side` is 1 for the right side of the image. If it is -1, the pocket is mirrored to the left.
    """
    slit = polygon(start, end)
    along = slit[1] - slit[0]
    across = np.array([along[1], -along[0]]) / float(np.hypot(*along)) * 0.011
    lip = np.concatenate([slit + across, slit[::-1] - across])
    return [Part(side_of(lip, side), roundness=0.3), Line(side_of(slit, side), "seam", 0.006)]


def hem_band(torso: Torso, depth: float, sag: float, taper: float, ribs: int) -> list[Item]:
    """Return a band that is sewn below the hem.

    Args:
        torso: The body of the garment.
        depth: Height of the band.
        sag: How much lower the band lies in the middle than at the sides.
        taper: Width of the band's lower edge as a fraction of the hem's width.
        ribs: The number of knitted ribs; 0 for a plain band.
    """
    x, y = torso.hem
    top = arc((-x, y - 0.006), (0, y + 2 * sag - 0.006), (x, y - 0.006), 11)
    low = x * taper
    bottom = arc((-low, y + depth), (0, y + depth + 2 * sag), (low, y + depth), 11)
    items: list[Item] = [Part(np.concatenate([top, bottom[::-1]]), roundness=0.6, patterned=False)]
    if ribs:
        items.append(Line(comb(top, bottom, ribs), "seam", 0.005))
    items.append(Line(top, "seam", 0.010))
    return items
