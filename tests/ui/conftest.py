import pytest

from tests.ui.fakes import ColouredPictures, RandomSearcher


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return ColouredPictures(tmp_path_factory.mktemp("thumbnails"), 30)


@pytest.fixture
def searcher(pictures):
    return RandomSearcher(pictures.ids)


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    """The folder that Gradio keeps uploads in."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path
