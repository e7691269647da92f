"""A Hub on this machine, the client turned to it, and a checkpoint to serve."""

import pytest
from huggingface_hub import constants

from dwc.checkpoints import load
from tests.checkpoints.server import serve
from tests.search.tiny import write_tiny_checkpoint


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A whole checkpoint of a few thousand weights, with a card."""
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("hub") / "tiny")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\nA tiny checkpoint.\n")
    return folder


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """Another one, with the same names and other weights."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("hub") / "other", seed=1)


@pytest.fixture(scope="session")
def fingerprint(tiny):
    """The first one's."""
    return load.fingerprint(tiny)


@pytest.fixture
def hub(tmp_path, tiny):
    """A Hub that has the checkpoint as `owner/tiny`."""
    with serve(tmp_path / "hub") as served:
        served.add("owner/tiny", tiny)
        yield served


@pytest.fixture
def cache(hub, tmp_path, monkeypatch):
    """The client of this process asks that Hub, waits but a moment, and keeps files here."""
    folder = tmp_path / "cache"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.address)
    for name, value in {
        "ENDPOINT": hub.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(folder),
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        "HF_STORED_TOKENS_PATH": str(tmp_path / "no-tokens"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_ETAG_TIMEOUT": 0.5,
        "HF_HUB_DOWNLOAD_TIMEOUT": 0.2,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return folder


@pytest.fixture
def no_waits(monkeypatch):
    """The waits between attempts, made short; the list holds how long they were to be."""
    import time

    waits = []
    moment = time.sleep

    def wait(seconds):
        waits.append(seconds)
        moment(min(seconds, 0.01))

    monkeypatch.setattr(time, "sleep", wait)
    return waits
