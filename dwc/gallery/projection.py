"""A gallery in two dimensions, so that pictures which a model finds alike lie close together.

Principal components first, then t-SNE (van der Maaten and Hinton, 2008, in Barnes and Hut's way,
2014), both scikit-learn's. t-SNE keeps neighbourhoods, not distances: that two groups lie apart is
told by it, how far apart is not.

A store's projection, made when first asked for and kept beside the store it is of.
"""

import logging
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwc.errors import StoreError
from dwc.gallery.store import Store

METHOD = "pca 50, t-sne 30, landmarks 4000, no. 1"
"""Names everything that moves a point; a map made otherwise is made again."""

SIDE = 65_535
LANDMARKS = 4_000  # t-SNE's time grows with n log n: seconds for these, many minutes for 100,000
COMPONENTS = 50
PERPLEXITY = 30.0
ITERATIONS = 750
FEWEST = 12  # below, t-SNE has no neighbourhoods to keep

_NEAREST_LANDMARKS = 3
_JUDGED = 256  # pictures whose neighbourhoods are compared; the share's error is then below 0.02
_NEIGHBOURS = 10
_CHUNK = 2_048
_SEED = 0

Points = NDArray[np.uint16]


@dataclass(frozen=True)
class Projection:
    """Where each picture lies.

    `positions` (n, 2), x to the right and y downwards, in 0 to `SIDE`, in the store's order.
    `laid_out` of them were placed by t-SNE, the others among those they are most like.
    `neighbours_kept` (0 to 1) is how many of a picture's 10 nearest by the model are among its 10
    nearest here, on the mean of a sample; None where there are too few pictures to tell.
    """

    positions: Points
    laid_out: int
    neighbours_kept: float | None

    @property
    def unit(self) -> NDArray[np.float64]:
        """The positions (n, 2) in [0, 1]."""
        return self.positions / float(SIDE)


def project(vectors: NDArray[np.float32], landmarks: int = LANDMARKS) -> Projection:
    """Lay out vectors (n, D), each stream's part unit length; the same ones alike every time.

    Beyond `landmarks` pictures, that many drawn evenly are laid out and every other is placed at
    the mean of the three it is most like, the more alike the more it weighs. Memory is that of a
    few thousand rows, and about a kilobyte a picture.
    """
    count = len(vectors)
    chosen = np.arange(count)
    if count > landmarks:
        chosen = np.sort(np.random.default_rng(_SEED).choice(count, landmarks, replace=False))
    components = _Components(np.asarray(vectors[chosen], dtype=np.float64))
    landmark_rows = components.of(vectors[chosen])
    laid_out = _lay_out(landmark_rows)
    places = laid_out
    if count > landmarks:
        near = [
            interpolate_positions(components.of(rows), landmark_rows, laid_out)
            for rows in _chunks(vectors)
        ]
        places = np.concatenate(near)
        places[chosen] = laid_out
    positions = _fit(places)
    return Projection(positions, len(chosen), _neighbours_kept(vectors, positions))


def interpolate_positions(
    rows: NDArray[np.float64], others: NDArray[np.float64], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where rows (m, C) lie (m, 2), given the others' (l, C) places (l, 2).

    The mean of the three nearest others' places, each weighing by its inverse squared distance.
    """
    count = min(_NEAREST_LANDMARKS, len(others))
    distances = (rows**2).sum(1)[:, None] - 2 * rows @ others.T + (others**2).sum(1)  # (m, l)
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
    closeness = 1 / np.maximum(np.take_along_axis(distances, nearest, axis=1), 1e-9)
    shares = closeness / closeness.sum(1, keepdims=True)
    return np.einsum("mk,mkc->mc", shares, places[nearest])


class _Components:
    """The directions in which some rows (l, D) differ most: what other rows are in them."""

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self._mean = rows.mean(0)
        self._directions = np.eye(rows.shape[1])[:, :COMPONENTS]
        if np.ptp(rows, axis=0).max() > 0:
            from sklearn.decomposition import PCA  # takes a second to import: only who draws waits

            found = PCA(min(COMPONENTS, *rows.shape), random_state=_SEED).fit(rows)
            self._directions = found.components_.T  # (D, C)

    def of(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Rows (m, D) in these directions, (m, C), the one that tells most first."""
        return (np.asarray(rows, dtype=np.float64) - self._mean) @ self._directions


def _lay_out(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(l, 2) for rows (l, C)."""
    if len(rows) < FEWEST:
        return np.pad(rows[:, :2], ((0, 0), (0, max(0, 2 - rows.shape[1]))))
    from sklearn.manifold import TSNE

    if np.ptp(rows, axis=0).max() == 0:  # one picture many times: t-SNE would divide by nothing
        return np.zeros((len(rows), 2))
    method = TSNE(
        2,
        perplexity=min(PERPLEXITY, (len(rows) - 1) / 3),
        init="pca" if rows.shape[1] > 1 else "random",
        max_iter=ITERATIONS,
        random_state=_SEED,
    )
    return np.asarray(method.fit_transform(rows.astype(np.float32)), dtype=np.float64)


def _fit(places: NDArray[np.float64]) -> Points:
    """Places (n, 2) as whole numbers from 0 to `SIDE`, centred, both directions by one scale."""
    low, high = places.min(0), places.max(0)
    extent = float((high - low).max()) or 1.0
    centred = (places - (low + high) / 2) / extent + 0.5
    return np.round(centred * SIDE).clip(0, SIDE).astype(np.uint16)


def _neighbours_kept(vectors: NDArray[np.float32], positions: Points) -> float | None:
    count = len(vectors)
    if count <= 2 * _NEIGHBOURS:
        return None
    judged = np.sort(np.random.default_rng(_SEED).choice(count, min(_JUDGED, count), replace=False))
    alike = np.concatenate([rows @ vectors[judged].T for rows in _chunks(vectors)]).T  # (j, n)
    places = positions.astype(np.float32)
    kept = []
    for by_model, itself in zip(alike, judged.tolist(), strict=True):
        here = -((places - places[itself]) ** 2).sum(1)  # (n,)
        kept.append(len(_nearest(by_model, itself) & _nearest(here, itself)))
    return float(np.mean(kept)) / _NEIGHBOURS


def _nearest(closeness: NDArray[np.float32], itself: int) -> set[int]:
    closeness = closeness.copy()
    closeness[itself] = -np.inf
    return set(np.argpartition(-closeness, _NEIGHBOURS)[:_NEIGHBOURS].tolist())


def _chunks(vectors: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(vectors), _CHUNK):
        yield vectors[start : start + _CHUNK]


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


class ProjectionCache:
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
