"""The catalogue's pictures for an evaluation: drawn once, by all cores, and kept.

The catalogue's own benchmark, of which the whole truth is known.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.queries import benchmark
from dwc.catalogue.queries import queries as ask
from dwc.catalogue.splits import CatalogueItem, Split, gallery
from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.evaluation.retrieval import compose_queries, run_benchmark
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

IMAGE_PX = 256  # as the gallery of the page draws them


class CatalogueImages:
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
    return draw(item.garment, item.picture_seed, IMAGE_PX, "gallery")


def evaluate_catalogue(
    model: DWCModel,
    processor: DWCProcessor,
    split: Split = "test",
    gallery_size: int = 2_000,
    queries: int = 2_000,
    seed: int = 0,
    pictures: Callable[[str], Image.Image] | None = None,
) -> dict[str, Any]:
    """Recalls of both streams and together, and how the weights follow the truth.

    The gallery depends on `split` and `gallery_size` alone; `seed` draws the queries. A hit is any
    item that fits. `pictures` opens an item's picture by id, by default drawn here.
    """
    items, asked = _questions(split, gallery_size, queries, seed)
    report = run_benchmark(asked, model, processor, pictures or CatalogueImages(items))
    return {**report.to_dict(), "split": split, "seed": seed}


def catalogue_weights(
    model: DWCModel,
    processor: DWCProcessor,
    split: Split = "test",
    gallery_size: int = 2_000,
    queries: int = 2_000,
    seed: int = 0,
) -> tuple[tuple[RetrievalQuery, ...], dict[str, NDArray[np.float32]]]:
    """The N queries that `evaluate_catalogue` asks, and each stream's image weights (N,)."""
    items, asked = _questions(split, gallery_size, queries, seed)
    pictures = CatalogueImages(items)
    composed = compose_queries(model, processor, asked.queries, pictures)
    return asked.queries, composed.image_weights


def _questions(
    split: Split, gallery_size: int, queries: int, seed: int
) -> tuple[list[CatalogueItem], Benchmark]:
    items = gallery(split, gallery_size)
    return items, benchmark(items, ask(items, queries, seed), f"catalogue-{split}")
