#!/usr/bin/env bash
# Pillow 12.3.0: a gray TIFF whose PhotometricInterpretation is "white is zero" (0), as scanners write, is read
# with its brightness as meant at 8 bits, but as a negative at 16 bits; nothing warns.
# Expected: the same picture at both depths.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==12.3.0 tifffile==2026.3.3 numpy
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import tifffile
from PIL import Image

print("pillow", version("pillow"), "tifffile", version("tifffile"))
white = {}
for depth in (np.uint8, np.uint16):
    top = np.iinfo(depth).max
    page = np.zeros((8, 8), dtype=depth)  # zero is white
    page[:, 4:] = top  # black
    tifffile.imwrite("scan.tif", page, photometric="miniswhite")
    with Image.open("scan.tif") as picture:
        values = np.asarray(picture)
        print(depth.__name__, picture.mode, "left (white):", values[0, 0], "right (black):", values[0, 7])
        white[depth] = values[0, 0] > values[0, 7]
assert white == {np.uint8: True, np.uint16: False}, "this has changed"
print("seen: the page is white on the left at 8 bits, and black there at 16 bits")
PYTHON
