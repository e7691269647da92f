"""Files of full length with a damaged body, which Pillow reads without an error, are refused."""

import itertools
import re
import struct
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dwc.datasets.image_damage import damage, missing_share
from dwc.datasets.image_details import MISSING_SHARE
from dwc.datasets.image_kinds import UndecodableImageError
from dwc.datasets.image_loading import HAS_HEIF, decode, decode_file
from tests.datasets.image_files import saved

HEIF = pytest.param("HEIF", {}, marks=pytest.mark.skipif(not HAS_HEIF, reason="no pillow-heif"))
PADDED = [("WEBP", {}), ("WEBP", {"lossless": True}), ("AVIF", {}), HEIF]
JPEG = [{}, {"optimize": True}, {"quality": 95}, {"restart_marker_rows": 2}]


def photograph(size=(240, 320)):
    """Soft shapes with some noise, as in a photograph."""
    generator = np.random.default_rng(0)
    shapes = Image.fromarray(generator.integers(0, 256, (8, 6, 3), np.uint8))
    levels = np.asarray(shapes.resize(size, Image.Resampling.BICUBIC), np.int64)
    noise = generator.integers(-9, 10, levels.shape)
    return Image.fromarray((levels + noise).clip(0, 255).astype(np.uint8))


def lower_half(color, size=(480, 480)):
    """A photograph whose lower half is a single color."""
    picture = Image.new("RGB", size, color)
    picture.paste(photograph((size[0], size[1] // 2)))
    return picture


def assert_refused(content):
    with pytest.raises(UndecodableImageError, match=r"is cut short or damaged.*Replace it"):
        decode(content)


@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
@pytest.mark.parametrize(("format", "options"), PADDED)
def test_a_file_that_ends_in_zeros_is_refused(format, options, share):
    content = saved(photograph(), format, **options)
    left = int(share * len(content))
    assert_refused(content[:left] + bytes(len(content) - left))


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_file_that_was_sent_as_text_is_refused(format):
    content = saved(photograph((640, 800)), format, quality=90)
    if format == "JPEG":
        with pytest.raises(UndecodableImageError, match="as text instead of binary"):
            decode(content.replace(b"\n", b"\r\n"))
    else:  # its decoder reports an error, since the file is longer than it says
        with pytest.raises(UndecodableImageError):
            decode(content.replace(b"\n", b"\r\n"))
    decode(content)
    decode(content.replace(b"\n", b"\r\n", 3) if format == "JPEG" else content)


def test_line_ends_in_the_metadata_of_a_sound_jpeg_are_no_damage():
    comment = b"".join(b"line %d\r\n%c" % (n, n) for n in range(200))
    decode(saved(photograph((640, 800)), "JPEG", comment=comment))


@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
@pytest.mark.parametrize("options", JPEG)
def test_a_jpeg_that_ends_early_is_refused(options, share):
    content = saved(photograph(), "JPEG", **options)
    left = content[: int(share * len(content))]
    assert_refused(left + b"\xff\xd9")
    assert_refused(left + bytes(len(content) - len(left) - 2) + b"\xff\xd9")
    assert_refused(left + bytes(len(content)))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restarts", [{"restart_marker_rows": 1}, {"restart_marker_blocks": 7}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_that_lacks_a_part_in_the_middle_is_refused(mode, restarts, progressive):
    picture = photograph((317, 233)).convert(mode)
    content = saved(picture, "JPEG", progressive=progressive, **restarts)
    decode(content)
    markers = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", content)]
    first, second = markers[2:4]
    for damaged in (
        content[:first] + content[second:],  # an interval
        content[:first] + content[first + 2 :],  # a marker
    ):
        with pytest.raises(UndecodableImageError, match="part in the middle"):
            decode(damaged)


def test_a_jpeg_of_gray_or_of_cmyk_that_ends_early_is_refused():
    for mode in ("L", "CMYK"):
        content = saved(photograph().convert(mode), "JPEG")
        assert_refused(content[: len(content) // 2] + b"\xff\xd9")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_that_lacks_its_last_scans_is_refused(mode):
    content = saved(photograph().convert(mode), "JPEG", progressive=True)
    scans = [found.start() for found in re.finditer(rb"\xff\xda", content)]
    assert len(scans) >= 6
    for start, end in itertools.pairwise(scans):
        for cut in (start + (end - start) // 2, end):
            assert_refused(content[:cut] + b"\xff\xd9")
            assert_refused(content[:cut] + b"\xff\xd9" + content[cut:])


@pytest.mark.parametrize("quality", [1, 20, 75, 95, 100])
@pytest.mark.parametrize(
    "options", [{"subsampling": 0}, {"restart_marker_rows": 1}, {"exif": True}]
)
def test_a_complete_progressive_jpeg_is_read(quality, options):
    if "exif" in options:  # its thumbnail is a progressive JPEG without its last scans
        thumbnail = saved(photograph((60, 80)), "JPEG", progressive=True)
        options = {"exif": b"Exif\0\0" + thumbnail[: thumbnail.rindex(b"\xff\xda")] + b"\xff\xd9"}
    for mode in ("RGB", "L", "CMYK"):
        picture = photograph().convert(mode)
        content = saved(picture, "JPEG", progressive=True, quality=quality, **options)
        assert decode(content).size == (240, 320)


@pytest.mark.slow
def test_a_large_jpeg_that_ends_early_is_refused():
    content = saved(photograph((1200, 1600)), "JPEG")
    assert decode(content).size == (600, 800)
    assert_refused(content[: len(content) // 2] + b"\xff\xd9")


def test_the_frame_of_an_animation_that_is_used_may_not_end_in_zeros():
    frames = [Image.new("RGB", (240, 320)), photograph(), photograph().rotate(180)]
    content = bytearray(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    intact = decode(bytes(content))
    _, second, third = (found.start() for found in re.finditer(b"ANMF", content))
    content[(third + len(content)) // 2 :] = bytes(len(content) - (third + len(content)) // 2)
    assert decode(bytes(content)).tobytes() == intact.tobytes()  # the third frame is not used
    content[(second + third) // 2 : third] = bytes(third - (second + third) // 2)
    assert_refused(bytes(content))


VALID = [
    *(("JPEG", {"quality": quality, **more}) for quality in (10, 95) for more in JPEG[:2]),
    ("JPEG", {"optimize": True, "progressive": True}),
    ("JPEG", {"restart_marker_rows": 1}),
    *(("WEBP", {"quality": quality, "method": 0}) for quality in (0, 75, 100)),
    ("WEBP", {"lossless": True, "quality": 0, "method": 0}),
    ("AVIF", {"speed": 9}),
    ("PNG", {}), ("BMP", {}), ("GIF", {}), ("JPEG2000", {}), ("PPM", {}), ("TIFF", {}),
    ("TIFF", {"compression": "jpeg"}), ("TIFF", {"compression": "packbits"}),
    pytest.param("HEIF", {}, marks=HEIF.marks),
]  # fmt: skip


@pytest.mark.parametrize(("format", "options"), VALID)
@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("draw", [lower_half, lambda color: Image.new("RGB", (480, 480), color)])
def test_areas_of_one_color_and_trailing_bytes_are_no_damage(format, options, level, draw):
    """The data of such areas may well be long runs of zeros; some cameras pad complete files."""
    content = saved(draw((level,) * 3), format, **options)
    for padding in (b"", bytes(4096), bytes(4096) + b"serial number"):
        assert decode(content + padding).size == (480, 480)


@pytest.mark.parametrize(
    ("options", "format"),
    [({"quality": 100, "method": 0}, "WEBP"), ({"quality": 75, "optimize": True}, "JPEG")],
)
def test_long_runs_of_zeros_in_a_large_black_picture_are_no_damage(options, format):
    content = saved(Image.new("RGB", (2000, 2000)), format, **options)
    assert bytes(1000) in content
    assert decode(content).getpixel((9, 9)) == (0, 0, 0)


def test_zeros_between_the_data_and_the_end_of_a_complete_jpeg_are_no_damage():
    content = saved(photograph(), "JPEG")
    padded = content[:-2] + bytes(4096) + content[-2:]
    assert decode(padded).tobytes() == decode(content).tobytes()


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"quality": 100, "method": 0}])
def test_zeros_after_the_data_in_the_chunk_of_a_webp_are_no_damage(options):
    content = saved(photograph(), "WEBP", **options)
    assert content[12:15] == b"VP8"
    length = struct.pack("<I", int.from_bytes(content[16:20], "little") + 5000)
    padded = b"RIFF" + struct.pack("<I", len(content) + 4992) + content[8:16] + length
    padded += content[20:] + bytes(5000)
    assert decode(padded).tobytes() == decode(content).tobytes()


def box(kind, content):
    return struct.pack(">I", 8 + len(content)) + kind + content


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(("zeros_in", "is_damaged"), [(2, True), (3, True), (4, False)])
def test_the_tiles_of_the_main_image_alone_are_checked(version, zeros_in, is_damaged):
    """The main image, item 1, is composed of the items 2 and 3; item 4 is another."""
    parts = dict.fromkeys((2, 3, 4), b"\x01" * 400)
    parts[zeros_in] = bytes(200) if zeros_in == 3 else b"\x01" * 200 + bytes(200)

    def meta(start):
        items = b""
        for item, part in parts.items():
            method = b"\0\0" if version else b""
            items += struct.pack(">H", item) + method
            items += struct.pack(">HHII", 0, 1, start, len(part))
            start += len(part)
        head = bytes([version, 0, 0, 0]) + struct.pack(">HH", 0x4400, len(parts))
        references = bytes(4) + box(b"dimg", struct.pack(">HHHH", 1, 2, 2, 3))
        pitm = box(b"pitm", bytes(4) + struct.pack(">H", 1))
        content = pitm + box(b"iloc", head + items) + box(b"iref", references)
        return box(b"ftyp", b"heic" + bytes(4)) + box(b"meta", bytes(4) + content)

    content = meta(len(meta(0)) + 8) + box(b"mdat", b"".join(parts.values()))
    found = damage(SimpleNamespace(format="HEIF"), BytesIO(content))
    assert (found is not None) == is_damaged
    for end in range(0, len(content), 7):
        damage(SimpleNamespace(format="HEIF"), BytesIO(content[:end]))


def missing_share_of(content, format):
    decoded = decode_file(BytesIO(content), f"picture.{format.lower()}")
    assert decode(decoded).info == decoded.info
    return decoded.info.get(MISSING_SHARE)


UNCOMPRESSED = [("BMP", "RGB"), ("BMP", "L"), ("TIFF", "RGB"), ("TIFF", "L"), ("TIFF", "RGBA"),
                ("PPM", "RGB"), ("PPM", "L"), ("TGA", "RGB")]  # fmt: skip


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize(("format", "mode"), UNCOMPRESSED)
def test_an_uncompressed_file_that_ends_in_zeros_may_be_incomplete(format, mode, share):
    content = saved(photograph().convert(mode), format)
    assert missing_share_of(content, format) is None
    left = int(share * len(content))
    zeroed = content[:left] + bytes(len(content) - left)
    assert missing_share_of(zeroed, format) == pytest.approx(1 - share, abs=0.02)


@pytest.mark.parametrize("format", ["BMP", "TIFF", "PPM", "TGA"])
def test_an_uncompressed_picture_on_black_is_complete(format):
    on_black, with_bars, turned = (Image.new("RGB", (240, 320)) for _ in range(3))
    on_black.paste(photograph((120, 160)), (60, 0))  # a garment that ends above the middle
    with_bars.paste(photograph((240, 200)), (0, 60))
    turned.paste(photograph((120, 160)), (60, 160))  # BMP has the last row first
    for picture in (on_black, with_bars, turned, Image.new("RGB", (240, 320))):
        assert missing_share_of(saved(picture, format), format) is None


@pytest.mark.parametrize(
    ("format", "mode", "options"),
    [
        ("TIFF", "CMYK", {}),
        ("TIFF", "L", {"tiffinfo": {262: 0}}),
        ("PPM", "1", {}),
        ("BMP", "P", {}),
    ],
)
def test_a_white_strip_is_complete_where_zero_is_white(format, mode, options):
    picture = Image.new("RGB", (240, 320), "white")
    picture.paste(photograph((240, 272)), (0, 48 if format == "BMP" else 0))
    if mode == "P":
        picture = picture.quantize(32)
        palette = np.asarray(picture.getpalette(), np.uint8).reshape(-1, 3).sum(axis=1)
        white = int(palette.argmax())
        order = [white, *(n for n in range(32) if n != white)]
        picture = picture.remap_palette(order)
        assert picture.getpixel((0, 0)) == 0
    assert missing_share_of(saved(picture.convert(mode), format, **options), format) is None


def test_a_page_after_a_blank_one_may_be_incomplete():
    page = Image.new("RGB", (240, 320))
    page.paste(photograph((240, 160)))
    blank = Image.new("RGB", (240, 320), "white")
    for pages in ([blank, page], [blank, page, blank]):
        content = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
        assert missing_share_of(content, "TIFF") == pytest.approx(0.5, abs=0.02)


def test_tiles_without_an_extent_cover_the_whole_image():
    picture = Image.new("RGB", (240, 320))
    picture.paste(photograph((240, 160)))
    picture.format = "PPM"
    assert missing_share(picture, [("raw", None, 0, ("RGB", 0, 1))]) == pytest.approx(0.5, abs=0.02)
