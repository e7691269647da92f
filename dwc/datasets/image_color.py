"""Colors and transparency of decoded images: conversion to sRGB, and removal of alpha channels.

A file describes the colors of its image with an ICC profile, or in one of these ways:

- A PNG, AVIF or HEIC file has code points (CICP, of the standard ITU-T H.273) that name the
  primaries and the transfer function.
- A PNG has the exponent of its transfer function, and perhaps the chromaticities of its primaries.
- A camera's JPEG has an entry in its EXIF data that says Adobe RGB.

`declared_color` reads these three declarations, and `convert_to_srgb` applies them. `apply_profile`
applies an ICC profile.

`flatten` replaces a transparent background with a color that contrasts with the object. Other
functions correct what Pillow reads from some formats: alpha channels that are unused (BMP, TGA) or
in a plane of their own (TIFF), the transparent gray level of a PNG, and the area around a GIF's
first frame.
"""

import struct
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from dwc.datasets.image_details import FILLED_WITH, HALF_TRANSPARENT

_CMS_ERRORS = (
    OSError, ValueError, TypeError, LookupError, SyntaxError, RuntimeError, MemoryError,
    struct.error, ImageCms.PyCMSError,
)  # fmt: skip
_PROFILE_MODES = {"RGB": ("RGB", "RGBA"), "GRAY": ("L",), "CMYK": ("CMYK",), "Lab": ("LAB",)}


_LONGEST_PROFILE = 1 << 24  # bytes


class DeclaredColor(NamedTuple):
    """A color space of RGB images with 8 bits per channel.

    Attributes:
        linear: The linear light of each level (256,), float32; 1 is white, and brighter highlights
            of HDR images have larger values.
        matrix: Matrix (3, 3), float32, from linear RGB to linear sRGB.
    """

    linear: NDArray[np.float32]
    matrix: NDArray[np.float32]


def declared_color(image: Image.Image, file: IO[bytes] | None) -> DeclaredColor | None:
    """Return the color space that a file declares without an ICC profile.

    In a PNG, code points take precedence over an ICC profile (PNG, third edition, section 4.3). In
    other formats, they are used only if there is no profile.

    Args:
        image: The image as opened, with the file's metadata.
        file: The file that contains the image; None if a PIL image was given.

    Returns:
        The color space. None if the file does not declare one, or if its ICC profile takes
        precedence. The result is usually also None for sRGB. The only exception is a PNG with an
        ICC profile that is overridden by code points for sRGB.
    """
    has_profile = bool(image.info.get("icc_profile"))
    if image.format == "PNG":
        points = None if file is None else _png_code_points(file)
        if points is not None and (color := _color_of_code_points(*points)) is not None:
            return None if _is_srgb(color) and not has_profile else color
        if has_profile or "srgb" in image.info:
            return None
        return _color_of_gamma(image.info.get("gamma"), image.info.get("chromaticity"))
    if has_profile:
        return None
    if image.format in ("JPEG", "MPO", "TIFF", "HEIF") and _is_adobe_rgb(image):
        return DeclaredColor(_power_levels(_ADOBE_GAMMA), _matrix_to_srgb(_ADOBE_PRIMARIES, _D65))
    if image.format in ("AVIF", "HEIF") and file is not None:
        points = _nclx_code_points(file)
        color = None if points is None else _color_of_code_points(*points)
        return None if color is None or _is_srgb(color) else color
    return None


def convert_to_srgb(image: Image.Image, color: DeclaredColor) -> Image.Image:
    """Convert an RGB image from another color space to sRGB; colors outside sRGB are clipped."""
    if _is_srgb(color):
        return image
    linear = (color.linear[np.asarray(image)] @ color.matrix.T).clip(0, 1)
    steps = np.linspace(0, 1, 4096, dtype=np.float32)
    encoded = np.where(steps <= 0.0031308, 12.92 * steps, 1.055 * steps ** (1 / 2.4) - 0.055)
    table = (encoded * 255).round().astype(np.uint8)
    return Image.fromarray(table[(linear * 4095).round().astype(np.int32)])


def _is_srgb(color: DeclaredColor) -> bool:
    is_same_matrix = np.abs(color.matrix - np.eye(3)).max() < 0.02
    return bool(is_same_matrix and np.abs(color.linear - _srgb_levels()).max() < 0.02)


# Chromaticities (x, y) of white points, and of the red, green and blue primaries.
_D65 = (0.3127, 0.3290)
_SRGB_PRIMARIES = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_ADOBE_PRIMARIES = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
_ADOBE_GAMMA = 563 / 256
# Matrix from XYZ to the cone responses of the Bradford model, which are scaled to adapt colors to
# another white point.
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

# ITU-T H.273, table 2: code point -> (primaries, white point).
_PRIMARIES: dict[int, tuple[tuple[tuple[float, float], ...], tuple[float, float]]] = {
    1: (_SRGB_PRIMARIES, _D65),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), _D65),
    6: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), _D65),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), _D65),
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), (0.314, 0.351)),
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), _D65),
}
_REFERENCE_WHITE = 203  # cd/m2 of diffuse white in HDR images (ITU-R BT.2408)
_HLG_PEAK = 1000  # cd/m2 of the display for which the HLG system gamma is 1.2 (ITU-R BT.2100)


def _color_of_code_points(
    primaries: int, transfer: int, is_full_range: bool
) -> DeclaredColor | None:
    """Return the color space that code points of ITU-T H.273 (CICP) stand for.

    The result is None if the code points stand for "unspecified", or are not supported.

    Args:
        primaries: The code point of the primaries.
        transfer: The code point of the transfer function.
        is_full_range: Whether black and white are the levels 0 and 255 instead of 16 and 235.
    """
    linear = _transfer_levels(transfer, is_full_range)
    if linear is None or primaries not in _PRIMARIES:
        return None
    return DeclaredColor(linear, _matrix_to_srgb(*_PRIMARIES[primaries]))


def _color_of_gamma(gamma: object, chromaticity: object) -> DeclaredColor | None:
    """Return the color space that a PNG declares by a gamma exponent and by chromaticities.

    Args:
        gamma: The exponent of the encoding, such as 0.45455; None if missing. Chromaticities
            without an exponent are ignored, as browsers ignore them.
        chromaticity: The chromaticities x and y of white, red, green and blue; None if missing.

    Returns:
        The color space. None if the exponent is missing or invalid, or if the color space is sRGB.
    """
    if not isinstance(gamma, float) or not 0.05 < gamma < 5:
        return None
    matrix = np.eye(3, dtype=np.float32)
    if isinstance(chromaticity, tuple) and len(chromaticity) == 8:
        white, *primaries = zip(chromaticity[::2], chromaticity[1::2], strict=True)
        with suppress(np.linalg.LinAlgError, ZeroDivisionError):
            matrix = _matrix_to_srgb(tuple(primaries), white)
    is_like_srgb = abs(1 / (_SRGB_GAMMA * gamma) - 1) <= 0.03
    if is_like_srgb and np.abs(matrix - np.eye(3)).max() < 0.02:
        return None
    return DeclaredColor(_srgb_levels() if is_like_srgb else _power_levels(1 / gamma), matrix)


_SRGB_GAMMA = 2.2


def _matrix_to_srgb(
    primaries: tuple[tuple[float, float], ...], white: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the matrix (3, 3) from a linear RGB color space to linear sRGB.

    Args:
        primaries: The chromaticities x and y of red, green and blue in the color space.
        white: The chromaticities x and y of its white point.
    """
    source, source_white = _matrix_to_xyz(primaries, white)
    srgb, srgb_white = _matrix_to_xyz(_SRGB_PRIMARIES, _D65)
    scale = np.diag((_BRADFORD @ srgb_white) / (_BRADFORD @ source_white))
    adaptation = np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD
    return (np.linalg.inv(srgb) @ adaptation @ source).astype(np.float32)


def _matrix_to_xyz(
    primaries: tuple[tuple[float, float], ...], white: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix (3, 3) from linear RGB to XYZ, and the XYZ (3,) of the white point.

    Args:
        primaries: The chromaticities x and y of red, green and blue in the RGB color space.
        white: The chromaticities x and y of its white point.
    """
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    x, y = white
    white_xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    return columns * np.linalg.solve(columns, white_xyz), white_xyz


def _power_levels(exponent: float) -> NDArray[np.float32]:
    return np.linspace(0, 1, 256, dtype=np.float32) ** np.float32(exponent)


def _srgb_levels() -> NDArray[np.float32]:
    return _decode_srgb(np.linspace(0, 1, 256)).astype(np.float32)


def _decode_srgb(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _transfer_levels(transfer: int, is_full_range: bool) -> NDArray[np.float32] | None:
    """Return the linear light of each 8-bit level for a code point of ITU-T H.273, table 3.

    Args:
        transfer: The code point of the transfer function.
        is_full_range: Whether black and white are the levels 0 and 255 instead of 16 and 235.

    Returns:
        Linear light (256,), where 1 is white; None for "unspecified" and for transfer functions
        that are not supported here.
    """
    levels = np.arange(256.0)
    signal = levels / 255 if is_full_range else ((levels - 16) / 219).clip(0, 1)
    if transfer in (1, 6, 13, 14, 15):  # functions of video; browsers decode them like sRGB
        linear = _decode_srgb(signal)
    elif transfer in (4, 5, 8):
        linear = signal ** {4: 2.2, 5: 2.8, 8: 1.0}[transfer]
    elif transfer == 16:  # PQ, ITU-R BT.2100
        power = signal ** (1 / 78.84375)
        light = (power - 0.8359375).clip(0) / (18.8515625 - 18.6875 * power)
        linear = light ** (1 / 0.1593017578125) * 10_000 / _REFERENCE_WHITE
    elif transfer == 18:  # HLG, ITU-R BT.2100
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        linear = scene**1.2 * _HLG_PEAK / _REFERENCE_WHITE
    else:
        return None
    return linear.astype(np.float32)


def png_chunk(file: IO[bytes], kind: bytes) -> bytes | None:
    """Return the content of a PNG's first chunk of the given kind.

    The result is None if there is no such chunk before the pixels.

    Args:
        file: The open file.
        kind: The four letters of the kind.
    """
    file.seek(8)
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name == kind:
            return file.read(length)
        if name == b"IDAT":
            break
        file.seek(length + 4, 1)
    return None


def _png_code_points(file: IO[bytes]) -> tuple[int, int, bool] | None:
    content = png_chunk(file, b"cICP")
    if content is None or len(content) != 4 or content[2] != 0:  # 0: RGB, the only matrix allowed
        return None
    return content[0], content[1], content[3] != 0


_METADATA_BYTES = 1 << 20  # more than the metadata of any AVIF or HEIC file


def _nclx_code_points(file: IO[bytes]) -> tuple[int, int, bool] | None:
    """Return the color space that an AVIF or HEIC file declares by code points of ITU-T H.273.

    The code points are in a box "nclx", in the metadata of the image (the box "meta") or of a
    sequence of images (the box "moov"). The first box "nclx" is used.

    Returns:
        The code point of the primaries, the code point of the transfer function, and whether the
        decoded levels have the full range, which is always True, since the decoder expands them.
        None if there is no such box.
    """
    with suppress(struct.error, OSError):
        end = file.seek(0, 2)
        for kind in (b"meta", b"moov"):
            metadata = _find_box(file, kind, 0, end)
            if metadata is None:
                continue
            file.seek(metadata[0])
            content = file.read(min(metadata[1] - metadata[0], _METADATA_BYTES))
            position = content.find(b"colrnclx")
            if position >= 0:
                primaries, transfer = struct.unpack_from(">HH", content, position + 8)
                return primaries, transfer, True
    return None


_EXIF_IFD, _INTEROPERABILITY_IFD = 0x8769, 0xA005
_COLOR_SPACE_TAG, _SRGB_COLOR_SPACE = 0xA001, 1
_ADOBE_RGB = "R03"  # EXIF interoperability index of images that cameras store in Adobe RGB


def jpeg2000_profile(file: IO[bytes]) -> bytes | None:
    """Return the ICC profile in the header of a JPEG 2000 file, which Pillow does not read.

    The profile is in the first color box of method 2 or 3, the two methods that use a profile
    (ISO/IEC 15444-1, I.5.3.3 and 15444-2).
    """
    with suppress(struct.error, OSError, ValueError):
        header = _find_box(file, b"jp2h", 0, file.seek(0, 2))
        while header is not None:
            start, end = header
            box = _find_box(file, b"colr", start, end)
            if box is None:
                return None
            file.seek(box[0])
            content = file.read(min(box[1] - box[0], _LONGEST_PROFILE))
            if content[:1] in (b"\2", b"\3"):
                return content[3:]
            header = (box[1], end)
    return None


def _find_box(file: IO[bytes], kind: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return where the content of the first box of the given kind starts and ends.

    The result is None if there is no such box.

    Args:
        file: A file that consists of boxes, each with its length, its kind and its content.
        kind: The kind, of four bytes.
        start: Position in the file at which the first box starts.
        end: Position at which the last box ends.
    """
    while start + 8 <= end:
        file.seek(start)
        length, name = struct.unpack(">I4s", file.read(8))
        content = start + 8
        if length == 1:
            length = struct.unpack(">Q", file.read(8))[0]
            content += 8
        stop = end if length == 0 else start + length
        if stop < content:
            return None
        if name == kind:
            return content, min(stop, end)
        start = stop
    return None


def _is_adobe_rgb(image: Image.Image) -> bool:
    with suppress(*_CMS_ERRORS):
        exif = image.getexif()
        if _EXIF_IFD not in exif:
            return False
        if exif.get_ifd(_EXIF_IFD).get(_COLOR_SPACE_TAG) == _SRGB_COLOR_SPACE:
            return False
        return exif.get_ifd(_INTEROPERABILITY_IFD).get(1) == _ADOBE_RGB
    return False


def apply_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert an RGB, RGBA, L, CMYK or LAB image to sRGB with its ICC color profile.

    If the profile is missing or unusable, the image is converted without a profile.

    Returns:
        An RGBA image if `image` is one; otherwise an RGB image.
    """
    if icc and image.mode == "L" and color_space_name(icc) == "RGB":
        image = image.convert("RGB")
    transform = _transform(icc, image.mode) if icc or image.mode == "LAB" else None
    if transform is not None:
        with suppress(*_CMS_ERRORS):
            converted = ImageCms.applyTransform(image, transform)
            if converted is not None:
                return converted
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")


@lru_cache(maxsize=32)
def color_space_name(icc: bytes) -> str | None:
    """Return a profile's color space ("RGB", "GRAY", "CMYK", …); None if the profile is broken."""
    try:
        return ImageCms.getOpenProfile(BytesIO(icc)).profile.xcolor_space.strip()
    except _CMS_ERRORS:
        return None


@lru_cache(maxsize=32)
def _transform(icc: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB for images that have a given mode and color profile.

    Args:
        icc: Content of the ICC color profile; None for LAB images without a profile.
        mode: Pillow's mode of the images.

    Returns:
        The transform. None if the profile is sRGB itself, if it is broken, or if its color space
        does not fit the mode. For example, an RGB image that was converted from CMYK may still have
        a CMYK profile.
    """
    try:
        if icc is None:
            profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif mode in _PROFILE_MODES.get(color_space_name(icc) or "", ()):
            profile = ImageCms.getOpenProfile(BytesIO(icc))
        else:
            return None
        output = "RGBA" if mode == "RGBA" else "RGB"
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, output)
        if mode not in ("RGB", "RGBA"):
            return transform
        levels = np.linspace(0, 255, 6).round().astype(np.uint8)
        grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(6, 36, 3)
        colors = Image.fromarray(grid).convert(mode)
        converted = np.asarray(ImageCms.applyTransform(colors, transform), dtype=np.int64)
        same = np.abs(converted - np.asarray(colors, dtype=np.int64)).max() <= 2
        return None if same else transform
    except _CMS_ERRORS:
        return None


# Background colors (RGB) for images with a transparent background. The first color that hides at
# most a quarter of the object is used. A pixel of the object is hidden if each of its channels
# differs from the background by less than `_HIDDEN_DIFFERENCE`.
_BACKGROUNDS = {(255, 255, 255): "white", (128, 128, 128): "gray", (40, 40, 40): "near black"}
_HIDDEN_DIFFERENCE = 40
# If less of an image is transparent, such as the rounded corners of a screenshot, it is as good as
# opaque.
_LEAST_TRANSPARENT = 0.01
# A pixel with an alpha in this range is half transparent. More than a quarter of an object's pixels
# are more than its edges and its shadow.
_HALF_TRANSPARENT = (16, 239)
_MOST_HALF_TRANSPARENT = 0.25


def convert_layers(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert an image with transparency to sRGB with an alpha channel (RGBA).

    Args:
        image: The image.
        icc: Content of its ICC color profile, or None.
    """
    if not image.mode.startswith("L"):
        return apply_profile(image.convert("RGBA"), icc)
    gray = image.convert("LA")  # a profile for gray images does not fit RGBA
    layers = apply_profile(gray.convert("L"), icc)
    layers.putalpha(gray.getchannel("A"))
    return layers


def flatten(layers: Image.Image) -> Image.Image:
    """Blend an RGBA image with a background color that contrasts with its opaque parts.

    The `info` of the result has at most two keys. If at least 1 % of the image is transparent,
    `FILLED_WITH` is the name of the background color. If, in addition, more than a quarter of the
    visible pixels are half transparent, `HALF_TRANSPARENT` is True.
    """
    alpha = layers.getchannel("A")
    if alpha.getextrema() == (255, 255):
        result = layers.convert("RGB")
        result.info = {}
        return result
    sample = layers.resize((min(128, layers.width), min(128, layers.height)), reducing_gap=None)
    values = np.asarray(sample, dtype=np.int64)
    weights = values[..., 3]
    total = int(weights.sum())
    hidden = []
    for background in _BACKGROUNDS:
        difference = np.abs(values[..., :3] - background).max(axis=-1)
        hidden.append(int(weights[difference < _HIDDEN_DIFFERENCE].sum()))
    best = next((n for n, weight in enumerate(hidden) if 4 * weight <= total), None)
    if best is None:
        best = int(np.argmin(hidden))
    color, name = list(_BACKGROUNDS.items())[best]
    ground = Image.new("RGBA", layers.size, (*color, 255))
    result = Image.alpha_composite(ground, layers).convert("RGB")
    result.info = {}
    counts = np.array(alpha.histogram())
    low, high = _HALF_TRANSPARENT
    if np.arange(255, -1, -1) @ counts >= _LEAST_TRANSPARENT * 255 * counts.sum():
        result.info[FILLED_WITH] = name
        if counts[low : high + 1].sum() > _MOST_HALF_TRANSPARENT * counts[low:].sum():
            result.info[HALF_TRANSPARENT] = True
    return result


def scale_transparent_level(image: Image.Image) -> None:
    """Scale the transparent gray level of a 2-bit or 4-bit PNG to 8 bits.

    In such a PNG, all pixels of one gray level are transparent. Pillow scales the pixels to 8 bits,
    but not this level. Call the function before the pixels are loaded.
    """
    level = image.info.get("transparency")
    tiles = getattr(image, "tile", None)
    raw_mode = tiles[0].args if image.format == "PNG" and tiles else None
    bits = {"L;2": 2, "L;4": 4}.get(raw_mode) if isinstance(raw_mode, str) else None
    if bits is not None and isinstance(level, int):
        image.info["transparency"] = level * 255 // (2**bits - 1)


def clear_outside_frame(converted: Image.Image, original: Image.Image) -> Image.Image:
    """Make the area around a GIF's first frame transparent, as in browsers.

    The first frame may be smaller than the image. Pillow fills the area around it with the
    background color in the file. Browsers ignore this color.

    Args:
        converted: The image's pixels, possibly converted to another mode.
        original: The image as opened.
    """
    extent = getattr(original, "dispose_extent", None)  # set by Pillow for GIF only
    if original.format != "GIF" or original.tell() or extent in (None, (0, 0, *original.size)):
        return converted
    result = Image.new("RGBA", converted.size)
    result.paste(converted.crop(extent).convert("RGBA"), extent)
    return result


def drop_unused_alpha(image: Image.Image, format: str | None) -> Image.Image:
    """Return a BMP or TGA image without its alpha channel if this channel is zero everywhere.

    Many programs write BMP and TGA files whose fourth channel is unused and zero. All other images
    are returned unchanged.

    Args:
        image: The loaded image.
        format: The file's format.
    """
    if format not in ("BMP", "TGA") or image.mode != "RGBA":
        return image
    return image.convert("RGB") if image.getchannel("A").getextrema() == (0, 0) else image


def read_premultiplied_planes(image: Image.Image) -> bool:
    """Prepare a TIFF with associated alpha in a separate plane, so that Pillow can load it.

    With associated alpha, the stored colors have been multiplied by alpha. A plane has the levels
    of one channel for all pixels. Pillow cannot decode such an alpha plane, so it is declared as a
    plane of ordinary alpha. Call the function before the pixels are loaded.

    Returns:
        Whether the image is such a TIFF. If so, the caller must divide the loaded colors by alpha.
    """
    tiles = getattr(image, "tile", None)
    if image.format != "TIFF" or image.mode != "RGBA" or not tiles:
        return False
    planes = [tile.args[0] if isinstance(tile.args, tuple) else tile.args for tile in tiles]
    if "a" not in planes:
        return False
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=("A", *tile.args[1:])) if plane == "a" else tile
        for tile, plane in zip(tiles, planes, strict=True)
    ]
    return True
