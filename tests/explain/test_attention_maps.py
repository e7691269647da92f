"""The maps against the stream's own, and their place in the picture against the preprocessing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.checkpoints.load import Checkpoint
from dwc.explain.attention_maps import AttentionMaps, attention_maps
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.search.searcher import Searcher

GRID = np.random.default_rng(0).random((7, 5), dtype=np.float32)


@pytest.fixture(scope="module")
def searcher(loaded, store):
    return Searcher(loaded, store)


def region_view(box, size):
    return AttentionMaps([], GRID, GRID, box, size)


@pytest.mark.parametrize(
    ("text", "words", "unknown"),
    [("is (v-neck)!", ["is", "v-neck"], []), ("zork bluë", ["zork", "blue"], ["zork"])],
)
def test_maps_are_the_streams_own(searcher, loaded, text, words, unknown):
    asked = searcher.encode_query(reference_id="p03.png", text=text)
    told = attention_maps(loaded, asked)
    inputs = loaded.processor(images=asked.image, text=asked.encoding.model_text)
    with torch.inference_mode():
        maps = loaded.model.cnn_stream.region_maps(
            inputs["pixel_values"], inputs["word_ids"], inputs["word_mask"]
        )
    assert [word.word for word in told.words] == words
    assert [word.position for word in told.words] == [0, 1]
    assert [word.word for word in told.words if word.unknown] == unknown
    for row, word in enumerate(told.words, start=1):  # after the template's first
        looked, heard = maps.regions_by_word[0, row], maps.words_by_region[0, row]
        assert word.attention.max() == 1
        assert word.attention * word.focus == pytest.approx(looked.numpy(), abs=1e-6)
        assert word.region_share == pytest.approx(heard.numpy(), abs=1e-6)
    everything = told.template_share + sum(word.region_share for word in told.words)
    assert everything == pytest.approx(np.ones_like(everything), abs=1e-5)
    assert told.image_gate == pytest.approx(maps.image_gate[0].numpy(), abs=1e-6)
    over = told.upscaled(told.image_gate)
    assert over.shape == (asked.image.height, asked.image.width)
    plain = told.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_repeated_words_have_a_map_each(searcher, loaded):
    told = attention_maps(loaded, searcher.encode_query(reference_id="p03.png", text="red and red"))
    assert [word.word for word in told.words] == ["red", "and", "red"]
    assert not np.allclose(
        told.words[0].region_share, told.words[2].region_share, rtol=0, atol=1e-7
    )


def test_without_picture_or_words_there_is_nothing_to_show(searcher, loaded):
    assert attention_maps(loaded, searcher.encode_query(text="is red")) is None
    assert attention_maps(loaded, searcher.encode_query(reference_id="p03.png")) is None
    unread = searcher.encode_query(reference_id="p03.png", text="... é")  # no word that is known
    assert attention_maps(loaded, unread) is None


def test_a_map_is_laid_over_the_whole_picture_as_torch_would():
    laid = region_view((0.0, 0.0, 61.0, 83.0), (61, 83)).upscaled(GRID)
    expected = functional.interpolate(
        torch.from_numpy(GRID)[None, None], size=(83, 61), mode="bilinear", align_corners=False
    )
    assert laid == pytest.approx(expected[0, 0].numpy(), abs=1e-5)
    assert 0 <= laid.min() <= laid.max() <= 1


@pytest.mark.parametrize("size", [(100, 60), (31, 77)])
@pytest.mark.parametrize(
    "preprocessing",
    [
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
        {"size": {"shortest_edge": 24}, "crop_size": {"height": 32, "width": 32}},
        {"size": {"height": 40, "width": 48}, "crop_size": {"height": 32, "width": 32}},
        {"size": {"height": 32, "width": 32}, "do_center_crop": False},
    ],
)
def test_a_map_lies_where_the_network_sees(searcher, loaded, size, preprocessing):
    """A picture whose colour is its place, prepared: each pixel tells where it came from."""
    width, height = size
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    colours = np.stack([columns + 0.5, rows + 0.5, np.full_like(columns, 200.0)], axis=-1)
    image = Image.fromarray(colours.astype(np.uint8))
    pictures = CLIPImageProcessorPil(
        do_normalize=False, resample=Image.Resampling.BILINEAR, **preprocessing
    )
    processor = DWCProcessor(
        pictures, loaded.processor.clip_tokenizer, loaded.processor.word_tokenizer
    )
    other = Checkpoint(loaded.model, processor, loaded.fingerprint, loaded.name)
    asked = searcher.encode_query(image=image, text="is red")
    left, top, right, bottom = attention_maps(other, asked).box
    prepared = processor(images=image)["pixel_values"][0] * 255  # (3, 32, 32)
    # The colours of the middle row and column, against the places that the box gives them.
    shown = prepared[2] > 150  # padding is black
    at = (torch.arange(32) + 0.5) / 32
    xs, ys = left + at * (right - left), top + at * (bottom - top)
    seen_xs, seen_ys = prepared[0, 16], prepared[1, :, 16]
    # Away from the borders, where resizing mixes; two pixels for rounding, to whole ones.
    inner_x = shown[16] & (xs > 3) & (xs < width - 3)
    inner_y = shown[:, 16] & (ys > 3) & (ys < height - 3)
    assert inner_x.any()
    assert inner_y.any()
    assert (seen_xs - xs)[inner_x].abs().max() < 2
    assert (seen_ys - ys)[inner_y].abs().max() < 2


def test_what_is_cropped_off_is_zero():
    laid = region_view((20.0, 0.0, 80.0, 60.0), (100, 60)).upscaled(np.ones((7, 5), np.float32))
    assert (laid[:, 20:80] == 1).all()
    assert (laid[:, :20] == 0).all()
    assert (laid[:, 80:] == 0).all()
