"""What a gallery of 1,000 to 1,000,000 pictures costs: one table, also written as JSON.

No million pictures are embedded: the vectors are random, of the bundled model's size, and the rows
are written as `dwc index` writes them. Each size is opened and searched by a process of its own,
in exact search; the times of the index of FAISS are measured in `test_faiss_at_scale.py`. The rate
of indexing and the size of a thumbnail are those of drawings, which the bundled model indexes.

DWC_BENCH_JSON names the file to write; DWC_BENCH_SIZES the sizes, such as "1000,10000".
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.splits import gallery
from dwc.checkpoints import load
from dwc.files import write_json
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.gallery.store import DATABASE, THUMBNAILS, StoredImage, checksum, vector_file
from dwc.gallery.store_writer import StoreWriter
from dwc.search.image_embedding import image_embedder, model_identity
from tests.bench.measuring import rows_of_sizes, tell

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
SIZES = tuple(
    int(size) for size in os.environ.get("DWC_BENCH_SIZES", "1000,10000,100000,1000000").split(",")
)
INDEXED = 300  # drawings that are indexed, to measure the rate
ROWS_AT_ONCE = 20_000
START_RATIO = 3.0  # the largest gallery against the smallest
MEMORY_RATIO = 1.1
STORE_RATIO = 1.05  # with its thumbnails, against vectors and thumbnails alone

SEARCH = """
import json, resource, statistics, sys, time
started = time.perf_counter()
import numpy as np
from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.splits import gallery
from dwc.checkpoints import load
from dwc.gallery.store import Store
from dwc.search.searcher import Searcher

def own_memory():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

def resident_but_vectors():
    # All resident pages, also those of mapped files, except those of the vectors.
    total, is_counted = 0, True
    with open("/proc/self/smaps") as file:
        for line in file:
            first, *rest = line.split()
            if not first.endswith(":"):  # the line of a mapping, with its file
                is_counted = "/vectors-" not in line
            elif first == "Rss:" and is_counted:
                total += int(rest[0])
    return total / 1024

searcher = Searcher(load.load(load.BUNDLED), Store.open(sys.argv[1]))
pictures = [draw(item.garment, item.picture_seed) for item in gallery("test", 21)]
searcher.search(image=pictures[0], text="in blue", k=12)
start_s = time.perf_counter() - started
memory, resident, searches, steps = [], [], [], []
for number, picture in enumerate(pictures[1:]):
    begun = time.perf_counter()
    searcher.search(image=picture, text=f"in blue with {number} pockets", k=12)
    searches.append((time.perf_counter() - begun) * 1e3)
    sweep = searcher.sweep(searcher.encode_query(image=picture, text="longer"))
    sweep.hits(0.0, 12)
    for shift in np.linspace(-3, 3, 5):
        begun = time.perf_counter()
        sweep.hits(float(shift), 12)
        steps.append((time.perf_counter() - begun) * 1e3)
    memory.append(own_memory())
    resident.append(resident_but_vectors())
print(json.dumps({
    "start_s": start_s,
    "search_ms": statistics.median(searches),
    "search_p95_ms": sorted(searches)[int(0.95 * len(searches))],
    "slider_ms": statistics.median(steps),
    "memory_mb": max(memory),
    "resident_mb": max(resident),
}))
"""


def write_store(folder, size, model):
    """Write a store of random vectors without pictures; return the rows per second."""
    rng = np.random.default_rng(size)
    started = time.perf_counter()
    pictures = folder.with_name(f"{size} pictures")
    pictures.mkdir()
    with StoreWriter(folder, model, FolderSource(pictures).spec, str(pictures)) as writer:
        for start in range(0, size, ROWS_AT_ONCE):
            count = min(ROWS_AT_ONCE, size - start)
            streams = [
                rng.standard_normal((count, width), dtype=np.float32)
                for width in model.streams.values()
            ]
            vectors = np.concatenate(
                [part / np.linalg.norm(part, axis=1, keepdims=True) for part in streams], axis=1
            )
            rows = [
                StoredImage(
                    f"{number // 1000:04d}/{number:07d}.jpg", f"{number:064x}", f"{number:032x}",
                    640, 480, checksum(vector),
                )
                for number, vector in enumerate(vectors, start)
            ]  # fmt: skip
            writer.append(rows, vectors)
        writer.finish()
    return size / (time.perf_counter() - started)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """Drawings that are indexed in a second, and the mean size of a thumbnail in bytes."""
    folder = tmp_path_factory.mktemp("drawings")
    for item in gallery("test", INDEXED):
        draw(item.garment, item.picture_seed).save(folder / f"{item.id}.png")
    checkpoint = load.load(load.BUNDLED)
    store = tmp_path_factory.mktemp("indexed") / "store"
    started = time.perf_counter()
    build_store(FolderSource(folder), image_embedder(checkpoint), store, model_identity(checkpoint))
    rate = INDEXED / (time.perf_counter() - started)
    sizes = [file.stat().st_size for file in (store / THUMBNAILS).rglob("*") if file.is_file()]
    return rate, sum(sizes) / len(sizes)


def test_what_galleries_of_all_sizes_cost(tmp_path, indexed):
    rate, thumbnail_bytes = indexed
    model = model_identity(load.load(load.BUNDLED))
    table = {}
    for size in SIZES:
        folder = tmp_path / f"{size}"
        rows_per_s = write_store(folder, size, model)
        vectors_mb = vector_file(folder, 0).stat().st_size / 1e6
        store_mb = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
        output = subprocess.run(
            [sys.executable, "-c", SEARCH, str(folder)],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        table[size] = {
            "index_per_s": rate,
            "rows_per_s": rows_per_s,
            "vectors_mb": vectors_mb,
            "rows_mb": (folder / DATABASE).stat().st_size / 1e6,
            "thumbnails_mb": size * thumbnail_bytes / 1e6,
            "store_mb": store_mb + size * thumbnail_bytes / 1e6,
            **json.loads(output.splitlines()[-1]),
        }
        for file in folder.rglob("*"):
            if file.is_file():
                file.unlink()
    print(f"\nindexing {rate:.0f} drawings a second\n| pictures | ", end="")
    print(" | ".join(f"{size:,}" for size in table), "|", *rows_of_sizes(table), sep="\n")
    least, most = table[min(SIZES)], table[max(SIZES)]
    ratios = {
        "start": (most["start_s"] / least["start_s"], START_RATIO),
        "memory": (most["memory_mb"] / least["memory_mb"], MEMORY_RATIO),
        "resident": (most["resident_mb"] / least["resident_mb"], MEMORY_RATIO),
        "store": (
            most["store_mb"] / (most["vectors_mb"] + most["thumbnails_mb"]),
            STORE_RATIO,
        ),
    }
    for name, (ratio, limit) in ratios.items():
        tell(f"{name}, {max(SIZES):,} pictures", f"{ratio:.2f}", f"at most {limit}")
    if target := os.environ.get("DWC_BENCH_JSON"):
        ratio_entries = {name: {"ratio": r, "limit": limit} for name, (r, limit) in ratios.items()}
        write_json(Path(target), {"sizes": table, "ratios": ratio_entries})
    assert {name: ratio for name, (ratio, limit) in ratios.items() if ratio > limit} == {}
