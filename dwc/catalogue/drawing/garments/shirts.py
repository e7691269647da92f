"""Shirts: a turned collar, a buttoned front, a hem cut in a curve."""

import numpy as np

from dwc.catalogue.drawing.garments.closures import button_row, patch_pocket, placket
from dwc.catalogue.drawing.garments.curves import arc
from dwc.catalogue.drawing.garments.folds import body_folds, darts, yoke
from dwc.catalogue.drawing.garments.necks import cut_neckline, turned_collar
from dwc.catalogue.drawing.garments.placing import Item, place
from dwc.catalogue.drawing.garments.sleeves import SLEEVE_LENGTHS, Finish, set_sleeves
from dwc.catalogue.drawing.garments.stance import draw_stance
from dwc.catalogue.drawing.garments.torso import BLOCKS, Torso
from dwc.catalogue.drawing.parts import Line, Part, Points, Shape, mirror
from dwc.catalogue.schema import Garment


def shirt(garment: Garment, rng: np.random.Generator) -> Shape:
    """A shirt or blouse."""
    stance = draw_stance(rng)
    block = BLOCKS[garment["fit"]].eased(0.004)
    neck, drop = 0.076, float(rng.uniform(0.05, 0.065))
    length = 0.69 + float(rng.uniform(-0.02, 0.03))
    torso = block.torso(neck, length, drop=stance.shoulder_drop)
    neckline = cut_neckline("round", neck, drop)
    tail = float(rng.uniform(0.04, 0.075)) if rng.random() < 0.85 else 0.006
    kind = garment["sleeve"]
    width = (0.088 * block.sleeve, 0.082 * block.sleeve, 0.078 * block.sleeve)
    finish: Finish = "turned" if rng.random() < 0.4 else "hemmed"
    if kind == "long":
        width = (0.088 * block.sleeve, 0.072 * block.sleeve, 0.056 * block.sleeve)
        finish = "cuffed"
    under, over = set_sleeves(torso, stance, SLEEVE_LENGTHS[kind], width, finish, rng)
    pointed = rng.random() < 0.75
    collar = turned_collar(neck, drop, float(rng.uniform(0.85, 1.1)), pointed)

    items: list[Item] = [*collar.behind, *under]
    hem = shirt_tail(torso, tail)
    items.append(Part(torso.outline(neckline, hem), roundness=stance.roundness))
    items += body_folds(torso, rng, 0.4)
    items.append(yoke(torso, 0.125, float(rng.uniform(0.0, 0.02))))
    if garment["fit"] == "slim":
        items += darts(torso, 0.47, 0.2)
    items.append(Line((hem - (0, 0.02))[1:-1], "stitch", 0.006))
    bottom = length + (tail if tail > 0.02 else 0.0)
    items += placket(drop, bottom - 0.004, 0.024)
    count = int(rng.integers(6, 9))
    items += button_row(0.0, drop + 0.065, bottom - 0.09, count, 0.0150)
    if garment["pockets"] == "chest":
        pointed_pocket, flap = rng.random(2) < (0.6, 0.35)
        sides = (-1, 1) if rng.random() < 0.6 else (1,)
        size = 0.14 + 0.2 * (torso.armpit[0] - 0.2)
        for side in sides:
            items += patch_pocket(
                side, 0.52 * torso.armpit[0] + 0.004, 0.205, size, size * 1.15,
                bool(pointed_pocket), bool(flap),
            )  # fmt: skip
    items += over
    items += collar.on_top
    held = 0.7 * torso.shoulder[0] + 0.3 * neck
    return place(items, stance, held_at=(held, torso.shoulder_at(held)))


def shirt_tail(torso: Torso, tail: float) -> Points:
    """A hem from right to left that is cut up at the side seams by `tail`."""
    x, y = torso.hem
    if tail < 0.02:
        return torso.level_hem(tail)
    right = np.concatenate(
        [
            arc((x, y - tail), (x * 0.93, y + tail * 0.5), (x * 0.6, y + tail * 0.8), 6),
            arc((x * 0.6, y + tail * 0.8), (x * 0.35, y + tail), (0, y + tail), 5)[1:],
        ]
    )
    return np.concatenate([right, mirror(right)[1:]])
