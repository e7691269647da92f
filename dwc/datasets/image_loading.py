"""Whatever a file holds -> an upright RGB picture, or a `ImageError` that says why not."""

import hashlib
import struct
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from dwc.errors import ImageError

# Formats whose decoders stay inside Pillow (EPS would start Ghostscript), less those that this
# Pillow was built without.
Image.init()
FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
    if name in Image.OPEN
)
SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff",
        ".avif", ".jp2", ".ppm", ".pgm",
    }
)  # fmt: skip

MAX_PIXELS = 80_000_000  # 240 MB as RGB; just below where Pillow itself starts to warn
# A preprocessor enlarges the short side to 224 px or more, so a 1 x 50,000 strip would become
# 224 x 11,200,000 pixels: the header's pixel count alone does not bound the memory.
MAX_ASPECT = 50
# Larger pictures are halved, once or more, down to this short side or above: more than the 336 px
# that the largest CLIP reads. A JPEG is decoded at a half or a quarter in a fraction of the time,
# what comes after is as much faster, and a batch of photographs stays small in memory.
KEPT_SHORT_SIDE = 512

# What Pillow's decoders raise on damaged files.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(source: str | Path | bytes | Image.Image, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture: upright by its EXIF orientation, RGB, its first frame, alpha over white.

    `source` is a file's path, a file's bytes or a PIL image. `max_pixels` (width x height) is
    checked on the header, before anything is decoded. A short side of twice `KEPT_SHORT_SIDE` or
    more comes back at a half, a quarter or an eighth.

    Raises `ImageError` for what is missing, empty, no picture, cut short, damaged or too large.
    """
    if isinstance(source, Image.Image):
        return _convert(source, "the picture given", max_pixels)
    if isinstance(source, bytes):
        return _decode_file(BytesIO(source), len(source), "the picture given", max_pixels)
    path = Path(source)
    try:
        with path.open("rb") as file:
            return _decode_file(file, path.stat().st_size, str(path), max_pixels)
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file. Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: is a folder, not a picture. Name a file in it.") from None
    except PermissionError:
        raise ImageError(f"{path}: may not be read. Check the file's permissions.") from None


def hash_pixels(image: Image.Image) -> str:
    """What a decoded picture shows, as a key: equal exactly when size and every RGB pixel agree.

    Files that differ in metadata or lossless format share it.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(struct.pack("<II", *image.size))
    digest.update(image.convert("RGB").tobytes())
    return digest.hexdigest()


def _decode_file(file: IO[bytes], size: int, name: str, max_pixels: int) -> Image.Image:
    if size == 0:
        raise ImageError(f"{name}: is empty (0 bytes). Replace it or take it out.")
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        raise ImageError(
            f"{name}: is not a picture that can be read (it begins with {file.read(12)!r}); "
            f"expected {', '.join(FORMATS)}. Convert it or take it out."
        ) from None
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name}: is too large ({error}); at most {max_pixels:,} pixels are read. Shrink it."
        ) from None
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    with image:
        return _convert(image, name, max_pixels)


def _convert(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    width, height = image.size
    if width == 0 or height == 0:
        raise ImageError(f"{name}: has no pixels ({width} x {height}). Give another picture.")
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: is {width} x {height}, {width * height:,} pixels; at most {max_pixels:,} "
            "are read. Shrink it."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"{name}: is {width} x {height}; one side may be at most {MAX_ASPECT} times the "
            "other. Crop it."
        )
    halvings = min(3, (min(width, height) // KEPT_SHORT_SIDE).bit_length() - 1)
    shrink = 2 ** max(0, halvings)
    try:
        if shrink > 1 and image.format in ("JPEG", "MPO"):
            image.draft(None, (width // shrink, height // shrink))
        image.load()
        upright = _turn_upright(image)
        picture = upright if _is_plain_rgb(upright) else _rgb(upright)
        return picture.reduce(shrink) if shrink > 1 and image.size == (width, height) else picture
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error


def _turn_upright(image: Image.Image) -> Image.Image:
    orientation = None
    # A picture with broken EXIF is still a picture; it is taken as upright.
    with suppress(*_DECODER_ERRORS):
        orientation = image.getexif().get(_ORIENTATION_TAG)
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)  # white is 65,535, as PNG defines it
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return _stretch(np.asarray(image).astype(np.float64))
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return image.convert("RGB")


def _stretch(values: np.ndarray) -> Image.Image:
    """Grey values without a declared white: their own least becomes black, their greatest white."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    return Image.fromarray((scaled * 255).round().astype(np.uint8)).convert("RGB")


def _is_plain_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and not image.has_transparency_data


def _damaged(name: str, error: BaseException) -> ImageError:
    return ImageError(
        f"{name}: is cut short or damaged ({error or type(error).__name__}). "
        "Replace it or take it out."
    )
