"""Picture files that tests generate, and a comparison of colors up to a tolerance."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, TiffImagePlugin

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


def png_chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels


def iso_header(brand, *others):
    brands = brand + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(100)


def pages(*pictures_and_kinds):
    """A TIFF of several pages, each with the bits of its tag NewSubfileType."""
    file = BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file) as writer:
        for picture, kind in pictures_and_kinds:
            picture.save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
    return file.getvalue()
