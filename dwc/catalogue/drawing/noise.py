"""Smooth random fields for folds, light and materials: tiles made once, cut at random."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]  # (height, width)

_TILE = 256


def upsampled(field: Field, width: int, height: int, sharp: bool = False) -> Field:
    """A low resolution field (h, w) stretched smoothly to (height, width)."""
    method = Image.Resampling.BICUBIC if sharp else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(field).resize((width, height), method))


@lru_cache(maxsize=32)
def cloud_tile(roughness: float, finest: int = 64, side: int = _TILE) -> Field:
    """Fractal noise (side, side) that repeats without a seam; mean 0, standard deviation 1.

    Amplitude falls with frequency to the power of `roughness` (2 is smooth, 0 white) up to `finest`
    waves a side. Fixed: callers cut and turn it with their own generator.
    """
    rng = np.random.default_rng(side + finest)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    with np.errstate(divide="ignore"):
        amplitude = np.where((frequency > 0) & (frequency <= finest), frequency**-roughness, 0)
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) * amplitude
    field = np.fft.irfft2(spectrum, s=(side, side))
    return (field / field.std()).astype(np.float32)


@lru_cache(maxsize=8)
def crease_tile(roughness: float = 1.6, finest: int = 24) -> Field:
    """Ridged noise: smooth hollows between narrow ridges, as in crumpled cloth; mean 0, sd 1."""
    ridges = -np.abs(cloud_tile(roughness, finest)) + 0.35 * np.abs(
        np.roll(cloud_tile(roughness, finest).T, (91, 37), (0, 1))
    )
    return ((ridges - ridges.mean()) / ridges.std()).astype(np.float32)


def cut(tile: Field, rng: np.random.Generator, side: int, zoom: float = 1.0) -> Field:
    """A random square (side, side) of a repeating tile, turned and mirrored at random.

    `zoom` > 1 magnifies: side / zoom pixels of the tile are stretched over the square.
    """
    period = len(tile)
    need = max(4, min(period, round(side / zoom)))
    top, left, turn = rng.integers(0, (period, period, 8)).tolist()
    field = tile[top : top + need, left : left + need]
    if field.shape != (need, need):  # over the border, where the tile begins anew
        rows, columns = np.arange(top, top + need), np.arange(left, left + need)
        field = tile.take(rows, 0, mode="wrap").take(columns, 1, mode="wrap")
    field = np.rot90(field, turn % 4)
    if turn >= 4:
        field = field[:, ::-1]
    if need == side:
        return field
    return upsampled(np.ascontiguousarray(field), side, side, sharp=zoom > 3)


def relief(height: Field, light: tuple[float, float]) -> Field:
    """How much each point of a height field (h, w) faces a light that comes from (x, y)."""
    facing = np.zeros_like(height)
    facing[:, 1:-1] -= (height[:, 2:] - height[:, :-2]) * np.float32(light[0])
    facing[1:-1] -= (height[2:] - height[:-2]) * np.float32(light[1])
    return facing
