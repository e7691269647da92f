import pytest

from dwc.search.model_pool import ModelPool
from tests.ui.fakes import ColouredPictures, RandomSearcher


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return ColouredPictures(tmp_path_factory.mktemp("thumbnails"), 30)


@pytest.fixture
def searcher(pictures):
    return RandomSearcher(pictures.ids)


@pytest.fixture
def models(searcher):
    """One model, `first`, as the page has it."""
    return ModelPool(["first"], lambda name: searcher)


@pytest.fixture
def two_models(pictures):
    """`first` and `second`, which answer differently."""
    return ModelPool(
        ["first", "second"], lambda name: RandomSearcher(pictures.ids, seed=len(name), name=name)
    )


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    """The folder that Gradio keeps uploads in."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path
