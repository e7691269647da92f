"""Test run of a staged Space: its app is started as on the Hub, and must answer one search.

A staged Space is a folder with all files of a Hugging Face Space, ready for upload.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from huggingface_hub import get_token
from PIL import Image

from dwc.errors import SpaceError

START_SECONDS = 900.0
"""The default time within which the app must answer, in seconds; a Space has 30 minutes."""

_POLL_SECONDS = 0.25
_STOP_SECONDS = 20.0
_LOG_LINES = 20
_LOCAL = "127.0.0.1"
# The only environment variables that the app inherits; PYTHONPATH and DWC_MODEL are not among them.
_INHERITED = re.compile(
    r"PATH|LD_LIBRARY_PATH|CUDA_\w+|OMP_NUM_THREADS|LANG|LC_\w+|SYSTEMROOT|TMPDIR|TEMP|TMP|"
    r"SSL_CERT_\w+|REQUESTS_CA_BUNDLE|\w+_proxy|\w+_PROXY|HF_(?!HOME|HUB_CACHE|TOKEN_PATH)\w+"
)


class Trial(NamedTuple):
    """The result of a test run.

    Attributes:
        start_seconds: The time from the start until the app served its web page, in seconds.
        results: The number of results of the search.
        model: The name of the model that answered.
    """

    start_seconds: float
    results: int
    model: str


def try_out(folder: Path, python: str = sys.executable, timeout: float = START_SECONDS) -> Trial:
    """Start the app of a staged Space, search with a picture, stop the app, and return the result.

    The app runs in a separate process, whose working directory is the folder. The process inherits
    only general environment variables, such as `PATH` and the proxies, and its caches are empty. So
    it can use no files outside the folder, except the packages of the Python interpreter.

    Args:
        folder: The folder with the staged files, which is not changed.
        python: The Python interpreter. To test requirements.txt as well, give the interpreter of a
            new environment in which only these requirements are installed.
        timeout: The time within which the app must serve its web page, in seconds.

    Raises:
        SpaceError: The app ends, is not ready in time, or does not answer the search. The message
            contains the last lines of the app's output.
    """
    with tempfile.TemporaryDirectory(prefix="dwc-space-") as scratch:
        log = Path(scratch) / "app.log"
        port = _free_port()
        with _running(folder, python, _environment(Path(scratch), port), log) as app:
            start = time.monotonic()
            address = f"http://{_LOCAL}:{port}/"
            _wait_for(address, app, log, start + timeout)
            seconds = time.monotonic() - start
            picture = Path(scratch) / "picture.png"
            Image.new("RGB", (64, 64), "steelblue").save(picture)
            try:
                answer = _search(address, picture)
            except Exception as error:  # the client has errors of many kinds
                raise SpaceError(
                    f"the staged app starts, but does not answer a search: {error}\n{_tail(log)}"
                ) from error
    if not answer["results"]:
        raise SpaceError("the staged app answers a search with a picture without any result.")
    return Trial(seconds, len(answer["results"]), answer["model"]["name"])


def _environment(scratch: Path, port: int) -> dict[str, str]:
    """Return the environment variables of the app.

    Args:
        scratch: An empty folder for the app's caches.
        port: The port to listen on.
    """
    inherited = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    token = get_token()  # a private model may need it; the app cannot read the token's file
    return {
        **inherited,
        **({"HF_TOKEN": token} if token else {}),
        "HOME": str(scratch / "home"),
        "HF_HOME": str(scratch / "huggingface"),
        "DWC_CACHE": str(scratch / "dwc"),
        "GRADIO_TEMP_DIR": str(scratch / "uploads"),
        "GRADIO_SERVER_NAME": _LOCAL,
        "GRADIO_SERVER_PORT": str(port),
        "PYTHONDONTWRITEBYTECODE": "1",  # the folder stays as it is
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def _running(
    folder: Path, python: str, environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the app within the `with` block, and yield its process.

    Args:
        folder: The folder of the staged Space, in which the app runs.
        python: The Python interpreter.
        environment: The environment variables of the app.
        log: The file to which the app's output is written.

    Raises:
        SpaceError: The app cannot be started.
    """
    with log.open("wb") as output:
        try:
            app = subprocess.Popen(
                [python, "app.py"],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise SpaceError(f"the staged app cannot be started: {error}") from error
    try:
        yield app
    finally:
        app.terminate()
        try:
            app.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            app.kill()
            app.wait()


def _wait_for(address: str, app: "subprocess.Popen[bytes]", log: Path, deadline: float) -> None:
    """Wait until the app serves its web page.

    Args:
        address: The address of the web page.
        app: The app's process.
        log: The file with the app's output.
        deadline: The latest time, as returned by `time.monotonic`.

    Raises:
        SpaceError: The app ends, or does not serve the web page in time.
    """
    while app.poll() is None:
        if _is_served(address):
            return
        if time.monotonic() > deadline:
            raise SpaceError(f"the staged app is not ready in time.\n{_tail(log)}")
        time.sleep(_POLL_SECONDS)
    raise SpaceError(f"the staged app ends with status {app.returncode}.\n{_tail(log)}")


def _is_served(address: str) -> bool:
    try:
        with urlopen(address, timeout=10):
            return True
    except OSError:  # not yet started, or still loading the model
        return False


def _search(address: str, picture: Path) -> dict[str, Any]:
    """Send a search with a picture and without words to the app; return the answer.

    The search uses the app's endpoint `/search`.
    """
    from gradio_client import Client, handle_file  # a dependency of gradio

    client = Client(address, verbose=False, analytics_enabled=False)
    return client.predict(handle_file(str(picture)), "", 3, 0.0, api_name="/search")


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(["Its last lines of output:", *lines[-_LOG_LINES:]])


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((_LOCAL, 0))
        return int(probe.getsockname()[1])
