"""What is recorded about a decoded image: details in its `info`, and issues.

A detail says what the decoder did (such as the number of the frame that it used, or the color that
replaced a transparent background). An issue says why the image may be of little use for a search:
it is blank, very tall or wide, incomplete, or only one of several pictures in its file.
"""

import struct
import zlib

from PIL import Image

# Exceptions that Pillow's decoders raise on damaged files.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

IGNORED_PROFILE = "ignored_profile"
"""Key that is set in the `info` of a decoded image if its color profile was broken and ignored."""

PART_OF = "part_of"
"""Key in the `info` of a decoded image that shows only a part of its source.

Such an image is a square cut from a strip, or one frame of an animation. The key's value is a hash
of the whole source: of the file's content, or, if a PIL image was decoded, of its pixels.
"""

STRIP_PART = "strip_part"
"""Key in the `info` of a decoded image that is a square cut from a strip.

The key's value is the square's position: "top" of a high strip, "middle" of a wide one.
"""

STRIP_SIZE = "strip_size"
"""Key in the `info` of a decoded image that is a square cut from a strip.

The key's value is the width and height of the whole strip in pixels, as stored in its file.
"""

BLANK_PART = "blank_part"
"""Key that is set in the `info` of a decoded image that is a square cut from a strip.

It is set if the square has a single color, and the rest of the strip does not.
"""

FRAME = "frame"
"""Key in the `info` of a decoded image that is one of several frames or pages of its file.

The key's value is the number of the frame or page, from 1.
"""

OTHER_FRAMES = "other_frames"
"""Key that is set in the `info` of a decoded image if its file also shows other pictures.

These are pages of a TIFF, and frames of an animation with other colors. Smaller copies of the
image do not count, and neither do frames in which a garment moves or fades.
"""

MISSING_SHARE = "missing_share"
"""Key in the `info` of a decoded image whose file may be incomplete, since its last part is zeros.

The key's value is this part's share of the image's pixels, between 0 and 1.
"""

FILLED_WITH = "filled_with"
"""Key in the `info` of a decoded image whose transparent parts were filled.

The key's value is the name of the color: "white", "gray" or "near black".
"""

HALF_TRANSPARENT = "half_transparent"
"""Key that is set in the `info` of a decoded image if its colors are mixed with the filling."""

DETAILS = (STRIP_PART, STRIP_SIZE, BLANK_PART, FRAME, OTHER_FRAMES, MISSING_SHARE)
"""Keys that are kept if a decoded image is decoded again."""

BLANK = "blank"
ELONGATED = "elongated"
_ISSUES_BY_KEY = {
    IGNORED_PROFILE: "ignored_profiles",
    OTHER_FRAMES: "other_frames",
    MISSING_SHARE: "incomplete",
}
ISSUES = (*_ISSUES_BY_KEY.values(), BLANK, ELONGATED)
"""Names of the issues that a decoded image may have.

Its color profile is broken, its file also shows other pictures, its file may be incomplete, nothing
can be seen in it, or it is so tall or wide that the model gets little of it.
"""

# Images with a larger aspect ratio have the issue `ELONGATED`. A preprocessor makes a square of
# them, in which garments are squeezed or cut off. None of 5,574 photographs of clothes has more
# than 2.22, of 466 that were cropped close to the garment one has more, and the screens of phones
# have at most 2.44. Of 40 photographs with a margin of their ground up to 2, 2.5, 3, 4 and 5, 29 %,
# 38 %, 48 %, 64 % and 73 % of the first 12 among 400 changed for the bundled checkpoint if they
# were tall, and 55 %, 69 %, 78 %, 86 % and 89 % if they were wide.
MAX_ASPECT = 2.5
# Images with a shorter side are too small to compare well. Of 60 photographs of clothes that were
# reduced to 40, 48 and 64 px, 27 %, 23 % and 18 % of the first 12 among 400 changed for the bundled
# checkpoint; the similarity to the embedding at full size was 0.93, 0.95 and 0.97.
SMALL_SIDE = 48

_SINGLE_COLOR_RANGE = 8
# A frame whose levels differ by more than that, but at most by `_NOISE_RANGE`, is noise around a
# single color if its means differ by at most `_NOISE_MEAN_RANGE` in a grid of 8 x 8 fields. In each
# of 2,028 photographs that were faded to such ranges, they differ by more.
_NOISE_RANGE = 16
_NOISE_MEAN_RANGE = 2
_NOISE_GRID = 8


def find_issues(image: Image.Image) -> frozenset[str]:
    """Return the issues of a decoded image, as names in `ISSUES`."""
    found = {name for key, name in _ISSUES_BY_KEY.items() if key in image.info}
    if is_blank(image):
        found.add(BLANK)
    elif aspect_ratio(image) > MAX_ASPECT:
        found.add(ELONGATED)
    return frozenset(found)


def is_blank(image: Image.Image) -> bool:
    """Return whether a decoded image shows a single color, or a single color with faint noise.

    If the image is a square cut from a strip, the result is about the whole strip.
    """
    return BLANK_PART not in image.info and not has_content(image)


def aspect_ratio(image: Image.Image) -> float:
    """Return the ratio of the long side of a decoded image to its short side, at least 1.

    If the image is a square cut from a strip, the result is the ratio of the whole strip.
    """
    size = image.info.get(STRIP_SIZE, image.size)
    return float(max(size) / min(size))


def has_content(frame: Image.Image) -> bool:
    """Return whether an RGB or RGBA image has content.

    An image has no content if it is transparent, a single color, or a single color with faint
    noise.
    """
    if frame.mode == "RGBA" and frame.getchannel("A").getextrema() == (0, 0):
        return False
    span = _largest_span(frame)
    if not _SINGLE_COLOR_RANGE < span <= _NOISE_RANGE:
        return span > _NOISE_RANGE
    means = frame.resize((_NOISE_GRID, _NOISE_GRID), Image.Resampling.BOX)
    return _largest_span(means) > _NOISE_MEAN_RANGE


def _largest_span(image: Image.Image) -> int:
    """Return the range of levels (highest minus lowest) of the channel with the largest range."""
    ranges = [band.getextrema() for band in image.split()]
    return max(int(high) - int(low) for low, high in ranges)  # type: ignore[arg-type]
