"""Builders of skirts, trousers and shorts, with waistbands, legs and hems.

The waist lies at y = 0 and the middle at x = 0; x points to the right, y down. The unit of length
is arbitrary, since `framed` scales the finished garment.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dwc.catalogue.drawing.garments.placing import Item, framed, moved
from dwc.catalogue.drawing.parts import (
    Disc,
    Line,
    Part,
    Points,
    Shape,
    arc,
    comb,
    rounded,
    shifted,
    smooth,
)
from dwc.catalogue.schema import Garment

WAIST_STEPS = np.linspace(-1, 1, 13)


def waist_line(half_width: float, y: float, dip: float) -> Points:
    """Return a curve (13, 2) across the front of the waist, from left to right.

    Its ends are at the points (-`half_width`, `y`) and (`half_width`, `y`); its middle is `dip`
    lower.
    """
    return np.stack([WAIST_STEPS * half_width, y + dip * (1 - WAIST_STEPS**2)], axis=1)


def waistband(top: float, bottom: float, depth: float, dip: float) -> list[Item]:
    """Return a waistband, and the inner side of the back that is visible above it.

    Args:
        top: Half the width of the band's upper edge.
        bottom: Half the width of the band's lower edge.
        depth: Height of the band.
        dip: How much lower the band lies in the middle than at the sides.
    """
    above, below = waist_line(top, 0.0, dip), waist_line(bottom, depth, dip)
    back = waist_line(top, 0.0, -0.35 * dip)
    return [
        Part(np.concatenate([above, back[::-1]]), "lining", 0.0, 0.2, patterned=False),
        Part(np.concatenate([above, below[::-1]]), "main", 0.0, 0.3),
        Line(below, "seam", 0.012),
    ]


def belt_loops(half_width: float, depth: float, dip: float) -> list[Item]:
    """Return four belt loops over a waistband or belt.

    Args:
        half_width: Half the width of the band.
        depth: Height of the band.
        dip: How much lower the band lies in the middle than at the sides.
    """
    items: list[Item] = []
    for share in (-0.72, -0.34, 0.34, 0.72):
        x, y = share * half_width, dip * (1 - share**2)
        outline = np.array([(-0.013, -0.012), (0.013, -0.012), (0.013, 0.012), (-0.013, 0.012)])
        outline[2:, 1] += depth
        items.append(Part(shifted(outline, x, y), "main", 0.0, 0.2, patterned=False))
    return items


def belt(half_width: float, depth: float, dip: float, rng: np.random.Generator) -> list[Item]:
    """Return a leather belt with a buckle near the middle and the holes at its end.

    Args:
        half_width: Half the width of the belt.
        depth: Height of the belt.
        dip: How much lower the belt lies in the middle than at the sides.
        rng: The random generator.
    """
    centre = float(rng.uniform(-0.05, 0.05))
    size, side = float(rng.uniform(0.07, 0.09)), 1.0 if rng.random() < 0.5 else -1.0
    above, below = waist_line(half_width, -0.004, dip), waist_line(half_width, depth, dip)
    y = dip + depth / 2
    items: list[Item] = [
        Part(np.concatenate([above, below[::-1]]), "trim", 0.0, 0.4, patterned=False),
        Line(shifted(above, 0.0, 0.012), "stitch", 0.006),
        Line(shifted(below, 0.0, -0.012), "stitch", 0.006),
    ]
    if rng.random() < 0.5:
        frame = _box(centre, y, size * 1.15, size)
        inner = _box(centre, y, size * 0.72, size * 0.58)
    else:
        angle = np.arange(20) * (2 * np.pi / 20)
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        frame, inner = ring * size * 1.15 + (centre, y), ring * size * 0.7 + (centre, y)
    items.append(Part(frame, "metal", 0.0, 0.3, patterned=False, holes=(inner,)))
    items.append(
        Line(np.array([(centre - side * size, y), (centre + side * size, y)]), "edge", 0.014)
    )
    holes = (centre + side * step * size for step in (1.9, 2.5, 3.1))
    return items + [Disc((x, y - 0.004), 0.008, "metal") for x in holes]


def drawstring(half_width: float, depth: float, dip: float, rng: np.random.Generator) -> list[Item]:
    """Return the creases of an elastic waist, and a cord with a bow and two hanging ends.

    Args:
        half_width: Half the width of the waistband.
        depth: Height of the waistband.
        dip: How much lower the waistband lies in the middle than at the sides.
        rng: The random generator.
    """
    items: list[Item] = []
    for share in np.linspace(-0.92, 0.92, 15):
        x, y = share * half_width, dip * (1 - share**2)
        items.append(Line(np.array([(x, y + 0.01), (x * 1.01, y + depth)]), "crease", 0.014))
    y = dip + depth * 0.55
    length = float(rng.uniform(0.2, 0.36))
    loop = np.array([(0, 0), (0.07, -0.055), (0.135, -0.02), (0.1, 0.045), (0, 0)])
    if rng.random() < 0.25:  # a knot without loops
        loop *= 0.3
    for side in (-1.0, 1.0):
        end = np.array(
            [(0, 0), (0.035, length * 0.45), (rng.uniform(0.02, 0.1), length)]
        )  # each end hangs differently
        items.append(
            Line(smooth(shifted(loop * (side, 1), 0, y), closed=False, samples=5), "lace", 0.03)
        )
        tail = smooth(end * (side, 1) + np.array((0, y)), closed=False, samples=5)
        items.append(Line(tail, "lace", 0.03))
        items.append(Disc((float(tail[-1, 0]), float(tail[-1, 1])), 0.018, "metal"))
    items.append(Disc((0.0, y), 0.02, "trim"))
    return items


def _box(x: float, y: float, half_width: float, half_height: float) -> Points:
    corners = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    return corners * (half_width, half_height) + np.array((x, y))


Floats = NDArray[np.float64]

DOWN = np.array([0.12, 0.3, 0.5, 0.75, 1.0])  # positions along a leg: 0 is the crotch, 1 the hem


@dataclass(frozen=True)
class Cut:
    """The measurements of trousers or shorts.

    Attributes:
        waist: Half the width of the whole garment at the waist.
        hip: Half the width of the whole garment at the hip.
        rise: Distance from the waist to the crotch.
        thigh: Half the width of one leg at the thigh.
        knee: Half the width of one leg at the knee.
        hem: Half the width of one leg at the hem.
        inseam: Length from the crotch to the hem.
        knee_at: Distance from the crotch to the knee.
        dip: How much lower the waist is in the middle than at the sides.
    """

    waist: float
    hip: float
    rise: float
    thigh: float
    knee: float
    hem: float
    inseam: float
    knee_at: float = 0.55
    dip: float = 0.03


def _with_slopes(
    marks: tuple[float, ...], places: tuple[tuple[float, ...], ...]
) -> tuple[Floats, Floats, Floats]:
    at, values = np.array(marks), np.array(places).T
    return at, values, np.diff(values) / np.diff(at)


@dataclass(frozen=True)
class Leg:
    """The right leg (x > 0) of trousers or shorts.

    Attributes:
        cut: The measurements of the garment.
        spread: Outward rotation of the leg at the hip in radians; 0 is vertical.
        bend: Outward rotation of the lower leg at the knee in radians; 0 is straight.
    """

    cut: Cut
    spread: float
    bend: float

    @cached_property
    def _frame(self) -> tuple[Floats, Floats, Floats]:
        """The center line of the leg, composed of one or two straight sections.

        Returns:
            The positions (m,) of m points along the leg (0 is the crotch, 1 the hem); x, y,
            rotation and half width of the leg at these points, (4, m); and the slopes (4, m - 1) of
            these values between neighboring points.
        """
        cut = self.cut
        first, second = self.spread, self.spread + self.bend
        start = (cut.hip * 0.5, cut.rise, first, cut.thigh)
        if cut.inseam <= cut.knee_at:
            end = (
                start[0] + cut.inseam * math.sin(first),
                start[1] + cut.inseam * math.cos(first),
                first,
                cut.hem,
            )
            return _with_slopes((0.0, 1.0), (start, end))
        upper, lower = cut.knee_at, cut.inseam - cut.knee_at
        knee = (start[0] + upper * math.sin(first), start[1] + upper * math.cos(first))
        hem = (knee[0] + lower * math.sin(second), knee[1] + lower * math.cos(second))
        share = upper / cut.inseam
        middle = (*knee, (first + second) / 2, cut.knee)
        return _with_slopes((0.0, share, 1.0), (start, middle, (*hem, second, cut.hem)))

    def at(self, down: ArrayLike, across: ArrayLike) -> Points:
        """Return points (n, 2) on the leg.

        Args:
            down: Positions along the leg, an array (n,) or one number: 0 is the crotch, 1 the hem.
            across: Positions across the leg, an array (n,) or one number: -1 is the inner edge, 1
                the outer edge.
        """
        marks, places, slopes = self._frame
        down = np.atleast_1d(np.asarray(down, dtype=np.float64))
        inside = np.minimum(np.maximum(down, 0.0), 1.0)
        below = (
            (inside > marks[1]).astype(np.intp) if len(marks) > 2 else 0 * inside.astype(np.intp)
        )
        x, y, turn, half = places[:, below] + slopes[:, below] * (inside - marks[below])
        sideways = half * np.asarray(across, dtype=np.float64)
        over = (down - inside) * self.cut.inseam  # beyond either end, continue straight
        cosine, sine = np.cos(turn), np.sin(turn)
        points = np.empty((len(sideways), 2))
        points[:, 0] = x + sideways * cosine + over * sine
        points[:, 1] = y - sideways * sine + over * cosine
        return points

    @property
    def grain(self) -> float:
        """Rotation of the pattern on the leg in radians, clockwise; 0 is upright."""
        return -self.spread - 0.35 * self.bend

    def outline(self) -> Points:
        """Return the outline of the garment's right half below the waistband."""
        cut = self.cut
        outside = self.at(DOWN, 1.0)
        inside = self.at(DOWN[::-1], -1.0)
        if self.bend > -0.05:  # legs that lie next to each other do not cross the middle
            inside[:, 0] = np.maximum(inside[:, 0], 0.012)
        side = [
            (cut.waist, 0.0),
            ((cut.waist + cut.hip) / 2 + 0.02, cut.rise * 0.38),
            (cut.hip, cut.rise * 0.82),
        ]
        hem = np.stack([outside[-1], self.at(1.0, 0.0)[0] + (0.0, 0.014), inside[0]])
        crotch = [(0.004, cut.rise + 0.025), (-0.012, cut.rise)]
        return np.concatenate(
            [
                np.array([(-0.012, cut.dip), (cut.waist * 0.5, cut.dip * 0.75)]),
                smooth(np.concatenate([side, outside]), closed=False, samples=5)[:-1],
                smooth(hem, closed=False, samples=4)[:-1],
                smooth(np.concatenate([inside, crotch]), closed=False, samples=5),
            ]
        )

    def patch(self, top: float, bottom: float, inner: float, outer: float) -> Points:
        """Return the corners (4, 2) of a piece of cloth on the leg; the upper inner one is first.

        `top` and `bottom` are positions along the leg (0 crotch, 1 hem), `inner` and `outer`
        positions across it (-1 inner edge, 1 outer edge).
        """
        return self.at([top, top, bottom, bottom], [inner, outer, outer, inner])


BAND = 0.075  # height of the waistband
BELT = 0.115
RIBS = np.linspace(-0.95, 0.95, 9)

# For each fit: half the width of the whole garment at the hip, then half the width of one leg at
# thigh, knee and hem.
TROUSER_FITS = {
    "slim": (0.325, 0.155, 0.1, 0.075),
    "regular": (0.36, 0.175, 0.14, 0.13),
    "loose": (0.42, 0.21, 0.215, 0.24),
}
SHORTS_FITS = {
    "slim": (0.33, 0.16, 0.15, 0.145),
    "regular": (0.37, 0.185, 0.19, 0.195),
    "loose": (0.43, 0.22, 0.25, 0.27),
}
TROUSER_INSEAMS = {"cropped": 0.72, "long": 1.22}
SHORTS_INSEAMS = {"short": 0.16, "medium": 0.5}
SKIRT_LENGTHS = {"short": 0.62, "medium": 1.02, "long": 1.6}


def trousers(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build jeans, chinos, joggers or wide trousers, lying or hanging."""
    hip, thigh, knee, hem = TROUSER_FITS[garment["fit"]]
    inseam = TROUSER_INSEAMS[garment["length"]] * float(rng.uniform(0.97, 1.03))
    if garment["length"] == "cropped":
        hem = hem + 0.35 * (knee - hem)
    cut = Cut(hip * 0.83, hip, 0.43, thigh, knee, hem, inseam)
    return _two_legged(garment, rng, cut)


def shorts(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build shorts that end at the thigh or at the knee."""
    hip, thigh, knee, hem = SHORTS_FITS[garment["fit"]]
    inseam = SHORTS_INSEAMS[garment["length"]] * float(rng.uniform(0.97, 1.03))
    cut = Cut(hip * 0.83, hip, 0.42, thigh, knee, hem, inseam)
    return _two_legged(garment, rng, cut)


def _two_legged(garment: Garment, rng: np.random.Generator, cut: Cut) -> Shape:
    is_shorts = garment.category == "shorts"
    hung = bool(rng.random() < 0.2)
    spread, bend_left, bend_right = rng.uniform((0.03, -0.04, -0.04), (0.1, 0.03, 0.03)).tolist()
    chance = rng.random()
    if hung:
        spread *= 0.4
    elif chance < 0.3:
        spread += float(rng.uniform(0.06, 0.16))
    elif chance < 0.42:
        bend_left -= float(rng.uniform(0.1, 0.3))
    # Keep a gap between the legs at the hem, however wide they are.
    apart = (cut.hem + (0.035 if is_shorts else 0.02) - cut.hip * 0.5) / cut.inseam
    spread = max(spread, math.asin(min(max(apart, 0.0), 0.2)))
    legs = (Leg(cut, spread, bend_left), Leg(cut, spread, bend_right))
    drawn = garment["waist"] == "drawstring"
    jeans = not drawn and bool(rng.random() < 0.55)
    turned_up = bool(rng.random() < (0.3 if is_shorts else 0.2)) and not drawn
    cuffed = drawn and garment["fit"] != "loose" and not is_shorts and bool(rng.random() < 0.5)
    items: list[Item] = []
    for number, leg in enumerate(legs):
        half: list[Item] = [Part(leg.outline(), "main", leg.grain, 0.7)]
        half += _leg_lines(leg, rng, jeans)
        if turned_up:
            half += _turn_up(leg)
        elif cuffed:
            half += _ribbed_cuff(leg)
        else:
            half.append(Line(_hem_line(leg, 0.035), "stitch", 0.008))
        half += _front_pocket(cut, jeans, rng.random() < 0.5)
        if garment["pockets"] == "cargo":
            half += _cargo_pocket(leg)
        items += moved(half, flip=number == 0)
    items += _front(cut, rng, jeans and not drawn, drawn)
    items += waistband(cut.waist, cut.waist * 1.03, BAND, cut.dip)
    if garment["waist"] == "belted":
        items += belt(cut.waist * 1.03, BELT, cut.dip, rng)
        items += belt_loops(cut.waist, BELT, cut.dip)
    elif drawn:
        items += drawstring(cut.waist * 1.01, BAND, cut.dip, rng)
    else:
        if jeans:
            items += belt_loops(cut.waist, BAND, cut.dip)
        items.append(Disc((0.0, cut.dip + BAND / 2), 0.022, "metal" if jeans else "trim"))
    hung_from = [(-cut.waist * 0.8, 0.0), (cut.waist * 0.8, 0.0)] if hung else []
    return framed(items, span=1.7 if not is_shorts else 1.45, hung_from=hung_from)


def _hem_line(leg: Leg, above: float) -> Points:
    down = 1 - above / leg.cut.inseam
    knots = leg.at(down, [-0.97, 0.0, 0.97])
    knots[1, 1] += 0.012
    return smooth(knots, closed=False, samples=5)


def _leg_lines(leg: Leg, rng: np.random.Generator, jeans: bool) -> list[Item]:
    cut = leg.cut
    items: list[Item] = []
    for reach in (0.16, 0.24):  # creases that fan out from the crotch
        up = float(rng.uniform(-0.14, 0.02))
        end = cut.rise + up
        line = arc((0.015, cut.rise - 0.01), (reach * 0.5, cut.rise + 0.7 * up), (reach, end))
        items.append(Line(line, "crease", 0.03))
    if cut.inseam > 0.6:
        downs = rng.uniform(0.36, 0.56, 3)
        ends = downs + rng.uniform(-0.04, 0.04, 3)
        starts, stops = leg.at(downs, -0.9), leg.at(ends, rng.uniform(-0.1, 0.4, 3))
        for start, stop in zip(starts, stops, strict=True):  # creases across the back of the knee
            middle = (start + stop) / 2 + (0, 0.03)
            items.append(Line(arc(start, middle, stop, 6), "crease", 0.03))
        down = float(rng.uniform(0.86, 0.93))
        items.append(Line(leg.at([down, down + 0.03], [0.9, 0.0]), "crease", 0.025))
    if jeans:
        items.append(Line(leg.at((0.05, 0.3, 0.45, 0.7, 1.0), 0.9), "stitch", 0.008))
    elif rng.random() < 0.5:  # pressed crease
        items.append(Line(leg.at((-0.1, 0.3, 0.45, 0.7, 1.0), 0.0), "fold", 0.02))
    return items


def _turn_up(leg: Leg) -> list[Item]:
    height = min(0.1 / leg.cut.inseam, 0.35)
    corners = leg.patch(1 - height, 1.01, -1.07, 1.07)
    return [
        Part(rounded(corners, 0.02), "main", leg.grain, 0.5),
        Line(corners[:2], "edge", 0.014),
    ]


def _ribbed_cuff(leg: Leg) -> list[Item]:
    height = 0.09 / leg.cut.inseam
    top, bottom = leg.at(1 - height, RIBS), leg.at(1.0, RIBS)
    return [
        Part(leg.patch(1 - height, 1.0, -1.02, 1.02), "main", leg.grain, 0.5, patterned=False),
        Line(comb(top, bottom, 7), "crease", 0.012),
        Line(_hem_line(leg, 0.09), "seam", 0.014),
    ]


def _front_pocket(cut: Cut, jeans: bool, rounded_edge: bool) -> list[Item]:
    start = np.array([cut.waist * 0.52, BAND + cut.dip * 0.7])
    end = np.array([(cut.waist + cut.hip) / 2 + 0.012, cut.rise * 0.5])
    if jeans or rounded_edge:
        bend = np.array([start[0] + 0.015, end[1] - 0.02])
        line = smooth(np.array([start, bend, end]), closed=False, samples=6)
    else:
        line = np.stack([start, (end[0], end[1])])
    items: list[Item] = [Line(line, "seam", 0.014)]
    if jeans:
        items.append(Line(shifted(line, -0.014, 0.012), "stitch", 0.008))
        items.append(Disc((float(start[0]), float(start[1] + 0.018)), 0.011, "metal"))
        items.append(Disc((float(end[0] - 0.015), float(end[1])), 0.011, "metal"))
    return items


def _front(cut: Cut, rng: np.random.Generator, jeans: bool, drawn: bool) -> list[Item]:
    bottom = cut.rise
    middle = np.array([(0.0, cut.dip + 0.02), (0.0, bottom * 0.6), (0.0, bottom)])
    items: list[Item] = [Line(middle, "seam", 0.012)]
    if drawn and rng.random() < 0.6:
        return items
    side = 1.0 if rng.random() < 0.5 else -1.0
    top = BAND + cut.dip
    knots = [(0.055, top), (0.058, bottom * 0.6), (0.045, bottom * 0.74), (0.004, bottom * 0.84)]
    fly = smooth(np.array(knots) * (side, 1), closed=False, samples=5)
    items.append(Line(fly, "stitch" if jeans else "seam", 0.009))
    return items


def _cargo_pocket(leg: Leg) -> list[Item]:
    cut = leg.cut
    height = 0.24 if cut.inseam > 0.3 else 0.17
    middle = 0.42 if cut.inseam > 0.6 else 0.45 if cut.inseam > 0.3 else 0.12
    half = height / 2 / cut.inseam
    inner, outer = -0.1, 1.22
    body = rounded(leg.patch(middle - half * 0.7, middle + half, inner, outer), 0.02)
    flap = rounded(
        leg.patch(middle - half, middle - half * 0.35, inner - 0.06, outer + 0.06), 0.025
    )
    button = leg.at(middle - half * 0.52, (inner + outer) / 2)[0]
    pleat = leg.at([middle - half * 0.3, middle + half * 0.95], 0.56)
    return [
        Part(body, "main", leg.grain, 0.35, patterned=False),
        Line(np.concatenate([body, body[:1]]), "edge", 0.022),
        Line(pleat, "seam", 0.012),
        Part(flap, "main", leg.grain, 0.35, patterned=False),
        Line(np.concatenate([flap, flap[:1]]), "edge", 0.024),
        Disc((float(button[0]), float(button[1])), 0.02, "metal"),
    ]


def skirt(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build a skirt: straight, flared with folds, or with tiers of ruffles."""
    length = SKIRT_LENGTHS[garment["length"]] * float(rng.uniform(0.97, 1.03))
    hem = garment["hem"]
    waist, dip = 0.27, 0.03
    hip = waist + 0.09
    if hem == "straight":
        bottom = float(rng.uniform(0.31, 0.36))
    elif hem == "flared":
        bottom = 0.39 + 0.38 * min(length, 1.1) + float(rng.uniform(-0.02, 0.05))
    else:
        bottom = 0.36 + 0.2 * min(length, 1.1)
    hung = bool(rng.random() < 0.35)
    lean = float(rng.uniform(-0.03, 0.03))

    def side(down: float) -> float:
        """Return half the width of the skirt at a fraction `down` (0 to 1) of its length."""
        if hem == "straight":
            return float(np.interp(down * length, (0, 0.3, length), (waist, hip, bottom)))
        bell = down**0.85 if hem == "flared" else down
        return waist + (bottom - waist) * bell

    downs = np.array([0, 0.12, 0.25, 0.4, 0.6, 0.8, 1.0])
    right = np.array([(side(d) + lean * d, d * length) for d in downs])
    left = np.array([(-side(d) + lean * d, d * length) for d in downs])
    items: list[Item] = []
    sag = {"straight": 0.03, "flared": 0.07, "ruffled": 0.05}[hem]
    waves, depth = (int(rng.integers(4, 7)), 0.024) if hem == "flared" else (1, 0.0)
    edge = _hem_edge(left[-1], right[-1], sag, depth, waves)
    top = waist_line(waist, 0.0, dip)
    body = np.concatenate([top, smooth(right, closed=False, samples=4)[1:-1], edge[::-1],
                           smooth(left, closed=False, samples=4)[::-1][1:-1]])  # fmt: skip
    items.append(Part(body, "main", 0.0, 0.5))
    if hem == "straight":
        items += _darts(waist, length, rng)
        items.append(Line(edge - (0, 0.045), "stitch", 0.008))
        if rng.random() < 0.4:
            x = side(1.0) * float(rng.choice([-0.55, 0.0, 0.55]))
            slit = np.array([(x, length + sag * 0.8), (x + 0.01, length * 0.78)])
            items.append(Line(slit, "edge", 0.016))
    elif hem == "flared":
        items += _pleats(length, side, sag, rng)
        items.append(Line(edge - (0, 0.04), "stitch", 0.008))
    else:
        items += _ruffles(length, side, lean, rng)
    if garment["fastening"] == "buttons":
        items += _button_row(length, sag, lean, rng)
    items += waistband(waist, waist * 1.03, BAND, dip)
    if garment["waist"] == "belted":
        items += belt(waist * 1.05, BELT, dip, rng)
        items += belt_loops(waist, BELT, dip)
    hung_from = [(-waist * 0.75, 0.0), (waist * 0.75, 0.0)] if hung else []
    return framed(items, span=1.62 if length > 1.3 else 1.5, hung_from=hung_from)


def _hem_edge(left: Points, right: Points, sag: float, depth: float, waves: int) -> Points:
    share = np.linspace(0, 1, 12 * waves + 1 if waves > 1 else 17)
    edge = left + (right - left) * share[:, None]
    edge[:, 1] += sag * 4 * share * (1 - share)
    edge[:, 1] += (
        depth * np.sin(2 * np.pi * waves * share - np.pi / 2) * np.sin(np.pi * share) ** 0.5
    )
    return edge


def _darts(waist: float, length: float, rng: np.random.Generator) -> list[Item]:
    items: list[Item] = [
        Line(np.array([(x, BAND), (x * 1.08, BAND + 0.16)]), "seam", 0.01)
        for x in (-0.5 * waist, 0.5 * waist)
    ]
    for _ in range(3):
        x, y = rng.uniform((-0.2, 0.35 * length), (0.2, 0.85 * length)).tolist()
        fold = np.array([(x - 0.12, y), (x, y + 0.025), (x + 0.12, y - 0.01)])
        items.append(Line(smooth(fold, closed=False, samples=4), "crease", 0.03))
    return items


def _pleats(
    length: float,
    side: Callable[[float], float],
    sag: float,
    rng: np.random.Generator,
) -> list[Item]:
    items: list[Item] = []
    count = int(rng.integers(6, 11))
    for share in np.linspace(-0.86, 0.86, count):
        share = share + float(rng.uniform(-0.04, 0.04))
        start = float(rng.uniform(0.05, 0.2)) * length
        xs = [share * side(d) for d in (start / length, 0.55, 0.97)]
        ys = [start + 0.03, 0.55 * length, 0.97 * length + sag * (1 - share**2)]
        line = smooth(np.stack([xs, ys], axis=1), closed=False, samples=5)
        items.append(Line(line, "fold", 0.03))
    return items


def _ruffles(
    length: float, side: Callable[[float], float], lean: float, rng: np.random.Generator
) -> list[Item]:
    items: list[Item] = []
    tiers = 3 if length > 0.8 else 2
    height = min(0.2, 0.22 * length) + 0.02
    for tier in range(tiers):
        up = (tiers - 1 - tier) * height * 0.85
        items += []
        top, bottom = (length - up - height) / length, (length - up) / length
        lobes = int(rng.integers(7, 10))
        share = np.linspace(-1, 1, lobes * 8 + 1)
        wave = np.abs(np.sin(np.pi * lobes * (share + 1) / 2)) ** 0.6
        low = np.stack(
            [
                share * (side(bottom) + 0.07) + lean * bottom,
                bottom * length + 0.05 * (1 - share**2) + 0.045 * wave,
            ],
            axis=1,
        )
        high = np.stack(
            [
                share[::8] * (side(top) + 0.005) + lean * top,
                top * length + 0.05 * (1 - share[::8] ** 2),
            ],
            axis=1,
        )
        pieces: list[Item] = [Part(np.concatenate([high, low[::-1]]), "main", 0.0, 0.4)]
        pieces.append(Line(high, "seam", 0.016))
        for index in range(1, lobes):
            start, end = high[index], low[index * 8]
            pieces.append(Line(np.stack([start + (end - start) * 0.1, end]), "fold", 0.022))
        pieces.append(Line(low, "edge", 0.012))
        items = pieces + items  # upper tiers are painted over the lower ones
    return items


def _button_row(length: float, sag: float, lean: float, rng: np.random.Generator) -> list[Item]:
    half = 0.055
    end = length + sag - 0.005
    strip = np.array([(-half, BAND), (half, BAND), (half + lean, end), (-half + lean, end)])
    items: list[Item] = [
        Part(strip, "main", 0.0, 0.15, patterned=False),
        Line(strip[[0, 3]], "edge", 0.02),
        Line(strip[[1, 2]], "edge", 0.02),
    ]
    count = max(4, round(length / 0.17))
    for share in np.linspace(0.08, 0.93, count):
        y = BAND + (end - BAND) * share
        items.append(
            Disc((lean * float(share), float(y)), float(rng.uniform(0.032, 0.038)), "metal")
        )
    return items
