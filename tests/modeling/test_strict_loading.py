"""A checkpoint comes back bit for bit, or an error lists what is wrong with it."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import model, pictures, texts
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from dwc.errors import CheckpointError
from dwc.modeling.modeling_dwc import DWCModel


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model("resnet").save_pretrained(tmp_path)
    return tmp_path


def damage(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_saved_and_loaded_it_is_the_same_model_in_eval_mode(vision, tmp_path):
    built = model(vision, familiarity=True).train()
    built.familiarity.fit(torch.randn(40, 20), torch.randn(40, 20))
    built.save_pretrained(tmp_path)
    again = DWCModel.from_pretrained(tmp_path)
    assert not any(module.training for module in again.modules())
    assert not any(p.requires_grad for p in again.clip.parameters())
    assert all(p.requires_grad for p in again.cnn_stream.parameters())
    weights, again_weights = built.state_dict(), again.state_dict()
    assert weights.keys() == again_weights.keys()
    assert all(torch.equal(tensor, again_weights[name]) for name, tensor in weights.items())
    inputs = {"pixel_values": pictures(), **texts()}
    expected = built.eval().compose(**inputs)
    actual = again.compose(**inputs)
    # Not to the last bit: kernels differ with where a tensor lies in memory.
    torch.testing.assert_close(actual.embedding, expected.embedding, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(actual.ood_score, expected.ood_score)


@pytest.mark.slow
def test_the_files_names_are_the_models_names(checkpoint):
    assert load_file(checkpoint / "model.safetensors").keys() == model("resnet").state_dict().keys()


@pytest.mark.slow
@torch.no_grad()
def test_half_precision_shards_load_into_float32(tmp_path):
    built = model()
    expected = built.compose(pixel_values=pictures(), **texts()).embedding
    built.half().save_pretrained(tmp_path, max_shard_size="20KB")
    shards = list(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    assert any(t.dtype == torch.float16 for t in load_file(shards[0]).values())
    again = DWCModel.from_pretrained(tmp_path)
    kinds = {tensor.dtype for tensor in again.state_dict().values()}
    assert kinds == {torch.float32, torch.int64}
    actual = again.compose(pixel_values=pictures(), **texts()).embedding
    torch.testing.assert_close(actual, expected, rtol=0, atol=5e-3)
    half = DWCModel.from_pretrained(tmp_path, dtype=torch.float16)
    assert half.clip_stream.project_image.weight.dtype == torch.float16


def poison(value: float) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors["cnn_stream.project_text.bias"].index_fill_(
        0, torch.tensor([3]), value
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("clip_stream.combiner.weigh.3.bias"),
            r"missing: clip_stream\.combiner\.weigh\.3\.bias\n",
        ),
        (lambda t: t.pop("clip.logit_scale"), r"missing: clip\.logit_scale\n"),
        (
            lambda t: t.pop("cnn_stream.gate_text.point.0.normalisation.running_var"),
            r"missing: cnn_stream\.gate_text\.point\.0\.normalisation\.running_var",
        ),
        (
            lambda t: t.update({"cnn_stream.fc_ret.weight": torch.ones(2)}),
            r"unexpected: cnn_stream\.fc_ret\.weight\n",
        ),
        (
            lambda t: t.update({"clip.text_model.embeddings.position_ids": torch.ones(1, 12)}),
            r"unexpected: clip\.text_model\.embeddings\.position_ids\n",
        ),
        (
            lambda t: t.update({"cnn_stream.word_encoder.embedding.weight": torch.ones(14, 10)}),
            r"misshapen: cnn_stream\.word_encoder\.embedding\.weight "
            r"\(found \(14, 10\), expected \(15, 10\)\)",
        ),
        (poison(float("nan")), r"not finite: cnn_stream\.project_text\.bias\n"),
        (poison(float("inf")), r"not finite: cnn_stream\.project_text\.bias\n"),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith("cnn_stream.")],
            r"missing: (cnn_stream\.[\w.]+, ){11}cnn_stream\.[\w.]+ and \d+ more",
        ),
    ],
)
def test_each_kind_of_fault_is_an_error_that_lists_it(checkpoint, change, message):
    damage(checkpoint, change)
    with pytest.raises(CheckpointError, match=message):
        DWCModel.from_pretrained(checkpoint)


def settings_of(config: PretrainedConfig) -> dict[str, Any]:
    """What a config says, but for the type that transformers notes again in each config in it."""
    told = config.to_dict()
    for name in config.sub_configs:
        told[name].pop("dtype")
    return {name: value for name, value in told.items() if name != "_name_or_path"}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_folder_is_read_as_transformers_would(checkpoint, dtype):
    """With an option that only transformers' own loading knows, and without."""
    ours = DWCModel.from_pretrained(checkpoint, dtype=dtype)
    theirs = DWCModel.from_pretrained(checkpoint, dtype=dtype, local_files_only=True)
    assert settings_of(ours.config) == settings_of(theirs.config)
    assert ours.name_or_path == str(theirs.name_or_path) == str(checkpoint)
    for kind in ("parameters", "buffers"):
        actual, expected = (dict(getattr(m, f"named_{kind}")()) for m in (ours, theirs))
        assert list(actual) == list(expected)
        for name, tensor in expected.items():
            assert torch.equal(actual[name], tensor), name
            assert actual[name].dtype == tensor.dtype, name
            assert actual[name].requires_grad == tensor.requires_grad, name


@pytest.mark.slow
def test_a_folder_is_not_read_by_transformers(checkpoint, monkeypatch):
    def read(*_, **__):
        raise AssertionError("this takes several times as long")

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(read))
    DWCModel.from_pretrained(checkpoint)


@pytest.mark.slow
def test_transformers_loading_is_held_to_the_same(checkpoint):
    def change(tensors: dict[str, Tensor]) -> None:
        tensors["stray"] = tensors.pop("clip_stream.project_image.bias")
        poison(float("nan"))(tensors)

    damage(checkpoint, change)
    told = []
    for options in ({}, {"local_files_only": True}):
        with pytest.raises(CheckpointError) as caught:
            DWCModel.from_pretrained(checkpoint, **options)
        told.append(str(caught.value))
    assert told[0] == told[1]


@pytest.mark.slow
def test_loading_leaves_the_random_start_of_other_models_as_it_was(checkpoint):
    """Also when several are loaded at once, each skipping the start of its own."""
    functions = {name: getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_")}
    with ThreadPoolExecutor(4) as threads:
        loaded = list(threads.map(DWCModel.from_pretrained, [checkpoint] * 8))
    assert all(getattr(nn.init, name) is function for name, function in functions.items())
    weights = loaded[0].state_dict()
    for other in loaded[1:]:
        assert all(torch.equal(t, weights[name]) for name, t in other.state_dict().items())


@pytest.mark.slow
def test_training_a_loaded_model_leaves_its_file_alone(checkpoint):
    before = (checkpoint / "model.safetensors").read_bytes()
    loaded = DWCModel.from_pretrained(checkpoint)
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1)
    assert (checkpoint / "model.safetensors").read_bytes() == before


@pytest.mark.slow
def test_several_faults_are_listed_at_once(checkpoint):
    def change(tensors: dict[str, Tensor]) -> None:
        tensors["stray"] = tensors.pop("clip_stream.project_image.bias")
        poison(float("nan"))(tensors)

    damage(checkpoint, change)
    with pytest.raises(CheckpointError) as caught:
        DWCModel.from_pretrained(checkpoint, ignore_mismatched_sizes=True)
    for expected in ("missing: clip_stream", "unexpected: stray", "not finite: cnn_stream"):
        assert expected in str(caught.value)


def test_a_folder_that_is_empty_cut_short_or_of_a_wrong_config_is_an_error(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        DWCModel.from_pretrained(tmp_path / "nowhere")
    config_file = checkpoint / "config.json"
    settings = json.loads(config_file.read_text())
    config_file.write_text(json.dumps({**settings, "combiner": "tirgg"}))
    with pytest.raises(CheckpointError, match="the combiners are"):
        DWCModel.from_pretrained(checkpoint)
    config_file.write_text(json.dumps(settings))
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        DWCModel.from_pretrained(checkpoint)
    weights.unlink()
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        DWCModel.from_pretrained(checkpoint)


@pytest.mark.slow
def test_no_thread_reads_the_weights_after_an_error(checkpoint, monkeypatch):
    """A thread that read a file while it was shortened ended the process."""
    running = []

    def slow_sum(numbers):
        running.append(numbers)
        time.sleep(0.3)
        running.pop()
        return True

    monkeypatch.setattr("dwc.checkpoints.safetensors_files._has_finite_sum", slow_sum)
    config_file = checkpoint / "config.json"
    settings = json.loads(config_file.read_text())
    config_file.write_text(json.dumps({**settings, "combiner": "tirgg"}))
    with pytest.raises(CheckpointError, match="the combiners are"):
        DWCModel.from_pretrained(checkpoint)
    assert running == []


@pytest.mark.slow
def test_pickled_weights_are_not_read(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(weights, checkpoint / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        DWCModel.from_pretrained(checkpoint)


@pytest.mark.slow
def test_loading_info_is_given_where_asked_for(checkpoint):
    loaded, info = DWCModel.from_pretrained(checkpoint, output_loading_info=True)
    assert isinstance(loaded, DWCModel)
    assert not info["missing_keys"]
