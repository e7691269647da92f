"""How large a decoded image may be, and how a large one or a strip is made smaller.

An image with more pixels than `pixel_limit` is refused before it is decoded (`check_size`). A large
image is reduced to a half, a quarter or an eighth of its width and height (`shrink_divisor`), and a
strip is cropped to a square (`crop_strip`).
"""

import os
import struct

from PIL import Image

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
