"""Precomputed vectors of the default gallery, which come with a checkpoint.

Drawing and embedding the 2,000 garments takes a minute or more on two cores. A checkpoint's folder
may therefore contain a safetensors file with the vectors as float16, and in its metadata the rows
of the store that they were computed for. The page creates its store from this file, and each
garment is drawn when it is shown for the first time. The file is valid for one model, and a row of
it for one version of the drawing code, which is part of the content key.
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
from dwc.files import write_bytes
from dwc.gallery.sources import Item, from_spec
from dwc.gallery.store import Store, StoredImage, encode_thumbnail

logger = logging.getLogger(__name__)


class PrecomputedVector(NamedTuple):
    """The row and the vector (D,) float16 of one picture."""

    row: StoredImage
    vector: NDArray[np.float16]


def save_precomputed(store: Store, file: Path) -> None:
    """Write a store's rows and vectors to a file."""
    rows = [row._replace(checksum=0) for row in store.rows]
    metadata = {
        "fingerprint": store.manifest.model.fingerprint,
        "rows": json.dumps(rows, separators=(",", ":")),
    }
    # safetensors' own writer makes a file that only its owner can read.
    write_bytes(file, save({"vectors": store.vectors.astype(np.float16)}, metadata))


def draw_thumbnails(store: Store) -> int:
    """Draw the thumbnails of a store that do not exist yet, in a process of low priority.

    Returns:
        How many were drawn.
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
    """Read precomputed vectors.

    A file that cannot be read, or that belongs to another model, is reported in the log and
    ignored: the gallery is then embedded.

    Args:
        file: The file; it need not exist.
        fingerprint: The model's fingerprint.

    Returns:
        A mapping from content keys to rows and vectors; empty if there is no valid file.
    """
    if not file.is_file():
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
