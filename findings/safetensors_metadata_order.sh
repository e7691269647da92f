#!/usr/bin/env bash
# safetensors 0.8.0: the same tensors with the same metadata give another file each time they are saved, because
# the keys of the metadata are written in random order; so hashes of the file differ. Tensors alone, or one key
# of metadata, give the same bytes each time.
# Expected: equal input, equal bytes: since 2022 the tensors' names are sorted for this (pull request 42). The
# metadata is not (safetensors/safetensors, issue 584).
# It matters where a checkpoint is known by the hash of its file, as on the Hub, in caches and in releases.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy
"$folder/env/bin/python" - <<'PYTHON'
import hashlib
from importlib.metadata import version

import numpy as np
from safetensors.numpy import save

print("safetensors", version("safetensors"))
tensors = {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}
counts = {}
for size in (0, 1, 8):
    metadata = {f"key {n}": "value" for n in range(size)}
    files = [save(tensors, metadata=metadata or None) for _ in range(20)]
    counts[size] = len({hashlib.sha256(content).hexdigest() for content in files})
    print(f"{size} keys of metadata: {counts[size]} different files of {len(files)}, sizes {set(map(len, files))}")
assert counts[0] == counts[1] == 1, "this has changed"
assert counts[8] > 1, "this has changed"
print("seen: with several keys of metadata, equal input gives different files")
PYTHON
