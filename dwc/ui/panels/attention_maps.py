"""Which part of the picture each word looked at, and where the picture gave way to the words."""

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.checkpoints.load import Checkpoint
from dwc.explain.attention_maps import AttentionMaps, Grid, WordAttention, attention_maps
from dwc.search.query import EncodedQuery
from dwc.ui.format import escape, on_load

ON_LOAD = on_load("dwcPanels.attentionMaps")

NO_PICTURE = "The search has no picture, so that there are no regions for its words to look at."
NO_WORDS = "The search has no words, so that nothing looks at single regions of the picture."
NO_STREAM = (
    "This model has no CNN stream. That is the one that compares words with regions; CLIP reads "
    "the picture as a whole."
)
UNREAD = "The CNN stream can read none of these words, so that none looked at the picture."

_WORD = (47, 107, 216)  # the style sheet's --word and --picture, as paint over a grey picture
_PICTURE = (217, 130, 43)
_COVER = 0.82  # how much of the grey the strongest paint covers
_SIDE_PX = 320  # of the reference shown; it is drawn at most so large
_CELL_PX = 8  # of an overlay a region, which the browser scales on: enough to look smooth
_DIFFUSE = 2.0  # times its even share: below, a word's favourite region says little
_FLAT = 0.02  # of the gate: regions that differ by less are told as alike

_PLACES = (
    ("the upper left", "the top", "the upper right"),
    ("the left", "the middle", "the right"),
    ("the lower left", "the bottom", "the lower right"),
)


class _Frame(NamedTuple):
    """The reference shown, and what of it the network sees: the box's edges in percent."""

    address: str
    aspect: str
    box: str


def render_attention(checkpoint: Checkpoint, asked: EncodedQuery) -> str:
    """The maps of a question as HTML, or a sentence that says why there are none."""
    maps = attention_maps(checkpoint, asked)
    if asked.image is None:
        return _sentence(NO_PICTURE)
    if not asked.text:
        return _sentence(NO_WORDS)
    if maps is None:
        has_stream = checkpoint.model.cnn_stream is not None
        return _sentence(UNREAD if has_stream else NO_STREAM)
    return render_attention_maps(maps, asked.image)


def render_attention_maps(maps: AttentionMaps, picture: Image.Image) -> str:
    """The two drawings with the choice of a word, a legend each, and the same in sentences.

    `picture` is the reference that the maps are of, at any size.
    """
    frame = _frame(maps, picture)
    rows, columns = maps.image_gate.shape
    return (
        f'<div class="regions" style="--reference:url({frame.address})">'
        f'<div class="region-pair">{_looked(maps, frame)}{_kept(maps, frame)}</div>'
        f'<p class="hint">The CNN stream sees the picture as {rows} by {columns} regions. '
        "Attention tells which regions a word was compared with, not why a picture was found: "
        "each region knows much of what lies around it, the weight decides how much all this "
        "counts, and CLIP, which has a say as well, looks at no regions.</p>"
        f"{_sentences(maps)}</div>"
    )


def place_of(maps: AttentionMaps, grid: Grid) -> str:
    """Where in the picture a map is strongest, by thirds: "the upper left", "the middle"."""
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    (left, top, right, bottom), (width, height) = maps.box, maps.size
    across = (left + (column + 0.5) / grid.shape[1] * (right - left)) / width
    down = (top + (row + 0.5) / grid.shape[0] * (bottom - top)) / height
    return _PLACES[_third(float(down))][_third(float(across))]


def describe_word(maps: AttentionMaps, word: WordAttention) -> str:
    """`“long” looks most at the bottom (16 % of its attention, 2.6 times an even share).`"""
    times = word.focus * word.attention.size
    place = place_of(maps, word.attention)
    share = f"{100 * word.focus:.0f}\N{NO-BREAK SPACE}%"
    if times < _DIFFUSE:
        told = f"looks about everywhere, a little more at {place} ({share}"
    else:
        told = f"looks most at {place} ({share}"
    unknown = "; not known to this stream, which hears it as any unknown word" * word.unknown
    return f"“{word.word}” {told} of its attention, {times:.1f} times an even share){unknown}."


def describe_gate(maps: AttentionMaps) -> str:
    """Where the picture is kept most and least, in a sentence."""
    gate = maps.image_gate
    least, most = (f"{100 * float(end):.0f}\N{NO-BREAK SPACE}%" for end in (gate.min(), gate.max()))
    if float(gate.max() - gate.min()) < _FLAT:
        return f"The picture is kept alike everywhere: about {most} of it passes."
    return (
        f"The picture is kept most at {place_of(maps, gate)}, where {most} of its features pass, "
        f"and least at {place_of(maps, -gate)}, where {least} do."
    )


def _looked(maps: AttentionMaps, frame: _Frame) -> str:
    if not maps.words:
        return f'<div class="region-side">{_sentence(UNREAD)}</div>'
    most = max(word.focus for word in maps.words)
    radios = "".join(
        f'<label><input type="radio" name="region-word" value="{word.position}"'
        f"{' checked' * (place == 0)}>"
        f"<span>{_struck(word)}</span></label>"
        for place, word in enumerate(maps.words)
    )
    overlays, captions = "", ""
    for place, word in enumerate(maps.words):
        told, hidden = escape(describe_word(maps, word)), " hidden" * (place > 0)
        # One scale for all words of a question: a word that looks about everywhere stays pale.
        strength = _smooth(word.attention * word.focus / most)
        paint = _paint(np.broadcast_to(np.array(_WORD), (*strength.shape, 3)), strength)
        overlays += (
            f'<img data-word="{word.position}" src="{paint}" alt="{told}" '
            f'style="{frame.box}"{hidden}>'
        )
        captions += f'<span data-word="{word.position}"{hidden}>{told}</span>'
    return (
        '<div class="region-side"><h3>Where each word looked</h3>'
        '<fieldset class="region-words"><legend class="sr-only">The word whose attention is '
        f"drawn</legend>{radios}</fieldset>"
        f'<figure><div class="region-frame" style="aspect-ratio:{frame.aspect}">{overlays}</div>'
        f"{_legend('looked', 'not at all', f'{100 * most:.0f} % of its attention')}"
        f'<figcaption aria-live="polite">{captions}</figcaption></figure></div>'
    )


def _kept(maps: AttentionMaps, frame: _Frame) -> str:
    gate = maps.image_gate
    least, most = float(gate.min()), float(gate.max())
    flat = most - least < _FLAT
    told = escape(describe_gate(maps))
    # Between its own ends; a gate that is flat is painted nowhere.
    centred = np.zeros_like(gate) if flat else 2 * (gate - least) / (most - least) - 1
    leaning = _smooth(centred, -1.0)
    colours = np.where(leaning[..., None] > 0, np.array(_PICTURE), np.array(_WORD))
    paint = _paint(colours, np.abs(leaning))
    legend = "" if flat else _legend("kept", f"{100 * least:.0f} % kept", f"{100 * most:.0f} %")
    return (
        '<div class="region-side"><h3>What was kept of the picture</h3>'
        '<p class="region-about">Before mixing, the words decide region by region how much of '
        "the picture passes. Where little does, they fill in.</p>"
        f'<figure><div class="region-frame" style="aspect-ratio:{frame.aspect}">'
        f'<img src="{paint}" alt="{told}" style="{frame.box}"></div>'
        f"{legend}<figcaption>{told}</figcaption></figure></div>"
    )


def _sentences(maps: AttentionMaps) -> str:
    if len(maps.words) < 2:
        return ""
    told = "".join(f"<li>{escape(describe_word(maps, word))}</li>" for word in maps.words)
    return (
        '<details class="note"><summary>Every word in a sentence</summary>'
        f"<ul>{told}</ul></details>"
    )


def _legend(kind: str, low: str, high: str) -> str:
    return (
        f'<p class="region-legend" aria-hidden="true"><span>{escape(low)}</span>'
        f'<i class="{kind}"></i><span>{escape(high)}</span></p>'
    )


def _struck(word: WordAttention) -> str:
    shown = escape(word.word)
    return f'<s>{shown}</s><span class="sr-only"> (unknown)</span>' if word.unknown else shown


def _sentence(text: str) -> str:
    return f'<p class="hint">{escape(text)}</p>'


def _third(share: float) -> int:
    return min(max(int(3 * share), 0), 2)


def _frame(maps: AttentionMaps, picture: Image.Image) -> _Frame:
    (left, top, right, bottom), (width, height) = maps.box, maps.size
    shown = picture.copy()
    shown.thumbnail((_SIDE_PX, _SIDE_PX))
    edges: Sequence[tuple[str, float]] = (
        ("left", left / width),
        ("top", top / height),
        ("width", (right - left) / width),
        ("height", (bottom - top) / height),
    )
    box = ";".join(f"{name}:{100 * share:.2f}%" for name, share in edges)
    return _Frame(_address(shown, "JPEG"), f"{width}/{height}", box)


def _smooth(grid: Grid, least: float = 0.0) -> Grid:
    """A map (H, W) in [least, 1] with more, softly connected cells: a picture of so few would show
    its corners when the browser draws it large."""
    rows, columns = grid.shape
    size = (columns * _CELL_PX, rows * _CELL_PX)
    larger = Image.fromarray(grid.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(larger), least, 1).astype(np.float32)


def _paint(colours: NDArray[Any], strength: Grid) -> str:
    """Colours (H, W, 3), as opaque as their strength (H, W) in [0, 1], as a picture's address."""
    opaque = np.round(255 * _COVER * strength)[..., None]
    pixels = np.concatenate([colours, opaque], axis=-1).astype(np.uint8)
    return _address(Image.fromarray(pixels, "RGBA"), "PNG")


def _address(picture: Image.Image, kind: str) -> str:
    content = io.BytesIO()
    picture.save(content, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
