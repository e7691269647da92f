"""Retrieval benchmark on drawn garments, whose attributes are all known."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.queries import Wish, benchmark, wishes
from dwc.catalogue.queries import queries as draw_queries
from dwc.catalogue.splits import (
    DEFAULT_SIZE,
    FAMILIES,
    GALLERY_SIZE,
    CatalogueItem,
    Split,
    catalogue_items,
    gallery,
)
from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.evaluation.retrieval import compose_queries, run_benchmark
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

IMAGE_PX = 256  # the size of the drawings in the web page's gallery
QUERIES = 2_000
WISHES = 1_000


class CatalogueImages:
    """Callable that takes the id of a drawn garment and returns its image.

    The garments are drawn in the style "gallery": well lit, on a calm background.
    """

    def __init__(self, items: Sequence[CatalogueItem], workers: int | None = None) -> None:
        """Draw all garments in `workers` processes; None for one process per core."""
        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            images = pool.map(_draw, items, chunksize=50)
            self._images = dict(zip((item.id for item in items), images, strict=True))

    def __call__(self, item_id: str) -> Image.Image:
        """Return the RGB image of a garment, a square with a side of `IMAGE_PX` pixels.

        Raises:
            KeyError: No garment has this id.
        """
        return self._images[item_id]


def _draw(item: CatalogueItem) -> Image.Image:
    return draw(item.garment, item.picture_seed, IMAGE_PX, "gallery")


def evaluate_catalogue(
    model: DWCModel,
    processor: DWCProcessor,
    split: Split = "test",
    gallery_size: int = GALLERY_SIZE,
    queries: int = QUERIES,
    seed: int = 0,
    pictures: Callable[[str], Image.Image] | None = None,
) -> dict[str, Any]:
    """Evaluate a model on drawn garments.

    The hits (correct results) of a query are all garments that match the query, not only the
    target.

    Args:
        model: The model.
        processor: The model's processor.
        split: Name of the catalogue's split.
        gallery_size: Number of gallery images. The gallery depends only on this number and `split`.
        queries: Number of queries.
        seed: Random seed of the queries.
        pictures: Function that takes a garment's id and returns its image; None to draw the images.

    Returns:
        The result of `RankReport.to_dict`, with `split` and `seed` added: the protocol, counts, and
        the recalls for both streams together. The entry `streams` has, for each stream, the
        recalls, the mean image weight, and `weight_truth_correlation`: the correlation of the image
        weight with the true image weight, which is the fraction of the target's attributes that
        come from the reference image and not from the text.
    """
    items, drawn = _benchmark(split, gallery_size, queries, seed)
    report = run_benchmark(drawn, model, processor, pictures or CatalogueImages(items))
    return {**report.to_dict(), "split": split, "seed": seed}


def catalogue_weights(
    model: DWCModel,
    processor: DWCProcessor,
    split: Split = "test",
    gallery_size: int = GALLERY_SIZE,
    queries: int = QUERIES,
    seed: int = 0,
) -> tuple[tuple[RetrievalQuery, ...], dict[str, NDArray[np.float32]]]:
    """Compute the image weights of a model for N queries about drawn garments.

    The image weight of a query is the factor of its image part, from 0 to 1. The queries are the
    same as those of `evaluate_catalogue` with the same arguments.

    Args:
        model: The model.
        processor: The model's processor.
        split: Name of the catalogue's split.
        gallery_size: Number of gallery images, on which the choice of queries depends.
        queries: The number N of queries.
        seed: Random seed of the queries.

    Returns:
        The queries, and a dict from the name of each stream to its image weights (N,).
    """
    items, drawn = _benchmark(split, gallery_size, queries, seed)
    composed = compose_queries(model, processor, drawn.queries, CatalogueImages(items))
    return drawn.queries, composed.image_weights


def evaluate_wishes(
    model: DWCModel,
    processor: DWCProcessor,
    gallery_size: int = DEFAULT_SIZE,
    count: int = WISHES,
    seed: int = 0,
    pictures: Callable[[str], Image.Image] | None = None,
) -> dict[str, Any]:
    """Measure how often the gallery has a requested garment, and how often a model finds it.

    A query (a "wish") consists of a reference garment and a text that changes one attribute, such
    as "in blue" or "as a skirt". A query is granted if the gallery contains a garment that has the
    requested value and otherwise equals the reference. Two sets of `count` queries are drawn at
    random. The queries of the set "offered" request only values that occur in the gallery. The
    queries of the set "language" request any value that garments can have.

    Args:
        model: The model.
        processor: The model's processor.
        gallery_size: Number of garments of the default gallery.
        count: Number of queries in each of the two sets.
        seed: Random seed of the queries.
        pictures: Function that takes a garment's id and returns its image; None to draw the images.

    Returns:
        A dict with the protocol, the size of the gallery, the seed, and the entries `offered` and
        `language`, one for each set of queries. Each of these entries is a dict with the keys:
        `wishes`: the number of queries.
        `granted`: the fraction (0 to 1) of granted queries.
        `first_fits`: the fraction of all queries whose first result is the requested garment.
        `attributes`: the same numbers for the queries about each attribute.
    """
    items = catalogue_items(FAMILIES, gallery_size)
    drawn = {
        "offered": wishes(items, count, seed, are_offered=True),
        "language": wishes(items, count, seed, are_offered=False),
    }
    everything = [wish for part in drawn.values() for wish in part]
    queries = tuple(
        RetrievalQuery(wish.reference, (wish.text,), wish.hits, wish.picture_share)
        for wish in everything
    )
    gallery = Benchmark("wishes", tuple(item.id for item in items), queries)
    report = run_benchmark(gallery, model, processor, pictures or CatalogueImages(items))
    fits = report.ranks["together"] == 1  # the rank is beyond the gallery if nothing fits
    numbers: dict[str, Any] = {"protocol": "wishes", "gallery": len(items), "seed": seed}
    for number, (name, part) in enumerate(drawn.items()):
        numbers[name] = _summarize_wishes(part, fits[number * count : (number + 1) * count])
    return numbers


def _summarize_wishes(drawn: Sequence[Wish], fits: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the results of one set of queries ("wishes").

    Args:
        drawn: The N queries, each with a text that changes one attribute of a garment.
        fits: For each query, whether the first result is a requested garment, (N,).

    Returns:
        A dict with the keys:
        `wishes`: the number N.
        `granted`: the share (0 to 1) of queries with a requested garment in the gallery.
        `first_fits`: the share of queries whose first result is a requested garment.
        `attributes`: the same numbers for the queries about each attribute.
    """
    granted = np.array([bool(wish.hits) for wish in drawn])
    attributes = np.array([wish.attribute for wish in drawn])

    def summarize(mask: NDArray[np.bool_]) -> dict[str, Any]:
        return {
            "wishes": int(mask.sum()),
            "granted": float(granted[mask].mean()),
            "first_fits": float(fits[mask].mean()),
        }

    return {
        **summarize(np.ones(len(drawn), dtype=bool)),
        "attributes": {str(name): summarize(attributes == name) for name in np.unique(attributes)},
    }


def _benchmark(
    split: Split, gallery_size: int, queries: int, seed: int
) -> tuple[list[CatalogueItem], Benchmark]:
    items = gallery(split, gallery_size)
    return items, benchmark(items, draw_queries(items, queries, seed), f"catalogue-{split}")
