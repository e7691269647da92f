#!/usr/bin/env bash
# datasets 5.2.0: of a WebDataset shard, the first five samples decide which fields there are. What later samples
# have besides is left out: a further file, a further key in the JSON, and a file "5.JPG" where the first were
# "0.jpg", which is read as a sample without a picture. webdataset itself reads all of it.
# Expected: the same fields as webdataset, empty where a sample has none, or an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 webdataset==1.0.2 pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import io
import json
import tarfile
from importlib.metadata import version

import datasets
import webdataset
from PIL import Image

datasets.disable_progress_bars()
print("datasets", version("datasets"), "webdataset", version("webdataset"))
picture = io.BytesIO()
Image.new("RGB", (8, 8)).save(picture, "JPEG")
samples = [{f"{n}.jpg": picture.getvalue(), f"{n}.json": b'{"name": "dress"}'} for n in range(5)]
late = {"name": "skirt", "color": "red"}
samples.append(
    {"5.JPG": picture.getvalue(), "5.json": json.dumps(late).encode(), "5.txt": b"a red skirt"}
)
with tarfile.open("shard.tar", "w") as shard:
    for name, content in [item for sample in samples for item in sample.items()]:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        shard.addfile(entry, io.BytesIO(content))

theirs = list(webdataset.WebDataset("shard.tar", shardshuffle=False).decode("pil"))[-1]
theirs = {name: theirs[name] for name in ("jpg", "json", "txt")}
rows = datasets.load_dataset("webdataset", data_files="shard.tar", cache_dir="cache", split="train")
ours = {name: value for name, value in rows[5].items() if not name.startswith("__")}
print("the sixth sample, by webdataset:", theirs)
print("the sixth sample, by datasets:  ", ours)
assert theirs["jpg"].size == (8, 8) and theirs["json"] == late, "webdataset has changed"
assert rows[4]["jpg"].size == (8, 8), "the plain case has changed"
assert ours == {"jpg": None, "json": {"name": "skirt"}}, "this has changed"
print("seen: the picture, the color and the text of the sixth sample are lost without a message")
PYTHON
