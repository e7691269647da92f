"""What is no sound checkpoint is refused, from a folder and from the Hub alike, and told so.

Each case damages a whole checkpoint in one way; the message has to say what was seen, what was
expected, and what to do.
"""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file

from dwc import DWCModel
from dwc.checkpoints import load
from dwc.errors import CheckpointError
from dwc.modeling.processing_dwc import build_word_tokenizer
from dwc.training.catalogue.recipe import train_clip_tokenizer
from tests.search.tiny import CAPTIONS

WEIGHTS = r"GET .*\.(safetensors|bin|ckpt|pt)"
BIAS = "clip_stream.project_image.bias"


class Case(NamedTuple):
    """One kind of damage, and what its message says: what was seen, expected, and is to be done.

    `costs_weights` says whether weights have to be fetched to notice.
    """

    damage: Callable[[Path], None]
    actual: str
    expected: str
    cure: str
    costs_weights: bool = False


def weights(change):
    def damage(folder):
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors", {"format": "pt"})

    return damage


def config(*path, **fields):
    """Change fields of the config, or of a config in it."""

    def damage(folder):
        file = folder / "config.json"
        values = json.loads(file.read_text())
        location = values
        for step in path:
            location = location[step]
        location.update(fields)
        file.write_text(json.dumps(values))

    return damage


def processor_config(change):
    def damage(folder):
        file = folder / "processor_config.json"
        values = json.loads(file.read_text())
        change(values)
        file.write_text(json.dumps(values))

    return damage


def image_settings(change):
    return processor_config(lambda values: change(values["image_processor"]))


def byte_order_mark(name):
    def damage(folder):
        file = folder / name
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    return damage


def tokenizer(part, make):
    def damage(folder):
        shutil.rmtree(folder / part)
        make().save_pretrained(folder / part)

    return damage


def replaced_by(**files):
    """Another repository altogether: `a__b` is a file `b` in a folder `a`."""

    def damage(folder):
        shutil.rmtree(folder)
        for name, content in files.items():
            stem, _, suffix = name.replace("__", "/").rpartition("_")
            file = folder / f"{stem}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content))

    return damage


class Spreads:
    """Pickled, it is a command that leaves a file behind when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def pickled(name, instead_of=None):
    def damage(folder):
        if instead_of:
            (folder / instead_of).unlink()
        (folder / name).write_bytes(pickle.dumps(Spreads(folder.parent / "was-run")))

    return damage


def last_to_nan(state):
    state[BIAS][-1] = torch.nan


NOT_OURS = "not the model's|do not fit the model in its config"
AGAIN = "Fetch or convert the checkpoint again; nothing was loaded"
GIVE_OURS = "give .* folder or Hub name|Give a DWC checkpoint's folder or Hub name"
CORRECT = "Correct it, or fetch the checkpoint again"
CASES = {
    "missing key": Case(
        weights(lambda state: state.pop(BIAS)), f"missing: {BIAS}", NOT_OURS, AGAIN, True
    ),
    "unexpected key": Case(
        weights(lambda state: state.update({"head.weight": torch.zeros(1)})),
        r"unexpected: head\.weight", NOT_OURS, AGAIN, True,
    ),
    "misshapen key": Case(
        weights(lambda state: state.update({BIAS: torch.zeros(3)})),
        rf"misshapen: {BIAS} \(found \(3,\)", r"expected \(12,\)", AGAIN, True,
    ),
    "embedding smaller than its vocabulary": Case(
        weights(lambda state: state.update(
            {"cnn_stream.word_encoder.embedding.weight": torch.zeros(5, 8)})),
        r"embedding\.weight \(found \(5, 8\)", r"expected \(\d+, 8\)", AGAIN, True,
    ),
    "more words than the embedding": Case(
        tokenizer("word_tokenizer", lambda: build_word_tokenizer([*CAPTIONS, "one more"])),
        r"the word vocabulary has \d+ words", r"the word embedding \d+ rows",
        "take both from one", True,
    ),
    "fewer tokens than CLIP's embedding": Case(
        tokenizer("clip_tokenizer", lambda: train_clip_tokenizer(CAPTIONS, 530, 24)),
        "CLIP's tokenizer has 530 tokens", r"its embedding 5\d\d rows", "take both from one", True,
    ),
    "numbers that are none": Case(
        weights(last_to_nan), f"not finite: {BIAS}", NOT_OURS, AGAIN, True
    ),
    "infinite numbers": Case(
        weights(lambda state: state["cnn_stream.pool_text.p"].fill_(torch.inf)),
        r"not finite: cnn_stream\.pool_text\.p", NOT_OURS, AGAIN, True,
    ),
    "unknown field": Case(
        config(depth=3), "the config has unknown fields: depth",
        "the known ones are caption_template, ", "Correct them, or update dwc",
    ),
    "unknown field of CLIP": Case(
        config("clip_config", towers=3), "clip_config has unknown fields: towers",
        "known ones are .*projection_dim, text_config, vision_config",
        "Correct them, or update dwc",
    ),
    "unknown field of CLIP's image tower": Case(
        config("clip_config", vision_config={"model_type": "clip_modified_resnet", "depth": 3}),
        r"clip_config\.vision_config has unknown fields: depth", "known ones are .*layers",
        "Correct them, or update dwc",
    ),
    "unknown field of the CNN stream": Case(
        config("cnn_config", bidirectional=True),
        "cnn_config has unknown fields: bidirectional", "known ones are .*hidden_dim",
        "Correct them, or update dwc",
    ),
    "a misspelled image setting": Case(
        image_settings(lambda settings: settings.update(image_means=settings.pop("image_mean"))),
        "image_processor has unknown fields: image_means", "known ones are .*image_mean, image_std",
        CORRECT, True,
    ),
    "an image setting in British spelling": Case(
        image_settings(lambda settings: settings.update(do_normalise=False)),
        "image_processor has unknown fields: do_normalise", "the known ones are .*do_normalize",
        CORRECT, True,
    ),
    "a quoted switch": Case(
        image_settings(lambda settings: settings.update(do_normalize="false")),
        "image_processor.do_normalize is 'false'", "true or false, without quotation marks",
        CORRECT, True,
    ),
    "a switch that is null": Case(
        image_settings(lambda settings: settings.update(do_normalize=None)),
        "image_processor.do_normalize is null", "expected true or false", CORRECT, True,
    ),
    "a mean that is absent": Case(
        image_settings(lambda settings: settings.update(image_mean=None)),
        "image_processor.do_normalize needs image_mean, which it lacks", "needs", CORRECT, True,
    ),
    "deviations that are none": Case(
        image_settings(lambda settings: settings.update(image_std=[0.5, 0.5, 0])),
        r"image_processor.image_std is \[0.5, 0.5, 0\]", "three positive numbers", CORRECT, True,
    ),
    "a factor that leaves no picture": Case(
        image_settings(lambda settings: settings.update(rescale_factor=1.5e-5)),
        "prepares images with levels 0.0.* apart from black to white", "Usually rescale_factor",
        CORRECT, True,
    ),
    "a factor of 1": Case(
        image_settings(lambda settings: settings.update(rescale_factor=1)),
        "prepares images with levels 9.* apart", "expected 0.1 to 256", CORRECT, True,
    ),
    "a mean of another scale": Case(
        image_settings(lambda settings: settings.update(image_mean=[49.8, 0.5, 0.5])),
        "subtracts image_mean 49.8, 0.5, 0.5 from levels of 0 to 1", "expected values between them",
        CORRECT, True,
    ),
    "a deviation of one channel": Case(
        image_settings(lambda settings: settings.update(image_std=[0.5, 0.5, 0.005])),
        "divides the colors of an image by image_std 0.5, 0.5, 0.005", "a factor of at most 4",
        CORRECT, True,
    ),
    "an unknown setting of the processor": Case(
        processor_config(lambda values: values.update(tokenisers=[])),
        "has unknown fields: tokenisers", "the known ones are .*tokenizers", CORRECT, True,
    ),
    "a config with a byte-order mark": Case(
        byte_order_mark("config.json"), "config.json begins with a byte-order mark",
        "expected UTF-8 without one", "Save it again without a byte-order mark", True,
    ),
    "a processor config with a byte-order mark": Case(
        byte_order_mark("processor_config.json"),
        "processor_config.json begins with a byte-order mark",
        "expected UTF-8 without one", "Save it again without a byte-order mark", True,
    ),
    "a layer norm that does not normalize": Case(
        config("clip_config", "text_config", layer_norm_eps=1.0),
        r"text_config\.layer_norm_eps is 1; it must be above 0 and at most 0\.01", "usually 1e-05",
        r"its config\.json does not describe a model of this version of dwc",
    ),
    "a value out of range": Case(
        config(dropout=1.5), r"dropout is 1\.5", "at least 0 and below 1",
        r"its config\.json does not describe a model of this version of dwc",
    ),
    "newer format": Case(
        config(format_version=2, something_new=1), "written in format 2", "reads up to 1",
        "Update dwc",
    ),
    "a format that is no number": Case(
        config(format_version="2.0"), r"written in format '2\.0'", "reads up to 1", "Update dwc"
    ),
    "a plain CLIP": Case(
        replaced_by(config_json={"model_type": "clip"}, model_safetensors={}),
        "is a model of type 'clip'", "not 'dwc'", f"{GIVE_OURS}.*python -m dwc convert",
    ),
    "another model": Case(
        replaced_by(config_json={"model_type": "bert"}, pytorch_model_bin={}),
        "is a model of type 'bert'", "not 'dwc'", GIVE_OURS,
    ),
    "an open_clip model": Case(
        replaced_by(open_clip_config_json={"model_cfg": {}}, open_clip_model_safetensors={}),
        r"is an open_clip model \(it has open_clip_config\.json\)", "not a DWC checkpoint",
        GIVE_OURS,
    ),
    "a diffusion model": Case(
        replaced_by(
            model_index_json={"_class_name": "StableDiffusionPipeline"},
            unet__config_json={"_class_name": "UNet2DConditionModel"},
            v1_ckpt={},
            unet__diffusion_pytorch_model_bin={},
        ),
        r"is a diffusion pipeline \(it has model_index\.json\)", "not a DWC checkpoint", GIVE_OURS,
    ),
    "a part of a diffusion model": Case(
        replaced_by(config_json={"_class_name": "UNet2DConditionModel"}),
        "is a model of type None", "not 'dwc'", GIVE_OURS,
    ),
    "no model at all": Case(
        replaced_by(notes_json={}), r"has no config\.json", "it is not a checkpoint", GIVE_OURS
    ),
    "pickles instead of weights": Case(
        pickled("pytorch_model.bin", instead_of="model.safetensors"),
        r"holds pickled weights only \(pytorch_model\.bin\)", "which are not loaded",
        "Convert them: python -m dwc convert",
    ),
    "pickles beside the weights": Case(
        pickled("training_args.bin"),
        r"has pickled files beside its weights \(training_args\.bin\)", "a checkpoint has none",
        "take them out, or give a revision without them",
    ),
    "pickles in a folder of it": Case(
        pickled("word_tokenizer/words.pkl"),
        r"beside its weights \(word_tokenizer/words\.pkl\)", "a checkpoint has none",
        "take them out",
    ),
}  # fmt: skip


@pytest.fixture(params=["folder", "hub"])
def location(request):
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_not_sound_is_refused_in_words(hub, cache, tiny, tmp_path, location, case):
    folder = shutil.copytree(tiny, tmp_path / "damaged")
    case.damage(folder)
    name = str(folder)
    if location == "hub":
        hub.add("owner/damaged", folder)
        name = "owner/damaged"
    with pytest.raises(CheckpointError) as caught:
        load.load(name)
    message = str(caught.value)
    for what in (case.actual, case.expected, case.cure):
        assert caught.match(f"(?s){what}"), message
    assert location == "folder" or bool(hub.count(WEIGHTS)) == case.costs_weights
    assert not list(tmp_path.rglob("was-run"))


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if "key" in name or "field" in name]
)
def test_the_model_by_itself_is_as_strict(tiny, tmp_path, name):
    folder = shutil.copytree(tiny, tmp_path / "damaged")
    CASES[name].damage(folder)
    with pytest.raises(CheckpointError, match=f"(?s){CASES[name].actual}"):
        DWCModel.from_pretrained(folder)


def test_the_undamaged_one_loads(tiny):
    """Or nothing above would mean anything."""
    assert load.load(tiny).fingerprint == load.fingerprint(tiny)
