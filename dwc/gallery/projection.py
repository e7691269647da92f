"""Projection of a gallery's vectors to two dimensions, cached in a file of the gallery store.

Pictures with similar vectors are placed close together. The vectors are reduced to their principal
components, which t-SNE (van der Maaten and Hinton, 2008, with the Barnes-Hut approximation, 2014)
maps to two dimensions; both methods are from scikit-learn. t-SNE preserves neighborhoods, not
distances: it shows that two groups are separate, not how far apart they are.
"""

import logging
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwc.errors import StoreError
from dwc.files import atomic_path
from dwc.gallery.store import Store

logger = logging.getLogger(__name__)

FILE = "map.npz"
METHOD = "pca 50, t-sne 30, landmarks 4000, no. 1"
"""Identifies the method and its settings; a projection by another method is recomputed."""

SIDE = 65_535  # the greatest coordinate, so that coordinates fit 16-bit integers
LANDMARKS = 4_000  # number of pictures that t-SNE places in seconds; 100,000 take many minutes
COMPONENTS = 50
PERPLEXITY = 30.0
ITERATIONS = 750
FEWEST = 12  # with fewer pictures, t-SNE is not used, since there are no neighborhoods to preserve

_NEAREST_LANDMARKS = 3
_SAMPLED = 256  # number of pictures for the estimate of `neighbours_kept`; its error is below 0.02
_NEIGHBORS = 10
_CHUNK = 2_048
_SEED = 0

Points = NDArray[np.uint16]


@dataclass(frozen=True)
class Projection:
    """The two-dimensional positions of a gallery's n pictures.

    Attributes:
        positions: Coordinates (n, 2) in the order of the store, x to the right and y downwards,
            integers from 0 to `SIDE`.
        laid_out: Number of pictures that t-SNE placed. Each other picture is at the weighted mean
            position of the three most similar of these pictures.
        neighbours_kept: How well the projection preserves neighborhoods, 0 to 1. For one picture,
            this is the fraction of its 10 nearest neighbors by vector that are also among its 10
            nearest neighbors in the projection. The value is the mean over a sample of pictures;
            None if the gallery has 20 pictures or fewer.
    """

    positions: Points
    laid_out: int
    neighbours_kept: float | None

    @property
    def unit(self) -> NDArray[np.float64]:
        """The positions (n, 2), scaled to [0, 1]."""
        return self.positions / float(SIDE)


def project(vectors: NDArray[np.float32], landmarks: int = LANDMARKS) -> Projection:
    """Project n vectors to two dimensions; the same vectors always give the same result.

    If there are more than `landmarks` pictures, t-SNE places a random sample of that size. Every
    other picture is placed at the mean position of the three most similar pictures in the sample,
    weighted by similarity. The memory use is that of a few thousand vectors, plus about a kilobyte
    per picture.

    Args:
        vectors: Vectors (n, D). Each vector of length D concatenates the unit-length vectors of all
            streams.
        landmarks: The greatest number of pictures that t-SNE places.
    """
    count = len(vectors)
    chosen = np.arange(count)
    if count > landmarks:
        chosen = np.sort(np.random.default_rng(_SEED).choice(count, landmarks, replace=False))
    components = _Components(np.asarray(vectors[chosen], dtype=np.float64))
    landmark_rows = components.of(vectors[chosen])
    laid_out = _lay_out(landmark_rows)
    points = laid_out
    if count > landmarks:
        near = [
            interpolate_positions(components.of(rows), landmark_rows, laid_out)
            for rows in _chunks(vectors)
        ]
        points = np.concatenate(near)
        points[chosen] = laid_out
    positions = _fit(points)
    return Projection(positions, len(chosen), _neighbours_kept(vectors, positions))


def interpolate_positions(
    rows: NDArray[np.float64], others: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return positions of pictures, interpolated between the positions of similar pictures.

    Args:
        rows: Coordinates (m, C) of m pictures to be placed, in C principal components.
        others: Coordinates (n, C) of n pictures that already have positions.
        points: Positions (n, 2) of these n pictures.

    Returns:
        Positions (m, 2). Each is the mean position of the three nearest of the n pictures, weighted
        by the inverse of the squared distance in the C components.
    """
    count = min(_NEAREST_LANDMARKS, len(others))
    distances = (rows**2).sum(1)[:, None] - 2 * rows @ others.T + (others**2).sum(1)  # (m, n)
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
    closeness = 1 / np.maximum(np.take_along_axis(distances, nearest, axis=1), 1e-9)
    shares = closeness / closeness.sum(1, keepdims=True)
    return np.einsum("mk,mkc->mc", shares, points[nearest])


class _Components:
    """Principal component analysis (PCA): it maps vectors of length D to C components.

    The constructor determines the components from n vectors (n, D).
    """

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self._mean = rows.mean(0)
        self._directions = np.eye(rows.shape[1])[:, :COMPONENTS]
        if np.ptp(rows, axis=0).max() > 0:
            from sklearn.decomposition import PCA  # takes a second to import

            fitted = PCA(min(COMPONENTS, *rows.shape), random_state=_SEED).fit(rows)
            self._directions = fitted.components_.T  # (D, C)

    def of(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the coordinates (m, C) of m vectors (m, D) in the C principal components.

        The components are in descending order of variance.
        """
        return (np.asarray(rows, dtype=np.float64) - self._mean) @ self._directions


def _lay_out(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions (n, 2) of n pictures, computed with t-SNE.

    For fewer than `FEWEST` pictures, t-SNE is not used: a position is the first two coordinates.

    Args:
        rows: Coordinates (n, C) of the n pictures in C principal components.
    """
    if len(rows) < FEWEST:
        return np.pad(rows[:, :2], ((0, 0), (0, max(0, 2 - rows.shape[1]))))
    from sklearn.manifold import TSNE

    if np.ptp(rows, axis=0).max() == 0:  # equal rows: t-SNE would divide by zero
        return np.zeros((len(rows), 2))
    method = TSNE(
        2,
        perplexity=min(PERPLEXITY, (len(rows) - 1) / 3),
        init="pca" if rows.shape[1] > 1 else "random",
        max_iter=ITERATIONS,
        random_state=_SEED,
    )
    return np.asarray(method.fit_transform(rows.astype(np.float32)), dtype=np.float64)


def _fit(points: NDArray[np.float64]) -> Points:
    """Scale and shift n positions (n, 2) to integers from 0 to `SIDE`, centered in that range.

    Both axes are scaled by the same factor.
    """
    low, high = points.min(0), points.max(0)
    extent = float((high - low).max()) or 1.0
    centered = (points - (low + high) / 2) / extent + 0.5
    return np.round(centered * SIDE).clip(0, SIDE).astype(np.uint16)


def _neighbours_kept(vectors: NDArray[np.float32], positions: Points) -> float | None:
    count = len(vectors)
    if count <= 2 * _NEIGHBORS:
        return None
    sampled = np.sort(
        np.random.default_rng(_SEED).choice(count, min(_SAMPLED, count), replace=False)
    )
    similarities = np.concatenate(
        [rows @ vectors[sampled].T for rows in _chunks(vectors)]
    ).T  # (j, n)
    points = positions.astype(np.float32)
    shares = []
    for by_model, itself in zip(similarities, sampled.tolist(), strict=True):
        by_position = -((points - points[itself]) ** 2).sum(1)  # (n,)
        shares.append(len(_nearest(by_model, itself) & _nearest(by_position, itself)))
    return float(np.mean(shares)) / _NEIGHBORS


def _nearest(closeness: NDArray[np.float32], itself: int) -> set[int]:
    closeness = closeness.copy()
    closeness[itself] = -np.inf
    return set(np.argpartition(-closeness, _NEIGHBORS)[:_NEIGHBORS].tolist())


def _chunks(vectors: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(vectors), _CHUNK):
        yield vectors[start : start + _CHUNK]


def load_projection(store: Store) -> Projection | None:
    """Read the projection saved in a gallery store's folder; return None if none is saved.

    Raises:
        StoreError: The file cannot be read, was computed by another method, or belongs to another
            store: one with other pictures, another order of the pictures, or another model.
    """
    file = store.path / FILE
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as content:
            of, method = str(content["store"]), str(content["method"])
            positions = content["positions"]
            laid_out, share = int(content["laid_out"]), float(content["neighbours_kept"])
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
    return Projection(positions, laid_out, None if np.isnan(share) else share)


def save_projection(store: Store, projection: Projection) -> Path:
    """Write a projection into a gallery store's folder atomically; return the file's path."""
    file = store.path / FILE
    share = projection.neighbours_kept
    with atomic_path(file) as partial:
        np.savez_compressed(
            partial,
            store=store.fingerprint,
            method=METHOD,
            positions=projection.positions,
            laid_out=projection.laid_out,
            neighbours_kept=np.nan if share is None else share,
        )
    return file


class ProjectionCache:
    """Thread-safe cache of the projections of gallery stores.

    If several threads request the same projection, it is computed once. Stores are identified by
    their fingerprints, so a store that is opened again has the same projection.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._computing: dict[str, threading.Lock] = {}
        self._computed: dict[str, Projection] = {}

    def known(self, store: Store) -> Projection | None:
        """Return a gallery store's projection from memory or from the store's folder.

        The result is None if neither has the projection; this method does not compute it.
        """
        if store.fingerprint not in self._computed and (read := _read(store)) is not None:
            self._computed[store.fingerprint] = read
        return self._computed.get(store.fingerprint)

    def get(self, store: Store) -> Projection:
        """Return a gallery store's projection; compute and save it if there is none.

        Computing a projection takes seconds. The result is saved in the store's folder, or only in
        memory if the folder cannot be written.
        """
        with self._lock:
            computing = self._computing.setdefault(store.fingerprint, threading.Lock())
        with computing:
            if (known := self.known(store)) is not None:
                return known
            computed = self._computed[store.fingerprint] = project(store.vectors)
            try:
                save_projection(store, computed)
            except OSError as error:  # the store's folder may be read-only
                logger.warning("%s: its map is not saved: %s", store.path, error)
            return computed


def _read(store: Store) -> Projection | None:
    try:
        return load_projection(store)
    except StoreError as error:
        logger.warning("%s", error)
        return None
