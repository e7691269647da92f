import json

import pytest
from small_models import clip_config, cnn_config, config
from transformers import CLIPConfig

from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    CnnStreamConfig,
    DWCConfig,
    ModifiedResNetConfig,
)

COLORS = {"colour": ["red", "blue"]}


@pytest.mark.parametrize("vision", ["vit", "resnet"])
@pytest.mark.parametrize("absent", [{}, {"cnn_config": None}, {"clip_config": None}])
def test_a_config_is_the_same_after_json(vision, absent, tmp_path):
    original = config(vision, caption_template={"single": "{0}", "pair": "{0}; {1}"}, **absent)
    original.save_pretrained(tmp_path)
    again = DWCConfig.from_pretrained(tmp_path)
    assert json.loads(again.to_json_string()) == json.loads(original.to_json_string())
    for name in ("clip_config", "cnn_config"):
        assert type(getattr(again, name)) is type(getattr(original, name))
    if again.clip_config is not None:
        assert type(again.clip_config.vision_config) is type(original.clip_config.vision_config)


def test_the_papers_sizes():
    paper = DWCConfig.paper(vocab_size=5000)
    assert (paper.clip_config.projection_dim, paper.cnn_config.feature_dim) == (1024, 2048)
    assert (paper.clip_embedding_dim, paper.cnn_embedding_dim) == (1024, 1024)
    assert paper.cnn_config.vocab_size == 5000
    assert paper.clip_config.vision_config.feature_dim == 2048
    assert paper.clip_config.vision_config.grid_size == 7
    vit = ClipBackboneConfig.vit_b32()
    assert (vit.projection_dim, vit.vision_config.patch_size) == (512, 32)
    assert vit.text_config.eos_token_id == 49407


def test_openais_early_conversions_get_the_end_token_they_meant():
    early = CLIPConfig(text_config={"eos_token_id": 2}, vision_config={})
    assert ClipBackboneConfig.from_clip(early).text_config.eos_token_id == 49407
    assert ClipBackboneConfig(**clip_config()).text_config.eos_token_id == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"combiner": "tirgg"}, r"'tirgg'; the combiners are .*clip4cir.*dwc.*text_only"),
        ({"clip_config": None, "cnn_config": None}, "at least one stream"),
        ({"clip_embedding_dim": 0}, r"DWCConfig\.clip_embedding_dim is 0; it must be above 0"),
        ({"cnn_embedding_dim": -3}, r"cnn_embedding_dim is -3"),
        ({"dropout": 1.0}, r"dropout is 1\.0; it must be at least 0 and below 1"),
        ({"combiner": "clip4cir", "clip_embedding_dim": 24}, "length 20; clip_embedding_dim is 24"),
        ({"familiarity": True, "clip_config": None}, "clip_config is None"),
        ({"familiarity": True, "ood_groups": 2}, "ood_groups is 2, and CLIP's image tower is no"),
        ({"caption_template": {"single": "{0}"}}, r"\['pair'\] is None"),
        ({"caption_template": {"single": "{0}", "pair": "{0}"}}, r"\{0\} and \{1\}"),
        ({"caption_template": {"single": "{0} {x}", "pair": "{0} {1}"}}, r"\['single'\]"),
        (
            {"image_attributes": {"colour": ["red"]}},
            r"\['colour'\] is \['red'\]; give",
        ),
        ({"image_attributes": {"colour": ["red", "red"]}}, "at least two different values"),
        ({"image_attributes": COLORS, "clip_config": None}, "leave image_attributes empty"),
        (
            {"image_attributes": COLORS, "combiner": "clip4cir", "clip_embedding_dim": 20},
            "leave image_attributes empty",
        ),
        (
            {"clip_config": {**clip_config(), "text_config": {"layer_norm_eps": 0.5}}},
            r"text_config\.layer_norm_eps is 0\.5; it must be above 0 and at most 0\.01",
        ),
        (
            {"clip_config": {**clip_config(), "vision_config": {"layer_norm_eps": 0.0}}},
            r"vision_config\.layer_norm_eps is 0; it must be above 0",
        ),
        ({"format_version": 2}, "reads 1. Update dwc"),
        ({"cnn_config": {**cnn_config(), "vocab_size": 0}}, "vocab_size is 0"),
        ({"cnn_config": {**cnn_config(), "hidden_dim": 12}}, "multiple of 8"),
        ({"cnn_config": {**cnn_config(), "word_temperature": 0.0}}, "word_temperature is 0.0"),
        ({"clip_config": {**clip_config(), "vision_config": {"model_type": "bit"}}}, "'bit'"),
    ],
)
def test_what_does_not_hold_together_is_refused_with_its_value(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_an_end_token_outside_the_vocabulary_is_refused():
    settings = clip_config()
    settings["text_config"] = {**settings["text_config"], "eos_token_id": 49407}
    with pytest.raises(ValueError, match=r"49407; with a vocabulary of 40.*0 to 39"):
        ClipBackboneConfig(**settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "multiple of 32"),
        ({"width": 7}, "must be even"),
        ({"num_attention_heads": 3}, "3 attention heads do not divide"),
        ({"layers": []}, "at least one block"),
    ],
)
def test_an_image_tower_that_cannot_be_built_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ModifiedResNetConfig(**changes)


def test_towers_of_two_spaces_are_refused():
    settings = clip_config()
    settings["text_config"] = {**settings["text_config"], "projection_dim": 21}
    with pytest.raises(ValueError, match=r"text_config\.projection_dim is 21.*20"):
        ClipBackboneConfig(**settings)


def test_a_wrong_type_is_refused():
    with pytest.raises(Exception, match="vocab_size"):
        CnnStreamConfig(vocab_size="many")
