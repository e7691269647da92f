"""The processor against the rules written out naively, and what it refuses."""

import json
import pickle
import shutil
import string

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.convert.to_checkpoint import authors_image_processor
from dwc.errors import CheckpointError, QueryError
from dwc.modeling.processing_dwc import DWCImageProcessor, DWCProcessor, build_word_tokenizer
from dwc.training.catalogue.recipe import train_clip_tokenizer

CAPTIONS = ["is blue with a v-neck", "is shorter, and red!", "has no sleeves", "Is more FORMAL"]
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711])


def naive_words(text):
    ascii_only = "".join(character for character in text if ord(character) < 128)
    bare = "".join(character for character in ascii_only if character not in string.punctuation)
    return bare.lower().split()


def picture(seed=0, size=(48, 80), mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.fixture(scope="module")
def processor():
    return DWCProcessor(
        CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False),
        train_clip_tokenizer(CAPTIONS, 560, max_tokens=24),
        build_word_tokenizer(CAPTIONS),
    )


def test_word_ids_follow_first_appearance():
    vocabulary = build_word_tokenizer(CAPTIONS).get_vocab()
    words = ["<UNK>", "<AND>", "<BOS>", "<EOS>"]
    for caption in CAPTIONS:
        words += [word for word in naive_words(caption) if word not in words]
    assert vocabulary == {word: i for i, word in enumerate(words)}


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.text() | st.text(st.characters(max_codepoint=127)) | st.text(alphabet="a-<UNK> bisé\x1c"))
def test_words_are_read_as_the_rule_says(text):
    tokenizer = build_word_tokenizer(["is a bis unk", "b"])
    processor = DWCProcessor(CLIPImageProcessorPil(), None, tokenizer)
    table = tokenizer.get_vocab()
    inputs = processor(text=text)
    read = inputs["word_ids"][0][inputs["word_mask"][0]].tolist()
    assert read == [table.get(word, 0) for word in naive_words(text)]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_vocabulary_from_captions_knows_every_word_of_theirs(captions):
    processor = DWCProcessor(CLIPImageProcessorPil(), None, build_word_tokenizer(captions))
    inputs = processor(text=captions)
    assert bool((inputs["word_ids"][inputs["word_mask"]] >= 4).all())


def test_a_batch_reads_each_text_as_alone(processor):
    texts = ["is blue", "", "has no sleeves and is MORE formal", "is red"]
    batch = processor(text=texts)
    for i, text in enumerate(texts):
        alone = processor(text=text)
        for ids, mask in (("word_ids", "word_mask"), ("clip_input_ids", "clip_attention_mask")):
            stored = batch[mask][i].bool()
            assert batch[ids][i][stored].tolist() == alone[ids][0][alone[mask][0].bool()].tolist()
            assert stored.tolist() == sorted(stored.tolist(), reverse=True)  # padding comes last
    assert batch["word_mask"].dtype == torch.bool
    assert batch["word_mask"][1].tolist() == [False] * batch["word_mask"].shape[1]


def test_a_text_without_words_is_one_masked_row(processor):
    inputs = processor(text="!?")
    assert inputs["word_ids"].tolist() == [[0]]
    assert inputs["word_mask"].tolist() == [[False]]
    assert inputs["clip_attention_mask"].sum() > 2  # CLIP does read punctuation


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK"])
def test_squashed_pictures_are_what_pillow_and_clip_say(processor, mode):
    image = picture(mode=mode)
    squashed = image.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
    expected = ((np.asarray(squashed) / 255 - CLIP_MEAN) / CLIP_STD).transpose(2, 0, 1)
    pixels = processor(images=image)["pixel_values"]
    assert pixels.dtype == torch.float32
    assert pixels.shape == (1, 3, 64, 64)
    np.testing.assert_allclose(pixels[0].numpy(), expected, atol=2e-6)


def test_the_authors_preprocessing_is_a_matter_of_configuration():
    image = picture(size=(300, 450))
    resized = image.resize((336, 224), Image.Resampling.BICUBIC).crop((56, 0, 280, 224))
    expected = ((np.asarray(resized) / 255 - CLIP_MEAN) / CLIP_STD).transpose(2, 0, 1)
    pixels = DWCProcessor(CLIPImageProcessorPil())(images=[image])["pixel_values"]
    np.testing.assert_allclose(pixels[0].numpy(), expected, atol=2e-6)


def test_only_what_was_given_comes_back(processor):
    texts = {"clip_input_ids", "clip_attention_mask", "word_ids", "word_mask"}
    assert set(processor(images=picture())) == {"pixel_values"}
    assert set(processor(text="is red")) == texts
    both = processor(
        images=[picture(), picture(1)], text=["is red", "is blue"], return_tensors="pt"
    )
    assert set(both) == texts | {"pixel_values"}
    assert set(both) == set(processor.model_input_names)
    assert {len(tensor) for tensor in both.values()} == {2}


def test_a_text_too_long_for_clip_is_refused_with_the_numbers(processor):
    with pytest.raises(QueryError, match=r"has 33 CLIP tokens; this model reads at most 24"):
        processor(text=["is red", "a " * 31])
    assert processor(text="a " * 22)["clip_input_ids"].shape == (1, 24)


@pytest.mark.parametrize("nothing", [{}, {"text": []}, {"images": []}])
def test_nothing_to_read_is_refused(processor, nothing):
    with pytest.raises(QueryError):
        processor(**nothing)


def test_unknown_words_come_as_typed_once_in_order(processor):
    text = "is Crimson, with a v-neck -- stilettos! и Crimson \ud800 caf\u00e9 &"
    assert processor.unknown_words(text) == ["Crimson", "stilettos", "и", "caf\u00e9"]
    assert processor.unknown_words("IS shorter, and red!") == []


def test_saved_and_loaded_it_reads_the_same(processor, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    processor.save_pretrained(tmp_path)
    loaded = DWCProcessor.from_pretrained(tmp_path)
    texts = ["is blue, \u00e9\U0001f600", "has no sleeves"]
    for copy in (loaded, pickle.loads(pickle.dumps(loaded))):
        expected, got = (p(images=[picture()], text=texts) for p in (processor, copy))
        assert set(expected) == set(got)
        assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert loaded.max_clip_tokens == 24


@pytest.mark.parametrize(
    "missing", [{"clip_tokenizer"}, {"word_tokenizer"}, {"clip_tokenizer", "word_tokenizer"}]
)
def test_a_stream_left_out_has_no_tokenizer(processor, tmp_path, missing):
    parts = {name: getattr(processor, name) for name in ("clip_tokenizer", "word_tokenizer")}
    DWCProcessor(
        processor.image_processor,
        **{name: part for name, part in parts.items() if name not in missing},
    ).save_pretrained(tmp_path)
    loaded = DWCProcessor.from_pretrained(tmp_path)
    for name in parts:
        assert (getattr(loaded, name) is None) == (name in missing)
    assert set(loaded(images=[picture()], text=["is red"])) == set(loaded.model_input_names)


def test_a_folder_without_a_processor_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"processor_config\.json"):
        DWCProcessor.from_pretrained(tmp_path)


def test_a_tokenizer_that_is_missing_is_not_made_up(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "word_tokenizer")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        DWCProcessor.from_pretrained(tmp_path)


def test_merges_of_earlier_versions_are_read(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    file = tmp_path / "clip_tokenizer" / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    file.write_text(json.dumps(content))
    read = DWCProcessor.from_pretrained(tmp_path)(text="is a long blue dress")
    expected = processor(text="is a long blue dress")
    assert torch.equal(read["clip_input_ids"], expected["clip_input_ids"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content.pop("model"), "does not hold the vocabulary and merges"),
        (lambda content: content["model"].pop("merges"), "does not hold the vocabulary"),
        (
            lambda content: content["added_tokens"].append({"content": "<new>", "id": 9_999}),
            r"adds tokens that its vocabulary lacks: \['<new>'\]",
        ),
    ],
)
def test_a_clip_tokenizer_that_is_none_is_refused(processor, tmp_path, damage, message):
    processor.save_pretrained(tmp_path)
    file = tmp_path / "clip_tokenizer" / "tokenizer.json"
    content = json.loads(file.read_text())
    damage(content)
    file.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        DWCProcessor.from_pretrained(tmp_path)


def test_another_projects_processor_is_refused(tmp_path):
    (tmp_path / "processor_config.json").write_text(
        json.dumps({"processor_class": "CLIPProcessor"})
    )
    with pytest.raises(CheckpointError, match="describes another"):
        DWCProcessor.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "table",
    [{}, {"is": 0, "<UNK>": 1}, {"<UNK>": 0, "is": 2}, {"<UNK>": 0, "is": 1, "red": 1}],
)
def test_a_broken_word_table_is_refused(table):
    with pytest.raises(CheckpointError, match="word table"):
        build_word_tokenizer(table)


@pytest.mark.parametrize(
    ("height", "first_row"), [(339, 58), (337, 56), (338, 57), (340, 58), (341, 58), (343, 60)]
)
def test_converted_checkpoints_crop_as_torchvision(height, first_row):
    """Halves are rounded to the even row; transformers' processor floors them."""
    assert first_row == round((height - 224) / 2.0)
    rows = np.repeat(np.arange(height, dtype=np.uint16)[:, None] % 256, 224, axis=1)
    image = Image.fromarray(rows.astype(np.uint8)).convert("RGB")
    processor = DWCProcessor(authors_image_processor(224))
    pixels = processor(images=image)["pixel_values"][0, 0]  # (224, 224)
    levels = (pixels * CLIP_STD[0] + CLIP_MEAN[0]) * 255
    assert [round(float(levels[row, 0])) for row in (0, 100)] == [
        first_row % 256,
        (first_row + 100) % 256,
    ]


@pytest.mark.slow
def test_rounding_and_cleaning_travel_with_the_checkpoint(processor, tmp_path):
    converted = DWCProcessor(
        authors_image_processor(224), processor.clip_tokenizer, clip_text_cleaning="openai"
    )
    converted.save_pretrained(tmp_path)
    loaded = DWCProcessor.from_pretrained(tmp_path)
    assert loaded.image_processor.crop_rounding == "nearest"
    assert loaded.clip_text_cleaning == "openai"
    assert loaded.to_dict() == converted.to_dict()
    texts = ["black &amp; white", "women’s"]
    expected = processor(text=["black & white", "women's"])["clip_input_ids"]
    assert torch.equal(loaded(text=texts)["clip_input_ids"], expected)


def test_rephrasing_travels_with_the_checkpoint(processor, tmp_path):
    template = {"single": "{0}", "pair": "{0} and {1}"}
    assert processor.read_typed("never red", template).text == "never red"
    rephrasing = DWCProcessor(
        authors_image_processor(224), processor.clip_tokenizer, rephrase_exclusions=True
    )
    rephrasing.save_pretrained(tmp_path)
    loaded = DWCProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == rephrasing.to_dict()
    read = loaded.read_typed("a dress, never red", template)
    assert read.text == "a dress but not red"
    assert read.notes == ("Read \u201cnever red\u201d as \u201cbut not red\u201d.",)
    assert torch.equal(
        loaded(text="never red")["clip_input_ids"], processor(text="never red")["clip_input_ids"]
    )
    with pytest.raises(ValueError, match="it is true or false"):
        DWCProcessor(authors_image_processor(224), rephrase_exclusions="yes")


def test_other_checkpoints_read_as_before(processor, tmp_path):
    """No new field, so that stores and fingerprints of earlier checkpoints stay valid."""
    processor.save_pretrained(tmp_path)
    loaded = DWCProcessor.from_pretrained(tmp_path)
    config = json.loads((tmp_path / "processor_config.json").read_text())
    assert set(config) == {"image_processor", "processor_class", "tokenizers"}
    assert "crop_rounding" not in config["image_processor"]
    plain = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    assert loaded.image_processor.to_json_string() == plain.to_json_string()


@pytest.mark.parametrize(
    "options",
    [
        {"size": {"height": 48, "width": 40}, "do_center_crop": False},
        {"size": {"height": 48, "width": 40}, "do_center_crop": False, "resample": 2,
         "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "rescale_factor": 0.004},
        {"size": {"height": 40, "width": 40}, "do_center_crop": False, "do_normalize": False},
        {"size": {"shortest_edge": 40}, "crop_size": {"height": 40, "width": 40}},
    ],
)  # fmt: skip
def test_pixels_are_exactly_those_of_transformers(options):
    """Also where they are computed without its conversions between images and arrays."""
    rng = np.random.default_rng(0)
    shapes = [(64, 50, 3), (30, 90, 3), (48, 40, 3), (1, 700, 3)]
    images = [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for shape in shapes]
    expected = CLIPImageProcessorPil(**options)(images, return_tensors="pt")["pixel_values"]
    for batch, rows in ((images, slice(4)), (images[:1], slice(1))):
        pixels = DWCImageProcessor(**options)(batch, return_tensors="pt")["pixel_values"]
        assert pixels.dtype == torch.float32
        assert torch.equal(pixels, expected[rows])
    gray = [Image.new("L", (20, 30), 7)]
    expected = CLIPImageProcessorPil(**options)(gray, return_tensors="pt")["pixel_values"]
    assert torch.equal(
        DWCImageProcessor(**options)(gray, return_tensors="pt")["pixel_values"], expected
    )
