"""Builders of T-shirts, shirts, jumpers and hoodies, in the coordinates of `torso`."""

import numpy as np

from dwc.catalogue.drawing.garments.closures import (
    button_row,
    hem_band,
    patch_pocket,
    placket,
    pouch_pocket,
    zip_fastening,
)
from dwc.catalogue.drawing.garments.necks import (
    cut_neckline,
    drawstrings,
    hood_down,
    hood_up,
    neck_band,
    neck_lining,
    roll_neck,
    turned_collar,
)
from dwc.catalogue.drawing.garments.placing import Item, draw_stance, place
from dwc.catalogue.drawing.garments.sleeves import SLEEVE_LENGTHS, Finish, set_sleeves
from dwc.catalogue.drawing.garments.torso import BLOCKS, Torso, body_folds, darts, yoke
from dwc.catalogue.drawing.parts import Line, Part, Points, Shape, arc, mirror, polygon
from dwc.catalogue.schema import Garment

_LENGTHS = {"cropped": 0.43, "medium": 0.67, "long": 0.92}


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
    length = _LENGTHS[garment["length"]] + float(rng.uniform(-0.02, 0.02))
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
    length = _LENGTHS[garment["length"]] + float(rng.uniform(-0.02, 0.02)) - rib
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
    length = _LENGTHS[garment["length"]] + float(rng.uniform(-0.015, 0.02)) - rib
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

    `tail` is the difference from a straight hem in meters, at the sides and in the middle.
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
