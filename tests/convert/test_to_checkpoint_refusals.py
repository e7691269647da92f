"""What the converter refuses: each with what is wrong, and nothing written half."""

import json
import pickle
import re

import pytest
import torch

from dwc.cli import main
from dwc.convert import convert
from dwc.errors import CheckpointError
from dwc.training.catalogue.recipe import train_clip_tokenizer
from tests.convert.state_dicts import (
    CAPTIONS,
    TOKENS,
    fill,
    global_shapes,
    rewrite,
    tiny_clip_shapes,
)


@pytest.mark.parametrize(
    ("size_px", "message"),
    [(96, r"96 px were requested, and CLIP reads 64 px"), (0, "at least 1 px")],
)
def test_pictures_of_a_size_that_clip_does_not_read_are_refused(files, tmp_path, size_px, message):
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path / "out", **files, image_size_px=size_px)


def test_a_template_without_its_places_is_refused(files, tmp_path):
    with pytest.raises(CheckpointError, match=r"do not make a model: .*pair"):
        convert(tmp_path / "out", **files, template={"single": "{0}", "pair": "{0}"})


def test_a_mistake_is_reported_without_a_traceback(tmp_path, capsys):
    missing = str(tmp_path / "none.pth")
    assert main(["convert", "--global-weights", missing, "--clip", missing, "--out", "x"]) == 2
    assert "none.pth" in capsys.readouterr().err


@pytest.mark.parametrize("clip", ["/nowhere/clip.pt", "nowhere/at/all"])
def test_a_clip_that_is_not_there_is_named(files, tmp_path, clip):
    with pytest.raises(CheckpointError, match=f"no file {clip}"):
        convert(tmp_path / "out", global_weights=files["global_weights"], clip=clip)


def test_tensors_that_no_rule_knows_are_listed(files, tmp_path):
    rewrite(files["global_weights"], **{"head.weight": torch.zeros(1), "zeta": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"global\.pth.*head\.weight, zeta"):
        convert(tmp_path / "out", **files)
    assert not (tmp_path / "out").exists()


def test_a_clip_with_unknown_tensors_is_refused(files, tmp_path):
    state = {**fill(tiny_clip_shapes("vit")), "visual.extra": torch.zeros(1)}
    torch.save(state, files["clip"])
    with pytest.raises(CheckpointError, match=r"visual\.extra"):
        convert(tmp_path / "out", **files)


def test_missing_and_misshapen_tensors_are_listed(files, tmp_path):
    rewrite(
        files["global_weights"],
        **{"atten_I.3.bias": None, "dynamic_scalar.0.bias": torch.zeros(3)},
    )
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "out", **files)
    assert re.search(r"missing: clip_stream\.combiner\.edit_image\.3\.bias", str(caught.value))
    assert re.search(
        r"misshapen: clip_stream\.combiner\.weigh\.0\.bias \(found \(3,\), expected \(16,\)\)",
        str(caught.value),
    )
    assert not (tmp_path / "out").exists()


def test_a_clip_of_another_size_than_the_stream_is_refused(files, tmp_path):
    torch.save({"model_state_dict": fill(global_shapes(features=40))}, files["global_weights"])
    with pytest.raises(CheckpointError, match=r"project_image.*\(16, 40\), expected \(16, 24\)"):
        convert(tmp_path / "out", **files)


@pytest.mark.parametrize("taken", ["ln_final.weight", "visual.conv1.weight"])
def test_a_clip_whose_size_is_unknown_is_refused(files, tmp_path, taken):
    state = fill(tiny_clip_shapes("vit"))
    del state[taken]
    torch.save(state, files["clip"])
    with pytest.raises(CheckpointError, match=re.escape(taken)):
        convert(tmp_path / "out", **files)


def quantize(tensor):
    return torch.quantize_per_tensor(tensor, 0.01, 0, torch.qint8)


@pytest.mark.parametrize("which", ["clip", "global_weights"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (quantize, r"quantized numbers in 1 of .*; expected dense .* tensor\.dequantize\(\)"),
        (torch.Tensor.to_sparse, r"sparse numbers in 1 of .*; expected dense .* tensor\.to_dense"),
        (lambda tensor: tensor.to("meta"), r"no values \(.*'meta'\) in 1 of .*; expected .* Load"),
        (lambda tensor: tensor.to(torch.complex64), "complex numbers in 1 of .*; expected .* file"),
        (lambda tensor: tensor.to(torch.int8), r"integers in 1 of .* \(int8\); expected .* scales"),
    ],
)
def test_tensors_that_are_not_plain_numbers_are_named(files, tmp_path, which, change, message):
    name = {"clip": "visual.proj", "global_weights": "img_fc.0.weight"}[which]
    content = torch.load(files[which], weights_only=True)
    state = content.get("model_state_dict", content)
    state[name] = change(state[name])
    torch.save(content, files[which])
    with pytest.raises(CheckpointError, match=f"{files[which]} has {message}") as caught:
        convert(tmp_path / "out", **files)
    assert name in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_integers_that_nothing_reads_are_no_obstacle(files, tmp_path):
    rewrite(files["global_weights"], loss_weight=torch.tensor([10]))
    state = torch.load(files["clip"], weights_only=True)
    torch.save({**state, "context_length": torch.tensor(77)}, files["clip"])
    assert convert(tmp_path / "out", **files).is_dir()


def test_captions_of_another_vocabulary_are_refused(local_files, tmp_path):
    local_files["captions"].write_text(json.dumps(CAPTIONS[:3]))
    with pytest.raises(CheckpointError, match=r"words .* has 33 rows"):
        convert(tmp_path / "out", **local_files)


@pytest.mark.parametrize("content", ['"is red"', "[1, 2]", '{"is": "red"}', "not json", "[[]]"])
def test_captions_that_are_neither_list_nor_table_are_refused(local_files, tmp_path, content):
    local_files["captions"].write_text(content)
    with pytest.raises(CheckpointError, match=r"captions\.json"):
        convert(tmp_path / "out", **local_files)


@pytest.mark.slow
def test_a_cnn_stream_that_is_not_whole_is_refused(local_files, tmp_path):
    rewrite(local_files["local_weights"], **{"img_model.layer3.5.bn2.running_var": None})
    with pytest.raises(CheckpointError, match=r"stages\.2\.layers\.5\..*running_var"):
        convert(tmp_path / "out", **local_files)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "no weights are given"),
        (("global_weights",), "--global-weights and --clip go together"),
        (("clip", "local_weights", "captions"), "--global-weights and --clip go together"),
        (("local_weights",), "--local-weights and --captions go together"),
    ],
)
def test_what_goes_together_is_requested_together(files, local_files, tmp_path, given, message):
    everything = {**files, **local_files}
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path / "out", **{name: everything[name] for name in given})


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.parametrize("which", ["global_weights", "clip"])
def test_a_pickle_that_would_run_code_is_not_read(files, tmp_path, which):
    with files[which].open("wb") as file:
        pickle.dump({"model_state_dict": Evil()}, file)
    with pytest.raises(CheckpointError):
        convert(tmp_path / "out", **files)
    torch.save({"model_state_dict": Evil()}, files[which])
    with pytest.raises(CheckpointError, match="could run code"):
        convert(tmp_path / "out", **files)


@pytest.mark.parametrize(
    "content", [{"state_dict": {}}, [1], {"model_state_dict": {"img_fc.0.bias": 1}}]
)
def test_a_file_that_is_no_checkpoint_of_the_authors_is_refused(files, tmp_path, content):
    torch.save(content, files["global_weights"])
    with pytest.raises(CheckpointError, match=r"global\.pth"):
        convert(tmp_path / "out", **files)


@pytest.mark.parametrize("which", ["global_weights", "clip"])
def test_a_file_cut_short_is_refused(files, tmp_path, which):
    files[which].write_bytes(files[which].read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=re.escape(files[which].name)):
        convert(tmp_path / "out", **files)


@pytest.mark.parametrize("content", [b"junk", b"weights", b"<html></html>", b"", bytes(64)])
def test_a_file_of_another_kind_is_refused(files, tmp_path, content):
    """Four letters ended in the traceback of a `struct.error`."""
    files["global_weights"].write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(files["global_weights"].name)):
        convert(tmp_path / "out", **files)


def test_a_tokenizer_of_another_clip_is_refused(files, tmp_path):
    train_clip_tokenizer(CAPTIONS, 520).save_pretrained(tmp_path / "tokenizer")
    with pytest.raises(CheckpointError, match=f"520 tokens.*{TOKENS} rows"):
        convert(tmp_path / "out", **files, clip_tokenizer=tmp_path / "tokenizer")
    (tmp_path / "merges.txt").write_text("#version: 0.2\ni n\n")
    with pytest.raises(CheckpointError, match=r"1 merges.*room for 86"):
        convert(tmp_path / "out", **files, clip_tokenizer=tmp_path / "merges.txt")
    assert not (tmp_path / "out").exists()
