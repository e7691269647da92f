"""Builders of T-shirts, shirts, jumpers, hoodies, dresses, jackets and coats.

Coordinates are those of `torso`: meters from the neck, x to the right, y down.
"""

import numpy as np

from dwc.catalogue.drawing.garments.closures import (
    buckled_belt,
    button_row,
    front_opening,
    hem_band,
    patch_pocket,
    placket,
    pouch_pocket,
    tied_belt,
    welt_pocket,
    zip_fastening,
    zip_tape,
)
from dwc.catalogue.drawing.garments.placing import Item, Stance, draw_stance, place
from dwc.catalogue.drawing.garments.torso import (
    BLOCKS,
    SLEEVE_LENGTHS,
    Finish,
    NeckPiece,
    Torso,
    body_folds,
    cut_neckline,
    darts,
    drawstrings,
    hood_down,
    hood_up,
    lapels,
    neck_band,
    neck_lining,
    roll_neck,
    set_sleeves,
    sides,
    standing_collar,
    turned_collar,
    waist_gathers,
    yoke,
)
from dwc.catalogue.drawing.parts import (
    Line,
    Part,
    Points,
    Role,
    Shape,
    arc,
    mirror,
    polygon,
    scalloped,
    side_of,
    waved,
)
from dwc.catalogue.schema import Garment

_TOP_LENGTHS = {"cropped": 0.43, "medium": 0.67, "long": 0.92}


def t_shirt(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a T-shirt, or a tank top if it has no sleeves."""
    stance = draw_stance(rng)
    block = BLOCKS[garment["fit"]]
    sleeveless = garment["sleeve"] == "sleeveless"
    v_neck = garment["neckline"] == "v"
    neck = 0.088 + float(rng.uniform(-0.006, 0.012))
    depth = float(rng.uniform(0.19, 0.24) if v_neck else rng.uniform(0.075, 0.105))
    if sleeveless:
        neck, depth = neck + 0.012, depth + 0.03
    length = _TOP_LENGTHS[garment["length"]] + float(rng.uniform(-0.02, 0.02))
    torso = block.torso(neck, length, drop=stance.shoulder_drop, sleeveless=sleeveless)
    neckline = cut_neckline(garment["neckline"], neck, depth)
    sag = float(rng.uniform(0.004, 0.02))
    width = (0.088 * block.sleeve, 0.084 * block.sleeve, 0.080 * block.sleeve)
    if garment["sleeve"] == "long":
        width = (0.085 * block.sleeve, 0.068 * block.sleeve, 0.050 * block.sleeve)
    finishes: tuple[Finish, ...] = ("hemmed", "hemmed", "hemmed", "turned")
    finish = finishes[int(rng.integers(4))]
    sleeve_length = SLEEVE_LENGTHS[garment["sleeve"]]
    under, over = set_sleeves(torso, stance, sleeve_length, width, finish, rng)

    items: list[Item] = [*neck_lining(neckline), *under]
    items.append(Part(torso.outline(neckline, torso.level_hem(sag)), roundness=stance.roundness))
    items += body_folds(torso, rng, 0.5 if garment["fit"] == "loose" else 0.3)
    items.append(Line(torso.across(length - 0.026, sag), "stitch", 0.006))
    ringer = rng.random() < 0.25
    if sleeveless:
        for side in (-1, 1):
            binding = (torso.armhole - (0.012, 0)) * (side, 1)
            items.append(Line(binding, "stitch", 0.006))
    items += over
    items += neck_band(torso, garment["neckline"], depth, 0.022, "trim" if ringer else "main")
    half = 0.62 * torso.half_width(min(0.34, length - 0.1))
    top = depth + 0.055
    box = (-half, top, half, min(top + 1.7 * half, length - 0.055))
    return place(items, stance, print_box=box, held_at=_held(torso))


def jumper(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a jumper, or a cardigan if it has buttons."""
    stance = draw_stance(rng)
    block = BLOCKS[garment["fit"]].eased(0.012)
    buttoned = garment["fastening"] == "buttons"
    kind = garment["neckline"]
    neck = {"round": 0.088, "v": 0.086, "roll": 0.078}[kind] + float(rng.uniform(-0.005, 0.01))
    depth = {
        "round": float(rng.uniform(0.075, 0.10)),
        "v": float(rng.uniform(0.22, 0.28)) * (0.8 if garment["length"] == "cropped" else 1.0),
        "roll": 0.05,
    }[kind]
    rib = float(rng.uniform(0.05, 0.075))
    length = _TOP_LENGTHS[garment["length"]] + float(rng.uniform(-0.02, 0.02)) - rib
    torso = block.torso(neck, length, drop=stance.shoulder_drop)
    cut = "v" if kind == "v" else "round"
    neckline = cut_neckline(cut, neck, depth)
    balloon = float(rng.uniform(0.95, 1.2))
    width = (0.092 * block.sleeve, 0.082 * block.sleeve * balloon, 0.056 * block.sleeve * balloon)
    under, over = set_sleeves(torso, stance, SLEEVE_LENGTHS["long"], width, "ribbed", rng)

    items: list[Item] = []
    front: list[Item] = []
    if kind == "roll":
        back, front = roll_neck(neck, float(rng.uniform(0.105, 0.14)))
        items += back
    else:
        items += neck_lining(neckline)
    items += under
    sag = float(rng.uniform(0.0, 0.014))
    items.append(Part(torso.outline(neckline, torso.level_hem(sag)), roundness=stance.roundness))
    items += body_folds(torso, rng, 0.6)
    taper = float(rng.uniform(0.86, 0.97))
    items += hem_band(torso, rib, sag, taper, ribs=26)
    if buttoned:
        bottom = length + rib + sag - 0.002
        band = polygon((-0.027, depth), (0.027, depth), (0.027, bottom), (-0.027, bottom))
        items.append(Part(band, patterned=False, roundness=0.4))
        items.append(Line(arc((-0.027, depth), (-0.027, 0.3), (-0.027, bottom)), "seam", 0.008))
        items.append(Line(arc((0.027, depth), (0.027, 0.3), (0.027, bottom)), "seam", 0.008))
        count = max(3, round((bottom - depth) / float(rng.uniform(0.075, 0.11))))
        items += button_row(0.0, depth + 0.035, bottom - 0.035, count, 0.021)
    items += over
    if kind == "roll":
        items += front
    else:
        items += neck_band(torso, kind, depth, 0.032, ribbed=True)
    half = 0.6 * torso.half_width(min(0.34, length - 0.08))
    top = max(depth, 0.09) + 0.055
    box = (-half, top, half, min(top + 1.7 * half, length - 0.03))
    return place(items, stance, print_box=box, held_at=_held(torso))


def hoodie(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a hoodie, as a pullover or with a zip."""
    stance = draw_stance(rng)
    block = BLOCKS[garment["fit"]].eased(0.014)
    zipped = garment["fastening"] == "zip"
    neck, depth = 0.088, float(rng.uniform(0.07, 0.09))
    rib = float(rng.uniform(0.05, 0.07))
    length = _TOP_LENGTHS[garment["length"]] + float(rng.uniform(-0.015, 0.02)) - rib
    torso = block.torso(neck, length, drop=stance.shoulder_drop)
    neckline = cut_neckline("round", neck, depth)
    width = (0.096 * block.sleeve, 0.084 * block.sleeve, 0.060 * block.sleeve)
    under, over = set_sleeves(torso, stance, SLEEVE_LENGTHS["long"], width, "ribbed", rng)
    up = rng.random() < {"flat": 0.65, "hung": 0.35, "worn": 0.35}[stance.setting]
    if up:
        height, half = rng.uniform((0.29, 0.135), (0.35, 0.16))
        hood = hood_up(neck, depth, float(height), float(half))
        cord_y, spread, zip_top = depth + 0.01, 0.035, depth
    else:
        size = float(rng.uniform(0.85, 1.15))
        hood = hood_down(neck, depth, size)
        cord_y, spread, zip_top = depth + 0.075, 0.045, depth + 0.12 * size

    items: list[Item] = [*hood.behind, *under]
    sag = float(rng.uniform(0.0, 0.012))
    items.append(Part(torso.outline(neckline, torso.level_hem(sag)), roundness=stance.roundness))
    items += body_folds(torso, rng, 0.5)
    if garment["pockets"] == "pouch":
        height = 0.19 if length > 0.5 else 0.135
        split = zipped
        half = torso.half_width(length - 0.05) * float(rng.uniform(0.66, 0.76))
        items += pouch_pocket(length - height - 0.005, height + sag, half, split)
    items += hem_band(torso, rib, sag, float(rng.uniform(0.84, 0.93)), ribs=26)
    if zipped:
        items += zip_fastening(zip_top, length + rib + sag, width=0.05)
    items += over
    items += hood.on_top
    ends = rng.uniform(0.11, 0.17) + rng.uniform(-0.025, 0.025, 2)
    items += drawstrings(cord_y, spread, (float(ends[0]), float(ends[1])))
    half = 0.58 * torso.half_width(0.32)
    top = depth + 0.075
    floor = length - (0.21 if garment["pockets"] == "pouch" and length > 0.5 else 0.03)
    box = (-half, top, half, min(top + 1.5 * half, floor))
    return place(items, stance, print_box=box, held_at=_held(torso))


def _held(torso: Torso) -> tuple[float, float]:
    """Return the point (x, y) of the right shoulder at which a hanger holds the garment."""
    x = 0.7 * torso.shoulder[0] + 0.3 * torso.neck
    return x, torso.shoulder_at(x)


def shirt(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a shirt or blouse."""
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
    """Return a shirt's hem from right to left, higher at the sides and lower in the middle.

    `tail` is in meters. The sides are `tail` higher, and the middle is `tail` lower, than the end
    of the side seam. If `tail` is below 0.02, the hem is almost straight: only its middle is lower.
    """
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


_DRESS_LENGTHS = {"short": 0.80, "medium": 1.06, "long": 1.40}
_WAIST = 0.385
_RUFFLE = 0.11  # height of a ruffle in meters; the hem is raised by it


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
    torso = _dress_torso(garment, stance, neck, strappy, rng)
    collar = NeckPiece([], [])
    if kind == "collar":
        size, pointed = float(rng.uniform(1.05, 1.35)), bool(rng.random() < 0.5)
        collar = turned_collar(neck, depth, size, pointed, "trim")
    neckline = cut_neckline("round" if kind == "collar" else kind, neck, depth)
    under, over = _dress_sleeves(garment, torso, stance, rng)

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


def _dress_torso(
    garment: Garment, stance: Stance, neck: float, strappy: bool, rng: np.random.Generator
) -> Torso:
    length = _DRESS_LENGTHS[garment["length"]] + float(rng.uniform(-0.025, 0.025))
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


def _dress_sleeves(
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
    """Return the folds of a flared dress: one from the waist to each of the hem's `waves` waves."""
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


_JACKET_LENGTHS = {"cropped": 0.45, "medium": 0.69}
_COAT_LENGTHS = {"medium": 0.90, "long": 1.34}


def jacket(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a jacket with a shirt collar (like denim jackets), with lapels, or without a collar."""
    stance = draw_stance(rng)
    kind, zipped = garment["neckline"], garment["fastening"] == "zip"
    block = BLOCKS[garment["fit"]].eased(0.020)
    banded = kind != "lapel" and rng.random() < 0.7
    band = float(rng.uniform(0.045, 0.065)) if banded else 0.0
    length = _JACKET_LENGTHS[garment["length"]] + float(rng.uniform(-0.02, 0.02)) - band
    torso = block.torso(0.082, length, drop=stance.shoulder_drop)
    neckline, neck_piece = _jacket_neck(kind, torso.neck, length, rng)
    depth = float(neckline[0, 1])
    width = (0.094 * block.sleeve, 0.080 * block.sleeve, 0.062 * block.sleeve)
    finish: Finish = "hemmed" if kind == "lapel" else "ribbed" if zipped and banded else "cuffed"
    under, over = set_sleeves(torso, stance, SLEEVE_LENGTHS["long"], width, finish, rng)

    items: list[Item] = [*neck_piece.behind, *under]
    level = banded or zipped
    sag = float(rng.uniform(0.0, 0.012))
    hem = torso.level_hem(sag) if level else _cutaway(torso, 0.03 if kind == "lapel" else 0.012)
    items.append(Part(torso.outline(neckline, hem), roundness=stance.roundness))
    items += body_folds(torso, rng, 0.2)
    if kind == "collar":
        items.append(yoke(torso, 0.15, 0.01))
    elif garment["fit"] != "loose" and length > 0.5:
        items += darts(torso, 0.46, 0.2)
    if banded:
        taper = float(rng.uniform(0.88, 0.97))
        items += hem_band(torso, band, sag, taper, ribs=24 if zipped else 0)
    bottom = length + band + (sag if level else 0.0)
    items += _fastening(zipped, depth, bottom, kind == "lapel", rng)
    items += _jacket_pockets(garment, torso, rng)
    items += over
    items += neck_piece.on_top
    if kind == "round":
        items += neck_band(torso, "round", depth, 0.034, ribbed=finish == "ribbed")
        if zipped:
            items.append(zip_tape(depth, depth + 0.04, 0.05))
    return _placed(items, stance, torso)


def _jacket_neck(
    kind: str, neck: float, length: float, rng: np.random.Generator
) -> tuple[Points, NeckPiece]:
    """Return a jacket's neckline, and the collar or lapels sewn to it.

    `kind` is "lapel" or "collar"; with any other kind, there is neither collar nor lapel.
    """
    if kind == "lapel":
        break_y = min(float(rng.uniform(0.30, 0.40)), 0.57 * length)
        piece = lapels(neck, 0.105, break_y, float(rng.uniform(0.95, 1.3)), rng.random())
        return arc((0, break_y), (neck * 0.6, break_y * 0.5), (neck, 0), 8), piece
    if kind == "collar":
        role: Role = "trim" if rng.random() < 0.4 else "main"
        piece = turned_collar(neck, 0.06, float(rng.uniform(1.3, 1.6)), True, role)
        return cut_neckline("round", neck, 0.06), piece
    neckline = cut_neckline("round", neck, float(rng.uniform(0.085, 0.11)))
    return neckline, NeckPiece(neck_lining(neckline), [])


def _jacket_pockets(garment: Garment, torso: Torso, rng: np.random.Generator) -> list[Item]:
    items: list[Item] = []
    length = torso.hem[1]
    if garment["pockets"] == "patch":
        top = length - 0.20 if garment["length"] == "medium" else 0.21
        size = 0.152 + 0.25 * (torso.armpit[0] - 0.22)
        flap, pointed = (bool(chance) for chance in rng.random(2) < (0.5, 0.4))
        centre = 0.54 * torso.half_width(max(top, torso.armpit[1])) + 0.012
        for side in (-1, 1):
            items += patch_pocket(side, centre, top, size, size * 1.15, pointed, flap)
    elif length > 0.5 and rng.random() < 0.5:
        x = torso.half_width(length - 0.2)
        for side in (-1, 1):
            items += welt_pocket(side, (x * 0.55, length - 0.12), (x * 0.72, length - 0.235))
    return items


def coat(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a coat with lapels, a hood or a standing collar."""
    stance = draw_stance(rng)
    kind, zipped = garment["neckline"], garment["fastening"] == "zip"
    belted = garment["waist"] == "belted"
    length = _COAT_LENGTHS[garment["length"]] + float(rng.uniform(-0.025, 0.025))
    torso = _coat_torso(stance, length, belted, rng)
    neckline, neck_piece, open_from = _coat_neck(kind, zipped, torso.neck, rng)
    width = (0.104, 0.092, float(rng.uniform(0.068, 0.085)))
    finishes: tuple[Finish, ...] = ("hemmed", "hemmed", "turned", "cuffed")
    finish = finishes[int(rng.integers(4))]
    under, over = set_sleeves(torso, stance, 0.62, width, finish, rng)

    items: list[Item] = [*neck_piece.behind, *under]
    sag = float(rng.uniform(0.006, 0.02))
    items.append(Part(torso.outline(neckline, _split_hem(torso, sag)), roundness=stance.roundness))
    items += body_folds(torso, rng, 0.7)
    if rng.random() < 0.35:
        items.append(yoke(torso, 0.16, 0.02))
    end = length + sag - 0.004
    if kind == "lapel" and not zipped and rng.random() < 0.5:
        items += _double_breasted(open_from, 0.58 * end + 0.06, end)
    else:
        items += _fastening(zipped, open_from, end, False, rng, large=True)
    items += _coat_pockets(garment, torso, rng)
    if belted:
        items += waist_gathers(torso, 0.42, 0.09, rng)
        if rng.random() < 0.65:
            items += buckled_belt(torso, 0.395, 0.08, 0.006, loops=bool(rng.random() < 0.5))
        else:
            items += tied_belt(torso, 0.395, 0.07, 0.006, float(rng.uniform(-0.05, 0.05)))
    items += over
    items += neck_piece.on_top
    if kind == "stand" and zipped:
        items += zip_fastening(-0.04, open_from + 0.03, width=0.05)  # closed up to the chin
    return _placed(items, stance, torso)


def _coat_neck(
    kind: str, zipped: bool, neck: float, rng: np.random.Generator
) -> tuple[Points, NeckPiece, float]:
    """Return a coat's neckline, its collar or hood, and the y of its fastening's upper end.

    `kind` is "lapel", "stand" or "hood"; `neck` is half the neckline's width in meters.
    """
    drop = 0.07
    if kind == "lapel":
        break_y = float(rng.uniform(0.28, 0.34))
        piece = lapels(neck, 0.115, break_y, float(rng.uniform(1.15, 1.55)), rng.random())
        return arc((0, break_y), (neck * 0.6, break_y * 0.5), (neck, 0), 8), piece, break_y
    neckline = cut_neckline("round", neck, drop)
    if kind == "stand":
        gap = 0.004 if zipped else float(rng.uniform(0.004, 0.04))
        return neckline, standing_collar(neck, float(rng.uniform(0.075, 0.10)), drop, gap), drop
    if rng.random() < 0.65:
        height, half = rng.uniform((0.30, 0.145), (0.35, 0.165))
        return neckline, hood_up(neck, drop, float(height), float(half)), drop
    size = float(rng.uniform(1.05, 1.3))
    return neckline, hood_down(neck, drop, size), drop + 0.12 * size


def _double_breasted(top: float, last: float, end: float) -> list[Item]:
    items: list[Item] = [front_opening(top, end, 0.075)]
    for x in (-0.065, 0.055):
        items += button_row(x, top + 0.035, last, 4, 0.026)
    return items


def _coat_pockets(garment: Garment, torso: Torso, rng: np.random.Generator) -> list[Item]:
    items: list[Item] = []
    if garment["pockets"] == "patch":
        top = 0.49 if garment["length"] == "medium" else 0.53
        flap = bool(rng.random() < 0.55)
        centre = 0.57 * torso.half_width(top) + 0.012
        for side in (-1, 1):
            items += patch_pocket(side, centre, top, 0.185, 0.23, False, flap)
    elif rng.random() < 0.5:
        x = torso.half_width(0.55)
        for side in (-1, 1):
            items += welt_pocket(side, (x * 0.52, 0.62), (x * 0.66, 0.48))
    return items


def _coat_torso(stance: Stance, length: float, belted: bool, rng: np.random.Generator) -> Torso:
    flare = float(rng.uniform(0.0, 0.11))
    waist = 0.182 if belted else 0.244
    armpit = (0.246, 0.25 + stance.shoulder_drop)
    hem = (0.262 + flare * length, length)
    knots = sides(armpit, waist, 0.255 + 0.5 * flare, hem)
    return Torso(0.084, (0.222, 0.058 + stance.shoulder_drop), knots)


def _fastening(
    zipped: bool, top: float, bottom: float, tailored: bool, rng: np.random.Generator,
    large: bool = False,
) -> list[Item]:  # fmt: skip
    if zipped:
        slant = float(rng.uniform(0.02, 0.07)) if tailored and rng.random() < 0.5 else 0.0
        return zip_fastening(top, bottom, slant, width=0.05)
    items: list[Item] = [front_opening(top, bottom, 0.03)]
    if tailored:
        first, last, count = top + 0.03, min(top + 0.22, bottom - 0.07), int(rng.integers(2, 4))
    else:
        first, last = top + 0.05, bottom - (0.06 if not large else 0.28 * bottom)
        count = max(
            3, round((last - first) / float(rng.uniform(0.085, 0.13 if not large else 0.17))) + 1
        )
    return items + button_row(0.0, first, last, count, 0.029 if large else 0.025)


def _cutaway(torso: Torso, rise: float) -> Points:
    """Return a hem from right to left for a jacket whose front is open at the bottom.

    In the middle of the front, the hem curves upwards on both sides of the opening. The opening
    ends 2.2 * `rise` meters above the hem's outer ends at the side seams.
    """
    x, y = torso.hem
    right = np.concatenate(
        [
            arc((x, y), (x * 0.6, y + 0.012), (0.1, y + 0.012), 6),
            arc((0.1, y + 0.012), (0.03, y + 0.01), (0.004, y - 2.2 * rise), 6)[1:],
        ]
    )
    return np.concatenate([right, mirror(right)])


def _split_hem(torso: Torso, sag: float) -> Points:
    """Return a hem from right to left with a narrow slit in the middle of the front.

    `sag` is how much lower the middle is than the sides.
    """
    hem = torso.level_hem(sag, 14)
    middle = np.array([[0.004, hem[6:8, 1].mean()], [0.0, torso.hem[1] - 0.05]])
    left = middle[:1] * (-1, 1)
    return np.concatenate([hem[:7], middle, left, hem[7:]])


def _placed(items: list[Item], stance: Stance, torso: Torso) -> Shape:
    held = 0.7 * torso.shoulder[0] + 0.3 * torso.neck
    return place(items, stance, held_at=(held, torso.shoulder_at(held)))
