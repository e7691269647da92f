"""Every CLIP that the authors' code offers: sizes from its tensors, features by the formulas."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

from dwc import DWCModel, DWCProcessor
from dwc.checkpoints.validate import prepared_image_size
from dwc.convert import convert
from dwc.convert.key_mapping import require_fit
from dwc.convert.openai_clip import backbone_config, backbone_weights, released_name
from dwc.convert.sources import read_clip
from dwc.errors import CheckpointError
from dwc.modeling.clip_stream import ClipBackbone
from tests.convert import openai_by_formula
from tests.convert.state_dicts import (
    MAX_TOKENS,
    RELEASED,
    SHAPES,
    TOKENS,
    fill,
    global_shapes,
    hollow,
    modified_resnet,
    released_shapes,
    text_tower,
    tiny_clip_shapes,
    vit,
)
from tests.golden.weights_by_rule import fill as fill_by_rule

SIZES = {  # image size, layers, width, heads of the image tower; heads of the text tower
    "RN50": (224, [3, 4, 6, 3], 64, 32, 8),
    "RN101": (224, [3, 4, 23, 3], 64, 32, 8),
    "RN50x4": (288, [4, 6, 10, 6], 80, 40, 10),
    "RN50x16": (384, [6, 8, 18, 8], 96, 48, 12),
    "ViT-B/32": (224, 12, 768, 12, 8),
    "ViT-B/16": (224, 12, 768, 12, 8),
}


@pytest.mark.parametrize(("name", "golden"), [("RN50", "rn50"), ("ViT-B/32", "vitb32")])
def test_the_shapes_written_out_here_are_the_released_ones(name, golden):
    assert released_shapes(name) == SHAPES[golden]["clip"]


@pytest.mark.parametrize("name", RELEASED)
def test_every_backbones_sizes_are_read_from_its_tensors(name):
    state = hollow(released_shapes(name))
    config = backbone_config(state, name)
    with torch.device("meta"):
        expected = ClipBackbone(config).state_dict()
    require_fit(backbone_weights(state, name), expected, name)
    image_size, layers, width, heads, text_heads = SIZES[name]
    vision, text = config.vision_config, config.text_config
    assert vision.image_size == image_size
    assert vision.num_attention_heads == heads
    if name.startswith("RN"):
        assert (vision.layers, vision.width) == (layers, width)
    else:
        assert (vision.num_hidden_layers, vision.hidden_size) == (layers, width)
    assert (text.num_attention_heads, text.num_hidden_layers) == (text_heads, 12)
    assert (text.eos_token_id, text.max_position_embeddings) == (49407, 77)
    assert config.projection_dim == RELEASED[name][1]

    assert released_name(config) == name


# Each backbone's own depth, picture and feature size, at the least width: one head of attention.
STRUCTURES = {
    "RN50": (modified_resnet([3, 4, 6, 3], 2, 224, 1024), 1024, 224),
    "RN101": (modified_resnet([3, 4, 23, 3], 2, 224, 512), 512, 224),
    "RN50x4": (modified_resnet([4, 6, 10, 6], 2, 288, 640), 640, 288),
    "RN50x16": (modified_resnet([6, 8, 18, 8], 2, 384, 768), 768, 384),
    "ViT-B/32": (vit(12, 64, 32, 224, 512), 512, 224),
    "ViT-B/16": (vit(12, 64, 16, 224, 512), 512, 224),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suffix"), [*zip(STRUCTURES, [".pt", ".safetensors"] * 3, strict=True)]
)
def test_every_backbone_is_converted_and_computes_as_openais(name, suffix, tmp_path):
    image_tower, features, size_px = STRUCTURES[name]
    shapes = {**text_tower(features, 64, 12, TOKENS, MAX_TOKENS), **image_tower}
    state = {part: fill_by_rule(3, "clip", part, shape) for part, shape in shapes.items()}
    clip = tmp_path / f"clip{suffix}"
    save_file(state, clip) if suffix == ".safetensors" else torch.save(state, clip)
    torch.save({"model_state_dict": fill(global_shapes(features))}, tmp_path / "global.pth")

    out = convert(tmp_path / "out", global_weights=tmp_path / "global.pth", clip=clip)
    model = DWCModel.from_pretrained(out)
    assert prepared_image_size(DWCProcessor.from_pretrained(out)) == (size_px, size_px)
    pixels = torch.randn(1, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[TOKENS - 2, 5, 17, 300, TOKENS - 1]])
    with torch.inference_mode():
        actual, read = model.clip.image_features(pixels)[0], model.clip.text_features(ids)[0]
        query = model.compose(pixel_values=pixels, clip_input_ids=ids)
    for ours, theirs in (
        (actual, openai_by_formula.image_features(state, pixels[0])),
        (read, openai_by_formula.text_features(state, ids[0], TOKENS - 1)),
    ):
        assert ours.shape == (features,)
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-4
    assert query.clip.embedding.norm() == pytest.approx(1, abs=1e-5)


def write_open_clip(folder, state, **model):
    folder.mkdir()
    save_file(state, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    return folder


@pytest.mark.parametrize("location", ["folder", "file"])
@pytest.mark.parametrize(
    ("settings", "activation"), [({"quick_gelu": True}, "quick_gelu"), ({}, "gelu")]
)
def test_open_clips_config_states_the_activation(tmp_path, location, settings, activation):
    """Its other trainings use another than OpenAI's, which no tensor shows."""
    state = fill(tiny_clip_shapes("vit"))
    folder = write_open_clip(tmp_path / "clip", state, embed_dim=24, **settings)
    source = read_clip(folder if location == "folder" else folder / "open_clip_model.safetensors")
    assert source.config.text_config.hidden_act == activation
    assert source.config.vision_config.hidden_act == activation
    assert torch.equal(source.weights["visual_projection.weight"], state["visual.proj"].T)


def test_a_config_that_is_not_open_clips_is_named(tmp_path):
    folder = write_open_clip(tmp_path / "clip", fill(tiny_clip_shapes("vit")))
    (folder / "open_clip_config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"open_clip_config\.json is not an open_clip config"):
        read_clip(folder)


def test_what_open_clips_training_writes_is_unwrapped(tmp_path):
    state = fill(tiny_clip_shapes("resnet"))
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "epoch_3.pt")
    source = read_clip(tmp_path / "epoch_3.pt")
    assert source.original.state.keys() == state.keys()


@pytest.mark.parametrize("shape", [[7], [7, 24, 1], [24, 64]])
def test_a_clip_whose_shapes_make_none_is_refused(shape, tmp_path):
    state = {**fill(tiny_clip_shapes("vit")), "visual.positional_embedding": torch.zeros(shape)}
    torch.save(state, tmp_path / "clip.pt")
    torch.save({"model_state_dict": fill(global_shapes())}, tmp_path / "global.pth")
    with pytest.raises(CheckpointError, match=r"position_embedding|shapes do not make a CLIP"):
        convert(tmp_path / "out", global_weights=tmp_path / "global.pth", clip=tmp_path / "clip.pt")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_hub_name_is_read_from_the_cache(tmp_path, monkeypatch):
    """As the Hub's client lays its cache out, with the network off."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "hub" / "models--someone--clip"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 2}  # fmt: skip
    text = {**tower, "vocab_size": 530, "eos_token_id": 529}
    vision = {**tower, "image_size": 48, "patch_size": 16}
    theirs = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    theirs.save_pretrained(folder / "snapshots" / commit)
    for location in ("huggingface_hub.constants", "transformers.utils.hub.constants"):
        monkeypatch.setattr(f"{location}.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("someone/clip", "someone/clip@main", f"someone/clip@{commit}"):
        source = read_clip(name)
        assert source.original.source == name
        weight = source.weights["visual_projection.weight"]
        assert torch.equal(weight, theirs.visual_projection.weight)
    with pytest.raises(CheckpointError, match="someone/clip@other"):
        read_clip("someone/clip@other")
