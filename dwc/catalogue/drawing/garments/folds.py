"""Where cloth falls from what holds it: folds at armpits, waist and hem, darts and yokes."""

import numpy as np

from dwc.catalogue.drawing.garments.curves import arc, side_of
from dwc.catalogue.drawing.garments.torso import Torso
from dwc.catalogue.drawing.parts import Line


def body_folds(torso: Torso, rng: np.random.Generator, softness: float) -> list[Line]:
    """Folds from the armpits to the chest and along the sides; `softness` 0 to 1 is how many."""
    lines = []
    armpit_x, armpit_y = torso.armpit
    bottom = torso.hem[1]
    for side in (-1, 1):
        reach, drop = rng.uniform((0.3, 0.03), (0.55, 0.09))
        end = (armpit_x * (1 - reach), armpit_y + drop)
        pull = arc((armpit_x - 0.012, armpit_y + 0.004), (armpit_x * 0.8, armpit_y - 0.005), end, 6)
        lines.append(Line(side_of(pull, side), "crease", 0.02))
        if rng.random() < 0.4 + 0.6 * softness:
            y = float(rng.uniform(0.45, 0.62)) * bottom
            x = torso.half_width(y)
            inner = x * float(rng.uniform(0.35, 0.6))
            low = min(y + float(rng.uniform(0.06, 0.16)), bottom - 0.02)
            lines.append(
                Line(
                    side_of(arc((x * 0.97, y), (x * 0.75, y + 0.02), (inner, low), 6), side),
                    "fold",
                    0.026,
                )
            )
        if rng.random() < softness:
            x = torso.half_width(bottom - 0.03) * float(rng.uniform(0.3, 0.75))
            height = float(rng.uniform(0.14, 0.24))
            hang = arc(
                (x, bottom - 0.03),
                (x * 0.95, bottom - height * 0.5),
                (x * 0.85, bottom - height),
                6,
            )
            lines.append(Line(side_of(hang, side), "fold", 0.028))
    return lines


def waist_gathers(torso: Torso, y: float, depth: float, rng: np.random.Generator) -> list[Line]:
    """Short creases above and below a belt."""
    x = torso.half_width(y)
    lines = []
    for at in np.linspace(-0.78, 0.78, 6) + rng.normal(0, 0.05, 6):
        start = (x * at, y)
        end = (x * at * 1.12, y + depth * float(rng.uniform(0.6, 1.2)))
        lines.append(Line(np.array([start, end]), "crease", 0.014))
    return lines


def darts(torso: Torso, y: float, length: float) -> list[Line]:
    """Two darts that shape the waist."""
    x = torso.half_width(y) * 0.5
    dart = arc((x * 1.08, y - length), (x, y - length / 2), (x, y), 4)
    return [Line(side_of(dart, side), "seam", 0.008) for side in (-1, 1)]


def yoke(torso: Torso, y: float, sag: float) -> Line:
    """The seam across the chest below the shoulders."""
    x = float(np.interp(y, torso.armhole[:, 1], torso.armhole[:, 0])) - 0.002
    return Line(arc((-x, y), (0, y + sag), (x, y), 9), "seam", 0.010)
