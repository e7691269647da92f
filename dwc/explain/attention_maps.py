"""Maps of the CNN stream's attention between a query's words and the regions of its image."""

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dwc.checkpoints.load import Checkpoint
from dwc.modeling.modeling_dwc import ImageFeatures
from dwc.modeling.processing_dwc import WORD_PADDING_ID, DWCProcessor
from dwc.search.query import EncodedQuery

Grid = NDArray[np.float32]

_DIGITS = 5  # decimal places of the numbers in `to_dict`


@dataclass(frozen=True, eq=False)
class WordAttention:
    """The attention of one typed word over the image's H by W regions.

    Attributes:
        position: index of the word among the typed words, from 0.
        word: the word as typed.
        unknown: whether the word is missing from the vocabulary; the stream encodes all unknown
            words with the same word vector.
        attention: (H, W), the word's attention to each region, divided by the maximum over all
            regions, in [0, 1].
        focus: the maximum of the word's attention over all regions, in (0, 1]. If it is 1 / (H W),
            the attention is uniform, and the map has no information.
        region_share: (H, W), the fraction of each region's attention that goes to this word, in
            [0, 1]. A region distributes its attention over all words of the text.
    """

    position: int
    word: str
    unknown: bool
    attention: Grid
    focus: float
    region_share: Grid


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention maps of one query, on the network's grid of H rows and W columns of regions.

    Attention does not show what determined the results, for three reasons. Only the CNN stream has
    attention maps, but the results also depend on the CLIP stream. The features of a region depend
    on an area of the image that is much larger than the region. And later layers may ignore the
    features with high attention.

    Attributes:
        words: the attention of each typed word, in order.
        image_gate: (H, W), the gate of each region, averaged over channels. The gate is a factor in
            (0, 1) by which the network multiplies the image features before it adds text features.
        template_share: (H, W), the fraction of each region's attention that goes to the words of
            the caption template, in [0, 1]. The caption template consists of fixed words around the
            typed text. `template_share` and the `region_share` of all typed words sum to 1.
        box: the rectangle of the image that is input to the network, (left, top, right, bottom) in
            pixels of the image; it extends beyond the image where the image is padded.
        size: the image's (width, height) in pixels.
    """

    words: list[WordAttention]
    image_gate: Grid
    template_share: Grid
    box: tuple[float, float, float, float]
    size: tuple[int, int]

    def upscaled(self, grid: Grid) -> Grid:
        """Return a map enlarged from (H, W) to one value per pixel of the image, (height, width).

        Values are interpolated linearly and clipped to [0, 1]; outside of `box` they are 0.

        Args:
            grid: one of the maps, with one value per region.
        """
        (left, top, right, bottom), (width, height) = self.box, self.size
        rows = _interpolation(height, grid.shape[0], top, bottom)  # (height, H)
        columns = _interpolation(width, grid.shape[1], left, right)  # (width, W)
        return np.clip(rows @ grid @ columns.T, 0, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the maps as JSON-compatible values; each map is a list of its H rows."""
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
def attention_maps(
    checkpoint: Checkpoint,
    query: EncodedQuery,
    image_features: Callable[[Tensor], ImageFeatures] | None = None,
) -> AttentionMaps | None:
    """Compute the attention between a query's words and the regions of its image.

    Args:
        checkpoint: the checkpoint that encoded the query.
        query: the encoded query.
        image_features: function that returns the model's features of an image, given the pixels
            that the processor returns for the image. An example is `QueryComposer.image_features`,
            which caches the features. None to compute the features without a cache.

    Returns:
        The maps. None if the model has no CNN stream, if the query has no image, or if the query
        has no word that the CNN stream can encode.
    """
    stream, processor = checkpoint.model.cnn_stream, checkpoint.processor
    if stream is None or query.image is None or not query.text:
        return None
    inputs = processor(images=query.image, text=query.encoding.model_text)
    if not bool(inputs["word_mask"].any()):
        return None
    device = next(stream.parameters()).device
    pixel_values = inputs["pixel_values"]
    if image_features is None:
        features = checkpoint.model.image_features(pixel_values.to(device))
    else:
        features = image_features(pixel_values).to(device)
    maps = checkpoint.model.attend_features(
        features, inputs["word_ids"].to(device), inputs["word_mask"].to(device)
    )
    to_regions = maps.regions_by_word[0].float().cpu().numpy()  # (L, H, W)
    to_words = maps.words_by_region[0].float().cpu().numpy()  # (L, H, W)
    words = []
    typed = _typed_rows(checkpoint, query)
    for position, (row, word) in enumerate(typed.items()):
        focus = float(to_regions[row].max())
        words.append(
            WordAttention(
                position=position,
                word=word,
                unknown=int(inputs["word_ids"][0, row]) == WORD_PADDING_ID,
                attention=to_regions[row] / focus,
                focus=focus,
                region_share=to_words[row],
            )
        )
    template_rows = [row for row in range(len(to_words)) if row not in typed]
    return AttentionMaps(
        words=words,
        image_gate=maps.image_gate[0].float().cpu().numpy(),
        template_share=to_words[template_rows].sum(axis=0),
        box=_input_box(processor, query.image.size),
        size=query.image.size,
    )


def _typed_rows(checkpoint: Checkpoint, query: EncodedQuery) -> dict[int, str]:
    """Return the typed words by the number of their row in the CNN stream's attention maps.

    The maps have one row for each word of the model's input, numbered from 0. Rows that are not in
    the result belong to the caption template: fixed words around the typed text.
    """
    # Characters that UTF-8 cannot encode are removed, as in the processor.
    text = query.encoding.model_text.encode("utf-8", "ignore").decode("utf-8")
    template = (checkpoint.model.config.caption_template or {}).get("single", "{0}")
    start = len(template.partition("{0}")[0].format())
    end = len(text) - len(template.partition("{0}")[2].format())
    encoding = checkpoint.processor.word_tokenizer.backend_tokenizer.encode(text)
    return {
        row: _widened(text, first, last, start, end)
        for row, (first, last) in enumerate(encoding.offsets)
        if start <= first and last <= end
    }


def _widened(text: str, first: int, last: int, start: int, end: int) -> str:
    """Return the complete word that contains text[first:last], without punctuation at its ends.

    The tokenizer may have dropped some letters of the word. Its token then covers only a part of
    the word.

    Args:
        text: the text that the model received.
        first: the index in the text at which the token begins.
        last: the index after the token.
        start: the index at which the typed text begins. The word cannot begin earlier.
        end: the index after the typed text. The word cannot end later.
    """
    while first > start and not text[first - 1].isspace():
        first -= 1
    while last < end and not text[last].isspace():
        last += 1
    return text[first:last].strip(string.punctuation)


def _input_box(processor: DWCProcessor, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the rectangle of an image that the network receives after cropping or padding.

    Args:
        processor: the checkpoint's processor.
        size: the image's (width, height) in pixels.

    Returns:
        The rectangle (left, top, right, bottom) in pixels of the image. It extends beyond the image
        where the preprocessing pads the image.
    """
    preprocessing = processor.image_processor
    width, height = size
    if not preprocessing.do_center_crop:
        return 0.0, 0.0, float(width), float(height)
    resized = {"width": width, "height": height}
    if preprocessing.do_resize:
        target = dict(preprocessing.size)
        short = target.get("shortest_edge")
        if short:
            resized = {
                "width": int(short * width / min(size)),
                "height": int(short * height / min(size)),
            }
        else:
            resized = {"width": target["width"], "height": target["height"]}
    crop = dict(preprocessing.crop_size)
    ends = {}
    for side, length in (("width", width), ("height", height)):
        first = (resized[side] - crop[side]) // 2  # negative where the crop pads
        ends[side] = [at * length / resized[side] for at in (first, first + crop[side])]
    return ends["width"][0], ends["height"][0], ends["width"][1], ends["height"][1]


def _interpolation(length: int, cells: int, start: float, end: float) -> Grid:
    """Return the matrix (length, cells) that interpolates linearly from cell values to pixels.

    The cells divide the pixel range [start, end) evenly. A pixel between the centers of two cells
    gets a weighted mean of the two cells' values. A pixel between the center of the first or last
    cell and the end of the range gets the value of that cell. Pixels outside the range get 0.

    Args:
        length: the number of pixels.
        cells: the number of cells.
        start: where the range begins, in pixels; may be negative.
        end: where the range ends, in pixels; may exceed `length`.
    """
    centers = np.arange(length) + 0.5
    at = (centers - start) / (end - start) * cells - 0.5
    inside = (centers >= start) & (centers < end)
    at = np.clip(at, 0, cells - 1)
    matrix = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells)[None, :]))
    return (matrix * inside[:, None]).astype(np.float32)


def _rows(grid: Grid) -> list[list[float]]:
    return [[round(float(value), _DIGITS) for value in row] for row in grid]
