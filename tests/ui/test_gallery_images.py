"""Large versions of gallery pictures are served by id, without the files' metadata."""

from io import BytesIO

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dwc.catalogue.splits import FAMILIES, catalogue_items
from dwc.errors import ImageError
from dwc.gallery.builder import build_store
from dwc.gallery.sources import CatalogueSource, FolderSource
from dwc.ui.gallery_images import LARGE_PX, LargePictures, StoreImages, large_url
from tests.gallery.embedding import IDENTITY, mean_colors

ARTIST = 0x013B
DIGEST = "0123abcd"


class Photographs:
    """A large photograph with metadata and a gone one."""

    def __init__(self, folder):
        self.folder, self.opened = folder, 0
        self.ids = ["a b/\u00e9.jpg", "gone.jpg"]

    def digest(self, image_id):
        return DIGEST

    def id_with_digest(self, digest):
        return self.ids[0] if digest == DIGEST else None

    def open_large(self, image_id, drawn_px):
        self.opened += 1
        if image_id == "gone.jpg":
            raise ImageError("gone.jpg: no such file")
        if image_id != "a b/\u00e9.jpg":
            raise KeyError(image_id)
        exif = Image.Exif()
        exif[ARTIST] = "someone"
        photo = Image.new("RGB", (4000, 3000), (200, 30, 30))
        photo.info["exif"] = exif.tobytes()
        return photo


@pytest.fixture
def images(tmp_path):
    return Photographs(tmp_path)


@pytest.fixture
def client(images):
    async def page(request):
        return PlainTextResponse("the page")

    app = Starlette(
        routes=[Route("/", page)], middleware=[Middleware(LargePictures, images=images)]
    )
    return TestClient(app)


@pytest.mark.slow
def test_a_picture_comes_reduced_and_without_metadata(client, images):
    answer = client.get("/" + large_url("a b/\u00e9.jpg", DIGEST))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    picture = Image.open(BytesIO(answer.content))
    assert max(picture.size) == LARGE_PX
    assert picture.size == (1280, 960)
    assert not picture.getexif()
    assert client.get("/" + large_url("a b/\u00e9.jpg", DIGEST)).content == answer.content
    assert images.opened == 1  # the second answer is remembered


@pytest.mark.parametrize("id", ["no.jpg", "../secret.png", ""])
def test_only_pictures_of_the_gallery_are_served(client, id):
    assert client.get("/" + large_url(id, "89abcdef")).status_code == 404


def test_a_picture_whose_file_is_gone_is_said_to_be_gone(client):
    assert client.get("/" + large_url("gone.jpg", DIGEST)).status_code == 410


def test_another_picture_of_the_same_name_is_not_served(client):
    assert client.get("/" + large_url("a b/\u00e9.jpg", "89abcdef")).status_code == 410
    assert client.get("/" + large_url("moved.jpg", DIGEST)).status_code == 200
    assert client.get("/gradio_api/large?id=a%20b/%C3%A9.jpg").status_code == 200


def test_a_picture_is_encoded_once_under_whatever_id_it_is_requested(client, images):
    for id in ("moved.jpg", "moved.jpg", "renamed.jpg", "a b/\u00e9.jpg"):
        assert client.get("/" + large_url(id, DIGEST)).status_code == 200
    assert client.get("/gradio_api/large?id=a%20b/%C3%A9.jpg").status_code == 200
    assert images.opened == 1


def test_other_requests_go_on(client):
    assert client.get("/").text == "the page"


@pytest.mark.slow
def test_a_drawn_garment_is_drawn_larger_and_a_photograph_opened(tmp_path):
    drawn = StoreImages(
        build_store(CatalogueSource(size=3), mean_colors, tmp_path / "drawn", IDENTITY)
    )
    garment = catalogue_items(FAMILIES, 3)[1].id
    assert drawn.open_large(garment, 512).size == (512, 512)
    with pytest.raises(KeyError):
        drawn.open_large("test-00099", 512)
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (900, 700), (9, 120, 9)).save(folder / "a.png")
    store = build_store(FolderSource(folder), mean_colors, tmp_path / "store", IDENTITY)
    assert StoreImages(store).open_large("a.png", 512).size == (900, 700)
