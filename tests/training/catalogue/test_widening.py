"""A widened model gives the embeddings of the one that it came from, before it is trained."""

import pytest
import torch

from dwc.modeling.configuration_dwc import DWCConfig, EfficientNetLiteConfig
from dwc.modeling.efficientnet_lite import MEAN, STD, EfficientNetLite, reduced
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import build_clip_tokenizer
from dwc.training.catalogue.recipe import train_clip_tokenizer
from dwc.training.catalogue.widening import (
    extend_merges,
    old_channel_indices,
    widen,
    widened_config,
)
from tests.training.tiny import TEXTS, tiny_model, tiny_processor


def package_names(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our names of EfficientNet-Lite's weights -> those of its package, with a classifier."""
    layers = {
        "expand.convolution": "_expand_conv",
        "expand.normalization": "_bn0",
        "depthwise.convolution": "_depthwise_conv",
        "depthwise.normalization": "_bn1",
        "project.convolution": "_project_conv",
        "project.normalization": "_bn2",
        "stem.convolution": "_conv_stem",
        "stem.normalization": "_bn0",
        "head.convolution": "_conv_head",
        "head.normalization": "_bn1",
    }
    named = {"_fc.weight": torch.zeros(2, 2), "_fc.bias": torch.zeros(2)}
    for name, tensor in weights.items():
        *block, part, kind, parameter = name.split(".")
        prefix = f"_blocks.{block[1]}." if block else ""
        named[f"{prefix}{layers[f'{part}.{kind}']}.{parameter}"] = tensor
    return named


ATTRIBUTES = {"colour": ("red", "blue"), "category": ("dress", "skirt", "hat")}


@pytest.fixture(scope="module")
def widened() -> tuple[DWCModel, DWCModel, list[int]]:
    torch.manual_seed(0)
    processor = tiny_processor()
    old = tiny_model(processor).eval()
    tokens = len(processor.clip_tokenizer)
    rows = [*range(tokens - 2), tokens + 2, tokens + 3]  # the marks stay last
    config = widened_config(old.config, 64, 8, 8, tokens + 4, 50, tokens + 3, ATTRIBUTES)
    lite = EfficientNetLite(EfficientNetLiteConfig())
    return old, widen(old, config, package_names(lite.state_dict()), rows), rows


@pytest.mark.slow
@torch.no_grad()
def test_pictures_and_words_give_what_they_gave(widened) -> None:
    old, new, rows = widened
    pixels = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    coarse = reduced((pixels - MEAN) / STD, old.config.clip_config.vision_config.image_size)
    processor = tiny_processor()
    texts = dict(processor(text=["top red", "bottom blue", "top green", "bottom white"]))
    ids = torch.tensor(rows)[texts["clip_input_ids"]]
    before = old.compose(pixel_values=coarse, **texts)
    after = new.compose(pixel_values=(pixels - MEAN) / STD, **{**texts, "clip_input_ids": ids})
    for name, stream in before.streams.items():
        found = after.streams[name]
        torch.testing.assert_close(found.embedding, stream.embedding, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.image_weight, stream.image_weight, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        new.embed_images((pixels - MEAN) / STD), old.embed_images(coarse), rtol=1e-3, atol=1e-4
    )


def test_new_parts_learn_from_the_first_step(widened) -> None:
    _, new, _ = widened
    pixels = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    new.cnn_stream.embed(pixels, torch.rand(4, 1280, 2, 2))[:, 0].sum().backward()
    gradient = new.cnn_stream.project_image.weight.grad
    assert bool((gradient.abs().amax(dim=0) > 0).float().mean() > 0.5)
    new.zero_grad()


def test_the_config_keeps_what_is_not_widened(widened) -> None:
    old, new, _ = widened
    assert isinstance(new.config, DWCConfig)
    assert new.config.cnn_config.hidden_dim == old.config.cnn_config.hidden_dim
    assert new.config.clip_config.projection_dim == old.config.clip_config.projection_dim + 8
    assert list(new.config.image_attributes) == ["category", "colour"]
    assert new.clip_stream.attributes.sizes == [3, 2]


def test_channels_keep_their_branch() -> None:
    indices = old_channel_indices(16, 24).tolist()
    assert indices == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 15, 16, 17, 18, 21, 22]


def test_merges_are_extended_and_old_texts_read_as_before() -> None:
    tokenizer = train_clip_tokenizer(TEXTS, 560)
    merges = extend_merges(tokenizer, ["dungarees dungarees", "a corduroy skirt"] * 3, 40)
    larger = build_clip_tokenizer(merges)
    before = tokenizer.backend_tokenizer
    after = larger.backend_tokenizer
    for text in TEXTS:
        assert after.encode(text).tokens == before.encode(text).tokens
    assert len(after.encode("dungarees").tokens) == 3
    assert len(larger) > len(tokenizer)
