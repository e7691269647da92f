"""Stores of vectors without pictures, with or without metadata."""

from dwc.gallery.metadata import ListedMetadata
from dwc.gallery.store import ModelIdentity, Store, StoredImage
from dwc.gallery.store_writer import StoreWriter

MODEL = ModelIdentity("0123456789ab", "made", None, {"clip": 8, "cnn": 12})
SOURCE = {"kind": "folder", "folder": "/nowhere"}


def write_store(folder, vectors, ids, types=None, rows=None, model=MODEL, source=SOURCE):
    """Write a store; a row of metadata may be None.

    Args:
        types: the types of the metadata columns by name; None for no metadata.
        rows: the metadata of each picture, in the order of the columns.
    """
    with StoreWriter(folder, model, source, "/nowhere") as writer:
        writer.rewrite([], [])
        writer.append([StoredImage(id, id, id, 1, 1, 0) for id in ids], vectors)
        if types is not None:
            listed = {id: row for id, row in zip(ids, rows, strict=True) if row is not None}
            writer.write_metadata(ListedMetadata(types, listed), ids)
        writer.finish()
    return Store.open(folder)
