"""Bombs are refused, large pictures are reduced, and of a strip a square is taken."""

import pytest
from PIL import Image

from dwc.datasets.image_loading import decode
from dwc.errors import ImageError
from tests.datasets.image_files import LEFT, RIGHT, assert_close, png_header, saved, two_halves


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


@pytest.mark.parametrize("long_side", [501, 4_600, 30_000])
def test_of_a_high_strip_the_top_is_taken(long_side):
    strip = Image.new("RGB", (100, long_side), "white")
    strip.paste(LEFT, (0, 0, 100, 100))
    assert decode(strip).size == (100, 100)
    assert_close(decode(saved(strip, "PNG")).getpixel((50, 95)), LEFT)


def test_of_a_wide_strip_the_middle_is_taken():
    strip = Image.new("RGB", (4_600, 100), "white")
    strip.paste(LEFT, (2_200, 0, 2_400, 100))
    exif = Image.Exif()
    exif[0x0112] = 6
    for picture in (strip, saved(strip.rotate(90, expand=True), "PNG", exif=exif)):
        decoded = decode(picture)
        assert decoded.size == (100, 100)
        assert_close(decoded.getpixel((50, 50)), LEFT)
    assert decode(Image.new("RGB", (500, 100))).size == (500, 100)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(1200, 1050), (4200, 8400), (1023, 1023)])
def test_large_pictures_come_back_smaller_but_large_enough(format, size):
    decoded = decode(saved(two_halves(size), format))
    assert 512 <= min(decoded.size) < 1024
    assert decoded.width / decoded.height == pytest.approx(size[0] / size[1], rel=0.01)
    assert_close(decoded.getpixel((5, 5)), LEFT)
    assert_close(decoded.getpixel((decoded.width - 5, 5)), RIGHT)


@pytest.mark.slow
def test_a_huge_jpeg_is_read_reduced(tmp_path, recwarn):
    picture = Image.new("RGB", (12_000, 9_000), LEFT)
    picture.paste(RIGHT, (6_000, 0, 12_000, 9_000))
    picture.save(tmp_path / "huge.jpg", quality=60)
    del picture
    decoded = decode(tmp_path / "huge.jpg")
    assert 512 <= min(decoded.size) < 1_300
    assert_close(decoded.getpixel((5, 5)), LEFT)
    assert_close(decoded.getpixel((decoded.width - 5, 5)), RIGHT)
    assert not recwarn.list


def test_a_jpeg_whose_decoder_holds_all_of_it_is_limited(monkeypatch):
    scans = saved(two_halves((600, 600)), "JPEG", progressive=True)
    with pytest.raises(ImageError, match=r"600 x 600.*at most 100,000 .*DWC_MAX_DECODED_MB"):
        decode(scans, max_pixels=100_000)
    assert decode(saved(two_halves((600, 600)), "JPEG"), max_pixels=360_000).size == (600, 600)


def test_the_limit_can_be_set(monkeypatch):
    picture = saved(two_halves((600, 600)), "PNG")
    monkeypatch.setenv("DWC_MAX_DECODED_MB", "1")
    with pytest.raises(ImageError, match="at most 333,333 "):
        decode(picture)
    monkeypatch.setenv("DWC_MAX_DECODED_MB", "1.2")
    assert decode(picture).size == (600, 600)
    monkeypatch.setenv("DWC_MAX_DECODED_MB", "plenty")
    with pytest.raises(ImageError, match="'plenty'; expected a number of megabytes"):
        decode(picture)
