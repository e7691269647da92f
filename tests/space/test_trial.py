"""Trial of a staged Space: small apps that show what they get, and the real one."""

import pytest

from dwc.errors import SpaceError
from dwc.space.staging import SpaceSettings, list_staged, stage
from dwc.space.trial import try_out

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(STATUS)
        self.end_headers()
print(sorted(os.environ), os.getcwd(), sys.path[0], flush=True)
port = int(os.environ["GRADIO_SERVER_PORT"])
http.server.HTTPServer((os.environ["GRADIO_SERVER_NAME"], port), Handler).serve_forever()
"""


@pytest.fixture
def app(tmp_path):
    """Write a Space's app.py, and return the folder."""

    def write(code):
        (tmp_path / "app.py").write_text(code)
        return tmp_path

    return write


@pytest.mark.slow
def test_an_app_that_ends_is_reported_with_its_last_words(app):
    with pytest.raises(SpaceError, match=r"(?s)ends with status 3\..*output:\nno model here$"):
        try_out(app("import sys; print('no model here'); sys.exit(3)"))


@pytest.mark.slow
def test_an_app_that_only_loads_is_given_up_and_stopped(app):
    with pytest.raises(SpaceError, match="not ready in time"):
        try_out(app(SERVER.replace("STATUS", "503")), timeout=0.5)


@pytest.mark.slow
def test_an_app_that_serves_and_does_not_search_is_reported(app, monkeypatch):
    def fail(address, picture):
        raise RuntimeError("no endpoint /search")

    monkeypatch.setattr("dwc.space.trial._search", fail)
    with pytest.raises(SpaceError, match="does not answer a search: no endpoint /search"):
        try_out(app(SERVER.replace("STATUS", "200")))


@pytest.mark.slow
def test_the_app_gets_its_own_folder_and_caches_and_few_variables(app, monkeypatch):
    for name in ("DWC_MODEL", "PYTHONPATH", "GRADIO_ROOT_PATH", "SECRET_KEY", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    answers = []

    def search(address, picture):
        answers.append(picture.is_file())
        return {"results": [1, 2], "model": {"name": "tiny"}}

    monkeypatch.setattr("dwc.space.trial._search", search)
    folder = app(SERVER.replace("STATUS", "200"))
    trial = try_out(folder)
    assert (trial.results, trial.model, answers) == (2, "tiny", [True])
    assert [file.name for file in folder.iterdir()] == ["app.py"]
    monkeypatch.setattr("dwc.space.trial._search", lambda address, picture: 1 / 0)
    with pytest.raises(SpaceError) as error:
        try_out(folder)
    output = str(error.value)
    assert str(folder) in output
    for name in ("DWC_MODEL", "PYTHONPATH", "GRADIO_ROOT_PATH", "SECRET_KEY", "HF_HUB_CACHE"):
        assert f"'{name}'" not in output
    for name in ("DWC_CACHE", "HF_HOME", "HF_ENDPOINT", "HOME", "PATH"):
        assert f"'{name}'" in output


def test_an_interpreter_that_is_not_there_is_named(app, tmp_path):
    with pytest.raises(SpaceError, match="cannot be started"):
        try_out(app(""), python=str(tmp_path / "python"))


@pytest.mark.slow
def test_the_staged_app_answers_on_its_own(tmp_path, monkeypatch):
    """It reads neither this process's settings nor its caches, and leaves no file behind."""
    folder = tmp_path / "space"
    stage(folder, SpaceSettings(models=("progressive-catalogue",)))
    monkeypatch.setenv("DWC_MODEL", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    before = set(list_staged(folder))
    trial = try_out(folder)
    assert (trial.model, trial.results) == ("progressive-catalogue", 3)
    assert set(list_staged(folder)) == before
