"""Rotation of a decoded image by the orientation that its file declares.

The orientation is a number from 1 to 8, in the EXIF data of a file or in the tags of a TIFF. An
orientation in XMP data is ignored.
"""

import struct
from contextlib import suppress

from PIL import Image, TiffImagePlugin

from dwc.datasets.image_errors import DECODER_ERRORS

ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I"}  # EXIF's types of integers
_RAW_EXIF = "Raw profile type exif"  # key in the `info` of a PNG that ImageMagick wrote


def undo_orientation(image: Image.Image, orientation: int | None) -> Image.Image:
    """Rotate or mirror an image with an orientation from 2 to 8, so that the result is upright.

    For other values of `orientation`, the image is returned unchanged.
    """
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def turn_upright(image: Image.Image, original: Image.Image) -> Image.Image:
    """Rotate an image upright, by the orientation that its file declares.

    Args:
        image: The image's pixels, possibly converted to another mode.
        original: The image as opened, with the file's metadata.
    """
    orientation = None
    # An image with broken EXIF data can still be used; it is assumed to be upright.
    with suppress(*DECODER_ERRORS):
        orientation = _exif_orientation(original)
    return undo_orientation(image, orientation)


def _exif_orientation(image: Image.Image) -> int | None:
    """Return the orientation (1 to 8) in an image's EXIF data; None if there is none.

    An orientation in XMP data is ignored, as in browsers, because it may be outdated: some editors
    rotate the pixels without changing it. Pillow's `getexif` would use it if the EXIF data have no
    orientation.
    """
    content = image.info.get("exif")
    if content is not None:
        return _read_orientation(content)
    has_xmp = "xmp" in image.info or "XML:com.adobe.xmp" in image.info
    if has_xmp and _RAW_EXIF not in image.info:
        return None
    return image.getexif().get(ORIENTATION_TAG)


def _read_orientation(exif: bytes) -> int | None:
    """Return the orientation in EXIF data; None if there is none.

    This function reads the tag itself, because Pillow stops at the first tag whose value lies
    outside the data. Some cameras and editors write such tags before the orientation.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = "<" if exif[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for number in range(count):
        position = start + 2 + 12 * number
        tag, kind, _ = struct.unpack_from(f"{order}HHI", exif, position)
        if tag == ORIENTATION_TAG and kind in _INTEGER_FORMATS:
            (value,) = struct.unpack_from(order + _INTEGER_FORMATS[kind], exif, position + 8)
            return int(value)
    return None


def prevent_rotation_by_xmp(image: Image.Image) -> None:
    """Remove the orientation from the XMP data of a TIFF that has no orientation in its tags.

    Otherwise, Pillow would rotate the pixels by this orientation while loading them.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile) and ORIENTATION_TAG not in image.tag_v2:
        with suppress(*DECODER_ERRORS):
            image.info.pop("xmp", None)
            image.getexif().pop(ORIENTATION_TAG, None)
