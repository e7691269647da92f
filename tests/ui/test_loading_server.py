"""The server that answers while the first model is loaded."""

import json
import os
import socket
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from dwc.ui.loading_server import answer_while_loading


def ask(port, path, method="GET"):
    with pytest.raises(HTTPError) as error:
        urlopen(Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=10)
    return error.value


def listen(port=0):
    return closing(socket.create_server(("127.0.0.1", port)))


def free_port():
    with listen() as server:
        return server.getsockname()[1]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)


@pytest.mark.parametrize("path", ["/health", "/health/", "/demo/health", "/health?now=1"])
def test_health_is_loading(path):
    with answer_while_loading(None, free_port()) as port:
        reply = ask(port, path)
    assert (reply.code, reply.headers["Retry-After"]) == (503, "2")
    assert json.loads(reply.read())["status"] == "loading"


def test_the_page_says_that_it_opens_by_itself():
    with answer_while_loading(None, free_port()) as port:
        reply = ask(port, "/?text=is+red")
        page = reply.read().decode()
        assert reply.code == 503
        assert 'http-equiv="refresh"' in page
        assert "is red" not in page
        assert ask(port, "/gradio_api/call/search", "POST").code == 503
        assert ask(port, "/health", "HEAD").read() == b""


def test_afterwards_the_port_is_free():
    with answer_while_loading(None, free_port()) as port:
        ask(port, "/health")
    with listen(port):
        pass


def test_a_port_in_use_is_left_alone():
    with listen() as server:
        taken = server.getsockname()[1]
        with answer_while_loading(None, taken) as port:
            assert port == taken


def test_the_first_free_port_is_taken_or_that_of_the_environment(monkeypatch):
    monkeypatch.setattr("dwc.ui.loading_server.FIRST_PORT", free_port())
    with answer_while_loading(None, None) as first, answer_while_loading(None, None) as second:
        assert second > first
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(free_port()))
    with answer_while_loading(None, None) as port:
        assert str(port) == os.environ["GRADIO_SERVER_PORT"]


def test_a_client_that_says_nothing_does_not_keep_others_waiting():
    with (
        answer_while_loading(None, free_port()) as port,
        socket.create_connection(("127.0.0.1", port)),
    ):
        assert ask(port, "/health").code == 503
