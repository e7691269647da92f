"""Image augmentation: randomly transformed copies ("views"), and recoloring of garments.

A photograph and its recolored copy show the same garment in two colors; few sets of real
photographs have such pairs. The garment is detected by clustering the photograph's colors: the
garment's clusters cover the center of the photograph but hardly any of the border.
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
    """Return a randomly transformed and normalized copy ("view") of each image.

    The random transformations are:

    - zoom by 0.85 to 1.18, change of the aspect ratio by up to 12 %, translation by up to 7 % of
      the side, rotation by up to 8 degrees, and horizontal mirroring of half of the images;
    - change of brightness and contrast by up to 12 %, and of each color channel by up to 4 % (with
      more, colors would be hard to distinguish);
    - slight blur of one image in six, by resizing it to a coarser grid and back;
    - in one image in eight, a rectangle in a random color, with sides of up to 30 % of the image's
      side.

    Args:
        images: N RGB images (N, 3, H, W) of height H and width W, uint8.
        size: Side of the square views in pixels.
        generator: Source of all random numbers, on the CPU.
        mean: Mean to subtract from each channel, for values in [0, 1].
        std: Standard deviation to divide each channel by.

    Returns:
        Views (N, 3, size, size) in float32 and in the channels-last layout.
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
    """Paint a randomly colored rectangle over one image in eight, in place.

    Args:
        views: Square images (N, 3, size, size), values in [0, 1].
        size: Side of the images in pixels.
        generator: Source of all random numbers.
    """
    chosen = torch.nonzero(torch.rand(len(views), generator=generator) < 1 / 8).flatten().tolist()
    for index in chosen:
        height, width = (torch.rand(2, generator=generator) * 0.25 + 0.05).mul(size).int().tolist()
        top = int(torch.randint(0, size - height, (1,), generator=generator))
        left = int(torch.randint(0, size - width, (1,), generator=generator))
        color = torch.rand(3, 1, 1, generator=generator)
        views[index, :, top : top + height, left : left + width] = color


Pixels = NDArray[np.floating]

_SIDE = 96  # side in pixels of the image in which the garment is detected
_CLUSTERS = 5  # number of color clusters
# Weights of OKLab's axes in the clustering: lightness has less influence than color, so that light
# and shadow do not separate parts of a garment.
_AXES = np.array([0.7, 2.0, 2.0])
_SMOOTHING = (0.8, 0.8, 0)  # standard deviations of the Gaussian blur (rows, columns, channels)
# Radius of the center region, and distance of the border region from the center of the image, both
# as shares of half the side.
_CENTER_RADIUS, _BORDER = 0.35, 0.88
_MOST_ON_BORDER = 0.12  # largest share of the border that a cluster of the garment may cover
_LEAST_OF_CENTER = 0.3  # smallest share of the center that the garment's main cluster must cover
# A cluster belongs to the garment too, in different light, if it differs from the garment's main
# cluster by less than this in chroma and in lightness (OKLab).
_NEAR_CHROMA, _NEAR_LIGHTNESS = 0.09, 0.22
_AREA = (0.08, 0.75)  # smallest and largest share of the photograph that a garment may cover

_ROWS, _COLUMNS = np.mgrid[0:_SIDE, 0:_SIDE] / (_SIDE - 1) * 2 - 1
_CENTER = np.hypot(_ROWS, _COLUMNS) < _CENTER_RADIUS
_EDGE = np.maximum(abs(_ROWS), abs(_COLUMNS)) > _BORDER


@dataclass(frozen=True)
class GarmentMask:
    """Area and color of a garment in a photograph.

    Attributes:
        mask: Mask (96, 96) of the photograph, scaled to 96 x 96 pixels: 1 where the garment has its
            main color, 0 elsewhere.
        color: Median OKLab color of this area, (3,).
    """

    mask: Pixels
    color: Pixels


def find_garment(photograph: Pixels) -> GarmentMask | None:
    """Detect the area of the garment's main color in a photograph (96, 96, 3), sRGB in [0, 1].

    Returns:
        The area and its color. None in each of these cases:

        - no color cluster covers much of the center and little of the border;
        - the detected area is too small or too large;
        - the detected area covers too much of the border.
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
    """Remove small connected regions outside the center from the mask (96, 96) of a garment.

    A region is retained if more than 40 of its pixels are in the center, or if its area is more
    than 15 % of the largest region's.
    """
    parts, count = ndimage.label(mask)
    numbers = np.arange(1, count + 1)
    sizes = ndimage.sum(mask, parts, numbers)
    central = ndimage.sum(mask & _CENTER, parts, numbers)
    if not count:
        return mask
    return np.isin(parts, numbers[(central > 40) | (sizes > 0.15 * sizes.max())])


def recolor(photograph: Pixels, garment: GarmentMask, colour: str, shade: str) -> Pixels:
    """Return a photograph with its garment in another color; folds and pattern are preserved.

    Args:
        photograph: Square photograph (H, H, 3) of H pixels a side, sRGB in [0, 1].
        garment: Result of `find_garment` for a copy of the photograph with 96 pixels a side.
        colour: Name of the new color in the catalogue's schema, such as "blue".
        shade: Name of the new color's shade in the schema, such as "mid".

    Returns:
        The recolored photograph (H, H, 3), sRGB in [0, 1].
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
