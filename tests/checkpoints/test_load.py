"""Checkpoints: written and read back, told apart, and refused when they are not whole."""

import gc
import json
import shutil
from dataclasses import replace

import pytest
import torch
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc import DWCModel, DWCProcessor
from dwc.checkpoints import load
from dwc.checkpoints.save import save_checkpoint
from dwc.errors import CheckpointError
from dwc.modeling.processing_dwc import build_word_tokenizer
from dwc.search.reference_weights import ReferenceWeights, load_reference_weights
from dwc.training.catalogue.recipe import train_clip_tokenizer
from tests.training.tiny import TEXTS, tiny_model, tiny_processor


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture(scope="module")
def model(processor):
    return tiny_model(processor).eval()


@pytest.fixture(scope="module")
def saved(model, processor, tmp_path_factory):
    return save_checkpoint(model, processor, tmp_path_factory.mktemp("saved") / "tiny")


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to break."""
    return shutil.copytree(saved, tmp_path / "tiny")


def edit_json(file, **changes):
    values = json.loads(file.read_text())
    values.update(changes)
    file.write_text(json.dumps(values))


def answer(model, processor):
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.compose(pixel_values=pixels, **processor(text=["top red", "bottom"])).embedding


@pytest.mark.slow
def test_read_back_it_answers_the_same(saved, model, processor):
    loaded = load.load(saved)
    assert not loaded.model.training
    assert loaded.name == str(saved)
    assert loaded.revision is None
    assert loaded.folder == saved
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
    ours, theirs = answer(loaded.model, loaded.processor), answer(model, processor)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_half_precision_is_on_disk_only(saved, model, processor, tmp_path):
    folder = save_checkpoint(model, processor, tmp_path / "half", dtype=torch.float16)
    size, full_size = (
        sum(f.stat().st_size for f in location.glob("*.safetensors"))
        for location in (folder, saved)
    )
    assert size < 0.6 * full_size
    loaded = load.load(folder)
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    similarity = (answer(loaded.model, loaded.processor) * answer(model, processor)).sum(dim=-1)
    assert float(similarity.min()) > 2 - 1e-4  # two streams, a cosine each


def test_weights_are_split_below_the_limit(model, processor, tmp_path):
    folder = save_checkpoint(model, processor, tmp_path / "split", max_shard_mb=0.1)
    shards = list(folder.glob("*.safetensors"))
    largest = max(t.numel() * t.element_size() for t in model.state_dict().values())
    assert len(shards) > 2
    for shard in shards:
        header = 8 + int.from_bytes(shard.read_bytes()[:8], "little")
        assert shard.stat().st_size - header <= max(100_000, largest)
    assert torch.equal(load.load(folder).model.clip.logit_scale, model.clip.logit_scale)


@pytest.mark.slow
def test_saving_over_a_checkpoint_leaves_nothing_of_it(model, processor, tmp_path):
    folder = save_checkpoint(model, processor, tmp_path / "twice", max_shard_mb=0.1)
    (folder / "README.md").write_text("stays")
    save_checkpoint(model, processor, folder)
    assert [file.name for file in folder.glob("model*")] == ["model.safetensors"]
    assert (folder / "README.md").read_text() == "stays"
    assert [file.name for file in tmp_path.iterdir()] == ["twice"]  # nothing left beside it
    load.load(folder)


@pytest.mark.slow
def test_reference_weights_are_stored_with_a_checkpoint_and_go_with_its_weights(
    model, processor, tmp_path
):
    folder = save_checkpoint(model, processor, tmp_path / "known")
    expected = load.fingerprint(folder)
    weights = {"clip": [0.25, 0.5], "cnn": [0.5, 0.75]}
    context = ReferenceWeights(weights, 2, "two queries", fingerprint=expected)
    context.save(folder)
    loaded = load.load(folder)
    assert load_reference_weights(loaded) == context
    assert loaded.fingerprint == expected
    assert load_reference_weights(replace(loaded, folder=None)) is None
    save_checkpoint(model, processor, folder)  # other weights, for all one knows
    assert load_reference_weights(load.load(folder)) is None


def test_everyone_who_reads_the_config_reads_the_weights(saved):
    modes = {file.stat().st_mode for file in saved.rglob("*") if file.is_file()}
    assert len(modes) == 1


def test_weights_that_are_not_finite_are_not_written(processor, tmp_path):
    broken = tiny_model(processor)
    with torch.no_grad():
        broken.clip_stream.project_image.weight[0, 0] = 1e6  # too large for float16
    with pytest.raises(CheckpointError, match=r"clip_stream\.project_image\.weight"):
        save_checkpoint(broken, processor, tmp_path / "broken", dtype=torch.float16)
    assert not (tmp_path / "broken").exists()


def test_fingerprint_is_of_the_content(saved, folder):
    expected = load.fingerprint(saved)
    assert len(expected) == 12
    assert load.load(folder).fingerprint == expected  # another folder, the same content
    edit_json(folder / "config.json", transformers_version="9.9")
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes() + b"\r\n")
    (folder / "README.md").write_text("not part of it")
    assert load.fingerprint(folder) == expected


@pytest.mark.slow
def test_a_leftover_shard_that_the_index_does_not_name_changes_nothing(processor, tmp_path):
    folder = save_checkpoint(tiny_model(processor), processor, tmp_path / "c", max_shard_mb=0.1)
    expected = load.fingerprint(folder)
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    leftover = folder / "model-00001-of-00099.safetensors"
    shutil.copy(shards[0], leftover)
    assert load.load(folder).fingerprint == expected
    assert leftover not in load.content(folder)
    save_checkpoint(tiny_model(processor), processor, folder)
    assert not leftover.exists()


@pytest.mark.parametrize(
    "file",
    ["config.json", "processor_config.json", "word_tokenizer/tokenizer.json",
     "clip_tokenizer/tokenizer_config.json"],
)  # fmt: skip
def test_fingerprint_shows_any_change_of_a_value(saved, folder, file):
    edit_json(folder / file, something_else=1)
    assert load.fingerprint(folder) != load.fingerprint(saved)


def test_fingerprint_shows_one_bit_of_a_weight(saved, folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert load.fingerprint(folder) != load.fingerprint(saved)


def test_what_was_loaded_and_saved_again_is_the_same(saved, tmp_path):
    loaded = load.load(saved)
    again = save_checkpoint(loaded.model, loaded.processor, tmp_path / "again")
    assert load.fingerprint(again) == loaded.fingerprint


def test_loading_leaves_the_collector_of_garbage_as_it_was(saved):
    for switch in (gc.disable, gc.enable):
        switch()
        before = gc.isenabled()
        load.load(saved)
        assert gc.isenabled() == before


def test_the_bundled_one_is_found_from_anywhere(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "BUNDLED_FOLDER", saved)
    monkeypatch.chdir(tmp_path)
    by_default, by_name = load.load(), load.load("dwc-catalogue")
    assert by_default.name == by_name.name == "dwc-catalogue"
    assert by_default.fingerprint == by_name.fingerprint == load.fingerprint(saved)


def test_the_others_that_are_bundled_lie_beside_it(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "BUNDLED_FOLDER", saved.with_name("dwc-catalogue"))
    shutil.copytree(saved, saved.with_name("progressive-catalogue"), dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    loaded = load.load("progressive-catalogue")
    assert loaded.name == "progressive-catalogue"
    assert loaded.folder == saved.with_name("progressive-catalogue")
    with pytest.raises(CheckpointError, match="make checkpoint"):
        load.load("dwc-catalogue")


def test_the_bundled_folder_is_found_from_the_package():
    assert load.BUNDLED_FOLDER.is_absolute()
    assert (load.BUNDLED_FOLDER.parents[2] / "dwc" / "checkpoints" / "load.py").is_file()


def test_a_missing_bundled_checkpoint_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "BUNDLED_FOLDER", tmp_path / "none")
    with pytest.raises(CheckpointError, match="make checkpoint"):
        load.load()


def test_another_kind_of_model_is_named(folder):
    edit_json(folder / "config.json", model_type="clip")
    with pytest.raises(CheckpointError, match="type 'clip', not 'dwc'"):
        load.load(folder)


def test_a_later_format_is_refused(folder):
    edit_json(folder / "config.json", format_version=99)
    with pytest.raises(CheckpointError, match=r"format 99.*Update"):
        load.load(folder)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "weights are missing"),
        ("processor_config.json", "no processor_config.json"),
        ("word_tokenizer/tokenizer.json", "tokenizer"),
        ("clip_tokenizer", "tokenizer"),
    ],
)
def test_a_missing_file_is_named(folder, missing, message):
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CheckpointError, match=message):
        load.load(folder)


@pytest.mark.parametrize(
    "file",
    ["config.json", "processor_config.json", "model.safetensors",
     "word_tokenizer/tokenizer.json", "clip_tokenizer/tokenizer.json"],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_file_cut_short_is_an_error_of_ours(folder, file, share):
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError):
        load.load(folder)


@pytest.mark.parametrize("name", ["model.pth", "pytorch_model.bin"])
def test_pickles_are_not_loaded_but_converted(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(CheckpointError, match="python -m dwc convert"):
        load.load(folder)
    with pytest.raises(CheckpointError, match="python -m dwc convert"):
        load.load(folder / name)


def test_a_word_vocabulary_of_another_size_is_refused(folder, processor):
    other = build_word_tokenizer([*TEXTS, "one more"])
    shutil.rmtree(folder / "word_tokenizer")
    other.save_pretrained(folder / "word_tokenizer")
    rows = len(processor.word_tokenizer)
    with pytest.raises(CheckpointError, match=f"{rows + 2} words, the word embedding {rows} rows"):
        load.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip_tokenizer": lambda: train_clip_tokenizer(TEXTS, 520, 16)}, "520 tokens"),
        ({"clip_tokenizer": lambda: train_clip_tokenizer(TEXTS, 600, 77)}, "allows 77 tokens"),
        ({"clip_tokenizer": lambda: None}, "no clip_tokenizer"),
        ({"word_tokenizer": lambda: None}, "no word_tokenizer"),
        ({"image_processor": CLIPImageProcessorPil}, r"\(224, 224\).* 32 x 32"),
    ],
)
def test_a_processor_of_another_model_is_refused(model, processor, tmp_path, change, message):
    parts = {
        name: getattr(processor, name)
        for name in ("image_processor", "clip_tokenizer", "word_tokenizer")
    }
    other = DWCProcessor(**{**parts, **{name: make() for name, make in change.items()}})
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(model, other, tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


@pytest.mark.slow
def test_without_clips_tokenizer_it_composes_from_ids_and_is_not_loaded_for_search(
    model, processor, tmp_path
):
    incomplete = DWCProcessor(processor.image_processor, None, processor.word_tokenizer)
    folder = save_checkpoint(model, incomplete, tmp_path / "deaf", clip_tokenizer_optional=True)
    with pytest.raises(CheckpointError, match=r"deaf has no clip_tokenizer.*--clip-tokenizer PATH"):
        load.load(folder)
    loaded, read = DWCModel.from_pretrained(folder), DWCProcessor.from_pretrained(folder)
    assert read.clip_tokenizer is None
    words = read(text="top red")
    assert set(words) == {"word_ids", "word_mask"}
    ids = processor(text="top red")["clip_input_ids"]
    pixels = torch.zeros(1, 3, 32, 32)
    with torch.inference_mode():
        query = loaded.compose(pixel_values=pixels, clip_input_ids=ids, **words)
        expected = model.compose(pixel_values=pixels, **processor(text="top red"))
    torch.testing.assert_close(query.embedding, expected.embedding, atol=1e-6, rtol=0)


def test_a_word_tokenizer_is_never_optional(model, processor, tmp_path):
    wordless = DWCProcessor(processor.image_processor, processor.clip_tokenizer, None)
    with pytest.raises(CheckpointError, match="no word_tokenizer"):
        save_checkpoint(model, wordless, tmp_path / "mixed", clip_tokenizer_optional=True)


def test_no_code_of_a_checkpoint_is_run(folder):
    (folder / "evil.py").write_text("raise SystemExit('ran')\n")
    mapping = {"AutoConfig": "evil.C", "AutoModel": "evil.M", "AutoProcessor": "evil.P"}
    edit_json(folder / "config.json", auto_map=mapping)
    edit_json(folder / "processor_config.json", auto_map=mapping)
    for part in ("clip_tokenizer", "word_tokenizer"):
        edit_json(folder / part / "tokenizer_config.json", auto_map={"AutoTokenizer": "evil.T"})
    assert type(load.load(folder).model).__module__ == "dwc.modeling.modeling_dwc"


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "a/b/c", "", "../x"])
def test_what_is_neither_folder_nor_hub_name_is_refused_without_asking_the_hub(name, monkeypatch):
    def ask(*_, **__):
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(load, "find_commit", ask)
    with pytest.raises(CheckpointError, match="no folder"):
        load.load(name)


def test_a_folder_has_no_revision(folder):
    with pytest.raises(CheckpointError, match="no revision"):
        load.load(folder, revision="main")


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{0:064}\nsize 1504724\n"


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "config.json",
        "processor_config.json",
        "clip_tokenizer/tokenizer.json",
        "word_tokenizer/tokenizer.json",
        "reference_weights.json",
    ],
)
def test_a_git_lfs_pointer_is_called_one(tiny, tmp_path, name):
    folder = shutil.copytree(tiny, tmp_path / "copy")
    (folder / name).write_text(POINTER)
    message = f"{name} is a Git LFS pointer .*not the file itself. Run `git lfs pull`"
    with pytest.raises(CheckpointError, match=message):
        load.load(folder)


def test_a_pointer_in_place_of_a_shard_is_called_one(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "copy")
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load.load(folder).model is not None
    (folder / "model-00001-of-00001.safetensors").write_text(POINTER)
    with pytest.raises(CheckpointError, match=r"00001\.safetensors is a Git LFS pointer"):
        DWCModel.from_pretrained(folder)
    (folder / "model.safetensors.index.json").write_text(POINTER)
    with pytest.raises(CheckpointError, match=r"index\.json is a Git LFS pointer"):
        DWCModel.from_pretrained(folder)


def test_an_index_beside_a_single_file_is_reported_as_not_used(tiny, tmp_path, caplog):
    folder = shutil.copytree(tiny, tmp_path / "copy")
    load.load(folder)
    assert "not used" not in caplog.text
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    load.load(folder)
    assert "has both model.safetensors and model.safetensors.index.json" in caplog.text
    assert "the weights are read from model.safetensors" in caplog.text


def test_settings_of_pictures_that_are_not_read_are_said(folder, caplog):
    """Other means in an older file changed nothing, and no word said so."""
    settings = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    load.load(folder)
    assert caplog.messages == []
    edit_json(folder / "preprocessor_config.json", image_mean=[0.1, 0.2, 0.3])
    load.load(folder)
    (message,) = caplog.messages
    assert "preprocessor_config.json is not read, although its image_mean differ" in message


def test_content_other_than_what_was_measured_is_said(folder, caplog):
    """A list of words in another order is as valid as that of the training."""
    file = folder / "evaluation.json"
    file.write_text(json.dumps({"fingerprint": load.fingerprint(folder)}))
    load.load(folder)
    assert caplog.messages == []
    images = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    edit_json(folder / "processor_config.json", image_processor={**images, "image_std": [0.2] * 3})
    load.load(folder)
    (message,) = caplog.messages
    assert "was measured with other content" in message
    assert "fetch it again" in message
    caplog.clear()
    saved = save_checkpoint(load.load(folder).model, load.load(folder).processor, folder)
    assert not file.exists()  # it was measured with the former checkpoint
    caplog.clear()
    load.load(saved)
    file.write_text("no JSON")
    load.load(folder)
    assert caplog.messages == []


def test_a_setting_given_twice_is_refused(folder):
    file = folder / "processor_config.json"
    file.write_text(file.read_text().rstrip()[:-1] + ', "rephrase_exclusions": true}')
    again = file.read_text().rstrip()[:-1] + ', "rephrase_exclusions": false}'
    file.write_text(again)
    with pytest.raises(CheckpointError, match="'rephrase_exclusions' is given twice"):
        load.load(folder)
