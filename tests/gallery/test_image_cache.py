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


def test_a_picture_asked_for_again_is_not_opened_again():
    recent, opener = ImageCache(), Opener()
    first, again = recent.get("a", opener(5)), recent.get("a", opener(5))
    assert opener.opened == [5]
    assert again.tobytes() == first.tobytes()


def test_what_one_caller_does_to_it_no_other_sees():
    recent, opener = ImageCache(), Opener()
    for _ in range(2):
        recent.get("a", opener(5)).putpixel((0, 0), (99, 99, 99))
    assert recent.get("a", opener(5)).getpixel((0, 0)) == (5, 0, 0)


def test_the_one_asked_for_longest_ago_goes_first():
    recent, opener = ImageCache(size=2), Opener()
    for level in (1, 2, 1, 3, 1, 2):
        assert recent.get(level, opener(level)).getpixel((0, 0)) == (level, 0, 0)
    assert opener.opened == [1, 2, 3, 2]


def test_large_pictures_are_not_kept():
    recent, opener = ImageCache(max_pixels=15), Opener()
    for _ in range(2):
        recent.get("a", opener(5))
    assert opener.opened == [5, 5]


def test_one_that_cannot_be_opened_leaves_nothing():
    recent = ImageCache()

    def fail():
        raise ImageError("gone")

    with pytest.raises(ImageError):
        recent.get("a", fail)
    assert recent.get("a", Opener()(7)).getpixel((0, 0)) == (7, 0, 0)
