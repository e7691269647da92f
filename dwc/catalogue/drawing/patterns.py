"""Patterns of cloth, and prints on the chest of a garment.

A pattern is a repeating tile whose pixels are weights: 0 is the garment's main color, 1 its second
color. Each tile is painted once with Pillow. A print is a set of outlines in the square
[-1, 1] x [-1, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dwc.catalogue.drawing.materials import cloud_tile, cut
from dwc.catalogue.drawing.parts import Part, Points, smooth

Weight = NDArray[np.float32]  # (height, width), from 0 (main color) to 1 (second color)

_SIDE = 256  # pixels per side of a tile before scaling
_OVER = 2  # oversampling factor in painting tiles, for smooth edges
_FINER = 3  # pixels of a scaled tile per image pixel
# Side of a tile in units of half the image's side. A stripe is then two pixels wide in an image of
# 64 pixels.
_EXTENT = {
    "striped": 0.44, "pinstriped": 0.36, "checked": 0.44, "dotted": 0.40, "floral": 0.66,
    "zigzag": 0.42, "leopard": 0.72,
}  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """The pattern of one garment.

    Attributes:
        name: The pattern's name, one of `schema.PATTERNS`.
        scale: Factor of the tile's size.
        phase: Offset (x, y) of the tile as a fraction of its size, 0 to 1.
        layout: Number that selects the arrangement of the pattern "colour_block".
        bend: Displacement of the pattern at each pixel, (2, size, size) for x and y, in pixels, or
            None. The displacement makes lines slightly uneven.
    """

    name: str
    scale: float = 1.0
    phase: tuple[float, float] = (0.0, 0.0)
    layout: int = 0
    bend: NDArray[np.float32] | None = None

    @classmethod
    def draw(
        cls,
        name: str,
        rng: np.random.Generator,
        size: int,
        askew: float = 0.012,
        across: bool = False,
    ) -> "Pattern":
        """Return a pattern with random scale, phase, layout and displacement.

        Args:
            name: The pattern's name.
            rng: Random generator.
            size: Pixels per side of the image.
            askew: Strength of the random displacement that makes lines uneven, as a fraction of the
                image size.
            across: Whether the blocks of the pattern "colour_block" always lie one above the
                other. This makes both shoes of a pair look alike.
        """
        scale = float(rng.uniform(0.85, 1.2))
        phase = (float(rng.uniform()), float(rng.uniform()))
        layout = int(rng.integers(1000))
        if across:
            layout = 5 * (layout // 5) + layout % 2
        if name in ("plain", "graphic", "colour_block"):
            return cls(name, scale, phase, layout)
        waves = [cut(cloud_tile(2.2, 8), rng, size, size / 110) for _ in range(2)]
        bend = np.stack(waves) * np.float32(askew * size)
        return cls(name, scale, phase, layout, bend)

    def weight(
        self,
        part: Part,
        box: tuple[int, int, int, int],
        unit: float,
        span: tuple[float, ...],
        turn: float,
    ) -> Weight | None:
        """Return the weight of the second color at each pixel of a box.

        Args:
            part: The piece, in pixel coordinates.
            box: Pixel box (left, top, right, bottom).
            unit: Scale of the drawing: half the image's side in pixels, multiplied by the zoom
                factor.
            span: Extent (left, top, right, bottom) of all patterned pieces in pixels, after a
                rotation by -`turn` around the image's corner (0, 0), which makes the garment
                upright.
            turn: Rotation of the garment in radians, clockwise.

        Returns:
            The weights (height of the box, width of the box), 0 to 1; None for the patterns "plain"
            and "graphic", which do not cover whole pieces.
        """
        if self.name == "colour_block":
            return _block_weight(self.layout, box, span, turn)
        if self.name not in _EXTENT:
            return None
        period = max(6, round(_EXTENT[self.name] * self.scale * unit))
        return self._lookup(period, part.grain, box)

    def _lookup(self, period: int, grain: float, box: tuple[int, int, int, int]) -> Weight:
        left, top, right, bottom = box
        x = np.arange(left, right, dtype=np.float32)[None]
        y = np.arange(top, bottom, dtype=np.float32)[:, None]
        if self.bend is not None:
            x = x + self.bend[0, top:bottom, left:right]
            y = y + self.bend[1, top:bottom, left:right]
        cos, sin = np.float32(np.cos(grain) * _FINER), np.float32(np.sin(grain) * _FINER)
        side = _FINER * period
        # Truncation towards zero rounds differently for negative numbers, so keep all positive.
        far = side * np.float32(1 + np.ceil(3 * (right + bottom) / period))
        columns = (cos * x + sin * y + np.float32(self.phase[0] * side + far)).astype(np.int32)
        rows = (cos * y - sin * x + np.float32(self.phase[1] * side + far)).astype(np.int32)
        shares = _scaled_tile(self.name, period)[rows % side, columns % side]
        return np.multiply(shares, np.float32(1 / 255), dtype=np.float32)


def turned_tile(
    tile: str | Weight, size: int, step: float, angle: float, rng: np.random.Generator
) -> Weight:
    """Return a random section (size, size) of a repeating tile after a rotation.

    Args:
        tile: The name of a pattern, or the tile itself.
        size: Pixels per side of the section.
        step: Size of one pixel of the section, in pixels of the tile.
        angle: Rotation of the tile in radians, clockwise.
        rng: Random generator that chooses the position in the tile.
    """
    source = _tile(tile).astype(np.float32) / np.float32(255) if isinstance(tile, str) else tile
    # If tile pixels are finer than those of the section, average them: otherwise, thin lines would
    # show aliasing.
    source = _reduced(source, max(1, int(step)))
    step = step / max(1, int(step))
    start = rng.uniform(0, len(source), 2)
    cos, sin = np.float32(step * np.cos(angle)), np.float32(step * np.sin(angle))
    x = np.arange(size, dtype=np.float32)[None]
    y = np.arange(size, dtype=np.float32)[:, None]
    columns = np.floor(cos * x + sin * y + np.float32(start[0])).astype(np.int32) % len(source)
    rows = np.floor(cos * y - sin * x + np.float32(start[1])).astype(np.int32) % len(source)
    return source[rows, columns]


def _reduced(tile: Weight, factor: int) -> Weight:
    side = len(tile) // factor
    cropped = tile[: side * factor, : side * factor]
    return cropped.reshape(side, factor, side, factor).mean(axis=(1, 3))


def _block_weight(
    layout: int, box: tuple[int, int, int, int], span: tuple[float, ...], turn: float
) -> Weight:
    """Return the weight (h, w) of the second color at each pixel for the pattern "colour_block".

    The weights are 0 (main color) to 1 (second color). The blocks are halves, a band or quarters of
    the garment.

    Args:
        layout: Number that selects the arrangement of the blocks.
        box: Pixel box (left, top, right, bottom), h pixels high and w pixels wide.
        span: Extent (left, top, right, bottom) of all patterned pieces in pixels, after a rotation
            by -`turn` around the image's corner (0, 0), which makes the garment upright.
        turn: Rotation of the garment and the blocks in radians, clockwise.
    """
    left, top, right, bottom = box
    middle = ((span[0] + span[2]) / 2, (span[1] + span[3]) / 2)
    half = (max(span[2] - span[0], 1) / 2, max(span[3] - span[1], 1) / 2)
    across = np.arange(left, right, dtype=np.float32)[None]
    down = np.arange(top, bottom, dtype=np.float32)[:, None]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    x = (cos * across + sin * down - np.float32(middle[0])) / np.float32(half[0])
    y = (cos * down - sin * across - np.float32(middle[1])) / np.float32(half[1])
    kind, sharp = layout % 5, min(half)
    if kind == 0:  # lower half
        edge = y - 0.05
    elif kind == 1:  # broad horizontal band
        edge = 0.32 - np.abs(y + 0.12)
    elif kind == 2:  # diagonal halves
        edge = y + (0.9 if layout % 2 else -0.9) * x
    elif kind == 3:  # left and right halves
        edge = x if layout % 2 else -x
    else:  # quarters
        edge = -np.sign(x) * np.sign(y) * np.minimum(np.abs(x), np.abs(y))
    return np.clip(edge * sharp + 0.5, 0, 1)


@lru_cache(maxsize=160)
def _scaled_tile(name: str, period: int) -> NDArray[np.uint8]:
    """Return the tile of a pattern, scaled so that it repeats every `period` image pixels.

    The tile has three pixels per image pixel in each direction. Each of them is an average over an
    area as large as an image pixel, so that edges look smooth even without interpolation.
    """
    side = _FINER * period
    tile = np.asarray(Image.fromarray(_tile(name)).resize((side, side), Image.Resampling.BOX))
    total = np.zeros((side, side), np.float32)
    for down in range(_FINER):
        for right in range(_FINER):
            total += np.roll(tile, (down, right), (0, 1))
    return (total / np.float32(_FINER**2) + 0.5).astype(np.uint8)


@lru_cache(maxsize=16)
def _tile(name: str) -> NDArray[np.uint8]:
    side = _SIDE * _OVER
    image = Image.new("L", (side, side), 0)
    _PAINTERS[name](ImageDraw.Draw(image), side)
    return np.asarray(image.reduce(_OVER))


def _stripes(pen: ImageDraw.ImageDraw, side: int) -> None:
    for k in range(3):
        pen.rectangle((0, side * k / 3, side, side * (k + 0.46) / 3), fill=255)


def _pinstripes(pen: ImageDraw.ImageDraw, side: int) -> None:
    for k in range(3):
        pen.rectangle((side * k / 3, 0, side * (k + 0.17) / 3, side), fill=235)


def _checks(pen: ImageDraw.ImageDraw, side: int) -> None:
    for row in range(4):
        for column in range(4):
            value = (0, 132, 255)[row % 2 + column % 2]
            left, top = column * side / 4, row * side / 4
            pen.rectangle((left, top, left + side / 4, top + side / 4), fill=value)


def _dots(pen: ImageDraw.ImageDraw, side: int) -> None:
    radius = side * 0.105
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0, 0.75), (0.5, 0.75), (1, 0.75)):
        pen.ellipse(
            (x * side - radius, y * side - radius, x * side + radius, y * side + radius), fill=255
        )


def _zigzags(pen: ImageDraw.ImageDraw, side: int) -> None:
    for k in range(-1, 4):
        middle = side * (k + 0.5) / 3
        knees = [(x * side / 4, middle + side * (0.085 if x % 2 else -0.085)) for x in range(-1, 6)]
        thick = side * 0.15
        lower = [(x, y + thick) for x, y in reversed(knees)]
        pen.polygon(knees + lower, fill=255)


def _repeated(x: float, y: float, reach: float) -> list[tuple[float, float]]:
    """Return a point of a repeating tile, and its copies in the neighboring tiles.

    The tile is the unit square. Copies are needed to draw figures that extend across its border;
    those that lie `reach` or more outside the square are left out.
    """
    return [
        (x + right, y + down)
        for right in (-1, 0, 1)
        for down in (-1, 0, 1)
        if -reach < x + right < 1 + reach and -reach < y + down < 1 + reach
    ]


def _flowers(pen: ImageDraw.ImageDraw, side: int) -> None:
    for x, y, radius, petals, turn in (
        (0.24, 0.27, 0.17, 5, 0.3), (0.74, 0.72, 0.19, 6, 0.0), (0.72, 0.22, 0.11, 5, 0.9),
        (0.24, 0.76, 0.12, 5, 0.6), (0.49, 0.48, 0.065, 4, 0.2), (0.02, 0.50, 0.06, 4, 0.7),
        (0.48, 0.98, 0.07, 5, 0.4),
    ):  # fmt: skip
        for cx, cy in _repeated(x, y, radius):
            for k in range(petals):
                angle = turn + 2 * np.pi * k / petals
                px, py = cx + 0.62 * radius * np.cos(angle), cy + 0.62 * radius * np.sin(angle)
                petal = 0.47 * radius * min(1.0, 5 / petals)
                box = (px - petal, py - petal, px + petal, py + petal)
                pen.ellipse([side * value for value in box], fill=255)
            heart = 0.30 * radius
            box = (cx - heart, cy - heart, cx + heart, cy + heart)
            pen.ellipse([side * value for value in box], fill=40)
    for x, y, angle in ((0.44, 0.22, 0.7), (0.53, 0.70, 2.4), (0.90, 0.46, 1.4), (0.05, 0.93, 0.2),
                        (0.96, 0.05, 2.7), (0.36, 0.56, 2.0)):  # fmt: skip
        for cx, cy in _repeated(x, y, 0.07):
            t = np.linspace(0, 2 * np.pi, 20)
            along, across = 0.075 * np.cos(t), 0.026 * np.sin(t) * (1 - 0.3 * np.cos(t))
            leaf_x = cx + along * np.cos(angle) - across * np.sin(angle)
            leaf_y = cy + along * np.sin(angle) + across * np.cos(angle)
            pen.polygon([(side * u, side * v) for u, v in zip(leaf_x, leaf_y, strict=True)], 150)


def _leopard(pen: ImageDraw.ImageDraw, side: int) -> None:
    """Paint the leopard pattern: uneven, broken rings around paler centers, and small spots."""
    rng = np.random.default_rng(7)
    rows, columns = 6, 5
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        x = (column + 0.5 * (row % 2) + rng.uniform(-0.15, 0.15)) / columns
        y = (row + 0.5 + rng.uniform(-0.15, 0.15)) / rows
        radius, turn = rng.uniform(0.045, 0.066), rng.uniform(0, 2 * np.pi)
        strokes = int(rng.integers(1, 4))
        blobs = []
        for k in range(strokes):
            reach = 2 * np.pi / strokes - rng.uniform(0.5, 0.9)
            angles = turn + 2 * np.pi * k / strokes + np.linspace(0, reach, 8)
            thick = 0.021 * rng.uniform(0.75, 1.25, 8) * np.sin(np.linspace(0.7, 2.4, 8))
            uneven = radius * rng.uniform(0.9, 1.1, 8)
            ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            outer, inner = ring * (uneven + thick)[:, None], ring * (uneven - thick)[:, None]
            blobs.append(smooth(np.concatenate([outer, inner[::-1]]), samples=4))
        spot, spot_x, spot_y = rng.uniform(0.010, 0.018), 0.5 / columns, rng.uniform(-0.03, 0.03)
        for cx, cy in _repeated(x % 1, y % 1, 0.12):
            box = (cx - radius, cy - radius, cx + radius, cy + radius)
            pen.ellipse([side * value for value in box], fill=70)
            for blob in blobs:
                pen.polygon([(side * (cx + u), side * (cy + v)) for u, v in blob], fill=255)
            cx, cy = cx + spot_x, cy + spot_y
            pen.ellipse([side * (cx - spot), side * (cy - spot), side * (cx + spot),
                         side * (cy + spot)], fill=255)  # fmt: skip


_PAINTERS = {
    "striped": _stripes, "pinstriped": _pinstripes, "checked": _checks, "dotted": _dots,
    "floral": _flowers, "zigzag": _zigzags, "leopard": _leopard,
}  # fmt: skip


def _circle(x: float, y: float, radius: float, corners: int = 28) -> Points:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def _polygon(*corners: tuple[float, float]) -> Points:
    return np.array(corners, dtype=np.float64)


def _star(rng: np.random.Generator) -> list[Points]:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2, 0.42, 1.0)
    return [np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)]


def _heart(rng: np.random.Generator) -> list[Points]:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [np.stack([np.sin(t) ** 3 * 0.95, -y / 17.5 + 0.12], axis=1)]


def _mountain(rng: np.random.Generator) -> list[Points]:
    left = _polygon((-1, 0.75), (-0.42, -0.35), (-0.22, -0.05), (-0.02, 0.28), (-0.3, 0.75))
    right = _polygon((-0.16, 0.75), (0.36, -0.12), (1, 0.75))
    return [left, right, _circle(0.42, -0.62, 0.24)]


def _sun(rng: np.random.Generator) -> list[Points]:
    rays = []
    for angle in np.arange(10) * np.pi / 5:
        corners = [(0.62, -0.13), (1.0, 0.0), (0.62, 0.13)]
        cos, sin = np.cos(angle), np.sin(angle)
        rays.append(_polygon(*[(x * cos - y * sin, x * sin + y * cos) for x, y in corners]))
    return [_circle(0, 0, 0.5), *rays]


def _words(rng: np.random.Generator) -> list[Points]:
    """Return two or three rows of bars of uneven width, which look like distant text."""
    blocks = []
    rows = int(rng.integers(2, 4))
    for row in range(rows):
        top = -0.75 + 1.5 * row / rows
        tall = 1.05 / rows
        x, end = rng.uniform(-1, -0.7), rng.uniform(0.7, 1)
        while x < end - 0.08:
            wide = min(rng.uniform(0.12, 0.3), end - x)
            blocks.append(
                _polygon((x, top), (x + wide, top), (x + wide, top + tall), (x, top + tall))
            )
            x += wide + 0.07
    return blocks


def _flower(rng: np.random.Generator) -> list[Points]:
    return [
        _circle(0.58 * np.cos(a), 0.58 * np.sin(a) - 0.05, 0.34)
        for a in np.arange(6) * np.pi / 3 + rng.uniform(0, 1)
    ]


def _leaf(rng: np.random.Generator) -> list[Points]:
    half = smooth([(0, -1), (0, -1), (0.5, -0.45), (0.5, 0.2), (0.06, 0.8), (0.06, 0.8)], False)
    mirrored = half * (-1, 1)
    stalk = _polygon((-0.04, 0.7), (0.04, 0.7), (0.03, 1.0), (-0.03, 1.0))
    left = np.concatenate([mirrored, [(-0.06, -0.5)]])
    right = np.concatenate([half, [(0.06, -0.5)]])
    return [left, right, stalk]


def _cat(rng: np.random.Generator) -> list[Points]:
    face = [(-0.75, -0.95), (-0.75, -0.95), (-0.3, -0.55), (0.3, -0.55), (0.75, -0.95),
            (0.75, -0.95), (0.86, -0.1), (0.62, 0.55), (0, 0.82), (-0.62, 0.55),
            (-0.86, -0.1)]  # fmt: skip
    return [smooth(face, samples=6)]


def _waves(rng: np.random.Generator) -> list[Points]:
    t = np.linspace(-1, 1, 40)
    rows = []
    for middle in (-0.5, 0.0, 0.5):
        crest = middle + 0.13 * np.sin(t * 3 * np.pi)
        upper = np.stack([t, crest - 0.12], axis=1)
        lower = np.stack([t, crest + 0.12], axis=1)[::-1]
        rows.append(np.concatenate([upper, lower]))
    return rows


_EMBLEMS: tuple[Callable[[np.random.Generator], list[Points]], ...] = (
    _star, _heart, _mountain, _sun, _words, _words, _flower, _leaf, _cat, _waves,
)  # fmt: skip


def draw_emblem(
    rng: np.random.Generator,
    box: tuple[float, float, float, float],
    turn: float,
    least_radius: float = 0.0,
) -> tuple[list[Points], list[Points]]:
    """Return the outlines of a random chest print, each (n, 2), and the outlines of its holes.

    Args:
        rng: Random generator.
        box: Area (left, top, right, bottom) for the print, in pixels.
        turn: Rotation in radians, clockwise.
        least_radius: Lower limit for half the print's width, in pixels. In a box that is smaller
            than this, the print extends beyond the box.
    """
    emblem = _EMBLEMS[int(rng.integers(len(_EMBLEMS)))]
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    radius = max(min(box[2] - box[0], box[3] - box[1]) / 2, least_radius)
    cos, sin = np.cos(turn) * radius, np.sin(turn) * radius
    matrix = np.array([[cos, -sin], [sin, cos]])
    outlines = [outline @ matrix.T + middle for outline in emblem(rng)]
    holes = [hole @ matrix.T + middle for hole in _HOLES.get(emblem, ())]
    return outlines, holes


_HOLES: dict[Callable[[np.random.Generator], list[Points]], tuple[Points, ...]] = {
    _cat: (
        _circle(-0.36, -0.02, 0.13, 14),
        _circle(0.36, -0.02, 0.13, 14),
        _polygon((-0.11, 0.27), (0.11, 0.27), (0.0, 0.42)),
    ),
    _flower: (_circle(0.0, -0.05, 0.2, 18),),
}
