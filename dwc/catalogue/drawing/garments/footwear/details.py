"""What closes a shoe: laces, buckles, straps, zips."""

from typing import Literal

import numpy as np

from dwc.catalogue.drawing.garments.footwear.last import BAND_POINTS, Upper
from dwc.catalogue.drawing.garments.placing import Item
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, smooth


def closed_upper(upper: Upper, rng: np.random.Generator, roundness: float = 0.6) -> list[Item]:
    """The upper and the opening for the foot, with its lining and sometimes an insole."""
    ring = upper.opening()
    items: list[Item] = [
        Part(upper.outline(), "main", 0.0, roundness),
        Part(ring, "lining", 0.0, 0.4, patterned=False),
    ]
    if upper.camera.from_above and rng.random() < 0.5:
        middle = ring.mean(axis=0)
        insole = middle + (ring - middle) * (0.66, 0.8)
        items.append(Part(insole, "sole", 0.0, 0.2, patterned=False))
    items.append(Line(upper.ring(upper.last_section), "edge", 0.017))
    return items


def lacing(upper: Upper, start: float, end: float, *, spread: float, rows: int) -> list[Item]:
    """Laces in crosses over the instep from section `start` up to `end`, with their eyelets."""
    k = np.linspace(start, end, rows)
    left, right = upper.on_view(k, -spread), upper.on_view(k, spread)
    zigzag = np.empty((2 * rows - 1, 2))
    zagzig = np.empty((2 * rows - 1, 2))
    ridge = upper.on_view((k[1:] + k[:-1]) / 2, 0.0)
    zigzag[1::2] = zagzig[1::2] = ridge
    zigzag[::4], zigzag[2::4] = left[::2], right[1::2]
    zagzig[::4], zagzig[2::4] = right[::2], left[1::2]
    items: list[Item] = [Line(zigzag, "lace", 0.034), Line(zagzig, "lace", 0.034)]
    for side, edge in ((-spread, left), (spread, right)):
        for section, point in zip(k, edge, strict=True):
            if not upper.hidden(float(section), side):
                items.append(Disc((float(point[0]), float(point[1])), 0.013, "metal"))
    return items


def bow(
    upper: Upper, k: float, *, size: float, kind: Literal["lace", "trim"] = "lace"
) -> list[Item]:
    """A tied bow on the ridge at section k; of laces, or of ribbon (`trim`)."""
    centre = upper.on_view([k], 0.0)[0]
    loops = np.array([(0, 0), (0.6, -0.5), (1.05, -0.1), (0.65, 0.3), (0, 0)]) * size
    tail = np.array([(0, 0), (0.3, 0.5), (0.55, 1.1)]) * size
    items: list[Item] = []
    for side in (-1.0, 1.0):
        loop = smooth(loops * (side, 1) + centre, closed=False, samples=5)
        if kind == "trim":
            items.append(Part(loop, "trim", 0.0, 0.5, patterned=False))
        else:
            items.append(Line(loop, "lace", 0.032))
            items.append(
                Line(smooth(tail * (side, 1) + centre, closed=False, samples=5), "lace", 0.03)
            )
    if kind == "trim":
        knot = np.array([(-0.22, -0.28), (0.22, -0.28), (0.22, 0.28), (-0.22, 0.28)]) * size
        items.append(Part(knot + centre, "trim", 0.0, 0.5, patterned=False))
    else:
        items.append(Disc((float(centre[0]), float(centre[1])), 0.02, "trim"))
    return items


def buckle(upper: Upper, front: float, back: float, *, v: float, size: float) -> list[Item]:
    """A frame of metal with a tongue, on a strap between sections `front` and `back`."""
    low, high = (float(bound) for bound in upper.visible((front + back) / 2))
    v = max(min(v, max(high - 0.12, (low + high) / 2)), low + 0.12)
    centre = upper.on_view([(front + back) / 2], v)[0]
    ends = upper.on_view([front, back], v)
    along = ends[1] - ends[0]
    length = float(np.hypot(*along)) or 1.0
    up = along / length * min(max(length * 0.68, size * 0.5), size * 0.75)
    across = np.array([-along[1], along[0]]) / length * size * 0.5
    frame = np.array([centre + up + across, centre + up - across, centre - up - across,
                      centre - up + across])  # fmt: skip
    inner = centre + (frame - centre) * 0.58
    return [
        Part(frame, "metal", 0.0, 0.3, patterned=False, holes=(inner,)),
        Line(np.stack([centre - across, centre + across * 0.7]), "edge", size * 0.12),
    ]


def buckled_strap(
    upper: Upper, front: float, back: float, *, reach: float, button: bool = False
) -> list[Item]:
    """A strap across from side to side, closed by a buckle or a button on its outer end."""
    band: Points = upper.band((front, front), (back, back), reach=reach)
    items: list[Item] = [Part(band, "main", 0.0, 0.5)]
    items += [Line(edge, "edge", 0.016) for edge in (band[:BAND_POINTS], band[BAND_POINTS:])]
    middle = (front + back) / 2
    if button:
        low, high = (float(bound) for bound in upper.visible(middle))
        v = max(min(0.45, high - 0.1), low + 0.1)
        x, y = upper.on_view([middle], v)[0]
        items.append(Disc((float(x), float(y)), 0.042, "metal"))
    else:
        items += buckle(upper, front, back, v=0.4, size=0.1)
    return items


ANKLE = (9.1, 10.0)  # the sections between which a strap around the ankle lies
QUARTER = ((7.0, 0.8), (8.6, 0.62), (10.0, 0.66), (10.0, 1.0), (8.6, 1.0), (7.6, 1.0))


def ankle_strap_behind(foot: Upper) -> list[Item]:
    """What is seen of an ankle strap from inside, to be drawn before the shoe itself."""
    items: list[Item] = [Part(foot.inside_of_band(*ANKLE), "lining", 0.0, 0.3, patterned=False)]
    for side in (-1, 1):
        quarter = foot.flank(side, QUARTER, clamped=False)
        items.append(Part(quarter, "lining", 0.0, 0.3, patterned=False))
    return items


def ankle_strap(foot: Upper) -> list[Item]:
    """A strap around the ankle with a buckle, and the quarters that hold it at the heel."""
    items: list[Item] = [
        Part(foot.flank(side, QUARTER), "main", 0.0, 0.5)
        for side in (-1, 1)
        if not foot.hidden(9.0, side * 0.8)
    ]
    return items + buckled_strap(foot, *ANKLE, reach=1.0)
