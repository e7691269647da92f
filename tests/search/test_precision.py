"""In which precision gallery images are embedded."""

import numpy as np
import pytest
import torch
from PIL import Image

from dwc.checkpoints.load import load
from dwc.errors import QueryError
from dwc.modeling.configuration_dwc import ClipBackboneConfig, CnnStreamConfig, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.search import image_embedding
from dwc.search.image_embedding import image_embedder, prefers_bfloat16
from tests.search.tiny import write_tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    monkeypatch.delenv("DWC_PRECISION", raising=False)


def with_instructions(monkeypatch, has_them):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_them}, raising=False
    )


@pytest.mark.slow
def test_large_networks_use_bfloat16_where_the_processor_multiplies_it(monkeypatch, checkpoint):
    with torch.device("meta"):
        config = DWCConfig(clip_config=ClipBackboneConfig.vit_b32(), cnn_config=CnnStreamConfig())
        large = DWCModel(config)
    large.parameters = lambda: iter([torch.zeros(1)])  # those of the networks stay on "meta"
    with_instructions(monkeypatch, True)
    assert prefers_bfloat16(large)
    assert not prefers_bfloat16(checkpoint.model)
    with_instructions(monkeypatch, False)
    assert not prefers_bfloat16(large)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not prefers_bfloat16(large)


def test_the_environment_chooses_the_precision(monkeypatch, checkpoint):
    monkeypatch.setenv("DWC_PRECISION", "bfloat16")
    assert prefers_bfloat16(checkpoint.model)
    monkeypatch.setattr(image_embedding, "_LEAST_PARAMETERS", 1)
    with_instructions(monkeypatch, True)
    monkeypatch.setenv("DWC_PRECISION", "float32")
    assert not prefers_bfloat16(checkpoint.model)
    monkeypatch.setenv("DWC_PRECISION", "fp16")
    with pytest.raises(QueryError, match="set it to float32 or bfloat16"):
        prefers_bfloat16(checkpoint.model)


def test_vectors_in_bfloat16_are_almost_those_in_float32(monkeypatch, checkpoint):
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (40, 30, 3), np.uint8)) for _ in range(9)]
    exact = image_embedder(checkpoint)(images)
    monkeypatch.setenv("DWC_PRECISION", "bfloat16")
    fast = image_embedder(checkpoint)(images)
    assert fast.dtype == np.float32
    assert not np.array_equal(fast, exact)
    np.testing.assert_allclose(fast, exact, atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(fast[:, :12], axis=1), 1, atol=1e-5)
