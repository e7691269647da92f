"""Training in bfloat16 only where the processor is fast at it."""

import pytest
import torch

from dwc.modeling.efficientnet_lite import EfficientNetLite, EfficientNetLiteConfig
from dwc.training import feature_cache, loop
from dwc.training.loop import autocast_bfloat16, cpu_precision


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def is_fast(request, monkeypatch):
    """A processor that is fast, or slow, in bfloat16."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: request.param)
    loop.has_fast_bfloat16.cache_clear()
    yield request.param
    loop.has_fast_bfloat16.cache_clear()


def test_autocast_computes_in_bfloat16_only_where_it_is_fast(is_fast):
    layer, rows = torch.nn.Linear(4, 2), torch.ones(3, 4)
    with autocast_bfloat16():
        assert layer(rows).dtype == (torch.bfloat16 if is_fast else torch.float32)
    with autocast_bfloat16("cpu", enabled=False):
        assert layer(rows).dtype == torch.float32


def test_a_training_on_the_cpu_gets_the_precision_that_is_fast(is_fast, monkeypatch):
    assert cpu_precision("bf16") == ("bf16" if is_fast else "no")
    assert cpu_precision("no") == "no"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setattr(loop, "Accelerator", dict)
    options = loop.new_accelerator(mixed_precision="bf16")
    assert options == {"cpu": True, "mixed_precision": "bf16" if is_fast else "no"}


def test_cached_features_are_computed_in_the_precision_that_is_fast(is_fast):
    torch.manual_seed(0)
    backbone = EfficientNetLite(EfficientNetLiteConfig()).eval()
    fused = feature_cache._fuse_norms(backbone)
    dtype = torch.bfloat16 if is_fast else torch.float32
    assert {parameter.dtype for parameter in fused.parameters()} == {dtype}
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = backbone(images).last_hidden_state
        features = fused(images.to(dtype)).last_hidden_state.float()
    error = (features - expected).abs().max() / expected.abs().max()
    assert error < (0.1 if is_fast else 1e-4)
