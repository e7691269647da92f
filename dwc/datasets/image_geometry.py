"""Size and orientation of decoded images.

An image with more pixels than `pixel_limit` is refused before it is decoded (`check_size`). A large
image is reduced to a half, a quarter or an eighth of its width and height (`shrink_divisor`), and a
strip is cropped to a square (`crop_strip`).

The orientation, a number from 1 to 8, is declared in the EXIF data of a file or in the tags of a
TIFF; an image is turned accordingly (`turn_upright`). An orientation in XMP data is ignored.
"""

import os
import struct
from contextlib import suppress

from PIL import Image, TiffImagePlugin

from dwc.datasets.image_details import DECODER_ERRORS
from dwc.errors import ImageError

MAX_PIXELS = 80_000_000  # default limit of pixels in a decoded image: 240 MB as RGB
LIMIT_VARIABLE = "DWC_MAX_DECODED_MB"
_BYTES_PER_PIXEL = 3
# An image that is reduced during decoding may have this many times the limit of pixels. Larger
# images are rejected, because the whole file is still read: a JPEG of 640 megapixels takes seconds.
_MAX_REDUCTION = 8
# Larger images are halved repeatedly, as long as the short side does not fall below this number of
# pixels, which exceeds the 336 px of the largest CLIP's input. Decoding a JPEG at a half or a
# quarter of its size and processing it takes a fraction of the time and memory.
MIN_SHORT_SIDE = 512
# An image with a larger aspect ratio is cropped to a square. Otherwise a preprocessor, which
# resizes the short side to 224 px or more, would enlarge a strip of 1 x 50,000 pixels to
# 224 x 11,200,000, and its thumbnail would be a line.
STRIP_ASPECT = 5


def pixel_limit() -> int:
    """Return the maximum number of pixels (width x height) of a decoded image.

    By default, the decoded RGB image may take 240 MB. The environment variable
    `DWC_MAX_DECODED_MB` sets another number of megabytes.

    Raises:
        ImageError: The variable is not a number of megabytes.
    """
    setting = os.environ.get(LIMIT_VARIABLE)
    if not setting:
        return MAX_PIXELS
    try:
        megabytes = float(setting)
    except ValueError:
        megabytes = 0
    if not 0 < megabytes < 1e9:
        raise ImageError(
            f"{LIMIT_VARIABLE} is {setting!r}; expected a number of megabytes, such as 500."
        )
    return int(megabytes * 1_000_000) // _BYTES_PER_PIXEL


def check_size(image: Image.Image, name: str, limit: int, shrink: int) -> None:
    """Raise an `ImageError` if an image is too large to be decoded.

    Args:
        image: The image as opened.
        name: Name of the image in the error message.
        limit: Maximum number of pixels of the decoded image. Before it is reduced, the image may
            have `_MAX_REDUCTION` times as many.
        shrink: Divisor of width and height during decoding: 1, 2, 4 or 8.
    """
    width, height = image.size
    pixels = width * height
    decoded = -(-width // shrink) * -(-height // shrink)
    if decoded > limit or pixels > _MAX_REDUCTION * limit:
        most = limit if shrink == 1 else _MAX_REDUCTION * limit
        raise ImageError(
            f"{name}: is {width} x {height}, {pixels:,} pixels; at most {most:,} are read, for "
            f"which {limit * _BYTES_PER_PIXEL // 1_000_000} MB of memory are allowed. Shrink it, "
            f"or set {LIMIT_VARIABLE} to more megabytes."
        )


def is_multi_scan(image: Image.Image) -> bool:
    """Return whether decoding a JPEG at a reduced size still needs memory for the full image.

    The result is True for progressive files, and for sequential files whose first scan does not
    contain all color components.
    """
    if image.info.get("progressive") or image.info.get("progression"):
        return True
    file = getattr(image, "fp", None)
    if file is None:
        return False
    position = file.tell()
    try:
        file.seek(2)
        while True:
            marker, length = struct.unpack(">HH", file.read(4))
            if marker == 0xFFDA:  # start of scan; its first byte is the number of components
                return file.read(1)[0] < getattr(image, "layers", 1)
            file.seek(length - 2, os.SEEK_CUR)
    except (struct.error, IndexError, OSError, ValueError):
        return True
    finally:
        file.seek(position)


def shrink_divisor(size: tuple[int, int]) -> int:
    """Return the number by which width and height of an image are divided: 1, 2, 4 or 8.

    It is the largest of these numbers for which the short side keeps at least `MIN_SHORT_SIDE`
    pixels, or 1 for a smaller image.
    """
    halvings = min(3, (min(size) // MIN_SHORT_SIDE).bit_length() - 1)
    return 2 ** max(0, halvings)


def reduce_size(image: Image.Image, shrink: int) -> Image.Image:
    """Divide the width and height of an image by 1, 2, 4 or 8."""
    return image.reduce(shrink) if shrink > 1 else image


def crop_strip(image: Image.Image) -> Image.Image:
    """Return the top square of a tall strip or the middle square of a wide one.

    All other images are returned unchanged; see `STRIP_ASPECT`.
    """
    width, height = image.size
    if height > STRIP_ASPECT * width:
        return image.crop((0, 0, width, width))
    if width > STRIP_ASPECT * height:
        left = (width - height) // 2
        return image.crop((left, 0, left + height, height))
    return image


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
