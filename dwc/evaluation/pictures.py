"""The catalogue's pictures for an evaluation: drawn once, by all cores, and kept."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from PIL import Image

from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.splits import CatalogueItem

PICTURE_PX = 256  # as the gallery of the page draws them


class CataloguePictures:
    """Opens catalogue pictures by id, exactly as the gallery draws them."""

    def __init__(self, items: Sequence[CatalogueItem], workers: int | None = None) -> None:
        """Draw every item; `workers` processes, by default one a core."""
        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            pictures = pool.map(_draw, items, chunksize=50)
            self._pictures = dict(zip((item.id for item in items), pictures, strict=True))

    def __call__(self, item_id: str) -> Image.Image:
        """The picture of one item, RGB, `PICTURE_PX` square; KeyError for an id not drawn."""
        return self._pictures[item_id]


def _draw(item: CatalogueItem) -> Image.Image:
    return draw(item.garment, item.picture_seed, PICTURE_PX, "gallery")
