#!/usr/bin/env bash
# usearch 2.26.6: integers are not taken as numbers. (1) An index with dtype="i8" scales each vector to the same
# length before it stores it, for metric="ip" and "l2sq" too, so that both rank by cosine. (2) int8 vectors added
# to a float32 index are divided by 127, and (3) uint8 vectors, such as SIFT descriptors, are read as packed bits,
# of which the first are stored.
# Expected: (1) about the ranking of float32; (2, 3) the numbers that were added, or an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check usearch==2.26.6 numpy
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from usearch.index import Index

print("usearch", version("usearch"))
vectors = np.array([[1, 0.3, 0, 0], [5, 0, 0, 0], [3, 9, 0, 0]], np.float32)
query = np.array([1, 0, 0, 0], np.float32)
nearest = {}
for metric in ("ip", "l2sq"):
    for dtype in ("f32", "f16", "i8"):
        index = Index(ndim=4, metric=metric, dtype=dtype)
        index.add(np.arange(3), vectors)
        nearest[metric, dtype] = index.search(query, 3).keys.tolist()
        print(f"metric={metric} dtype={dtype}: order {nearest[metric, dtype]}")
stored = {}
for dtype in (np.float64, np.int8, np.uint8):
    index = Index(ndim=4, metric="l2sq", dtype="f32")
    vector = [200, 2, 100, 127] if dtype is np.uint8 else [1, 2, 100, 127]
    index.add(np.arange(1), np.array([vector], dtype))
    stored[dtype] = index.get(0)
    print(f"added {vector} as {dtype.__name__}, stored {stored[dtype]}")
for metric, order in (("ip", [1, 2, 0]), ("l2sq", [0, 1, 2])):
    assert nearest[metric, "f32"] == nearest[metric, "f16"] == order, "the plain case has changed"
    assert nearest[metric, "i8"] == [1, 0, 2], "this has changed"
assert stored[np.float64].tolist() == [1, 2, 100, 127], "the plain case has changed"
assert np.allclose(stored[np.int8] * 127, [1, 2, 100, 127], atol=1e-4), "this has changed"
assert stored[np.uint8].tolist() == [1, 1, 0, 0], "this has changed"
print("seen: i8 ranks by cosine whatever the metric; int8 is scaled and uint8 is unpacked to bits")
PYTHON
