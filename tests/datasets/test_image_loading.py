"""Odd picture files: what comes out is upright RGB, or an error that names the file."""

import os
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dwc.datasets.image_kinds import UnsupportedImageError
from dwc.datasets.image_loading import HAS_HEIF, decode, hash_pixels
from dwc.errors import ImageError
from tests.datasets.image_files import LEFT, RIGHT, assert_close, iso_header, saved, two_halves


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


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"this is a letter, not a picture", "this is a le"),
        ("page.png", b"<html><body>404</body></html>", "not a picture"),
        (
            "drawing.eps",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "EPS picture, which is not read here",
        ),
        ("cut.jpg", saved(two_halves((300, 200)), "JPEG")[:1500], "damaged"),
        ("cut.png", saved(two_halves((300, 200)), "PNG")[:200], "damaged"),
        ("cut.gif", saved(two_halves((300, 200)), "GIF")[:300], "damaged"),
        ("head.webp", saved(two_halves((300, 200)), "WEBP")[:25], "head.webp"),
    ],
)
def test_files_that_are_no_pictures_are_named(tmp_path, name, content, says):
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


def test_the_original_image_is_left_as_it_was():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(BytesIO(saved(two_halves(), "PNG", exif=exif)))
    assert decode(picture).size == (40, 60)
    assert picture.size == (60, 40)


def test_the_pixel_hash_depends_on_the_pixels_alone():
    picture = two_halves()
    same = [saved(picture, "PNG"), saved(picture, "BMP"), saved(picture, "WEBP", lossless=True)]
    assert {hash_pixels(decode(encoded)) for encoded in same} == {hash_pixels(picture)}
    other = picture.copy()
    other.putpixel((0, 0), (201, 30, 30))
    assert hash_pixels(other) != hash_pixels(picture)
    flat = [Image.new("RGB", size) for size in ((6, 4), (4, 6), (12, 2))]
    assert len({hash_pixels(one) for one in flat}) == 3


def long_screenshot(color):
    """A strip whose top square is the same for every color."""
    strip = Image.new("RGB", (20, 110), color)
    strip.paste(two_halves().resize((20, 40)))
    return strip


def animation(second):
    return saved(
        two_halves(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40), second)]
    )


@pytest.mark.parametrize(
    "content", [lambda color: saved(long_screenshot(color), "PNG"), animation],
    ids=["strip", "animation"],
)  # fmt: skip
def test_images_that_share_their_decoded_part_have_different_hashes(content):
    first, second = decode(content((200, 10, 10))), decode(content((10, 10, 200)))
    assert first.tobytes() == second.tobytes()
    assert hash_pixels(first) != hash_pixels(second)
    assert hash_pixels(first) == hash_pixels(decode(content((200, 10, 10))))
    assert hash_pixels(decode(first)) == hash_pixels(first)  # decoded twice, as by the page
    alone = Image.new("RGB", first.size)
    alone.paste(first)
    assert hash_pixels(alone) != hash_pixels(first)


def test_a_strip_given_as_an_image_is_hashed_as_a_whole():
    first, second = (decode(long_screenshot(color)) for color in ((200, 10, 10), (10, 10, 200)))
    assert first.tobytes() == second.tobytes()
    assert hash_pixels(first) != hash_pixels(second)


def test_a_targa_file_is_read(tmp_path):
    two_halves().save(tmp_path / "a.tga")
    assert_close(decode(tmp_path / "a.tga").getpixel((5, 20)), LEFT)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jxl", b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        ("a.jpg", b"\xff\x0a" + bytes(40), "JPEG XL"),
        ("a.CR3", iso_header(b"crx ", b"isom"), "RAW"),
        ("a.psd", b"8BPS" + bytes(40), "Photoshop"),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    ],
)
def test_a_kind_that_is_not_read_is_named_with_what_to_do(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnsupportedImageError, match=says) as raised:
        decode(tmp_path / name)
    assert name in str(raised.value)
    assert "JPEG" in str(raised.value)


@pytest.mark.skipif(HAS_HEIF, reason="pillow-heif is installed")
@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevc"])
def test_heic_is_named_heic(tmp_path, brand):
    (tmp_path / "IMG_0001.jpg").write_bytes(iso_header(brand, b"heic"))
    with pytest.raises(UnsupportedImageError, match=r"0001\.jpg: is a HEIC picture.*pillow-heif"):
        decode(tmp_path / "IMG_0001.jpg")


@pytest.mark.skipif(not HAS_HEIF, reason="pillow-heif is not installed")
def test_heic_is_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = two_halves((128, 96))
    picture.save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    decoded = decode(tmp_path / "a.heic")
    assert decoded.size == (96, 128)
    assert_close(decoded.getpixel((48, 10)), LEFT, 20)


def test_a_name_that_is_not_printable_is_spelled_out_in_errors(tmp_path):
    name = os.fsdecode(b"Andr\xe9\x1b[31m.jpg")
    with open(os.fsencode(tmp_path) + b"/Andr\xe9\x1b[31m.jpg", "wb") as file:
        file.write(b"no picture")
    with pytest.raises(ImageError) as raised:
        decode(tmp_path / name)
    assert "Andr\\xe9\\x1b[31m.jpg: is not a picture" in str(raised.value)
    str(raised.value).encode("utf-8")


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


@pytest.mark.slow
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
