"""Export of a drawn catalogue in the file format of the FashionIQ dataset."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dwc.catalogue.language.modifications import Modification
from dwc.catalogue.queries import CatalogueQuery
from dwc.catalogue.splits import CatalogueItem
from dwc.datasets.triplets import Triplet

if TYPE_CHECKING:
    from dwc.catalogue.drawing.draw import Style


def triplets_of(
    items: Sequence[CatalogueItem], drawn: Iterable[tuple[int, int, Modification]]
) -> list[Triplet]:
    """Convert triplets of indices into triplets of image ids with two captions each.

    Args:
        items: The images of the catalogue.
        drawn: The triplets from `splits.training_triplets`: the index of the reference in `items`,
            the index of the target, and the modification.
    """
    return [
        Triplet(items[reference].id, two_captions(modification.captions), items[target].id)
        for reference, target, modification in drawn
    ]


def triplets_of_queries(queries: Iterable[CatalogueQuery]) -> list[Triplet]:
    """Convert queries into triplets (reference id, two captions, target id)."""
    return [
        Triplet(query.reference, two_captions(query.captions), query.target) for query in queries
    ]


def two_captions(captions: tuple[str, ...]) -> tuple[str, str]:
    """Return the captions of a query as a pair, which FashionIQ's format requires.

    `captions` has one or two texts; a single one is repeated.
    """
    return captions[0], captions[-1]


def write_fashion_iq(
    root: Path,
    name: str,
    split: str,
    items: Sequence[CatalogueItem],
    triplets: Sequence[Triplet],
) -> None:
    """Write triplets and image ids in FashionIQ's format below the folder `root`.

    The triplets go to `captions/cap.<name>.<split>.json`, the ids of all images to
    `image_splits/split.<name>.<split>.json`. Existing files are overwritten.

    Args:
        root: The folder of the exported data set.
        name: The part `<name>` of the file names; in FashionIQ, it is a category such as "dress".
        split: "train", "val" or "test".
        items: All images of the split.
        triplets: The triplets of the split.
    """
    captions = [
        {
            "target": triplet.target,
            "candidate": triplet.reference,
            "captions": list(two_captions(triplet.captions)),
        }
        for triplet in triplets
    ]
    _write_json(root / "captions" / f"cap.{name}.{split}.json", captions)
    _write_json(root / "image_splits" / f"split.{name}.{split}.json", [item.id for item in items])


def draw_images(
    root: Path,
    items: Iterable[CatalogueItem],
    size_px: int,
    style: "Style" = "gallery",
    suffix: str = ".jpg",
) -> int:
    """Draw images and save them as `images/<id><suffix>` below `root`; skip existing files.

    Args:
        root: The folder of the exported data set.
        items: The images to draw: id, garment and seed of each.
        size_px: Side of the square images in pixels.
        style: The style of the drawings, see `drawing.draw`.
        suffix: Suffix of the file names; it decides the file format.

    Returns:
        The number of images that were drawn.
    """
    from dwc.catalogue.drawing.draw import draw

    folder = root / "images"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for item in items:
        path = folder / f"{item.id}{suffix}"
        if not path.exists():
            draw(item.garment, item.picture_seed, size_px, style).save(path)
            drawn += 1
    return drawn


def _write_json(path: Path, content: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
