"""The real `app.py` in a process of its own, over a small gallery and a small random model."""

import colorsys
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from PIL import Image, ImageDraw

from tests.fork_server import PYTHON

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300


def draw_gallery(folder: Path, size: int = 30) -> Path:
    """Coloured figures on grey; every other one striped."""
    for place in range(size):
        red, green, blue = (
            round(255 * level) for level in colorsys.hsv_to_rgb(place / size, 0.7, 0.8)
        )
        picture = Image.new("RGB", (96, 96), (225, 225, 230))
        pen = ImageDraw.Draw(picture)
        pen.rectangle((24, 14 + place % 5, 72, 82), fill=(red, green, blue))
        if place % 2:
            for line in range(18, 82, 12):
                pen.line((24, line, 72, line), fill="white", width=4)
        picture.save(folder / f"figure-{place:02d}.png")
    return folder


def environment(cache: Path, threads: int | None = 1) -> dict[str, str]:
    """A process's environment with its own caches and without the network.

    `threads`: on how many it computes; None for as many as there are processors.
    """
    own = {
        **os.environ,
        "DWC_CACHE": str(cache / "dwc"),
        "GRADIO_TEMP_DIR": str(cache / "uploads"),
        "HF_HUB_OFFLINE": "1",
    }
    if threads is not None:
        own["OMP_NUM_THREADS"] = str(threads)
    return own


def free_port() -> int:
    """A port on which nothing listens."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(
    model: Path,
    gallery: Path,
    cache: Path,
    *options: str,
    port: int | None = None,
    threads: int | None = 1,
    root: Path = ROOT,
) -> Iterator[str]:
    """Start the app, with more options if given, give its address once it answers, and stop it.

    `root`: the checkout whose app is started.
    """
    port = free_port() if port is None else port
    log = cache / "app.log"
    python = PYTHON if threads is not None else [sys.executable]  # whose speed is measured
    command = [*python, "app.py", "--model", str(model), "--gallery", str(gallery), *options]
    with log.open("wb") as output:
        app = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=root,
            env=environment(cache, threads),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}/"
        _wait_for(address, app, log)
        yield address
    finally:
        app.terminate()
        app.wait(timeout=20)


def _wait_for(address: str, app: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if app.poll() is not None:
            raise RuntimeError(f"the app ended with {app.returncode}:\n{log.read_text()}")
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"the app did not answer in {START_SECONDS} s:\n{log.read_text()}")
