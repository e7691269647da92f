#!/usr/bin/env bash
# usearch 2.26.6: an index made without `dtype` stores vectors in a type chosen from the processor
# (bfloat16 on most x86-64), not in the float32 that is added. Distances are off in the third decimal,
# and `exact=True` compares the stored vectors, so that it is not exact for what was added.
# Expected: float32 in, float32 stored; exact=True equal to a matrix product.
# Known to depend on the processor: where the default is float32 the script says so and ends well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check usearch==2.26.6 numpy
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from usearch.index import Index

rng = np.random.default_rng(0)
vectors = rng.normal(size=(2000, 64)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
index = Index(ndim=64, metric="ip")
index.add(np.arange(len(vectors)), vectors)
found = index.search(vectors[:1], 1, exact=True)
off = abs(float(np.ravel(found.distances)[0]))
print("usearch", version("usearch"), "default dtype:", index.dtype)
print("distance of a unit vector to itself with exact=True:", off)
kept = Index(ndim=64, metric="ip", dtype="f32")
kept.add(np.arange(len(vectors)), vectors)
exact = abs(float(np.ravel(kept.search(vectors[:1], 1, exact=True).distances)[0]))
print("the same with dtype='f32':", exact)
assert exact < 1e-6, "float32 is not exact any more"
if "F32" in str(index.dtype).upper() and "BF" not in str(index.dtype).upper():
    print("here the default is float32: nothing to see on this processor")
else:
    assert off > 1e-5, "the default became exact"
    print("seen: the default loses precision, and exact=True does not bring it back")
PYTHON
