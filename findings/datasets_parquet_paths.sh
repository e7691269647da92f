#!/usr/bin/env bash
# datasets 5.2.0: Dataset.to_parquet of pictures that were given by path writes the paths without the pictures, and
# says nothing; on another machine the file loads, has its rows, and fails only when a picture is read.
# Expected: the pictures' bytes in the file, as push_to_hub writes them, or a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0
cd "$folder"
HF_HUB_OFFLINE=1 "$folder/env/bin/python" - <<'PYTHON'
import warnings
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as parquet
from datasets import Dataset, Features, Image, Value, load_dataset
from PIL import Image as Pictures

print("datasets", version("datasets"))
Path("pictures").mkdir()
Pictures.new("RGB", (4, 4), (200, 30, 30)).save("pictures/red.png")
rows = Dataset.from_dict(
    {"image": ["pictures/red.png"], "name": ["red"]},
    features=Features({"image": Image(), "name": Value("string")}),
)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    rows.to_parquet("rows.parquet")
cell = parquet.read_table("rows.parquet").to_pylist()[0]["image"]
print("in the file:", cell)
Path("pictures").rename("elsewhere")
again = load_dataset("parquet", data_files="rows.parquet", split="train", cache_dir="cache")
print("rows:", len(again), "name:", again["name"][0])
try:
    again[0]
except FileNotFoundError as error:
    print("reading the picture:", error)
else:
    raise SystemExit("this has changed")
assert cell == {"bytes": None, "path": "pictures/red.png"}, "this has changed"
PYTHON
