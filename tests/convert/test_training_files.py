"""Weight files as training scripts leave them: beside other things, wrapped, prefixed."""

import argparse
import pathlib
from collections import OrderedDict

import numpy as np
import pytest
import torch

from dwc.convert import convert
from dwc.convert.sources import read_authors_weights, read_clip
from dwc.errors import CheckpointError
from dwc.modeling.modeling_dwc import DWCModel
from tests.convert.state_dicts import fill, global_shapes, tiny_clip_shapes
from tests.convert.test_clip_settings import write_transformers_clip

STATE = fill(global_shapes())


@pytest.mark.parametrize(
    "beside",
    [
        {"recall": np.float64(36.11)},
        {"epoch": np.int64(3), "best": np.float32(0.1), "done": np.bool_(True)},
        {"args": argparse.Namespace(lr=1e-4, device=torch.device("cpu"), seed=np.int64(599))},
    ],
    ids=["float64", "several scalars", "namespace"],
)
def test_scalars_and_settings_beside_the_tensors_are_read(tmp_path, beside):
    torch.save({"model_state_dict": STATE, **beside}, tmp_path / "global.pth")
    state, notes = read_authors_weights(tmp_path / "global.pth")
    assert state.keys() == STATE.keys()
    assert notes == ()


@pytest.mark.slow
@pytest.mark.parametrize("prefixes", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
@pytest.mark.parametrize("key", ["model_state_dict", "state_dict", "model", None])
def test_prefixes_and_nestings_are_unwrapped_and_reported(tmp_path, files, prefixes, key):
    state = OrderedDict((prefixes + name, tensor) for name, tensor in STATE.items())
    torch.save({key: state, "epoch": 3} if key else state, files["global_weights"])
    lines = []
    out = convert(tmp_path / "out", log=lines.append, **files)
    report = "\n".join(lines)
    assert f"the prefix {prefixes.split('.')[0] + '.'!r} of all its names was removed" in report
    assert (f"taken from its entry {key!r}" in report) == (key in ("state_dict", "model"))
    project = DWCModel.from_pretrained(out).clip_stream.project_image
    assert torch.equal(project.weight, STATE["img_fc.0.weight"])


def test_a_clip_in_a_lightning_checkpoint_is_read(tmp_path):
    clip = fill(tiny_clip_shapes("vit"))
    content = {"state_dict": {f"model.{name}": tensor for name, tensor in clip.items()}}
    torch.save({**content, "epoch": 3, "score": np.float64(1)}, tmp_path / "last.ckpt")
    assert read_clip(tmp_path / "last.ckpt").original.state.keys() == clip.keys()


def test_a_prefix_of_some_names_only_stays(tmp_path):
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "odd.pth")
    assert read_authors_weights(tmp_path / "odd.pth")[0].keys() == {"module.a", "b"}


def test_what_could_run_code_is_refused_with_the_lines_that_rewrite_it(tmp_path):
    file = tmp_path / "global.pth"
    torch.save({"model_state_dict": STATE, "log": pathlib.PurePosixPath("/x"), "f": print}, file)
    with pytest.raises(CheckpointError) as refused:
        read_authors_weights(file)
    message = str(refused.value)
    assert "\x1b" not in message
    assert "it was not read" in message
    rewrite = "\n".join(line.strip() for line in message.splitlines()[1:])
    exec(rewrite, {})  # the lines as the message gives them
    plain = tmp_path / "global.plain.pth"
    assert read_authors_weights(plain)[0].keys() == STATE.keys()


def test_a_file_without_weights_says_what_was_looked_for(tmp_path):
    torch.save({"optimizer": {"lr": 1.0}, "epoch": 3}, tmp_path / "global.pth")
    with pytest.raises(CheckpointError, match="none under model_state_dict, state_dict"):
        read_authors_weights(tmp_path / "global.pth")


def test_other_weights_in_the_file_are_named(tmp_path):
    others = {"model": STATE, "state_dict_ema": {"state_dict": STATE}, "optimizer": {"lr": 0.1}}
    torch.save({"state_dict": STATE, **others}, tmp_path / "global.pth")
    _, notes = read_authors_weights(tmp_path / "global.pth")
    assert notes[0] == "taken from its entry 'state_dict'"
    assert "not used, though weights as well: its entries 'model', 'state_dict_ema'" in notes[1]
    assert "optimizer" not in notes[1]


@pytest.mark.parametrize(
    ("which", "name"), [("global", "atten_I.3.bias"), ("clip", "ln_final.bias")]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_named_with_their_file(tmp_path, files, which, name, value):
    file = files["clip" if which == "clip" else "global_weights"]
    content = torch.load(file, weights_only=True)
    state = content if which == "clip" else content["model_state_dict"]
    state[name].view(-1)[1] = value
    torch.save(content, file)
    with pytest.raises(CheckpointError) as refused:
        convert(tmp_path / "out", **files)
    message = str(refused.value)
    assert f"{file} has NaN or infinite values in 1 of " in message
    assert f": {name}. The file is damaged" in message
    assert "None" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_numbers_that_nothing_reads_may_be_anything(tmp_path, files):
    state = {**STATE, "loss_weight": torch.full_like(STATE["loss_weight"], float("nan"))}
    torch.save(state, files["global_weights"])
    assert convert(tmp_path / "out", **files).is_dir()


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{0:064}\nsize 1504724\n"
CURE = "is a Git LFS pointer.*not the file itself. Run `git lfs pull`"


@pytest.mark.parametrize("name", ["global_weights", "clip"])
def test_a_git_lfs_pointer_is_called_one(tmp_path, files, name):
    files[name].write_text(POINTER)
    with pytest.raises(CheckpointError, match=f"{files[name].name} {CURE}"):
        convert(tmp_path / "out", **files)


def test_a_pointer_in_place_of_captions_is_called_one(tmp_path, local_files):
    local_files["captions"].write_text(POINTER)
    with pytest.raises(CheckpointError, match=f"captions.json {CURE}"):
        convert(tmp_path / "out", **local_files)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "config.json", "preprocessor_config.json", "vocab.json", "merges.txt"],
)
def test_a_pointer_in_a_folder_of_transformers_is_called_one(tmp_path, files, name):
    clip = tmp_path / "clip"
    write_transformers_clip(clip)
    (clip / "vocab.json").write_text("{}")
    (clip / "merges.txt").write_text("")
    (clip / name).write_text(POINTER)
    with pytest.raises(CheckpointError, match=f"{name} {CURE}"):
        convert(tmp_path / "out", **{**files, "clip": clip})


@pytest.mark.parametrize("name", ["clip.safetensors", "open_clip_config.json", "merges.txt.gz"])
def test_a_pointer_in_other_inputs_is_called_one(tmp_path, files, name):
    (tmp_path / name).write_text(POINTER)
    given = {"clip.safetensors": {"clip": tmp_path / name}}
    given["merges.txt.gz"] = {"clip_tokenizer": tmp_path / name}
    with pytest.raises(CheckpointError, match=f"{name} {CURE}"):
        convert(tmp_path / "out", **{**files, **given.get(name, {})})
