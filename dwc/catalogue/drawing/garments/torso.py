"""The body of tops, dresses, jackets and coats, and the folds and darts of its cloth.

Lengths are in meters for a garment of medium size. The origin is in the middle of the neck, at the
height where the shoulder seams meet it; x points to the right, y down. `placing.place` moves the
finished garment into the image.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dwc.catalogue.drawing.parts import Line, Part, Points, Vector, arc, mirror, side_of, smooth

WAIST = 0.40  # y of the waist in meters
HIP = 0.60  # y of the hip in meters


@dataclass(frozen=True)
class Torso:
    """The measures of a garment's body, given for the right half (x > 0).

    The left half is its mirror image.

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
        """The curve (n, 2) of the right side seam, from armpit to hem."""
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
            neckline: Right half (n, 2) of the neckline, from the center of the front up to the
                point (neck, 0).
            hem: Curve (m, 2) from the right side seam to the left side seam.
        """
        right = np.concatenate([neckline, self.armhole, self.side_seam[1:-1]])
        return np.concatenate([right, hem, mirror(right)[:-1]])

    def level_hem(self, sag: float, count: int = 13) -> Points:
        """Return a hem (count, 2) from right to left; its middle is `sag` meters lower."""
        x, y = self.hem
        return arc((x, y), (0.0, y + 2 * sag), (-x, y), count)

    def across(self, y: float, sag: float, count: int = 9) -> Points:
        """Return a line (count, 2) across the front at `y`, from left to right.

        Its middle is `sag` meters lower.
        """
        x = self.half_width(y)
        return arc((-x, y), (0.0, y + 2 * sag), (x, y), count)

    def armhole_lining(self, side: int) -> Part:
        """Return the strip of the back's inner side that is visible in an armhole without a sleeve.

        `side` is 1 for the right armhole, -1 for the left.
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
    """Return the points (x, y) of a right side seam from armpit to hem, in meters.

    Waist and hip are left out if the garment ends above them.

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
    """The measures of a garment's body for one fit ("slim", "regular" or "loose").

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
        """Return wider measures, for garments that are worn over others.

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
        """Return a garment's body with these measures.

        Args:
            neck: Half the neckline's width, in meters.
            length: Vertical position (y) of the hem, in meters.
            drop: Meters by which shoulders and armpits are lower than usual.
            sleeveless: Whether the garment has no sleeves, which makes the shoulders narrow.
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
    """Return random folds from the armpits to the chest and along the sides.

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
    """Return two darts (short seams that narrow the waist) that end at `y`."""
    x = torso.half_width(y) * 0.5
    dart = arc((x * 1.08, y - length), (x, y - length / 2), (x, y), 4)
    return [Line(side_of(dart, side), "seam", 0.008) for side in (-1, 1)]


def yoke(torso: Torso, y: float, sag: float) -> Line:
    """Return the seam across the chest at `y`; its middle is lower by half of `sag`."""
    x = float(np.interp(y, torso.armhole[:, 1], torso.armhole[:, 0])) - 0.002
    return Line(arc((-x, y), (0, y + sag), (x, y), 9), "seam", 0.010)
