"""Errors for images that cannot be decoded, and the exceptions of decoders that lead to them.

`decoder_error` makes an error with a message for the user out of one of the `DECODER_ERRORS`.
"""

import struct
import zlib

from PIL import Image

from dwc.datasets.image_kinds import printable
from dwc.errors import ImageError

# Exceptions that Pillow's decoders raise on damaged files.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


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
