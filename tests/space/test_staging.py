"""The files of a Space: all that it needs, nothing else, and nothing that the Hub refuses."""

import os
import runpy
from importlib import metadata

import pytest

from dwc.checkpoints.hub import Commit
from dwc.checkpoints.load import ALL_BUNDLED
from dwc.checkpoints.save import list_files
from dwc.errors import CheckpointError, SpaceError
from dwc.files import asset_path
from dwc.space.staging import (
    SpaceSettings,
    _render_app,
    check,
    find_problems,
    list_staged,
    read_front_matter,
    select_outdated,
    stage,
)
from tests.ui.live import ROOT


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("staging") / "space"
    return folder, stage(folder, SpaceSettings())


@pytest.fixture
def light(tmp_path, monkeypatch):
    """A Space without weights, which tests may spoil."""
    monkeypatch.setattr("dwc.space.staging.ALL_BUNDLED", ())
    folder = tmp_path / "space"
    stage(folder, SpaceSettings())
    return folder


def defaults_of(folder, monkeypatch):
    """The environment variables that app.py sets."""
    for name in ("DWC_MODEL", "DWC_GALLERY"):
        monkeypatch.delenv(name, raising=False)
    runpy.run_path(str(folder / "app.py"), run_name="not_main")
    return {n: os.environ[n] for n in ("DWC_MODEL", "DWC_GALLERY") if n in os.environ}


@pytest.mark.slow
def test_the_files_are_those_that_the_app_needs(staged):
    folder, sizes = staged
    package = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "dwc").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    weights = {
        f"assets/checkpoints/{name}/{path}"
        for name in ALL_BUNDLED
        for path in list_files(asset_path("checkpoints", name))
    }
    top = {"README.md", "app.py", "requirements.txt", "LICENSE", "NOTICE"}
    assert set(sizes) == {*package, *weights, *top, "assets/study/study.json"}
    assert sizes == {path: file.stat().st_size for path, file in list_staged(folder).items()}
    for path in (*package, *weights, "requirements.txt"):
        source = ROOT / path
        assert (folder / path).read_bytes() == source.read_bytes(), path


def test_no_file_needs_the_storage_for_large_files_but_weights(staged):
    _, sizes = staged
    assert {path for path, size in sizes.items() if size > 10_000_000} == set()


def test_the_readme_configures_the_space(staged):
    import gradio

    fields = read_front_matter(staged[0] / "README.md")
    assert fields["sdk_version"] == gradio.__version__
    assert fields["suggested_hardware"] == "cpu-basic"
    assert {"models", "datasets", "preload_from_hub"} & set(fields) == set()
    text = (staged[0] / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in ALL_BUNDLED)
    assert "https://arxiv.org/abs/2312.06179" in text


def test_the_readme_of_the_checkout_configures_a_space_too():
    fields = read_front_matter(ROOT / "README.md")
    assert find_problems(fields, lambda path: (ROOT / path).is_file()) == []


@pytest.mark.slow
def test_a_space_is_staged_again_over_an_earlier_one(light):
    (light / "dwc" / "outdated.py").write_text("")
    stage(light, SpaceSettings(title="Wardrobe"))
    assert not (light / "dwc" / "outdated.py").exists()
    assert read_front_matter(light / "README.md")["title"] == "Wardrobe"


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path):
    (tmp_path / "app.py").write_text("mine")
    (tmp_path / "letters.txt").write_text("mine too")
    with pytest.raises(SpaceError, match=r"other files .*letters\.txt"):
        stage(tmp_path, SpaceSettings())
    assert {file.name for file in tmp_path.iterdir()} == {"app.py", "letters.txt"}


@pytest.mark.slow
def test_nothing_is_left_of_a_space_that_breaks_a_rule(tmp_path):
    with pytest.raises(SpaceError, match=r"suggested_hardware is 'a-toaster'"):
        stage(tmp_path / "space", SpaceSettings(hardware="a-toaster"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("assets/table.json", b" " * 10_000_001, "has 10,000,001 bytes, more than 10,000,000"),
        ("assets/page.png", b"\x89PNG", "is of no kind that a Space needs"),
        ("dwc/engine.so", b"\x7fELF", "is of no kind that a Space needs"),
        ("dwc/hidden.py", b"\x7fELF\0\xff", "is no text, whatever its name says"),
        ("dwc/__pycache__/cli.py", b"", "does not belong to a Space"),
        ("dwc/tests/test_cli.py", b"", "does not belong to a Space"),
        (".env", b"HF_TOKEN=hf_secret", "does not belong to a Space"),
        ("notes.md", b"", "does not belong to a Space"),
    ],
)
def test_a_file_that_the_hub_refuses_or_nobody_needs_is_named(light, path, content, problem):
    check(light)
    (light / path).parent.mkdir(parents=True, exist_ok=True)
    (light / path).write_bytes(content)
    with pytest.raises(SpaceError) as error:
        check(light)
    assert f"{path} {problem}." in str(error.value)


@pytest.mark.slow
def test_links_and_missing_files_are_named(light):
    (light / "dwc" / "link.py").symlink_to(ROOT / "app.py")
    (light / "requirements.txt").unlink()
    with pytest.raises(SpaceError) as error:
        check(light)
    assert "dwc/link.py is a link" in str(error.value)
    assert "requirements.txt is missing." in str(error.value)


def test_a_model_of_the_hub_is_named_by_its_commit_and_loaded_when_the_space_is_built(
    hub, cache, tiny, tmp_path, monkeypatch
):
    folder = tmp_path / "space"
    commit = hub.repositories["models/owner/tiny"].branches["main"]
    stage(folder, SpaceSettings(models=("dwc-catalogue", "owner/tiny"), gallery="owner/clothes"))
    fields = read_front_matter(folder / "README.md")
    assert (fields["models"], fields["datasets"]) == (["owner/tiny"], ["owner/clothes"])
    (item,) = fields["preload_from_hub"]
    repo, files, revision = item.split(" ")
    expected = set(list_files(tiny)) - {"README.md"}
    assert (repo, set(files.split(",")), revision) == ("owner/tiny", expected, commit)
    assert (folder / "assets" / "checkpoints" / "dwc-catalogue" / "config.json").is_file()
    assert not (folder / "assets" / "checkpoints" / "progressive-catalogue").exists()
    assert defaults_of(folder, monkeypatch) == {
        "DWC_MODEL": f"dwc-catalogue,owner/tiny@{commit}", "DWC_GALLERY": "owner/clothes",
    }  # fmt: skip


def test_each_revision_of_a_model_keeps_its_own_commit():
    """Two revisions of one model both got the commit of the last."""
    models = ("owner/tiny@old", "dwc-catalogue", "owner/tiny@new")
    commits = [Commit("owner/tiny", sha, {}, name) for sha, name in (("1a", "old"), ("2b", "new"))]
    app = _render_app(SpaceSettings(models=models), ["dwc-catalogue"], commits)
    assert "'owner/tiny@1a,dwc-catalogue,owner/tiny@2b'" in app


def test_the_settings_of_the_space_come_before_those_of_its_files(light, monkeypatch):
    assert defaults_of(light, monkeypatch) == {}
    compile((light / "app.py").read_text(), "app.py", "exec")


def test_what_is_on_this_machine_alone_is_refused(hub, cache, tiny, tmp_path):
    with pytest.raises(SpaceError, match="Publish it first"):
        stage(tmp_path / "space", SpaceSettings(models=(str(tiny),)))
    with pytest.raises(SpaceError, match="as a dataset"):
        stage(tmp_path / "space", SpaceSettings(gallery=str(tmp_path)))
    with pytest.raises(CheckpointError, match="The Hub has no model owner/none"):
        stage(tmp_path / "space", SpaceSettings(models=("owner/none",)))
    assert hub.count("POST|PUT") == 0


@pytest.mark.slow
def test_zero_gpu_gets_the_versions_that_it_supports(light):
    stage(light, SpaceSettings(hardware="zero-a10g"))
    assert "\ntorch>=2.8,<2.12\n" in (light / "requirements.txt").read_text()
    assert read_front_matter(light / "README.md")["python_version"] == "3.12.12"


@pytest.mark.slow
def test_without_a_checkout_the_package_states_its_requirements_itself(light, monkeypatch):
    """As in a wheel: around the staged copy there is no pyproject.toml."""
    monkeypatch.setattr("dwc.space.staging._PACKAGE", light / "dwc")
    monkeypatch.setattr(metadata, "requires", lambda name: ["a>=1", 'b; extra == "c"', "torch>=2"])
    folder = light.with_name("again")
    stage(folder, SpaceSettings(hardware="zero-a10g"))
    text = (folder / "requirements.txt").read_text()
    assert text == "a>=1\ntorch>=2.8,<2.12\n"


def test_a_space_of_someone_else_is_not_overwritten():
    assert select_outdated([".gitattributes", "README.md"]) == ["README.md"]
    ours = [".gitattributes", "app.py", "dwc/cli.py", "assets/old.json"]
    assert select_outdated(ours) == ["app.py", "dwc/cli.py", "assets/old.json"]
    for others in (["app.py", "README.md"], [*ours, "data/secret.csv"]):
        with pytest.raises(SpaceError, match="Nothing was uploaded"):
            select_outdated(others)


COMMIT = "0123456789abcdef0123456789abcdef01234567"
VALID = {
    "title": "DWC", "emoji": "🧥", "colorFrom": "blue", "colorTo": "yellow", "sdk": "gradio",
    "sdk_version": "6.31.0", "python_version": "3.11", "app_file": "app.py", "pinned": False,
    "license": "apache-2.0", "short_description": "Search by picture and words",
    "suggested_hardware": "cpu-basic", "models": ["owner/tiny"], "datasets": ["owner/clothes"],
    "tags": ["image-retrieval"], "header": "mini",
    "preload_from_hub": ["owner/tiny", f"owner/tiny config.json,a/b.json {COMMIT}"],
}  # fmt: skip


def problems(**changes):
    fields = {name: value for name, value in {**VALID, **changes}.items() if value is not ...}
    return find_problems(fields, {"app.py", "README.md"}.__contains__)


def test_valid_fields_have_no_problem():
    assert problems() == []


@pytest.mark.parametrize("emoji", ["👩🏽‍🔬", "✂️", "🇫🇷"])
def test_an_emoji_of_several_characters_is_accepted(emoji):
    assert problems(emoji=emoji) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", " "),
        ("title", 5),
        ("emoji", "coat"),
        ("emoji", "🧥 x"),
        ("emoji", ""),
        ("colorFrom", "orange"),
        ("colorTo", "#ff0000"),
        ("sdk", "streamlit"),
        ("sdk_version", "6.31"),
        ("sdk_version", 6.3),
        ("python_version", 3.1),
        ("python_version", "2.7"),
        ("app_file", ""),
        ("pinned", "no"),
        ("license", "Apache 2.0"),
        ("short_description", "x" * 61),
        ("suggested_hardware", "cpu"),
        ("models", "owner/tiny"),
        ("models", ["owner/tiny/more"]),
        ("datasets", ["../clothes"]),
        ("tags", [1]),
        ("preload_from_hub", [f"owner/tiny {COMMIT} config.json"]),
        ("preload_from_hub", ["owner/tiny config.json main"]),
        ("preload_from_hub", ["owner/tiny config.json, b.json"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(name, value):
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name} is {value!r}; expected: ")


def test_a_misspelled_field_a_missing_one_and_a_missing_file_are_named():
    assert problems(colourFrom="blue") == ["colourFrom is no field of a Space; check its spelling."]
    assert problems(license=...) == ["license is missing."]
    assert problems(app_file="main.py") == ["app_file is 'main.py', and there is no such file."]


def test_front_matter_is_read_and_broken_yaml_is_refused(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("---\ntitle: DWC\nemoji: 🧥\npinned: false\n---\n\n# DWC\n")
    assert read_front_matter(readme) == {"title": "DWC", "emoji": "🧥", "pinned": False}
    readme.write_text("---\ntitle: [\n---\n")
    with pytest.raises(SpaceError, match=r"README\.md: its front matter cannot be read"):
        read_front_matter(readme)
