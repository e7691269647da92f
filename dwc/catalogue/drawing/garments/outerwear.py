"""Builders of jackets and coats, in the coordinates of `torso`."""

import numpy as np

from dwc.catalogue.drawing.garments.closures import (
    buckled_belt,
    button_row,
    front_opening,
    hem_band,
    patch_pocket,
    tied_belt,
    welt_pocket,
    zip_fastening,
    zip_tape,
)
from dwc.catalogue.drawing.garments.necks import (
    NeckPiece,
    cut_neckline,
    hood_down,
    hood_up,
    lapels,
    neck_band,
    neck_lining,
    standing_collar,
    turned_collar,
)
from dwc.catalogue.drawing.garments.placing import Item, Stance, draw_stance, place
from dwc.catalogue.drawing.garments.sleeves import SLEEVE_LENGTHS, Finish, set_sleeves
from dwc.catalogue.drawing.garments.torso import (
    BLOCKS,
    Torso,
    body_folds,
    darts,
    sides,
    waist_gathers,
    yoke,
)
from dwc.catalogue.drawing.parts import Part, Points, Role, Shape, arc, mirror
from dwc.catalogue.schema import Garment

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
    """Return a jacket's neckline, and the collar or lapels sewn to it."""
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
    """Return a coat's neckline, its collar or hood, and the y at which its fastening starts."""
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
    """Return a hem from right to left for a front that is open at the bottom.

    In the middle, the two halves of the front curve away from each other. `rise` is the height of
    this curve.
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
