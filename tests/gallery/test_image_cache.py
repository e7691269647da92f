import pytest
from PIL import Image

from dwc.errors import ImageError
from dwc.gallery.store import ImageCache


class Opener:
    """Opens pictures of one colour each, and counts."""

    def __init__(self, side=4):
        self.side, self.opened = side, []

    def __call__(self, level):
        def open_picture():
            self.opened.append(level)
            return Image.new("RGB", (self.side, self.side), (level, 0, 0))

        return open_picture


def test_a_cached_image_is_not_opened_again():
    recent, opener = ImageCache(), Opener()
    first, again = recent.get("a", opener(5)), recent.get("a", opener(5))
    assert opener.opened == [5]
    assert again.tobytes() == first.tobytes()


def test_each_caller_gets_its_own_copy():
    recent, opener = ImageCache(), Opener()
    for _ in range(2):
        recent.get("a", opener(5)).putpixel((0, 0), (99, 99, 99))
    assert recent.get("a", opener(5)).getpixel((0, 0)) == (5, 0, 0)


def test_the_least_recently_used_image_is_evicted_first():
    recent, opener = ImageCache(size=2), Opener()
    for level in (1, 2, 1, 3, 1, 2):
        assert recent.get(level, opener(level)).getpixel((0, 0)) == (level, 0, 0)
    assert opener.opened == [1, 2, 3, 2]


def test_large_images_are_not_cached():
    recent, opener = ImageCache(max_pixels=15), Opener()
    for _ in range(2):
        recent.get("a", opener(5))
    assert opener.opened == [5, 5]


def test_an_image_that_cannot_be_opened_is_not_cached():
    recent = ImageCache()

    def fail():
        raise ImageError("gone")

    with pytest.raises(ImageError):
        recent.get("a", fail)
    assert recent.get("a", Opener()(7)).getpixel((0, 0)) == (7, 0, 0)
