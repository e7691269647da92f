"""A store's projection, made when first asked for and kept beside the store it is of."""

import logging
import os
import threading
import zipfile
from pathlib import Path

import numpy as np

from dwc.errors import StoreError
from dwc.gallery.projection import METHOD, Projection, project
from dwc.gallery.store import Store

logger = logging.getLogger(__name__)

FILE = "map.npz"


def load_projection(store: Store) -> Projection | None:
    """Read the projection kept with a store; None where there is none.

    Raises `StoreError` for one of another store (other pictures, another order, another model), one
    made otherwise, and a damaged file.
    """
    file = store.path / FILE
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as content:
            of, method = str(content["store"]), str(content["method"])
            positions = content["positions"]
            laid_out, kept = int(content["laid_out"]), float(content["neighbours_kept"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"{file}: cannot be read ({error}). Delete it; it is made anew."
        ) from error
    if (of, method) != (store.fingerprint, METHOD):
        raise StoreError(
            f"{file}: is of store {of}, made by {method!r}; expected store {store.fingerprint}, "
            f"made by {METHOD!r}. Delete it; it is made anew."
        )
    if positions.shape != (len(store), 2) or positions.dtype != np.uint16:
        raise StoreError(
            f"{file}: has positions of shape {positions.shape}, {positions.dtype}; expected "
            f"{(len(store), 2)}, uint16. Delete it; it is made anew."
        )
    return Projection(positions, laid_out, None if np.isnan(kept) else kept)


def save_projection(store: Store, projection: Projection) -> Path:
    """Keep a store's projection beside it, whole or not at all; return the file's path."""
    file = store.path / FILE
    kept = projection.neighbours_kept
    # Its own name for each writer: two who open one store at once must not write into one file.
    partial = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
    with partial.open("wb") as output:
        np.savez_compressed(
            output,
            store=store.fingerprint,
            method=METHOD,
            positions=projection.positions,
            laid_out=projection.laid_out,
            neighbours_kept=np.nan if kept is None else kept,
        )
    partial.replace(file)
    return file


class Projections:
    """The projections of the stores that are asked about; however many ask at once, each is
    made once.

    Stores are known by their fingerprints: none is held here, and one opened anew is the same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._made: dict[str, Projection] = {}

    def known(self, store: Store) -> Projection | None:
        """What is there without making it: in memory, or in a file that is this store's."""
        if store.fingerprint not in self._made and (read := _read(store)) is not None:
            self._made[store.fingerprint] = read
        return self._made.get(store.fingerprint)

    def get(self, store: Store) -> Projection:
        """Read it, or make it (seconds) and keep it; a file that is not this store's gives way."""
        with self._lock:
            making = self._making.setdefault(store.fingerprint, threading.Lock())
        with making:
            if (known := self.known(store)) is not None:
                return known
            made = self._made[store.fingerprint] = project(store.vectors)
            try:
                save_projection(store, made)
            except OSError as error:  # a store may lie where nothing can be written
                logger.warning("%s: its map is not kept: %s", store.path, error)
            return made


def _read(store: Store) -> Projection | None:
    try:
        return load_projection(store)
    except StoreError as error:
        logger.warning("%s", error)
        return None
