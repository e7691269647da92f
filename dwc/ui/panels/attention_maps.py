"""Panel with two maps that are drawn over the reference image: attention and gate.

The first map shows how a word's attention is distributed over the regions of the image. The second
map shows the gate: for each region, the factor from 0 to 1 by which the CNN stream multiplies the
image features before it combines image and text.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.explain.attention_maps import AttentionMaps, Grid, WordAttention, attention_maps
from dwc.search.query import EncodedQuery
from dwc.search.searcher import Searcher
from dwc.ui.format import escape, on_load, render_hint
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.state import SearchState

ON_LOAD = on_load("dwcPanels.attentionMaps")

NO_PICTURE = "The search has no picture, so that there are no regions for its words to look at."
NO_WORDS = "The search has no words, so that nothing looks at single regions of the picture."
NO_STREAM = (
    "This model has no CNN stream. That is the one that compares words with regions; CLIP reads "
    "the picture as a whole."
)
UNREAD = "The CNN stream can read none of these words, so that none looked at the picture."

_TEXT_COLOR = (47, 107, 216)  # RGB, as --word in the style sheet
_IMAGE_COLOR = (217, 130, 43)  # RGB, as --picture in the style sheet
_MAX_OPACITY = 0.82  # opacity of the strongest color over the gray image
_REFERENCE_PX = 320  # the longer side of the drawn reference, in pixels
_CELL_PX = 8  # overlay pixels per image region; the browser smooths them when it scales
_DIFFUSE = 2.0  # a word has no clear focus if its maximum is below this multiple of the mean
_FLAT = 0.02  # a gate whose values differ by less than this is described as constant

_LOCATIONS = (
    ("the upper left", "the top", "the upper right"),
    ("the left", "the middle", "the right"),
    ("the lower left", "the bottom", "the lower right"),
)


class _Frame(NamedTuple):
    """The reference image as the panel shows it, and the part of it that the network receives.

    Attributes:
        address: The reference image, reduced in size, as a data URL.
        aspect: The aspect ratio of the reference image as a CSS value, such as `400/300`.
        box: The rectangle that the network receives, as CSS declarations of `left`, `top`, `width`
            and `height`, in percent of the image's width or height.
    """

    address: str
    aspect: str
    box: str


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of the attention maps for a search result."""
    return render_attention(searcher, state.query)


def render_attention(searcher: Searcher, query: EncodedQuery) -> str:
    """Return the HTML of a query's attention maps, or a sentence on why there are none."""
    checkpoint = searcher.checkpoint
    maps = attention_maps(checkpoint, query, searcher.compose.image_features)
    if query.image is None:
        return render_hint(NO_PICTURE)
    if not query.text:
        return render_hint(NO_WORDS)
    if maps is None:
        has_stream = checkpoint.model.cnn_stream is not None
        return render_hint(UNREAD if has_stream else NO_STREAM)
    return render_attention_maps(maps, query.image)


def render_attention_maps(maps: AttentionMaps, reference: Image.Image) -> str:
    """Return the HTML of the attention map and the gate map, with legends and descriptions.

    The attention map shows the attention of one word, which a visitor chooses on the page. The gate
    map shows the factors by which the CNN stream multiplies the features of the image's regions.

    Args:
        maps: The attention maps.
        reference: The reference image at any size.
    """
    frame = _frame(maps, reference)
    rows, columns = maps.image_gate.shape
    return (
        f'<div class="regions" style="--reference:url({frame.address})">'
        f'<div class="region-pair">{_render_words(maps, frame)}{_render_gate(maps, frame)}</div>'
        f'<p class="hint">The CNN stream sees the picture as {rows} by {columns} regions. '
        "Attention tells which regions a word was compared with, not why a picture was found: "
        "each region knows much of what lies around it, the weight decides how much all this "
        "counts, and CLIP, which has a say as well, looks at no regions.</p>"
        f"{_sentences(maps)}</div>"
    )


def locate_maximum(maps: AttentionMaps, grid: Grid) -> str:
    """Return the name of the part of the image in which a map is highest, such as "the upper left".

    Args:
        maps: The attention maps, with the position of the regions in the image.
        grid: The map (rows, columns) with a value for each region.
    """
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    (left, top, right, bottom), (width, height) = maps.box, maps.size
    across = (left + (column + 0.5) / grid.shape[1] * (right - left)) / width
    down = (top + (row + 0.5) / grid.shape[0] * (bottom - top)) / height
    return _LOCATIONS[_third(float(down))][_third(float(across))]


def describe_word(maps: AttentionMaps, word: WordAttention) -> str:
    """Describe in a sentence where in the image a word's attention is highest.

    Example: `“long” looks most at the bottom (16 % of its attention, 2.6 times an even share).` So
    16 % of the word's attention is in a single region. This is 2.6 times the share that the region
    would have if the attention were the same in all regions.
    """
    times = word.focus * word.attention.size
    location = locate_maximum(maps, word.attention)
    share = f"{100 * word.focus:.0f}\N{NO-BREAK SPACE}%"
    if times < _DIFFUSE:
        description = f"looks about everywhere, a little more at {location} ({share}"
    else:
        description = f"looks most at {location} ({share}"
    unknown = "; not known to this stream, which hears it as any unknown word" * word.unknown
    return (
        f"“{word.word}” {description} of its attention, {times:.1f} times an even share){unknown}."
    )


def describe_gate(maps: AttentionMaps) -> str:
    """Describe in a sentence where the gate is highest and where it is lowest.

    The gate of a region is the factor by which the network multiplies the image features of this
    region. If the gate is nearly the same for all regions, the sentence gives this value only.
    """
    gate = maps.image_gate
    least, most = (f"{100 * float(end):.0f}\N{NO-BREAK SPACE}%" for end in (gate.min(), gate.max()))
    if float(gate.max() - gate.min()) < _FLAT:
        return f"The picture is kept alike everywhere: about {most} of it passes."
    return (
        f"The picture is kept most at {locate_maximum(maps, gate)}, where {most} of its features "
        "pass, "
        f"and least at {locate_maximum(maps, -gate)}, where {least} do."
    )


def _render_words(maps: AttentionMaps, frame: _Frame) -> str:
    if not maps.words:
        return f'<div class="region-side">{render_hint(UNREAD)}</div>'
    most = max(word.focus for word in maps.words)
    radios = "".join(
        f'<label><input type="radio" name="region-word" value="{word.position}"'
        f"{' checked' * (index == 0)}>"
        f"<span>{_struck(word)}</span></label>"
        for index, word in enumerate(maps.words)
    )
    overlays, captions = "", ""
    for index, word in enumerate(maps.words):
        label, hidden = escape(describe_word(maps, word)), " hidden" * (index > 0)
        # All words of a query share one color scale, so a word with uniform attention is pale.
        strength = _smooth(word.attention * word.focus / most)
        paint = _paint(np.broadcast_to(np.array(_TEXT_COLOR), (*strength.shape, 3)), strength)
        overlays += (
            f'<img data-word="{word.position}" src="{paint}" alt="{label}" '
            f'style="{frame.box}"{hidden}>'
        )
        captions += f'<span data-word="{word.position}"{hidden}>{label}</span>'
    return (
        '<div class="region-side"><h3>Where each word looked</h3>'
        '<fieldset class="region-words"><legend class="sr-only">The word whose attention is '
        f"drawn</legend>{radios}</fieldset>"
        f'<figure><div class="region-frame" style="aspect-ratio:{frame.aspect}">{overlays}</div>'
        f"{_legend('looked', 'not at all', f'{100 * most:.0f} % of its attention')}"
        f'<figcaption aria-live="polite">{captions}</figcaption></figure></div>'
    )


def _render_gate(maps: AttentionMaps, frame: _Frame) -> str:
    gate = maps.image_gate
    least, most = float(gate.min()), float(gate.max())
    flat = most - least < _FLAT
    label = escape(describe_gate(maps))
    # The gate's color scale spans its own range; a constant gate is not painted.
    centered = np.zeros_like(gate) if flat else 2 * (gate - least) / (most - least) - 1
    strength = _smooth(centered, -1.0)
    colors = np.where(strength[..., None] > 0, np.array(_IMAGE_COLOR), np.array(_TEXT_COLOR))
    paint = _paint(colors, np.abs(strength))
    legend = "" if flat else _legend("kept", f"{100 * least:.0f} % kept", f"{100 * most:.0f} %")
    return (
        '<div class="region-side"><h3>What was kept of the picture</h3>'
        '<p class="region-about">Before mixing, the words decide region by region how much of '
        "the picture passes. Where little does, they fill in.</p>"
        f'<figure><div class="region-frame" style="aspect-ratio:{frame.aspect}">'
        f'<img src="{paint}" alt="{label}" style="{frame.box}"></div>'
        f"{legend}<figcaption>{label}</figcaption></figure></div>"
    )


def _sentences(maps: AttentionMaps) -> str:
    if len(maps.words) < 2:
        return ""
    items = "".join(f"<li>{escape(describe_word(maps, word))}</li>" for word in maps.words)
    return (
        '<details class="note"><summary>Every word in a sentence</summary>'
        f"<ul>{items}</ul></details>"
    )


def _legend(kind: str, low: str, high: str) -> str:
    return (
        f'<p class="region-legend" aria-hidden="true"><span>{escape(low)}</span>'
        f'<i class="{kind}"></i><span>{escape(high)}</span></p>'
    )


def _struck(word: WordAttention) -> str:
    text = escape(word.word)
    return f'<s>{text}</s><span class="sr-only"> (unknown)</span>' if word.unknown else text


def _third(share: float) -> int:
    return min(max(int(3 * share), 0), 2)


def _frame(maps: AttentionMaps, reference: Image.Image) -> _Frame:
    (left, top, right, bottom), (width, height) = maps.box, maps.size
    reduced = reference.copy()
    reduced.thumbnail((_REFERENCE_PX, _REFERENCE_PX))
    edges: Sequence[tuple[str, float]] = (
        ("left", left / width),
        ("top", top / height),
        ("width", (right - left) / width),
        ("height", (bottom - top) / height),
    )
    box = ";".join(f"{name}:{100 * share:.2f}%" for name, share in edges)
    return _Frame(_data_url(reduced, "JPEG"), f"{width}/{height}", box)


def _smooth(grid: Grid, least: float = 0.0) -> Grid:
    """Enlarge a map by bicubic interpolation, and clip its values to [least, 1].

    Args:
        grid: The map (rows, columns).
        least: The lower limit of the values.

    Returns:
        The enlarged map (8 * rows, 8 * columns).
    """
    rows, columns = grid.shape
    size = (columns * _CELL_PX, rows * _CELL_PX)
    larger = Image.fromarray(grid.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(larger), least, 1).astype(np.float32)


def _paint(colors: NDArray[Any], strength: Grid) -> str:
    """Return a partly transparent image to lay over the reference image, as a data URL.

    Args:
        colors: The color of each pixel (height, width, 3), from 0 to 255.
        strength: The strength of the color at each pixel (height, width), from 0 (transparent) to
            1 (the opacity `_MAX_OPACITY`).
    """
    opaque = np.round(255 * _MAX_OPACITY * strength)[..., None]
    pixels = np.concatenate([colors, opaque], axis=-1).astype(np.uint8)
    return _data_url(Image.fromarray(pixels, "RGBA"), "PNG")


def _data_url(image: Image.Image, kind: str) -> str:
    content = io.BytesIO()
    image.save(content, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
