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
import struct
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from PIL import Image

from dwc.datasets.image_color import (
    apply_profile,
    clear_outside_frame,
    color_space_name,
    convert_layers,
    convert_to_srgb,
    declared_color,
    drop_unused_alpha,
    flatten,
    jpeg2000_profile,
    read_premultiplied_planes,
    scale_transparent_level,
)
from dwc.datasets.image_damage import damage, missing_share
from dwc.datasets.image_depth import (
    decode_deep_planes,
    decode_float_tiff,
    deep_raw_mode,
    has_deep_planes,
    is_declared_scaled,
    read_byte_palette,
    restore_depth,
    to_eight_bits,
)
from dwc.datasets.image_details import (
    BLANK_PART,
    DECODER_ERRORS,
    DETAILS,
    FILLED_WITH,
    FRAME,
    HALF_TRANSPARENT,
    IGNORED_PROFILE,
    MISSING_SHARE,
    OTHER_FRAMES,
    PART_OF,
    STRIP_PART,
    STRIP_SIZE,
    has_content,
)
from dwc.datasets.image_frames import has_several_frames, seek_content, seek_full_page
from dwc.datasets.image_geometry import (
    check_size,
    crop_strip,
    is_multi_scan,
    pixel_limit,
    prevent_rotation_by_xmp,
    reduce_size,
    shrink_divisor,
    turn_upright,
)
from dwc.datasets.image_kinds import (
    HEIC,
    IMAGE_SUFFIXES,
    SHORTCUT_CURE,
    UndecodableImageError,
    UnsupportedImageError,
    advice_for,
    decoder_error,
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
    except DECODER_ERRORS as error:
        raise decoder_error(name, error) from error
    if image is None:
        return _decode_unidentified(file, header, name, limit)
    with image:
        if has_deep_planes(image):
            planes = decode_deep_planes(image, file, name, limit)
            return _convert(planes, name, limit, file)
        return _convert(image, name, limit, file, lambda: _open_image(file, header, name))


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
        return _convert(decode_float_tiff(file, header, name, limit), name, limit, file)
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
        is_animated = has_several_frames(image)
        if is_animated:
            seek_full_page(image)
    except DECODER_ERRORS as error:
        raise decoder_error(name, error) from error
    width, height = image.size
    if width == 0 or height == 0:
        raise UndecodableImageError(
            f"{name}: has no pixels ({width} x {height}). Give another picture."
        )
    shrink = shrink_divisor(image.size)
    try:
        reducible = image.format in ("JPEG", "MPO") and not is_multi_scan(image)
        check_size(image, name, limit, shrink if reducible else 1)
        if shrink > 1 and reducible:
            image.draft(None, (width // shrink, height // shrink))
        part_of = image.info.get(PART_OF)  # set if the given image was decoded here before
        details = {key: image.info.get(key) for key in DETAILS} if file is None else {}
        if is_animated:
            pages, has_other_frames, page_tiles = seek_content(image, name, limit)
            details[FRAME] = image.tell() + 1 if pages > 1 else None
            details[OTHER_FRAMES] = has_other_frames
            width, height = image.size
            shrink = shrink_divisor(image.size)
        raw_mode = deep_raw_mode(image)
        scale_transparent_level(image)
        prevent_rotation_by_xmp(image)
        read_byte_palette(image)
        is_premultiplied = read_premultiplied_planes(image)
        tiles = list(getattr(image, "tile", ())) or page_tiles  # no tiles if loaded already
        image.load()
        if file is not None:
            details[MISSING_SHARE] = missing_share(image, tiles)
        if file is not None and (sign := damage(image, file)) is not None:
            raise UndecodableImageError(
                f"{name}: is cut short or damaged ({sign}). Replace it, or take it out."
            )
        if raw_mode is not None and reopen is not None:
            converted = restore_depth(image, raw_mode, is_declared_scaled(image, file), reopen)
        else:
            converted = to_eight_bits(image, file)
        if is_premultiplied:
            converted = Image.frombytes("RGBa", image.size, image.tobytes()).convert("RGBA")
        converted = clear_outside_frame(converted, image)
        converted = drop_unused_alpha(converted, image.format)
        reduced = image.size != (width, height)
        icc = image.info.get("icc_profile")
        if image.format == "JPEG2000" and file is not None:
            icc = icc or jpeg2000_profile(file)
        upright = turn_upright(converted, image)
        part = crop_strip(upright)
        if part.size != upright.size:
            details[STRIP_PART] = "top" if upright.height > upright.width else "middle"
            details[STRIP_SIZE] = (width, height)
        if is_animated or part.size != upright.size:
            part_of = hash_pixels(upright) if file is None else _hash_content(file)
        declared = declared_color(image, file)
        profile = None if declared is not None else icc
        shrink = 1 if reduced else shrink
        result = _to_srgb(part, profile, shrink)
        if part.size != upright.size and not has_content(result):
            details[BLANK_PART] = has_content(_to_srgb(upright, profile, shrink))
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
    except DECODER_ERRORS as error:
        raise decoder_error(name, error) from error


def _to_srgb(image: Image.Image, icc: bytes | None, shrink: int) -> Image.Image:
    """Convert an upright image of at most 8 bits per channel to sRGB and reduce its size.

    Args:
        image: The image.
        icc: Content of its ICC color profile, or None.
        shrink: Divisor of width and height: 1, 2, 4 or 8.
    """
    if image.has_transparency_data:
        layers = convert_layers(image, icc)
        return reduce_size(flatten(layers), shrink)
    if image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("RGB")
    if icc or image.mode == "LAB":
        return apply_profile(reduce_size(image, shrink), icc)
    return reduce_size(image if image.mode == "RGB" else image.convert("RGB"), shrink)


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


def _hash_content(file: IO[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
