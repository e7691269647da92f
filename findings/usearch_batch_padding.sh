#!/usr/bin/env bash
# usearch 2.26.6: a batched search that finds fewer than k vectors pads `keys` with 0, which is a valid
# key, and `distances` with NaN; only `counts` says how many entries of each row are results.
# Expected: padding that cannot be taken for a key, as faiss's -1.
# It matters wherever `keys` is turned into ids without `counts`: picture 0 appears in every answer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check usearch==2.26.6 numpy
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from usearch.index import Index

index = Index(ndim=4, metric="cos", dtype="f32")
vectors = np.eye(4, dtype=np.float32)
index.add(np.array([7, 8]), vectors[:2])  # key 0 was never added
matches = index.search(vectors[:2], 5)
print("usearch", version("usearch"))
print("keys", matches.keys.tolist())
print("distances", matches.distances.tolist())
print("counts", matches.counts.tolist())
assert matches.counts.tolist() == [2, 2]
assert (matches.keys[:, 2:] == 0).all(), "the padding of keys has changed"
assert np.isnan(matches.distances[:, 2:]).all(), "the padding of distances has changed"
print("seen: key 0, which is not in the index, fills every row")
PYTHON
