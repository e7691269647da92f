"""Builder of dresses with a straight, flared or ruffled hem, in the coordinates of `torso`."""

import numpy as np

from dwc.catalogue.drawing.garments.closures import buckled_belt, button_row, tied_belt
from dwc.catalogue.drawing.garments.necks import NeckPiece, cut_neckline, neck_lining, turned_collar
from dwc.catalogue.drawing.garments.placing import Item, Stance, draw_stance, place
from dwc.catalogue.drawing.garments.sleeves import SLEEVE_LENGTHS, Finish, set_sleeves
from dwc.catalogue.drawing.garments.torso import Torso, body_folds, darts, waist_gathers
from dwc.catalogue.drawing.parts import Line, Part, Points, Shape, arc, scalloped, side_of, waved
from dwc.catalogue.schema import Garment

_LENGTHS = {"short": 0.80, "medium": 1.06, "long": 1.40}
_WAIST = 0.385
_RUFFLE = 0.11  # by how much the lowest ruffle hangs below the hem


def dress(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a dress; a sleeveless dress has broad or thin straps."""
    stance = draw_stance(rng)
    kind = garment["neckline"]
    strappy = garment["sleeve"] == "sleeveless" and kind != "collar" and rng.random() < 0.4
    neck = {"round": 0.092, "v": 0.086, "square": 0.108, "collar": 0.076}[kind]
    neck += float(rng.uniform(-0.004, 0.01)) + (0.022 if strappy else 0.0)
    depth = {
        "round": float(rng.uniform(0.085, 0.12)),
        "v": float(rng.uniform(0.21, 0.26)),
        "square": float(rng.uniform(0.125, 0.155)),
        "collar": 0.055,
    }[kind]
    torso = _cut(garment, stance, neck, strappy, rng)
    collar = NeckPiece([], [])
    if kind == "collar":
        size, pointed = float(rng.uniform(1.05, 1.35)), bool(rng.random() < 0.5)
        collar = turned_collar(neck, depth, size, pointed, "trim")
    neckline = cut_neckline("round" if kind == "collar" else kind, neck, depth)
    under, over = _sleeves(garment, torso, stance, rng)

    items: list[Item] = [*(collar.behind or neck_lining(neckline)), *under]
    items += _skirt_and_bodice(garment, torso, neckline, stance, rng)
    if kind == "collar":
        items += button_row(0.0, depth + 0.05, _WAIST - 0.06, int(rng.integers(3, 6)), 0.013)
    elif kind != "v" or rng.random() < 0.6:
        edge = neckline * (1.12, 1.0) + (0, 0.016)
        items.append(Line(np.concatenate([edge[::-1] * (-1, 1), edge[1:]])[1:-1], "stitch", 0.006))
    items += over
    items += collar.on_top
    if garment["waist"] == "belted":
        items += waist_gathers(torso, _WAIST + 0.03, 0.09, rng)
        sag = float(rng.uniform(0.004, 0.012))
        if rng.random() < 0.75:
            items += buckled_belt(torso, _WAIST, 0.066, sag, loops=False)
        else:
            items += tied_belt(torso, _WAIST, 0.058, sag, float(rng.uniform(-0.06, 0.06)))
    held = 0.6 * torso.shoulder[0] + 0.4 * neck
    return place(items, stance, held_at=(held, torso.shoulder_at(held)))


def _cut(
    garment: Garment, stance: Stance, neck: float, strappy: bool, rng: np.random.Generator
) -> Torso:
    length = _LENGTHS[garment["length"]] + float(rng.uniform(-0.025, 0.025))
    belted = garment["waist"] == "belted"
    waist = 0.142 if belted else 0.168
    drop = stance.shoulder_drop
    below = length - _WAIST
    hem_kind = garment["hem"]
    if hem_kind == "straight":
        hip, hem = 0.200, 0.204 + float(rng.uniform(-0.018, 0.026))
    elif hem_kind == "flared":
        hem = waist + below * float(rng.uniform(0.40, 0.50)) * (0.78 if below > 0.9 else 1.0)
        hip = waist + (hem - waist) * 0.22 / below * 1.12
    else:
        length -= _RUFFLE
        hip, hem = 0.225, 0.225 + below * float(rng.uniform(0.06, 0.12))
    shoulder = (0.196, 0.052 + drop)
    if garment["sleeve"] == "sleeveless":
        shoulder = (neck + (0.022 if strappy else 0.062), 0.022 + drop)
    armpit = (0.182, 0.215 + drop)
    knots = [armpit, (waist, _WAIST), (hip, _WAIST + 0.22)]
    if length > 1.1:
        middle = (length + _WAIST + 0.22) / 2
        knots.append(((hip + hem) / 2 * (1.0 if hem_kind != "flared" else 0.985), middle))
    knots.append((hem, length))
    return Torso(neck, shoulder, tuple(knots), 0.012 if garment["sleeve"] == "sleeveless" else 0.02)


def _sleeves(
    garment: Garment, torso: Torso, stance: Stance, rng: np.random.Generator
) -> tuple[list[Item], list[Item]]:
    kind = garment["sleeve"]
    style = ("plain", "plain", "puffed", "wide")[int(rng.integers(4))]
    finish: Finish = "hemmed"
    if style == "puffed":
        widths = (0.092, 0.105, 0.066)
        finish = "cuffed"
    elif style == "wide":
        widths = (0.082, 0.088, 0.098)
    else:
        widths = (0.08, 0.064, 0.05) if kind == "long" else (0.082, 0.072, 0.068)
    return set_sleeves(torso, stance, SLEEVE_LENGTHS[kind], widths, finish, rng)


def _skirt_and_bodice(
    garment: Garment, torso: Torso, neckline: Points, stance: Stance, rng: np.random.Generator
) -> list[Item]:
    x, y = torso.hem
    hem_kind = garment["hem"]
    items: list[Item] = []
    if hem_kind == "flared":
        waves, phase = int(rng.integers(4, 7)), float(rng.uniform(0, 2 * np.pi))
        sag = 0.045
        hem = waved((x, y), (-x, y), sag, 0.020, waves, phase)
        inside = waved((x, y), (-x, y), sag, 0.024, waves, phase + np.pi)
        under = np.concatenate([inside * (0.985, 1.0), (hem * (0.95, 1.0))[::-1] - (0, 0.05)])
        items.append(Part(under, "lining", patterned=False, roundness=0.2))
    else:
        hem = torso.level_hem(0.012 if hem_kind == "straight" else 0.02)
    items.append(Part(torso.outline(neckline, hem), roundness=stance.roundness))
    items += body_folds(torso, rng, 0.1)
    if hem_kind == "flared":
        items += _pleats(torso, hem, waves, rng)
    elif hem_kind == "ruffled":
        items += _ruffles(torso, rng)
    else:
        items.append(Line(hem[1:-1] - (0, 0.026), "stitch", 0.006))
        hang = torso.half_width(y - 0.1)
        for side in (-1, 1):
            at = hang * float(rng.uniform(0.25, 0.6))
            fold = arc((at, y - 0.02), (at * 0.95, y - 0.14), (at * 0.8, y - 0.30), 6)
            items.append(Line(side_of(fold, side), "fold", 0.026))
    if garment["waist"] == "plain" and rng.random() < 0.6:
        items.append(Line(torso.across(_WAIST, 0.006), "seam", 0.010))
    if rng.random() < 0.5:
        items += darts(torso, _WAIST - 0.01, 0.12)
    return items


def _pleats(torso: Torso, hem: Points, waves: int, rng: np.random.Generator) -> list[Item]:
    """Return folds that spread from the waist to the waves of a flared hem."""
    items: list[Item] = []
    waist = torso.half_width(_WAIST + 0.02)
    for index in range(waves):
        at = (index + 0.5) / waves + float(rng.normal(0, 0.012))
        foot = hem[int(np.clip(at, 0.02, 0.98) * (len(hem) - 1))]
        share = foot[0] / torso.hem[0]
        top = (waist * share * 0.9, _WAIST + 0.05 + float(rng.uniform(0, 0.10)))
        middle = ((top[0] + foot[0]) / 2 - 0.015 * share, (top[1] + foot[1]) / 2)
        items.append(Line(arc(top, middle, foot - (0, 0.006), 8), "fold", 0.042))
    return items


def _ruffles(torso: Torso, rng: np.random.Generator) -> list[Item]:
    """Return one to three rows of ruffles; the lowest row is sewn to the hem and hangs below it."""
    tiers, lobes = int(rng.integers(1, 4)), int(rng.integers(6, 9))
    end = torso.hem[1]
    items: list[Item] = []
    for tier in range(tiers):
        top = end - 0.012 - 0.095 * tier
        bottom = top + _RUFFLE
        above = torso.half_width(top)
        below = above * 1.05 + 0.035
        sag = 0.014
        lower = scalloped((below, bottom - 0.03), (-below, bottom - 0.03), sag, 0.03, lobes)
        upper = arc((-above, top), (0, top + 2 * sag), (above, top), 11)
        shade = scalloped((below, bottom - 0.038), (-below, bottom - 0.038), sag, 0.03, lobes - 1)
        shade = np.concatenate([upper, shade])
        items.append(Part(shade, "lining", patterned=False, roundness=0.2))
        items.append(Part(np.concatenate([upper, lower]), roundness=0.45))
        items.append(Line(lower[2:-2], "edge", 0.012))
        for index in range(1, lobes):
            foot = lower[index * 7]
            head = (foot[0] * above / below * 0.99, top + sag + 0.004)
            items.append(Line(np.array([head, foot]), "fold", 0.022))
        items.append(Line(upper, "seam", 0.012))
    return items
