"""Shoes that hold the foot by laces, straps or a shaft: trainers and boots."""

import numpy as np

from dwc.catalogue.drawing.garments.footwear.details import bow, buckle, closed_upper, lacing
from dwc.catalogue.drawing.garments.footwear.last import BAND_POINTS, Upper
from dwc.catalogue.drawing.garments.footwear.lasts import (
    BOOT_FOOT,
    HIGH_TOP,
    TRAINER,
    boot_shaft,
)
from dwc.catalogue.drawing.garments.footwear.sole import Base
from dwc.catalogue.drawing.garments.footwear.views import draw_view
from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.parts import Disc, Line, Part, Shape
from dwc.catalogue.schema import Garment

SHAFT_TOPS = {"short": 0.56, "medium": 1.0, "long": 1.62}  # ankle, middle of the calf, knee


def trainers(garment: Garment, rng: np.random.Generator) -> Shape:
    """Sports shoes with a rubber sole, low or over the ankle."""
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
    if rng.random() < 0.6:  # a cap of rubber over the toe
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
    """What sports shoes carry on their sides: stripes, a swoosh or nothing, and a heel piece."""
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
    """A cap at the toe, a seam around the ankle, a loop to pull the boot on by."""
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
    """Boots to the ankle, the calf or the knee."""
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
        if garment["length"] != "short":  # a second one, as broad, near the top
            end = last - 0.22 / apart
            straps.append((end - 0.12 / apart, end))
        for front, back in straps:
            strap = upper.band((front, front), (back, back))
            items.append(Part(strap, "trim", 0.0, 0.4, patterned=False))
            items += buckle(upper, front, back, v=0.4, size=0.18)
    return view.compose(items)
