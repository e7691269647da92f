"""What transformers expects of every processor."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor
from tests.search.tiny import write_tiny_checkpoint

TEXTS = ["is blue", "is shorter and red"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def processor(checkpoint):
    return DWCProcessor.from_pretrained(checkpoint)


def pictures(count=2):
    generator = np.random.default_rng(0)
    return [
        Image.fromarray(generator.integers(0, 256, (40 + 8 * number, 50, 3), dtype=np.uint8))
        for number in range(count)
    ]


def assert_equal(actual, expected):
    assert list(actual) == list(expected)
    for name in expected:
        assert actual[name].dtype == expected[name].dtype
        assert torch.equal(actual[name], expected[name]), name


@pytest.mark.parametrize("load", [DWCProcessor.from_pretrained, AutoProcessor.from_pretrained])
def test_saved_and_loaded_it_is_the_same(processor, load, tmp_path):
    processor.save_pretrained(tmp_path / "first")
    loaded = load(tmp_path / "first")
    assert type(loaded) is DWCProcessor
    loaded.save_pretrained(tmp_path / "second")
    files = [file for file in (tmp_path / "first").rglob("*") if file.is_file()]
    assert len(files) >= 5
    for file in files:
        again = tmp_path / "second" / file.relative_to(tmp_path / "first")
        assert again.read_bytes() == file.read_bytes(), file.name
    assert loaded.clip_tokenizer.get_vocab() == processor.clip_tokenizer.get_vocab()
    assert loaded.word_tokenizer.get_vocab() == processor.word_tokenizer.get_vocab()
    assert json.loads(loaded.to_json_string()) == json.loads(processor.to_json_string())
    assert_equal(loaded(pictures(), TEXTS), processor(pictures(), TEXTS))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))])
def test_a_copy_gives_the_same_tensors(processor, copied):
    assert_equal(copied(processor)(pictures(), TEXTS), processor(pictures(), TEXTS))


def test_the_input_names_are_those_of_the_tensors_and_of_the_model(checkpoint, processor):
    inputs = processor(images=pictures(), text=TEXTS)
    assert list(inputs) == processor.model_input_names
    assert list(processor(images=pictures())) == ["pixel_values"]
    assert list(processor(text=TEXTS)) == processor.model_input_names[1:]
    assert processor.get_attributes() == ["image_processor", "clip_tokenizer", "word_tokenizer"]
    model = DWCModel.from_pretrained(checkpoint)
    assert model(**inputs).embedding.shape == (2, 28)


def test_a_row_of_a_batch_is_the_image_alone(processor):
    batch = processor(images=pictures(3))["pixel_values"]
    for row, picture in enumerate(pictures(3)):
        assert torch.equal(processor(images=picture)["pixel_values"][0], batch[row])
        assert torch.equal(processor(images=[picture])["pixel_values"][0], batch[row])


def test_an_array_is_read_like_the_image(processor):
    picture = pictures(1)[0]
    expected = processor(images=picture)["pixel_values"]
    array = np.asarray(picture)
    for images in (array, [array], array[None], torch.tensor(array).permute(2, 0, 1)):
        assert torch.equal(processor(images=images)["pixel_values"], expected)


@pytest.mark.parametrize("padding", [True, "longest", None])
def test_usual_options_change_nothing(processor, padding):
    actual = processor(pictures(), TEXTS, padding=padding, truncation=False, return_tensors="pt")
    assert_equal(actual, processor(pictures(), TEXTS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "max_length"}, "padding is 'max_length'"),
        ({"padding": False}, "padding is False"),
        ({"truncation": True}, "truncation is True.*read_typed"),
        ({"return_tensors": "np"}, "'pt', torch tensors; got 'np'"),
    ],
)
def test_an_option_that_would_change_tensors_is_refused(processor, options, message):
    with pytest.raises(ValueError, match=message):
        processor(text=TEXTS, **options)


@pytest.mark.parametrize("option", ["size", "max_length", "images_kwargs", "videos"])
def test_an_unknown_option_is_named(processor, option):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        processor(pictures(), TEXTS, **{option: 5})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"images": "coat.jpg"}, r"images holds 'coat\.jpg', which is no image"),
        ({"images": ["is blue"], "text": "is red"}, "PIL images first and texts second"),
        ({"text": 5}, "text holds a int, 5"),
        ({"text": ["is blue", None]}, "text holds a NoneType"),
        ({"text": [["is blue", "is red"]]}, "text holds a list.*flat list"),
    ],
)
def test_inputs_of_another_type_are_named(processor, inputs, message):
    with pytest.raises(TypeError, match=message):
        processor(**inputs)


def test_settings_may_be_given_when_it_is_loaded(checkpoint):
    for kind in (DWCProcessor, AutoProcessor):
        changed = kind.from_pretrained(checkpoint, size={"height": 48, "width": 48})
        assert changed(images=pictures())["pixel_values"].shape == (2, 3, 48, 48)


def test_what_other_processors_can_says_why_not_here(processor):
    with pytest.raises(ValueError, match=r"clip_tokenizer\.decode"):
        processor.decode([5])
    with pytest.raises(ValueError, match=r"word_tokenizer\.decode"):
        processor.batch_decode([[5]])
    with pytest.raises(ValueError, match="chat template"):
        processor.apply_chat_template([{"role": "user", "content": "is blue"}])
    ids = processor(text="is blue")["word_ids"][0]
    assert processor.word_tokenizer.decode(ids).split() == ["is", "blue"]


def test_moving_the_tensors_casts_the_pixels_alone(processor):
    inputs = processor(pictures(), TEXTS)
    kinds = {name: tensor.dtype for name, tensor in inputs.items()}
    moved = inputs.to("cpu", torch.float16)
    assert {name: tensor.dtype for name, tensor in moved.items()} == {
        **kinds, "pixel_values": torch.float16
    }  # fmt: skip
