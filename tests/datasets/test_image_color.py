"""Colors that a file declares without an ICC profile.

The expected levels are those that Chromium 143 shows for the same files, or follow from the
standards' formulas.
"""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from dwc.datasets import image_color
from dwc.datasets.image_loading import decode
from tests.datasets.test_image_loading import assert_close, saved

RED, BLUE = (202, 49, 40), (40, 60, 190)
P3_CHROMATICITIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def halves():
    picture = Image.new("RGB", (64, 32), RED)
    picture.paste(BLUE, (32, 0, 64, 32))
    return picture


def chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(*chunks, picture=None, **options):
    """A PNG with further chunks in front of its pixels."""
    plain = saved(picture or halves(), "PNG", **options)
    return plain[:33] + b"".join(chunks) + plain[33:]


def cicp(primaries, transfer, full=1, matrix=0):
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def gamma(value):
    return chunk(b"gAMA", struct.pack(">I", value))


def chromaticities(*values):
    return chunk(b"cHRM", struct.pack(">8I", *values))


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
        (chunk(b"sRGB", b"\0"), cicp(12, 13)),
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
