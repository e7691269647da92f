"""Precomputed vectors of the default gallery, which come with a checkpoint.

Drawing and embedding its garments takes a minute or more on two cores. A checkpoint's folder
may therefore contain a safetensors file with the vectors as float16. The metadata of that file has
the rows of the gallery store for which the vectors were computed. The web page creates its gallery
store from the file, and draws each garment when the garment is shown for the first time.

The file is valid for one model. Each row is valid for one version of the drawing code, because the
row's content key is a hash of everything that determines the drawing.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dwc.datasets.image_prefetch import background_process, prefetched
from dwc.files import LFS_CURE, is_lfs_pointer, write_bytes
from dwc.gallery.sources import Item, from_spec
from dwc.gallery.store import Store, StoredImage, encode_thumbnail

logger = logging.getLogger(__name__)


class PrecomputedVector(NamedTuple):
    """The gallery store's row of one picture, and its float16 vector (D,) of D numbers."""

    row: StoredImage
    vector: NDArray[np.float16]


def save_precomputed(store: Store, file: Path) -> None:
    """Write a gallery store's rows and vectors to a safetensors file."""
    rows = [row._replace(checksum=0) for row in store.rows]
    metadata = {
        "fingerprint": store.manifest.model.fingerprint,
        "rows": json.dumps(rows, separators=(",", ":")),
    }
    # safetensors' own writer makes a file that only its owner can read.
    write_bytes(file, save({"vectors": store.vectors.astype(np.float16)}, metadata))


def draw_thumbnails(store: Store) -> int:
    """Draw the missing thumbnails of a store of drawn garments, in a process of low priority.

    Returns:
        The number of thumbnails that were drawn; 0 if the store's pictures are not drawings.
    """
    if not store.is_drawn:
        return 0
    source = from_spec(store.manifest.source)
    missing = [id for id in store.ids if not store.thumbnail(id).exists()]
    if not missing:
        return 0
    with background_process() as pool:
        drawn = prefetched(pool, _draw, map(source.item, missing), window=2)
        for id, thumbnail in zip(missing, drawn, strict=True):
            write_bytes(store.thumbnail(id), thumbnail)
    return len(missing)


def _draw(item: Item) -> bytes:
    return encode_thumbnail(item.open())


def load_precomputed(file: Path, fingerprint: str) -> Mapping[str, PrecomputedVector]:
    """Read precomputed vectors from a safetensors file.

    A file that cannot be read, or that belongs to another model, is reported in the log and
    ignored. The gallery's pictures are then embedded instead.

    Args:
        file: The file; it need not exist.
        fingerprint: The model's fingerprint.

    Returns:
        The rows and vectors by content key (a hash of the picture's content); empty if there is no
        valid file.
    """
    if not file.is_file():
        return {}
    if is_lfs_pointer(file):
        logger.warning(
            "%s is a Git LFS pointer, not the file itself; the gallery is embedded instead, which "
            "takes longer. %s.",
            file,
            LFS_CURE,
        )
        return {}
    try:
        with safe_open(file, framework="numpy") as content:
            metadata, vectors = content.metadata() or {}, content.get_tensor("vectors")
        rows = [StoredImage(*row) for row in json.loads(metadata["rows"])]
        made_by = metadata["fingerprint"]
        if vectors.ndim != 2 or len(rows) != len(vectors):
            raise ValueError(f"{len(rows)} rows, but vectors of shape {vectors.shape}")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        logger.warning("%s cannot be read (%s); the gallery is embedded instead.", file, error)
        return {}
    if made_by != fingerprint:
        logger.warning(
            "%s belongs to model %s, not to %s; the gallery is embedded instead. To renew it: "
            "python -m dwc weights %s",
            file,
            made_by,
            fingerprint,
            file.parent,
        )
        return {}
    return {
        row.content_key: PrecomputedVector(row, vector)
        for row, vector in zip(rows, vectors, strict=True)
    }
