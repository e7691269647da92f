"""What transformers expects of every config class."""

import copy
import json
import pickle

import pytest
import torch
from small_models import cnn_config, config
from transformers import AutoConfig

from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    CnnStreamConfig,
    DWCConfig,
    EfficientNetLiteConfig,
    ModifiedResNetConfig,
)
from dwc.modeling.modeling_dwc import DWCModel

CLASSES = [
    ClipBackboneConfig,
    CnnStreamConfig,
    DWCConfig,
    EfficientNetLiteConfig,
    ModifiedResNetConfig,
]


def as_json(value):
    return json.loads(value.to_json_string(use_diff=False))


@pytest.mark.parametrize("kind", CLASSES)
def test_a_config_needs_no_arguments(kind, tmp_path):
    default = kind()
    default.save_pretrained(tmp_path)
    assert as_json(kind.from_pretrained(tmp_path)) == as_json(default)
    assert as_json(kind.from_dict(default.to_dict())) == as_json(default)
    default.to_json_file(tmp_path / "alone.json", use_diff=False)
    assert as_json(kind.from_json_file(tmp_path / "alone.json")) == as_json(default)


@pytest.mark.slow
def test_the_default_is_the_papers_model_with_the_reserved_words_alone():
    assert as_json(DWCConfig()) == as_json(DWCConfig.paper(vocab_size=4))
    assert as_json(AutoConfig.for_model("dwc")) == as_json(DWCConfig())
    with torch.device("meta"):
        built = DWCModel(DWCConfig())
    assert built.cnn_stream.word_encoder.embedding.num_embeddings == 4
    assert built.clip.config.vision_config.model_type == "clip_modified_resnet"


@pytest.mark.parametrize("given", ["clip_config", "cnn_config"])
def test_the_stream_that_is_not_given_is_none(given, tmp_path):
    (absent,) = {"clip_config", "cnn_config"} - {given}
    one_stream = DWCConfig(**{given: {}})
    assert getattr(one_stream, absent) is None
    assert getattr(one_stream, given) is not None
    one_stream.save_pretrained(tmp_path)
    assert getattr(DWCConfig.from_pretrained(tmp_path), absent) is None


def test_two_configs_share_no_mutable_default():
    first, second = DWCConfig(), DWCConfig()
    first.caption_template["single"] = "<BOS> {0}"
    first.clip_config.projection_dim = 7
    assert second.caption_template["single"] == "{0}"
    assert second.clip_config.projection_dim == 1024


def test_options_of_every_config_are_kept(tmp_path):
    given = {
        "return_dict": False,
        "output_hidden_states": True,
        "dtype": "bfloat16",
        "architectures": ["DWCModel"],
        "id2label": {0: "a", 1: "b", 2: "c"},
    }
    original = config(**given)
    original.save_pretrained(tmp_path / "inner")
    for again in (original, DWCConfig.from_pretrained(tmp_path, subfolder="inner")):
        assert again.dtype == torch.bfloat16
        assert {name: getattr(again, name) for name in given if name != "dtype"} == {
            name: value for name, value in given.items() if name != "dtype"
        }
        assert again.num_labels == 3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))])
def test_a_copy_is_equal_and_separate(copied):
    original = config()
    again = copied(original)
    assert as_json(again) == as_json(original)
    again.cnn_config.vocab_size += 1
    assert as_json(again) != as_json(original)


def test_the_streams_configs_are_read_from_the_models(tmp_path):
    original = config()
    original.save_pretrained(tmp_path)
    for stream in (original.clip_config, original.cnn_config):
        assert as_json(type(stream).from_pretrained(tmp_path)) == as_json(stream)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_unknown_argument_is_named(kind):
    with pytest.raises(ValueError, match=rf"{kind.__name__} has unknown fields: widht"):
        kind(widht=3)


def test_an_unknown_field_of_a_file_is_named(tmp_path):
    original = config()
    original.note = "of a training"
    original.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="unknown fields: note"):
        DWCConfig.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="unknown fields: vocabsize"):
        config(cnn_config={**cnn_config(), "vocabsize": 5})


def test_a_later_format_is_named_before_its_fields():
    with pytest.raises(ValueError, match="format_version is 2"):
        DWCConfig.from_dict({**config().to_dict(), "format_version": 2, "new": 1})


def test_arguments_of_loading_change_fields_and_the_others_are_returned(tmp_path):
    config().save_pretrained(tmp_path)
    for kind in (DWCConfig, AutoConfig):
        changed, unused = kind.from_pretrained(
            tmp_path, dropout=0.25, extra=1, return_unused_kwargs=True
        )
        assert changed.dropout == 0.25
        assert unused == {"extra": 1}
