"""Training on cached inputs of the last image layer."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPVisionConfig

from dwc.checkpoints import load
from dwc.checkpoints.save import save_checkpoint
from dwc.cli import main
from dwc.errors import TrainingError
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.configuration_dwc import ClipBackboneConfig, ModifiedResNetConfig
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.feature_cache import CachedTowers, last_image_layer, last_layer_inputs
from dwc.training.progressive.recipe import ProgressiveRecipe, start_from_checkpoint
from dwc.training.progressive.train_progressive import train_progressive
from tests.training.progressive.test_train_progressive import TINY

DIM, PX = 16, 32
KEEPING = replace(TINY, cached_views=2, pool=PoolSettings(items=40, styles=("gallery",)))


def _clip(vision: Any) -> ClipBackbone:
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        projection_dim=DIM,
        bos_token_id=18,
        eos_token_id=19,
    )
    config = ClipBackboneConfig(text_config=text, vision_config=vision, projection_dim=DIM)
    return ClipBackbone(config).eval()


VISIONS = {
    "convolutions": ModifiedResNetConfig(
        layers=(1, 1), width=8, image_size=PX, num_attention_heads=2, projection_dim=DIM
    ),
    "transformer": CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=PX,
        patch_size=16,
        projection_dim=DIM,
    ),
}


@pytest.fixture(params=VISIONS)
def clip(request: pytest.FixtureRequest) -> ClipBackbone:
    return _clip(VISIONS[request.param])


def _pixels() -> Tensor:
    return torch.randn(3, 3, PX, PX, generator=torch.Generator().manual_seed(1))


def test_cached_inputs_give_the_features_of_images(clip: ClipBackbone) -> None:
    kept = last_layer_inputs(clip, _pixels())
    towers = CachedTowers(clip)
    with torch.no_grad():
        torch.testing.assert_close(towers.image_features(kept), clip.image_features(_pixels()))
        ids = torch.tensor([[18, 3, 19]])
        assert torch.equal(towers.text_features(ids), clip.text_features(ids))


@pytest.mark.training
def test_the_clip_is_trained_by_its_last_layer_and_text_tower(clip: ClipBackbone) -> None:
    before = copy.deepcopy(clip.state_dict())
    kept, towers = last_layer_inputs(clip, _pixels()), CachedTowers(clip)
    optimiser = torch.optim.SGD(towers.parameters(), lr=1.0)
    texts = towers.text_features(torch.tensor([[18, 3, 19]]))
    (towers.image_features(kept).square().sum() + texts.square().sum()).backward()
    optimiser.step()
    changed = {name for name, value in clip.state_dict().items() if (value != before[name]).any()}
    layer = last_image_layer(clip)
    last = {name for name, module in clip.named_modules() if module is layer}
    of_pictures = {name for name in changed if not name.startswith("text_")}
    assert {name.rpartition(".")[0] for name in of_pictures} == last
    assert "text_projection.weight" in changed
    torch.testing.assert_close(towers.image_features(kept), clip.image_features(_pixels()))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint to start from, and the folder of its drawings."""
    place = tmp_path_factory.mktemp("begun")
    torch.set_num_threads(1)
    first = train_progressive(
        replace(KEEPING, cached_views=0, stages=("open_domain",)), place / "work"
    )
    save_checkpoint(first.model, first.processor, place / "out")
    return place / "out", place / "work"


@pytest.mark.training
def test_the_command_caches_images_and_freezes_the_image_tower(
    begun: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, drawings = begun
    monkeypatch.setattr(ProgressiveRecipe, "of", classmethod(lambda cls, seed, share: KEEPING))
    monkeypatch.setattr(ProgressiveRecipe, "with_cached_images", lambda recipe: recipe)
    asked = ["train", "progressive", "--keep-pictures", "--start", str(folder)]
    asked += ["--work", str(tmp_path / "work"), "--drawings", str(drawings)]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "work").glob("pool-*"))
    (kept,) = (tmp_path / "work").glob("tower-inputs-*.npy")

    before = start_from_checkpoint(folder).clip.state_dict()
    loaded = load.load(tmp_path / "out")
    after = loaded.model.clip.state_dict()
    # Weights are written as float16.
    changed = {n for n, v in after.items() if not torch.allclose(v, before[n].half().to(v.dtype))}
    pictures = {name for name in changed if name.startswith("vision_model.")}
    assert pictures <= {
        "vision_model.attention_pool.projection.weight",
        "vision_model.attention_pool.projection.bias",
    }
    assert pictures
    assert any(name.startswith("text_model.") for name in changed)
    assert loaded.model.config.combiner == "progressive"
    numbers = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert numbers["recipe"]["kept_views"] == 2
    assert "for 2 views of every picture" in (tmp_path / "out" / "README.md").read_text()

    drawn = kept.stat().st_mtime_ns
    assert main([*asked, "--out", str(tmp_path / "again")]) == 0
    assert kept.stat().st_mtime_ns == drawn
    assert load.fingerprint(tmp_path / "again") == loaded.fingerprint


def test_images_are_cached_only_with_a_pretrained_clip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TrainingError, match="give one to start from"):
        train_progressive(KEEPING, tmp_path / "work")
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(["train", "progressive", "--keep-pictures", *places]) == 2
    assert "--start" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_caching_images_shortens_the_stages() -> None:
    whole, kept = ProgressiveRecipe(), ProgressiveRecipe().with_cached_images(3)
    assert kept.cached_views == 3
    assert kept.fashion.total_steps * 8 == whole.fashion.total_steps
    assert kept.hybrid.total_steps * 2 == whole.hybrid.total_steps
    assert kept.pool == whole.pool
    assert ProgressiveRecipe.of(share=1e-4).with_cached_images().fashion.total_steps == 1
