"""Jackets and coats: heavier cloth, open down the front, over something else."""

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
)
from dwc.catalogue.drawing.garments.collars import (
    NeckPiece,
    hood_down,
    hood_up,
    lapels,
    standing_collar,
    turned_collar,
)
from dwc.catalogue.drawing.garments.curves import arc
from dwc.catalogue.drawing.garments.folds import body_folds, darts, waist_gathers, yoke
from dwc.catalogue.drawing.garments.moving import Item
from dwc.catalogue.drawing.garments.necklines import cut_neckline, neck_band, neck_lining
from dwc.catalogue.drawing.garments.placing import place
from dwc.catalogue.drawing.garments.sleeves import SLEEVE_LENGTHS, Finish, set_sleeves
from dwc.catalogue.drawing.garments.stance import Stance, draw_stance
from dwc.catalogue.drawing.garments.torso import BLOCKS, Torso, sides
from dwc.catalogue.drawing.parts import Part, Points, Shape, mirror
from dwc.catalogue.schema import Garment

_JACKET_LENGTHS = {"cropped": 0.45, "medium": 0.71}
_COAT_LENGTHS = {"medium": 0.86, "long": 1.24}


def jacket(garment: Garment, rng: np.random.Generator) -> Shape:
    """A jacket: with a collar like a denim one, with lapels like a blazer, or without either."""
    stance = draw_stance(rng)
    kind, zipped = garment["neckline"], garment["fastening"] == "zip"
    block = BLOCKS[garment["fit"]].eased(0.020)
    neck, depth = 0.082, 0.06
    banded = kind != "lapel" and rng.random() < 0.55
    band = float(rng.uniform(0.045, 0.065)) if banded else 0.0
    length = _JACKET_LENGTHS[garment["length"]] + float(rng.uniform(-0.02, 0.02)) - band
    torso = block.torso(neck, length, drop=stance.shoulder_drop)
    bare = NeckPiece([], [])
    if kind == "lapel":
        break_y = min(float(rng.uniform(0.30, 0.40)), length - 0.12)
        neck_piece = lapels(
            neck, 0.105, break_y, float(rng.uniform(0.95, 1.3)), rng.random(), "main"
        )
        depth = break_y
        neckline = arc((0, break_y), (neck * 0.6, break_y * 0.5), (neck, 0), 8)
    elif kind == "collar":
        neck_piece = turned_collar(neck, depth, float(rng.uniform(1.15, 1.45)), True)
        neckline = cut_neckline("round", neck, depth)
    else:
        neck_piece, depth = bare, float(rng.uniform(0.085, 0.11))
        neckline = cut_neckline("round", neck, depth)
    width = (0.094 * block.sleeve, 0.080 * block.sleeve, 0.062 * block.sleeve)
    finish: Finish = "hemmed" if kind == "lapel" else "ribbed" if zipped and banded else "cuffed"
    under, over = set_sleeves(torso, stance, SLEEVE_LENGTHS["long"], width, finish, rng)

    items: list[Item] = [*(neck_piece.behind or neck_lining(neckline)), *under]
    sag = float(rng.uniform(0.0, 0.012))
    hem = (
        torso.level_hem(sag)
        if banded or zipped
        else _cutaway(torso, 0.03 if kind == "lapel" else 0.012)
    )
    items.append(Part(torso.outline(neckline, hem), roundness=stance.roundness))
    items += body_folds(torso, rng, 0.2)
    if kind == "collar":
        items.append(yoke(torso, 0.15, 0.01))
    elif garment["fit"] != "loose" and length > 0.5:
        items += darts(torso, 0.46, 0.2)
    if banded:
        items += hem_band(
            torso, band, sag, float(rng.uniform(0.88, 0.97)), ribs=24 if zipped else 0
        )
    bottom = length + band + 2 * sag * bool(banded or zipped)
    items += _fastening(zipped, depth, bottom, kind == "lapel", rng)
    if garment["pockets"] == "patch":
        top = length - 0.20 if garment["length"] == "medium" else 0.21
        size = 0.135 + 0.25 * (torso.armpit[0] - 0.22)
        flap, pointed = rng.random(2) < (0.5, 0.4)
        for side in (-1, 1):
            centre = 0.54 * torso.half_width(max(top, torso.armpit[1]))
            items += patch_pocket(
                side, centre + 0.012, top, size, size * 1.12, bool(pointed), bool(flap)
            )
    elif length > 0.5 and rng.random() < 0.5:
        for side in (-1, 1):
            x = torso.half_width(length - 0.2)
            items += welt_pocket(side, (x * 0.55, length - 0.12), (x * 0.72, length - 0.235))
    items += over
    items += neck_piece.on_top
    if kind == "round":
        items += neck_band(torso, "round", depth, 0.034, ribbed=finish == "ribbed")
        if zipped:
            items += zip_fastening(depth, depth + 0.04, width=0.034)[:1]
    return _placed(items, stance, torso)


def coat(garment: Garment, rng: np.random.Generator) -> Shape:
    """A coat: with lapels, a hood or a standing collar."""
    stance = draw_stance(rng)
    kind, zipped = garment["neckline"], garment["fastening"] == "zip"
    belted = garment["waist"] == "belted"
    length = _COAT_LENGTHS[garment["length"]] + float(rng.uniform(-0.025, 0.025))
    torso = _coat_torso(stance, length, belted, rng)
    neck, depth = torso.neck, 0.07
    neckline = cut_neckline("round", neck, depth)
    if kind == "lapel":
        depth = float(rng.uniform(0.28, 0.34))
        neck_piece = lapels(
            neck, 0.115, depth, float(rng.uniform(1.15, 1.55)), rng.random(), "main"
        )
        neckline = arc((0, depth), (neck * 0.6, depth * 0.5), (neck, 0), 8)
    elif kind == "hood":
        if rng.random() < 0.65:
            height, half = rng.uniform((0.30, 0.145), (0.35, 0.165))
            neck_piece = hood_up(neck, depth, float(height), float(half))
        else:
            neck_piece = hood_down(neck, depth, float(rng.uniform(1.05, 1.3)))
    else:
        gap = 0.004 if zipped else float(rng.uniform(0.004, 0.04))
        neck_piece = standing_collar(neck, float(rng.uniform(0.075, 0.10)), depth, gap)
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
    double = kind == "lapel" and not zipped and rng.random() < 0.5
    top = -0.04 if kind == "stand" else depth
    end = length + 2 * sag - 0.01
    if double:
        items.append(front_opening(depth, end, 0.075))
        last = (0.60 if garment["length"] == "medium" else 0.72) + float(rng.uniform(-0.03, 0.03))
        for x in (-0.065, 0.055):
            items += button_row(x, depth + 0.035, last, 4, 0.021)
    else:
        items += _fastening(
            zipped, max(top, 0.0) if not zipped else depth, end, False, rng, large=True
        )
    if garment["pockets"] == "patch":
        pocket_top = 0.49 if garment["length"] == "medium" else 0.53
        flap = bool(rng.random() < 0.55)
        for side in (-1, 1):
            centre = 0.57 * torso.half_width(pocket_top) + 0.012
            items += patch_pocket(side, centre, pocket_top, 0.165, 0.20, False, flap)
    elif rng.random() < 0.5:
        for side in (-1, 1):
            x = torso.half_width(0.55)
            items += welt_pocket(side, (x * 0.52, 0.62), (x * 0.66, 0.48))
    if belted:
        items += waist_gathers(torso, 0.42, 0.09, rng)
        if rng.random() < 0.65:
            items += buckled_belt(torso, 0.395, 0.066, 0.006, loops=bool(rng.random() < 0.5))
        else:
            items += tied_belt(torso, 0.395, 0.058, 0.006, float(rng.uniform(-0.05, 0.05)))
    items += over
    items += neck_piece.on_top
    if kind == "stand" and zipped:
        items += zip_fastening(-0.045, depth + 0.02, width=0.034)[:1]
    return _placed(items, stance, torso)


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
        return zip_fastening(top, bottom, slant, width=0.036)
    items: list[Item] = [front_opening(top, bottom, 0.03)]
    if tailored:
        first, last, count = top + 0.03, min(top + 0.22, bottom - 0.07), int(rng.integers(2, 4))
    else:
        first, last = top + 0.05, bottom - (0.06 if not large else 0.28 * bottom)
        count = max(
            3, round((last - first) / float(rng.uniform(0.085, 0.13 if not large else 0.17))) + 1
        )
    return items + button_row(0.0, first, last, count, 0.022 if large else 0.019)


def _cutaway(torso: Torso, rise: float) -> Points:
    """A hem from right to left whose two fronts part and round off at the centre."""
    x, y = torso.hem
    right = np.concatenate(
        [
            arc((x, y), (x * 0.6, y + 0.012), (0.1, y + 0.012), 6),
            arc((0.1, y + 0.012), (0.03, y + 0.01), (0.004, y - 2.2 * rise), 6)[1:],
        ]
    )
    return np.concatenate([right, mirror(right)])


def _split_hem(torso: Torso, sag: float) -> Points:
    """A hem from right to left with a narrow slit where the fronts meet."""
    hem = torso.level_hem(sag, 14)
    middle = np.array([[0.004, hem[6:8, 1].mean()], [0.0, torso.hem[1] - 0.05]])
    left = middle[:1] * (-1, 1)
    return np.concatenate([hem[:7], middle, left, hem[7:]])


def _placed(items: list[Item], stance: Stance, torso: Torso) -> Shape:
    held = 0.7 * torso.shoulder[0] + 0.3 * torso.neck
    return place(items, stance, held_at=(held, torso.shoulder_at(held)))
