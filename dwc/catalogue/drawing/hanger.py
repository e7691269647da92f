"""The hanger of a garment that hangs: under the shoulders, or clipped to a waistband."""

import numpy as np

from dwc.catalogue.drawing.parts import Line, Part, Shape, smooth
from dwc.catalogue.drawing.raster import ribbon

_WIRE = 0.026  # thickness, in units of the curves' square


def on_hanger(shape: Shape, clipped: bool) -> Shape:
    """The shape with a hanger between the two points that hold it, drawn behind it.

    `clipped` adds the bar and clips that hold a skirt or trousers. A shape that hangs from
    anything but two points is returned as it is.
    """
    if len(shape.hung_from) != 2:
        return shape
    (left_x, left_y), (right_x, right_y) = sorted(shape.hung_from)
    middle, half = (left_x + right_x) / 2, (right_x - left_x) / 2
    shoulder = (left_y + right_y) / 2
    apex = shoulder - (0.05 + 0.28 * half)
    wires = [
        smooth([(left_x, left_y), (middle - 0.45 * half, apex + 0.11 * half), (middle, apex),
                (middle + 0.45 * half, apex + 0.11 * half), (right_x, right_y)], False, 6),
        smooth([(middle, apex), (middle, apex - 0.05), (middle + 0.05, apex - 0.09),
                (middle + 0.035, apex - 0.15), (middle - 0.02, apex - 0.165),
                (middle - 0.05, apex - 0.13)], False, 6),
    ]  # fmt: skip
    clips: list[Part] = []
    if clipped:
        wires.append(np.array([(left_x, left_y - 0.02), (right_x, right_y - 0.02)]))
        for x, y in shape.hung_from:
            clip = np.array([(x, y - 0.045), (x, y + 0.05)])
            clips.append(Part(ribbon(clip, 0.05), "metal", roundness=0.6, patterned=False))
    behind = [Part(ribbon(wire, _WIRE), "metal", roundness=0.8, patterned=False) for wire in wires]
    shade = Line(wires[0], "crease", _WIRE)
    return Shape((*behind, shade, *shape.items, *clips), shape.print_box, shape.hung_from)
