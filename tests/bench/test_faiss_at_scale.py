"""The index of FAISS over 200,000 and 1,000,000 pictures, next to exact search.

No million pictures are embedded. The vectors are grown from real ones, those of drawings and of
photographs: each is a mixture of a real vector and one of its 20 nearest, moved by a part of the
difference of two others, so that both its neighborhood and its spread are those of the data. The
queries are composed by the model, from pictures and words that are not those of the vectors grown.
"""

import math
import os
import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file

from dwc.checkpoints import load
from dwc.datasets.image_loading import decode
from dwc.gallery.faiss_index import FILE, FaissIndex
from dwc.gallery.sources import CatalogueSource
from dwc.search.image_embedding import image_embedder
from dwc.search.query import encode_query
from dwc.search.query_batching import QueryComposer
from dwc.search.weight_sweep import WeightSweep
from tests.bench.measuring import in_turns, tell

pytestmark = pytest.mark.bench
pytest.importorskip("faiss")

RATIO = 0.1  # at most this share of the processor time of exact search
RECALL = 0.98
K = 50
SHIFTS = (-math.inf, -2.0, 0.0, 2.0, math.inf)
PHOTOGRAPHS = 600
TEXTS = (
    "is blue with a v-neck",
    "is shorter and red",
    "has no sleeves",
    "with long sleeves and stripes",
    "in white",
    "has a floral pattern",
    "less busy",
    "a yellow coat",
    "black leather",
    "boots with high heels",
)


def unit(vectors, width):
    """Scale the streams' parts of vectors (n, D), each of `width` numbers, to unit length."""
    parts = vectors.reshape(len(vectors), -1, width)
    lengths = np.maximum(np.linalg.norm(parts, axis=2, keepdims=True), 1e-9)
    return (parts / lengths).reshape(len(vectors), -1).astype(np.float32)


def grow(real, count, width, file):
    """Write `count` vectors grown from real ones to a file, and return them as a memory map."""
    rng = np.random.default_rng(0)
    near = np.concatenate(
        [
            np.argpartition(-(real[s : s + 500] @ real.T), 20)[:, :21]
            for s in range(0, len(real), 500)
        ]
    )
    shape = (count, real.shape[1])
    grown = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
    for start in range(0, count, 20_000):
        size = min(20_000, count - start)
        origin, one, other = rng.integers(0, len(real), (3, size))
        neighbor = near[origin, rng.integers(0, near.shape[1], size)]
        share = 0.5 * rng.random((size, 1), dtype=np.float32)
        mixed = (1 - share) * real[origin] + share * real[neighbor]
        grown[start : start + size] = unit(mixed + 0.15 * (real[one] - real[other]), width)
    grown.flush()
    return np.memmap(file, dtype=np.float32, mode="r", shape=shape)


class VectorStore:
    """What an index needs of a store, without pictures."""

    def __init__(self, path, vectors):
        self.path, self.vectors = path, vectors
        self.rows = [SimpleNamespace(checksum=0)] * len(vectors)
        self.manifest = SimpleNamespace(model=SimpleNamespace(fingerprint="grown"))

    def __len__(self):
        return len(self.rows)


class Measured(NamedTuple):
    """What was measured at one size of the gallery."""

    build_s: float
    open_ms: float
    megabytes: float
    index: FaissIndex
    recalls: dict[float, float]
    filtered: float
    comparison: object
    wall: object


def measure(vectors, queries, folder):
    """Build the index of vectors, and compare its answers to queries with exact search."""
    count = len(vectors)
    ids = range(count)
    store = VectorStore(folder, vectors)
    start = time.process_time()
    FaissIndex.build(store)
    build_s = time.process_time() - start
    start = time.process_time()
    index = FaissIndex.open(store)
    open_ms = (time.process_time() - start) * 1e3
    shares = {shift: [] for shift in SHIFTS}
    filtered = []
    fits = np.random.default_rng(4).random(count) < 0.1
    for query in queries:
        exact = WeightSweep(query, vectors, ids)
        swift = WeightSweep(query, vectors, ids, index=index)
        for shift in SHIFTS:
            shares[shift].append(np.isin(exact.top(shift, K), swift.top(shift, K)).mean())
        exact.selected = fits
        swift = WeightSweep(query, vectors, ids, selected=fits, index=index)
        filtered.append(np.isin(exact.top(0.0, K), swift.top(0.0, K)).mean())
    timed = {}
    for name, clock in (("processor", time.process_time), ("wall", time.perf_counter)):
        turns = {"swift": iter(queries * 2), "exact": iter(queries * 2)}

        def search(name, turns=turns):
            options = {"index": index} if name == "swift" else {}
            return WeightSweep(next(turns[name]), vectors, ids, **options).hits(0.0, K)

        timed[name] = in_turns(
            lambda search=search: search("swift"),
            lambda search=search: search("exact"),
            rounds=len(queries),
            clock=clock,
        )
    return Measured(
        build_s,
        open_ms,
        (folder / FILE).stat().st_size / 1e6,
        index,
        {shift: statistics.fmean(values) for shift, values in shares.items()},
        statistics.fmean(filtered),
        timed["processor"],
        timed["wall"],
    )


def report(count, measured):
    """Print the rows of one size."""
    described = measured.index.description
    tell(
        f"faiss, top {K} with its split, {count:,} x 512 / exact, processor time",
        f"{measured.comparison.ours_ms:.1f} / {measured.comparison.base_ms:.0f} ms = "
        f"{measured.comparison.ratio:.3f}",
        f"at most {RATIO}",
    )
    tell(
        "  the same, time on the clock",
        f"{measured.wall.ours_ms:.1f} / {measured.wall.base_ms:.0f} ms = {measured.wall.ratio:.3f}",
        "told only",
    )
    tell(
        f"  recall@{K} at shifts {', '.join(map(str, SHIFTS))}",
        ", ".join(f"{recall:.3f}" for recall in measured.recalls.values()),
        f"at least {RECALL} on average",
    )
    tell(f"  recall@{K} with a filter that 1 in 10 fits", f"{measured.filtered:.3f}", f"{RECALL}")
    tell(
        "  clusters read / all, candidates, recall by its own trial",
        f"{described.probes} / {described.clusters}, {described.candidates}, {described.recall}",
        "told only",
    )
    tell(
        "  built in, opened in, size; all processor time",
        f"{measured.build_s:.0f} s, {measured.open_ms:.0f} ms, {measured.megabytes:.0f} MB",
        "told only",
    )


@pytest.fixture(scope="module")
def real(checkpoint_folder):
    """Vectors of 2,000 drawings and of photographs, and queries that the model composes."""
    loaded = load.load(checkpoint_folder)
    vectors = load_file(checkpoint_folder / "gallery.safetensors")["vectors"].astype(np.float32)
    folder = Path(os.environ.get("DWC_TEST_DATA", "")) / "wardrobe" / "photos"
    photographs = [decode(file) for file in sorted(folder.glob("*.jpg"))[:PHOTOGRAPHS]]
    embed = image_embedder(loaded)
    known = photographs[60:]
    parts = [embed(known[start : start + 32]) for start in range(0, len(known), 32)]
    drawings = [item.open() for item in CatalogueSource("train", 60).items()]
    compose = QueryComposer(loaded.model)
    queries = []
    for n, image in enumerate([*photographs[:60], *drawings]):
        text = "" if n % 6 == 5 else TEXTS[n % len(TEXTS)]
        query = encode_query(loaded, None if n % 6 == 4 else image, text, compose)
        queries.append(query.composed)
    return np.concatenate([unit(vectors, 256), *parts]), queries


@pytest.mark.parametrize("count", [200_000, 1_000_000])
def test_search_with_the_index(real, count, tmp_path):
    vectors, queries = real
    measured = measure(grow(vectors, count, 256, tmp_path / "vectors.f32"), queries, tmp_path)
    report(count, measured)
    assert statistics.fmean(measured.recalls.values()) >= RECALL
    assert measured.filtered >= RECALL
    if count >= 1_000_000:
        assert measured.comparison.ratio <= RATIO
