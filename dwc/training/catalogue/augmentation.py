"""Image augmentation: random views of a batch of images, and recoloring of a photograph's garment.

A photograph and its recolored copy show the same garment in two colors, a pair that few wardrobes
contain. The garment is detected by color clusters that cover the center but hardly the border.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional

from dwc.catalogue.drawing.materials import color_of, oklab_to_srgb, srgb_to_oklab


def random_views(
    images: Tensor,
    size: int,
    generator: torch.Generator,
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Crop, rotate, mirror and relight each image at random, and normalize.

    Zoom 0.85 to 1.18 with the aspect ratio up to 12 % off, shift up to 7 % of the side, rotation up
    to 8 degrees; half are mirrored; brightness and contrast within 12 %, each channel within 4 %
    (more makes colors hard to tell apart); one in six is slightly blurred by a coarser grid; one in
    eight loses a rectangle of up to 30 % of the side.

    Args:
        images: (N, 3, H, W) uint8.
        size: Side of the views in pixels.
        generator: Decides every random number.
        mean: Subtracted from each channel, for values in [0, 1].
        std: Divides each channel.

    Returns:
        (N, 3, size, size) float32, in the channels-last layout.
    """
    count = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    angle = uniform(-math.pi / 22, math.pi / 22)
    zoom = torch.exp(uniform(math.log(0.85), math.log(1.18)))
    aspect = torch.exp(uniform(-0.12, 0.12) / 2)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    affine = torch.stack(
        [
            torch.stack([cos * aspect * mirror, -sin, uniform(-0.14, 0.14)], dim=-1),
            torch.stack([sin * mirror, cos / aspect, uniform(-0.14, 0.14)], dim=-1),
        ],
        dim=1,
    )  # (N, 2, 3)
    grid = functional.affine_grid(affine, [count, 3, size, size], align_corners=False)
    views = functional.grid_sample(
        images.float() / 255, grid, padding_mode="border", align_corners=False
    )  # (N, 3, size, size)

    soft = torch.rand(count, generator=generator) < 1 / 6
    if soft.any():
        coarse = functional.interpolate(views[soft], scale_factor=0.6, mode="area")
        views[soft] = functional.interpolate(
            coarse, size=(size, size), mode="bilinear", align_corners=False
        )
    brightness, contrast = uniform(0.88, 1.12, 1, 1, 1), uniform(0.88, 1.12, 1, 1, 1)
    tint = uniform(0.96, 1.04, 3, 1, 1)
    middle = views.mean(dim=(1, 2, 3), keepdim=True)
    views = ((views - middle) * contrast + middle) * brightness * tint
    _cut_rectangles(views, size, generator)
    offset = torch.tensor(mean).view(1, 3, 1, 1)
    scale = torch.tensor(std).view(1, 3, 1, 1)
    normalized = (views.clamp_(0, 1) - offset) / scale
    # Convolutions on CPUs run up to three times faster on this layout.
    return normalized.contiguous(memory_format=torch.channels_last)


def _cut_rectangles(views: Tensor, size: int, generator: torch.Generator) -> None:
    """Paint a rectangle of one random color over one view in eight, in place."""
    chosen = torch.nonzero(torch.rand(len(views), generator=generator) < 1 / 8).flatten().tolist()
    for index in chosen:
        height, width = (torch.rand(2, generator=generator) * 0.25 + 0.05).mul(size).int().tolist()
        top = int(torch.randint(0, size - height, (1,), generator=generator))
        left = int(torch.randint(0, size - width, (1,), generator=generator))
        color = torch.rand(3, 1, 1, generator=generator)
        views[index, :, top : top + height, left : left + width] = color


Pixels = NDArray[np.floating]

_SIDE = 96  # pixels at which the garment is found
_CLUSTERS = 5
_AXES = np.array([0.7, 2.0, 2.0])  # of OKLab: light and shadow count less than color
_SMOOTHING = (0.8, 0.8, 0)
_CENTER_RADIUS, _BORDER = 0.35, 0.88  # as shares of half the side
_MOST_ON_BORDER = 0.12  # of the border, the share that a garment's cluster may cover
_LEAST_OF_CENTER = 0.3
_NEAR_CHROMA, _NEAR_LIGHTNESS = 0.09, 0.22  # of clusters that are the same cloth in other light
_AREA = (0.08, 0.75)  # of the photograph, what a garment covers at least and at most

_ROWS, _COLUMNS = np.mgrid[0:_SIDE, 0:_SIDE] / (_SIDE - 1) * 2 - 1
_CENTER = np.hypot(_ROWS, _COLUMNS) < _CENTER_RADIUS
_EDGE = np.maximum(abs(_ROWS), abs(_COLUMNS)) > _BORDER


@dataclass(frozen=True)
class GarmentMask:
    """Mask (96, 96), from 0 to 1, of a garment's main color in a photograph, and that color."""

    mask: Pixels
    color: Pixels  # (3,), OKLab, the median


def find_garment(photograph: Pixels) -> GarmentMask | None:
    """Find the main color of the garment in a photograph (96, 96, 3), sRGB from 0 to 1.

    Return None if every color of the center also covers the border, or covers too small or too
    large an area.
    """
    lab = ndimage.gaussian_filter(srgb_to_oklab(photograph), _SMOOTHING)
    features = (lab * _AXES).reshape(-1, 3)
    clusters = KMeans(_CLUSTERS, n_init=1, random_state=0, max_iter=30).fit(features[::3])
    labels = clusters.predict(features).reshape(_SIDE, _SIDE)
    in_center = np.array([(labels[_CENTER] == number).mean() for number in range(_CLUSTERS)])
    on_border = np.array([(labels[_EDGE] == number).mean() for number in range(_CLUSTERS)])
    inner = [n for n in np.argsort(-in_center) if on_border[n] < _MOST_ON_BORDER]
    if not inner or in_center[inner[0]] < _LEAST_OF_CENTER:
        return None
    offsets = clusters.cluster_centers_[inner] - clusters.cluster_centers_[inner[0]]
    is_near = (np.hypot(offsets[:, 1], offsets[:, 2]) < _NEAR_CHROMA) & (
        abs(offsets[:, 0]) < _NEAR_LIGHTNESS
    )
    mask = _connected(np.isin(labels, np.array(inner)[is_near]))
    touches = (mask & _EDGE).sum() / _EDGE.sum()
    if not _AREA[0] < mask.mean() < _AREA[1] or touches > _MOST_ON_BORDER:
        return None
    return GarmentMask(mask.astype(np.float64), np.median(lab[mask], axis=0))


def _connected(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask reduced to its connected parts that overlap the center or are large."""
    parts, count = ndimage.label(mask)
    numbers = np.arange(1, count + 1)
    sizes = ndimage.sum(mask, parts, numbers)
    central = ndimage.sum(mask & _CENTER, parts, numbers)
    if not count:
        return mask
    return np.isin(parts, numbers[(central > 40) | (sizes > 0.15 * sizes.max())])


def recolor(photograph: Pixels, garment: GarmentMask, colour: str, shade: str) -> Pixels:
    """Return the photograph with its garment in another color; folds and pattern are preserved.

    Args:
        photograph: (H, W, 3), sRGB from 0 to 1, square.
        garment: as `find_garment` gives it for the same photograph.
        colour: the new color's name in the schema.
        shade: its shade.
    """
    side = len(photograph)
    soft = ndimage.gaussian_filter(ndimage.zoom(garment.mask, side / _SIDE, order=1), 1.5)
    lab = srgb_to_oklab(photograph)
    offset = lab - garment.color
    chroma_away = np.clip(np.hypot(offset[..., 1], offset[..., 2]) - 0.05, 0, None)
    lightness_away = np.clip(abs(offset[..., 0]) - 0.25, 0, None)
    share = np.clip(soft, 0, 1) * np.exp(-chroma_away / 0.04 - lightness_away / 0.05)
    target = srgb_to_oklab(color_of(colour, shade))
    contrast = np.clip((target[0] + 0.2) / (garment.color[0] + 0.2), 0.6, 1.3)
    lightness = np.clip(target[0] + offset[..., 0] * contrast, 0.03, 1.0)
    fading = np.clip(lightness / max(target[0], 1e-3), 0.4, 1.25)
    new = np.stack(
        [
            lightness,
            target[1] * fading + 0.3 * offset[..., 1],
            target[2] * fading + 0.3 * offset[..., 2],
        ],
        axis=-1,
    )
    return photograph * (1 - share[..., None]) + oklab_to_srgb(new) * share[..., None]
