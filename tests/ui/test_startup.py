"""Galleries where they are kept, and models that are opened over them once, and again."""

import logging
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from dwc.checkpoints.load import fingerprint
from dwc.errors import CheckpointError, ImageError
from dwc.gallery.sources import CatalogueSource, FolderSource
from dwc.search.image_embedding import image_embedder
from dwc.ui import startup
from dwc.ui.startup import (
    cache_folder,
    list_bundled,
    name_models,
    open_meanwhile,
    open_models,
    store_folder,
)
from tests.gallery.conftest import make_old
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery


@pytest.fixture(scope="module")
def tinies(tmp_path_factory):
    """Two checkpoints, which differ."""
    place = tmp_path_factory.mktemp("models")
    return [write_tiny_checkpoint(place / name, seed) for seed, name in enumerate(("one", "two"))]


@pytest.fixture
def gallery(tmp_path, monkeypatch):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "gallery").mkdir()
    folder = draw_gallery(tmp_path / "gallery", 6)
    make_old(folder)
    return folder


class Counts:
    """How many pictures each model is told to have embedded, in the order of the starts."""

    def __init__(self):
        self.embedded = []

    @contextmanager
    def show(self, name):
        first = []
        yield lambda done, total, seconds_left: first.append(done) or first
        self.embedded.append((name, first[-1] - first[0]))


def ask(models, name):
    with models.using(name) as searcher:
        return searcher.search(text="is blue", k=3)


def test_the_cache_is_where_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "named"
    monkeypatch.delenv("DWC_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "dwc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "dwc"


def test_a_store_belongs_to_one_model_and_one_gallery(monkeypatch, tmp_path):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path))
    for name in ("a/photos", "b/photos", "c/my photos & more"):
        (tmp_path / name).mkdir(parents=True)
    sources = [
        FolderSource(tmp_path / "a/photos"),
        FolderSource(tmp_path / "b/photos"),
        FolderSource(tmp_path / "c/my photos & more"),
        CatalogueSource(),
        CatalogueSource(size=100),
    ]
    folders = [store_folder(model, source) for model in ("f1", "f2") for source in sources]
    assert len(set(folders)) == len(folders)
    assert store_folder("f1", FolderSource(tmp_path / "a/photos")) == folders[0]
    assert all(folder.parent == tmp_path / "galleries" for folder in folders)
    assert all(
        set(folder.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for folder in folders
    )


@pytest.mark.slow
def test_every_model_embeds_the_gallery_once_and_answers_for_itself(tinies, gallery, monkeypatch):
    embedded = []

    def count_embedded(checkpoint):
        embed = image_embedder(checkpoint)
        return lambda images: embedded.append(len(images)) or embed(images)

    monkeypatch.setattr(startup, "image_embedder", count_embedded)
    counts = Counts()
    models, store = open_models([str(path) for path in tinies], str(gallery), counts.show)
    assert models.names == ("one", "two")
    assert counts.embedded == [("one", 6), ("two", 6)]
    assert store.manifest.model.fingerprint == fingerprint(tinies[0])
    assert [models.origin(name).fingerprint for name in models.names] == list(
        map(fingerprint, tinies)
    )
    scores = [ask(models, name).hits[0].score for name in models.names]
    assert scores[0] != scores[1]
    assert sum(embedded) == 12
    open_models([str(path) for path in tinies], str(gallery), counts.show)
    assert sum(embedded) == 12


@pytest.mark.slow
def test_a_renamed_gallery_is_not_embedded_again(tinies, gallery):
    counts = Counts()
    _, store = open_models([str(tinies[0])], str(gallery), counts.show)
    renamed = gallery.with_name("renamed")
    gallery.rename(renamed)
    (gallery.with_name("link")).symlink_to(renamed)
    for name in ("renamed", "link", "renamed/../link"):
        _, again = open_models([str(tinies[0])], str(gallery.parent / name), counts.show)
        assert again.path == store.path
        assert again.picture(again.ids[0]).original
    assert counts.embedded == [("one", 6)] + [("one", 0)] * 3


@pytest.mark.slow
def test_a_gallery_whose_drive_is_off_is_shown_as_away(tinies, gallery, caplog):
    counts = Counts()
    open_models([str(tinies[0])], str(gallery), counts.show)
    gallery.rename(gallery.with_name("elsewhere"))
    with caplog.at_level(logging.WARNING):
        models, store = open_models([str(tinies[0])], str(gallery), counts.show)
    assert len(store) == len(store.away) == 6
    assert "6 pictures are not there now" in caplog.text
    assert ask(models, "one").hits
    with pytest.raises(ImageError, match="there is no such folder"):
        open_models([str(tinies[0])], str(gallery.with_name("nowhere")), counts.show)


@pytest.mark.slow
def test_models_whose_stores_differ_in_away_pictures_answer_together(tinies, gallery):
    counts = Counts()
    paths = [str(path) for path in tinies]
    removed = sorted(gallery.glob("*"))[0]
    open_models(paths[1:], str(gallery), counts.show)
    removed.unlink()
    models, store = open_models(paths, str(gallery), counts.show)
    assert (len(store), len(store.away)) == (5, 0)
    with models.using("two") as searcher:
        assert searcher.store.ids == store.ids
        assert len(searcher.search(text="is blue", k=9).hits) == 5


@pytest.mark.slow
def test_the_first_answers_while_the_others_are_opened(tinies, gallery, caplog):
    counts = Counts()
    arguments = [str(tinies[0]), "/nowhere/model", str(tinies[1])]
    models, store = open_models(arguments, str(gallery), counts.show, waits=False)
    assert (models.names, models.in_memory) == (("one", "model", "two"), ("one",))
    ask(models, "one")
    assert counts.embedded == [("one", 6)]
    with caplog.at_level(logging.WARNING):
        open_meanwhile(models, models.names, store).join(timeout=60)
    assert counts.embedded[1:] == [("two", 6)]
    assert models.in_memory == ("one", "two")
    assert "The model model cannot be opened: there is no folder" in caplog.text
    with pytest.raises(CheckpointError, match="there is no folder"):
        ask(models, "model")


def test_those_that_come_with_the_package_are_offered_where_they_are_made(monkeypatch, tmp_path):
    for name in ("dwc-catalogue", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("dwc.checkpoints.load.BUNDLED_FOLDER", tmp_path / "dwc-catalogue")
    assert list_bundled() == ["dwc-catalogue"]
    (tmp_path / "progressive-catalogue").mkdir()
    assert list_bundled() == ["dwc-catalogue", "progressive-catalogue"]


@pytest.mark.slow
def test_what_was_let_go_answers_the_same_again(tinies, gallery):
    counts = Counts()
    models, store = open_models([str(path) for path in tinies], str(gallery), counts.show, 1)
    assert models.in_memory == ("two",)
    before = [ask(models, name) for name in ("one", "two", "one")]
    assert before[0].hits == before[2].hits
    assert len(counts.embedded) == 2  # what was embedded is only opened
    with models.using("one") as searcher:
        assert searcher.store is store  # the page's, which stays in any case


@pytest.mark.slow
def test_a_later_model_that_cannot_be_loaded_is_named_and_left_out(tinies, gallery, caplog):
    arguments = [str(tinies[0]), "/nowhere/model", str(tinies[1])]
    with caplog.at_level(logging.WARNING):
        models, _ = open_models(arguments, str(gallery), Counts().show)
    assert models.names == ("one", "two")
    (told,) = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert "The model model is left out: there is no folder '/nowhere/model'" in told


def test_the_first_model_has_to_load(tinies, gallery):
    with pytest.raises(CheckpointError, match="there is no folder"):
        open_models(["/nowhere/model", str(tinies[0])], str(gallery), Counts().show)


@pytest.mark.slow
def test_a_model_that_changed_or_went_is_told_and_the_others_answer(tinies, gallery, tmp_path):
    changing = shutil.copytree(tinies[1], tmp_path / "changing")
    models, _ = open_models([str(tinies[0]), str(changing)], str(gallery), Counts().show, 1)
    ask(models, "one")
    shutil.rmtree(changing)
    with pytest.raises(CheckpointError, match=r"changing cannot be loaded again.*Choose another"):
        ask(models, "changing")
    write_tiny_checkpoint(changing, seed=7)
    with pytest.raises(CheckpointError, match=rf"it was {fingerprint(tinies[1])} when the app"):
        ask(models, "changing")
    assert ask(models, "one").hits
    shutil.rmtree(changing)
    shutil.copytree(tinies[1], changing)
    assert ask(models, "changing").hits


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([None], ["dwc-catalogue"]),
        (["owner/name", "owner/name@v2"], ["owner/name", "owner/name@v2"]),
        (["/runs/a/best", "/runs/b/best", "owner/name"], ["a/best", "b/best", "owner/name"]),
        (["/x/a/best", "/y/a/best"], ["x/a/best", "y/a/best"]),
        (["/runs/best", "/runs/best", None], ["best", "dwc-catalogue"]),
    ],
)
def test_models_are_called_by_what_tells_them_apart(arguments, names):
    named = name_models(arguments)
    assert list(named) == names
    assert list(named.values()) == [a or "dwc-catalogue" for a in dict.fromkeys(arguments)]
