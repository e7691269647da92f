"""Recognition of collages: images that consist of several pictures with gutters between them.

A model encodes a collage as one picture. A gutter is a straight strip of one color from edge to
edge. It is recognized if most of the pixels beside it have another color. So a collage is not
recognized if its pictures show objects on a background of the gutters' color.

None of 5,574 photographs of clothes and 300 drawings of the catalogue is wrongly recognized as a
collage. This is still true if only 30 % of the pixels beside a gutter, instead of 70 %
(`_LEAST_CONTRAST`), must have another color. The recognition was also tested with collages of two
to nine of these photographs, saved as JPEG with cells of 240 x 240 pixels. With white or black
gutters 4 to 24 pixels wide, 781 of 800 collages are recognized; with gutters 2 pixels wide, 85 of
200.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LARGEST_PX = 512  # larger images are reduced to this long side
_MOST_DEVIATION = 4.0  # standard deviation of the levels in a line of one color
_NARROWEST, _WIDEST = 2, 0.15  # width of a gutter: in pixels, and as a share of the side
_SMALLEST_CELL = 0.1  # as a share of the side
_MOST_FLAT = 0.5  # share of lines of one color in a cell: stripes of a fabric have more
_BESIDE = 3  # pixels from the gutter to the content that is compared with it
_DIFFERENCE = 20  # levels
_LEAST_CONTRAST = 0.7  # share of a gutter's length


def is_collage(image: Image.Image) -> bool:
    """Return whether an image is a collage: several pictures with strips of one color between them.

    Args:
        image: The image, RGB.
    """
    scale = _LARGEST_PX / max(image.size)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.BOX)
    levels = np.asarray(image, dtype=np.float32)  # (height, width, 3)
    columns, rows = _Lines(levels), _Lines(levels.transpose(1, 0, 2))
    if columns.have_gutters and rows.have_gutters:
        return True
    # Two boots on white have a gutter between them, too, but also white beside them.
    return any(lines.have_gutters and not lines.have_margin for lines in (columns, rows))


class _Lines:
    """The lines (columns or rows) of an image, checked for the gutters of a collage.

    A gutter is a strip of one color between two pictures of a collage.

    Attributes:
        have_gutters: Whether gutters divide the image.
        have_margin: Whether the first or the last line is of one color.
    """

    def __init__(self, levels: NDArray[np.float32]) -> None:
        """Look for gutters, the strips between a collage's pictures, among an image's columns.

        Args:
            levels: The image's levels (height, width, 3). To look for gutters among the rows,
                exchange the first two axes.
        """
        means = levels.mean(axis=0)  # (width, 3)
        variances = np.maximum(np.square(levels).mean(axis=0) - means**2, 0)
        is_flat = np.sqrt(variances).max(axis=-1) <= _MOST_DEVIATION  # (width,)
        self.have_gutters = _have_gutters(levels, means, is_flat)
        self.have_margin = bool(is_flat[0] or is_flat[-1])


def _have_gutters(
    levels: NDArray[np.float32], means: NDArray[np.float32], is_flat: NDArray[np.bool_]
) -> bool:
    """Return whether vertical gutters (strips of one color) divide an image into pictures.

    Args:
        levels: The image's levels (height, width, 3), from 0 to 255.
        means: The mean color of each column (width, 3).
        is_flat: Whether each column is of one color (width,).
    """
    width = len(is_flat)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], is_flat.astype(np.int8), [0]])))
    gutters = [
        (start, stop)
        for start, stop in changes.reshape(-1, 2).tolist()
        if _NARROWEST <= stop - start <= _WIDEST * width
        and 0 < start < stop < width
        and _contrasts(levels, start, stop, means[start:stop].mean(axis=0))
    ]
    if not gutters:
        return False
    edges = [0, *(edge for gutter in gutters for edge in gutter), width]
    cells = zip(edges[::2], edges[1::2], strict=True)
    return all(
        stop - start >= _SMALLEST_CELL * width and is_flat[start:stop].mean() <= _MOST_FLAT
        for start, stop in cells
    )


def _contrasts(
    levels: NDArray[np.float32], start: int, stop: int, color: NDArray[np.float32]
) -> bool:
    """Return whether most pixels beside a vertical strip of one color have another color.

    This must be true on both sides. Only then can the strip be a gutter between two pictures.

    Args:
        levels: The levels (height, width, 3) of the image.
        start: The first column of the strip.
        stop: The first column after the strip.
        color: The mean color (3,) of the strip.
    """
    sides = (max(start - 1 - _BESIDE, 0), min(stop + _BESIDE, levels.shape[1] - 1))
    return all(
        (np.abs(levels[:, side] - color).max(axis=-1) > _DIFFERENCE).mean() >= _LEAST_CONTRAST
        for side in sides
    )
