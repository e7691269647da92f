"""How a garment happens to lie or hang: nothing that a description of it would mention."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Setting = Literal["flat", "hung", "worn"]


@dataclass(frozen=True)
class Arm:
    """One sleeve's position, in radians.

    `lift` turns the upper sleeve outwards from hanging straight down; `bend` turns the forearm
    back towards the body at the elbow. A sleeve `in_front` lies on the body, others behind it.
    """

    lift: float
    bend: float
    in_front: bool


@dataclass(frozen=True)
class Stance:
    """A garment's setting, its two sleeves (left of the picture first), and how crooked it lies.

    `lean` shears it sideways, `bow` bends it, `tilt` drops one shoulder; `width` and `length`
    stretch it a little.
    """

    setting: Setting
    arms: tuple[Arm, Arm]
    lean: float
    bow: float
    tilt: float
    width: float
    length: float

    @property
    def roundness(self) -> float:
        """How much the body's shading falls off to its sides: a worn garment is rounder."""
        return {"flat": 0.4, "hung": 0.5, "worn": 0.65}[self.setting]

    @property
    def shoulder_drop(self) -> float:
        """How much further shoulders slope than laid flat."""
        return {"flat": 0.0, "hung": 0.02, "worn": 0.01}[self.setting]


def draw_stance(rng: np.random.Generator) -> Stance:
    """Draw a stance; garments laid flat with sleeves spread are the most frequent."""
    setting: Setting = ("flat", "flat", "hung", "worn")[int(rng.integers(4))]
    manner = _draw_manner(rng, setting)
    other = _draw_manner(rng, setting) if setting == "flat" and rng.random() < 0.25 else manner
    arms = (_draw_arm(rng, manner), _draw_arm(rng, other))
    crooked = 1.0 if setting == "flat" else 0.5
    lean, bow, tilt = rng.normal(0, (0.022, 0.012, 0.02)) * crooked
    width, length = rng.uniform((0.95, 0.96), (1.05, 1.04))
    return Stance(
        setting,
        arms,
        lean=float(np.clip(lean, -0.06, 0.06)),
        bow=float(np.clip(bow, -0.03, 0.03)),
        tilt=float(np.clip(tilt, -0.05, 0.05)),
        width=float(width),
        length=float(length),
    )


def _draw_manner(rng: np.random.Generator, setting: Setting) -> str:
    shares = {"flat": (0.2, 0.55, 0.25), "hung": (0.75, 0.15, 0.1), "worn": (0.65, 0.1, 0.25)}
    down, spread, _ = shares[setting]
    chance = rng.random()
    return "down" if chance < down else "spread" if chance < down + spread else "bent"


def _draw_arm(rng: np.random.Generator, manner: str) -> Arm:
    low, high, least_bend, most_bend = {
        "down": (10.0, 19.0, -3.0, 8.0),
        "spread": (28.0, 58.0, -8.0, 16.0),
        "bent": (32.0, 48.0, 50.0, 78.0),
    }[manner]
    lift, bend = rng.uniform((low, least_bend), (high, most_bend))
    return Arm(float(np.radians(lift)), float(np.radians(bend)), manner != "spread")
