#!/usr/bin/env bash
# datasets 5.2.0: pictures of an image folder are left out without a message. (1) If a file metadata.csv names some
# of them, the others; and if it lies in one folder of two, the whole other folder. (2) AVIF files, although
# Pillow reads them.
# Expected: an error that names the pictures without metadata, or rows with empty fields; and AVIF like WebP.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import os
from importlib.metadata import version

import datasets
from PIL import Image

datasets.disable_progress_bars()
print("datasets", version("datasets"), "Pillow", version("pillow"))


def make(*paths):
    for path in paths:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)


def read(folder):
    rows = datasets.load_dataset("imagefolder", data_dir=folder, cache_dir="cache", split="train")
    files = rows.cast_column("image", datasets.Image(decode=False))["image"]
    return [os.path.relpath(file["path"], os.path.abspath(folder)) for file in files]


def describe(path, *names):
    with open(path, "w") as file:
        file.write("file_name,caption\n" + "".join(f"{name},a dress\n" for name in names))


make("some/1.jpg", "some/2.jpg", "some/3.jpg")
assert read("some") == ["1.jpg", "2.jpg", "3.jpg"], "the plain case has changed"
make("part/1.jpg", "part/2.jpg", "part/3.jpg")
describe("part/metadata.csv", "1.jpg")
print("metadata for one of three pictures:", read("part"))
make("two/a/1.jpg", "two/a/2.jpg", "two/b/1.jpg", "two/b/2.jpg")
describe("two/a/metadata.csv", "1.jpg", "2.jpg")
print("metadata in folder a, none in b:", read("two"))
make("formats/1.webp", "formats/2.avif", "formats/3.jpg")
print("1.webp, 2.avif, 3.jpg:", read("formats"))
Image.open("formats/2.avif").load()
assert read("part") == ["1.jpg"], "this has changed"
assert read("two") == ["a/1.jpg", "a/2.jpg"], "this has changed"
assert read("formats") == ["1.webp", "3.jpg"], "this has changed"
print("seen: pictures without metadata, and AVIF pictures, are not in the data set")
PYTHON
