"""What the server refuses to fetch for a stranger."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dwc.ui.security import FetchNothing, OnePage


@pytest.fixture(scope="module")
def client():
    async def fetch(request):
        return PlainTextResponse("fetched")

    routes = [Route("/{anything:path}", fetch)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(FetchNothing)]))


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://example.org/a.png",
        "/gradio_api/file=HTTP://example.org/a.png",
        "/file=http%3A//example.org",
        "/gradio_api/proxy=https://example.org",
    ],
)
def test_addresses_are_not_fetched(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "fetches nothing" in answer.text


@pytest.mark.parametrize("path", ["/", "/gradio_api/file=/tmp/a.png", "/file=httpd.png"])
def test_the_page_and_its_files_pass(client, path):
    assert client.get(path).text == "fetched"


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("/?text=in+blue&page=2", "text=in+blue"),
        ("/?page=&text=a%26b%20c&ref=x", "text=a%26b%20c&ref=x"),
        ("/?p%61ge=2&page=3", ""),
        ("/?pages=2&view=api&text=page%3D2", "pages=2&view=api&text=page%3D2"),
        ("/", ""),
        ("/gradio_api/info?page=x", "page=x"),
        ("/api/search?page=2", "page=2"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/demo"])
def test_only_the_page_is_asked_for_without_the_parameter_of_gradios_pages(address, seen, prefix):
    async def show(request):
        return PlainTextResponse(request.scope["query_string"])

    routes = [Route("/{anything:path}", show)]
    app = Starlette(routes=routes, middleware=[Middleware(OnePage)])
    assert TestClient(app, root_path=prefix).get(prefix + address).text == seen
