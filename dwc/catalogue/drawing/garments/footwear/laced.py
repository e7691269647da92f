"""Shoes that hold the foot by laces, straps or a shaft: trainers and boots."""

import numpy as np

from dwc.catalogue.drawing.garments.footwear.details import bow, buckle, lacing
from dwc.catalogue.drawing.garments.footwear.last import Upper
from dwc.catalogue.drawing.garments.footwear.lasts import (
    BOOT_FOOT,
    HIGH_TOP,
    TRAINER,
    boot_shaft,
)
from dwc.catalogue.drawing.garments.footwear.sole import Base
from dwc.catalogue.drawing.garments.footwear.views import draw_view
from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.parts import Line, Part, Shape
from dwc.catalogue.schema import Garment

SHAFT_TOPS = {"short": 0.56, "medium": 1.0, "long": 1.62}  # ankle, middle of the calf, knee


def trainers(garment: Garment, rng: np.random.Generator) -> Shape:
    """Sports shoes with a rubber sole, low or over the ankle."""
    tall = garment["length"] == "medium"
    chunky = garment["sole"] == "chunky"
    view = draw_view(rng)
    camera = view.camera
    thickness = 0.15 if chunky else 0.045
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
    items.append(Part(upper.outline(), roundness=0.6))
    items.append(Part(upper.opening(), "lining", 0.0, 0.4, patterned=False))
    items.append(Line(upper.ring(last), "edge", 0.022))
    if rng.random() < 0.6:  # a cap of rubber over the toe
        cap = upper.band((0.0, 0.0), (2.7, 2.7))
        items.append(Part(cap, "sole", 0.0, 0.5, patterned=False))
    else:
        items.append(Line(upper.across(3.2), "stitch"))
    for side in (-1, 1):  # stripes on the flanks
        if not upper.hidden(6.2, side * 0.6):
            for k in (5.6, 6.3, 7.0):
                items.append(
                    Line(upper.on_view([k, k + 0.5], [side * 0.9, side * 0.42]), "edge", 0.03)
                )
    fastening = garment["fastening"]
    if fastening == "laces":
        tongue = upper.band((4.7, 4.7), (last, last), reach=0.17)
        items.append(Part(tongue, "trim", 0.0, 0.3, patterned=False))
        items += lacing(upper, 5.0, last - 0.4, spread=0.2, rows=6 if tall else 5)
        items += bow(upper, last - 0.5, size=0.14)
    elif fastening == "strap":
        for k in (5.2, 6.6, 8.6) if tall else (5.2, 7.0):
            strap = upper.band((k, k), (k + 1.0, k + 1.0), reach=0.55)
            items.append(Part(strap, "trim", 0.0, 0.4, patterned=False))
            items.append(Line(strap[:15], "stitch", 0.01))
    return view.compose(items)


def boots(garment: Garment, rng: np.random.Generator) -> Shape:
    """Boots to the ankle, the calf or the knee."""
    view = draw_view(rng, "tall")
    camera = view.camera
    heel = {"flat": 0.0, "low": 0.12, "high": 0.34}[garment["heel"]]
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
    upper = Upper(
        base.rows((*BOOT_FOOT, *boot_shaft(top, float(rng.uniform(0.03, 0.09)))), 1.05), camera
    )
    last = upper.last_section
    items: list[Item] = [*base.parts(camera)]
    items.append(Part(upper.outline(), roundness=0.7))
    items.append(Part(upper.opening(), "lining", 0.0, 0.4, patterned=False))
    items.append(Line(upper.ring(last), "edge", 0.018))
    for k, v in ((8.6, 0.5), (9.3, 0.4), (10.2, 0.55)):
        reach = float(rng.uniform(0.25, 0.4))
        items.append(Line(upper.across(k, v - reach, v + reach, 8), "crease", 0.03))
    fastening = garment["fastening"]
    if fastening == "laces":
        rows = {"short": 6, "medium": 8, "long": 11}[garment["length"]]
        items += lacing(upper, 5.2, last - 0.5, spread=0.2, rows=rows)
        items += bow(upper, last - 0.4, size=0.15)
    elif fastening == "zip":
        low, high = upper.visible(last)
        v = float(low + 0.72 * (high - low))
        items.append(Line(upper.along(v, 7.6, last, 16), "zip", 0.035))
    elif fastening == "buckle":
        for k in (8.4,) if garment["length"] == "short" else (8.4, last - 1.0):
            strap = upper.band((k, k), (k + 0.7, k + 0.7))
            items.append(Part(strap, "trim", 0.0, 0.4, patterned=False))
            items += buckle(upper, k, k + 0.7, v=0.4, size=0.12)
    return view.compose(items)
