"""Odd picture files: what comes out is upright RGB, or an error that names the file."""

import os
import struct
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin

from dwc.datasets import image_loading
from dwc.datasets.image_kinds import UnsupportedImageError
from dwc.datasets.image_loading import (
    FRAME,
    HAS_HEIF,
    IGNORED_PROFILE,
    OTHER_FRAMES,
    decode,
    find_issues,
    hash_pixels,
)
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


def assert_close(color, expected, tolerance=12):
    assert np.abs(np.subtract(color, expected)).max() <= tolerance, (color, expected)


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


XMP_OF_ROTATION = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("has_exif", [False, True])
def test_an_orientation_in_xmp_alone_is_ignored_as_in_browsers(format, has_exif):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    options = {"exif": exif} if has_exif else {}
    if format == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP_OF_ROTATION.decode())
    elif format == "TIFF":
        options["tiffinfo"] = {700: XMP_OF_ROTATION}
        options.pop("exif", None)
    else:
        options["xmp"] = XMP_OF_ROTATION
    content = saved(two_halves(), format, **options)
    with Image.open(BytesIO(content)) as opened:
        assert opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
    assert decode(content).size == (60, 40)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("pages", [1, 2])
@pytest.mark.parametrize(("tag", "size"), [(1, (60, 40)), (6, (40, 60)), (None, (60, 40))])
def test_a_tiff_is_rotated_by_its_tag_alone(compression, pages, tag, size):
    tags = {700: XMP_OF_ROTATION.replace(b'"6"', b'"8"')} | ({274: tag} if tag else {})
    more = [two_halves()] * (pages - 1)
    options = {"save_all": True, "append_images": more, "compression": compression}
    assert decode(saved(two_halves(), "TIFF", tiffinfo=tags, **options)).size == size
    blank = Image.new("RGB", (60, 40))
    options["append_images"] = [two_halves()]
    assert decode(saved(blank, "TIFF", tiffinfo=tags, **options)).size == size


def test_the_orientation_of_an_opened_image_is_undone_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(BytesIO(saved(two_halves(), "JPEG", exif=exif))) as opened:
        assert decode(opened).size == (40, 60)
        assert decode(ImageOps.exif_transpose(opened)).size == (40, 60)


def test_the_default_image_outside_an_animation_is_passed_over():
    shown = two_halves().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    other = Image.new("RGB", (60, 40), (0, 200, 0))
    options = {"save_all": True, "duration": 100_000}
    content = saved(
        two_halves(), "PNG", append_images=[shown, other], default_image=True, **options
    )
    assert_close(decode(content).getpixel((5, 20)), RIGHT)
    content = saved(two_halves(), "PNG", append_images=[shown, other], **options)
    assert_close(decode(content).getpixel((5, 20)), LEFT)


def test_the_transparent_level_of_gray_with_sixteen_bits_is_obeyed():
    levels = np.full((40, 60), 20_000, np.uint16)
    levels[:, 30:] = 50_001
    content = saved(Image.fromarray(levels), "PNG", transparency=50_001)
    decoded = decode(content)
    assert_close(decoded.getpixel((5, 20)), (78,) * 3, 2)
    assert_close(decoded.getpixel((55, 20)), (255,) * 3, 2)


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
def test_an_animation_of_single_colors_gives_its_first_frame(format):
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "lime", "blue")]
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


@pytest.mark.slow
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


def test_a_first_frame_of_one_color_is_passed_over():
    frames = [Image.new("RGB", (60, 40), "white"), Image.new("RGB", (60, 40), "black")]
    frames += [two_halves(), two_halves(left=RIGHT, right=LEFT)]
    for format, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        encoded = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
        decoded = decode(encoded)
        assert_close(decoded.getpixel((5, 20)), LEFT)
        assert_close(decoded.getpixel((55, 20)), RIGHT)


def frames_of(format, first):
    options = {"WEBP": {"lossless": True}}.get(format, {})
    rest = [two_halves(first.size), two_halves(first.size)]
    return saved(first, format, save_all=True, append_images=rest, duration=99, **options)


FADES = [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})]


@pytest.mark.parametrize("strengths", [(0, 0.1, 0.5, 1, 1), (0.1, 0.3, 0.6, 1), (0, 0.02, 0.2, 1)])
@pytest.mark.parametrize(("format", "options"), FADES)
@pytest.mark.parametrize("ground", ["white", "black", "teal"])
def test_of_a_picture_that_fades_in_a_frame_of_full_contrast_is_used(
    format, options, ground, strengths
):
    blank, full = Image.new("RGB", (60, 40), ground), two_halves()
    frames = [Image.blend(blank, full, strength) for strength in strengths]
    encoded = saved(
        frames[0], format, save_all=True, append_images=frames[1:], duration=80, **options
    )
    decoded = decode(encoded)
    assert decoded.info[FRAME] == 4
    assert OTHER_FRAMES not in decoded.info
    assert_close(decoded.getpixel((5, 20)), LEFT)


def test_a_cut_animation_shows_its_first_frame():
    frames = [Image.effect_noise((60, 40), 90).convert("RGB") for _ in range(6)]
    encoded = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    decoded = decode(encoded[: len(encoded) // 2])
    assert decoded.info[FRAME] == 1
    assert decoded.tobytes() == decode(encoded).tobytes()


@pytest.mark.parametrize("ending", [b"!", b"!\xf9\x01\x01\x00", b"!\xf9\x01\x00\x00"])
def test_a_gif_that_ends_within_an_extension_is_refused(ending):
    content = saved(two_halves(), "GIF")
    with pytest.raises(ImageError, match="cut short or damaged"):
        decode(content[:-1] + ending)


def garment(color, box):
    picture = Image.new("RGB", (90, 120), "white")
    picture.paste(color, box)
    return picture


@pytest.mark.parametrize(
    ("format", "second", "is_other"),
    [
        *((format, garment("blue", (10, 10, 80, 110)), True) for format in ("GIF", "WEBP", "TIFF")),
        *((format, garment("red", (15, 14, 85, 116)), False) for format in ("GIF", "WEBP", "PNG")),
        ("TIFF", garment("red", (10, 10, 80, 110)).resize((45, 60)), False),  # a preview
        ("TIFF", Image.new("RGB", (90, 120), "white"), False),
        ("MPO", garment("blue", (10, 10, 80, 110)), False),
    ],
)
def test_a_file_that_shows_several_pictures_has_an_issue(format, second, is_other):
    first = garment("red", (10, 10, 80, 110))
    decoded = decode(saved(first, format, save_all=True, append_images=[second]))
    assert (OTHER_FRAMES in decoded.info) == is_other
    assert find_issues(decoded) == ({"other_frames"} if is_other else set())


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_few_frames_are_decoded_of_a_picture_that_does_not_fade_in(monkeypatch, format):
    decoded = []
    grid = image_loading._grid
    monkeypatch.setattr(image_loading, "_grid", lambda frame: decoded.append(1) or grid(frame))
    frames = [garment("red", (20 + n, 10, 90 + n, 110)).resize((600, 800)) for n in range(16)]
    encoded = saved(frames[0], format, save_all=True, append_images=frames[1:])
    assert OTHER_FRAMES not in decode(encoded).info
    assert len(decoded) == 4
    decoded.clear()
    pages = [garment(color, (10, 10, 80, 110)) for color in ("red", "blue") for _ in range(8)]
    encoded = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert OTHER_FRAMES in decode(encoded).info
    assert len(decoded) == 9


@pytest.mark.parametrize("steps", [8, 24, 40])
def test_a_large_picture_that_fades_in_slowly_is_seen_in_full(steps):
    blank, full = Image.new("RGB", (600, 800), "white"), garment("red", (10, 10, 80, 110))
    full = full.resize(blank.size)
    frames = [Image.blend(blank, full, 0.1 + 0.9 * n / (steps - 1)) for n in range(steps)]
    encoded = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40)
    assert_close(decode(encoded).getpixel((300, 400)), (255, 10, 10), 30)


def test_a_preview_page_is_no_further_picture_of_a_tiff():
    first = garment("red", (10, 10, 80, 110))
    encoded = saved(first, "TIFF", save_all=True, append_images=[first.resize((45, 60))])
    assert FRAME not in decode(encoded).info


def test_a_picture_in_which_nothing_can_be_seen_has_an_issue():
    transparent = two_halves().convert("RGBA")
    faint = np.random.default_rng(0).integers(0, 14, (96, 64, 3), np.uint8)
    for alpha in (0, 3):
        transparent.putalpha(alpha)
        assert find_issues(decode(saved(transparent, "PNG"))) == {"blank"}
    for blank in (Image.new("RGB", (60, 40), "white"), Image.fromarray(faint)):
        assert find_issues(decode(saved(blank, "PNG"))) == {"blank"}
    assert find_issues(decode(saved(two_halves(), "PNG"))) == set()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
@pytest.mark.parametrize(("width", "height"), [(1_400, 200), (200, 1_400)])
def test_a_strip_with_a_garment_outside_of_its_square_is_not_blank(mode, width, height):
    """Panoramas and pages of shops with garments at their ends were said to be blank."""
    strip = Image.new("RGB", (width, height), "white")
    assert find_issues(decode(saved(strip.convert(mode), "PNG"))) == {"blank"}
    strip.paste("black", (width - 150, height - 150, width - 10, height - 10))
    for picture in (strip.convert(mode), saved(strip.convert(mode), "PNG")):
        decoded = decode(picture)
        assert find_issues(decoded) == find_issues(decode(decoded)) == {"elongated"}
        assert decoded.getextrema() == ((255, 255),) * 3


def test_a_cut_out_outside_of_a_strip_s_square_is_not_blank():
    strip = Image.new("RGBA", (1_400, 200), (0, 0, 0, 0))
    assert find_issues(decode(saved(strip, "PNG"))) == {"blank"}
    strip.paste("red", (20, 20, 150, 180))
    assert find_issues(decode(saved(strip, "PNG"))) == {"elongated"}


@pytest.mark.parametrize(("long_side", "is_elongated"), [(222, 0), (250, 0), (252, 1), (700, 1)])
def test_a_picture_that_is_very_tall_or_wide_has_an_issue(long_side, is_elongated):
    """A screen of a phone is at most 2.44 times as tall as wide, a photograph less."""
    noise = Image.effect_noise((100, long_side), 80).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    for picture in (noise, noise.rotate(90, expand=True)):
        for options in ({}, {"exif": exif}):
            decoded = decode(saved(picture, "PNG", **options))
            assert find_issues(decoded) == ({"elongated"} if is_elongated else set())


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("level", [0, 120, 244])
def test_a_first_frame_of_faint_noise_is_passed_over(format, level):
    noise = np.random.default_rng(0).integers(level, level + 12, (96, 64, 3), np.uint8)
    decoded = decode(frames_of(format, Image.fromarray(noise)))
    assert_close(decoded.getpixel((9, 9)), LEFT)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("drawn", ["soft", "small", "striped"])
def test_a_dark_first_frame_that_shows_something_is_used(format, drawn):
    if drawn == "soft":  # from black at the top to nearly black at the bottom
        levels = np.repeat(np.linspace(0, 11, 96).round()[:, None], 64, axis=1)
    else:
        levels = np.zeros((96, 64))
        levels[40:56, 24:40] = 11
        if drawn == "striped":
            levels[::2] = 0
    frame = Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    assert decode(frames_of(format, frame)).tobytes() == frame.tobytes()


def test_an_animation_of_noise_alone_gives_its_first_frame():
    generator = np.random.default_rng(0)
    noise = [Image.fromarray(generator.integers(0, 12, (96, 64, 3), np.uint8)) for _ in range(3)]
    content = saved(noise[0], "WEBP", save_all=True, append_images=noise[1:], lossless=True)
    assert decode(content).tobytes() == noise[0].tobytes()


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


def icc_profile(space, tags):
    """An ICC profile for images of a color space, with these tags besides the required ones."""
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": text, b"wtpt": xyz(D50), b"cprt": b"text\0\0\0\0none", **tags}
    table, content = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", start + len(content), len(value))
        content += value
    body = struct.pack(">I", len(tags)) + table + content
    header = struct.pack(
        ">I4sI4s4s4s", 128 + len(body), bytes(4), 0x02100000, b"mntr", space, b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28) + xyz(D50)[8:] + bytes(48)
    return header + body


D50 = (0.9642, 1, 0.8249)


def xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def rgb_profile(red, green, blue, gamma=2.2):
    """A matrix profile with these primaries (chromaticities) and the white of D65, as bytes."""
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    d65, d50 = np.array([0.95047, 1, 1.08883]), np.array(D50)
    primaries = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    primaries = primaries * np.linalg.solve(primaries, d65)
    adapt = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ d65)) @ bradford
    tags = {}
    for name, column in zip(b"r g b".split(), (adapt @ primaries).T, strict=True):
        tags |= {name + b"XYZ": xyz(column), name + b"TRC": curve(gamma)}
    return icc_profile(b"RGB ", tags)


def gray_profile(gamma):
    """A profile for gray images with this exponent, as bytes."""
    return icc_profile(b"GRAY", {b"kTRC": curve(gamma)})


SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
SWAPPED = ((0.30, 0.60), (0.64, 0.33), (0.15, 0.06))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_that_makes_green_red_is_obeyed(format):
    stored = two_halves(left=(10, 220, 10), right=(220, 10, 10))
    options = {"quality": 98} if format in ("JPEG", "WEBP") else {}
    decoded = decode(saved(stored, format, icc_profile=rgb_profile(*SWAPPED), **options))
    assert_close(decoded.getpixel((5, 20)), (220, 10, 10), 20)
    assert_close(decoded.getpixel((55, 20)), (10, 220, 10), 20)
    assert "icc_profile" not in decoded.info


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB, PROPHOTO])
def test_a_wide_gamut_keeps_its_colors(primaries):
    """sRGB red, written in the coordinates of a wider space, is sRGB red again."""
    profile = rgb_profile(*primaries)
    srgb = ImageCms.createProfile("sRGB")
    wide = ImageCms.getOpenProfile(BytesIO(profile))
    colors = [(220, 30, 30), (30, 160, 60), (40, 60, 200), (120, 120, 120)]
    for color in colors:
        stored = ImageCms.profileToProfile(Image.new("RGB", (8, 8), color), srgb, wide)
        assert np.abs(np.subtract(stored.getpixel((0, 0)), color)).max() > 3 or color == (120,) * 3
        decoded = decode(saved(stored, "PNG", icc_profile=profile))
        assert_close(decoded.getpixel((3, 3)), color, 6)


def test_the_profile_of_srgb_changes_nothing():
    picture = two_halves((1400, 1100))
    for profile in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),):
        plain, profiled = (
            decode(saved(picture, "PNG", **o)) for o in ({}, {"icc_profile": profile})
        )
        assert plain.tobytes() == profiled.tobytes()


@pytest.mark.slow
def test_profiles_of_transparent_gray_and_reduced_pictures_are_obeyed():
    profile = rgb_profile(*SWAPPED)
    glass = two_halves(left=(10, 220, 10)).convert("RGBA")
    glass.paste((0, 0, 0, 0), (0, 0, 20, 40))
    decoded = decode(saved(glass, "PNG", icc_profile=profile))
    assert_close(decoded.getpixel((25, 20)), (220, 10, 10), 20)
    assert decoded.getpixel((5, 20)) == (255, 255, 255)
    large = two_halves((2400, 2100), left=(10, 220, 10))
    for format in ("JPEG", "PNG"):
        reduced = decode(saved(large, format, icc_profile=profile))
        assert min(reduced.size) < 1024
        assert_close(reduced.getpixel((5, 20)), (220, 10, 10), 20)
    gray = Image.new("L", (30, 30), 128)  # stays gray, and a little darker: the gamma is 2.6
    decoded = decode(saved(gray, "PNG", icc_profile=rgb_profile(*SRGB, gamma=2.6)))
    level = decoded.getpixel((3, 3))
    assert max(level) - min(level) <= 2
    assert 95 < level[0] < 122


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_gray_profile_counts_with_transparency_too(format):
    """It was ignored there: it does not fit RGBA, to which such pictures were converted first."""
    plain = Image.new("L", (40, 40), 100)
    clear = Image.merge("LA", (plain, Image.new("L", plain.size, 255)))
    cut_out = clear.copy()
    cut_out.paste((0, 0), (0, 0, 10, 40))
    profile = gray_profile(1.0)
    expected = decode(saved(plain, format, icc_profile=profile)).getpixel((20, 20))
    assert expected[0] > 150
    for picture in (clear, cut_out):
        decoded = decode(saved(picture, format, icc_profile=profile))
        assert_close(decoded.getpixel((20, 20)), expected, 1)
    assert decoded.getpixel((5, 20)) == (255, 255, 255)
    level = saved(plain, "PNG", icc_profile=profile, transparency=7)
    assert_close(decode(level).getpixel((20, 20)), expected, 1)


@pytest.mark.parametrize("bits", [2, 4])
def test_the_transparent_level_of_a_png_of_few_bits_is_transparent(bits):
    """Pillow scales the pixels to 8 bits, but not the level that is transparent."""
    rows = b"".join(b"\0" + bytes([0x55] * 10 + [0xFF] * 10) for _ in range(40))  # levels 1 or 5

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    width, level = 20 * 8 // bits, {2: 1, 4: 5}[bits]
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, 40, bits, *[0] * 4))
    clear = chunk(b"tRNS", struct.pack(">H", level))
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert decode(png + end).getpixel((5, 20)) == (85, 85, 85)
    assert decode(png + clear + end).getpixel((5, 20)) != (85, 85, 85)
    other = struct.pack(">H", 2)
    assert decode(png + chunk(b"tRNS", other) + end).getpixel((5, 20)) == (85, 85, 85)


def with_profile(jpeg2000, profile, method=2):
    """A JPEG 2000 file whose color box has a profile instead of a number."""
    at = jpeg2000.index(b"colr") - 4
    length = int.from_bytes(jpeg2000[at : at + 4], "big")
    box = struct.pack(">I4sBBB", 11 + len(profile), b"colr", method, 0, 0) + profile
    header = jpeg2000.index(b"jp2h") - 4
    size = int.from_bytes(jpeg2000[header : header + 4], "big") - length + len(box)
    return (
        jpeg2000[:header] + size.to_bytes(4, "big") + jpeg2000[header + 4 : at] + box
        + jpeg2000[at + length :]
    )  # fmt: skip


@pytest.mark.parametrize("method", [2, 3])
def test_the_profile_of_a_jpeg_2000_is_obeyed(method):
    """Pillow 12.3 does not read it."""
    stored = saved(two_halves(left=(10, 220, 10), right=(220, 10, 10)), "JPEG2000")
    decoded = decode(with_profile(stored, rgb_profile(*SWAPPED), method))
    assert_close(decoded.getpixel((5, 20)), (220, 10, 10), 20)
    assert_close(decoded.getpixel((55, 20)), (10, 220, 10), 20)
    gray = saved(Image.new("L", (64, 64), 100), "JPEG2000")
    assert decode(with_profile(gray, gray_profile(1.0))).getpixel((5, 5))[0] > 150
    assert decode(stored).getpixel((5, 20))[1] > 200
    broken = decode(with_profile(stored, b"no profile"))
    assert broken.info == {IGNORED_PROFILE: True}


def test_a_profile_that_is_broken_or_of_another_mode_is_ignored_and_marked():
    picture = two_halves()
    for profile in (b"no profile at all", rgb_profile(*SWAPPED)[:150]):
        decoded = decode(saved(picture, "PNG", icc_profile=profile))
        assert_close(decoded.getpixel((5, 20)), LEFT, 2)
        assert decoded.info == {IGNORED_PROFILE: True}
    assert decode(saved(picture, "PNG")).info == {}
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert_close(decode(saved(picture, "PNG", icc_profile=lab)).getpixel((5, 20)), LEFT, 2)


def test_adobe_rgb_that_only_exif_declares_is_converted():
    wide = ImageCms.getOpenProfile(BytesIO(rgb_profile(*ADOBE_RGB, gamma=563 / 256)))
    color = (40, 160, 70)
    srgb = ImageCms.createProfile("sRGB")
    stored = ImageCms.profileToProfile(Image.new("RGB", (64, 64), color), srgb, wide)
    stored.info.clear()
    assert np.abs(np.subtract(stored.getpixel((0, 0)), color)).max() > 15
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    decoded = decode(saved(stored, "JPEG", quality=98, exif=exif))
    assert_close(decoded.getpixel((30, 30)), color, 4)
    exif.get_ifd(0x8769)[0xA005] = {1: "R98"}
    decoded = decode(saved(stored, "JPEG", quality=98, exif=exif))
    assert_close(decoded.getpixel((30, 30)), stored.getpixel((0, 0)), 4)


@pytest.mark.parametrize(("gamma", "level"), [(100_000, 186), (45_455, 128), (55_556, 145)])
def test_the_gamma_that_a_png_declares_is_applied(gamma, level):
    plain = saved(Image.new("RGB", (9, 9), (128, 128, 128)), "PNG")
    body = b"gAMA" + struct.pack(">I", gamma)
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    decoded = decode(plain[:33] + chunk + plain[33:])
    assert_close(decoded.getpixel((3, 3)), (level,) * 3, 2)


def test_lab_becomes_srgb():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    stored = ImageCms.profileToProfile(two_halves(), srgb, lab, outputMode="LAB")
    decoded = decode(saved(stored, "TIFF"))
    assert_close(decoded.getpixel((5, 20)), LEFT)
    assert_close(decoded.getpixel((55, 20)), RIGHT)


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

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    declared = b"" if significant is None else chunk(b"sBIT", bytes([significant] * channels))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + declared
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
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


def test_an_object_half_white_half_black_can_be_seen():
    cut_out = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    cut_out.paste((255, 255, 255, 255), (10, 10, 50, 30))
    cut_out.paste((0, 0, 0, 255), (10, 30, 50, 50))
    decoded = decode(cut_out)
    outside = decoded.getpixel((2, 2))
    assert all(abs(decoded.getpixel(at)[0] - outside[0]) > 80 for at in ((30, 20), (30, 40)))


def test_a_tiff_that_is_not_read_is_named_as_what_it_is():
    content = tiff_of(np.zeros((4, 4, 3), dtype=np.uint32))
    with pytest.raises(UnsupportedImageError, match="TIFF of 3 x 32-bit integers") as raised:
        decode(content)
    assert "16 bits" in str(raised.value)


def test_a_targa_file_is_read(tmp_path):
    two_halves().save(tmp_path / "a.tga")
    assert_close(decode(tmp_path / "a.tga").getpixel((5, 20)), LEFT)


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


def iso_header(brand, *others):
    brands = brand + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(100)


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


def pages(*pictures_and_kinds):
    """A TIFF of several pages, each with the bits of its tag NewSubfileType."""
    file = BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file) as writer:
        for picture, kind in pictures_and_kinds:
            picture.save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
    return file.getvalue()


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


def test_a_smaller_copy_of_a_page_of_a_tiff_is_passed_over():
    small, full = two_halves((30, 20), RIGHT, LEFT), two_halves((60, 40))
    mask = two_halves((60, 40), (0, 0, 0), (255, 255, 255))
    for content in (
        pages((small, 1), (full, 0)),
        pages((full, 0), (small, 1)),
        pages((small, 1), (mask, 4), (Image.new("RGB", (60, 40)), 0), (small, 1), (full, 2)),
    ):
        decoded = decode(content)
        assert decoded.size == (60, 40)
        assert_close(decoded.getpixel((3, 3)), LEFT)
    assert decode(pages((small, 1), (mask.resize((30, 20)), 4))).size == (30, 20)


def test_the_limit_counts_for_every_page_of_a_tiff():
    for pair in ((two_halves((30, 20)), 1), (Image.new("RGB", (30, 20)), 0)):
        content = pages(pair, (two_halves((60, 40)), 0))
        assert decode(content, max_pixels=2_400).size == (60, 40)
        with pytest.raises(ImageError, match="is 60 x 40, 2,400 pixels; at most 2,000 are read"):
            decode(content, max_pixels=2_000)


def test_the_size_of_the_page_that_is_read_decides_how_much_it_is_reduced():
    content = pages((Image.new("RGB", (1100, 1100)), 0), (two_halves((60, 40)), 0))
    assert decode(content).size == (60, 40)


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


def exif_of(*entries):
    """EXIF data with entries (tag, type, count, value or offset)."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


@pytest.mark.parametrize(
    "entries",
    [
        [(0x010F, 2, 40, 9999), (0x0112, 3, 1, 6)],  # the maker's name lies outside the data
        [(0x010E, 2, 400, 60), (0x0112, 3, 1, 6)],
        [(0x0110, 2, 40, 0xFFFFFFFF), (0x0112, 3, 1, 6)],
        [(0x010F, 13, 1, 0), (0x0112, 3, 1, 6)],  # a type that EXIF does not have
        [(0x0112, 3, 1, 6), (0x010F, 2, 40, 9999)],
    ],
)
def test_an_orientation_beside_damaged_tags_is_undone(entries):
    plain = saved(two_halves(), "JPEG")
    content = exif_of(*entries)
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    assert decode(plain[:2] + segment + plain[2:]).size == (40, 60)


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
