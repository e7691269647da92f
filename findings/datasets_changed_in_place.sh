#!/usr/bin/env bash
# datasets 5.2.0: a picture that was opened from a file and then changed in place (`thumbnail`, drawing,
# `seek` to another page) is stored as the path of its file, because Pillow leaves `filename` as it was.
# The dataset holds the file's picture, without the change. `map` that returns such a picture does the same.
# Expected: the dataset holds the pixels that it was given, as it does for a picture made by `resize`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0
cd "$folder"
HF_HOME="$folder" HF_HUB_OFFLINE=1 "$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

from datasets import Dataset, disable_progress_bars
from PIL import Image, ImageDraw

disable_progress_bars()
print("datasets", version("datasets"), "pillow", version("pillow"))
Image.new("RGB", (96, 96), "blue").save("blue.png")
Image.new("L", (8, 8), 10).save("pages.tif", save_all=True, append_images=[Image.new("L", (8, 8), 200)])


def small(path):
    picture = Image.open(path)
    picture.thumbnail((32, 32))
    return picture


def stored(picture):
    return Dataset.from_dict({"image": [picture]})[0]["image"]


drawn = Image.open("blue.png")
ImageDraw.Draw(drawn).rectangle((0, 0, 95, 95), fill="red")
page = Image.open("pages.tif")
page.seek(1)
mapped = Dataset.from_dict({"path": ["blue.png"]}).map(lambda row: {"image": small(row["path"])})
corner = (0, 0)
seen = {
    "resize": (Image.open("blue.png").resize((32, 32)).size, stored(Image.open("blue.png").resize((32, 32))).size),
    "thumbnail": (small("blue.png").size, stored(small("blue.png")).size),
    "thumbnail in map": (small("blue.png").size, mapped[0]["image"].size),
    "drawn on": (drawn.getpixel(corner), stored(drawn).getpixel(corner)),
    "second page": (page.getpixel(corner), stored(page).getpixel(corner)),
}
for name, (given, read) in seen.items():
    print(f"{name:16} given {given}, read {read}")
assert seen.pop("resize") == ((32, 32), (32, 32)), "this has changed"
assert seen["thumbnail"][1] == seen["thumbnail in map"][1] == (96, 96), "this has changed"
assert seen["drawn on"] == ((255, 0, 0), (0, 0, 255)), "this has changed"
assert seen["second page"] == (200, 10), "this has changed"
print("seen: what was changed in place is lost without a word")
PYTHON
