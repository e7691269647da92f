"""A leg of trousers or shorts: its measures, how it lies, and places on it."""

from dataclasses import dataclass

import numpy as np

from dwc.catalogue.drawing.parts import Points, smooth


@dataclass(frozen=True)
class Cut:
    """Measures of trousers; the waist lies at y = 0 and the crotch at `rise`.

    `waist` and `hip` are half the width of the whole; `thigh`, `knee` and `hem` half the width of
    one leg; `inseam` the length from crotch to hem, with the knee at `knee_at` below the crotch.
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


@dataclass(frozen=True)
class Leg:
    """The right leg (x > 0) of a cut; `spread` turns it outwards at the hip, `bend` at the knee."""

    cut: Cut
    spread: float
    bend: float

    def at(self, down: float, across: float) -> Points:
        """The point (2,) `down` the leg (0 crotch, 1 hem), from -1 inside to 1 outside."""
        cut = self.cut
        length = down * cut.inseam
        knee = min(cut.knee_at, cut.inseam)
        upper, lower = min(length, knee), max(length - knee, 0.0)
        first, second = self.spread, self.spread + self.bend
        x = cut.hip * 0.5 + upper * np.sin(first) + lower * np.sin(second)
        y = cut.rise + upper * np.cos(first) + lower * np.cos(second)
        turn = second if lower > 0 else first
        if lower == 0 and length == knee:
            turn = (first + second) / 2
        widths = (cut.thigh, cut.knee, cut.hem)
        marks = (0.0, knee, max(cut.inseam, knee + 1e-6))
        half = (
            float(np.interp(length, marks, widths))
            if cut.inseam > knee
            else float(np.interp(length, (0.0, cut.inseam), (cut.thigh, cut.hem)))
        )
        return np.array([x + half * across * np.cos(turn), y - half * across * np.sin(turn)])

    @property
    def grain(self) -> float:
        """The direction in which the leg's pattern runs, clockwise."""
        return -self.spread - 0.35 * self.bend

    def outline(self) -> Points:
        """The right half of the garment below the waistband, with its leg."""
        cut = self.cut
        outside = [self.at(down, 1.0) for down in (0.12, 0.3, 0.5, 0.75, 1.0)]
        inside = [self.at(down, -1.0) for down in (1.0, 0.75, 0.5, 0.3, 0.12)]
        middle = self.at(1.0, 0.0)
        sag = np.array([0.012 * np.sin(-self.grain), 0.014])
        knots = [
            (-0.012, cut.dip),
            (cut.waist * 0.5, cut.dip * 0.75),
            (cut.waist, 0.0),
            (cut.waist, 0.0),
            ((cut.waist + cut.hip) / 2 + 0.02, cut.rise * 0.38),
            (cut.hip, cut.rise * 0.82),
            *outside,
            outside[-1],
            middle + sag,
            inside[0],
            *inside,
            (0.004, cut.rise + 0.03),
            (-0.012, cut.rise),
            (-0.012, cut.rise),
        ]
        curve = smooth(np.array(knots), samples=5)
        return np.asarray(curve)

    def patch(self, top: float, bottom: float, inner: float, outer: float) -> Points:
        """Four corners (4, 2) of a piece on the leg, clockwise from the inner top."""
        return np.stack(
            [
                self.at(top, inner), self.at(top, outer),
                self.at(bottom, outer), self.at(bottom, inner),
            ]
        )  # fmt: skip
