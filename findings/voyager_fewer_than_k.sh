#!/usr/bin/env bash
# voyager 2.2.3: asking for more neighbors than the index holds raises RecallError, whose message blames
# the graph ("Reconstruct the index with a higher M value"); after `mark_deleted` the length still counts
# the deleted vector, so that `min(k, len(index))` does not help either.
# Expected: fewer results, or an error that says how many vectors there are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check voyager==2.2.3 numpy
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import voyager

index = voyager.Index(voyager.Space.Cosine, 4)
index.add_items(np.eye(4, dtype=np.float32)[:3])
print("voyager", version("voyager"))
messages = []
for k in (5, 3):
    if k == 3:
        index.mark_deleted(0)
        print("length after one of three was deleted:", len(index))
        assert len(index) == 3, "the length has changed"
    try:
        index.query(np.ones(4, dtype=np.float32), k)
    except voyager.RecallError as error:
        messages.append(str(error))
        print(f"k={k}: RecallError: {error}")
assert len(messages) == 2 and all("higher M" in message for message in messages), "this has changed"
print("seen: both are errors about M, where the index has too few vectors")
PYTHON
