"""Image file formats: suffixes, signatures, and errors and advice for files that cannot be read."""

import re
import sys

from dwc.errors import ImageError

HEIC = "HEIC"
IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib",
        ".tif", ".tiff", ".avif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
    }
)  # fmt: skip
"""Suffixes of files that Pillow reads."""

_RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf",
    ".srw", ".x3f",
)  # fmt: skip
UNREAD_SUFFIXES = {
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIC),
    **dict.fromkeys(_RAW_SUFFIXES, "RAW"),
    ".jxl": "JPEG XL",
    ".jxr": "JPEG XR",
    ".wdp": "JPEG XR",
    ".psd": "Photoshop",
    ".psb": "Photoshop",
    ".xcf": "GIMP",
    ".svg": "SVG",
    ".svgz": "SVG",
    ".exr": "OpenEXR",
    ".hdr": "Radiance",
    ".qoi": "QOI",
    ".pcx": "PCX",
    ".bpg": "BPG",
    ".flif": "FLIF",
    ".eps": "EPS",
    ".dds": "DDS",
}
"""Suffixes of image files that Pillow alone cannot read -> kind of image."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II*\x00\x10\x00\x00\x00CR", "RAW"),
    (b"FUJIFILMCCD-RAW", "RAW"),
    (b"FOVb", "RAW"),
    (b"IIRO", "RAW"),
    (b"IIRS", "RAW"),
    (b"IIU\x00", "RAW"),
    (b"II\xbc", "JPEG XR"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"gimp xcf", "GIMP"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"<svg", "SVG"),
    (b"%!PS-Adobe-", "EPS"),
    (b"DDS ", "DDS"),
)
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)


_SHORTCUTS = (
    (b"L\0\0\0\x01\x14\x02\0", "Windows shortcut"),
    (b"book\0\0\0\0mark", "macOS alias"),
)
_WEB_LINK_SUFFIXES = (".url", ".webloc")
SHORTCUT_CURE = "Put what it leads to in its place, as a copy or a symbolic link."


def sniff_kind(header: bytes) -> str | None:
    """Identify the kind of an image file by the file's first 64 bytes.

    Returns:
        The kind, such as "JPEG" or "RAW", or None if the bytes match no known kind. Kinds that
        Pillow can read have the same names as in Pillow.
    """
    if header[4:8] == b"ftyp":
        return _sniff_iso_media(header)
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WEBP"
    if header[:2] == b"BM" and header[6:10] == b"\0\0\0\0":
        return "BMP"
    for signature, kind in _SIGNATURES:
        if header.startswith(signature):
            return kind
    if header.startswith(b"<?xml") and b"<svg" in header:
        return "SVG"
    return None


def identify_kind(suffix: str, header: bytes) -> str | None:
    """Identify the kind of an image file by its content, and by its suffix if that is not enough.

    A camera's raw file often begins like a TIFF file. Only the suffix distinguishes the two.

    Args:
        suffix: The suffix of the file's name, in lower case.
        header: The first 64 bytes of the file.

    Returns:
        The kind, such as "JPEG" or "RAW", named as in `sniff_kind`; None if the kind is unknown.
    """
    kind, named = sniff_kind(header), UNREAD_SUFFIXES.get(suffix)
    return named if kind is None or (kind == "TIFF" and named == "RAW") else kind


def identify_shortcut(suffix: str, header: bytes) -> str | None:
    """Identify a shortcut, a file that refers to another file or to a web page.

    Only a file manager follows the shortcut. Any other program that opens it reads the shortcut
    itself, not its target.

    Args:
        suffix: The suffix of the file's name, in lower case.
        header: The first 64 bytes of the file.

    Returns:
        "Windows shortcut", "macOS alias" or "link to a web page"; None for any other file.
    """
    for signature, kind in _SHORTCUTS:
        if header.startswith(signature):
            return kind
    return "link to a web page" if suffix in _WEB_LINK_SUFFIXES else None


def _sniff_iso_media(header: bytes) -> str | None:
    length = int.from_bytes(header[:4], "big")
    brands = {header[8:12], *(header[n : n + 4] for n in range(16, min(length, len(header)), 4))}
    if header[8:12] == b"crx ":
        return "RAW"
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return HEIC if brands & _HEIF_BRANDS else None


ARCHIVE = "archive"
"""The kind of files, such as `photos.zip`, that may contain images and are not read."""


def advice_for(kind: str, count: int = 1) -> str:
    """Return a sentence on how to make files of an unsupported kind readable.

    Args:
        kind: The kind of image, such as "HEIC", or `ARCHIVE` for files such as `photos.zip`.
        count: The number of files. The sentence says "it" for one file, otherwise "them".
    """
    it, its = ("it", "its") if count == 1 else ("them", "their")
    if kind == ARCHIVE:
        return f"Unpack {it}, or pack {its} pictures in a tar file without compression."
    if kind == HEIC:
        return f"Install what reads {it}: pip install 'dwc[images]' (or pillow-heif)."
    if kind == "RAW":
        return f"Export {it} from your raw converter as JPEG."
    return f"Convert {it} to JPEG or PNG."


def printable(text: object) -> str:
    """Return a name or message with escaped control characters, so that it is safe to print.

    Bytes of a file name that are not UTF-8 are escaped as well, for example as `\\xe9`.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _spell(character) for character in text
    )


def _spell(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python represents a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def escape_name(name: str) -> str:
    """Return a file name or path as text that can be encoded as UTF-8.

    A file name that is not UTF-8 cannot be stored in a database or in JSON. Its invalid bytes are
    replaced with escapes such as `\\xe9`. Backslashes are doubled (not on Windows), so that
    different names never result in the same text. `unescape_name` is the inverse function.
    """
    if "\\" in name and sys.platform != "win32":
        name = name.replace("\\", "\\\\")
    if name.isascii():
        return name
    return "".join(_spell(c) if 0xD800 <= ord(c) <= 0xDFFF else c for c in name)


def unescape_name(text: str) -> str:
    """Return the file name from a text that `escape_name` returned."""
    if "\\" not in text or sys.platform == "win32":
        return text
    return _ESCAPE.sub(_unescape, text)


_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2})")


def _unescape(match: re.Match[str]) -> str:
    escaped = match.group(1)
    return "\\" if escaped == "\\" else chr(0xDC00 + int(escaped[1:], 16))


class UndecodableImageError(ImageError):
    """Error for an image whose content cannot be decoded: it is empty, damaged or unsupported.

    Decoding the same content again would fail again. Other errors of the type `ImageError` may have
    a cause outside the file's content, such as its permissions, a drive or a setting.
    """


class UnsupportedImageError(UndecodableImageError):
    """Error for an image of a kind that cannot be read here; `kind` is the kind, such as "HEIC"."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.kind)


def decoder_error(name: str, error: BaseException) -> ImageError:
    """Return the error to raise for an exception of a decoder.

    Usually, the cause is the file's content, and the result is an `UndecodableImageError`. If the
    memory was insufficient, or if the operating system failed to read the file (the exception then
    has an error number), the result is a general `ImageError`.

    Args:
        name: Name of the image for the message.
        error: The decoder's exception.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return ImageError(f"{name}: cannot be read ({error.strerror}). Check the drive, and retry.")
    if isinstance(error, MemoryError):
        return ImageError(
            f"{name}: needs more memory than is free to decode it. Free memory, or shrink it."
        )
    return UndecodableImageError(
        f"{name}: is cut short or damaged, or of a variant that is not read here "
        f"({printable(error) or type(error).__name__}). Replace it, convert it, or take it out."
    )
