"""Shoes cut low over the instep: flats and heels."""

import numpy as np

from dwc.catalogue.drawing.garments.footwear.details import (
    ankle_strap,
    ankle_strap_behind,
    bow,
    buckle,
    buckled_strap,
    closed_upper,
    lacing,
)
from dwc.catalogue.drawing.garments.footwear.last import Upper
from dwc.catalogue.drawing.garments.footwear.lasts import FOOT, LOAFER, PUMP, start_at
from dwc.catalogue.drawing.garments.footwear.sole import Base
from dwc.catalogue.drawing.garments.footwear.views import draw_view
from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.parts import Line, Part, Shape
from dwc.catalogue.schema import Garment


def flats(garment: Garment, rng: np.random.Generator) -> Shape:
    """Ballerinas, loafers, lace-ups and Mary Janes, flat or on a low heel."""
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
    """Pumps on a heel; open at the toe, with an ankle strap, on a platform."""
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
