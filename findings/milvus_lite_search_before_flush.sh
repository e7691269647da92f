#!/usr/bin/env bash
# milvus-lite 3.2.2 (with pymilvus 3.0.2): rows that were written are searched at once, but each search is
# many times slower until `flush` is called, although the index type is FLAT, which compares all vectors
# both times. Nothing flushes so few rows by itself, and a script that never calls `flush` stays slow.
# Expected: about the same time for the same rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pymilvus==3.0.2 milvus-lite==3.2.2
"$folder/env/bin/python" - "$folder/shop.db" <<'PYTHON'
import logging
import statistics
import sys
import time
from importlib.metadata import version

import numpy as np
from pymilvus import DataType, MilvusClient

logging.getLogger("grpc._server").setLevel(logging.CRITICAL)  # it logs what milvus-lite lacks
client = MilvusClient(sys.argv[1])
schema = MilvusClient.create_schema(auto_id=False)
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("vector", DataType.FLOAT_VECTOR, dim=512)
index = MilvusClient.prepare_index_params()
index.add_index("vector", index_type="FLAT", metric_type="IP")
client.create_collection("shop", schema=schema, index_params=index, consistency_level="Strong")
vectors = np.random.default_rng(0).standard_normal((5_000, 512)).astype(np.float32)
for start in range(0, len(vectors), 1_000):
    rows = [{"id": n, "vector": vectors[n]} for n in range(start, start + 1_000)]
    client.insert("shop", rows)


def search():
    (hits,) = client.search("shop", data=[vectors[7]], limit=10, anns_field="vector")
    return [hit["id"] for hit in hits]


def median_ms():
    times = []
    for _ in range(15):
        start = time.perf_counter()
        search()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


found, before = search(), median_ms()
client.flush("shop")
again, after = search(), median_ms()
print("milvus-lite", version("milvus-lite"), "5,000 rows of 512 numbers")
print(f"a search before flush: {before:.1f} ms; after: {after:.1f} ms")
assert found == again, "the results differ"
assert before > 4 * after, "searches before flush became fast"
print("seen: the same results, many times slower before flush")
PYTHON
