"""Where in the picture the words looked: the CNN stream's attention, laid over the reference."""

import string
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dwc.checkpoints.load import Checkpoint
from dwc.modeling.processing_dwc import WORD_PADDING_ID, DWCProcessor
from dwc.search.query import EncodedQuery

Grid = NDArray[np.float32]

_DIGITS = 5  # of the numbers in `to_dict`, for maps that are shown


@dataclass(frozen=True, eq=False)
class WordAttention:
    """One typed word over the picture's H by W regions, as the CNN stream related them.

    `looks_at` (H, W), in [0, 1], is where the word looked, 1 at the region it looked at most.
    `focus`, in (0, 1], is the share of its attention that this region has; 1 / (H W) is a word that
    looked everywhere alike, whose map then says nothing. `heard_at` (H, W), in [0, 1], is the share
    that the word has in what each region heard. `position` counts the words that the stream read,
    from 0; it hears all `unknown` ones as the same word.
    """

    position: int
    word: str
    unknown: bool
    attention: Grid
    focus: float
    region_share: Grid


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The maps of one query, on the network's own coarse grid of H by W regions.

    `image_gate` (H, W), in (0, 1), is how much of the picture's own features passed the image
    editor, the mean of the channels. `template_heard_at` (H, W), in [0, 1], is what each region
    heard of the words that the caption template adds; with all `heard_at` it sums to 1. `box` is
    the part of the picture that the network sees, (left, top, right, bottom) in its pixels, beyond
    them where the picture is padded; `size` is the picture's (width, height).

    Attention shows what was compared, not what decided: the CNN stream alone has it, every region
    has seen much of the picture besides its own square, and an editor may ignore what it heard.
    """

    words: list[WordAttention]
    image_gate: Grid
    template_share: Grid
    box: tuple[float, float, float, float]
    size: tuple[int, int]

    def upscaled(self, grid: Grid) -> Grid:
        """One of the maps (H, W) at the picture's size (height, width), interpolated linearly.

        In [0, 1], like the map; 0 where the network does not see the picture.
        """
        (left, top, right, bottom), (width, height) = self.box, self.size
        rows = _interpolation(height, grid.shape[0], top, bottom)  # (height, H)
        columns = _interpolation(width, grid.shape[1], left, right)  # (width, W)
        return np.clip(rows @ grid @ columns.T, 0, 1)

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists, numbers and strings; maps are lists of rows, on the coarse grid."""
        return {
            "words": [
                {
                    "position": word.position,
                    "word": word.word,
                    "unknown": word.unknown,
                    "looks_at": _rows(word.attention),
                    "focus": word.focus,
                    "heard_at": _rows(word.region_share),
                }
                for word in self.words
            ],
            "image_gate": _rows(self.image_gate),
            "template_heard_at": _rows(self.template_share),
            "box": list(self.box),
            "size": list(self.size),
        }


@torch.inference_mode()
def attention_maps(checkpoint: Checkpoint, asked: EncodedQuery) -> AttentionMaps | None:
    """Relate a question's words to the regions of its picture.

    None where there is nothing to relate: no CNN stream, no picture, or no word it can read.
    """
    stream, processor = checkpoint.model.cnn_stream, checkpoint.processor
    if stream is None or asked.image is None or not asked.text:
        return None
    inputs = processor(images=asked.image, text=asked.encoding.model_text)
    if not bool(inputs["word_mask"].any()):
        return None
    device = next(stream.parameters()).device
    maps = checkpoint.model.region_maps(
        **{name: inputs[name].to(device) for name in ("pixel_values", "word_ids", "word_mask")}
    )
    looked = maps.regions_by_word[0].float().cpu().numpy()  # (L, H, W)
    heard = maps.words_by_region[0].float().cpu().numpy()  # (L, H, W)
    words = []
    typed = _typed_places(checkpoint, asked)
    for position, (row, word) in enumerate(typed.items()):
        focus = float(looked[row].max())
        words.append(
            WordAttention(
                position=position,
                word=word,
                unknown=int(inputs["word_ids"][0, row]) == WORD_PADDING_ID,
                attention=looked[row] / focus,
                focus=focus,
                region_share=heard[row],
            )
        )
    others = [row for row in range(len(heard)) if row not in typed]
    return AttentionMaps(
        words=words,
        image_gate=maps.image_gate[0].float().cpu().numpy(),
        template_share=heard[others].sum(axis=0),
        box=_seen_box(processor, asked.image.size),
        size=asked.image.size,
    )


def _typed_places(checkpoint: Checkpoint, asked: EncodedQuery) -> dict[int, str]:
    """Which of the word ids a person typed, and as what; the others are the template's."""
    read = asked.encoding.model_text.encode("utf-8", "ignore").decode(
        "utf-8"
    )  # as the processor does
    template = (checkpoint.model.config.caption_template or {}).get("single", "{0}")
    start = len(template.partition("{0}")[0].format())
    end = len(read) - len(template.partition("{0}")[2].format())
    encoding = checkpoint.processor.word_tokenizer.backend_tokenizer.encode(read)
    return {
        row: _widened(read, first, last, start, end)
        for row, (first, last) in enumerate(encoding.offsets)
        if start <= first and last <= end
    }


def _widened(text: str, first: int, last: int, start: int, end: int) -> str:
    """A word as typed: with the letters beside it that the vocabulary drops, less punctuation."""
    while first > start and not text[first - 1].isspace():
        first -= 1
    while last < end and not text[last].isspace():
        last += 1
    return text[first:last].strip(string.punctuation)


def _seen_box(processor: DWCProcessor, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """What the preprocessing keeps of a picture (width, height), in the picture's pixels."""
    pictures = processor.image_processor
    width, height = size
    if not pictures.do_center_crop:
        return 0.0, 0.0, float(width), float(height)
    resized = {"width": width, "height": height}
    if pictures.do_resize:
        wanted = dict(pictures.size)
        short = wanted.get("shortest_edge")
        if short:
            resized = {
                "width": int(short * width / min(size)),
                "height": int(short * height / min(size)),
            }
        else:
            resized = {"width": wanted["width"], "height": wanted["height"]}
    crop = dict(pictures.crop_size)
    ends = {}
    for side, length in (("width", width), ("height", height)):
        first = (resized[side] - crop[side]) // 2  # negative where the crop pads
        ends[side] = [at * length / resized[side] for at in (first, first + crop[side])]
    return ends["width"][0], ends["height"][0], ends["width"][1], ends["height"][1]


def _interpolation(length: int, cells: int, start: float, end: float) -> Grid:
    """The matrix (length, cells) from cells that divide [start, end) to pixels, linearly.

    Pixels beyond the outermost cells' centres repeat these; pixels outside are 0.
    """
    centres = np.arange(length) + 0.5
    at = (centres - start) / (end - start) * cells - 0.5
    inside = (centres >= start) & (centres < end)
    at = np.clip(at, 0, cells - 1)
    matrix = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells)[None, :]))
    return (matrix * inside[:, None]).astype(np.float32)


def _rows(grid: Grid) -> list[list[float]]:
    return [[round(float(value), _DIGITS) for value in row] for row in grid]
