"""The source distribution builds a wheel that answers and serves the page without a checkout."""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CITATION.cff",
           "requirements.txt", "app.py", "Makefile", "dwc", "assets")  # fmt: skip
BUILD = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"

pytestmark = pytest.mark.slow


def build(what, source, out):
    """Build in a copy, so that no stale `build/` of the checkout gets into the result."""
    subprocess.run(
        [sys.executable, "-c", BUILD, what, str(out)], cwd=source, check=True, capture_output=True
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, folder / name, ignore=ignored)
        elif path.is_file():
            shutil.copy(path, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    build("build_sdist", source, out)
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(out, filter="data")
    build("build_wheel", archive.with_name(archive.name.removesuffix(".tar.gz")), out)
    (file,) = out.glob("*.whl")
    return file


def make_environment(folder, *requirements):
    """A clean environment that borrows the dependencies of this one."""
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    # A path line; .pth files below it, such as that of an editable install, are not read.
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install",
         "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed",
         *map(str, requirements)],
        check=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return make_environment(tmp_path_factory.mktemp("environment"), wheel)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("red", "blue", "green"):
        picture = Image.new("RGB", (96, 96), "white")
        ImageDraw.Draw(picture).ellipse((16, 16, 80, 80), fill=name)
        picture.save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    home = str(tmp_path_factory.mktemp("home"))
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**inherited, "HOME": home, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def dwc(installed, empty, environment, *arguments):
    return subprocess.run(
        [installed / "bin" / "dwc", *map(str, arguments)],
        cwd=empty, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_the_wheel_answers_a_search(installed, empty, environment, pictures, tmp_path):
    place = "import dwc; print(dwc.__file__)"
    file = subprocess.run(
        [installed / "bin" / "python", "-c", place],
        cwd=empty, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert Path(file).is_relative_to(installed)
    dwc(installed, empty, environment, "index", pictures, "--out", tmp_path / "store")
    arguments = ("search", tmp_path / "store", "--text", "red", "--json")
    answer = json.loads(dwc(installed, empty, environment, *arguments))
    found = answer.get("results") or answer["hits"]
    assert sorted(Path(hit["id"]).name for hit in found) == ["blue.png", "green.png", "red.png"]
    assert list(empty.iterdir()) == []


def test_an_editable_install_reads_the_assets_of_its_checkout(source, empty, environment, tmp_path):
    editable = make_environment(tmp_path / "environment", "--editable", source)
    lookup = "from dwc.files import asset_path as a; print(a('checkpoints', 'dwc-catalogue'))"
    printed = subprocess.run(
        [editable / "bin" / "python", "-c", lookup],
        cwd=empty, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert Path(printed.strip()) == source / "assets" / "checkpoints" / "dwc-catalogue"
    assert "search" in dwc(editable, empty, environment, "--help")
    assert not (source / "dwc" / "_assets").exists()


def test_the_wheel_serves_the_page(installed, empty, environment, pictures):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [installed / "bin" / "dwc", "app", "--gallery", pictures, "--port", str(port)],
        cwd=empty, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        page = wait_for_page(f"http://127.0.0.1:{port}/", server)
    finally:
        server.terminate()
        server.wait(30)
    assert "gradio" in page
    static = (ROOT / "dwc" / "ui" / "static").glob("*")
    packaged = next(installed.glob("lib/python*/site-packages/dwc/ui/static"))
    assert {file.name for file in static} == {file.name for file in packaged.iterdir()}


def wait_for_page(address, server, seconds=240):
    for _ in range(2 * seconds):
        if server.poll() is not None:
            raise AssertionError(f"the server ended: {server.stderr.read().decode()}")
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"no page at {address} after {seconds} s")
