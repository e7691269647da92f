"""Builder of sleeves: bent tubes that start at an armhole, with cuffs or ribbing at the wrist.

Coordinates are those of `torso`: meters, x to the right, y down.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dwc.catalogue.drawing.garments.placing import Arm, Item, Stance
from dwc.catalogue.drawing.garments.torso import Torso
from dwc.catalogue.drawing.parts import (
    Disc,
    Line,
    Part,
    Points,
    Role,
    arc,
    bow,
    comb,
    side_of,
    unit_steps,
)

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
            distance: Distance beyond the end of the sleeve; negative values are before the end.
            taper: Length of the line as a fraction of the sleeve's width.
        """
        outer, inner = self.outer[-1], self.inner[-1]
        middle = (outer + inner) / 2
        outer, inner = middle + (outer - middle) * taper, middle + (inner - middle) * taper
        ahead = self.direction * distance
        bulge = self.direction * (distance + 0.18 * float(np.hypot(*(outer - middle))))
        return arc(outer + ahead, middle + bulge, inner + ahead, 7)

    def cloth(self, roundness: float = 0.8) -> Part:
        """Return the main piece of the sleeve, without cuff."""
        outline = np.concatenate([self.outer, self.wrist[1:-1], self.inner[::-1], self.closing])
        return Part(outline, grain=self.grain, roundness=roundness)

    def opening(self) -> Part:
        """Return the inner side that is visible at the end of a wide sleeve.

        The inner side has to be painted before the cloth.
        """
        lens = np.concatenate([self.edge_beyond(-0.02), self.edge_beyond(0.016, 0.94)[::-1]])
        return Part(lens, "lining", patterned=False, roundness=0.3)

    def cuff(self, depth: float, taper: float = 0.92, role: Role = "main") -> Part:
        """Return a band at the end of the sleeve, `depth` long."""
        near, far = self.edge_beyond(-0.004), self.edge_beyond(depth, taper)
        return Part(np.concatenate([near, far[::-1]]), role, self.grain, roundness=0.8)

    def turn_up(self, depth: float) -> Part:
        """Return the folded end of the sleeve, `depth` long and a little wider than the sleeve."""
        near, far = self.edge_beyond(-depth, 1.06), self.edge_beyond(0.002, 1.06)
        return Part(np.concatenate([near, far[::-1]]), "main", self.grain, 0.8, patterned=False)

    def ribbing(self, depth: float, taper: float = 0.92) -> Line:
        """Return the ribs of a knitted cuff that is `depth` long."""
        return Line(comb(self.edge_beyond(0.0), self.edge_beyond(depth, taper), 9), "seam", 0.005)

    def across(self, distance: float) -> Points:
        """Return a line (7, 2) across the sleeve at `distance` before its end."""
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
        """Return the button of a cuff that reaches `depth` along the sleeve from its end."""
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
        side: 1 for the right, -1 for the left.
        arm: Position of the sleeve. A sleeve that ends above the elbow does not bend, and a short
            sleeve is lifted more.
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
        stance: How the garment lies or hangs, which gives the positions of the sleeves.
        length: Length from the tip of the shoulder, in meters. With 0, there are no sleeves, and
            the inner side of the back is visible in the armholes.
        widths: Half the sleeve's width at its start, middle and end, in meters.
        finish: How the sleeves end.
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
