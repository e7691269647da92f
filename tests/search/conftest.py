import colorsys

import pytest
from PIL import Image, ImageDraw

from dwc.checkpoints import load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from tests.search.tiny import write_tiny_checkpoint


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def loaded(checkpoint_folder):
    return load.load(checkpoint_folder)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Twenty discs of as many colours and sizes; one is there again, in another format."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(20):
        picture = Image.new("RGB", (64, 48 + n), "white")
        colour = tuple(round(255 * level) for level in colorsys.hsv_to_rgb(n / 20, 0.8, 0.8))
        ImageDraw.Draw(picture).ellipse((8, 4, 20 + 2 * n, 40), fill=colour)
        picture.save(folder / f"p{n:02}.png")
    Image.open(folder / "p07.png").save(folder / "p07-copy.bmp")
    return folder


@pytest.fixture(scope="session")
def store(loaded, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores") / "discs"
    return build_store(
        FolderSource(pictures), image_embedder(loaded), folder, model_identity(loaded)
    )
