"""The hasty photograph: what a telephone makes of a garment on a floor, for training.

Strengths are drawn anew for each picture, and a share of pictures is near to the gallery's, so that
a model learns the garment and not the circumstances. The mean hue changes little: beyond that
nobody could tell the colour.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from dwc.catalogue.drawing.noise import Field, crease_tile, cut
from dwc.catalogue.drawing.palette import oklab_to_srgb, srgb_to_oklab
from dwc.catalogue.drawing.pose import Crumple, Pose
from dwc.catalogue.drawing.raster import Layer
from dwc.catalogue.drawing.scene import Picture, as_image, backdrop, cast_shadow, compose
from dwc.catalogue.drawing.surroundings import creased_cloth, foreground, surroundings, uneven_light

_NEAR_GALLERY = 0.25  # share of pictures taken with care


@dataclass(frozen=True)
class Haste:
    """How roughly a picture is taken: `strength` 0 (as in the gallery) to 1."""

    strength: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Haste":
        """A random haste."""
        careful = rng.random() < _NEAR_GALLERY
        return cls(float(rng.uniform(0, 0.2) if careful else rng.uniform(0.4, 1.0)))

    def pose(self, rng: np.random.Generator) -> Pose:
        """Where the garment lies: turned, near or far, off the middle, at an angle, crumpled."""
        strength = self.strength
        turn = np.clip(rng.normal(0, 0.05 + 0.22 * strength), -0.44, 0.44)
        if rng.random() < 0.07 * strength:
            turn = rng.uniform(-np.pi, np.pi)
        zoom = float(np.exp(rng.normal(0.06 * strength, 0.16 * strength)))
        return Pose(
            turn=float(turn),
            zoom=zoom * float(rng.uniform(0.92, 1.04)),
            aspect=float(np.exp(rng.normal(0, 0.07 * strength))),
            lean=float(rng.normal(0, 0.06 * strength)),
            centre=tuple((rng.normal(0, 0.02 + 0.10 * strength, 2)).tolist()),
            tilt=tuple((rng.normal(0, 0.09 * strength, 2)).tolist()),
            crumple=Crumple.draw(rng, 0.006 + 0.035 * strength * rng.random(), 7),
        )

    def light_direction(self, rng: np.random.Generator) -> tuple[float, float]:
        """From where light comes, mostly above."""
        angle = rng.normal(-np.pi / 2, 0.6 + 0.8 * self.strength)
        return (float(np.cos(angle)), float(np.sin(angle)))

    def wrinkle(self, layer: Layer, rng: np.random.Generator) -> None:
        """Lay folds over the garment, and blur what was drawn too sharply for cloth."""
        size = layer.size
        box = (0, 0, size, size)
        depth = 0.02 + 0.18 * self.strength * rng.random()
        layer.tone(box, creased_cloth(rng, size, float(depth)) - 1)
        if rng.random() < 0.5 * self.strength:  # worn and faded in places
            patches = cut(crease_tile(2.1, 12), rng, size, size / 90)
            layer.tone(box, np.float32(rng.uniform(0.02, 0.07)) * patches)

    def show(self, layer: Layer, rng: np.random.Generator, colours: list[Field]) -> Picture:
        """The garment on its ground, with its shadow, in its light, as the camera saw it."""
        size, strength = layer.size, self.strength
        if strength < 0.2 and rng.random() < 0.6:
            ground = backdrop(rng, colours, size)
        else:
            ground = surroundings(rng, colours, size)
        hard = rng.random() * strength
        shadow = np.float32(0.15 + 0.30 * rng.random()) * cast_shadow(
            layer, float(rng.uniform(0.01, 0.07)) * size, max(0.6, (0.045 - 0.035 * hard) * size)
        )
        shadow += np.float32(0.25 * rng.random()) * cast_shadow(layer, 0.008 * size, 0.012 * size)
        picture = compose(layer, ground, shadow)
        if rng.random() < 0.14 * strength:
            foreground(picture, rng)
        return self._expose(picture, rng)

    def _expose(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Light, exposure, white balance, then lens, sensor and file."""
        size, strength = len(picture), self.strength
        picture = picture * uneven_light(rng, size, 0.3 + strength)[..., None]
        gains = np.exp(rng.normal(0, 0.035 * strength, 3) + rng.normal(0, 0.15 * strength))
        picture = np.clip(picture * gains.astype(np.float32), 0, 1)
        gamma = np.float32(np.exp(rng.normal(0, 0.16 * strength)))
        if abs(gamma - 1) > 0.02:
            picture = picture**gamma
        fade = np.float32(rng.uniform(0, 0.10) * strength)  # haze lifts the blacks
        picture = picture * (1 - fade) + fade * np.float32(rng.uniform(0.2, 0.9))
        return self._record(picture, rng)

    def _record(self, picture: Picture, rng: np.random.Generator) -> Picture:
        size, strength = len(picture), self.strength
        image = as_image(picture)
        if rng.random() < 0.25 * strength:
            side = max(12, round(size * rng.uniform(0.55, 0.9)))
            image = image.resize((side, side), Image.Resampling.BILINEAR)
            image = image.resize((size, size), Image.Resampling.BICUBIC)
        radius = rng.uniform(-0.6, 0.7) * strength * size / 80
        if radius > 0.15:
            image = image.filter(ImageFilter.GaussianBlur(radius))
        noise = float(rng.gamma(1.0, 0.013) * strength)
        if noise > 0.003:
            grain = rng.standard_normal((size, size, 3), dtype=np.float32)
            grain = 0.5 * grain + 0.5 * grain[..., :1]
            noisy = np.asarray(image, dtype=np.float32) + grain * np.float32(noise * 255)
            image = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
        if rng.random() < 0.7 * strength:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=int(rng.integers(35, 95)))
            image = Image.open(file)
        return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)


def varied(colour: Field, rng: np.random.Generator, strength: float) -> Field:
    """A dye a little off its name: lightness, chroma and hue vary, the colour's name stays."""
    lab = srgb_to_oklab(colour)
    lab[0] += rng.normal(0, 0.018 * strength)
    chroma = rng.uniform(1 - 0.28 * strength, 1.06)
    angle = rng.normal(0, 0.06 * strength)
    cos, sin = np.cos(angle) * chroma, np.sin(angle) * chroma
    lab[1:] = (cos * lab[1] - sin * lab[2], sin * lab[1] + cos * lab[2])
    return oklab_to_srgb(lab).astype(np.float32)
