"""More than eight bits a channel and floating-point numbers keep their brightness."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dwc.datasets.image_kinds import UnsupportedImageError
from dwc.datasets.image_loading import decode
from tests.datasets.image_files import (
    LEFT,
    RIGHT,
    assert_close,
    pages,
    png_chunk,
    saved,
    two_halves,
)


def test_sixteen_bits_a_channel_keep_their_brightness():
    values = np.zeros((20, 30), dtype=np.uint16)
    values[:, 15:] = 0x8080
    picture = decode(saved(Image.fromarray(values), "PNG"))
    assert picture.getpixel((2, 2)) == (0, 0, 0)
    assert picture.getpixel((20, 2)) == (0x80, 0x80, 0x80)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_levels_of_fewer_bits_in_sixteen_keep_their_brightness(bits, format):
    levels = np.zeros((20, 30), dtype=np.uint16)
    levels[:, 10:20], levels[:, 20:] = 1 << (bits - 1), (1 << bits) - 1
    decoded = decode(saved(Image.fromarray(levels), format))
    assert [decoded.getpixel((x, 5)) for x in (5, 15, 25)] == [(0,) * 3, (128,) * 3, (255,) * 3]


def png_of_sixteen_bits(levels, significant=None):
    """A PNG of (H, W, 1, 3 or 4) 16-bit levels, which Pillow cannot write if they are colors."""
    height, width, channels = levels.shape

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    declared = b"" if significant is None else png_chunk(b"sBIT", bytes([significant] * channels))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + declared
        + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    )  # fmt: skip


def tiff_of(values, order="<"):
    """An uncompressed TIFF of (H, W, 3) integers or floating-point numbers."""
    height, width, channels = values.shape
    size = values.dtype.itemsize
    content = values.astype(values.dtype.newbyteorder(order)).tobytes()
    entries = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [8 * size] * channels), (259, 3, [1]),
        (262, 3, [2]), (273, 4, [8]), (277, 3, [channels]), (278, 4, [height]),
        (279, 4, [len(content)]), (284, 3, [1]),
        (339, 3, [3 if values.dtype.kind == "f" else 1] * channels),
    ]  # fmt: skip
    start = 8 + len(content)
    after = start + 2 + 12 * len(entries) + 4
    table, extra = struct.pack(order + "H", len(entries)), b""
    for tag, kind, numbers in entries:
        packed = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(packed) > 4:
            packed, extra = struct.pack(order + "I", after + len(extra)), extra + packed
        table += struct.pack(order + "HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return mark + struct.pack(order + "I", start) + content + table + bytes(4) + extra


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("write", [png_of_sixteen_bits, tiff_of, lambda v: tiff_of(v, ">")])
def test_deep_colors_keep_their_brightness(bits, write):
    white = (1 << bits) - 1
    levels = np.zeros((20, 30, 3), dtype=np.uint16)
    levels[:, :10] = (white, white // 2, white // 8)
    levels[:, 10:20] = white // 3
    decoded = decode(write(levels))
    assert_close(decoded.getpixel((5, 5)), (255, 127, 31), 1)
    assert_close(decoded.getpixel((15, 5)), (85, 85, 85), 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_dark_levels_of_eight_bits_in_sixteen_stay_dark(channels):
    levels = np.full((20, 30, channels), 257 * 27, dtype=np.uint16)
    levels[:, :10] = 257 * 60
    if channels == 4:
        levels[..., 3] = 65_535
    decoded = decode(png_of_sixteen_bits(levels))
    assert decoded.getpixel((3, 3)) == (60, 60, 60)
    assert decoded.getpixel((25, 3)) == (27, 27, 27)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("significant", "expected"), [(None, 219), (16, 54), (8, 54), (14, 219)])
def test_dark_levels_stay_dark_if_the_file_declares_sixteen_bits(channels, significant, expected):
    levels = np.full((20, 30, channels), 14_040, dtype=np.uint16)
    decoded = decode(png_of_sixteen_bits(levels, significant))
    assert decoded.getpixel((3, 3)) == (expected,) * 3


def test_a_dark_tiff_that_declares_its_highest_level_stays_dark():
    levels = Image.fromarray(np.full((20, 30), 14_040, dtype=np.uint16))
    assert decode(saved(levels, "TIFF")).getpixel((3, 3)) == (219, 219, 219)
    scaled = saved(levels, "TIFF", tiffinfo={281: 65_535})
    assert decode(scaled).getpixel((3, 3)) == (54, 54, 54)


def test_deep_colors_with_alpha_keep_both():
    levels = np.zeros((20, 30, 4), dtype=np.uint16)
    levels[:, :15] = (4095, 2048, 0, 65_535)
    decoded = decode(png_of_sixteen_bits(levels))
    assert decoded.getpixel((3, 3)) == (255, 128, 0)
    assert decoded.getpixel((25, 3)) == (255, 255, 255)


@pytest.mark.parametrize("white", [255, 1023, 4095, 65_535])
def test_a_portable_gray_map_has_the_white_that_it_declares(white):
    size = 2 if white > 255 else 1
    levels = [white // 4, white // 2]
    content = b"".join(level.to_bytes(size, "big") for level in levels)
    decoded = decode(f"P5\n2 1\n{white}\n".encode() + content)
    assert_close(decoded.getpixel((0, 0)), (63, 63, 63), 1)
    assert_close(decoded.getpixel((1, 0)), (127, 127, 127), 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_a_tiff_of_floating_point_colors_is_read(order, dtype):
    values = np.zeros((20, 30, 3), dtype=dtype)
    values[:, :10], values[:, 10:20] = (1, 0.5, 0), 0.25
    decoded = decode(tiff_of(values, order))
    assert_close(decoded.getpixel((5, 5)), (255, 128, 0), 1)
    assert_close(decoded.getpixel((15, 5)), (64, 64, 64), 1)


def test_gray_of_floating_point_has_its_true_brightness():
    values = np.full((20, 20), 0.5, dtype=np.float32)
    values[:5] = 0.25
    decoded = decode(saved(Image.fromarray(values), "TIFF"))
    assert_close(decoded.getpixel((3, 15)), (128, 128, 128), 1)
    assert_close(decoded.getpixel((3, 3)), (64, 64, 64), 1)


def test_highlights_above_white_are_cut_off():
    values = np.full((20, 20), 0.5, dtype=np.float32)
    values[:, :8], values[0, 0] = 3.25, 20
    decoded = decode(Image.fromarray(values))
    assert decoded.getpixel((15, 15)) == (128, 128, 128)
    assert decoded.getpixel((3, 15)) == (255, 255, 255)
    dark = decode(Image.fromarray(np.full((20, 20), 20, dtype=np.float32)))
    assert dark.getpixel((3, 3)) == (20, 20, 20)


def test_a_tiff_that_is_not_read_is_named_as_what_it_is():
    content = tiff_of(np.zeros((4, 4, 3), dtype=np.uint32))
    with pytest.raises(UnsupportedImageError, match="TIFF of 3 x 32-bit integers") as raised:
        decode(content)
    assert "16 bits" in str(raised.value)


def test_what_to_do_with_a_tiff_of_cmyk_and_alpha_is_said():
    content = tiff_of(np.zeros((4, 4, 5), dtype=np.uint8))
    cmyk = content.replace(
        struct.pack("<HHIHH", 262, 3, 1, 2, 0), struct.pack("<HHIHH", 262, 3, 1, 5, 0)
    )
    cmyk = cmyk.replace(struct.pack("<HHI", 339, 3, 5), struct.pack("<HHI", 338, 3, 1))
    with pytest.raises(UnsupportedImageError, match="Save it without its alpha channel, or as RGB"):
        decode(cmyk)
    with pytest.raises(UnsupportedImageError, match="Save it as RGB"):
        decode(tiff_of(np.zeros((4, 4, 7), dtype=np.uint8)))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_gray_tiff_whose_zero_is_white_is_not_a_negative(dtype, compression):
    white = {np.uint16: 65_535, np.float32: 1}[dtype]
    levels = np.zeros((30, 40), dtype)
    levels[:, 20:] = white
    for photometric, left in ((0, 255), (1, 0)):
        tags = {262: photometric}
        content = saved(Image.fromarray(levels), "TIFF", tiffinfo=tags, compression=compression)
        decoded = decode(content)
        assert decoded.getpixel((3, 3)) == (left,) * 3
        assert decoded.getpixel((36, 3)) == (255 - left,) * 3


@pytest.mark.parametrize("dtype", ["f2", "f8"])
def test_a_tiff_of_other_floating_point_numbers_whose_zero_is_white_is_not_a_negative(dtype):
    levels = np.zeros((30, 40, 1), dtype)
    levels[:, 20:] = 1
    content = tiff_of(levels)
    photometric = struct.pack("<HHIHH", 262, 3, 1, 2, 0)
    assert content.count(photometric) == 1
    decoded = decode(content.replace(photometric, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))
    assert decoded.getpixel((3, 3)) == (255, 255, 255)
    assert decoded.getpixel((36, 3)) == (0, 0, 0)


def with_byte_palettes(content):
    """A TIFF of pages with palettes, whose levels become 8-bit ones, as old programs write them."""
    content = bytearray(content)
    order = "<" if content[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(f"{order}I", content, 4)
    while directory:
        (count,) = struct.unpack_from(f"{order}H", content, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, _, length, position = struct.unpack_from(f"{order}HHII", content, entry)
            if tag == 320:
                kind = f"{order}{length}H"
                levels = struct.unpack_from(kind, content, position)
                struct.pack_into(kind, content, position, *(level >> 8 for level in levels))
        (directory,) = struct.unpack_from(f"{order}I", content, directory + 2 + 12 * count)
    return bytes(content)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_palette_of_a_tiff_with_8_bit_levels_is_not_black(compression):
    picture = two_halves().quantize(8)
    content = saved(picture, "TIFF", compression=compression)
    old = with_byte_palettes(content)
    assert np.asarray(Image.open(BytesIO(old)).convert("RGB")).max() == 0  # as Pillow reads it
    decoded = np.asarray(decode(old))
    assert np.array_equal(decoded, np.asarray(decode(content)))
    assert_close(decoded[3, 3], LEFT)


def test_every_page_of_a_tiff_may_have_a_palette_with_8_bit_levels():
    plain = Image.new("RGB", (60, 40), LEFT).quantize(2)
    content = with_byte_palettes(pages((plain, 0), (two_halves().quantize(8), 0)))
    assert_close(decode(content).getpixel((57, 3)), RIGHT)
    assert_close(decode(with_byte_palettes(pages((plain, 0), (plain, 0)))).getpixel((3, 3)), LEFT)


def test_a_black_palette_of_a_tiff_stays_black():
    black = Image.new("P", (60, 40))
    black.putpalette(bytes(768))
    assert np.asarray(decode(saved(black, "TIFF"))).max() == 0


def planar_tiff(planes, photometric, order="<", size=None, tile=None, bits=16, **tags):
    """An uncompressed TIFF of 16-bit levels: for each channel one strip, or tiles of one size.

    With 8 bits, the levels are reduced.
    """
    height, width = planes[0].shape
    channels = 3 if tile else len(planes)
    lengths = [bits // 8 * width * height] * len(planes)
    parts = {278: (4, [height]), 279: (4, lengths)}
    if tile:
        parts = {322: (3, [tile]), 323: (3, [tile]), 325: (4, lengths)}
    size = size or (width, height)
    entries = {
        256: (4, [size[0]]), 257: (4, [size[1]]), 258: (3, [bits] * channels), 259: (3, [1]),
        262: (3, [photometric]), 277: (3, [channels]), 284: (3, [2]), **parts,
        **{int(tag[1:]): (3, [value]) for tag, value in tags.items()},
    }  # fmt: skip
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    values = b""

    def pack(kind, numbers):
        nonlocal values
        packed = struct.pack(order + "HI"[kind == 4] * len(numbers), *numbers)
        if len(packed) <= 4:
            return packed.ljust(4, b"\0")
        values += packed
        return struct.pack(order + "I", start + len(values) - len(packed))

    fields = {tag: (kind, len(n), pack(kind, n)) for tag, (kind, n) in entries.items()}
    pixels = start + len(values) + 4 * len(planes)
    offsets = [pixels + number * lengths[0] for number in range(len(planes))]
    fields[324 if tile else 273] = (4, len(planes), pack(4, offsets))
    directory = b"".join(
        struct.pack(order + "HHI", tag, kind, count) + value
        for tag, (kind, count, value) in sorted(fields.items())
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(fields))
    levels = [plane >> (16 - bits) for plane in planes]
    data = b"".join(plane.astype(f"{order}u{bits // 8}").tobytes() for plane in levels)
    return head + directory + bytes(4) + values + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "photometric", "tags"),
    [("RGB", 2, {}), ("RGBA", 2, {"t338": 2}), ("CMYK", 5, {}), ("RGB", 2, {"t274": 6})],
)
def test_a_tiff_with_deep_planes_has_its_colors(order, kind, photometric, tags):
    levels = np.asarray(two_halves().convert(kind)).astype(np.uint16) * 257
    content = planar_tiff(list(np.moveaxis(levels, 2, 0)), photometric, order, **tags)
    decoded = decode(content)
    if tags.get("t274"):
        assert decoded.size == (40, 60)
        assert_close(decoded.getpixel((20, 5)), LEFT)
        assert_close(decoded.getpixel((20, 55)), RIGHT)
    else:
        assert_close(decoded.getpixel((5, 20)), LEFT)
        assert_close(decoded.getpixel((55, 20)), RIGHT)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "bits"), [(0, 16), (1, 8), (1, 16), (2, 8), (2, 16)])
def test_planes_of_colors_multiplied_by_alpha_are_divided_by_it(order, kind, bits):
    """The extra channel of a TIFF is alpha, by which the colors are (1) or are not multiplied (2).

    With 0, it is no alpha.
    """
    color = np.array([200, 40, 40], np.float64) * (128 / 255 if kind == 1 else 1)
    planes = [np.full((40, 60), round(level * 257), np.uint16) for level in (*color, 128)]
    decoded = decode(planar_tiff(planes, 2, order, bits=bits, t338=kind))
    assert_close(decoded.getpixel((5, 5)), (227, 147, 147) if kind else (200, 40, 40), 2)


def test_faint_colors_multiplied_by_alpha_are_not_taken_for_fewer_bits():
    planes = [np.full((40, 60), level * 257, np.uint16) for level in (40, 8, 8, 51)]
    assert_close(decode(planar_tiff(planes, 2, t338=1)).getpixel((5, 5)), (244, 212, 212), 2)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_with_deep_planes_of_tiles_has_its_colors(order):
    """Pillow pastes each tile of 16-bit levels as one of 8 bits, in a collage."""
    levels = np.asarray(two_halves((70, 40))).astype(np.uint16) * 257
    padded = np.zeros((48, 80, 3), np.uint16)
    padded[:40, :70] = levels
    tiles = [
        padded[top : top + 16, left : left + 16, channel]
        for channel in range(3)
        for top in range(0, 48, 16)
        for left in range(0, 80, 16)
    ]
    decoded = decode(planar_tiff(tiles, 2, order, size=(70, 40), tile=16))
    assert decoded.size == (70, 40)
    for at in ((5, 20), (30, 3)):
        assert_close(decoded.getpixel(at), LEFT)
    for at in ((65, 39), (40, 3)):
        assert_close(decoded.getpixel(at), RIGHT)


def test_large_unsigned_integers_of_a_tiff_keep_their_order():
    levels = np.full((40, 60), 1_000_000_000, np.uint32)
    levels[:, 30:] = 4_000_000_000
    levels[0] = 0
    content = saved(Image.fromarray(levels.view(np.int32)), "TIFF")
    signed, unsigned = (struct.pack("<HHIHH", 339, 3, 1, format, 0) for format in (2, 1))
    assert signed in content
    decoded = decode(content.replace(signed, unsigned))
    assert_close(decoded.getpixel((5, 20)), (64,) * 3, 2)
    assert_close(decoded.getpixel((55, 20)), (255,) * 3, 2)
