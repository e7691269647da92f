#!/usr/bin/env bash
# webdataset 1.0.2: its writer takes a key with a dot, and its reader ends the key at the first dot of the
# file's name. Three samples "shirt.0", "shirt.1", "shirt.2" are read as one sample "shirt" with fields
# "0.txt", "1.txt", "2.txt". And `decode()` reads a field named `id` (or `cls`, `index`) as an integer, so
# that the id "00012" comes back as 12.
# Expected: what the library wrote it reads back, or the writer refuses the key. The rule of the first dot is
# documented for reading; the writer says nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import webdataset

print("webdataset", version("webdataset"))


def written_and_read(*samples):
    with webdataset.TarWriter("shard.tar") as writer:
        for sample in samples:
            writer.write(sample)
    return [
        {name: value for name, value in sample.items() if name not in ("__url__", "__local_path__")}
        for sample in webdataset.WebDataset("shard.tar", shardshuffle=False).decode()
    ]


plain = written_and_read(*({"__key__": f"shirt-{n}", "txt": f"text {n}"} for n in range(3)))
dotted = written_and_read(*({"__key__": f"shirt.{n}", "txt": f"text {n}"} for n in range(3)))
(named,) = written_and_read({"__key__": "shirt", "id": "00012", "text": "00012"})
print("keys without a dot:", plain)
print("keys with a dot:   ", dotted)
print("an id:             ", named)
assert [sample["__key__"] for sample in plain] == ["shirt-0", "shirt-1", "shirt-2"]
assert dotted == [
    {"__key__": "shirt", "0.txt": "text 0", "1.txt": "text 1", "2.txt": "text 2"}
], "this has changed"
assert named["id"] == 12 and named["text"] == "00012", "this has changed"
print("seen: three samples become one, and an id loses its zeros")
PYTHON
