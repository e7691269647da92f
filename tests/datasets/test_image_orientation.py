"""Pictures are turned upright as their EXIF data or tags say."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from dwc.datasets.image_loading import decode
from tests.datasets.image_files import saved, two_halves


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
