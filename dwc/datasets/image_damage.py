"""Signs of damage in an image file that its decoder reads without an error.

An interrupted download, a sync client or a power failure may leave a file of full length whose last
part is zero bytes, or a JPEG that ends early. Some decoders return an image for such a file, in
which some pixels are wrong.

The checks depend on the file format:

- HEIC: image data that end with many zero bytes are damaged, since undamaged data (HEVC) never have
  more than three successive zero bytes.
- AVIF: image data that end with many zero bytes are damaged. Undamaged data do not end with a zero
  byte, except if the encoder has padded them.
- WebP and JPEG: undamaged data may have thousands of successive zero bytes, in an area of one
  color. So an image whose data end with many zero bytes is decoded again with fewer of them. An
  undamaged image needs all of these bytes, or it needs none of them, because they are padding. An
  image that needs only some of them is damaged.
- JPEG: the decoder returns mid-gray for blocks of pixels that have no data. If the last pixel is
  mid-gray, the file is decoded again with additional data. If this changes the pixels, data are
  missing from the file.
- JPEG with restart markers: these are numbered from 0 to 7 in turns. If one is missing, a part of
  the data in the middle of the file was lost, and the rest of the picture is shifted.
- Progressive JPEG: all scans together contain every bit of every coefficient of every color
  component. If the last scans are missing, the picture is blurred. This is recognized. It is not
  recognized if only the end of the very last scan is missing; then only the last bit of some
  coefficients is lost.
- Uncompressed BMP, TIFF, PPM and TGA: zero bytes may be black pixels. So these files are never
  reported as damaged. `missing_share` finds files in which the pixels change abruptly to zeros and
  remain zero; they may be incomplete. If zero is not black, as in CMYK, a file may end with a white
  strip, so it is not checked.
- PNG, GIF and JPEG 2000 need no check of their ends: PNG has checksums, and the decoders of GIF
  and JPEG 2000 report missing data.
- All compressed formats: a transfer as text (FTP, git) may have written a carriage return before
  each line feed. Compressed data have line feeds everywhere, and nearly all without one.
"""

import hashlib
import math
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from itertools import islice
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, WebPImagePlugin

from dwc.datasets.image_depth import is_zero_white

# If an image's data end with at least `_SUSPICIOUS_ZEROS`, they are checked: without
# `_SURPLUS_ZEROS` of them, and without all but `_SPARED_ZEROS`, with which a coder may end.
_SUSPICIOUS_ZEROS = 128
_SURPLUS_ZEROS = 64
_SPARED_ZEROS = 16
# Of AVIF and HEIC, the shortest run of zeros at the end of an image's data that is damage.
_ISO_ZEROS = 64
# Formats whose data look random, the bytes of them that are searched for line feeds, and the
# smallest number of line feeds that are judged.
_COMPRESSED = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF", "GIF", "JPEG2000")
_TEXT_BYTES = 1 << 18
_LEAST_LINES = 24
_MID_GRAY = (127, 128)  # levels of a block that was not decoded, in all color models
_END_OF_IMAGE = b"\xff\xd9"
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)
_FRAMES = (*_HUFFMAN_FRAMES, 0xC9, 0xCA)  # and those with arithmetic codes
_COEFFICIENTS = 64  # of a block of 8 x 8 pixels
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # none of those within a scan's data
_RESTART_MARKER = re.compile(rb"\xff+([\xd0-\xd7])")
_MORE_DATA = bytes(range(1, 255)) * 16
# Of an uncompressed image, the smallest share of its rows that may be missing if they are zeros,
# the number of rows before them that are compared, and the largest share of zero pixels in these.
_LEAST_MISSING = 1 / 16
_ROWS_BEFORE = 8
_MOST_ZERO_PIXELS = 0.1
_UNCOMPRESSED = {"BMP": ("raw",), "TIFF": ("raw",), "TGA": ("raw",), "PPM": ("raw", "ppm")}


def damage(image: Image.Image, file: IO[bytes]) -> str | None:
    """Return a sign of damage in an image file that was decoded without an error.

    The result is a clause, such as "its last scans are missing"; None if there is no such sign. For
    most files, this function reads only the first 256 kB again, and checks one pixel.

    Args:
        image: The image as its decoder returned it, loaded and not yet converted.
        file: The file that contains the image.
    """
    if image.format in _COMPRESSED and _was_sent_as_text(file):
        return "its line ends were converted, as by a transfer as text instead of binary"
    if image.format in ("JPEG", "MPO"):
        return _damage_of_jpeg(image, file)
    if image.format == "WEBP":
        return _damage_of_webp(image, file)
    if image.format in ("AVIF", "HEIF"):
        return _damage_of_iso_media(file)
    return None


def _was_sent_as_text(file: IO[bytes]) -> bool:
    """Return whether each line feed in the beginning of a compressed file has a carriage return.

    For comparison, undamaged data have a carriage return before one of 256 line feeds. An area of
    one color may repeat a few bytes; so the line feeds must be many, and before various bytes.
    """
    file.seek(0)
    content = file.read(_TEXT_BYTES)
    feeds = content.count(b"\n")
    if feeds < _LEAST_LINES or content.count(b"\r\n") < feeds:
        return False
    return len(set(re.findall(rb"\n(.)", content, re.DOTALL))) >= _LEAST_LINES // 2


def missing_share(image: Image.Image, tiles: Sequence[Any]) -> float | None:
    """Return the share of an uncompressed image that may be missing, since it is stored as zeros.

    A file that was preallocated for a download has zero bytes from some pixel to its end. A picture
    on a black background ends with zero bytes, too. In such a picture, many pixels in the rows
    before these zeros are black as well, or the whole first row is black.

    Args:
        image: The image as its decoder returned it, loaded and not yet converted.
        tiles: The image's `tile`, as it was before loading, which empties it.

    Returns:
        The share (0 to 1) of the image's rows that are zeros up to the end of the file; None if the
        image is compressed, if zero is not black, or if there is no sign that a part is missing.
    """
    codecs = _UNCOMPRESSED.get(image.format or "", ())
    if not tiles or any(tile[0] not in codecs for tile in tiles):
        return None
    arguments = tiles[0][3]
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    if not _is_zero_black(image, raw_mode):
        return None
    extents = [tile[1] or (0, 0, *image.size) for tile in tiles]
    tile_height = max(bottom - top for _, top, _, bottom in extents)
    is_tiled = any(right - left < image.width for left, _, right, _ in extents)
    is_upward = isinstance(arguments, tuple) and arguments[-1] == -1  # the last row comes first
    colors = [band not in "AaX" for band in image.getbands()]

    def zeros(first: int, last: int) -> NDArray[np.bool_]:
        """Return a mask (rows, width) of the zero pixels in the rows from `first` up to `last`.

        The rows are numbered in the order in which the file stores them.
        """
        top, bottom = (image.height - last, image.height - first) if is_upward else (first, last)
        part = image.crop((0, top, image.width, bottom))  # copies these rows alone
        pixels = np.asarray(part.convert("L") if part.mode == "1" else part)
        return (pixels.reshape(last - first, image.width, -1)[..., colors] == 0).all(axis=-1)

    end = image.height
    while end and bool(zeros(end - 1, end).all()):
        end -= 1
    share = 1 - end / image.height
    # The row or the tiles in which the data end are zeros in part.
    whole = end - (tile_height if is_tiled else 1)
    if end == 0 or whole < 1 or share < _LEAST_MISSING:
        return None
    before = zeros(max(0, whole - _ROWS_BEFORE), whole)
    if before.mean() > _MOST_ZERO_PIXELS or bool(zeros(0, 1).all()):
        return None
    return share


def _is_zero_black(image: Image.Image, raw_mode: Any) -> bool:
    """Return whether zero bytes in an uncompressed image's file are black pixels.

    Args:
        image: The image as its decoder returned it.
        raw_mode: Pillow's name of the file's pixel format, such as "RGB" or "1;I". With the suffix
            "I", zero is white.
    """
    if image.mode in ("P", "PA"):
        return (image.getpalette() or [])[:3] == [0, 0, 0]
    is_inverted = isinstance(raw_mode, str) and ";" in raw_mode and raw_mode.endswith("I")
    is_declared_white = is_zero_white(getattr(image, "tag_v2", {}))
    return image.mode != "CMYK" and not is_inverted and not is_declared_white


def _is_zeros_from_the_middle(decodes_alike: Callable[[int], bool], zeros: int) -> bool:
    """Return whether an image that ends with zero bytes is damaged.

    An undamaged image needs all of these bytes to be decoded, or it needs none of them, because
    they are padding. If it needs only some of them, zeros have replaced the rest of its data.

    Args:
        decodes_alike: Function that takes a number k, and returns whether the decoded pixels stay
            the same if only the first k of the zero bytes are kept.
        zeros: Number of zero bytes at the end of the image's data.
    """
    return decodes_alike(zeros - _SURPLUS_ZEROS) and not decodes_alike(_SPARED_ZEROS)


def _zeros_message(zeros: int) -> str:
    return f"its image data end with {zeros:,} zero bytes"


def _trailing_zeros(data: bytes) -> int:
    return len(data) - len(data.rstrip(b"\0"))


def _damage_of_jpeg(image: Image.Image, file: IO[bytes]) -> str | None:
    file.seek(0)
    content = file.read()
    if image.info.get("progressive") and _lacks_scans(content):
        return "its last scans are missing"
    if _lacks_intervals(content):
        return "a part in the middle of its image data is missing"
    last = image.getpixel((image.width - 1, image.height - 1))
    is_gray = all(level in _MID_GRAY for level in (last if isinstance(last, tuple) else (last,)))
    tail = content[-_SUSPICIOUS_ZEROS - len(_END_OF_IMAGE) :]
    has_zeros = tail.removesuffix(_END_OF_IMAGE)[-_SUSPICIOUS_ZEROS:] == bytes(_SUSPICIOUS_ZEROS)
    if not (is_gray or has_zeros):
        return None
    end = _end_of_jpeg(content)
    if end is None:
        return None
    pixels = _hash_jpeg(content)
    if is_gray and _hash_jpeg(content[:end] + _MORE_DATA + content[end:]) != pixels:
        return "its image data end before its last row of pixels"
    zeros = _trailing_zeros(content[:end]) if has_zeros else 0

    def decodes_alike(left: int) -> bool:
        return _hash_jpeg(content[: end - zeros + left] + content[end:]) == pixels

    if zeros and _is_zeros_from_the_middle(decodes_alike, zeros):
        return _zeros_message(zeros)
    return None


def _segments(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the segments of a JPEG up to the end of its first image.

    Yields:
        The kind of the segment (the second byte of its marker), its content, and the position in
        bytes after it. After the segment of a scan (0xDA), this is where the scan's data begin.
    """
    position = 2
    while marker := _MARKER.search(content, position):
        kind, start = content[marker.end() - 1], marker.end()
        if kind == _END_OF_IMAGE[1]:
            return
        position = start + int.from_bytes(content[start : start + 2], "big")
        yield kind, content[start + 2 : position], position


def _lacks_intervals(content: bytes) -> bool:
    """Return whether restart markers of a JPEG are missing.

    A scan may have a restart marker after every n of its units (ITU-T T.81, B.2.4.4). The result is
    False if there are no such markers, or if the file does not have this structure.
    """
    interval = 0
    sizes: dict[int, tuple[int, int]] = {}  # units across and down, by the component's id
    whole = 0  # units of a scan of several components
    for kind, segment, position in _segments(content):
        if kind == 0xDD and len(segment) == 2:  # define restart interval
            interval = int.from_bytes(segment, "big")
        elif kind in _FRAMES and len(segment) >= 6:
            sizes, whole = _count_units(segment)
        elif kind == 0xDA:  # start of scan
            if interval == 0 or not sizes or not segment:
                return False
            end = _MARKER.search(content, position)
            data = content[position : end.start() if end else len(content)]
            numbers = [found[1][0] & 7 for found in _RESTART_MARKER.finditer(data)]
            if numbers != [index % 8 for index in range(len(numbers))]:
                return True
            across, down = sizes.get(segment[1], (0, 0)) if segment[0] == 1 else (whole, 1)
            if len(numbers) < math.ceil(across * down / interval) - 1:
                return True
    return False


def _count_units(frame: bytes) -> tuple[dict[int, tuple[int, int]], int]:
    """Return how many units of 8 x 8 samples a scan of a JPEG has, from the header of its frame.

    Returns:
        For each component's id, the units across and down of a scan of this component alone; and
        the number of units of a scan of all components. Without a height, there are no units.
    """
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    components = [frame[at : at + 2] for at in range(6, 6 + 3 * frame[5], 3)]
    factors = {id: (factor >> 4, factor & 15) for id, factor in components}
    most_across = max((across for across, _ in factors.values()), default=0)
    most_down = max((down for _, down in factors.values()), default=0)
    if not most_across or not most_down or len(factors) < frame[5]:
        return {}, 0
    sizes = {
        id: (
            math.ceil(math.ceil(width * across / most_across) / 8),
            math.ceil(math.ceil(height * down / most_down) / 8),
        )
        for id, (across, down) in factors.items()
    }
    return sizes, math.ceil(width / (8 * most_across)) * math.ceil(height / (8 * most_down))


def _lacks_scans(content: bytes) -> bool:
    """Return whether some scans of a progressive JPEG are missing.

    A scan contains a range of the coefficients of one or more color components. It may omit the
    last bits of these coefficients; later scans then add them (ITU-T T.81, annex G). If the file
    does not have this structure, the result is False.
    """
    missing_bits: dict[int, list[int | None]] = {}  # by the component's id; None: not sent at all
    try:
        for kind, segment, _ in _segments(content):
            if kind in _FRAMES:
                missing_bits = {id: [None] * _COEFFICIENTS for id in segment[6::3]}
            elif kind == 0xDA:  # start of scan
                (count, *scan), (first, last, bits) = segment[:-3], segment[-3:]
                for id in scan[: 2 * count : 2]:
                    missing_bits[id][first : last + 1] = [bits & 15] * (last + 1 - first)
    except (ValueError, KeyError):
        return False
    return any(bits != 0 for component in missing_bits.values() for bits in component)


def _end_of_jpeg(content: bytes) -> int | None:
    """Return the position in bytes at which a JPEG's image data end.

    The result is None if the data are not Huffman codes. Such a JPEG is not checked, since data
    with arithmetic codes may be shorter than what the decoder reads.
    """
    position, is_huffman = 2, False
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:  # a byte of padding
            position += 1
            continue
        is_huffman |= marker in _HUFFMAN_FRAMES
        if marker == 0xDA:  # start of scan
            end = content.find(_END_OF_IMAGE, position)
            return None if not is_huffman else end if end >= 0 else len(content)
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return None


def _hash_jpeg(content: bytes) -> bytes | None:
    """Return a hash of a JPEG's pixels, decoded at an eighth of the width and height.

    The result is None if the JPEG cannot be decoded.
    """
    try:
        with JpegImagePlugin.JpegImageFile(BytesIO(content), "") as image:
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
            return hashlib.blake2b(image.tobytes()).digest()
    except (OSError, SyntaxError, ValueError):
        return None


def _damage_of_webp(image: Image.Image, file: IO[bytes]) -> str | None:
    bitstream = next(islice(_webp_bitstreams(file), image.tell(), None), None)
    if bitstream is None:
        return None
    kind, start, length = bitstream
    file.seek(start + max(0, length - _SUSPICIOUS_ZEROS))
    if file.read(min(length, _SUSPICIOUS_ZEROS)) != bytes(_SUSPICIOUS_ZEROS):
        return None
    file.seek(start)
    data = file.read(length)
    zeros = _trailing_zeros(data)

    def decodes_alike(left: int) -> bool:
        # Without bytes that it needs, an undamaged image cannot be decoded.
        pixels = _hash_webp(kind, data[: length - zeros + left])
        return pixels is not None and pixels == _hash_webp(kind, data)

    return _zeros_message(zeros) if _is_zeros_from_the_middle(decodes_alike, zeros) else None


def _webp_bitstreams(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunk type, position and length of the color data of each frame of a WebP file.

    The chunk type is b"VP8 " or b"VP8L". Position and length are in bytes.
    """
    position = 12
    while True:
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            return
        kind, length = header[:4], int.from_bytes(header[4:], "little")
        if kind in (b"VP8 ", b"VP8L"):
            yield kind, position + 8, length
        # The chunks of a frame of an animation follow 16 bytes of its own.
        position += 24 if kind == b"ANMF" else 8 + length + length % 2


def _hash_webp(kind: bytes, data: bytes) -> bytes | None:
    """Return a hash of the pixels of a frame of a WebP file; None if it cannot be decoded.

    Args:
        kind: The type of the chunk with the frame's color data, b"VP8 " or b"VP8L".
        data: The content of this chunk.
    """
    data += b"\0" * (len(data) % 2)
    chunk = kind + struct.pack("<I", len(data)) + data
    content = b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
    try:
        with WebPImagePlugin.WebPImageFile(BytesIO(content), "") as image:
            return hashlib.blake2b(image.tobytes()).digest()
    except (OSError, SyntaxError, ValueError):
        return None


def _damage_of_iso_media(file: IO[bytes]) -> str | None:
    for start, length in _primary_extents(file):
        file.seek(start + max(0, length - _ISO_ZEROS))
        if length >= _ISO_ZEROS and not file.read(_ISO_ZEROS).strip(b"\0"):
            return f"its image data end with {_ISO_ZEROS} zero bytes or more"
    return None


def _primary_extents(file: IO[bytes]) -> list[tuple[int, int]]:
    """Return the positions and lengths of the parts of the main image in an AVIF or HEIC file.

    Positions and lengths are in bytes. The result is empty if the file's structure is broken or not
    supported here. The structure is defined by ISO/IEC 14496-12.
    """
    try:
        length = file.seek(0, os.SEEK_END)
        meta = next(_boxes(file, 0, length, b"meta"))
        inner = meta[0] + 4, meta[1]  # after the version
        (pitm,) = _contents(file, *inner, b"pitm")
        (iloc,) = _contents(file, *inner, b"iloc")
        primary = int.from_bytes(pitm[4:6] if pitm[0] == 0 else pitm[4:8], "big")
        wanted = {primary}
        for iref in _contents(file, *inner, b"iref"):
            wanted |= _tiles(iref, primary)
        return [extent for item, extent in _locations(iloc) if item in wanted]
    except (StopIteration, ValueError, IndexError, OSError, struct.error):
        return []


def _boxes(file: IO[bytes], start: int, end: int, kind: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the content of each box of the given kind starts and ends, in part of a file.

    Args:
        file: An AVIF or HEIC file. It consists of boxes, each with its length, kind and content.
        start: Position in the file at which the first box starts.
        end: Position at which the last box ends.
        kind: The kind, of four bytes.
    """
    while start + 8 <= end:
        file.seek(start)
        header = file.read(16)
        length, inside = int.from_bytes(header[:4], "big"), start + 8
        if length == 1:
            length, inside = int.from_bytes(header[8:16], "big"), start + 16
        after = end if length == 0 else start + length
        if not inside <= after <= end:
            return
        if header[4:8] == kind:
            yield inside, after
        start = after


def _contents(file: IO[bytes], start: int, end: int, kind: bytes) -> Iterator[bytes]:
    for inside, after in _boxes(file, start, end, kind):
        file.seek(inside)
        yield file.read(after - inside)


def _tiles(iref: bytes, item: int) -> set[int]:
    """Return the ids of the tiles that make up an image in an AVIF or HEIC file.

    Each image and each tile is an item of the file, and has an id.

    Args:
        iref: Content of the box with the references between items.
        item: The id of the image.
    """
    width = 2 if iref[0] == 0 else 4

    def numbers(data: bytes) -> list[int]:
        return [int.from_bytes(data[n : n + width], "big") for n in range(0, len(data), width)]

    tiles: set[int] = set()
    position = 4
    while position + 8 <= len(iref):
        length = int.from_bytes(iref[position : position + 4], "big")
        kind, content = iref[position + 4 : position + 8], iref[position + 8 : position + length]
        if length < 8:
            break
        if kind == b"dimg" and numbers(content[:width]) == [item]:
            tiles.update(numbers(content[width + 2 :]))
        position += length
    return tiles


def _locations(iloc: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield where the items (images and tiles) of an AVIF or HEIC file are stored.

    An item may be stored in several parts.

    Args:
        iloc: Content of the file's box with the positions of items.

    Yields:
        For each part, the id of its item, and the part's position and length in bytes.
    """
    data, version = BytesIO(iloc[4:]), iloc[0]

    def number(size: int) -> int:
        content = data.read(size)
        if len(content) < size:
            raise ValueError("the box ends early")
        return int.from_bytes(content, "big")

    sizes = number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    if length_size == 0:  # each part would be the whole file
        return
    for _ in range(number(2 if version < 2 else 4)):
        item = number(2 if version < 2 else 4)
        in_file = (number(2) & 15 if version else 0) == 0
        number(2)  # which file; 0 is this one
        base = number(base_size)
        for _ in range(number(2)):
            number(index_size)
            start, length = base + number(offset_size), number(length_size)
            if in_file:
                yield item, (start, length)
