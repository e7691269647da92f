"""A leg of trousers or shorts: its measures, how it lies, and places on it."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dwc.catalogue.drawing.parts import Points, smooth

Floats = NDArray[np.float64]

DOWN = np.array([0.12, 0.3, 0.5, 0.75, 1.0])


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


def _with_slopes(
    marks: tuple[float, ...], places: tuple[tuple[float, ...], ...]
) -> tuple[Floats, Floats, Floats]:
    at, values = np.array(marks), np.array(places).T
    return at, values, np.diff(values) / np.diff(at)


@dataclass(frozen=True)
class Leg:
    """The right leg (x > 0) of a cut; `spread` turns it outwards at the hip, `bend` at the knee."""

    cut: Cut
    spread: float
    bend: float

    @cached_property
    def _frame(self) -> tuple[Floats, Floats, Floats]:
        """Marks down the leg (0 crotch, 1 hem); x, y, turn, half width there and slopes after."""
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
        """Points (n, 2) `down` the leg (0 crotch, 1 hem), from -1 inside to 1 outside."""
        marks, places, slopes = self._frame
        down = np.atleast_1d(np.asarray(down, dtype=np.float64))
        inside = np.minimum(np.maximum(down, 0.0), 1.0)
        below = (
            (inside > marks[1]).astype(np.intp) if len(marks) > 2 else 0 * inside.astype(np.intp)
        )
        x, y, turn, half = places[:, below] + slopes[:, below] * (inside - marks[below])
        sideways = half * np.asarray(across, dtype=np.float64)
        over = (down - inside) * self.cut.inseam  # beyond either end, straight on
        cosine, sine = np.cos(turn), np.sin(turn)
        points = np.empty((len(sideways), 2))
        points[:, 0] = x + sideways * cosine + over * sine
        points[:, 1] = y - sideways * sine + over * cosine
        return points

    @property
    def grain(self) -> float:
        """The direction in which the leg's pattern runs, clockwise."""
        return -self.spread - 0.35 * self.bend

    def outline(self) -> Points:
        """The right half of the garment below the waistband, with its leg."""
        cut = self.cut
        outside = self.at(DOWN, 1.0)
        inside = self.at(DOWN[::-1], -1.0)
        if self.bend > -0.05:  # legs that lie beside each other do not cross the middle
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
        """Four corners (4, 2) of a piece on the leg, clockwise from the inner top."""
        return self.at([top, top, bottom, bottom], [inner, outer, outer, inner])
