"""Models of the Hub in the app: each by the commit that was found at the start."""

from contextlib import contextmanager

import pytest

from dwc.checkpoints import load
from dwc.ui.startup import open_models
from tests.ui.live import draw_gallery


@contextmanager
def silently(name):
    yield lambda done, total, seconds_left: None


@pytest.fixture
def gallery(tmp_path, monkeypatch):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "stores"))
    (tmp_path / "gallery").mkdir()
    return str(draw_gallery(tmp_path / "gallery", 4))


@pytest.mark.slow
def test_a_model_is_loaded_again_by_its_first_commit(hub, cache, tiny, other, gallery):
    """What is pushed meanwhile is not taken for the model that embedded the gallery."""
    repository = hub.repositories["models/owner/tiny"]
    first = repository.branches["main"]
    second = repository.commit(other, branch="v2")
    models, _ = open_models(["owner/tiny", "owner/tiny@v2"], gallery, silently, 1)
    assert models.names == ("owner/tiny", "owner/tiny@v2")
    origins = [models.origin(name) for name in models.names]
    assert [origin.revision for origin in origins] == [first, second]
    assert {origin.model for origin in origins} == {"owner/tiny"}

    repository.commit(other)
    for name, folder, commit in (("owner/tiny", tiny, first), ("owner/tiny@v2", other, second)):
        with models.using(name) as searcher:
            assert searcher.checkpoint.fingerprint == load.fingerprint(folder)
            assert searcher.checkpoint.revision == commit


@pytest.mark.slow
def test_a_model_in_the_cache_is_loaded_again_without_the_hub(hub, cache, other, gallery):
    hub.repositories["models/owner/tiny"].commit(other, branch="v2")
    models, _ = open_models(["owner/tiny", "owner/tiny@v2"], gallery, silently, 1)
    hub.close()
    for name in models.names:
        with models.using(name) as searcher:
            assert searcher.search(text="is blue", k=1).hits
