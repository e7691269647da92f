#!/usr/bin/env bash
# safetensors 0.8.0: `safetensors.numpy.save` and `save_file` write the memory behind an array that is not in C
# order (a transpose, a choice of columns, every second row, Fortran order) as if it were. The file is valid, it
# has the right shape and other numbers. 0.7.0 wrote the right ones; `safetensors.torch` refuses such tensors.
# Expected: the array's values, as from 0.7.0 and `numpy.save`, or an error. The docstring asks for arrays that
# are "contiguous and dense", which a transpose in Fortran order is, too; nothing is checked
# (safetensors/safetensors, issue 825).
# It matters for embeddings: `vectors.T`, `vectors[:, :256]` and what scikit-learn's PCA returns are such arrays.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy
cat >"$folder/check.py" <<'PYTHON'
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load, save

print("safetensors", version("safetensors"))
whole = np.arange(12, dtype=np.float32).reshape(3, 4)
arrays = {
    "C order": whole,
    "transpose": whole.T,
    "two columns": whole[:, 1:3],
    "every second row": whole[::2],
    "Fortran order": np.asfortranarray(whole),
}
is_same = {}
for name, array in arrays.items():
    read = load(save({"array": array}))["array"]
    is_same[name] = bool(np.array_equal(read, array))
    print(f"{name:16} row 1 given {array[1].tolist()}, read {read[1].tolist()}")
    assert read.shape == array.shape
if version("safetensors") == "0.8.0":
    assert is_same.pop("C order") and not any(is_same.values()), "this has changed"
    print("seen: every array that is not in C order comes back with other numbers")
else:
    assert all(is_same.values()), "this has changed"
PYTHON
"$folder/env/bin/python" "$folder/check.py"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check safetensors==0.7.0
"$folder/env/bin/python" "$folder/check.py"
