"""An approximate index of a gallery's vectors, made with the library FAISS.

The index divides the gallery into clusters and stores each vector in 64 bytes: 128 principal
components of the vector, rotated at random and encoded in 4 bits each. A search reads only the
codes of the clusters nearest to the query. Since the codes are imprecise, it returns many more
candidates than the number of results that are needed, and the caller computes the exact scores of
the candidates.

Two numbers are chosen when the index is built: how many clusters a search reads, and how many
candidates it returns. Trial queries, which are about as hard for the index as a model's queries,
are searched with several pairs of these numbers. The pair with the lowest cost is chosen among
those with which the searches find at least the fraction `TARGET_RECALL` of the 50 best images.

FAISS's classes `IndexRefine` and `IndexHNSW` are not used, because the argument `params` of their
method `search` has unwanted effects. `IndexRefine` ignores the set of allowed positions in
`params`, and replaces the index's value of `k_factor` by the default. `IndexHNSW` replaces the
index's value of `efSearch` by the default. `tests/gallery/test_faiss_index.py` checks this with the
installed version.

The index is one file in the folder of the store:

    candidates.faiss     one after the other: the output of `faiss.write_index`, a description as
                         JSON, the length of the description, a CRC-32 of all bytes before the CRC,
                         and `_MAGIC`

The description contains a fingerprint of the vectors, so that an index of other vectors is not
used. The file can be deleted at any time; it is replaced atomically.
"""

import json
import logging
import math
import struct
import zlib
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.errors import DWCError, StoreError
from dwc.files import atomic_path
from dwc.gallery.filters import Filter
from dwc.gallery.store import Store
from dwc.progress import track

logger = logging.getLogger(__name__)

FILE = "candidates.faiss"

MIN_PICTURES = 1_000
"""The smallest gallery for which an index can be built; smaller ones are searched exactly."""

TARGET_RECALL = 0.99
"""The mean share of the 50 best images that the index should propose."""

RECALL_AT = 50
"""The number of best images in the definition of recall."""

_FORMAT = 1
_MAGIC = b"DWCFAISS"
_LENGTH = struct.Struct("<I")  # length of the description
_TAIL = struct.Struct("<I8s")  # CRC-32, magic
_BLOCK = 1 << 22  # bytes hashed at a time
_ADDED = 1 << 16  # vectors encoded at a time: 128 MB at 512 numbers
_SCORED = 1 << 15  # vectors compared with the trial queries at a time

_COMPONENTS = 128
_BITS_PER_CODE = 4  # codes of 4 bits fit the processor's registers, FAISS's "fast scan"
_CLUSTERS_LIMIT = 65_536
_TRAINED_PER_CLUSTER = 50
_TRIAL_QUERIES = 200
_NOISE = (2.0, 3.0)  # length of the noise in trial queries, relative to the sum of two images
_MOST_CANDIDATES = 3_200
_GATHER_COST = 4  # time to read a byte of scattered vectors, relative to a byte of codes
_CANARIES = 16


@dataclass(frozen=True)
class IndexDescription:
    """The description of an index, as it is stored in the index's file.

    Attributes:
        format: the version of this file format.
        fingerprint: hash of the vectors; see `vectors_fingerprint`.
        count: the number of vectors.
        dimension: the length of a vector.
        clusters: the number of clusters into which the vectors are divided.
        probes: the number of clusters that a search for the 50 best images reads.
        candidates: the number of candidates that a search for the 50 best images returns.
        recall: the fraction of a query's 50 best images that are among the candidates, in [0, 1],
            averaged over trial queries.
        library: the version of FAISS that wrote the index.
    """

    format: int
    fingerprint: str
    count: int
    dimension: int
    clusters: int
    probes: int
    candidates: int
    recall: float
    library: str


def require_faiss() -> ModuleType:
    """Import FAISS and return the module.

    Raises:
        DWCError: FAISS is not installed. The message has the command that installs it.
    """
    try:
        import faiss
    except ImportError as error:
        raise DWCError(
            "the index 'faiss' needs the package faiss-cpu. Install it: pip install 'dwc[faiss]'"
        ) from error
    return faiss


def vectors_fingerprint(store: Store) -> str:
    """Return a hash (16 hex digits) of a store's model and of its vectors in their order.

    The hash is computed from the vectors' checksums, which are fields of the store's rows.
    """
    digest = sha256(store.manifest.model.fingerprint.encode())
    digest.update(np.ascontiguousarray(store.rows.checksums, dtype="<u4").data)
    return digest.hexdigest()[:16]


class FaissIndex:
    """An approximate index of one gallery store; implements `CandidateIndex`.

    Attributes:
        name: the name of the index, "faiss".
        description: the settings and the measured recall of the index.
    """

    name = "faiss"

    def __init__(self, index: Any, description: IndexDescription) -> None:
        """Create the object from an index of FAISS. Callers use `open` or `build` instead."""
        self._faiss = require_faiss()
        self._index = index
        self.description = description

    @property
    def recall(self) -> float:
        """The fraction of a query's 50 best images that are among the candidates, in [0, 1].

        It was averaged over trial queries when the index was built.
        """
        return self.description.recall

    @classmethod
    def open(cls, store: Store) -> "FaissIndex":
        """Read the index of a store from its file, and verify it.

        Raises:
            DWCError: FAISS is not installed.
            StoreError: The index is missing or damaged, or was built from other vectors.
        """
        faiss = require_faiss()
        path = store.path / FILE
        description = _read_description(path)
        expected = (vectors_fingerprint(store), *store.vectors.shape)
        if (description.fingerprint, description.count, description.dimension) != expected:
            raise StoreError(
                f"{path}: was built from other vectors ({description.count:,} of them; the store "
                f"has {len(store):,}). {_cure(path)}"
            )
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise StoreError(
                f"{path}: faiss-cpu {faiss.__version__} cannot read it, which "
                f"{description.library} wrote ({_first_line(error)}). {_cure(path)}"
            ) from error
        opened = cls(index, description)
        opened._check_canaries(store)
        return opened

    @classmethod
    def build(cls, store: Store) -> "FaissIndex":
        """Build the index of a store, and write it to its file.

        If the file cannot be written, a warning is logged and the index stays in memory.

        Args:
            store: the store, with at least `MIN_PICTURES` pictures.

        Raises:
            DWCError: FAISS is not installed.
        """
        faiss = require_faiss()
        vectors = store.vectors.view(np.ndarray)
        index = _train(faiss, vectors)
        count, dimension = vectors.shape
        for start in track(range(0, count, _ADDED), "index: blocks encoded", logger):
            index.add(np.ascontiguousarray(vectors[start : start + _ADDED]))
        tuning = _tune(faiss, index, vectors)
        description = IndexDescription(
            _FORMAT,
            vectors_fingerprint(store),
            count,
            dimension,
            faiss.extract_index_ivf(index).nlist,
            *tuning,
            library=faiss.__version__,
        )
        if description.recall < TARGET_RECALL:
            logger.warning(
                "%s: the index finds %.1f %% of the %d best pictures, not %.0f %%. Search with "
                "--index exact where that matters.",
                store.path,
                100 * description.recall,
                RECALL_AT,
                100 * TARGET_RECALL,
            )
        path = store.path / FILE
        try:
            with atomic_path(path, fsync=True) as partial:
                faiss.write_index(index, str(partial))
                _append_description(partial, description)
        except (OSError, RuntimeError) as error:
            logger.warning(
                "%s: cannot be written (%s); the index is built again when it is next needed.",
                path,
                _first_line(error),
            )
        return cls(index, description)

    def candidates(
        self,
        query: NDArray[np.float32],
        k: int,
        selected: NDArray[np.bool_] | None = None,
        condition: Filter | None = None,
    ) -> NDArray[np.int64]:
        """Return the gallery positions of images that probably include the `k` best for a query.

        Args:
            query: the query vector (D,).
            k: the number of best images that are needed, 1 or more.
            selected: whether each of the n images may be returned (n,); None if all may.
            condition: the filter from which `selected` was computed; not used.
        """
        factor = max(k / RECALL_AT, 1.0)
        count = min(math.ceil(factor * self.description.candidates), self.description.count)
        probes = factor * self.description.probes
        if selected is not None:
            # The best among few selected images are further from the query than the best of all.
            probes *= len(selected) / max(int(np.count_nonzero(selected)), 1)
        probes = min(math.ceil(probes), self.description.clusters)
        return _search(self._faiss, self._index, query[None], count, probes, selected)[0]

    def summary(self) -> str:
        """Return a description for the user: the name, and the measured recall."""
        return f"{self.name}, finds {self.recall:.1%} of the {RECALL_AT} best"

    def close(self) -> None:
        """Do nothing: the index has no open files."""

    def _check_canaries(self, store: Store) -> None:
        """Check that the index finds pictures: search with the vectors of 16 pictures of the store.

        Raises:
            StoreError: Fewer than half of these searches return the picture whose vector they used.
        """
        positions = np.linspace(0, len(store) - 1, _CANARIES).astype(np.int64)
        vectors = store.vectors.view(np.ndarray)
        hits = sum(
            bool(np.isin(position, self.candidates(vectors[position], 1)))
            for position in positions.tolist()
        )
        if hits < _CANARIES // 2:
            path = store.path / FILE
            raise StoreError(
                f"{path}: only {hits} of {_CANARIES} pictures find themselves. {_cure(path)}"
            )


def check_index(store: Store) -> bool:
    """Verify the FAISS index of a store, and return whether the store has one.

    Raises:
        DWCError: There is an index, and FAISS is not installed.
        StoreError: The index is damaged, or was built from other vectors.
    """
    if not (store.path / FILE).exists():
        return False
    FaissIndex.open(store)
    return True


def _cure(path: Path) -> str:
    return f"Delete it, or build it again: python -m dwc index … --out {path.parent} --index faiss"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _search(
    faiss: ModuleType,
    index: Any,
    queries: NDArray[np.float32],
    count: int,
    probes: int,
    selected: NDArray[np.bool_] | None = None,
) -> list[NDArray[np.int64]]:
    """Return the positions of at most `count` candidates for each of Q queries, best first.

    The search parameters are created for each search, since several threads share the index.

    Args:
        faiss: The module.
        index: The index of FAISS.
        queries: The query vectors (Q, D).
        count: The greatest number of candidates for a query.
        probes: The number of clusters to read.
        selected: Whether each of the n images may be a candidate (n,); None if all may.
    """
    selector = None
    if selected is not None:
        # The selector has a pointer to the bits, so the array must outlive the search.
        bits = np.packbits(selected, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
    parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
    if isinstance(index, faiss.IndexPreTransform):
        parameters = faiss.SearchParametersPreTransform(index_params=parameters)
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    _, positions = index.search(queries, count, params=parameters)
    return [row[row >= 0] for row in positions]  # FAISS pads each row with -1


def _train(faiss: ModuleType, vectors: NDArray[np.float32]) -> Any:
    """Return an empty index of FAISS that was trained on some of the vectors (n, D).

    The index uses Euclidean distances. All vectors have the same norm, since the vector of each
    stream has unit length. So distances and dot products give the same order of the images. The
    distances do not change when the mean is subtracted to compute the principal components.
    """
    count, dimension = vectors.shape
    clusters = _cluster_count(count)
    components = min(_COMPONENTS, dimension // 2 * 2)
    sampled = min(count, max(_TRAINED_PER_CLUSTER * clusters, 20_000))
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(count, sampled, replace=False))
    logger.info("index: %d clusters are trained on %d vectors", clusters, sampled)
    description = f"PCAR{components},IVF{clusters},PQ{components}x{_BITS_PER_CODE}fs"
    index = faiss.index_factory(dimension, description, faiss.METRIC_L2)
    index.train(np.ascontiguousarray(vectors[rows]))
    return index


def _cluster_count(count: int) -> int:
    """Return the number of clusters into which the index divides `count` vectors.

    The number is the power of two nearest to 4 times the square root of `count`. It is limited so
    that clusters have at least 40 vectors on average, and to `_CLUSTERS_LIMIT` (65,536).
    """
    return min(2 ** round(math.log2(4 * math.sqrt(count))), count // 40, _CLUSTERS_LIMIT)


def _tune(faiss: ModuleType, index: Any, vectors: NDArray[np.float32]) -> tuple[int, int, float]:
    """Choose how many clusters a search reads and how many candidates it returns.

    Several pairs of these two numbers are measured with trial queries. The result is the pair that
    reads the fewest bytes among the pairs that reach `TARGET_RECALL`. If no pair reaches it, the
    result is the pair with the highest recall.

    Returns:
        The number of clusters, the number of candidates, and the measured recall, in [0, 1].
    """
    count, dimension = vectors.shape
    queries = _trial_queries(vectors)
    best = _best_positions(queries, vectors)  # (Q, 50)
    clusters = faiss.extract_index_ivf(index).nlist
    code_bytes = faiss.extract_index_ivf(index).code_size + 8  # with the position
    most = min(_MOST_CANDIDATES, count)
    sizes = [size for size in (100, 200, 400, 800, 1_600) if size < most] + [most]
    trials = []
    probes = 1
    while True:
        probes = min(probes, clusters)
        candidates = _search(faiss, index, queries, most, probes)
        for size in sizes:
            shares = [
                np.isin(row, positions[:size]).mean()
                for row, positions in zip(best, candidates, strict=True)
            ]
            recall = float(np.mean(shares))
            read = count * code_bytes * probes / clusters + size * dimension * 4 * _GATHER_COST
            trials.append((recall >= TARGET_RECALL, recall, -read, probes, size))
        if probes == clusters:
            break
        probes *= 2
    good = [trial for trial in trials if trial[0]]
    chosen = max(good, key=lambda t: t[2]) if good else max(trials, key=lambda t: t[1:3])
    _, recall, _, probes, size = chosen
    return probes, size, round(recall, 4)


def _trial_queries(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return trial queries (Q, D) that are about as hard for the index as a model's queries.

    The embedding of a text is far from the vectors of all images, so that the best images are in
    many clusters. A trial query imitates this: it is the sum of two image vectors, plus Gaussian
    noise that is 2 or 3 times as long as this sum. The result is scaled to the length of an image
    vector. For the bundled model, the recall of queries without an image is between the recall of
    trial queries with the shorter noise and the recall of trial queries with the longer noise.
    """
    rng = np.random.default_rng(1)
    first, second = vectors[rng.integers(0, len(vectors), (2, _TRIAL_QUERIES))]  # (Q, D) each
    mixed = first + second
    noise = rng.standard_normal(mixed.shape, dtype=np.float32)
    lengths = np.resize(_NOISE, (len(mixed), 1)) * _lengths(mixed) / _lengths(noise)
    queries = mixed + lengths.astype(np.float32) * noise
    return queries * (_lengths(first) / _lengths(queries))


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Euclidean norms (n, 1) of n vectors (n, D).

    A norm below 1e-12 is replaced by 1e-12, so that the caller can divide by it.
    """
    return np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _best_positions(
    queries: NDArray[np.float32], vectors: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return the positions (Q, 50) of the best images for Q queries (Q, D), by exact search.

    The 50 positions of a query are in any order. `vectors` are the vectors (n, D) of the gallery.
    """
    best_scores = np.full((len(queries), RECALL_AT), -np.inf, dtype=np.float32)
    best = np.zeros((len(queries), RECALL_AT), dtype=np.int64)
    blocks = range(0, len(vectors), _SCORED)
    for start in track(blocks, "index: blocks compared with trial queries", logger):
        block = queries @ vectors[start : start + _SCORED].T
        scores = np.concatenate([best_scores, block], axis=1)
        columns = np.argpartition(-scores, RECALL_AT - 1, axis=1)[:, :RECALL_AT]
        positions = np.where(
            columns < RECALL_AT,
            np.take_along_axis(best, np.minimum(columns, RECALL_AT - 1), axis=1),
            columns - RECALL_AT + start,
        )
        best_scores, best = np.take_along_axis(scores, columns, axis=1), positions
    return best


def _append_description(path: Path, description: IndexDescription) -> None:
    text = json.dumps(asdict(description)).encode()
    with path.open("ab") as file:
        file.write(text + _LENGTH.pack(len(text)))
    crc = _crc(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(_TAIL.pack(crc, _MAGIC))


def _read_description(path: Path) -> IndexDescription:
    """Return the description in an index file after verifying the CRC of all bytes.

    Raises:
        StoreError: The file is missing or damaged, or has another format.
    """
    try:
        size = path.stat().st_size - _TAIL.size  # without the tail
        if size < _LENGTH.size:
            raise StoreError(f"{path}: is damaged. {_cure(path)}")
        with path.open("rb") as file:
            file.seek(size)
            if file.read() != _TAIL.pack(_crc(path, size), _MAGIC):
                raise StoreError(f"{path}: is damaged. {_cure(path)}")
            file.seek(size - _LENGTH.size)
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            file.seek(size - _LENGTH.size - length)
            content = json.loads(file.read(length))
    except OSError as error:
        reason = "there is no index" if isinstance(error, FileNotFoundError) else error.strerror
        raise StoreError(f"{path}: {reason}. {_cure(path)}") from error
    if content.get("format") != _FORMAT:
        raise StoreError(
            f"{path}: is of format {content.get('format')}; this version reads format {_FORMAT}. "
            f"{_cure(path)}"
        )
    return IndexDescription(**content)


def _crc(path: Path, size: int) -> int:
    """Return the CRC-32 of the first `size` bytes of a file."""
    crc = 0
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(_BLOCK, size))):
            crc = zlib.crc32(block, crc)
            size -= len(block)
    return crc
