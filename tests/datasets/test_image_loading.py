"""Odd picture files: what comes out is upright RGB, or an error that names the file."""

import struct
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dwc.datasets.image_loading import decode, hash_pixels
from dwc.errors import ImageError

LEFT, RIGHT = (200, 30, 30), (20, 40, 220)


def two_halves(size=(60, 40), left=LEFT, right=RIGHT):
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def saved(picture, format, **options):
    file = BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def assert_close(colour, expected, tolerance=12):
    assert np.abs(np.subtract(colour, expected)).max() <= tolerance, (colour, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    # What a camera stores for a scene, written out from the EXIF standard's table: where the first
    # row and the first column of the stored pixels lie in the upright scene.
    scene = np.asarray(two_halves())
    stored = {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: scene.transpose(1, 0, 2)[::-1],
        7: scene.transpose(1, 0, 2)[::-1, ::-1],
        8: scene.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(saved(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif))
    assert np.array_equal(np.asarray(picture), scene)


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("YCbCr", "JPEG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
        ("RGB", "BMP"),
        ("RGB", "PPM"),
        ("RGB", "JPEG2000"),
    ],
)
def test_every_mode_becomes_rgb(mode, format):
    options = {"quality": 95} if format == "JPEG" else {}
    converted = two_halves().convert(mode, palette=Image.Palette.ADAPTIVE)
    picture = decode(saved(converted, format, **options))
    assert picture.mode == "RGB"
    assert picture.size == (60, 40)
    assert_close(picture.getpixel((5, 20)), LEFT)
    assert_close(picture.getpixel((55, 20)), RIGHT)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "I", "F"])
def test_grey_becomes_rgb(mode):
    grey = two_halves(left=(0, 0, 0), right=(255, 255, 255)).convert("L").convert(mode)
    picture = decode(grey)
    assert picture.mode == "RGB"
    assert picture.getpixel((5, 5)) == (0, 0, 0)
    assert picture.getpixel((55, 5)) == (255, 255, 255)


def test_sixteen_bits_a_channel_keep_their_brightness():
    values = np.zeros((20, 30), dtype=np.uint16)
    values[:, 15:] = 0x8080
    picture = decode(saved(Image.fromarray(values), "PNG"))
    assert picture.getpixel((2, 2)) == (0, 0, 0)
    assert picture.getpixel((20, 2)) == (0x80, 0x80, 0x80)


def test_alpha_lies_over_white():
    picture = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (10, 0, 20, 20))
    for encoded in (saved(picture, "PNG"), saved(picture, "WEBP", lossless=True)):
        decoded = decode(encoded)
        assert decoded.getpixel((2, 2)) == (255, 255, 255)
        assert decoded.getpixel((15, 2)) == (0, 0, 255)


def test_a_palette_with_a_transparent_entry_lies_over_white():
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(1, (10, 0, 20, 20))
    for format in ("PNG", "GIF"):
        decoded = decode(saved(picture, format, transparency=0))
        assert decoded.getpixel((2, 2)) == (255, 255, 255)
        assert decoded.getpixel((15, 2)) == (0, 0, 255)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(format):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    encoded = saved(frames[0], format, save_all=True, append_images=frames[1:])
    assert_close(decode(encoded).getpixel((9, 9)), (255, 0, 0))


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


@pytest.mark.parametrize("size", [(9_000, 9_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(size, tmp_path):
    file = tmp_path / "bomb.png"
    file.write_bytes(png_header(*size))
    with pytest.raises(ImageError, match=r"bomb\.png.*at most 80,000,000 ") as raised:
        decode(file)
    assert str(size[0] * size[1]) in str(raised.value).replace(",", "")


def test_the_pixel_limit_is_the_callers():
    assert decode(two_halves((60, 40)), max_pixels=2400).size == (60, 40)
    with pytest.raises(ImageError, match=r"60 x 40, 2,400 pixels; at most 2,399"):
        decode(two_halves((60, 40)), max_pixels=2399)


def test_a_strip_is_refused():
    with pytest.raises(ImageError, match="5001 x 100"):
        decode(Image.new("RGB", (5001, 100)))
    assert decode(Image.new("RGB", (5000, 100))).size == (5000, 100)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"this is a letter, not a picture", "this is a le"),
        ("page.png", b"<html><body>404</body></html>", "not a picture"),
        ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        ("cut.jpg", saved(two_halves((300, 200)), "JPEG")[:1500], "damaged"),
        ("cut.png", saved(two_halves((300, 200)), "PNG")[:200], "damaged"),
        ("cut.gif", saved(two_halves((300, 200)), "GIF")[:300], "damaged"),
        ("head.webp", saved(two_halves((300, 200)), "WEBP")[:25], "head.webp"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, name, content, says):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ImageError, match=says) as raised:
        decode(file)
    assert name in str(raised.value)
    with pytest.raises(ImageError, match="the picture given"):
        decode(content)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"none\.jpg.*no such file"):
        decode(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        decode(tmp_path)
    with pytest.raises(ImageError, match="no pixels"):
        decode(Image.new("RGB", (0, 3)))


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(1200, 1050), (4200, 8400), (1023, 1023)])
def test_large_pictures_come_back_smaller_but_large_enough(format, size):
    decoded = decode(saved(two_halves(size), format))
    assert 512 <= min(decoded.size) < 1024
    assert decoded.width / decoded.height == pytest.approx(size[0] / size[1], rel=0.01)
    assert_close(decoded.getpixel((5, 5)), LEFT)
    assert_close(decoded.getpixel((decoded.width - 5, 5)), RIGHT)


def test_the_original_image_is_left_as_it_was():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(BytesIO(saved(two_halves(), "PNG", exif=exif)))
    assert decode(picture).size == (40, 60)
    assert picture.size == (60, 40)


def test_the_pixel_hash_is_of_what_is_seen():
    picture = two_halves()
    same = [saved(picture, "PNG"), saved(picture, "BMP"), saved(picture, "WEBP", lossless=True)]
    assert {hash_pixels(decode(encoded)) for encoded in same} == {hash_pixels(picture)}
    other = picture.copy()
    other.putpixel((0, 0), (201, 30, 30))
    assert hash_pixels(other) != hash_pixels(picture)
    flat = [Image.new("RGB", size) for size in ((6, 4), (4, 6), (12, 2))]
    assert len({hash_pixels(one) for one in flat}) == 3


ENCODED = [
    saved(two_halves(), format, **options)
    for format, options in [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {}),
        ("JPEG2000", {}),
        ("PPM", {}),
    ]
]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(ENCODED),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_damaged_files_are_read_or_refused_and_nothing_else(encoded, changes, kept):
    damaged = bytearray(encoded)
    for place, value in changes:
        damaged[int(place * (len(damaged) - 1))] = value
    damaged = bytes(damaged[: int(kept * len(damaged)) + 1])
    with suppress(ImageError):
        assert decode(damaged).mode == "RGB"
