"""Parts of upper-body garments: the body with its folds and darts, sleeves, necklines and collars.

`upper_body` builds tops, dresses, jackets and coats from these parts.

Lengths are in meters for a garment of medium size. The origin is in the middle of the neck, at the
height where the shoulder seams meet it; x points to the right, y down. The point (`neck`, 0) is
where the right shoulder seam meets the neck. `placing.place` moves the finished garment into the
image.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from dwc.catalogue.drawing.garments.placing import Arm, Item, Stance
from dwc.catalogue.drawing.parts import (
    Disc,
    Line,
    Part,
    Points,
    Role,
    Vector,
    arc,
    bow,
    comb,
    ellipse,
    mirror,
    polygon,
    shifted,
    side_of,
    smooth,
    unit_steps,
)

WAIST = 0.40  # y of the waist in meters
HIP = 0.60  # y of the hip in meters


@dataclass(frozen=True)
class Torso:
    """The measurements of a garment's body, given for the right half (x > 0).

    The left half is the mirror image of the right half.

    Attributes:
        neck: Half the neckline's width at the shoulder, in meters.
        shoulder: Tip of the shoulder (x, y), in meters.
        sides: Points (x, y) through which the side seam runs from armpit to hem, in meters.
        armhole_inset: How far the armhole curves into the chest, in meters.
    """

    neck: float
    shoulder: Vector
    sides: tuple[Vector, ...]
    armhole_inset: float = 0.02

    @property
    def armpit(self) -> Vector:
        """The point (x, y) where the armhole meets the side seam."""
        return self.sides[0]

    @property
    def hem(self) -> Vector:
        """The point (x, y) at the hem where the side seam ends."""
        return self.sides[-1]

    @cached_property
    def armhole(self) -> Points:
        """The curve (n, 2) of the right armhole, from the tip of the shoulder to the armpit."""
        (shoulder_x, shoulder_y), (armpit_x, armpit_y) = self.shoulder, self.armpit
        inset = min(shoulder_x, armpit_x) - self.armhole_inset
        return arc(self.shoulder, (inset, 0.3 * shoulder_y + 0.7 * armpit_y), self.armpit)

    @cached_property
    def side_seam(self) -> Points:
        """The curve (n, 2) of the side seam on the right of the image, from armpit to hem."""
        return smooth(self.sides, closed=False, samples=6)

    def half_width(self, y: float) -> float:
        """Return half the body's width at the vertical position `y` between armpit and hem."""
        return float(np.interp(y, self.side_seam[:, 1], self.side_seam[:, 0]))

    def shoulder_at(self, x: float) -> float:
        """Return the y of the shoulder seam at `x`, a position between neck and shoulder tip."""
        return self.shoulder[1] * (x - self.neck) / (self.shoulder[0] - self.neck)

    def outline(self, neckline: Points, hem: Points) -> Points:
        """Return the body's closed outline.

        Args:
            neckline: Right half (n, 2) of the neckline, from the middle of the front up to the
                point (`neck`, 0), where the neckline meets the shoulder seam.
            hem: Curve (m, 2) from right to left, from one side seam to the other.
        """
        right = np.concatenate([neckline, self.armhole, self.side_seam[1:-1]])
        return np.concatenate([right, hem, mirror(right)[:-1]])

    def level_hem(self, sag: float, count: int = 13) -> Points:
        """Return a hem (count, 2) from right to left; its middle is `sag` meters below its ends."""
        x, y = self.hem
        return arc((x, y), (0.0, y + 2 * sag), (-x, y), count)

    def across(self, y: float, sag: float, count: int = 9) -> Points:
        """Return a line (count, 2) across the front at `y`, from left to right.

        The middle of the line is `sag` meters lower than its ends.
        """
        x = self.half_width(y)
        return arc((-x, y), (0.0, y + 2 * sag), (x, y), count)

    def armhole_lining(self, side: int) -> Part:
        """Return the strip of the back's inner side that is visible in an armhole without a sleeve.

        `side` is 1 for the armhole on the right of the image, -1 for the one on the left.
        """
        (shoulder_x, shoulder_y), (armpit_x, armpit_y) = self.shoulder, self.armpit
        middle = 0.3 * shoulder_y + 0.7 * armpit_y
        inset = min(shoulder_x, armpit_x) - self.armhole_inset
        back = arc(self.armpit, (inset + 0.045, middle), self.shoulder)
        sliver = np.concatenate([self.armhole - (0.01, 0), back])
        return Part(side_of(sliver, side), "lining", patterned=False, roundness=0.2)


def sides(
    armpit: Vector, waist: float, hip: float, hem: Vector, waist_y: float = WAIST
) -> tuple[Vector, ...]:
    """Return the points (x, y) of a side seam from armpit to hem, in meters.

    The seam is the one on the right of the image. The point at the waist, or at the hip, is left
    out if the garment ends above it or just below it.

    Args:
        armpit: The armpit (x, y).
        waist: Half the width at the waist.
        hip: Half the width at the hip.
        hem: The end of the seam (x, y).
        waist_y: Vertical position of the waist.
    """
    knots = [armpit]
    if hem[1] > waist_y + 0.06:
        knots.append((waist, waist_y))
    if hem[1] > HIP + 0.08:
        knots.append((hip, HIP))
    return (*knots, hem)


@dataclass(frozen=True)
class Block:
    """The measurements of a garment's body for one fit ("slim", "regular" or "loose").

    Attributes:
        shoulder: Half the width at the shoulders, in meters.
        chest: Half the width at the chest, in meters.
        waist: Half the width at the waist, in meters.
        hip: Half the width at the hip, in meters.
        armhole: Vertical position (y) of the armpit, in meters.
        sleeve: Factor for the width of the sleeves.
    """

    shoulder: float
    chest: float
    waist: float
    hip: float
    armhole: float
    sleeve: float

    def eased(self, ease: float) -> "Block":
        """Return larger measurements, for garments that are worn over others.

        `ease`, in meters, is added to the half widths of chest, waist and hip. Half of `ease` is
        added to the shoulders and to the position of the armpit.
        """
        return replace(
            self,
            shoulder=self.shoulder + 0.5 * ease,
            chest=self.chest + ease,
            waist=self.waist + ease,
            hip=self.hip + ease,
            armhole=self.armhole + 0.5 * ease,
        )

    def torso(
        self, neck: float, length: float, *, drop: float = 0.0, sleeveless: bool = False
    ) -> Torso:
        """Return a garment's body with these measurements.

        Args:
            neck: Half the neckline's width, in meters.
            length: Vertical position (y) of the hem, in meters.
            drop: Meters by which shoulders and armpits are lower than in a garment that is laid
                flat.
            sleeveless: Whether the garment has no sleeves. If so, the shoulders are narrow.
        """
        shoulder = (self.shoulder, 0.052 + 0.25 * (self.shoulder - 0.2) + drop)
        armpit = (self.chest, self.armhole + drop)
        inset = 0.02
        if sleeveless:
            shoulder = (min(neck + 0.055, self.shoulder - 0.03), 0.03 + drop)
            inset = 0.012
        hem_width = float(
            np.interp(length, (WAIST, HIP, 0.95), (self.waist, self.hip, self.hip * 1.03))
        )
        return Torso(
            neck, shoulder, sides(armpit, self.waist, self.hip, (hem_width, length)), inset
        )


BLOCKS = {
    "slim": Block(0.190, 0.182, 0.150, 0.178, 0.205, 0.80),
    "regular": Block(0.210, 0.228, 0.218, 0.228, 0.235, 1.0),
    "loose": Block(0.246, 0.290, 0.298, 0.302, 0.272, 1.26),
}


def body_folds(torso: Torso, rng: np.random.Generator, softness: float) -> list[Line]:
    """Return random folds of the body: from the armpits to the chest, at the sides and at the hem.

    `softness` is from 0 (stiff cloth, few folds) to 1 (soft cloth, many folds).
    """
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
    """Return short creases below a belt at `y`; the creases are about `depth` meters long."""
    x = torso.half_width(y)
    lines = []
    for at in np.linspace(-0.78, 0.78, 6) + rng.normal(0, 0.05, 6):
        start = (x * at, y)
        end = (x * at * 1.12, y + depth * float(rng.uniform(0.6, 1.2)))
        lines.append(Line(np.array([start, end]), "crease", 0.014))
    return lines


def darts(torso: Torso, y: float, length: float) -> list[Line]:
    """Return two darts (short seams that narrow the waist), one on each side of the front.

    `y` is the vertical position of their lower ends, and `length` is their length, in meters.
    """
    x = torso.half_width(y) * 0.5
    dart = arc((x * 1.08, y - length), (x, y - length / 2), (x, y), 4)
    return [Line(side_of(dart, side), "seam", 0.008) for side in (-1, 1)]


def yoke(torso: Torso, y: float, sag: float) -> Line:
    """Return the seam across the chest, a line from armhole to armhole.

    Its ends are at the vertical position `y`; its middle is `sag` / 2 lower, both in meters.
    """
    x = float(np.interp(y, torso.armhole[:, 1], torso.armhole[:, 0])) - 0.002
    return Line(arc((-x, y), (0, y + sag), (x, y), 9), "seam", 0.010)


SLEEVE_LENGTHS = {"sleeveless": 0.0, "short": 0.17, "elbow": 0.355, "long": 0.60}
Finish = Literal["ribbed", "cuffed", "turned", "hemmed"]
_STATIONS = 15


@dataclass(frozen=True)
class Sleeve:
    """One sleeve of a garment.

    Attributes:
        outer: Outer edge (n, 2) from armhole to wrist.
        inner: Inner edge (n, 2) from armhole to wrist.
        direction: Unit vector (2,) along the sleeve at its end, away from the body.
        closing: Curve (m, 2) along the armhole that closes the sleeve's outline.
        grain: Rotation of the pattern on the sleeve in radians, clockwise.
        side: 1 for the right side of the image, -1 for the left.
        bend: Angle at the elbow in radians; 0 is straight.
    """

    outer: Points
    inner: Points
    direction: Points
    closing: Points
    grain: float
    side: int
    bend: float

    @property
    def wrist(self) -> Points:
        """The slightly curved end (7, 2) of the sleeve, from its outer to its inner edge."""
        return self.edge_beyond(0.0)

    def edge_beyond(self, distance: float, taper: float = 1.0) -> Points:
        """Return a line (7, 2) across the sleeve, from its outer to its inner edge.

        Args:
            distance: Distance of the line from the end of the sleeve, in meters; positive values
                are beyond the end, negative values are on the sleeve.
            taper: Length of the line as a fraction of the sleeve's width.
        """
        outer, inner = self.outer[-1], self.inner[-1]
        middle = (outer + inner) / 2
        outer, inner = middle + (outer - middle) * taper, middle + (inner - middle) * taper
        ahead = self.direction * distance
        bulge = self.direction * (distance + 0.18 * float(np.hypot(*(outer - middle))))
        return arc(outer + ahead, middle + bulge, inner + ahead, 7)

    def cloth(self, roundness: float = 0.8) -> Part:
        """Return the main piece of the sleeve, without cuff.

        `roundness` is the strength of its shading, from 0 (flat) to 1 (a tube).
        """
        outline = np.concatenate([self.outer, self.wrist[1:-1], self.inner[::-1], self.closing])
        return Part(outline, grain=self.grain, roundness=roundness)

    def opening(self) -> Part:
        """Return the part of the sleeve's inner side that is visible at the end of a wide sleeve.

        This part has to be painted before the outer side (`cloth`).
        """
        lens = np.concatenate([self.edge_beyond(-0.02), self.edge_beyond(0.016, 0.94)[::-1]])
        return Part(lens, "lining", patterned=False, roundness=0.3)

    def cuff(self, depth: float, taper: float = 0.92, role: Role = "main") -> Part:
        """Return a cuff: a band at the end of the sleeve.

        Args:
            depth: Length of the cuff along the sleeve.
            taper: Width of the cuff's far end as a fraction of the sleeve's width.
            role: Role of the cuff, which determines the cuff's color; see `parts.Role`.
        """
        near, far = self.edge_beyond(-0.004), self.edge_beyond(depth, taper)
        return Part(np.concatenate([near, far[::-1]]), role, self.grain, roundness=0.8)

    def turn_up(self, depth: float) -> Part:
        """Return the turned-up end of the sleeve: `depth` meters long, wider than the sleeve."""
        near, far = self.edge_beyond(-depth, 1.06), self.edge_beyond(0.002, 1.06)
        return Part(np.concatenate([near, far[::-1]]), "main", self.grain, 0.8, patterned=False)

    def ribbing(self, depth: float, taper: float = 0.92) -> Line:
        """Return the ribs of a knitted cuff that is `depth` meters long, as one zigzag line.

        `taper` is the width of the cuff's far end as a fraction of the sleeve's width.
        """
        return Line(comb(self.edge_beyond(0.0), self.edge_beyond(depth, taper), 9), "seam", 0.005)

    def across(self, distance: float) -> Points:
        """Return a line (7, 2) across the sleeve, `distance` meters before the sleeve's end."""
        return self.edge_beyond(-distance)

    def creases(self, rng: np.random.Generator) -> list[Line]:
        """Return random folds at the armpit and, for a long sleeve, at the elbow."""
        lines = []
        at = int(rng.integers(3, 6))
        start, end = self.inner[1], self.inner[at] * 0.35 + self.outer[at] * 0.65
        lines.append(Line(arc(start, (start + end) / 2 + (0, 0.012), end, 6), "crease", 0.016))
        long = float(np.hypot(*(self.outer[-1] - self.outer[0]))) > 0.32
        if long:
            elbow = 7 + int(rng.integers(-1, 2))
            for reach, shift in ((0.62, 0), (0.5, 2))[: 1 + (self.bend > 0.25)]:
                start = self.inner[elbow]
                end = self.inner[elbow + shift] * (1 - reach) + self.outer[elbow + shift] * reach
                bow = (start + end) / 2 + self.direction * 0.02
                lines.append(Line(arc(start, bow, end, 6), "fold", 0.022))
            start = self.inner[11] * 0.8 + self.outer[11] * 0.2
            end = self.inner[12] * 0.35 + self.outer[12] * 0.65
            lines.append(Line(arc(start, (start + end) / 2, end, 4), "crease", 0.014))
        return lines

    def cuff_button(self, depth: float) -> Disc:
        """Return the button of a cuff; `depth` is the length of the cuff in meters."""
        edge = self.edge_beyond(depth * 0.5, 0.6)
        return Disc((float(edge[1, 0]), float(edge[1, 1])), 0.009)


def cut_sleeve(
    torso: Torso,
    side: int,
    arm: Arm,
    length: float,
    widths: tuple[float, float, float],
) -> Sleeve:
    """Return a sleeve set into the torso's armhole.

    Args:
        torso: The garment's body.
        side: 1 for the right side of the image, -1 for the left.
        arm: Position of the sleeve. The bend at the elbow is reduced for sleeves shorter than 0.55
            m, and is 0 for sleeves up to 0.2 m. The sleeve is lifted by 0.55 - 0.75 * `length`
            radians if `arm.lift` is less than that, because short sleeves stick out.
        length: Length from the tip of the shoulder, in meters.
        widths: Half the sleeve's width at its start, middle and end, in meters.
    """
    t = unit_steps(_STATIONS)
    bend = arm.bend * min(1.0, max(0.0, (length - 0.2) / 0.35)) ** 1.5
    # The shorter a sleeve is, the more it sticks out, because less weight pulls it down.
    lift = max(arm.lift, 0.55 - 0.75 * length)
    fore = lift - bend
    upper = np.array([np.sin(lift), np.cos(lift)])
    lower = np.array([np.sin(fore), np.cos(fore)])

    shoulder, armpit = np.array(torso.shoulder), np.array(torso.armpit)
    start = 0.5 * (shoulder + armpit) + (0.024, -0.01)
    reach = max(length - 0.04, 0.08)  # the center line starts below the tip of the shoulder
    middle = start + upper * reach / 2
    above, below = middle - upper * reach * 0.10, middle + lower * reach * 0.10
    centre = bow(start, above, below, middle + lower * reach / 2, _STATIONS)  # (n, 2)
    along = np.gradient(centre, axis=0)
    along /= np.hypot(along[:, 0], along[:, 1])[:, None]
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)  # outwards and up
    half = np.interp(t, (0.0, 0.5, 1.0), widths)[:, None]

    distance = t * reach
    settled = np.minimum(distance / min(0.15, 0.8 * reach), 1)[:, None]
    fade = (1 - settled) ** 2 * (1 + 2 * settled)  # 1 at the armhole's curve, 0 at the tube
    outer, inner = centre + normal * half, centre - normal * half
    outer += (shoulder - outer[0]) * fade
    inner += (armpit - inner[0]) * fade
    closing = torso.armhole[-2:0:-1]
    if not arm.in_front:
        closing = closing - (0.025, 0.0)  # overlap with the body, so that no gap shows
    return Sleeve(
        side_of(outer, side),
        side_of(inner, side),
        lower * (side, 1.0),
        side_of(closing, side),
        grain=-side * float(lift + fore) / 2,
        side=side,
        bend=bend,
    )


def set_sleeves(
    torso: Torso,
    stance: Stance,
    length: float,
    widths: tuple[float, float, float],
    finish: Finish,
    rng: np.random.Generator,
    roundness: float = 0.8,
) -> tuple[list[Item], list[Item]]:
    """Return the drawing elements of both sleeves.

    Args:
        torso: The garment's body.
        stance: How the garment lies or hangs, with the positions of the sleeves.
        length: Length from the tip of the shoulder, in meters. With 0, there are no sleeves, and
            the inner side of the back is visible in the armholes.
        widths: Half the sleeve's width at its start, middle and end, in meters.
        finish: End of the sleeves: a ribbed or a buttoned cuff, turned up, or a plain hem.
        rng: The random generator for the folds.
        roundness: Strength of the shading, 0 (flat) to 1 (a tube).

    Returns:
        The elements to paint before the body, and the elements to paint after it.
    """
    under: list[Item] = []
    over: list[Item] = []
    if length == 0:
        return [torso.armhole_lining(side) for side in (-1, 1)], []
    banded = finish in ("ribbed", "cuffed")
    depth = (0.055 if finish == "ribbed" else 0.062) if banded else 0.0
    for side, arm in zip((-1, 1), stance.arms, strict=True):
        sleeve = cut_sleeve(torso, side, arm, length - depth, widths)
        items: list[Item] = []
        if not banded and length < 0.5:
            items.append(sleeve.opening())
        items.append(sleeve.cloth(roundness))
        items += sleeve.creases(rng)
        if finish == "ribbed":
            items += [sleeve.cuff(depth, 0.86), sleeve.ribbing(depth, 0.86)]
        elif finish == "cuffed":
            items += [sleeve.cuff(depth, 0.97), sleeve.cuff_button(depth)]
        elif finish == "turned":
            items += [sleeve.turn_up(0.05), Line(sleeve.across(-0.002), "edge", 0.008)]
        else:
            items.append(Line(sleeve.across(0.024), "stitch", 0.006))
        if arm.in_front:
            over += [*items, Line(side_of(torso.armhole, side), "seam", 0.009)]
        else:
            under += items
    return under, over


def cut_neckline(kind: str, half_width: float, depth: float) -> Points:
    """Return the right half (n, 2) of a neckline, from its lowest point to its upper end.

    Args:
        kind: "round", "v" or "square".
        half_width: Half the width; the upper end is (half_width, 0).
        depth: Depth; the lowest point is (0, depth).

    Raises:
        ValueError: The kind is unknown.
    """
    if kind == "round":
        angle = unit_steps(9) * (np.pi / 2)
        return np.stack([half_width * np.sin(angle), depth * np.cos(angle)], axis=1)
    if kind == "v":
        return arc((0, depth), (half_width * 0.62, depth * 0.42), (half_width, 0), 7)
    if kind == "square":
        return polygon((0, depth), (half_width * 0.94, depth), (half_width, 0))
    raise ValueError(f"a neckline is cut round, v or square; got {kind!r}")


def neck_lining(neckline: Points, rise: float = 0.012) -> list[Item]:
    """Return what is visible inside the neckline: the inner side of the back, and the brand label.

    These elements have to be painted before the body. A shallow neckline shows no label.

    Args:
        neckline: Right half (n, 2) of the neckline at the front.
        rise: Meters by which the neckline is higher in the middle of the back than at the
            shoulders.
    """
    half_width = float(neckline[-1, 0])
    back = arc((half_width, 0), (0, -2 * rise), (-half_width, 0), 9)
    front = mirror(neckline)  # from the left shoulder down to the center
    outline = np.concatenate([neckline, back, front]) * (1.02, 1.0)
    items: list[Item] = [Part(outline, "lining", patterned=False, roundness=0.25)]
    depth = float(neckline[0, 1])
    if depth > 0.06:
        inner = back * (0.96, 1.0) + (0, 0.022)
        items.append(Line(inner, "seam", 0.006))
        half = 0.026
        top = 0.022 - rise
        label = polygon((-half, top), (half, top), (half, top + 0.026), (-half, top + 0.026))
        items.append(Part(label, "trim", patterned=False, roundness=0.0))
    return items


def neck_band(
    torso: Torso, kind: str, depth: float, width: float, role: Role = "main", ribbed: bool = False
) -> list[Item]:
    """Return a band that is sewn around a neckline.

    Args:
        torso: The body of the garment.
        kind: "round" or "v".
        depth: Depth of the neckline.
        width: Width of the band.
        role: Role of the band, which determines the band's color; see `parts.Role`.
        ribbed: Whether the band is knitted with ribs.
    """
    inner = cut_neckline(kind, torso.neck, depth)
    deeper = depth + width * (1.0 if kind == "round" else 1.7)
    rise = torso.shoulder_at(torso.neck + width)
    outer = shifted(cut_neckline(kind, torso.neck + width, deeper - rise), 0, rise)
    inside = np.concatenate([mirror(inner), inner[1:]])  # left shoulder, center, right shoulder
    outside = np.concatenate([mirror(outer), outer[1:]])
    band = np.concatenate([inside, outside[::-1]])
    items: list[Item] = [Part(band, role, patterned=False, roundness=0.5)]
    if ribbed:
        items.append(Line(comb(inside, outside, 22), "seam", 0.005))
    else:
        items.append(Line(outside, "stitch", 0.006))
    return items


def roll_neck(half_width: float, height: float) -> tuple[list[Item], list[Item]]:
    """Build a roll neck, a folded knitted tube around the neck.

    Args:
        half_width: Half the width of the neckline, in meters.
        height: Height of the roll neck above the shoulder seams, in meters.

    Returns:
        The drawing elements of the back of the roll neck, to paint before the body, and those of
        the front, to paint after the body.
    """
    top = half_width * 0.94
    back: list[Item] = [
        Part(ellipse((0, -height), top, 0.026), "lining", patterned=False, roundness=0.2)
    ]
    rim = arc((-top, -height), (0, -height + 0.05), (top, -height), 9)
    foot_width = half_width * 1.12
    foot = arc((-foot_width, 0.018), (0, 0.095), (foot_width, 0.018), 9)
    right = arc((top, -height), (foot_width * 1.02, -height * 0.4), (foot_width, 0.018), 5)
    tube = np.concatenate([rim, right[1:-1], foot[::-1], mirror(right)[1:-1]])
    front: list[Item] = [
        Part(tube, roundness=0.8),
        Line(comb(rim, foot, 15), "seam", 0.006),
        Line(rim, "edge", 0.014),
        Line(foot, "edge", 0.016),
    ]
    return back, front


@dataclass(frozen=True)
class NeckPiece:
    """A collar or a hood.

    Attributes:
        behind: Pieces and lines to paint before the body.
        on_top: Pieces and lines to paint after the body.
    """

    behind: list[Item]
    on_top: list[Item]


def _inside(points: Points) -> Part:
    return Part(points, "lining", patterned=False, roundness=0.25)


def turned_collar(
    neck: float,
    drop: float,
    size: float,
    pointed: bool,
    role: Role = "main",
    stand: float = 0.035,
) -> NeckPiece:
    """Return the collar of a shirt, two halves that meet in the middle of the front.

    Lengths are in meters; y = 0 is where the shoulder seams meet the neck, and y points down.

    Args:
        neck: Half the neck's width at the shoulder.
        drop: Vertical position (y) at which the two halves meet.
        size: Factor for the size of the halves.
        pointed: Whether the halves have sharp tips; otherwise they are round.
        role: Role of the collar, which determines the collar's color; see `parts.Role`.
        stand: Determines the height of the collar at the back of the neck, which is 1.35 * `stand`
            above y = 0.
    """
    top = arc((neck * 0.95, -stand * 0.6), (0, -stand * 2.1), (-neck * 0.95, -stand * 0.6), 9)
    well = np.concatenate([top, arc((-neck, 0), (0, 2.0 * drop), (neck, 0), 9)])
    behind: list[Item] = [
        _inside(well),
        Line(shifted(top * (0.97, 1.0), 0, 0.026), "seam", 0.006),
    ]
    fall = drop + 0.115 * size
    tip = (min(0.3 * neck + 0.065 * size, neck * 1.5), fall - 0.023 * size)
    rolled = arc((neck * 0.93, -stand * 0.75), (neck * 0.86, drop * 0.45), (0.004, drop), 8)
    shoulder = (neck * 1.22, 0.0)
    if pointed:
        front = polygon((0.25 * tip[0], drop + 0.048 * size), tip)
        outer = arc((tip[0] + 0.02, drop + 0.05 * size), (neck * 1.55, drop * 0.3), shoulder, 6)
    else:
        cheek = (tip[0] + 0.035, drop + 0.05 * size)
        front = arc((0.008, drop + 0.02), (tip[0] * 0.35, drop + 0.172 * size), cheek, 8)
        outer = arc(cheek, (neck * 1.6, drop * 0.3), shoulder, 6)[1:]
    free = np.concatenate([front, outer])
    leaf = np.concatenate([rolled, free])
    middle = leaf.mean(axis=0)
    on_top: list[Item] = []
    for side in (-1, 1):
        on_top.append(Part(side_of(leaf, side), role, grain=-0.5 * side, roundness=0.35))
        on_top.append(Line(side_of(free, side), "seam", 0.009))
        on_top.append(Line(side_of((free - middle) * 0.84 + middle, side), "stitch", 0.005))
    return NeckPiece(behind, on_top)


def lapels(neck: float, gorge: float, break_y: float, size: float, notch: float) -> NeckPiece:
    """Return a collar with lapels, as on a blazer.

    Lengths are in meters; y = 0 is where the shoulder seams meet the neck, and y points down.

    Args:
        neck: Half the neck's width at the shoulder.
        gorge: Vertical position (y) at which collar and lapel meet.
        break_y: Vertical position (y) at which the lapels end in the middle of the front.
        size: Factor for the breadth of the lapels.
        notch: Depth of the notch between collar and lapel, 0 to 1.
    """
    back = arc((neck, -0.02), (0, -0.085), (-neck, -0.02), 9)
    edge = arc((0.0, break_y), (neck * 0.62, break_y * 0.5), (neck, 0), 7)
    fall = arc((neck * 0.86, 0.012), (0, -0.03), (-neck * 0.86, 0.012), 9)
    behind: list[Item] = [
        _inside(np.concatenate([back, mirror(edge), edge])),
        Part(np.concatenate([back, fall[::-1]]), roundness=0.4),
    ]
    breadth = neck + 0.085 * size
    point = (breadth + 0.01, gorge - 0.004)
    bite = (breadth - 0.058 * size, gorge + 0.024)
    fold = arc((0.006, break_y), (neck * 0.66, break_y * 0.45), (neck * 0.80, gorge * 0.7), 8)
    belly = arc(point, (breadth * 0.90, break_y * 0.72), (0.006, break_y), 9)
    lapel = np.concatenate([fold, polygon(bite), belly[:-1]])
    collar_tip = (breadth * 0.95, gorge - 0.03 - 0.025 * notch)
    rolled = arc((neck * 0.80, gorge * 0.7), (neck * 0.95, gorge * 0.1), (neck * 0.86, -0.03), 5)
    outer = arc((neck * 1.1, -0.008), (breadth * 0.98, gorge * 0.35), collar_tip, 6)
    collar = np.concatenate([rolled, outer, polygon(bite)])
    on_top: list[Item] = []
    for side in (-1, 1):
        on_top.append(Part(side_of(lapel, side), grain=-0.25 * side, roundness=0.35))
        on_top.append(Line(side_of(belly, side), "seam", 0.014))
        on_top.append(Part(side_of(collar, side), grain=-0.6 * side, roundness=0.35))
        rim = np.concatenate([outer, polygon(bite)])
        on_top.append(Line(side_of(rim, side), "seam", 0.012))
        on_top.append(Line(side_of(polygon(bite, point), side), "seam", 0.012))
        on_top.append(Line(side_of(polygon(bite, fold[-1]), side), "seam", 0.009))
        on_top.append(Line(side_of(fold, side), "edge", 0.010))
    return NeckPiece(behind, on_top)


def hood_up(neck: float, drop: float, height: float, width: float) -> NeckPiece:
    """Return a hood that stands above the neck, with its opening to the front.

    Lengths are in meters; y = 0 is where the shoulder seams meet the neck, and y points down.

    Args:
        neck: Half the neck's width at the shoulder.
        drop: Vertical position (y) of the hood's lower end in the middle of the front.
        height: Height of the hood above y = 0.
        width: About half the width of the hood.
    """
    outer = np.concatenate(
        [
            arc(
                (neck * 1.25, 0.03),
                (width * 1.25, -height * 0.35),
                (width * 0.86, -height * 0.72),
                8,
            ),
            arc((width * 0.86, -height * 0.72), (width * 0.5, -height * 1.06), (0, -height), 7)[1:],
        ]
    )
    shell = np.concatenate([outer, mirror(outer)[1:], polygon((0, drop))])
    rim = np.concatenate(
        [
            arc((0.0, drop * 1.15), (neck * 1.3, drop * 0.2), (width * 0.66, -height * 0.38), 8),
            arc(
                (width * 0.66, -height * 0.38),
                (width * 0.55, -height * 0.84),
                (0, -height * 0.82),
                7,
            )[1:],
        ]
    )
    opening = np.concatenate([rim, mirror(rim)[1:-1]])
    behind: list[Item] = [
        Part(shell, roundness=0.6),
        _inside(opening),
        Line(opening, "edge", 0.016),
        Line(
            arc((0, -height * 0.98), (0.004, -height * 0.9), (0, -height * 0.83), 4), "seam", 0.008
        ),
    ]
    front = arc((-neck * 1.28, 0.022), (0, 2 * drop + 0.01), (neck * 1.28, 0.022), 11)
    return NeckPiece(behind, [Line(front, "edge", 0.014)])


def hood_down(neck: float, drop: float, size: float) -> NeckPiece:
    """Return a hood that lies on the shoulders as a broad soft roll around the neck.

    Lengths are in meters; y = 0 is where the shoulder seams meet the neck, and y points down.

    Args:
        neck: Half the neck's width at the shoulder.
        drop: Vertical position (y) of the neckline in the middle of the front.
        size: Factor for the size of the hood.
    """
    wide, high = neck + 0.085 * size, 0.10 * size
    behind: list[Item] = [
        Part(ellipse((0, -0.012), wide * 0.98, high, 24), roundness=0.7),
        _inside(ellipse((0, 0.0), neck * 0.98, 0.062, 18)),
        Line(arc((0, -high), (0.005, -high * 0.8), (0, -0.06), 4), "seam", 0.008),
    ]
    roll = np.concatenate(
        [
            arc((0.002, drop + 0.055), (neck * 0.95, drop * 0.9), (neck * 0.97, -0.02), 8),
            arc((wide * 0.96, -0.035), (wide * 1.12, 0.07), (0.002, drop + 0.15 * size), 10),
        ]
    )
    on_top: list[Item] = []
    for side in (-1, 1):
        on_top.append(Part(side_of(roll, side), grain=-0.6 * side, roundness=0.7))
        crease = arc((neck * 1.15, 0.0), (neck * 1.2, drop * 0.9), (neck * 0.5, drop + 0.085), 6)
        on_top.append(Line(side_of(crease, side), "fold", 0.022))
    return NeckPiece(behind, on_top)


def drawstrings(start_y: float, spread: float, lengths: tuple[float, float]) -> list[Item]:
    """Return two cords that hang from a hood.

    Lengths are in meters; y = 0 is where the shoulder seams meet the neck, and y points down.

    Args:
        start_y: Vertical position (y) of the upper ends of the cords.
        spread: Distance of each cord from the middle of the front.
        lengths: Lengths of the left and the right cord.
    """
    items: list[Item] = []
    for side, length in zip((-1, 1), lengths, strict=True):
        x = side * spread
        end = (x + side * 0.012, start_y + length)
        items.append(
            Line(arc((x, start_y), (x - side * 0.014, start_y + length / 2), end, 7), "lace", 0.015)
        )
        items.append(Disc((x, start_y), 0.010, "metal"))
        tip = polygon((-0.008, 0), (0.008, 0), (0.008, 0.028), (-0.008, 0.028)) + end
        items.append(Part(tip, "metal", patterned=False, roundness=0.6))
    return items


def standing_collar(neck: float, height: float, drop: float, gap: float) -> NeckPiece:
    """Return a collar that stands up around the neck.

    Lengths are in meters; y = 0 is where the shoulder seams meet the neck, and y points down.

    Args:
        neck: Half the neck's width at the shoulder.
        height: Height of the collar above y = 0.
        drop: Vertical position (y) of the collar's lower end in the middle of the front.
        gap: Half the distance between the collar's two halves at the top of the front.
    """
    top = neck * 1.02
    back = arc((top, -height), (0, -height - 0.045), (-top, -height), 9)
    behind: list[Item] = [
        _inside(np.concatenate([back, arc((-neck, 0.01), (0, 2 * drop), (neck, 0.01), 9)])),
        Line(shifted(back, 0, 0.022), "seam", 0.007),
    ]
    front = np.concatenate(
        [
            arc((top, -height), (top * 0.6, -height + 0.055), (gap, -height + 0.05), 6),
            polygon((0.003, drop * 0.9 if gap > 0.01 else drop)),
            arc((0.003, drop + 0.012), (neck * 0.8, drop * 0.95), (neck * 1.16, 0.014), 7),
        ]
    )
    on_top: list[Item] = [Part(side_of(front, side), roundness=0.6) for side in (-1, 1)]
    foot = arc((-neck * 1.16, 0.014), (0, 2 * drop), (neck * 1.16, 0.014), 11)
    on_top.append(Line(foot, "edge", 0.012))
    return NeckPiece(behind, on_top)
