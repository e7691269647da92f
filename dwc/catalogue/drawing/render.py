"""Painting of a garment's pieces, lines and buttons onto a layer of pixels.

Outlines are converted into masks, which are filled at three times the image's resolution and then
reduced, to get smooth edges. Shading is computed at a low resolution and enlarged; since shading is
soft, no detail is lost. `Renderer` paints a whole garment.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from dwc.catalogue.drawing.materials import (
    Color,
    Field,
    Material,
    button_color,
    oklch_to_srgb,
    relief,
    upsampled,
    weave_tile,
)
from dwc.catalogue.drawing.parts import Disc, Line, Part, Points, Shape
from dwc.catalogue.drawing.patterns import Pattern, draw_emblem

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

OVER = 3  # oversampling factor of masks


def colors(height: int, width: int) -> NDArray[np.float32]:
    """Return a black image (height, width, 3) that is stored as a red, a green and a blue plane.

    With this memory layout, arithmetic with a (height, width) field takes a fifth of the time
    needed with interleaved colors. Arrays computed from the image have the same layout.
    """
    return np.zeros((3, height, width), np.float32).transpose(1, 2, 0)


@dataclass
class Layer:
    """A drawn garment without background.

    Attributes:
        rgb: Colors (size, size, 3) in [0, 1], premultiplied by `alpha`.
        alpha: Coverage (size, size) in [0, 1].
        tones: Lightening (positive) or darkening (negative) of each pixel (size, size). All changes
            are collected in this array and applied to the colors at the end, because changing one
            array is faster than changing three color channels.
        light: Unit vector (x, y) in the image, y down, that points towards the light.
    """

    rgb: NDArray[np.float32]
    alpha: Field
    tones: Field
    light: tuple[float, float]

    @classmethod
    def empty(cls, size: int, light: tuple[float, float]) -> "Layer":
        """Return a transparent layer, `size` pixels wide and high.

        `light` is the unit vector (x, y) that points towards the light.
        """
        rgb = colors(size, size)
        return cls(rgb, np.zeros_like(rgb[..., 0]), np.zeros_like(rgb[..., 0]), light)

    @property
    def size(self) -> int:
        """Width and height in pixels."""
        return len(self.alpha)

    def box_around(self, points: Points, margin: float) -> Box | None:
        """Return the box (left, top, right, bottom) that encloses points and a margin, in pixels.

        The box is clipped to the image. The result is None if fewer than two rows or columns
        remain.
        """
        low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        left, top = max(floor(low[0] - margin), 0), max(floor(low[1] - margin), 0)
        right = min(ceil(high[0] + margin), self.size)
        bottom = min(ceil(high[1] + margin), self.size)
        return (left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None

    def paint(
        self, box: Box, mask: Field, color: NDArray[np.float32], tone: Field | None = None
    ) -> None:
        """Paint a color onto a box of the layer.

        Args:
            box: The box, of height h and width w.
            mask: Opacity (h, w) of the paint, 0 to 1.
            color: One color (3,) or a color per pixel (h, w, 3).
            tone: Lightening (positive) or darkening (negative) of the new paint, (h, w). It
                replaces the values in the layer's `tones` where the paint is opaque. If None,
                `tones` does not change.
        """
        left, top, right, bottom = box
        region = self.rgb[top:bottom, left:right]
        region += mask[..., None] * (color - region)
        alpha = self.alpha[top:bottom, left:right]
        alpha += mask * (1 - alpha)
        if tone is not None:
            beneath = self.tones[top:bottom, left:right]
            beneath += mask * (tone - beneath)

    def tone(self, box: Box, amount: Field) -> None:
        """Lighten or darken the pixels of a box by `amount` (h, w), -1 (darken) to 1 (lighten)."""
        left, top, right, bottom = box
        self.tones[top:bottom, left:right] += amount

    def lit(self) -> NDArray[np.float32]:
        """Apply `tones` to `rgb` and return the result (size, size, 3), premultiplied by `alpha`.

        A tone both multiplies a color and adds to it, so that folds are visible on black cloth,
        too. Call this method only once, after all painting: it overwrites and returns the array
        `rgb`, because a new array would take as long to allocate as the arithmetic takes.
        """
        tones, alpha = self.tones, self.alpha
        self.rgb *= (1 + np.float32(0.75) * tones)[..., None]
        self.rgb += (np.float32(0.13) * tones * alpha)[..., None]
        return np.clip(self.rgb, 0, alpha[..., None], out=self.rgb)


def filled(outlines: list[Points], box: Box, holes: tuple[Points, ...] = ()) -> Image.Image:
    """Return the mask of closed outlines within a box, with smooth edges.

    Args:
        outlines: Closed outlines, each (n, 2), in pixels of the whole image.
        box: The box (left, top, right, bottom) in pixels.
        holes: Outlines of areas that are left empty.

    Returns:
        An 8-bit greyscale image of the box's size: 255 inside the outlines, 0 outside.
    """
    left, top, right, bottom = box
    mask = Image.new("L", ((right - left) * OVER, (bottom - top) * OVER), 0)
    pen = ImageDraw.Draw(mask)
    corner = np.array([left, top])
    for outline in outlines:
        pen.polygon(((outline - corner) * OVER).ravel().tolist(), fill=255)
    for hole in holes:
        pen.polygon(((hole - corner) * OVER).ravel().tolist(), fill=0)
    return mask.reduce(OVER)


def as_field(mask: Image.Image) -> Field:
    """Convert an 8-bit mask to an array (h, w) in [0, 1]."""
    return np.multiply(np.asarray(mask), np.float32(1 / 255), dtype=np.float32)


def softened(mask: Image.Image, radius: float) -> Field:
    """Return a mask as an array (h, w) in [0, 1] after a blur by `radius` pixels.

    The blur is computed at a reduced size for speed.
    """
    width, height = mask.size
    factor = max(1, min(int(radius / 1.5), width // 4, height // 4))
    if factor > 1:
        small = mask.reduce(factor).filter(ImageFilter.GaussianBlur(radius / factor))
        box = (0, 0, width / factor, height / factor)
        mask = small.resize((width, height), Image.Resampling.BILINEAR, box=box)
    else:
        mask = mask.filter(ImageFilter.GaussianBlur(radius))
    return as_field(mask)


def bulge_radius(thickness: float) -> float:
    """Return the blur radius in pixels that turns the mask of a piece into a bulging height field.

    `thickness` is the typical width of the piece in pixels.
    """
    return max(0.16 * thickness, 0.6)


def roundness_shade(
    bulge: Field, radius: float, roundness: float, light: tuple[float, float]
) -> Field:
    """Return the shading (h, w) of a piece that bulges towards the viewer.

    Positive values lighten. Edges and the side away from the light are darker.

    Args:
        bulge: Height field (h, w) of the piece: its mask after a blur by `radius`.
        radius: Blur radius of `bulge` in pixels.
        roundness: Strength of the bulge, from 0 (flat) to 1 (a tube).
        light: Unit vector (x, y) that points towards the light.
    """
    facing = relief(bulge, light)
    facing *= np.float32(0.5 * roundness * radius)
    sunken = np.minimum(2 - 2 * bulge, 1)
    sunken *= sunken
    sunken *= np.float32(0.24 * roundness)
    facing += np.float32(0.025)
    facing -= sunken
    return facing


def coarse_roundness_shade(
    mask: Image.Image, thickness: float, roundness: float, light: tuple[float, float]
) -> Field:
    """Return the shading (h, w) of a piece that bulges towards the viewer.

    The shading is that of `roundness_shade`, but computed at a reduced size for speed.

    Args:
        mask: The mask of the piece.
        thickness: Typical width of the piece in pixels.
        roundness: Strength of the bulge, from 0 (flat) to 1 (a tube).
        light: Unit vector (x, y) that points towards the light.
    """
    factor = int(np.clip(thickness / 9, 1, 4))
    radius = bulge_radius(thickness) / factor
    small = (mask.reduce(factor) if factor > 1 else mask).filter(ImageFilter.GaussianBlur(radius))
    shade = roundness_shade(as_field(small), radius, roundness, light)
    if factor == 1:
        return shade
    tall, wide = shade.shape
    return upsampled(shade, wide * factor, tall * factor)[: mask.height, : mask.width]


def ribbon(points: Points, width: float, taper: bool = False) -> Points:
    """Return the closed outline (2n, 2) of a line through n points (n, 2).

    Args:
        points: The points.
        width: Width of the line.
        taper: Whether the line gets thin towards both ends.
    """
    if len(points) < 2:
        return points
    along = np.empty_like(points)
    along[1:-1] = points[2:] - points[:-2]
    along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    across = along[:, ::-1] / length * (-width / 2, width / 2)
    if taper:
        across *= _spindle(len(points))
    return np.concatenate([points + across, (points - across)[::-1]])


@lru_cache(maxsize=64)
def _spindle(count: int) -> NDArray[np.float64]:
    """Return the widths, at `count` points, of a line that gets thin towards both ends.

    The result (count, 1) is in fractions of the line's full width.
    """
    return np.sin(np.linspace(0.12, np.pi - 0.12, count))[:, None] ** 0.7


def dashes(points: Points, length: float, gap: float) -> Points:
    """Return the start and end points (d, 2, 2) of the d dashes of a dashed line.

    Args:
        points: Points (n, 2) of the line.
        length: Length of a dash.
        gap: Distance between two dashes.
    """
    steps = np.hypot(*np.diff(points, axis=0).T)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    count = int((travelled[-1] + gap) // (length + gap))
    starts = np.arange(count) * (length + gap)
    spots = starts[:, None] + np.array([0.0, length])
    x = np.interp(spots, travelled, points[:, 0])
    y = np.interp(spots, travelled, points[:, 1])
    return np.stack([x, y], axis=-1)


def dashed(points: Points, length: float, gap: float, width: float) -> list[Points]:
    """Return the outlines, each (4, 2), of the dashes of a dashed line; see `dashes`."""
    ends = dashes(points, length, gap)
    along = ends[:, 1] - ends[:, 0]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    across = (along[:, ::-1] * (-width / 2, width / 2))[:, None]
    return list(np.concatenate([ends + across, ends[:, ::-1] - across], axis=1))


def mixed(first: Color, second: Color, weight: Field) -> NDArray[np.float32]:
    """Return a mixture (h, w, 3) of two colors.

    `weight` (h, w) is the weight of `second` at each pixel: 0 gives `first`, 1 gives `second`.
    """
    image = np.multiply(weight[..., None], second - first, out=colors(*weight.shape))
    return np.add(first, image, out=image)


# Kinds of lines that only lighten or darken what is below them.
_TONAL = frozenset({"seam", "stitch", "fold", "crease", "edge"})
# "Unit" is the number of pixels per unit of the curve coordinates (half the image's side).
_SMALL_UNIT = 56  # for a smaller unit, details finer than a pixel are left out
_LEAST_PRINT = 0.15  # least half side of a print, in units; visible in an image of 64 pixels
_LACE = oklch_to_srgb(0.95, 0.012, 90)
_DARK_LACE = oklch_to_srgb(0.30, 0.012, 90)


class Renderer:
    """Painter of one garment onto a layer.

    Attributes:
        layer: The layer that is drawn on.
        material: Colors and surface of the garment.
        pattern: Pattern of the garment.
        unit: Scale of the drawing: half the image's side in pixels, multiplied by the zoom factor.
        turn: Rotation of the whole garment in radians, clockwise.
        detail: Strength of seams, folds and the shading of pieces, 0 to 1.
        is_small: Whether the image is so small that the finest details are left out.
    """

    def __init__(
        self,
        layer: Layer,
        material: Material,
        pattern: Pattern,
        unit: float,
        turn: float,
        detail: float = 1.0,
    ) -> None:
        self.layer = layer
        self.material = material
        self.pattern = pattern
        self.unit = unit
        self.turn = turn
        self.detail = detail
        self.is_small = unit < _SMALL_UNIT

    def draw(self, shape: Shape, rng: np.random.Generator) -> None:
        """Draw all pieces, lines and buttons of a shape in pixel coordinates, back to front.

        A chest print is painted directly after the piece of cloth on which the print lies.
        """
        printed_after = self._piece_under_print(shape) if self.pattern.name == "graphic" else None
        spans = [
            item.outline for item in shape.items if isinstance(item, Part) and _has_pattern(item)
        ]
        points = np.concatenate(spans) if spans else np.zeros((1, 2))
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        points = points @ np.array([[cos, -sin], [sin, cos]])  # undo the garment's rotation
        span = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        for key, group in groupby(_tonal_lines_first(shape), key=_painted_together):
            members = list(group)
            if isinstance(members[0], Part):
                self._part(members[0], span)
                if members[0] is printed_after and shape.print_box is not None:
                    least = _LEAST_PRINT * self.unit
                    self._print(*draw_emblem(rng, shape.print_box, self.turn, least))
            elif isinstance(members[0], Line):
                self._lines([item for item in members if isinstance(item, Line)], str(key[1]))
            else:
                self._discs([item for item in members if isinstance(item, Disc)])

    def _piece_under_print(self, shape: Shape) -> Part | None:
        """Return the piece of cloth on which the chest print lies; None if there is no such piece.

        Among the pieces that have the garment's pattern and overlap more than a quarter of the
        print, this is the one painted last. It would cover a print on an earlier piece.
        """
        if shape.print_box is None:
            return None
        box = np.array(shape.print_box).reshape(2, 2)
        middle = box.mean(axis=0)
        half = max(float((box[1] - box[0]).min()) / 2, _LEAST_PRINT * self.unit)
        piece = None
        for item in shape.items:
            if isinstance(item, Part) and _has_pattern(item):
                low = np.maximum(item.outline.min(axis=0), middle - half)
                high = np.minimum(item.outline.max(axis=0), middle + half)
                if np.prod(np.maximum(high - low, 0)) > 0.25 * (2 * half) ** 2:
                    piece = item
        return piece

    def _part(self, part: Part, span: tuple[float, ...]) -> None:
        outline = part.outline
        thickness = _thickness(outline)
        reach = max(0.035 * self.unit, 1.0)
        box = self.layer.box_around(outline, margin=2 * reach)
        if box is None:
            return
        mask = filled([outline], box, part.holes)
        bulge = None
        if self.is_small:  # blur once for both shadow and shading
            bulge = softened(mask, bulge_radius(thickness))
        self._shadow(mask, box, reach, bulge)
        color: NDArray[np.float32] = self.material.colors[part.role]
        if _has_pattern(part):
            weight = self.pattern.weight(part, box, self.unit, span, self.turn)
            if weight is not None:
                color = mixed(color, self.material.colors["second"], weight)
        shade = np.zeros((1, 1), np.float32)
        if thickness > 1.5:
            roundness, light = part.roundness * self.detail, self.layer.light
            if bulge is None:
                shade = coarse_roundness_shade(mask, thickness, roundness, light)
            else:
                shade = roundness_shade(bulge, bulge_radius(thickness), roundness, light)
            if part.role in ("main", "second", "trim"):
                if self.material.gloss:
                    shade = shade + self._gloss(shade)
                if not self.is_small or self.material.depth > 0.05:
                    shade = shade + self._weave(box)
        self.layer.paint(box, as_field(mask), color, shade)

    def _gloss(self, shade: Field) -> Field:
        """Return how much the highlights of a glossy piece lighten each pixel, (h, w).

        `shade` (h, w) is the shading of the piece. Its lightest areas become highlights.
        """
        return np.float32(2.2 * self.material.gloss) * np.maximum(shade - np.float32(0.05), 0)

    def _weave(self, box: Box) -> Field:
        tile = weave_tile(self.material.weave, round(self.unit))
        rows = np.arange(box[1], box[3]) % len(tile)
        columns = np.arange(box[0], box[2]) % len(tile)
        return tile[rows[:, None], columns[None]] * np.float32(self.material.depth)

    def _shadow(self, mask: Image.Image, box: Box, reach: float, soft: Field | None) -> None:
        """Draw the soft shadow of a piece onto the pieces below it.

        Args:
            mask: The mask of the piece.
            box: The box of the mask in pixels.
            reach: Blur radius of the shadow in pixels; the shadow is offset by about half of it.
            soft: A blurred mask of the piece to use as the shadow, if there is one already, else
                None.
        """
        left, top, right, bottom = box
        if not self.layer.alpha[top:bottom, left:right].any():
            return
        shadow = softened(mask, reach) if soft is None else soft
        right_by = -round(self.layer.light[0] * reach * 0.5)
        down_by = -round(self.layer.light[1] * reach * 0.5)
        # Values that wrap around to the opposite border come from the box's margin, which is empty.
        shadow = np.roll(shadow, (down_by, right_by), (0, 1))
        self._tone(box, shadow * np.float32(-0.26))

    def _print(self, outlines: list[Points], holes: list[Points]) -> None:
        box = self.layer.box_around(np.concatenate(outlines), margin=2)
        if box is None:
            return
        cover = as_field(filled(outlines, box, tuple(holes)))
        self.layer.paint(box, cover * np.float32(0.97), self.material.colors["second"])

    def _lines(self, lines: list[Line], kind: str) -> None:
        ends = np.concatenate([line.points for line in lines])
        widest = max(line.width for line in lines)
        box = self.layer.box_around(ends, margin=2 * widest + 2)
        if box is None:
            return
        painter = {
            "seam": self._seams, "stitch": self._stitches, "fold": self._folds,
            "crease": self._folds, "lace": self._laces, "zip": self._zips,
            "chain": self._chains, "edge": self._edges,
        }[kind]  # fmt: skip
        painter(lines, box)

    def _tone(self, box: Box, amount: Field) -> None:
        self.layer.tone(box, amount if self.detail == 1.0 else amount * np.float32(self.detail))

    def _emboss(self, cover: Field, strength: float) -> Field:
        """Return the shading (h, w) of a raised shape: light on one side, dark on the other.

        Args:
            cover: Mask (h, w) of the shape, such as a seam or a button, 0 to 1.
            strength: Factor of the shading.
        """
        return relief(cover, self.layer.light) * np.float32(strength)

    def _seams(self, lines: list[Line], box: Box) -> None:
        outlines = [ribbon(line.points, max(0.75 * line.width, 0.8)) for line in lines]
        cover = as_field(filled(outlines, box))
        depth = 0.30 if self.material.is_dark else -0.34
        self._tone(box, cover * np.float32(depth) + self._emboss(cover, 0.10))

    def _stitches(self, lines: list[Line], box: Box) -> None:
        if self.is_small:  # stitches would be finer than a pixel
            return
        length, gap = max(0.020 * self.unit, 2.2), max(0.013 * self.unit, 1.4)
        outlines = [
            outline
            for line in lines
            for outline in dashed(line.points, length, gap, max(0.6 * line.width, 0.7))
        ]
        if outlines:
            cover = as_field(filled(outlines, box))
            depth = 0.55 if self.material.is_dark else -0.36
            self._tone(box, cover * np.float32(depth))

    def _folds(self, lines: list[Line], box: Box) -> None:
        radius = max(0.45 * max(line.width for line in lines), 0.7)
        cover = softened(
            filled([ribbon(line.points, max(line.width, 1.2), taper=True) for line in lines], box),
            radius,
        )
        # The dark side of a crease is stronger than its light side.
        flanks = self._emboss(cover, 0.75 * radius)
        lit = np.where(flanks > 0, np.float32(0.45) * flanks, np.float32(0.8) * flanks)
        self._tone(box, lit - np.float32(0.08) * cover)

    def _edges(self, lines: list[Line], box: Box) -> None:
        cover = as_field(filled([ribbon(line.points, max(line.width, 1.0)) for line in lines], box))
        depth = 0.20 if self.material.is_dark else -0.20
        self._tone(box, cover * np.float32(depth) + self._emboss(cover, 0.16))

    def _laces(self, lines: list[Line], box: Box) -> None:
        outlines = [ribbon(line.points, max(line.width, 1.2)) for line in lines]
        mask = filled(outlines, box)
        cover = as_field(mask)
        self._tone(box, softened(mask, max(0.02 * self.unit, 0.8)) * np.float32(-0.5))
        light_lace = float(np.mean(self.material.colors["main"])) < 0.75
        lace = _LACE if light_lace else _DARK_LACE
        self.layer.paint(box, cover, lace, self._emboss(cover, 0.25))

    def _zips(self, lines: list[Line], box: Box) -> None:
        tapes = [ribbon(line.points, max(2.2 * line.width, 2)) for line in lines]
        tape = as_field(filled(tapes, box))
        self._tone(box, tape * np.float32(0.22 if self.material.is_dark else -0.30))
        length, gap = max(0.014 * self.unit, 1.2), max(0.010 * self.unit, 0.9)
        teeth = [
            tooth
            for line in lines
            for tooth in dashed(line.points, length, gap, max(line.width, 1.0))
        ]
        pullers = []
        for line in lines:
            head, before = line.points[0], line.points[min(3, len(line.points) - 1)]
            way = before - head
            way = way / max(float(np.hypot(*way)), 1e-6)
            pull = np.stack([head, head + way * max(0.05 * self.unit, 3)])
            pullers.append(ribbon(pull, max(1.7 * line.width, 2.2)))
        self._raised(teeth, box, 0.2)
        self._raised(pullers, box, 0.35)

    def _chains(self, lines: list[Line], box: Box) -> None:
        angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        links = []
        for line in lines:
            length = max(2.4 * line.width, 3.0)
            for k, (start, end) in enumerate(dashes(line.points, length, -0.25 * length)):
                way = (end - start) / max(float(np.hypot(*(end - start))), 1e-6)
                across = np.array([-way[1], way[0]]) * line.width * (0.62 if k % 2 else 0.32)
                along = way * length * 0.5
                links.append(
                    (start + end) / 2
                    + np.cos(angles)[:, None] * along
                    + np.sin(angles)[:, None] * across
                )
        self._raised(links, box, 0.5)

    def _raised(self, outlines: list[Points], box: Box, emboss: float) -> None:
        """Paint small metal shapes that look raised: light on one side, dark on the other.

        Args:
            outlines: The outlines of the shapes.
            box: The box (left, top, right, bottom) in pixels in which the shapes lie.
            emboss: Strength of the difference between the two sides.
        """
        if not outlines:
            return
        cover = as_field(filled(outlines, box))
        metal = self.material.colors["metal"]
        self.layer.paint(box, cover, metal, self._emboss(cover, emboss))

    def _discs(self, discs: list[Disc]) -> None:
        centres = np.array([disc.centre for disc in discs])
        radius = max(disc.radius for disc in discs)
        box = self.layer.box_around(centres, margin=2 * radius + 2)
        if box is None:
            return
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        mask = filled([disc.centre + circle * max(disc.radius, 0.8) for disc in discs], box)
        cover = as_field(mask)
        role = discs[0].role
        color = button_color(self.material) if role == "trim" else self.material.colors[role]
        light = np.asarray(self.layer.light)
        shift = tuple(np.round(-light * max(0.2 * radius, 0.6)).astype(int))
        shadow = np.roll(softened(mask, max(0.35 * radius, 0.7)), (shift[1], shift[0]), (0, 1))
        self._tone(box, shadow * np.float32(-0.45))
        dome = softened(mask, max(0.5 * radius, 0.6))
        tone = self._emboss(dome, 0.55 * max(0.5 * radius, 0.6))
        if radius > 3:
            glint = [disc.centre + light * disc.radius * 0.38 + circle * disc.radius * 0.22
                     for disc in discs]  # fmt: skip
            tone = tone + as_field(filled(glint, box)) * np.float32(0.7)
            if role == "trim":
                holes = [
                    disc.centre + np.array([side * 0.28, 0.05]) * disc.radius
                    + circle * disc.radius * 0.13
                    for disc in discs for side in (-1, 1)
                ]  # fmt: skip
                tone = tone - as_field(filled(holes, box)) * np.float32(0.7)
        self.layer.paint(box, cover, color, tone)


def _tonal_lines_first(shape: Shape) -> list[Part | Line | Disc]:
    """Return the elements of a shape in an order in which more of them can be painted together.

    The pieces stay in their order. Of the lines and buttons between two pieces, the lines that only
    lighten or darken the cloth come first, sorted by kind. The order of these lines does not
    matter, because each one adds its value to the cloth's brightness.
    """
    ordered: list[Part | Line | Disc] = []
    tonal: list[Line] = []
    others: list[Line | Disc] = []
    for item in (*shape.items, None):
        if isinstance(item, Line) and item.kind in _TONAL:
            tonal.append(item)
        elif isinstance(item, Line | Disc):
            others.append(item)
        else:
            ordered += [*sorted(tonal, key=lambda line: line.kind), *others]
            tonal, others = [], []
            if item is not None:
                ordered.append(item)
    return ordered


def _painted_together(item: Part | Line | Disc) -> tuple[object, object]:
    """Return a key such that successive elements with equal keys can be painted in one step.

    Each piece has its own key. Lines of the same kind share a key, and so do buttons of the same
    role.
    """
    if isinstance(item, Part):
        return ("part", id(item))
    if isinstance(item, Line):
        return ("line", item.kind)
    return ("disc", item.role)


def _has_pattern(part: Part) -> bool:
    return part.patterned and part.role == "main"


def _thickness(outline: Points) -> float:
    """Return the typical width of a piece in pixels: 4 * area / perimeter."""
    x, y = outline[:, 0], outline[:, 1]
    twice_area = x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0]
    length = np.hypot(x[1:] - x[:-1], y[1:] - y[:-1]).sum() + np.hypot(x[0] - x[-1], y[0] - y[-1])
    return 2 * abs(float(twice_area)) / max(float(length), 1e-6)
