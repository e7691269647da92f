"""Files of the authors and of a CLIP, small, and no network."""

import json

import pytest
import torch

from tests.convert.state_dicts import CAPTIONS, fill, global_shapes, local_state, tiny_clip_shapes


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def files(tmp_path):
    """The arguments of a conversion of the CLIP stream alone, and their files."""
    torch.save({"model_state_dict": fill(global_shapes())}, tmp_path / "global.pth")
    torch.save(fill(tiny_clip_shapes("vit")), tmp_path / "clip.pt")
    return {"global_weights": tmp_path / "global.pth", "clip": tmp_path / "clip.pt"}


@pytest.fixture
def local_files(tmp_path):
    torch.save({"model_state_dict": local_state()}, tmp_path / "local.pth")
    (tmp_path / "captions.json").write_text(json.dumps(CAPTIONS))
    return {"local_weights": tmp_path / "local.pth", "captions": tmp_path / "captions.json"}
