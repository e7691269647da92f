"""A checkpoint published through the Hub's real client, and loaded back."""

import json
import shutil

import pytest
from huggingface_hub import ModelCard

from dwc.checkpoints import load
from dwc.checkpoints.save import push as push_checkpoint
from dwc.checkpoints.save import save_checkpoint
from dwc.cli import main
from dwc.errors import CheckpointError
from dwc.search.reference_weights import ReferenceWeights, load_reference_weights
from tests.checkpoints.faults import refused
from tests.checkpoints.server import TOKEN


@pytest.fixture(autouse=True)
def _logged_in(cache, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def push(*arguments):
    return main(["push", *map(str, arguments)])


@pytest.mark.slow
def test_what_is_published_loads_back_identical(hub, tiny, capsys):
    assert push(tiny, "owner/fresh") == 0
    loaded = load.load("owner/fresh")
    assert loaded.fingerprint == load.fingerprint(tiny)
    assert f"published owner/fresh@{loaded.revision}" in capsys.readouterr().out
    repository = hub.repositories["models/owner/fresh"]
    card = repository.files(loaded.revision)["README.md"]
    assert card.read_bytes() == (tiny / "README.md").read_bytes()
    assert not repository.private


@pytest.mark.slow
def test_reference_weights_go_along_and_go_when_they_are_gone(hub, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "known")
    weights, own = {"clip": [0.25], "cnn": [0.5]}, load.fingerprint(tiny)
    context = ReferenceWeights(weights, 1, "one query", fingerprint=own)
    context.save(folder)
    push(folder, "owner/known")
    loaded = load.load("owner/known")
    assert load_reference_weights(loaded) == context
    assert loaded.fingerprint == load.fingerprint(tiny)
    push(tiny, "owner/known")
    assert load_reference_weights(load.load("owner/known")) is None


@pytest.mark.slow
def test_a_branch_is_made_and_main_stays(hub, tiny, other):
    assert push(other, "owner/tiny", "--revision", "v2") == 0
    assert load.load("owner/tiny@v2").fingerprint == load.fingerprint(other)
    assert load.load("owner/tiny").fingerprint == load.fingerprint(tiny)


@pytest.mark.slow
def test_one_commit_replaces_another_checkpoint_and_leaves_other_files(hub, tiny, tmp_path):
    loaded = load.load(tiny)
    split = save_checkpoint(loaded.model, loaded.processor, tmp_path / "split", max_shard_mb=0.1)
    (split / "notes.txt").write_text("not part of it")
    push(split, "owner/tiny")
    files = hub.repositories["models/owner/tiny"].files(load.load("owner/tiny").revision)
    assert "model.safetensors" not in files
    assert {"model.safetensors.index.json", "README.md"} <= set(files)
    assert "notes.txt" not in files
    assert load.load("owner/tiny").fingerprint == load.fingerprint(split)
    assert hub.count("POST .*/commit/") == 1


def test_a_dry_run_lists_files_and_sizes_and_requests_nothing(hub, tiny, capsys):
    assert push(tiny, "owner/fresh", "--dry-run") == 0
    out = capsys.readouterr().out
    for path in ("config.json", "model.safetensors", "word_tokenizer/tokenizer.json", "README.md"):
        assert f"{(tiny / path).stat().st_size:,}  {path}\n" in out
    assert load.fingerprint(tiny) in out
    assert hub.requested == []


NUMBERS = {
    "protocol": "fashion_iq-P3", "queries": 6016, "gallery": 8619,
    "recall@1": 0.1, "recall@10": 0.3611, "recall@50": 0.6139,
    "streams": {"clip": {"recall@10": 0.25, "recall@50": 0.5}, "cnn": {"recall@10": 0.3}},
}  # fmt: skip


@pytest.fixture
def cardless(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "cardless")
    (folder / "README.md").unlink()
    return folder


@pytest.mark.slow
def test_a_folder_without_a_card_is_given_one_with_license_data_and_numbers(
    hub, cardless, tmp_path, capsys
):
    (tmp_path / "numbers.json").write_text(json.dumps(NUMBERS))
    options = ["--license", "cc-by-4.0", "--dataset", "fashion_iq", "--base-model", "someone/clip",
               "--metrics", tmp_path / "numbers.json"]  # fmt: skip
    assert push(cardless, "owner/fresh", *options, "--dry-run") == 0
    visible = capsys.readouterr().out
    assert "README.md (made from" in visible
    assert hub.requested == []
    assert push(cardless, "owner/fresh", *options) == 0
    repository = hub.repositories["models/owner/fresh"]
    files = repository.files(load.load("owner/fresh").revision)
    card = ModelCard.load(files["README.md"])
    assert files["README.md"].read_text() in visible
    assert (card.data.license, card.data.datasets) == ("cc-by-4.0", ["fashion_iq"])
    assert card.data.base_model == "someone/clip"
    assert {"composed-image-retrieval", "arxiv:2312.06179"} <= set(card.data.tags)
    (ten,) = [result for result in card.data.eval_results if result.metric_type == "recall@10"]
    assert (ten.dataset_type, ten.metric_value) == ("fashion_iq-P3", 0.3611)
    assert "| fashion_iq-P3 | 6016 | 8619 | both streams | 10.00 | 36.11 | 61.39 |" in card.content
    assert "| fashion_iq-P3 | 6016 | 8619 | CNN stream |  | 30.00 |  |" in card.content
    assert "No licence" not in card.content
    assert not (cardless / "README.md").exists()


@pytest.mark.slow
def test_a_card_says_what_is_not_known(hub, cardless):
    assert push(cardless, "owner/fresh") == 0
    repository = hub.repositories["models/owner/fresh"]
    card = ModelCard.load(repository.files(load.load("owner/fresh").revision)["README.md"])
    assert card.data.license is None
    for part in ("Nothing has been measured", "Trained on: not stated", "No licence is stated"):
        assert part in card.content


def test_a_card_of_ones_own_is_not_written_over(hub, tiny, capsys):
    assert push(tiny, "owner/fresh", "--license", "mit") == 2
    assert "has a README.md of its own" in capsys.readouterr().err
    assert hub.requested == []


@pytest.mark.parametrize("content", ["not json", "[]", '{"recall@10": 0.5}'])
def test_numbers_of_something_else_are_refused(hub, cardless, tmp_path, content, capsys):
    (tmp_path / "numbers.json").write_text(content)
    assert push(cardless, "owner/fresh", "--metrics", tmp_path / "numbers.json") == 2
    assert "numbers.json" in capsys.readouterr().err
    assert hub.requested == []


def test_what_does_not_load_is_not_published(hub, tiny, tmp_path, capsys):
    broken = shutil.copytree(tiny, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert push(broken, "owner/fresh") == 2
    assert push(tmp_path / "none", "owner/fresh") == 2
    assert "CheckpointError" in capsys.readouterr().err
    with pytest.raises(CheckpointError):
        push_checkpoint(broken, "owner/fresh")
    assert hub.requested == []


@pytest.mark.slow
def test_private_is_private_and_never_a_public_one(hub, tiny, capsys):
    assert push(tiny, "owner/mine", "--private") == 0
    assert hub.repositories["models/owner/mine"].private
    before = dict(hub.repositories["models/owner/tiny"].branches)
    assert push(tiny, "owner/tiny", "--private") == 2
    assert "is public" in capsys.readouterr().err
    assert hub.repositories["models/owner/tiny"].branches == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "fault", "message"),
    [
        ("api/models", refused(403), r"no right to owner/tiny \(403\)"),
        ("PUT /lfs", refused(403), r"no right to owner/tiny \(403\)"),
    ],
)
def test_a_refusal_is_reported_and_changes_nothing(hub, tiny, other, pattern, fault, message):
    hub.fail(pattern, fault)
    before = dict(hub.repositories["models/owner/tiny"].branches)
    with pytest.raises(CheckpointError, match=rf"owner/tiny was not published\. .*{message}"):
        push_checkpoint(other, "owner/tiny")
    assert hub.repositories["models/owner/tiny"].branches == before


@pytest.mark.slow
def test_a_push_of_someone_else_meanwhile_is_not_overwritten(hub, tiny, other):
    repository = hub.repositories["models/owner/tiny"]
    theirs = []

    def push_first(reply):
        theirs.append(repository.commit(tiny))
        return reply

    hub.fail("preupload", push_first, times=1)
    with pytest.raises(CheckpointError, match=r"changed meanwhile \(412\)"):
        push_checkpoint(other, "owner/tiny")
    assert [repository.branches["main"]] == theirs


def test_without_a_token_it_says_to_log_in(hub, tiny, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(CheckpointError, match=r"401.*hf auth login"):
        push_checkpoint(tiny, "owner/fresh")
