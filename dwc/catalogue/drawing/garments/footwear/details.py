"""What closes a shoe: laces, buckles, straps, zips."""

from typing import Literal

import numpy as np

from dwc.catalogue.drawing.garments.footwear.last import Upper
from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, smooth


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
    items: list[Item] = [Line(zigzag, "lace", 0.026), Line(zagzig, "lace", 0.026)]
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
            items.append(Line(loop, "lace", 0.024))
            items.append(
                Line(smooth(tail * (side, 1) + centre, closed=False, samples=5), "lace", 0.022)
            )
    items.append(Disc((float(centre[0]), float(centre[1])), 0.02 if kind == "lace" else 0.025))
    return items


def buckle(upper: Upper, front: float, back: float, *, v: float, size: float) -> list[Item]:
    """A frame of metal with a tongue, on a strap between sections `front` and `back`."""
    low, high = upper.visible((front + back) / 2)
    v = float(np.clip(v, low + 0.12, max(high - 0.12, float(low + high) / 2)))
    centre = upper.on_view([(front + back) / 2], v)[0]
    ends = upper.on_view([front, back], v)
    along = ends[1] - ends[0]
    length = float(np.hypot(*along)) or 1.0
    up = along / length * max(length * 0.68, size * 0.5)
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
    items: list[Item] = [Part(band, "main", 0.0, 0.5), Line(band[:15], "edge", 0.01)]
    middle = (front + back) / 2
    if button:
        low, high = upper.visible(middle)
        v = float(np.clip(0.45, low + 0.1, max(float(high) - 0.1, float(low))))
        x, y = upper.on_view([middle], v)[0]
        items.append(Disc((float(x), float(y)), 0.03, "metal"))
    else:
        items += buckle(upper, front, back, v=0.4, size=0.07)
    return items
