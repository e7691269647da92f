"""A Space that is staged, tried out and uploaded, with the Hub's real client."""

import pytest

from dwc.cli import main
from dwc.space.staging import list_staged
from tests.checkpoints.server import TOKEN


@pytest.fixture(autouse=True)
def _logged_in(cache, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def space(*arguments):
    return main(["space", *map(str, arguments)])


@pytest.mark.slow
def test_the_staged_files_are_uploaded_and_older_ones_deleted(hub, tmp_path, capsys):
    options = ["--model", "owner/tiny", "--no-start", "--out", tmp_path / "space"]
    assert space("owner/demo", *options) == 0
    repository = hub.repositories["spaces/owner/demo"]
    assert (repository.sdk, repository.private) == ("gradio", False)
    commit = repository.branches["main"]
    assert f"published owner/demo@{commit}: {hub.address}/spaces/owner/demo" in (
        capsys.readouterr().out
    )
    (repository.folder / commit / "dwc" / "outdated.py").write_text("")
    assert space("owner/demo", *options, "--title", "Wardrobe") == 0
    uploaded = repository.files(repository.branches["main"])
    staged = list_staged(tmp_path / "space")
    assert set(uploaded) == {*staged, ".gitattributes"}
    assert {p: f.read_bytes() for p, f in staged.items()} == {
        p: uploaded[p].read_bytes() for p in staged
    }
    assert "title: Wardrobe" in uploaded["README.md"].read_text(encoding="utf-8")
    assert hub.repositories["models/owner/tiny"].branches.keys() == {"main"}


def test_a_dry_run_uploads_nothing(hub, capsys):
    assert space("owner/demo", "--model", "owner/tiny", "--no-start", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "  dwc/ui/static/style.css\n" in out
    assert "dry run: nothing was uploaded to owner/demo" in out
    assert hub.count("POST|PUT") == 0


@pytest.mark.slow
def test_a_space_of_another_project_stays_as_it_is(hub, tiny, capsys):
    theirs = hub.add("owner/theirs", tiny, kind="spaces")
    before = dict(theirs.branches)
    assert space("owner/theirs", "--model", "owner/tiny", "--no-start") == 2
    assert "there is a Space of this name already" in capsys.readouterr().err
    assert theirs.branches == before


@pytest.mark.slow
def test_a_private_space_is_private_and_without_a_token_it_says_to_log_in(hub, monkeypatch, capsys):
    options = ["--model", "owner/tiny", "--no-start"]
    assert space("owner/mine", *options, "--private") == 0
    assert hub.repositories["spaces/owner/mine"].private
    monkeypatch.delenv("HF_TOKEN")
    assert space("owner/fresh", *options) == 2
    error = capsys.readouterr().err
    assert "SpaceError: owner/fresh was not published" in error
    assert "hf auth login" in error
