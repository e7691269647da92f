"""What a shoe stands on: its plan, the slope of the bed from heel to ball, sole and heel block."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.drawing.garments.camera import Camera
from dwc.catalogue.drawing.parts import Line, Part, Points, smooth

Floats = NDArray[np.float64]
Toe = Literal["round", "pointed"]

# Half the width at stations from the toe's tip to the heel's back, in lengths of the shoe.
PLANS: dict[Toe, tuple[tuple[float, float], ...]] = {
    "round": ((1.0, 0.0), (0.988, 0.073), (0.956, 0.12), (0.88, 0.158), (0.74, 0.174)),
    "pointed": ((1.20, 0.0), (1.165, 0.02), (1.07, 0.058), (0.94, 0.11), (0.76, 0.159)),
}
BACK_OF_PLAN = ((0.55, 0.152), (0.36, 0.126), (0.18, 0.122), (0.06, 0.1), (0.012, 0.055))

# Height of the upper over the bed at the same stations of the toe.
TOE_HEIGHTS: dict[Toe, tuple[float, ...]] = {
    "round": (0.035, 0.1, 0.125, 0.142, 0.16),
    "pointed": (0.008, 0.034, 0.064, 0.1, 0.145),
}


@dataclass(frozen=True)
class Base:
    """Measures of a sole, all in lengths of the shoe.

    `rise` lifts the heel above the ball, `platform` is the ball's height above the ground, `sheet`
    the thickness of the sole itself, `margin` how far it stands out around the upper. A `wedge`
    fills the arch down to the ground; otherwise a heel block carries the heel, `slender` from 0 (a
    block) to 1 (a stiletto).
    """

    toe: Toe = "round"
    rise: float = 0.0
    platform: float = 0.03
    sheet: float = 0.03
    margin: float = 0.012
    wedge: bool = False
    slender: float = 0.0
    width: float = 1.0
    swing: float = 0.02

    def bed(self, x: NDArray[np.float64] | float) -> Floats:
        """Height of the bed that the foot stands on."""
        x = np.asarray(x, dtype=np.float64)
        slope = np.clip((0.7 - x) / 0.52, 0, 1)
        spring = np.clip(x - 0.75, 0, None) ** 2 * 0.35
        return np.asarray(self.platform + self.rise * slope**2 * (3 - 2 * slope) + spring)

    def centre(self, x: NDArray[np.float64] | float) -> Floats:
        """The middle line's shift across: shoes bend inwards towards the toe."""
        x = np.asarray(x, dtype=np.float64)
        return np.asarray(self.swing * np.sin((x - 0.15) * 3.4) * np.clip(x, 0, 1))

    def rows(
        self, back: tuple[tuple[float, ...], ...], toe_height: float = 1.0, lifted: float = 0.5
    ) -> Floats:
        """Cross-sections (n, 8) of an upper for `last.Upper`: those of the toe, then `back`.

        Each of `back` is (back x, back z, front x, front z, half width, angle, sag), the heights
        counted from the bed: the bed below the point itself, but for the front points by the share
        `lifted` from there to below the section's back (an instep rises with the heel).
        """
        out: list[tuple[float, ...]] = [
            (x, 0.0, x, height * toe_height, width, 0.5, 0.0)
            for (x, width), height in zip(PLANS[self.toe], TOE_HEIGHTS[self.toe], strict=True)
        ]
        table = np.array([*out, *back])
        back_x, front_x = table[:, 0], table[:, 2]
        heights = self.bed(np.stack([back_x, front_x + (back_x - front_x) * lifted]))
        full = np.empty((len(table), 8))
        full[:, 0], full[:, 1] = back_x, table[:, 1] + heights[0]
        full[:, 2], full[:, 3] = front_x, table[:, 3] + heights[1]
        full[:, 4], full[:, 5] = self.centre(back_x), table[:, 4] * self.width
        full[:, 6:] = table[:, 5:]
        return full

    @cached_property
    def _plan(self) -> Points:
        half = np.array([*PLANS[self.toe], *BACK_OF_PLAN])
        side = half * (1, self.width)
        both = np.concatenate([side, [[-0.002, 0.0]], side[:0:-1] * (1, -1)])
        return smooth(both, samples=4)

    def plan(self, margin: float | None = None) -> Points:
        """The sole's outline from above, (n, 2): x along the shoe, y across."""
        margin = self.margin if margin is None else margin
        grown = self._plan.copy()
        grown[:, 0] = 0.5 + (grown[:, 0] - 0.5) * (1 + 2 * margin)
        grown[:, 1] *= 1 + margin / 0.14
        grown[:, 1] += self.centre(grown[:, 0])
        return grown

    def footbed(self, camera: Camera, margin: float = -0.012) -> Part:
        """The upper side of the sole, where no upper hides it."""
        plan = self.plan(margin)
        return Part(
            camera.project(_lifted(plan, self.bed(plan[:, 0]))), "lining", 0.0, 0.3, patterned=False
        )

    def parts(self, camera: Camera) -> list[Part | Line]:
        """Heel block and sole, to be drawn before the upper."""
        plan = self.plan()
        top = self.bed(plan[:, 0])
        bottom = np.maximum(top - self.sheet, 0.0)
        if self.wedge:
            bottom = np.maximum(self.platform - self.sheet + 0 * top, 0.0)
        items: list[Part | Line] = []
        if not self.wedge and self.rise + self.platform > self.sheet + 0.015:
            items.append(self._heel_block(camera))
        items.append(Part(_swept(camera, plan, top, bottom), "sole", 0.0, 0.25, patterned=False))
        if self.sheet > 0.06 or self.wedge:
            middle = self.platform * 0.5 if self.wedge else 0.5
            level = np.maximum(top * 0 + middle, 0) if self.wedge else top - self.sheet * 0.45
            items.append(Line(_near_chain(camera, plan, level), "seam", 0.01))
        return items

    def _heel_block(self, camera: Camera) -> Part:
        top = float(self.bed(0.1)) - self.sheet * 0.6
        share = np.linspace(0, 1, 8)
        taper = 1 - (1 - (1 - share) ** 2.2) * (0.12 + 0.74 * self.slender)
        along, across = 0.125 * taper, 0.112 * taper * self.width
        middle = 0.112 - 0.03 * self.slender * share
        across_view = np.hypot(
            along * np.cos(camera.yaw), across * np.sin(camera.yaw)
        )  # the ellipse's half width in the picture
        spine = camera.project(
            np.stack([middle, 0 * share + float(self.centre(0.1)), top * (1 - share)], axis=1)
        )
        left, right = spine.copy(), spine.copy()
        left[:, 0] -= across_view
        right[:, 0] += across_view
        angle = np.linspace(np.pi, 0, 9)[1:-1]
        depth = np.hypot(along[-1] * np.sin(camera.yaw), across[-1] * np.cos(camera.yaw))
        foot = spine[-1] + np.stack(
            [
                across_view[-1] * np.cos(angle),
                depth * np.sin(camera.elevation) * np.sin(angle),
            ],
            axis=1,
        )
        return Part(np.concatenate([left, foot, right[::-1]]), "sole", 0.0, 0.6, patterned=False)


def _lifted(plan: Points, height: Floats) -> Floats:
    return np.column_stack([plan, height])


def _swept(camera: Camera, plan: Points, top: Floats, bottom: Floats) -> Points:
    """Outline of the slab between two copies of `plan` at heights `top` and `bottom`.

    Heights move points straight up in the picture, so the slab is bounded by the far half of its
    upper edge and the near half of its lower one, between the plan's leftmost and rightmost point.
    """
    upper = camera.project(_lifted(plan, top))
    lower = camera.project(_lifted(plan, bottom))
    far, near = _halves(camera, plan)
    return np.concatenate([upper[far], lower[near]])


def _near_chain(camera: Camera, plan: Points, height: Floats) -> Points:
    return camera.project(_lifted(plan, height))[_halves(camera, plan)[1]]


def _halves(camera: Camera, plan: Points) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the plan's far and near half as the camera sees them, in one direction round."""
    across = plan @ (np.cos(camera.yaw), -np.sin(camera.yaw))
    away = plan @ (np.sin(camera.yaw), np.cos(camera.yaw))
    count = len(plan)
    start, end = int(across.argmin()), int(across.argmax())
    first = np.arange(start, start + (end - start) % count + 1) % count
    second = np.arange(end, end + (start - end) % count + 1) % count
    return (first, second) if away[first].mean() > away[second].mean() else (second, first)
