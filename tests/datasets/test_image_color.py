"""Colors that a file declares, by an ICC profile or without one.

Without a profile, the expected levels are those that Chromium 143 shows for the same files, or
follow from the standards' formulas.
"""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from dwc.datasets import image_color
from dwc.datasets.image_details import IGNORED_PROFILE
from dwc.datasets.image_loading import decode
from tests.datasets.image_files import LEFT, RIGHT, assert_close, png_chunk, saved, two_halves

RED, BLUE = (202, 49, 40), (40, 60, 190)
P3_CHROMATICITIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def halves():
    picture = Image.new("RGB", (64, 32), RED)
    picture.paste(BLUE, (32, 0, 64, 32))
    return picture


def png(*chunks, picture=None, **options):
    """A PNG with further chunks in front of its pixels."""
    plain = saved(picture or halves(), "PNG", **options)
    return plain[:33] + b"".join(chunks) + plain[33:]


def cicp(primaries, transfer, full=1, matrix=0):
    return png_chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def gamma(value):
    return png_chunk(b"gAMA", struct.pack(">I", value))


def chromaticities(*values):
    return png_chunk(b"cHRM", struct.pack(">8I", *values))


def colors(content):
    decoded = decode(content)
    return decoded.getpixel((8, 16)), decoded.getpixel((56, 16))


# Chromium's gamut mapping keeps these a little more saturated than the formulas do.
IN_P3 = (219, 11, 15), (34, 61, 198)


@pytest.mark.parametrize(
    "chunks",
    [
        (cicp(12, 13),),
        (gamma(100_000), cicp(12, 13)),
        (png_chunk(b"sRGB", b"\0"), cicp(12, 13)),
        (gamma(45_455), chromaticities(*P3_CHROMATICITIES)),
    ],
    ids=["code points", "code points over gamma", "code points over sRGB", "chromaticities"],
)
def test_a_png_that_declares_wide_primaries_is_converted(chunks):
    left, right = colors(png(*chunks))
    assert_close(left, IN_P3[0], 10)
    assert_close(right, IN_P3[1], 10)


def test_code_points_of_a_png_take_precedence_over_its_profile():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    left, _ = colors(png(cicp(12, 13), icc_profile=srgb))
    assert_close(left, IN_P3[0], 10)


def test_srgb_code_points_of_a_png_take_precedence_over_its_profile():
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    assert colors(png(cicp(1, 13), icc_profile=lab_like)) == (RED, BLUE)


@pytest.mark.parametrize(
    "chunks",
    [
        (cicp(1, 13),),
        (cicp(2, 2),),  # unspecified
        (cicp(12, 13, matrix=9),),  # YCbCr, which a PNG cannot have
        (chromaticities(*P3_CHROMATICITIES),),  # without a gamma, as browsers treat it
        (gamma(45_455), chromaticities(*SRGB_CHROMATICITIES)),
        (gamma(45_455), chromaticities(*(0,) * 8)),  # no primaries have these
        (gamma(100_000), cicp(1, 13)),
    ],
)
def test_declarations_of_srgb_and_invalid_ones_change_nothing(chunks):
    assert colors(png(*chunks)) == (RED, BLUE)


@pytest.mark.parametrize(
    ("transfer", "full", "stored"),
    [
        (8, 1, 128),  # linear
        (13, 0, 235),  # video levels
        (13, 0, 16),
        (13, 0, 100),
        (16, 1, 148),  # PQ: 58 % of the signal is the diffuse white of 203 cd/m2
        (16, 1, 103),
        (18, 1, 191),  # HLG: 75 % of the signal is diffuse white
        (18, 1, 96),
    ],
)
def test_transfer_functions(transfer, full, stored):
    # The standards' formulas, evaluated separately for one level.
    def linear_of(level):
        signal = level / 255 if full else (level - 16) / 219
        if transfer == 8:
            return signal
        if transfer == 13:
            return ((signal + 0.055) / 1.055) ** 2.4 if signal > 0.04045 else signal / 12.92
        if transfer == 16:
            power = signal ** (1 / 78.84375)
            ratio = max(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
            return 10_000 * ratio ** (1 / 0.1593017578125) / 203
        scene = (
            signal**2 / 3
            if signal <= 0.5
            else (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        )
        return 1000 * scene**1.2 / 203

    light = min(linear_of(stored), 1)
    encoded = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    gray = Image.new("RGB", (8, 8), (stored,) * 3)
    decoded = decode(png(cicp(1, transfer, full), picture=gray)).getpixel((4, 4))
    assert_close(decoded, (round(255 * encoded),) * 3, 2)
    if stored in (148, 191, 235):
        assert min(decoded) > 253


def with_code_points(content, primaries, transfer):
    at = content.index(b"colrnclx")
    return content[: at + 8] + struct.pack(">HH", primaries, transfer) + content[at + 12 :]


@pytest.mark.parametrize(
    ("primaries", "transfer", "left"),
    [
        (12, 13, (218, 12, 16)),
        (12, 1, (218, 12, 16)),
        (9, 14, (248, 11, 18)),
        (6, 6, (196, 58, 39)),
        (1, 8, (230, 117, 103)),
        (1, 1, RED),
        (2, 2, RED),
    ],
)
def test_an_avif_that_declares_code_points_is_converted(primaries, transfer, left):
    content = with_code_points(saved(halves(), "AVIF", quality=95), primaries, transfer)
    assert_close(colors(content)[0], left, 12)  # colors at half the resolution


def test_a_heic_that_declares_code_points_is_converted():
    pillow_heif = pytest.importorskip("pillow_heif")
    file = BytesIO()
    pillow_heif.from_pillow(halves()).save(file, quality=95)
    assert_close(colors(with_code_points(file.getvalue(), 12, 13))[0], (218, 12, 16), 12)
    assert_close(colors(file.getvalue())[0], RED, 8)


@pytest.mark.parametrize("is_last", [False, True])
def test_code_points_are_found_before_and_behind_the_pixels(is_last):
    def box(kind, content):
        return struct.pack(">I4s", 8 + len(content), kind) + content

    color = box(b"colr", b"nclx" + struct.pack(">HHHB", 12, 13, 1, 128))
    boxes = [box(b"meta", bytes(4) + color), box(b"mdat", b"colrnclx" * 3)]
    content = box(b"ftyp", b"avif") + b"".join(reversed(boxes) if is_last else boxes)
    assert image_color._nclx_code_points(BytesIO(content)) == (12, 13, True)
    assert image_color._nclx_code_points(BytesIO(content[:20])) is None


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
