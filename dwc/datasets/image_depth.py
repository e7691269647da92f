"""Conversion of more than 8 bits per channel, and of floating-point numbers, to 8 bits.

The result has the true brightness of the image: levels of 10, 12 or 14 bits that are stored
unscaled in 16 bits are recognized, and the levels of a TIFF whose zero is white are inverted. Some
TIFFs that Pillow cannot open or misreads are read here: floating-point numbers, 16-bit levels in
separate planes, and palettes of 8-bit levels.
"""

from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, ImagePalette, TiffImagePlugin

from dwc.datasets.image_color import png_chunk
from dwc.datasets.image_details import DECODER_ERRORS
from dwc.datasets.image_geometry import ORIENTATION_TAG, check_size, undo_orientation
from dwc.datasets.image_kinds import UnsupportedImageError, decoder_error
from dwc.errors import ImageError

_HIGHLIGHT = 32
# Of each 16-bit color level, Pillow reads only the high byte. Reading the same file with the other
# byte order gives the low byte. Raw mode (in Pillow's terms) -> raw mode of the other byte order.
_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B"))  # N: libtiff's, little-endian here
}
_MAX_SAMPLE_TAG = 281
_EXTRA_SAMPLES_TAG = 338
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2  # with and without colors multiplied by alpha
_SAMPLE_FORMAT_TAG = 339
_PHOTOMETRIC_TAG = 262  # if its value is 0, the level 0 is white
_CMYK_COLORS = 5


def to_eight_bits(image: Image.Image, file: IO[bytes] | None) -> Image.Image:
    """Convert a gray image of more than 8 bits to 8 bits, at its true brightness.

    The levels are inverted if a TIFF declares that the level 0 is white. Images of at most 8 bits
    are returned unchanged; Pillow has already inverted them if necessary.

    Args:
        image: The loaded image.
        file: The file that contains the image; None if a PIL image was given.
    """
    converted = _reduce_depth(image, file)
    is_inverted = image.format == "TIFF" and is_zero_white(getattr(image, "tag_v2", {}))
    return ImageOps.invert(converted) if is_inverted and converted is not image else converted


def _reduce_depth(image: Image.Image, file: IO[bytes] | None) -> Image.Image:
    if image.mode.startswith("I;16"):
        bits = 16 if is_declared_scaled(image, file) else None
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
            is_scaled = image.format == "PPM" or is_declared_scaled(image, file)
            return _from_levels(integers.astype(np.uint16), 16 if is_scaled else None)
        return _from_numbers(integers.astype(np.float64))
    if image.mode == "F":
        return _from_numbers(np.asarray(image).astype(np.float64))
    return image


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


def is_declared_scaled(image: Image.Image, file: IO[bytes] | None) -> bool:
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


def is_zero_white(tags: Mapping[int, Any]) -> bool:
    """Return whether the tags of a TIFF declare that the level 0 is white."""
    return tags.get(_PHOTOMETRIC_TAG) == 0


def _is_unsigned(image: Image.Image) -> bool:
    """Return whether a TIFF declares that its integers are unsigned.

    Pillow may nevertheless have read them as signed integers.
    """
    return 1 in np.ravel(getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT_TAG, 1))


def deep_raw_mode(image: Image.Image) -> str | None:
    """Return Pillow's raw mode, such as "RGB;16B", of a color image with 16 bits per channel.

    The result is None for other images.
    """
    tiles = getattr(image, "tile", None)
    if not tiles or image.mode not in ("RGB", "RGBA"):
        return None
    mode = tiles[0][3]
    mode = mode if isinstance(mode, str) else mode[0] if mode else None
    return mode if isinstance(mode, str) and mode in _OTHER_BYTE else None


def restore_depth(
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


def has_deep_planes(image: Image.Image) -> bool:
    """Return whether an image is an uncompressed TIFF with 16 bits and a plane for each channel.

    A plane has the levels of one channel for all pixels. Pillow misreads planes of 16 bits as 8-bit
    levels, without raising an error.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    is_planar = tags.get(284) == 2 and tags.get(259, 1) == 1 and (273 in tags or 324 in tags)
    return is_planar and set(np.ravel(tags.get(258, 1))) == {16} and len(tags[258]) > 1


def decode_deep_planes(image: Image.Image, file: IO[bytes], name: str, limit: int) -> Image.Image:
    """Return the gray, RGB, RGBA or CMYK image of a TIFF with a 16-bit plane for each channel.

    A plane has the levels of one channel for all pixels. The TIFF is uncompressed;
    `has_deep_planes` recognizes such files.
    """
    tags = image.tag_v2  # type: ignore[attr-defined]
    width, height = int(tags[256]), int(tags[257])
    channels = int(tags[277])
    check_size(image, name, limit, 1)
    order = ">" if tags.prefix[:2] == b"MM" else "<"
    try:
        if 324 in tags:
            planes = _read_tiles(file, tags, channels, order)
        else:
            planes = np.frombuffer(_read_strips(file, tags), dtype=f"{order}u2")
        levels = planes.reshape(channels, height, width).transpose(1, 2, 0).astype(np.uint16)
    except DECODER_ERRORS as error:
        raise decoder_error(name, error) from error
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


def decode_float_tiff(file: IO[bytes], header: bytes, name: str, limit: int) -> Image.Image:
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
    except DECODER_ERRORS as error:
        raise decoder_error(name, error) from error
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
    except DECODER_ERRORS as error:
        raise decoder_error(name, error) from error
    levels = colors[..., :3] if channels > 1 else colors[..., 0]
    decoded = _from_numbers(levels.astype(np.float64))
    if channels == 1 and is_zero_white(tags):
        decoded = ImageOps.invert(decoded)
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
    upright = undo_orientation(image, tags.get(ORIENTATION_TAG))
    upright.info["icc_profile"] = tags.get(34675)
    return upright


def read_byte_palette(image: Image.Image) -> None:
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
