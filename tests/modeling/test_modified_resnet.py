"""CLIP's image tower against a functional version written from the paper's description."""

import pytest
import torch
from small_models import scatter
from torch import Tensor
from torch.nn import functional

from dwc.modeling.configuration_dwc import ModifiedResNetConfig
from dwc.modeling.modified_resnet import ModifiedResNet

CONFIG = ModifiedResNetConfig(
    layers=[2, 1, 1], width=8, image_size=64, num_attention_heads=4, projection_dim=20
)


def tower_by_hand(weights: dict[str, Tensor], pixel_values: Tensor, layers: list[int]) -> Tensor:
    def layer(name: str, features: Tensor, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.convolution.weight"]
        features = functional.conv2d(features, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        norm = {key: weights[f"{name}.normalisation.{key}"] for key in NORM_KEYS}
        shape = (1, -1, 1, 1)
        centred = features - norm["running_mean"].view(shape)
        scaled = centred / (norm["running_var"].view(shape) + 1e-5).sqrt()
        return scaled * norm["weight"].view(shape) + norm["bias"].view(shape)

    features = layer("stem.0", pixel_values, stride=2).relu()
    features = layer("stem.2", layer("stem.1", features).relu()).relu()
    features = functional.avg_pool2d(features, 2)
    for stage, depth in enumerate(layers):
        for block in range(depth):
            name = f"stages.{stage}.{block}"
            shrink = 2 if stage > 0 and block == 0 else 1
            inner = layer(f"{name}.spatial", layer(f"{name}.reduce", features).relu()).relu()
            inner = layer(f"{name}.expand", functional.avg_pool2d(inner, shrink))
            if f"{name}.shortcut.convolution.weight" in weights:
                pooled = functional.avg_pool2d(features, shrink)
                features = layer(f"{name}.shortcut", pooled)
            features = (features + inner).relu()
    pool = {
        key.removeprefix("attention_pool."): tensor
        for key, tensor in weights.items()
        if key.startswith("attention_pool.")
    }
    tokens = features.flatten(2).permute(2, 0, 1)  # (R, N, C)
    tokens = torch.cat([tokens.mean(dim=0, keepdim=True), tokens])
    tokens = tokens + pool["position_embedding"][:, None]
    pooled, _ = functional.multi_head_attention_forward(
        query=tokens,
        key=tokens,
        value=tokens,
        embed_dim_to_check=tokens.shape[-1],
        num_heads=4,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool["query.bias"], pool["key.bias"], pool["value.bias"]]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool["projection.weight"],
        out_proj_bias=pool["projection.bias"],
        use_separate_proj_weight=True,
        q_proj_weight=pool["query.weight"],
        k_proj_weight=pool["key.weight"],
        v_proj_weight=pool["value.weight"],
        training=False,
    )
    return pooled[0]


NORM_KEYS = ("weight", "bias", "running_mean", "running_var")


def test_the_tower_equals_the_functional_version():
    tower = ModifiedResNet(CONFIG).eval()
    scatter(tower)
    pixel_values = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = tower_by_hand(tower.state_dict(), pixel_values, [2, 1, 1])
        features = tower(pixel_values)
    assert features.shape == (2, 20)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_pictures_of_another_size_are_refused_by_name():
    with pytest.raises(ValueError, match=r"\(2, 2\) cells.*\(4, 4\).*image_size"):
        ModifiedResNet(CONFIG)(torch.randn(1, 3, 32, 32))


def test_rn50_has_the_published_number_of_parameters():
    with torch.device("meta"):
        tower = ModifiedResNet(ModifiedResNetConfig())
    assert sum(parameter.numel() for parameter in tower.parameters()) == 38_316_896
