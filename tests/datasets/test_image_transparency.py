"""Objects on transparency lie over a color on which they can be seen."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dwc.datasets.image_loading import decode
from tests.datasets.image_files import LEFT, assert_close, png_chunk, saved, two_halves


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


@pytest.mark.parametrize("level", [255, 240, 225])
def test_a_white_object_on_transparency_can_be_seen(level):
    cut_out = Image.new("RGBA", (90, 90), (255, 255, 255, 0))
    cut_out.paste((level, level, level, 255), (30, 20, 60, 80))
    for encoded in (saved(cut_out, "PNG"), saved(cut_out, "WEBP", lossless=True)):
        decoded = decode(encoded)
        inside, outside = decoded.getpixel((45, 50)), decoded.getpixel((5, 5))
        assert_close(inside, (level,) * 3, 2)
        assert min(np.subtract(inside, outside)) > 80


@pytest.mark.parametrize("color", [(0, 0, 0), (200, 30, 30), (128, 128, 128)])
def test_other_objects_on_transparency_lie_over_white(color):
    cut_out = Image.new("RGBA", (90, 90), (0, 0, 0, 0))
    cut_out.paste((*color, 255), (30, 20, 60, 80))
    assert decode(cut_out).getpixel((5, 5)) == (255, 255, 255)
    assert decode(cut_out).getpixel((45, 50)) == color


def test_an_object_half_white_half_black_can_be_seen():
    cut_out = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    cut_out.paste((255, 255, 255, 255), (10, 10, 50, 30))
    cut_out.paste((0, 0, 0, 255), (10, 30, 50, 50))
    decoded = decode(cut_out)
    outside = decoded.getpixel((2, 2))
    assert all(abs(decoded.getpixel(at)[0] - outside[0]) > 80 for at in ((30, 20), (30, 40)))


def test_the_transparent_level_of_gray_with_sixteen_bits_is_obeyed():
    levels = np.full((40, 60), 20_000, np.uint16)
    levels[:, 30:] = 50_001
    content = saved(Image.fromarray(levels), "PNG", transparency=50_001)
    decoded = decode(content)
    assert_close(decoded.getpixel((5, 20)), (78,) * 3, 2)
    assert_close(decoded.getpixel((55, 20)), (255,) * 3, 2)


@pytest.mark.parametrize("bits", [2, 4])
def test_the_transparent_level_of_a_png_of_few_bits_is_transparent(bits):
    """Pillow scales the pixels to 8 bits, but not the level that is transparent."""
    rows = b"".join(b"\0" + bytes([0x55] * 10 + [0xFF] * 10) for _ in range(40))  # levels 1 or 5
    width, level = 20 * 8 // bits, {2: 1, 4: 5}[bits]
    header = struct.pack(">IIBBBBB", width, 40, bits, *[0] * 4)
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
    clear = png_chunk(b"tRNS", struct.pack(">H", level))
    end = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    assert decode(png + end).getpixel((5, 20)) == (85, 85, 85)
    assert decode(png + clear + end).getpixel((5, 20)) != (85, 85, 85)
    other = struct.pack(">H", 2)
    assert decode(png + png_chunk(b"tRNS", other) + end).getpixel((5, 20)) == (85, 85, 85)


@pytest.mark.parametrize("suffix", ["bmp", "tga"])
def test_an_alpha_channel_that_is_not_used_hides_nothing(tmp_path, suffix):
    picture = two_halves()
    for alpha, color in ((0, LEFT), (255, LEFT)):
        picture.putalpha(alpha)
        if suffix == "tga":
            picture.save(tmp_path / "a.tga")
        else:
            pixels = np.asarray(picture)[::-1, :, [2, 1, 0, 3]].tobytes()
            masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
            header = struct.pack("<IiiHHIIiiII", 108, 60, 40, 1, 32, 3, len(pixels), 0, 0, 0, 0)
            header = (header + masks).ljust(108, b"\0")
            start = 14 + len(header)
            file = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
            (tmp_path / "a.bmp").write_bytes(file + header + pixels)
        assert Image.open(tmp_path / f"a.{suffix}").mode == "RGBA"
        assert_close(decode(tmp_path / f"a.{suffix}").getpixel((3, 3)), color)


def test_what_the_first_frame_of_a_gif_does_not_cover_is_transparent(tmp_path):
    """Pillow fills it with the background color, here blue; browsers leave it transparent."""
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 255, 255, 0, 0])
    content = bytearray(saved(image, "GIF"))
    content[6:10] = (40).to_bytes(2, "little") * 2  # a screen of 40 x 40
    path = tmp_path / "part.gif"
    path.write_bytes(content)
    shown = decode(path)
    assert shown.size == (40, 40)
    assert shown.getpixel((5, 5)) == (255, 0, 0)
    assert shown.getpixel((30, 30)) == shown.getpixel((5, 30)) == (255, 255, 255)
