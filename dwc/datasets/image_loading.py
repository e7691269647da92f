"""Decoding of image files to upright sRGB images, with an `ImageError` that explains a failure.

The model, the thumbnails and the web page all use this decoder, so that they get the same pixels:

- The image is rotated according to its EXIF orientation, converted to sRGB, and decoded at its true
  brightness even if it is stored with more than 8 bits per channel.
- In a file with several frames or pages, the first one that is neither a single color nor faint
  noise is used. In an animation that fades in, it is the first one with nearly full contrast.
  Pages that are a smaller copy or a mask of another page are skipped.
- A transparent background is replaced with a color that contrasts with the object.
- A large image is reduced in size, during decoding if the file format allows it.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, ImagePalette, TiffImagePlugin

from dwc.datasets.image_color import (
    apply_profile,
    color_space_name,
    convert_to_srgb,
    declared_color,
    jpeg2000_profile,
    png_chunk,
)
from dwc.datasets.image_damage import damage, missing_share
from dwc.datasets.image_kinds import (
    HEIC,
    IMAGE_SUFFIXES,
    SHORTCUT_CURE,
    UndecodableImageError,
    UnsupportedImageError,
    advice_for,
    identify_shortcut,
    printable,
    sniff_kind,
)
from dwc.errors import ImageError
from dwc.files import LFS_CURE, starts_as_lfs_pointer

# pillow-heif opens the primary image of a file, rotates it upright and resets its orientation.
HAS_HEIF = find_spec("pillow_heif") is not None
if HAS_HEIF:
    import pillow_heif

    pillow_heif.register_heif_opener()

# Formats that the installed Pillow decodes by itself. (For EPS, it would start the external program
# Ghostscript.)
Image.init()
FORMATS = tuple(
    name
    for name in (
        "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM",
        *(("HEIF",) if HAS_HEIF else ()),
    )
    if name in Image.OPEN
)  # fmt: skip
SUFFIXES = IMAGE_SUFFIXES | ({".heic", ".heif", ".hif"} if HAS_HEIF else set())
DECODER_VERSION = f"2, Pillow {Image.__version__}, {' '.join(FORMATS)}"
"""Identifies the set of readable formats. If it changes, unreadable files are tried again."""

RENDERING_VERSION = 14
"""Version of the decoder's output, incremented when pixels, their hashes or issues change.

The images of a gallery that was indexed with another version are decoded and hashed again.
"""

MAX_PIXELS = 80_000_000  # default limit of pixels in a decoded image: 240 MB as RGB
LIMIT_VARIABLE = "DWC_MAX_DECODED_MB"
_BYTES_PER_PIXEL = 3
# An image that is reduced during decoding may have this many times the limit of pixels. Larger
# images are rejected, because the whole file is still read: a JPEG of 640 megapixels takes seconds.
_MAX_REDUCTION = 8
# An image with a larger aspect ratio is cropped to a square. Otherwise a preprocessor, which
# resizes the short side to 224 px or more, would enlarge a strip of 1 x 50,000 pixels to
# 224 x 11,200,000, and its thumbnail would be a line.
STRIP_ASPECT = 5
# Images with a larger aspect ratio have the issue `ELONGATED`. A preprocessor makes a square of
# them, in which garments are squeezed or cut off. None of 5,574 photographs of clothes has more
# than 2.22, of 466 that were cropped close to the garment one has more, and the screens of phones
# have at most 2.44. Of 40 photographs with a margin of their ground up to 2, 2.5, 3, 4 and 5, 29 %,
# 38 %, 48 %, 64 % and 73 % of the first 12 among 400 changed for the bundled checkpoint if they
# were tall, and 55 %, 69 %, 78 %, 86 % and 89 % if they were wide.
MAX_ASPECT = 2.5
# Larger images are halved repeatedly, as long as the short side does not fall below this number of
# pixels, which exceeds the 336 px of the largest CLIP's input. Decoding a JPEG at a half or a
# quarter of its size and processing it takes a fraction of the time and memory.
MIN_SHORT_SIDE = 512
# Images with a shorter side are too small to compare well. Of 60 photographs of clothes that were
# reduced to 40, 48 and 64 px, 27 %, 23 % and 18 % of the first 12 among 400 changed for the bundled
# checkpoint; the similarity to the embedding at full size was 0.93, 0.95 and 0.97.
SMALL_SIDE = 48
# Maximum number of frames of an animation that are decoded to find one with more than one color.
# After such a frame, the limit of pixels applies to all frames together, too.
_MAX_FRAMES = 48
# If the first frame has content, no more than these frames and pixels are decoded, unless a frame
# is a version of the first one with this many times its contrast, so that the picture may fade in.
_LEAST_FRAMES = 4
_LEAST_COMPARED_PIXELS = 1_000_000
_LEAST_RISE = 1.02
# The first frame of an animation with content is used if it has this share of the highest contrast
# of the picture that fades in, and otherwise the first frame that has nearly all of it.
_LEAST_CONTRAST = 0.8
_FULL_CONTRAST = 0.95
# Frames are compared on a grid of 32 x 32 fields. A frame shows another picture than the one that
# is used if both of these hold: its colors, in 64 bins, differ in more than this share of the
# fields, and its levels correlate less. The first excludes that a garment moves or turns (of 300
# photographs that were moved and scaled, none differed by more; of pairs of photographs, 95 % by
# 0.42 or more), the second that it fades.
_OTHER_COLORS = 0.35
_FADE_CORRELATION = 0.9
_COMPARED_GRID = 32
# A page of a TIFF is a copy of another page, such as an untagged preview, if the mean difference
# of their fields is at most this many levels.
_COPIED_PAGE_DIFFERENCE = 6
_SINGLE_COLOR_RANGE = 8
# A frame whose levels differ by more than that, but at most by `_NOISE_RANGE`, is noise around a
# single color if its means differ by at most `_NOISE_MEAN_RANGE` in a grid of 8 x 8 fields. In each
# of 2,028 photographs that were faded to such ranges, they differ by more.
_NOISE_RANGE = 16
_NOISE_MEAN_RANGE = 2
_NOISE_GRID = 8
_ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF", "TIFF"})
# Background colors (RGB) for images with a transparent background. The first color that hides at
# most a quarter of the object is used. A pixel of the object is hidden if each of its channels
# differs from the background by less than `_HIDDEN_DIFFERENCE`.
_BACKGROUNDS = {(255, 255, 255): "white", (128, 128, 128): "gray", (40, 40, 40): "near black"}
_HIDDEN_DIFFERENCE = 40
# If less of an image is transparent, such as the rounded corners of a screenshot, it is as good as
# opaque.
_LEAST_TRANSPARENT = 0.01
# A pixel with an alpha in this range is half transparent. More than a quarter of an object's pixels
# are more than its edges and its shadow.
_HALF_TRANSPARENT = (16, 239)
_MOST_HALF_TRANSPARENT = 0.25

# Exceptions that Pillow's decoders raise on damaged files.
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

IGNORED_PROFILE = "ignored_profile"
"""Key that is set in the `info` of a decoded image if its color profile was broken and ignored."""

PART_OF = "part_of"
"""Key in the `info` of a decoded image that shows only a part of its source.

Such an image is a square cut from a strip, or one frame of an animation. The key's value is a hash
of the whole source: of the file's content, or, if a PIL image was decoded, of its pixels.
"""

STRIP_PART = "strip_part"
"""Key in the `info` of a decoded image that is a square cut from a strip.

The key's value is the square's position: "top" of a high strip, "middle" of a wide one.
"""

STRIP_SIZE = "strip_size"
"""Key in the `info` of a decoded image that is a square cut from a strip.

The key's value is the width and height of the whole strip in pixels, as stored in its file.
"""

BLANK_PART = "blank_part"
"""Key that is set in the `info` of a decoded image that is a square cut from a strip.

It is set if the square has a single color, and the rest of the strip does not.
"""

FRAME = "frame"
"""Key in the `info` of a decoded image that is one of several frames or pages of its file.

The key's value is the number of the frame or page, from 1.
"""

OTHER_FRAMES = "other_frames"
"""Key that is set in the `info` of a decoded image if its file also shows other pictures.

These are pages of a TIFF, and frames of an animation with other colors. Smaller copies of the
image do not count, and neither do frames in which a garment moves or fades.
"""

MISSING_SHARE = "missing_share"
"""Key in the `info` of a decoded image whose file may be incomplete, since its last part is zeros.

The key's value is this part's share of the image's pixels, between 0 and 1.
"""

_DETAILS = (STRIP_PART, STRIP_SIZE, BLANK_PART, FRAME, OTHER_FRAMES, MISSING_SHARE)

BLANK = "blank"
ELONGATED = "elongated"
_ISSUES_BY_KEY = {
    IGNORED_PROFILE: "ignored_profiles",
    OTHER_FRAMES: "other_frames",
    MISSING_SHARE: "incomplete",
}
ISSUES = (*_ISSUES_BY_KEY.values(), BLANK, ELONGATED)
"""Names of the issues that a decoded image may have.

Its color profile is broken, its file also shows other pictures, its file may be incomplete, nothing
can be seen in it, or it is so tall or wide that the model gets little of it.
"""

FILLED_WITH = "filled_with"
"""Key in the `info` of a decoded image whose transparent parts were filled.

The key's value is the name of the color: "white", "gray" or "near black".
"""

HALF_TRANSPARENT = "half_transparent"
"""Key that is set in the `info` of a decoded image if its colors are mixed with the filling."""


def decode(source: str | Path | bytes | Image.Image, max_pixels: int | None = None) -> Image.Image:
    """Decode an image to an upright sRGB image without alpha channel.

    An image whose short side is at least twice `MIN_SHORT_SIDE` is reduced to a half, a quarter or
    an eighth of its width and height. A strip, with one side more than `STRIP_ASPECT` times as
    long as the other, is cropped to a square: the top of a tall strip, or the middle of a wide one.

    Args:
        source: Path of a file, content of a file, or a PIL image.
        max_pixels: Maximum number of pixels (width x height) to decode, by default `pixel_limit()`.
            The limit is checked before decoding. For a JPEG that is reduced during decoding, the
            limit applies to the number of pixels after the reduction.

    Raises:
        ImageError: The source is missing, too large or not accessible.
        UndecodableImageError: The source is empty, not an image, truncated or damaged.
        UnsupportedImageError: The source is an image of a kind that cannot be read here.
    """
    limit = pixel_limit() if max_pixels is None else max_pixels
    if isinstance(source, Image.Image):
        return _convert(source, "the picture given", limit)
    if isinstance(source, bytes):
        return decode_file(BytesIO(source), "the picture given", limit)
    name = printable(source)
    with open_binary(source) as file:
        return decode_file(file, name, limit)


def open_binary(path: str | Path) -> IO[bytes]:
    """Open a file for reading; raise `ImageError` if that fails."""
    name = printable(path)
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name}: there is no such file. Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: is a folder, not a picture. Name a file in it.") from None
    except PermissionError:
        raise ImageError(f"{name}: may not be read. Check the file's permissions.") from None
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}).") from error


def decode_file(file: IO[bytes], name: str, max_pixels: int | None = None) -> Image.Image:
    """Decode the image in an open file, in the same way as `decode`.

    Args:
        file: The open file.
        name: Name of the file in error messages.
        max_pixels: Maximum number of pixels (width x height) to decode, by default `pixel_limit()`.
    """
    limit = pixel_limit() if max_pixels is None else max_pixels
    try:
        file.seek(0)
        header = file.read(64)
        if not header:
            raise UndecodableImageError(f"{name}: is empty (0 bytes). Replace it or take it out.")
        image = _open_image(file, header, name)
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    if image is None:
        return _decode_unidentified(file, header, name, limit)
    with image:
        if _has_deep_planes(image):
            planes = _decode_deep_planes(image, file, name, limit)
            return _convert(planes, name, limit, file)
        return _convert(image, name, limit, file, lambda: _open_image(file, header, name))


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


def hash_pixels(image: Image.Image) -> str:
    """Return a hash of 32 hex digits of a decoded image's width, height and RGB pixels.

    Files with the same pixels have the same hash, even if their metadata or lossless formats
    differ. If the image is only a part of its source, such as one frame of an animation, the hash
    also depends on the rest of the source; see `PART_OF`.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(struct.pack("<II", *image.size))
    digest.update(image.info.get(PART_OF, "").encode())
    digest.update((image if image.mode == "RGB" else image.convert("RGB")).tobytes())
    return digest.hexdigest()


def _open_image(file: IO[bytes], header: bytes, name: str) -> Image.Image | None:
    """Open an image file after finding out its format; return None if the format is not readable.

    The readable formats are those in `FORMATS`, and TGA for files with the suffix ".tga".

    Unlike `Image.open`, this function does not limit the number of pixels. `Image.open` would apply
    its limit to the full size of a JPEG, although the image may be small enough after reduction.
    """
    formats = list(FORMATS)
    if name.lower().endswith(".tga"):  # TGA has no signature at its beginning
        formats.append("TGA")
    for format in formats:
        factory, accept = Image.OPEN[format]
        if accept is not None and accept(header[:16]) is not True:
            continue
        file.seek(0)
        with suppress(SyntaxError, IndexError, TypeError, struct.error):
            return factory(file, "")
    return None


def _decode_unidentified(file: IO[bytes], header: bytes, name: str, limit: int) -> Image.Image:
    kind = sniff_kind(header)
    if kind == "TIFF":
        return _decode_float_tiff(file, header, name, limit)
    if kind is not None and (kind not in FORMATS or kind == HEIC):
        raise UnsupportedImageError(
            f"{name}: is a {kind} picture, which is not read here. {advice_for(kind)}", kind
        )
    if starts_as_lfs_pointer(header):
        raise UndecodableImageError(
            f"{name}: is a Git LFS pointer, not the picture itself. {LFS_CURE}."
        )
    if (shortcut := identify_shortcut("", header)) is not None:
        raise UndecodableImageError(f"{name}: is a {shortcut}, not a picture. {SHORTCUT_CURE}")
    raise UndecodableImageError(
        f"{name}: is not a picture that can be read (it begins with {header[:12]!r}); expected "
        f"{', '.join(FORMATS)}. Convert it or take it out."
    )


def _convert(
    image: Image.Image,
    name: str,
    limit: int,
    file: IO[bytes] | None = None,
    reopen: Callable[[], Image.Image | None] | None = None,
) -> Image.Image:
    """Load an opened image and convert it to an upright sRGB image.

    Args:
        image: The image.
        name: Name of the image in error messages.
        limit: Maximum number of pixels to decode.
        file: The file that contains the image; None if a PIL image was given.
        reopen: Function that opens the image again, to read the low bytes of 16-bit levels; None if
            that is impossible.
    """
    page_tiles: list[Any] = []
    try:
        is_animated = image.format in _ANIMATED and bool(getattr(image, "is_animated", False))
        if is_animated:
            _seek_full_page(image)
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    width, height = image.size
    if width == 0 or height == 0:
        raise UndecodableImageError(
            f"{name}: has no pixels ({width} x {height}). Give another picture."
        )
    shrink = _shrink_divisor(image.size)
    try:
        reducible = image.format in ("JPEG", "MPO") and not _is_multi_scan(image)
        _check_size(image, name, limit, shrink if reducible else 1)
        if shrink > 1 and reducible:
            image.draft(None, (width // shrink, height // shrink))
        part_of = image.info.get(PART_OF)  # set if the given image was decoded here before
        details = {key: image.info.get(key) for key in _DETAILS} if file is None else {}
        if is_animated:
            pages, has_other_frames, page_tiles = _seek_content(image, name, limit)
            details[FRAME] = image.tell() + 1 if pages > 1 else None
            details[OTHER_FRAMES] = has_other_frames
            width, height = image.size
            shrink = _shrink_divisor(image.size)
        raw_mode = _deep_raw_mode(image)
        _scale_transparent_level(image)
        _prevent_rotation_by_xmp(image)
        _read_byte_palette(image)
        is_premultiplied = _read_premultiplied_planes(image)
        tiles = list(getattr(image, "tile", ())) or page_tiles  # no tiles if loaded already
        image.load()
        if file is not None:
            details[MISSING_SHARE] = missing_share(image, tiles)
        if file is not None and (sign := damage(image, file)) is not None:
            raise UndecodableImageError(
                f"{name}: is cut short or damaged ({sign}). Replace it, or take it out."
            )
        if raw_mode is not None and reopen is not None:
            converted = _restore_depth(image, raw_mode, _is_declared_scaled(image, file), reopen)
        else:
            converted = _to_eight_bits(image, file)
        if is_premultiplied:
            converted = Image.frombytes("RGBa", image.size, image.tobytes()).convert("RGBA")
        converted = _clear_outside_frame(converted, image)
        converted = _drop_unused_alpha(converted, image.format)
        reduced = image.size != (width, height)
        icc = image.info.get("icc_profile")
        if image.format == "JPEG2000" and file is not None:
            icc = icc or jpeg2000_profile(file)
        upright = _turn_upright(converted, image)
        part = _take_part(upright)
        if part.size != upright.size:
            details[STRIP_PART] = "top" if upright.height > upright.width else "middle"
            details[STRIP_SIZE] = (width, height)
        if is_animated or part.size != upright.size:
            part_of = hash_pixels(upright) if file is None else _hash_content(file)
        declared = declared_color(image, file)
        profile = None if declared is not None else icc
        shrink = 1 if reduced else shrink
        result = _to_srgb(part, profile, shrink)
        if part.size != upright.size and not _has_content(result):
            details[BLANK_PART] = _has_content(_to_srgb(upright, profile, shrink))
        is_labeled = file is None or part.has_transparency_data  # a PNG's text is in `info`, too
        filling: dict[str | tuple[int, int], Any] = {
            key: result.info[key]
            for key in (FILLED_WITH, HALF_TRANSPARENT)
            if is_labeled and key in result.info
        }
        if declared is not None:
            result = convert_to_srgb(result, declared)
        if result is image and (is_animated or (file is None and result.info)):
            # The caller's image keeps its metadata, and the result does not read the file again.
            result = result.copy()
        ignored = profile and color_space_name(profile) is None
        result.info = {**filling, **({IGNORED_PROFILE: True} if ignored else {})}
        if part_of is not None:
            result.info[PART_OF] = part_of
        result.info |= {key: value for key, value in details.items() if value}
        return result
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error


def _clear_outside_frame(converted: Image.Image, original: Image.Image) -> Image.Image:
    """Make the area around a GIF's first frame transparent, as in browsers.

    The first frame may be smaller than the image. Pillow fills the area around it with the
    background color in the file. Browsers ignore this color.

    Args:
        converted: The image's pixels, possibly converted to another mode.
        original: The image as opened.
    """
    extent = getattr(original, "dispose_extent", None)  # set by Pillow for GIF only
    if original.format != "GIF" or original.tell() or extent in (None, (0, 0, *original.size)):
        return converted
    result = Image.new("RGBA", converted.size)
    result.paste(converted.crop(extent).convert("RGBA"), extent)
    return result


def _shrink_divisor(size: tuple[int, int]) -> int:
    """Return the number by which width and height of an image are divided: 1, 2, 4 or 8.

    It is the largest of these numbers for which the short side keeps at least `MIN_SHORT_SIDE`
    pixels, or 1 for a smaller image.
    """
    halvings = min(3, (min(size) // MIN_SHORT_SIDE).bit_length() - 1)
    return 2 ** max(0, halvings)


def _hash_content(file: IO[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _check_size(image: Image.Image, name: str, limit: int, shrink: int) -> None:
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


def _is_multi_scan(image: Image.Image) -> bool:
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


def _is_secondary(image: Image.Image) -> bool:
    """Return whether the current page of a TIFF is a smaller copy or a mask of another page."""
    if image.format != "TIFF":
        return False
    kind = getattr(image, "tag_v2", {}).get(_SUBFILE_TAG, 0)
    return isinstance(kind, int) and bool(kind & _SECONDARY_PAGE)


def _seek_full_page(image: Image.Image) -> None:
    """Seek to the first frame that is neither a smaller copy nor a mask of another frame.

    If there is no such frame, seek to the first frame. The default image of an animated PNG is
    skipped if it is not part of the animation.
    """
    first = 1 if image.info.get("default_image") else 0
    for frame in range(first, _MAX_FRAMES):
        try:
            image.seek(frame)
        except EOFError:
            break
        if not _is_secondary(image):
            return
    image.seek(first)


def _seek_content(image: Image.Image, name: str, limit: int) -> tuple[int, bool, list[Any]]:
    """Seek to the frame to use; the search begins at the current frame.

    The frame to use is the first one with content; see `_has_content`. But if an animation fades in
    and this frame has clearly less contrast than a later frame, the first frame with nearly the
    highest contrast is used. The animation fades in if the later frame shows the same picture, or
    if a frame without content comes first. If no frame has content, the position does not change.

    Few frames are decoded if the first one has content and the picture does not fade in; see
    `_is_settled`. A GIF of 24 frames of 600 x 600 pixels then takes 0.08 s of CPU time instead of
    0.39 s. If the picture fades in, up to 48 frames are decoded.

    Args:
        image: The image.
        name: Name of the image in error messages.
        limit: Maximum number of pixels to decode.

    Returns:
        A tuple: the number of decoded frames or pages, where copies and masks of a page are not
        counted; whether one of them shows another picture than the used one; and the `tile` of the
        used frame, as it was before this frame was loaded.
    """
    first = image.tell()
    tiles: dict[int, list[Any]] = {}  # by number of the frame
    grids: dict[int, NDArray[np.float64]] = {}  # by number of the frame, (32, 32, 3)
    pixels = blank = 0
    for frame in range(first, _MAX_FRAMES):
        try:
            image.seek(frame)
            # Pillow rewinds an animated PNG only from a frame that it has not loaded yet.
            if _is_settled(grids, first, pixels, image.format == "TIFF"):
                break
            if frame > first and _is_secondary(image):
                continue
            pixels += image.width * image.height
            if grids and pixels > limit:
                break
            _check_size(image, name, limit, 1)
            _prevent_rotation_by_xmp(image)
            _read_byte_palette(image)
            tiles[frame] = list(getattr(image, "tile", ()))
            layers = image.convert("RGBA")
        except EOFError:
            break
        except _DECODER_ERRORS:
            if grids:  # what follows is not needed
                break
            raise
        if _has_content(layers):
            grids[frame] = _grid(layers)
        else:
            blank += 1
    if not grids:
        image.seek(first)
        return blank, False, tiles.get(first, [])
    used = min(grids)
    if image.format == "TIFF":
        others = [grid for grid in grids.values() if _is_other_page(grid, grids[used])]
        image.seek(used)
        return blank + 1 + len(others), bool(others), tiles[used]
    contrasts = {
        frame: _contrast(grid)
        for frame, grid in grids.items()
        if used > first or _is_fade(grid, grids[used])
    }
    highest = max(contrasts.values())
    if contrasts[used] < _LEAST_CONTRAST * highest:
        used = next(n for n, value in contrasts.items() if value >= _FULL_CONTRAST * highest)
    image.seek(used)
    is_other = any(_shows_another(grid, grids[used]) for grid in grids.values())
    return blank + len(grids), is_other, tiles[used]


def _is_settled(
    grids: Mapping[int, NDArray[np.float64]], first: int, pixels: int, are_pages: bool
) -> bool:
    """Return whether enough frames have been decoded to choose the frame to use.

    For a TIFF, two different pages or a few copies of one page are enough. For an animation whose
    first frame has content, a few frames are enough, unless one of them shows the picture of the
    first frame with more contrast.

    Args:
        grids: The mean colors (32, 32, 3) of the decoded frames that have content, by the frame's
            number; see `_grid`.
        first: The number of the first frame.
        pixels: The number of pixels of all decoded frames.
        are_pages: Whether the frames are pages of a TIFF.
    """
    used = grids.get(min(grids, default=first))
    if used is None:
        return False
    if are_pages and any(_is_other_page(grid, used) for grid in grids.values()):
        return True
    if len(grids) < _LEAST_FRAMES or pixels < _LEAST_COMPARED_PIXELS:
        return False
    if are_pages:
        return True
    most = _LEAST_RISE * _contrast(used)
    fades_in = any(_contrast(grid) > most and _is_fade(grid, used) for grid in grids.values())
    return first in grids and not fades_in


def _is_other_page(grid: NDArray[np.float64], used: NDArray[np.float64]) -> bool:
    """Return whether a page of a TIFF shows another picture than the page that is used.

    Args:
        grid: The page's mean colors in a grid of 32 x 32 cells, (32, 32, 3); see `_grid`.
        used: The mean colors of the page that is used.
    """
    return float(np.abs(grid - used).mean()) > _COPIED_PAGE_DIFFERENCE


def _contrast(grid: NDArray[np.float64]) -> float:
    """Return a frame's contrast: the standard deviation of its colors, summed over the channels.

    Args:
        grid: The frame's mean colors in a grid of 32 x 32 cells, (32, 32, 3); see `_grid`.
    """
    return float(grid.std(axis=(0, 1)).sum())


def _grid(frame: Image.Image) -> NDArray[np.float64]:
    """Return an image's mean colors in a grid of 32 x 32 cells, as an array (32, 32, 3).

    The image is RGBA; its transparent parts count as white.
    """
    size = (_COMPARED_GRID, _COMPARED_GRID)
    means = frame.resize(size, Image.Resampling.BOX)
    means = Image.alpha_composite(Image.new("RGBA", size, "white"), means)
    return np.asarray(means.convert("RGB"), dtype=np.float64)


def _shows_another(grid: NDArray[np.float64], used: NDArray[np.float64]) -> bool:
    """Return whether a frame shows another picture than the frame that is used.

    Args:
        grid: The frame's mean colors in a grid of 32 x 32 cells, (32, 32, 3); see `_grid`.
        used: The mean colors of the frame that is used.
    """
    histograms = []
    for levels in (grid, used):
        bins = (levels.astype(np.int64) >> 6) @ (16, 4, 1)
        histograms.append(np.bincount(bins.ravel(), minlength=64) / bins.size)
    if 1 - np.minimum(*histograms).sum() <= _OTHER_COLORS:
        return False
    return not _is_fade(grid, used)


def _is_fade(grid: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Return whether two frames show the same picture, even if one of them is paler.

    Args:
        grid: The mean colors of one frame in a grid of 32 x 32 cells, (32, 32, 3); see `_grid`.
        other: The mean colors of the other frame.
    """
    centered = [levels - levels.mean(axis=(0, 1)) for levels in (grid, other)]
    norms = [float(np.linalg.norm(levels)) for levels in centered]
    return float((centered[0] * centered[1]).sum()) >= _FADE_CORRELATION * norms[0] * norms[1]


def _has_content(frame: Image.Image) -> bool:
    """Return whether an RGB or RGBA image has content.

    An image has no content if it is transparent, a single color, or a single color with faint
    noise.
    """
    if frame.mode == "RGBA" and frame.getchannel("A").getextrema() == (0, 0):
        return False
    span = _largest_span(frame)
    if not _SINGLE_COLOR_RANGE < span <= _NOISE_RANGE:
        return span > _NOISE_RANGE
    means = frame.resize((_NOISE_GRID, _NOISE_GRID), Image.Resampling.BOX)
    return _largest_span(means) > _NOISE_MEAN_RANGE


def _largest_span(image: Image.Image) -> int:
    """Return the range of levels (highest minus lowest) of the channel with the largest range."""
    ranges = [band.getextrema() for band in image.split()]
    return max(int(high) - int(low) for low, high in ranges)  # type: ignore[arg-type]


def _turn_upright(image: Image.Image, original: Image.Image) -> Image.Image:
    orientation = None
    # An image with broken EXIF data can still be used; it is assumed to be upright.
    with suppress(*_DECODER_ERRORS):
        orientation = _exif_orientation(original)
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


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
    return image.getexif().get(_ORIENTATION_TAG)


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
        if tag == _ORIENTATION_TAG and kind in _INTEGER_FORMATS:
            (value,) = struct.unpack_from(order + _INTEGER_FORMATS[kind], exif, position + 8)
            return int(value)
    return None


_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I"}  # EXIF's types of integers


def _prevent_rotation_by_xmp(image: Image.Image) -> None:
    """Remove the orientation from the XMP data of a TIFF that has no orientation in its tags.

    Otherwise, Pillow would rotate the pixels by this orientation while loading them.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _ORIENTATION_TAG not in image.tag_v2:
        with suppress(*_DECODER_ERRORS):
            image.info.pop("xmp", None)
            image.getexif().pop(_ORIENTATION_TAG, None)


_RAW_EXIF = "Raw profile type exif"  # key in the `info` of a PNG that ImageMagick wrote


def _take_part(image: Image.Image) -> Image.Image:
    width, height = image.size
    if height > STRIP_ASPECT * width:
        return image.crop((0, 0, width, width))
    if width > STRIP_ASPECT * height:
        left = (width - height) // 2
        return image.crop((left, 0, left + height, height))
    return image


def _to_srgb(image: Image.Image, icc: bytes | None, shrink: int) -> Image.Image:
    """Convert an upright image of at most 8 bits per channel to sRGB and reduce its size.

    Args:
        image: The image.
        icc: Content of its ICC color profile, or None.
        shrink: Divisor of width and height: 1, 2, 4 or 8.
    """
    if image.has_transparency_data:
        layers = _convert_layers(image, icc)
        return _reduce(_flatten(layers), shrink)
    if image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("RGB")
    if icc or image.mode == "LAB":
        return apply_profile(_reduce(image, shrink), icc)
    return _reduce(image if image.mode == "RGB" else image.convert("RGB"), shrink)


def _convert_layers(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert an image with transparency to sRGB with an alpha channel (RGBA).

    Args:
        image: The image.
        icc: Content of its ICC color profile, or None.
    """
    if not image.mode.startswith("L"):
        return apply_profile(image.convert("RGBA"), icc)
    gray = image.convert("LA")  # a profile for gray images does not fit RGBA
    layers = apply_profile(gray.convert("L"), icc)
    layers.putalpha(gray.getchannel("A"))
    return layers


def _scale_transparent_level(image: Image.Image) -> None:
    """Scale the transparent gray level of a 2-bit or 4-bit PNG to 8 bits.

    In such a PNG, all pixels of one gray level are transparent. Pillow scales the pixels to 8 bits,
    but not this level. Call the function before the pixels are loaded.
    """
    level = image.info.get("transparency")
    tiles = getattr(image, "tile", None)
    raw_mode = tiles[0].args if image.format == "PNG" and tiles else None
    bits = {"L;2": 2, "L;4": 4}.get(raw_mode) if isinstance(raw_mode, str) else None
    if bits is not None and isinstance(level, int):
        image.info["transparency"] = level * 255 // (2**bits - 1)


def _read_byte_palette(image: Image.Image) -> None:
    """Correct the palette of a TIFF that has 8-bit levels in its palette of 16-bit numbers.

    Some scanners and old programs write such files. Pillow reads only the high byte of each number,
    which is zero, so the palette would be black. Like libtiff, this function assumes 8-bit levels
    if no level is above 255. Call it before the pixels are loaded.
    """
    if image.format != "TIFF" or image.mode not in ("P", "PA") or image.palette is None:
        return
    levels = getattr(image, "tag_v2", {}).get(TiffImagePlugin.COLORMAP, ())
    if not any(image.palette.palette) and 0 < max(levels, default=0) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(levels))


def _read_premultiplied_planes(image: Image.Image) -> bool:
    """Prepare a TIFF with associated alpha in a separate plane, so that Pillow can load it.

    With associated alpha, the stored colors have been multiplied by alpha. A plane has the levels
    of one channel for all pixels. Pillow cannot decode such an alpha plane, so it is declared as a
    plane of ordinary alpha. Call the function before the pixels are loaded.

    Returns:
        Whether the image is such a TIFF. If so, the caller must divide the loaded colors by alpha.
    """
    tiles = getattr(image, "tile", None)
    if image.format != "TIFF" or image.mode != "RGBA" or not tiles:
        return False
    planes = [tile.args[0] if isinstance(tile.args, tuple) else tile.args for tile in tiles]
    if "a" not in planes:
        return False
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=("A", *tile.args[1:])) if plane == "a" else tile
        for tile, plane in zip(tiles, planes, strict=True)
    ]
    return True


def _reduce(image: Image.Image, shrink: int) -> Image.Image:
    return image.reduce(shrink) if shrink > 1 else image


def find_issues(image: Image.Image) -> frozenset[str]:
    """Return the issues of a decoded image, as names in `ISSUES`."""
    found = {name for key, name in _ISSUES_BY_KEY.items() if key in image.info}
    if is_blank(image):
        found.add(BLANK)
    elif aspect_ratio(image) > MAX_ASPECT:
        found.add(ELONGATED)
    return frozenset(found)


def is_blank(image: Image.Image) -> bool:
    """Return whether a decoded image shows a single color, or a single color with faint noise.

    If the image is a square cut from a strip, the result is about the whole strip.
    """
    return BLANK_PART not in image.info and not _has_content(image)


def aspect_ratio(image: Image.Image) -> float:
    """Return the ratio of the long side of a decoded image to its short side, at least 1.

    If the image is a square cut from a strip, the result is the ratio of the whole strip.
    """
    size = image.info.get(STRIP_SIZE, image.size)
    return float(max(size) / min(size))


def _flatten(layers: Image.Image) -> Image.Image:
    """Blend an RGBA image with a background color that contrasts with its opaque parts.

    The `info` of the result has at most two keys. If at least 1 % of the image is transparent,
    `FILLED_WITH` is the name of the background color. If, in addition, more than a quarter of the
    visible pixels are half transparent, `HALF_TRANSPARENT` is True.
    """
    alpha = layers.getchannel("A")
    if alpha.getextrema() == (255, 255):
        result = layers.convert("RGB")
        result.info = {}
        return result
    sample = layers.resize((min(128, layers.width), min(128, layers.height)), reducing_gap=None)
    values = np.asarray(sample, dtype=np.int64)
    weights = values[..., 3]
    total = int(weights.sum())
    hidden = []
    for background in _BACKGROUNDS:
        difference = np.abs(values[..., :3] - background).max(axis=-1)
        hidden.append(int(weights[difference < _HIDDEN_DIFFERENCE].sum()))
    best = next((n for n, weight in enumerate(hidden) if 4 * weight <= total), None)
    if best is None:
        best = int(np.argmin(hidden))
    color, name = list(_BACKGROUNDS.items())[best]
    ground = Image.new("RGBA", layers.size, (*color, 255))
    result = Image.alpha_composite(ground, layers).convert("RGB")
    result.info = {}
    counts = np.array(alpha.histogram())
    low, high = _HALF_TRANSPARENT
    if np.arange(255, -1, -1) @ counts >= _LEAST_TRANSPARENT * 255 * counts.sum():
        result.info[FILLED_WITH] = name
        if counts[low : high + 1].sum() > _MOST_HALF_TRANSPARENT * counts[low:].sum():
            result.info[HALF_TRANSPARENT] = True
    return result


def _to_eight_bits(image: Image.Image, file: IO[bytes] | None) -> Image.Image:
    """Convert a gray image of more than 8 bits to 8 bits, at its true brightness.

    The levels are inverted if a TIFF declares that the level 0 is white. Images of at most 8 bits
    are returned unchanged; Pillow has already inverted them if necessary.

    Args:
        image: The loaded image.
        file: The file that contains the image; None if a PIL image was given.
    """
    converted = _reduce_depth(image, file)
    is_inverted = image.format == "TIFF" and _is_zero_white(getattr(image, "tag_v2", {}))
    return ImageOps.invert(converted) if is_inverted and converted is not image else converted


def _is_zero_white(tags: Mapping[int, Any]) -> bool:
    """Return whether the tags of a TIFF declare that the level 0 is white."""
    return tags.get(_PHOTOMETRIC_TAG) == 0


def _drop_unused_alpha(image: Image.Image, format: str | None) -> Image.Image:
    """Return a BMP or TGA image without its alpha channel if this channel is zero everywhere.

    Many programs write BMP and TGA files whose fourth channel is unused and zero. All other images
    are returned unchanged.

    Args:
        image: The loaded image.
        format: The file's format.
    """
    if format not in ("BMP", "TGA") or image.mode != "RGBA":
        return image
    return image.convert("RGB") if image.getchannel("A").getextrema() == (0, 0) else image


def _reduce_depth(image: Image.Image, file: IO[bytes] | None) -> Image.Image:
    if image.mode.startswith("I;16"):
        bits = 16 if _is_declared_scaled(image, file) else None
        levels = np.asarray(image).astype(np.uint16)
        reduced = _from_levels(levels, bits)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):  # the level of a PNG that is transparent
            reduced.putalpha(Image.fromarray(((levels != transparent) * 255).astype(np.uint8)))
        return reduced
    if image.mode == "I":
        integers = np.asarray(image)
        if image.format == "TIFF" and integers.min() < 0 and _is_unsigned(image):
            return _from_numbers(integers.view(np.uint32).astype(np.float64))
        if (integers.min() >= 0 and 255 < integers.max() <= 65_535) or image.format == "PPM":
            # A PGM file declares its white level, which Pillow scales to 65,535.
            is_scaled = image.format == "PPM" or _is_declared_scaled(image, file)
            return _from_levels(integers.astype(np.uint16), 16 if is_scaled else None)
        return _from_numbers(integers.astype(np.float64))
    if image.mode == "F":
        return _from_numbers(np.asarray(image).astype(np.float64))
    return image


def _is_unsigned(image: Image.Image) -> bool:
    """Return whether a TIFF declares that its integers are unsigned.

    Pillow may nevertheless have read them as signed integers.
    """
    return 1 in np.ravel(getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT_TAG, 1))


def _from_levels(levels: NDArray[np.uint16], bits: int | None = None) -> Image.Image:
    """Convert 16-bit brightness levels to an 8-bit image.

    Scanners and cameras with 10, 12 or 14 bits often store their levels unscaled in 16 bits. If
    the number of bits is unknown, it is assumed to be the smallest of 10, 12, 14 and 16 that fits
    all levels. But if all levels are multiples of 257, they are assumed to be 8-bit levels that
    were scaled to 16 bits.

    Args:
        levels: Levels (height, width) or (height, width, 3).
        bits: Number of bits of the levels; white is the highest level of that many bits. None if
            unknown.
    """
    if bits is None:
        highest = 65_535 if not (levels % 257).any() else int(levels.max())
        bits = next((bits for bits in (10, 12, 14) if highest < 1 << bits), 16)
    return Image.fromarray((levels >> (bits - 8)).astype(np.uint8))


def _from_numbers(values: NDArray[np.float64]) -> Image.Image:
    """Convert numbers (height, width) or (height, width, 3) to an 8-bit image.

    The numbers for black and white are guessed from the values. Usually black is 0, and white is
    the smallest of 1, 255 and 65,535 that no value exceeds. There are two exceptions:

    - If some values are not integers and the maximum is at most 32 (`_HIGHLIGHT`), the image is
      assumed to have highlights brighter than white. Then white is 1, and larger values are
      clipped.
    - If some values are negative or exceed 65,535, the minimum is black and the maximum is white.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low >= 0 and (high <= 1 or (high <= _HIGHLIGHT and bool((finite % 1 != 0).any()))):
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65_535:
        low, high = 0.0, 255.0 if high <= 255 else 65_535.0
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    return Image.fromarray((scaled.clip(0, 1) * 255).round().astype(np.uint8))


_HIGHLIGHT = 32

# Of each 16-bit color level, Pillow reads only the high byte. Reading the same file with the other
# byte order gives the low byte. Raw mode (in Pillow's terms) -> raw mode of the other byte order.
_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B"))  # N: libtiff's, little-endian here
}


def _deep_raw_mode(image: Image.Image) -> str | None:
    """Return Pillow's raw mode, such as "RGB;16B", of a color image with 16 bits per channel.

    The result is None for other images.
    """
    tiles = getattr(image, "tile", None)
    if not tiles or image.mode not in ("RGB", "RGBA"):
        return None
    mode = tiles[0][3]
    mode = mode if isinstance(mode, str) else mode[0] if mode else None
    return mode if isinstance(mode, str) and mode in _OTHER_BYTE else None


_MAX_SAMPLE_TAG = 281
_EXTRA_SAMPLES_TAG = 338
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2  # with and without colors multiplied by alpha
_SAMPLE_FORMAT_TAG = 339
_PHOTOMETRIC_TAG = 262
_SUBFILE_TAG = 254
_SECONDARY_PAGE = 0b101  # the bits of a smaller copy and of a mask of another page
_CMYK_COLORS = 5


def _is_declared_scaled(image: Image.Image, file: IO[bytes] | None) -> bool:
    """Return whether a file of 16-bit levels declares that they use the full range of 16 bits.

    A TIFF declares this by a tag with the highest level, 65,535. A PNG declares it by a chunk with
    the number of significant bits, because the PNG specification requires levels of fewer bits to
    be scaled to the full range. But if this number is from 9 to 15, the result is False, because
    cameras' levels of 9 to 15 bits are often stored unscaled.

    Args:
        image: The loaded image.
        file: The file that contains the image; None if a PIL image was given.
    """
    if image.format == "TIFF":
        highest = getattr(image, "tag_v2", {}).get(_MAX_SAMPLE_TAG)
        return highest is not None and 65_535 in np.ravel(highest)
    if image.format != "PNG" or file is None:
        return False
    significant = png_chunk(file, b"sBIT")
    if significant is None:
        return False
    bits = max(significant, default=0)
    return bits >= 16 or 1 <= bits <= 8


def _restore_depth(
    image: Image.Image,
    raw_mode: str,
    is_scaled: bool,
    reopen: Callable[[], Image.Image | None],
) -> Image.Image:
    """Return a color image of 16 bits per channel as an 8-bit image at its true brightness.

    Usually the result is the decoded image, which has the high byte of each level. If all levels
    are below a quarter of the range, the image may have only 10, 12 or 14 bits. In this case, the
    file is read again to obtain the low bytes, and `_from_levels` scales the levels.

    Args:
        image: The decoded image, with the high bytes of the levels.
        raw_mode: Pillow's raw mode of the image.
        is_scaled: Whether the file declares that its levels use the full range of 16 bits.
        reopen: Function that opens the file again.
    """
    high = np.asarray(image, dtype=np.uint16)[..., :3]
    if is_scaled or int(high.max()) >= 64:
        return image
    other = reopen()
    if not isinstance(other, ImageFile.ImageFile):
        return image
    other_mode = _OTHER_BYTE[raw_mode]
    other.tile = [
        tile._replace(
            args=other_mode if isinstance(tile.args, str) else (other_mode, *(tile.args or ())[1:])
        )
        for tile in other.tile
    ]
    other.load()
    low = np.asarray(other, dtype=np.uint16)[..., :3]
    restored = _from_levels((high << 8 | low).astype(np.uint16))
    if image.mode == "RGBA":
        restored.putalpha(image.getchannel("A"))
    return restored


def _decode_float_tiff(file: IO[bytes], header: bytes, name: str, limit: int) -> Image.Image:
    """Return the image of an uncompressed floating-point TIFF, which Pillow cannot open.

    Raises:
        UnsupportedImageError: The TIFF has another format; the message names its channels and bits.
        ImageError: The file is damaged or the image is too large.
    """
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(header[:8])
        file.seek(tags.next)
        tags.load(file)
        width, height = int(tags[256]), int(tags[257])
        bits, channels = int(next(iter(tags.get(258, (1,))))), int(tags.get(277, 1))
        is_float = next(iter(tags.get(339, (1,)))) == 3
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    plain = tags.get(259, 1) == 1 and tags.get(284, 1) == 1 and 273 in tags and 279 in tags
    if not (is_float and plain and channels in (1, 3, 4) and bits in (16, 32, 64)):
        numbers = "floating-point numbers" if is_float else "integers"
        if is_float or bits not in (8, 16):
            advice = "with 8 or 16 bits a channel"
        elif channels > 4 and tags.get(_PHOTOMETRIC_TAG) == _CMYK_COLORS:
            advice = "without its alpha channel, or as RGB"
        else:
            advice = "as RGB"
        raise UnsupportedImageError(
            f"{name}: is a TIFF of {channels} x {bits}-bit {numbers}, which is not read here. Save "
            f"it {advice}.",
            f"TIFF of {bits}-bit {numbers}",
        )
    if width * height > limit:
        raise ImageError(
            f"{name}: is {width} x {height}, {width * height:,} pixels; at most {limit:,} are read."
        )
    order = "<" if header[:2] == b"II" else ">"
    try:
        content = _read_strips(file, tags)
        values = np.frombuffer(content, dtype=f"{order}f{bits // 8}")
        colors = values[: width * height * channels].reshape(height, width, channels)
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    levels = colors[..., :3] if channels > 1 else colors[..., 0]
    decoded = _from_numbers(levels.astype(np.float64))
    if channels == 1 and _is_zero_white(tags):
        decoded = ImageOps.invert(decoded)
    decoded = _turn_as_tagged(decoded, tags)
    return _convert(decoded, name, limit, file)


def _has_deep_planes(image: Image.Image) -> bool:
    """Return whether an image is an uncompressed TIFF with 16 bits and a plane for each channel.

    A plane has the levels of one channel for all pixels. Pillow misreads planes of 16 bits as 8-bit
    levels, without raising an error.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    is_planar = tags.get(284) == 2 and tags.get(259, 1) == 1 and (273 in tags or 324 in tags)
    return is_planar and set(np.ravel(tags.get(258, 1))) == {16} and len(tags[258]) > 1


def _decode_deep_planes(image: Image.Image, file: IO[bytes], name: str, limit: int) -> Image.Image:
    """Return the gray, RGB, RGBA or CMYK image of a TIFF with a 16-bit plane for each channel.

    A plane has the levels of one channel for all pixels. The TIFF is uncompressed;
    `_has_deep_planes` recognizes such files.
    """
    tags = image.tag_v2  # type: ignore[attr-defined]
    width, height = int(tags[256]), int(tags[257])
    channels = int(tags[277])
    _check_size(image, name, limit, 1)
    order = ">" if tags.prefix[:2] == b"MM" else "<"
    try:
        if 324 in tags:
            planes = _read_tiles(file, tags, channels, order)
        else:
            planes = np.frombuffer(_read_strips(file, tags), dtype=f"{order}u2")
        levels = planes.reshape(channels, height, width).transpose(1, 2, 0).astype(np.uint16)
    except _DECODER_ERRORS as error:
        raise _damaged(name, error) from error
    alpha_kind = tags.get(_EXTRA_SAMPLES_TAG, (0,))[0]
    if channels > 3 and alpha_kind == _ASSOCIATED_ALPHA:
        colors, alpha = levels[..., :3].astype(np.uint32), levels[..., 3:].astype(np.uint32)
        levels[..., :3] = (colors * 65_535 // alpha.clip(1)).clip(max=65_535)
    high = (levels >> 8).astype(np.uint8)
    if tags.get(_PHOTOMETRIC_TAG) == _CMYK_COLORS and channels >= 4:
        decoded = Image.frombytes("CMYK", (width, height), high[..., :4].tobytes())
    elif channels >= 3:
        is_deep = int(high[..., :3].max()) >= 64
        decoded = _from_levels(levels[..., :3], 16 if is_deep else None)
        if channels > 3 and alpha_kind in (_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA):
            decoded.putalpha(Image.fromarray(np.ascontiguousarray(high[..., 3])))
    else:
        decoded = _from_levels(levels[..., 0])
    return _turn_as_tagged(decoded, tags)


def _read_strips(file: IO[bytes], tags: Mapping[int, Any]) -> bytes:
    """Return the pixel data of an uncompressed TIFF: the bytes of all strips, concatenated."""
    content = bytearray()
    for offset, length in zip(np.ravel(tags[273]), np.ravel(tags[279]), strict=True):
        file.seek(int(offset))
        content += file.read(int(length))
    return bytes(content)


def _read_tiles(
    file: IO[bytes], tags: Mapping[int, Any], channels: int, order: str
) -> NDArray[np.uint16]:
    """Return the planes (channels, height, width) of an uncompressed, tiled 16-bit TIFF.

    A plane has the levels of one channel for all pixels. Its tiles are stored row by row. Tiles at
    the right and lower edges may extend beyond the image. `order` is the byte order of the levels:
    "<" for little-endian, ">" for big-endian.
    """
    width, height = int(tags[256]), int(tags[257])
    tile_width, tile_height = int(tags[322]), int(tags[323])
    across, down = -(-width // tile_width), -(-height // tile_height)
    offsets = np.ravel(tags[324])
    if len(offsets) != channels * down * across:
        raise ValueError(f"has {len(offsets)} tiles instead of {channels * down * across}")
    planes = np.empty((channels, down * tile_height, across * tile_width), np.uint16)
    length = tile_width * tile_height * 2
    for index, offset in enumerate(offsets):
        plane, at = divmod(index, down * across)
        top, left = at // across * tile_height, at % across * tile_width
        file.seek(int(offset))
        tile = np.frombuffer(file.read(length), dtype=f"{order}u2")
        planes[plane, top : top + tile_height, left : left + tile_width] = tile.reshape(
            tile_height, tile_width
        )
    return planes[:, :height, :width]


def _turn_as_tagged(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """Return a TIFF's decoded image rotated upright, with the color profile in its `info`.

    `tags` are the tags of the TIFF file, which give the orientation and the color profile.
    """
    orientation = tags.get(_ORIENTATION_TAG)
    upright = image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
    upright.info["icc_profile"] = tags.get(34675)
    return upright


def _damaged(name: str, error: BaseException) -> ImageError:
    """Return the error to raise for an exception of a decoder.

    Usually, the cause is the file's content, and the result is an `UndecodableImageError`. If the
    memory was insufficient, or if the operating system failed to read the file (the exception then
    has an error number), the result is a general `ImageError`.

    Args:
        name: Name of the image for the message.
        error: The decoder's exception.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return ImageError(f"{name}: cannot be read ({error.strerror}). Check the drive, and retry.")
    if isinstance(error, MemoryError):
        return ImageError(
            f"{name}: needs more memory than is free to decode it. Free memory, or shrink it."
        )
    return UndecodableImageError(
        f"{name}: is cut short or damaged, or of a variant that is not read here "
        f"({printable(error) or type(error).__name__}). Replace it, convert it, or take it out."
    )
