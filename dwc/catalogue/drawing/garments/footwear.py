"""Builders of trainers, boots, heels, flats and sandals, with laces, straps and buckles.

Points on an upper (the part of a shoe above its sole) are given as (k, v), see `shoe_last`: k
counts the cross-sections from the toe (0) to the opening for the foot; v runs across the shoe from
one side (-1) over the middle (0) to the other (1).
"""

from typing import Literal

import numpy as np

from dwc.catalogue.drawing.garments.camera import draw_view
from dwc.catalogue.drawing.garments.placing import Item
from dwc.catalogue.drawing.garments.shoe_last import (
    BAND_POINTS,
    BOOT_FOOT,
    FOOT,
    HIGH_TOP,
    LOAFER,
    PUMP,
    TRAINER,
    Base,
    Upper,
    boot_shaft,
    start_at,
)
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape, smooth
from dwc.catalogue.schema import Garment


def closed_upper(upper: Upper, rng: np.random.Generator, roundness: float = 0.6) -> list[Item]:
    """Return the drawing elements of an upper and of its opening for the foot.

    In half of the views from above, the insole is visible as well.
    """
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
    """Return crossed laces with eyelets.

    Args:
        upper: The surface on which the laces lie.
        start: Cross-section of the first row; the tip of the toe is 0.
        end: Cross-section of the last row.
        spread: Distance of the eyelets from the middle of the shoe; the lower edge of a side is at
            distance 1.
        rows: The number of rows.
    """
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
    """Return a tied bow in the middle of the shoe.

    Args:
        upper: The surface on which the bow lies.
        k: The cross-section at which the bow lies; the tip of the toe is 0.
        size: Size of the bow, in lengths of the shoe.
        kind: "lace" for a bow of laces, "trim" for a bow of ribbon.
    """
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
    """Return a metal buckle on a strap across the shoe.

    Args:
        upper: The surface on which the strap lies.
        front: Cross-section of the strap's front edge; the tip of the toe is 0.
        back: Cross-section of the strap's back edge.
        v: Position across the shoe, from one side (-1) to the other (1). If the camera does not see
            this position, the buckle is moved to the visible side.
        size: Width of the buckle, in lengths of the shoe.
    """
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
    """Return a strap across the shoe that is closed by a buckle or a button.

    Args:
        upper: The surface on which the strap lies.
        front: Cross-section of the strap's front edge; the tip of the toe is 0.
        back: Cross-section of the strap's back edge.
        reach: Half the strap's length; 1 reaches from the lower edge of one side over the shoe to
            the lower edge of the other.
        button: Whether the strap is closed by a button instead of a buckle.
    """
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


ANKLE = (9.1, 10.0)  # the cross-sections k between which an ankle strap lies
# Corners (k, |v|) of the piece at each side of the heel that holds an ankle strap.
QUARTER = ((7.0, 0.8), (8.6, 0.62), (10.0, 0.66), (10.0, 1.0), (8.6, 1.0), (7.6, 1.0))


def ankle_strap_behind(foot: Upper) -> list[Item]:
    """Return the part of an ankle strap that lies behind the leg, to be painted before the shoe."""
    items: list[Item] = [Part(foot.inside_of_band(*ANKLE), "lining", 0.0, 0.3, patterned=False)]
    for side in (-1, 1):
        quarter = foot.flank(side, QUARTER, clamped=False)
        items.append(Part(quarter, "lining", 0.0, 0.3, patterned=False))
    return items


def ankle_strap(foot: Upper) -> list[Item]:
    """Return a buckled ankle strap and the pieces that hold it at the heel."""
    items: list[Item] = [
        Part(foot.flank(side, QUARTER), "main", 0.0, 0.5)
        for side in (-1, 1)
        if not foot.hidden(9.0, side * 0.8)
    ]
    return items + buckled_strap(foot, *ANKLE, reach=1.0)


def flats(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build ballerinas, loafers, lace-ups or Mary Janes, flat or with a low heel."""
    low = garment["heel"] == "low"
    view = draw_view(rng, "heeled" if low else "low")
    camera = view.camera
    base = Base(
        toe="pointed" if garment["toe"] == "pointed" else "round",
        rise=0.17 if low else 0.0,
        platform=0.03,
        sheet=0.03,
        slender=float(rng.uniform(0.0, 0.3)),
        width=float(rng.uniform(0.95, 1.08)),
    )
    fastening = garment["fastening"]
    high_cut = fastening in ("laces", "buckle") or (fastening == "none" and rng.random() < 0.4)
    upper = Upper(
        base.rows(LOAFER, lifted=0.3) if high_cut else base.rows(PUMP, lifted=0.0), camera
    )
    last = upper.last_section
    items: list[Item] = [*base.parts(camera)]
    items += closed_upper(upper, rng)
    if fastening == "laces":
        items.append(Line(upper.across(3.6), "stitch"))
        items += lacing(upper, 5.4, last - 0.6, spread=0.22, rows=4)
        items += bow(upper, last - 0.5, size=0.13)
    elif fastening == "buckle":
        band = upper.band((4.7, 4.7), (5.9, 5.9), reach=0.9)
        items.append(Part(band, "trim", 0.0, 0.4, patterned=False))
        items += buckle(upper, 4.7, 5.9, v=0.3, size=0.15)
    elif fastening == "strap":
        foot = Upper(base.rows(FOOT), camera)
        items += buckled_strap(foot, 5.8, 7.0, reach=0.75, button=True)
    elif high_cut:
        items.append(Line(upper.across(5.0, -0.75, 0.75), "seam", 0.012))
        items.append(Line(upper.along(0.5, 2.2, 5.0), "seam", 0.01))
        items.append(Line(upper.along(-0.5, 2.2, 5.0), "seam", 0.01))
    elif rng.random() < 0.6:
        items += bow(upper, last - 0.3, size=float(rng.uniform(0.07, 0.12)), kind="trim")
    return view.compose(items)


def heels(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build heeled pumps, optionally with an open toe, an ankle strap or a platform."""
    high, chunky = garment["heel"] == "high", garment["sole"] == "chunky"
    view = draw_view(rng, "heeled")
    camera = view.camera
    platform = 0.16 if chunky else 0.022
    base = Base(
        toe="pointed" if garment["toe"] == "pointed" else "round",
        rise=0.44 if high else 0.15,
        platform=platform,
        sheet=0.16 if chunky else 0.022,
        margin=0.016 if chunky else 0.006,
        slender=float(rng.uniform(0.15, 0.4) if chunky else rng.uniform(0.75, 1.0)),
        width=float(rng.uniform(0.9, 1.0)),
    )
    open_toe = garment["toe"] == "open"
    rows = base.rows(PUMP, lifted=0.0)
    upper = Upper(start_at(rows, 2.6) if open_toe else rows, camera)
    items: list[Item] = [*base.parts(camera)]
    if open_toe:
        items.append(base.footbed(camera))
    items += closed_upper(upper, rng)
    if open_toe:
        items.append(Line(upper.across(0.0), "edge", 0.014))
    if garment["fastening"] == "strap":
        foot = Upper(base.rows(FOOT), camera)
        if rng.random() < 0.6:
            items[:0] = ankle_strap_behind(foot)
            items += ankle_strap(foot)
        else:
            items += buckled_strap(foot, 5.8, 6.7, reach=0.75)
    return view.compose(items)


# Height of a boot's shaft in lengths of the shoe: up to the ankle, the calf or the knee.
SHAFT_TOPS = {"short": 0.56, "medium": 1.0, "long": 1.62}


def trainers(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build sports shoes with a rubber sole, low or above the ankle."""
    tall = garment["length"] == "medium"
    chunky = garment["sole"] == "chunky"
    view = draw_view(rng, "tall" if tall else "low")
    camera = view.camera
    thickness = 0.19 if chunky else 0.04
    base = Base(
        rise=0.04 if chunky else 0.0,
        platform=thickness,
        sheet=thickness,
        margin=0.03 if chunky else 0.012,
        wedge=chunky,
        width=float(rng.uniform(0.95, 1.1)),
    )
    upper = Upper(base.rows(HIGH_TOP if tall else TRAINER, 1.12), camera)
    last = upper.last_section
    items: list[Item] = [*base.parts(camera)]
    items += closed_upper(upper, rng)
    if rng.random() < 0.6:  # rubber toe cap
        cap = upper.band((0.0, 0.0), (2.7, 2.7))
        items.append(Part(cap, "sole", 0.0, 0.5, patterned=False))
    else:
        items.append(Line(upper.across(3.2), "stitch"))
    fastening = garment["fastening"]
    items += _flank_marks(upper, rng)
    if fastening == "laces":
        tongue = upper.band((4.7, 4.7), (last, last), reach=0.17)
        items.append(Part(tongue, "trim", 0.0, 0.3, patterned=False))
        items += lacing(upper, 5.0, last - 0.4, spread=0.2, rows=6 if tall else 5)
        items += bow(upper, last - 0.5, size=0.14)
    elif fastening == "strap":
        for k in (5.2, 6.6, 8.6) if tall else (5.2, 7.0):
            strap = upper.band((k, k), (k + 1.15, k + 1.15), reach=0.6)
            items.append(Part(strap, "trim", 0.0, 0.4, patterned=False))
            items.append(Line(strap[:BAND_POINTS], "edge", 0.016))
    return view.compose(items)


def _flank_marks(upper: Upper, rng: np.random.Generator) -> list[Item]:
    """Return random decoration for sports shoes: stripes or a curved mark, and a heel piece."""
    kind = rng.random()
    items: list[Item] = []
    for side in (-1, 1):
        if upper.camera.from_above or upper.hidden(6.2, side * 0.6):
            continue
        if kind < 0.35:
            for k in (5.8, 6.5, 7.2):
                stripe = upper.on_view([k, k + 0.4], [side * 0.92, side * 0.5])
                items.append(Line(stripe, "edge", 0.03))
        elif kind < 0.6:
            swoosh = ((4.6, 0.62), (5.6, 0.9), (8.0, 0.62), (5.8, 0.72))
            items.append(Part(upper.flank(side, swoosh), "trim", 0.0, 0.3, patterned=False))
        if kind > 0.2:
            heel = ((8.0, 0.86), (9.2, 0.66), (10.0, 0.72), (10.0, 1.0), (8.0, 1.0))
            items.append(Part(upper.flank(side, heel), "trim", 0.0, 0.4, patterned=False))
    return items


def _leather_seams(upper: Upper, rng: np.random.Generator) -> list[Item]:
    """Return random seams for a boot: across the toe, around the ankle and at the upper end."""
    items: list[Item] = []
    if rng.random() < 0.4:
        items.append(Line(upper.across(float(rng.uniform(3.0, 3.8))), "seam", 0.014))
    if rng.random() < 0.4:
        items.append(Line(upper.across(float(rng.uniform(8.6, 9.6))), "seam", 0.014))
    if rng.random() < 0.4:
        top = upper.last_section
        items.append(Line(upper.across(top - 0.25), "stitch", 0.009))
    return items


def boots(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build boots that reach the ankle, the calf or the knee."""
    view = draw_view(rng, "tall")
    camera = view.camera
    heel = {"flat": 0.0, "low": 0.16, "high": 0.42}[garment["heel"]]
    base = Base(
        toe="pointed" if garment["toe"] == "pointed" else "round",
        rise=heel,
        platform=0.04,
        sheet=0.04,
        margin=0.012,
        slender=float(rng.uniform(0.5, 1.0) if heel > 0.2 else rng.uniform(0.0, 0.2)),
        width=float(rng.uniform(0.95, 1.05)),
    )
    top = SHAFT_TOPS[garment["length"]] * float(rng.uniform(0.97, 1.03))
    shaft, apart = boot_shaft(top, float(rng.uniform(0.04, 0.11)))
    upper = Upper(base.rows((*BOOT_FOOT, *shaft), 1.05), camera)
    last = upper.last_section
    items: list[Item] = [*base.parts(camera)]
    items += closed_upper(upper, rng, 0.7)
    items += _leather_seams(upper, rng)
    for k, v in ((8.6, 0.5), (9.3, 0.4), (10.2, 0.55)):
        reach = float(rng.uniform(0.25, 0.4))
        items.append(Line(upper.across(k, v - reach, v + reach, 8), "crease", 0.03))
    fastening = garment["fastening"]
    if fastening == "laces":
        rows = {"short": 6, "medium": 8, "long": 11}[garment["length"]]
        items += lacing(upper, 5.2, last - 0.5, spread=0.2, rows=rows)
        items += bow(upper, last - 0.4, size=0.15)
    elif fastening == "zip":
        closes = np.linspace(8.3 if garment["length"] == "short" else 9.0, last, 16)
        low, high = upper.visible(closes)
        aside = float(low.max() + 0.62 * (high.min() - low.max()))
        line = upper.on_view(closes, aside)
        items.append(Line(line, "zip", 0.065))
        x, y = line[-2].tolist()
        items.append(Disc((x, y), 0.034, "metal"))
        items.append(Line(np.array([(x, y), (x, y + 0.1)]), "edge", 0.026))
    elif fastening == "buckle":
        straps = [(8.1, 9.2)]
        if garment["length"] != "short":  # a second strap of the same width, near the top
            end = last - 0.22 / apart
            straps.append((end - 0.12 / apart, end))
        for front, back in straps:
            strap = upper.band((front, front), (back, back))
            items.append(Part(strap, "trim", 0.0, 0.4, patterned=False))
            items += buckle(upper, front, back, v=0.4, size=0.18)
    return view.compose(items)


def sandals(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build sandals, flat or heeled, with thin, wide or crossed straps."""
    view = draw_view(rng, "low" if garment["heel"] == "flat" else "heeled")
    camera = view.camera
    chunky = garment["sole"] == "chunky"
    rise = {"flat": 0.0, "low": 0.15, "high": 0.42}[garment["heel"]]
    base = Base(
        rise=rise,
        platform=0.16 if chunky else 0.03,
        sheet=0.16 if chunky else 0.03,
        margin=0.02 if chunky else 0.01,
        wedge=chunky and bool(rise == 0 or rng.random() < 0.5),
        slender=float(rng.uniform(0.0, 0.3) if chunky else rng.uniform(0.5, 0.9)),
    )
    foot = Upper(base.rows(FOOT), camera)
    items: list[Item] = [*base.parts(camera), base.footbed(camera)]
    ankle = garment["fastening"] == "buckle"
    if ankle:
        items += ankle_strap_behind(foot)
    strap = garment["strap"]
    if strap == "wide":
        bands = [((2.9, 2.9), (5.4, 5.4))]
    elif strap == "crossed":
        bands = [((2.6, 5.0), (3.7, 6.1)), ((5.0, 2.6), (6.1, 3.7))]
    else:
        bands = [((2.9, 2.9), (3.3, 3.3)), ((4.9, 4.9), (5.3, 5.3))]
    for front, back in bands:
        outline = foot.band(front, back)
        items.append(Part(outline, "main", 0.0, 0.6))
        items.append(Line(outline[:BAND_POINTS], "edge", 0.01))
        items.append(Line(outline[BAND_POINTS + 3 : -3], "edge", 0.01))
    if ankle:
        items += ankle_strap(foot)
    return view.compose(items)
