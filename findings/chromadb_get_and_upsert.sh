#!/usr/bin/env bash
# chromadb 1.5.9: (1) `get(ids=…)` answers in the order of insertion, and leaves out unknown ids, so that embeddings
# put beside the ids that were asked for are those of other pictures. (2) `upsert` of an id that exists keeps what the
# new record lacks: the old document, and each old key of the metadata, beside the new embedding.
# Expected: (1) the order of the question; (2) the new record in place of the old.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check chromadb==1.5.9 numpy
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import chromadb
import numpy as np

print("chromadb", version("chromadb"))
settings = chromadb.config.Settings(anonymized_telemetry=False)
client = chromadb.EphemeralClient(settings)
axes = np.eye(3, dtype=np.float32)

pictures = client.create_collection("pictures", embedding_function=None)
pictures.add(ids=["a", "b", "c"], embeddings=axes)
answered = pictures.get(ids=["c", "unknown", "a"])["ids"]
print("asked for c, unknown, a; answered:", answered)

pictures.upsert(
    ids=["d"], embeddings=axes[:1], documents=["a red dress"], metadatas=[{"color": "red", "sale": True}]
)
pictures.upsert(ids=["d"], embeddings=axes[1:2], metadatas=[{"color": "blue"}])
record = pictures.get(ids=["d"])
record = (record["documents"], record["metadatas"])
print("d after it was replaced:", record)

assert answered == ["a", "c"], "this has changed"
assert record == (["a red dress"], [{"color": "blue", "sale": True}]), "this has changed"
print("seen: another order, and a blue picture that is described as red and on sale")
PYTHON
