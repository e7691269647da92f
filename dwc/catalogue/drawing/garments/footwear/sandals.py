"""Sandals: a sole with straps over the bare foot."""

import numpy as np

from dwc.catalogue.drawing.garments.footwear.details import ankle_strap, ankle_strap_behind
from dwc.catalogue.drawing.garments.footwear.last import BAND_POINTS, Upper
from dwc.catalogue.drawing.garments.footwear.lasts import FOOT
from dwc.catalogue.drawing.garments.footwear.sole import Base
from dwc.catalogue.drawing.garments.footwear.views import draw_view
from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.parts import Line, Part, Shape
from dwc.catalogue.schema import Garment


def sandals(garment: Garment, rng: np.random.Generator) -> Shape:
    """Sandals, flat or heeled, with thin, wide or crossed straps."""
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
