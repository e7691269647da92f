#!/usr/bin/env bash
# Pillow 12.3.0: an uncompressed TIFF with 16 bits and a plane of its own for each channel (what Photoshop
# writes with the option "Per Channel") is read without an error, and most pixels are wrong, since each plane
# is taken for one of 8 bits. The same picture with LZW compression, or with 8 bits, is right.
# Expected: the same colors in all three.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==12.3.0 tifffile==2026.3.3 numpy imagecodecs
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import tifffile
from PIL import Image

print("pillow", version("pillow"), "tifffile", version("tifffile"))
colors = np.zeros((40, 60, 3), dtype=np.uint8)
colors[:20] = (200, 30, 30)
colors[20:] = (20, 40, 220)
planes = np.moveaxis(colors, 2, 0)
seen = {}
for name, levels, compression in (
    ("8 bits", planes, None),
    ("16 bits, LZW", planes.astype(np.uint16) * 257, "lzw"),
    ("16 bits", planes.astype(np.uint16) * 257, None),
):
    tifffile.imwrite(
        "scan.tif", levels, photometric="rgb", planarconfig="separate", compression=compression
    )
    with Image.open("scan.tif") as picture:
        seen[name] = picture.getpixel((30, 5)), picture.getpixel((30, 35))
        print(f"{name}: top {seen[name][0]}, bottom {seen[name][1]}")
right = (200, 30, 30), (20, 40, 220)
assert seen["8 bits"] == seen["16 bits, LZW"] == right, "this has changed"
assert seen["16 bits"] == (right[0], right[0]), "this has changed"
print("seen: uncompressed 16-bit planes show the top color everywhere")
PYTHON
