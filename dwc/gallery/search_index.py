"""Exact and approximate nearest-neighbor search in the vectors of a gallery.

`ExactIndex` scores all images of a gallery, and `best_positions` selects the best ones. An exact
search reads all vectors from memory once. It is fast enough for up to 200,000 vectors of 2,048
numbers, which take 1.6 GB.

A `CandidateIndex` is an approximate index, in FAISS or in Milvus. It proposes candidates for a
query without reading all vectors. Then `dwc.search.weight_sweep` computes the candidates' scores
from their vectors, by the same code as without an index. So the scores and the order of the results
are exact. The only possible error is a missing image, which the index did not propose.
"""

import logging
from collections.abc import Collection
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dwc.errors import QueryError, StoreError
from dwc.gallery.faiss_index import MIN_PICTURES, FaissIndex, check_index, require_faiss
from dwc.gallery.filters import Filter
from dwc.gallery.milvus_connection import check_location, is_milvus_location
from dwc.gallery.milvus_index import MilvusIndex, OutdatedIndexError
from dwc.gallery.store import Store

logger = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

AUTO = "auto"
EXACT = "exact"
FAISS = "faiss"

LARGE_GALLERY = 200_000
"""The smallest number of pictures for which the option "auto" chooses an approximate index."""

_FEW = 8  # number of excluded positions up to which they are compared one by one
_GROUP = 64  # number of scores in each group of `_lower_bound`


class ExactIndex:
    """Index that scores images by the dot products of their vectors with a query vector.

    Letters in shapes: n gallery images, D numbers in a vector.
    """

    def __init__(self, vectors: Vectors) -> None:
        """Keep a reference to the gallery's vectors (n, D), float32; a memory map is allowed."""
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def scores(self, query: Vectors) -> Vectors:
        """Return the scores (n,) of all n gallery images for one query vector (D,) of D numbers."""
        return self._vectors @ np.asarray(query, dtype=np.float32)


def best_positions(
    scores: Vectors,
    k: int,
    exclude: Collection[int] = (),
    selected: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return the positions of the `k` greatest scores.

    Args:
        scores: The scores (n,) of n images.
        k: Number of positions to return.
        exclude: Positions that are never returned.
        selected: Whether each image (n,) may be returned, for example because it fits a filter;
            None if all images may be returned.

    Returns:
        The positions in order of descending score. If scores are equal, the lower position comes
        first. The result has `k` positions, or fewer if fewer images remain after the exclusion.
    """
    excluded = len(set(exclude))
    available = len(scores) - excluded
    if selected is not None:
        if exclude:
            selected = selected.copy()
            selected[list(exclude)] = False
        available = int(np.count_nonzero(selected))
        scores = np.where(selected, scores, np.float32(-np.inf))
    k = min(k, available)
    if k <= 0:
        return np.empty(0, dtype=np.int64)
    # All scores equal to the k-th are candidates, so that the order of ties is well defined.
    candidates = np.flatnonzero(scores >= _lower_bound(scores, k + excluded))  # ascending
    candidates = without_positions(candidates, exclude)
    least = np.partition(scores[candidates], len(candidates) - k)[len(candidates) - k]
    candidates = candidates[scores[candidates] >= least]
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


def without_positions(positions: NDArray[np.int64], excluded: Collection[int]) -> NDArray[np.int64]:
    """Return the positions without the excluded positions, as an array (m,) in the same order."""
    if len(excluded) > _FEW:
        return positions[~np.isin(positions, list(excluded))]
    for position in excluded:  # this is faster
        positions = positions[positions != position]
    return positions


def _lower_bound(scores: Vectors, k: int) -> np.float32 | float:
    """Return a lower bound of the k-th greatest score; for small `k`, it is close to that score.

    The scores (n,) are divided into groups of 64, and the bound is the k-th greatest of the groups'
    maxima. Computing the bound takes a fraction of the time for finding the k-th greatest score. If
    there are fewer groups than `k`, the bound is minus infinity.
    """
    groups = len(scores) // _GROUP
    if k > groups:
        return -np.inf
    maxima = scores[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    return np.partition(maxima, groups - k)[groups - k]


class CandidateIndex(Protocol):
    """An approximate index of one gallery; several threads may use it at once.

    Attributes:
        name: the name of the index in messages and in JSON, such as "faiss".
        recall: the fraction of a query's 50 best images that are among the index's candidates, in
            [0, 1], averaged over trial queries on this gallery; None if it was not measured.
    """

    @property
    def name(self) -> str:
        """The name of the index in messages and in JSON, such as "faiss"."""

    @property
    def recall(self) -> float | None:
        """The recall of the index on this gallery, in [0, 1]; None if it was not measured.

        It is the fraction of a query's 50 best images that are among the candidates of the index,
        averaged over trial queries.
        """

    def candidates(
        self,
        query: Vectors,
        k: int,
        selected: NDArray[np.bool_] | None = None,
        condition: Filter | None = None,
    ) -> NDArray[np.int64]:
        """Return the positions of images that probably include the `k` best for a query vector.

        Args:
            query: the query vector (D,). An image's score is the dot product of the image's vector
                with the query vector.
            k: number of best images that are needed, 1 or more. More candidates than that are
                usually returned, since the index does not know which of them are the best.
            selected: whether each of the n images may be returned (n,); None if all may be.
            condition: the filter from which `selected` was computed; None without a filter. An
                index that filters by metadata may use the condition instead of `selected`.

        Returns:
            The positions (m,) of m different images, in any order. If m is less than `k`, the
            caller searches exactly.

        Raises:
            StoreError: the index cannot be searched, for example because its server does not
                answer.
        """

    def summary(self) -> str:
        """Return a description of the index for the user, beginning with its name."""

    def close(self) -> None:
        """Close the files or connections of the index. The index cannot be used afterwards."""


def check_index_name(name: str) -> str:
    """Check the name of an index, and return it.

    Args:
        name: "auto", "exact", "faiss", or the location of a Milvus database (a path that ends in
            `.db`, or an address).

    Raises:
        QueryError: there is no index of this name.
        DWCError: the package of the index is not installed.
        StoreError: the path cannot be that of a Milvus database.
    """
    if is_milvus_location(name):
        return check_location(name)
    if name not in (AUTO, EXACT, FAISS):
        raise QueryError(
            f"there is no index {name!r}. Choose one: {AUTO}, {EXACT} or {FAISS}; or name a Milvus "
            "database: a path that ends in .db, or http://host:19530."
        )
    if name == FAISS:
        require_faiss()
    return name


def open_index(name: str, store: Store, build: bool = True) -> CandidateIndex | None:
    """Open the approximate index of a gallery store; build it if it is missing or outdated.

    Args:
        name: "exact" for no index; "faiss"; the location of a Milvus database, which is a path that
            ends in `.db` or an address such as `http://host:19530`; or "auto". "auto" stands for
            "faiss" if FAISS is installed and the store has at least `LARGE_GALLERY` pictures, and
            otherwise for "exact".
        store: the store.
        build: whether to build a missing index, and to update an outdated one. If False, None is
            returned in these cases, and the store is searched exactly. The name "faiss" ignores
            this argument: its index is always built or updated if necessary.

    Returns:
        The index; None for exact search, which is also used for a store with few pictures, and for
        a part of a store (see `Store.restrict`).

    Raises:
        QueryError: there is no index of this name.
        DWCError: "faiss" or Milvus is requested and not installed.
        StoreError: the Milvus database cannot be opened.
    """
    if check_index_name(name) == EXACT or (name == AUTO and len(store) < LARGE_GALLERY):
        return None
    is_milvus = is_milvus_location(name)
    if len(store) < (1 if is_milvus else MIN_PICTURES):
        logger.info("%s: has few pictures and is searched exactly.", store.path)
        return None
    if len(store) != store.manifest.count:  # restricted to the pictures of another store
        logger.info("%s: a part of the store is searched exactly.", store.path)
        return None
    if is_milvus:
        return _open_milvus(name, store, build)
    if name == AUTO and find_spec("faiss") is None:
        logger.info(
            "%s: %d pictures are searched exactly. An index makes that faster: "
            "pip install 'dwc[faiss]'",
            store.path,
            len(store),
        )
        return None
    try:
        return FaissIndex.open(store)
    except StoreError as error:
        if name == AUTO and not build:
            logger.info("%s The store is searched exactly.", error)
            return None
        logger.info("%s Building it.", error)
    return FaissIndex.build(store)


def verify_index(name: str, store: Store) -> None:
    """Verify a gallery store's FAISS index, if there is one, and optionally its rows in Milvus.

    Args:
        name: the location of a Milvus database whose rows are also to be verified: a path that ends
            in `.db`, or an address. With a name ("auto", "exact" or "faiss"), only the FAISS index
            is verified.
        store: the store.

    Raises:
        QueryError: there is no index of this name.
        DWCError: the package of an index is not installed.
        StoreError: an index is damaged, or was built from other vectors.
    """
    check_index(store)
    if is_milvus_location(check_index_name(name)):
        index = MilvusIndex.open(name, store)
        try:
            index.verify()
        finally:
            index.close()


def _open_milvus(location: str, store: Store, update: bool) -> MilvusIndex | None:
    if update:
        return MilvusIndex.update(location, store)
    try:
        return MilvusIndex.open(location, store)
    except OutdatedIndexError as error:
        logger.warning("The store is searched exactly. %s", error)
        return None
