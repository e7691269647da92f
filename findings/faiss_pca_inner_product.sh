#!/usr/bin/env bash
# faiss-cpu 1.15.1: `index_factory(d, "PCA<d>,Flat", METRIC_INNER_PRODUCT)`, which drops no dimension, finds
# other neighbors than "Flat". The PCA subtracts the mean of the training vectors from both the queries and
# the stored vectors; that leaves distances as they are and changes inner products, by another amount for
# each stored vector. The vectors are of unit length, where L2 and inner product rank alike.
# Expected: at full dimension the ranking of "Flat", as with METRIC_L2 and as with a rotation ("RR").
# It matters for CLIP's embeddings, whose mean is far from zero. faiss's header documents the bias of a
# linear transform; neither the factory nor its documentation says that it does not go with this metric
# (facebookresearch/faiss, issue 2636, is a report of the loss).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check faiss-cpu==1.15.1 numpy
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import faiss
import numpy as np

print("faiss-cpu", version("faiss-cpu"))
size, k = 64, 10
random = np.random.default_rng(0)
vectors = (random.normal(size=(5000, size)) + 2 * random.normal(size=size)).astype(np.float32)
faiss.normalize_L2(vectors)
queries = (vectors[:200] + 0.05 * random.normal(size=(200, size))).astype(np.float32)
faiss.normalize_L2(queries)


def neighbors(factory, metric):
    index = faiss.index_factory(size, factory, metric)
    index.train(vectors)
    index.add(vectors)
    return index.search(queries, k)[1]


exact = neighbors("Flat", faiss.METRIC_INNER_PRODUCT)
shared = {}
for metric in ("METRIC_INNER_PRODUCT", "METRIC_L2"):
    for factory in ("RR64,Flat", "PCA64,Flat"):
        found = neighbors(factory, getattr(faiss, metric))
        share = np.mean([len(set(a) & set(b)) / k for a, b in zip(exact, found)])
        shared[factory, metric] = share
        print(f"{factory:10} {metric:20} shares {share:.1%} of the {k} nearest with Flat")
assert shared.pop(("PCA64,Flat", "METRIC_INNER_PRODUCT")) < 0.5, "this has changed"
assert min(shared.values()) > 0.99, "this has changed"
print("seen: PCA of all dimensions loses more than half of the neighbors by inner product, none by L2")
PYTHON
