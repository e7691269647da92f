"""The pictures asked for last, kept as they were opened."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

from PIL import Image

# One picture is asked about several times in a row: other words, another weight, why this answer.
# Opening it costs a tenth of a query where it is decoded, and a whole one where it is drawn.
KEPT = 16
# Larger ones are opened anew: 16 of these are 96 MB, and a strip may have fifty times as many.
MAX_PIXELS_KEPT = 2_000_000


class RecentPictures:
    """At most `kept` pictures of at most `max_pixels`, by key; any number of threads may ask."""

    def __init__(self, kept: int = KEPT, max_pixels: int = MAX_PIXELS_KEPT) -> None:
        self._kept = kept
        self._max_pixels = max_pixels
        self._pictures: OrderedDict[Hashable, Image.Image] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, open_picture: Callable[[], Image.Image]) -> Image.Image:
        """The picture of `key`, the caller's own copy; opened where it is not among the last.

        The key has to tell what the picture shows: two pictures never share one.
        """
        with self._lock:
            picture = self._pictures.get(key)
            if picture is not None:
                self._pictures.move_to_end(key)
        if picture is None:
            picture = open_picture()  # outside the lock: it takes long, and may fail
            if picture.width * picture.height > self._max_pixels:
                return picture
            with self._lock:
                self._pictures[key] = picture
                while len(self._pictures) > self._kept:
                    self._pictures.popitem(last=False)
        return picture.copy()
