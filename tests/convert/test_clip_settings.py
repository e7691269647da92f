"""Activation, heads and preprocessing of a CLIP: stated by a config, or assumed and reported."""

import json

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.checkpoints.validate import prepared_image_size
from dwc.convert import convert
from dwc.convert.openai_clip import backbone_config, read_open_clip_config
from dwc.convert.sources import read_clip
from dwc.errors import CheckpointError
from dwc.modeling.processing_dwc import DWCProcessor
from tests.convert.state_dicts import fill, text_tower, tiny_clip_shapes, vit

SHOWN = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}


def write_config(folder, preprocess=None, **model):
    content = {"model_cfg": model} | ({"preprocess_cfg": preprocess} if preprocess else {})
    (folder / "open_clip_config.json").write_text(json.dumps(content))


def run(files, tmp_path, **options):
    lines = []
    out = convert(tmp_path / "out", log=lines.append, **files, **options)
    return out, "\n".join(lines)


def activation(folder):
    config = json.loads((folder / "config.json").read_text())["clip_config"]
    return config["vision_config"]["hidden_act"], config["text_config"]["hidden_act"]


@pytest.mark.slow
def test_an_assumed_activation_is_reported_and_in_the_card(files, tmp_path):
    out, report = run(files, tmp_path)
    assert activation(out) == ("quick_gelu", "quick_gelu")
    assert "quick_gelu, which is assumed" in report
    assert "--clip-activation gelu" in report
    assert "quick_gelu, which is assumed" in ModelCard.load(out / "README.md").content


@pytest.mark.slow
def test_a_given_activation_is_taken_and_named(files, tmp_path):
    out, report = run(files, tmp_path, clip_activation="gelu")
    assert activation(out) == ("gelu", "gelu")
    assert "CLIP's activation: gelu, as given" in report
    assert "assumed" not in report + ModelCard.load(out / "README.md").content


@pytest.mark.slow
def test_preprocessing_of_a_config_is_taken_and_can_be_overruled(files, tmp_path):
    write_config(tmp_path, SHOWN, embed_dim=24)
    out, report = run(files, tmp_path)
    processor = DWCProcessor.from_pretrained(out).image_processor
    side = processor.size["height"]
    assert [*processor.image_mean, *processor.image_std] == [0.5] * 6
    assert (dict(processor.size), processor.do_center_crop) == (
        {"height": side, "width": side}, False,
    )  # fmt: skip
    assert "mean (0.5, 0.5, 0.5)" in report
    assert "--preprocessing authors" in report
    assert "mean (0.5, 0.5, 0.5)" in ModelCard.load(out / "README.md").content

    out, _ = run(files, tmp_path, preprocessing="authors")
    processor = DWCProcessor.from_pretrained(out).image_processor
    assert dict(processor.size) == {"shortest_edge": side}
    assert processor.image_mean[0] == pytest.approx(0.48145466)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "actual"),
    [
        ({"embed_dim": 512}, "embed_dim is 512, the weights have 24"),
        ({"vision_cfg": {"layers": 12, "patch_size": 32}}, "layers is 12"),
        ({"text_cfg": {"context_length": 77, "width": 512}}, "text width is 512"),
    ],
)
def test_a_config_of_another_model_is_refused(files, tmp_path, model, actual):
    write_config(tmp_path, **model)
    with pytest.raises(CheckpointError, match="describes another CLIP") as refused:
        run(files, tmp_path)
    assert actual in str(refused.value)
    assert "--clip-config none" in str(refused.value)
    assert not (tmp_path / "out").exists()
    _, report = run(files, tmp_path, clip_config="none")
    assert "assumed" in report


def test_a_preprocessing_of_another_size_is_refused(files, tmp_path):
    write_config(tmp_path, {**SHOWN, "size": 999}, embed_dim=24)
    with pytest.raises(CheckpointError, match="preprocess_cfg size is 999"):
        run(files, tmp_path)


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("vision_cfg", {"attentional_pool": True}),
        ("text_cfg", {"no_causal_mask": True}),
        ("preprocess_cfg", {"resize_mode": "longest"}),
        ("preprocess_cfg", {"mode": "L"}),
    ],
)
def test_settings_that_cannot_be_followed_are_refused(tmp_path, part, fields):
    content = {"model_cfg": {}, "preprocess_cfg": {}}
    (content if part == "preprocess_cfg" else content["model_cfg"])[part] = fields
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    with pytest.raises(
        CheckpointError, match=f"{next(iter(fields))}|{next(iter(fields.values()))}"
    ):
        read_open_clip_config(tmp_path / "open_clip_config.json")


def test_heads_of_a_wide_tower_are_those_of_its_config(tmp_path):
    """A ViT-H of open_clip has heads of 80 channels, which no tensor shows."""
    shapes = {**text_tower(24, 64, 1, 600, 20), **vit(1, 160, 16, 48, 24)}
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    write_config(tmp_path, vision_cfg={"head_width": 80}, text_cfg={"heads": 2, "width": 64})
    settings = read_open_clip_config(tmp_path / "open_clip_config.json")
    config = backbone_config(state, "clip", settings)
    assert config.vision_config.num_attention_heads == 2
    assert config.text_config.num_attention_heads == 2
    shapes = {**text_tower(24, 64, 1, 600, 20), **vit(1, 1280, 14, 224, 24)}
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    assert backbone_config(state, "clip").vision_config.num_attention_heads == 16


def test_a_pickled_open_clip_folder_is_read_with_its_config(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    torch.save(fill(tiny_clip_shapes("vit")), folder / "open_clip_pytorch_model.bin")
    write_config(folder, embed_dim=24)
    assert read_clip(folder).config.vision_config.hidden_act == "gelu"


def write_transformers_clip(folder):
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 2}  # fmt: skip
    text = {**tower, "vocab_size": 530, "bos_token_id": 528, "eos_token_id": 529}
    vision = {**tower, "image_size": 48, "patch_size": 16, "hidden_act": "gelu"}
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    ).save_pretrained(folder)


@pytest.mark.slow
def test_a_transformers_clip_brings_its_preprocessing(tmp_path):
    write_transformers_clip(tmp_path)
    assert read_clip(tmp_path).preprocessing is None
    values = {"image_mean": 0.5, "image_std": [0.5] * 3, "size": {"shortest_edge": 56},
              "crop_size": 48, "resample": 2}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    source = read_clip(tmp_path)
    assert source.preprocessing.mean == (0.5, 0.5, 0.5)
    assert (source.preprocessing.resize_px, source.preprocessing.resample) == (56, 2)
    assert "gelu" in source.stated[0]
    values["crop_size"] = 224
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="prepares images of 224 px, and CLIP reads 48"):
        read_clip(tmp_path)


def edit_config(folder, change):
    file = folder / "config.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_transformers_clip_without_the_id_that_ends_a_text_is_refused(tmp_path):
    write_transformers_clip(tmp_path)
    edit_config(tmp_path, lambda content: content["text_config"].pop("eos_token_id"))
    message = r"config\.json of .*eos_token_id is 49407; with a vocabulary of 530 .* Correct it"
    with pytest.raises(CheckpointError, match=message):
        read_clip(tmp_path)


def test_a_transformers_clip_that_is_quantized_is_refused(tmp_path):
    write_transformers_clip(tmp_path)
    quantization = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    edit_config(tmp_path, lambda content: content.update(quantization_config=quantization))
    with pytest.raises(CheckpointError, match=r"is quantized.*Give the model from before"):
        read_clip(tmp_path)


@pytest.mark.parametrize("sharded", [False, True])
def test_a_transformers_clip_of_integers_is_refused(tmp_path, sharded):
    write_transformers_clip(tmp_path)
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    weights = load_file(tmp_path / "model.safetensors")
    weights[name] = (weights[name] * 50).to(torch.int8)
    weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    if sharded:
        save_file(weights, tmp_path / "model-00001-of-00001.safetensors", {"format": "pt"})
        names = dict.fromkeys(weights, "model-00001-of-00001.safetensors")
        index = {"metadata": {}, "weight_map": names}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        (tmp_path / "model.safetensors").unlink()
    else:
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"integers in 1 tensors: {name}; expected"):
        read_clip(tmp_path)


@pytest.mark.slow
def test_the_settings_of_a_clip_saved_by_transformers_5_are_read(tmp_path):
    """It writes them to processor_config.json, and reads them there first."""
    write_transformers_clip(tmp_path)
    values = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_center_crop": False,
              "size": {"height": 48, "width": 48}, "resample": 2}  # fmt: skip
    content = {"image_processor": CLIPImageProcessorPil(**values).to_dict(),
               "processor_class": "CLIPProcessor"}  # fmt: skip
    (tmp_path / "processor_config.json").write_text(json.dumps(content))
    stale = {"image_mean": 0.1, "image_std": [0.2] * 3, "size": 48, "crop_size": 48}
    for has_both in (False, True):
        if has_both:
            (tmp_path / "preprocessor_config.json").write_text(json.dumps(stale))
        source = read_clip(tmp_path)
        assert source.preprocessing.mean == (0.5, 0.5, 0.5)
        assert (source.preprocessing.squash, source.preprocessing.resample) == (True, 2)
        assert "as processor_config.json states" in source.stated[1]
    (tmp_path / "processor_config.json").write_text('{"processor_class": "CLIPProcessor"}')
    assert read_clip(tmp_path).preprocessing.mean == (0.1, 0.1, 0.1)
    (tmp_path / "processor_config.json").write_text('{"image_processor": 3}')
    with pytest.raises(CheckpointError, match="image_processor is 3, not an object"):
        read_clip(tmp_path)


def test_a_safetensors_file_reads_the_config_beside_it(tmp_path):
    save_file(fill(tiny_clip_shapes("vit")), tmp_path / "laion.safetensors")
    write_config(tmp_path, SHOWN, embed_dim=24)
    source = read_clip(tmp_path / "laion.safetensors")
    assert source.preprocessing.squash
    assert source.assumed == ()


@pytest.mark.slow
def test_a_square_that_is_cropped_stays_one(files, tmp_path):
    write_transformers_clip(tmp_path / "clip")
    values = {"image_mean": 0.5, "image_std": 0.5, "size": {"height": 56, "width": 56},
              "crop_size": {"height": 48, "width": 48}}  # fmt: skip
    (tmp_path / "clip" / "preprocessor_config.json").write_text(json.dumps(values))
    out, _ = run({**files, "clip": tmp_path / "clip"}, tmp_path)
    processor = DWCProcessor.from_pretrained(out)
    assert prepared_image_size(processor) == (48, 48)
    image = Image.new("RGB", (300, 100), "white")
    image.paste("black", (0, 0, 5, 100))  # the first of 56 columns: outside of the crop
    pixels = processor(images=image)["pixel_values"]
    assert pixels.shape == (1, 3, 48, 48)
    assert float(pixels.min()) == pytest.approx(1.0, abs=1e-5)


def write_preprocessor(folder, **fields):
    write_transformers_clip(folder)
    values = {
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "size": 48,
        "crop_size": 48,
        **fields,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "peak"),
    [
        ({"rescale_factor": 1 / 127.5}, 3.0),
        ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [51.0] * 3}, 2.5),
        ({"do_normalize": False}, 1.0),
        ({"do_normalize": None, "image_mean": None, "image_std": None}, 1.0),
    ],
)
def test_the_stated_range_of_pixels_is_taken(files, tmp_path, fields, peak):
    out, _ = run({**files, "clip": write_preprocessor(tmp_path / "clip", **fields)}, tmp_path)
    pixels = DWCProcessor.from_pretrained(out)(images=Image.new("RGB", (60, 50), "white"))
    assert float(pixels["pixel_values"].max()) == pytest.approx(peak, rel=1e-5)


def test_a_rescale_factor_is_reported(tmp_path):
    source = read_clip(write_preprocessor(tmp_path, rescale_factor=1 / 127.5))
    assert "pixel values times 0.00784314, as preprocessor_config.json states" in source.stated[1]
    assert "times" not in read_clip(write_preprocessor(tmp_path)).stated[1]


@pytest.mark.parametrize(
    ("name", "number"),
    [("bicubic", 3), ("PIL.Image.BILINEAR", 2), ("lanczos", 1), (0, 0), (4, 4), (5, 5)],
)
def test_a_filter_is_known_by_name_and_by_number(tmp_path, name, number):
    source = read_clip(write_preprocessor(tmp_path, resample=name))
    assert source.preprocessing.resample == number
    names = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
    assert f"{names[number]}, mean" in source.stated[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"do_resize": False}, "do_resize is false, which is not supported.*expected true"),
        ({"do_resize": None}, "do_resize is false, which is not supported"),
        ({"do_pad": True}, "do_pad is true, which is not supported.*expected false"),
        ({"do_center_crop": False}, "do_center_crop is false and size is 48.*not be square"),
        ({"do_rescale": False}, "510 apart from black to white.*do_rescale False"),
        ({"do_rescale": "no"}, "do_rescale is 'no'; expected true or false"),
        ({"rescale_factor": 0}, "rescale_factor is 0; expected a positive number"),
        ({"resample": "sharp"}, "resample is 'sharp'; expected .*bilinear, bicubic"),
        ({"resample": 3.5}, "resample is 3.5; expected"),
        ({"resample": None}, "resample is null, and do_resize needs it"),
        ({"size": None}, "size is null, and do_resize needs it"),
        ({"crop_size": None}, "crop_size is null, and do_center_crop needs it"),
        (
            {"size": {"longest_edge": 48}},
            "size is {'longest_edge': 48}; supported are shortest_edge",
        ),
        ({"size": {"shortest_edge": 48, "longest_edge": 96}}, "supported are shortest_edge alone"),
        ({"size": {"height": 48, "width": 64}}, r"not square; correct preprocessor_config"),
        ({"size": "48"}, "size is '48'; expected positive numbers"),
        ({"image_mean": [0.5, 0.5]}, r"image_mean is \[0.5, 0.5\]; expected three numbers"),
        ({"gamma": 2.2}, r"has the field gamma \(2.2\), which this converter does not know"),
    ],
)
def test_settings_of_transformers_that_cannot_be_followed_are_refused(tmp_path, fields, message):
    folder = write_preprocessor(tmp_path, **fields)
    with pytest.raises(CheckpointError, match=message) as refused:
        read_clip(folder)
    assert str(folder / "preprocessor_config.json") in str(refused.value)
    assert "give --preprocessing authors" in str(refused.value)


def test_settings_that_change_nothing_are_accepted(tmp_path):
    fields = {"do_pad": None, "pad_size": None, "data_format": "channels_first",
              "use_square_size": False, "do_convert_rgb": False,
              "image_processor_type": "CLIPImageProcessor"}  # fmt: skip
    source = read_clip(write_preprocessor(tmp_path, **fields))
    assert "do_convert_rgb is false there, and images are converted to RGB" in source.stated[1]
    stretched = read_clip(write_preprocessor(tmp_path, default_to_square=True))
    assert stretched.preprocessing.squash


def test_settings_that_are_overruled_need_not_be_supported(files, tmp_path):
    clip = write_preprocessor(tmp_path / "clip", do_resize=False)
    out, report = run({**files, "clip": clip}, tmp_path, preprocessing="authors")
    assert dict(DWCProcessor.from_pretrained(out).image_processor.size) == {"shortest_edge": 48}
    assert "preprocessor_config" not in report
