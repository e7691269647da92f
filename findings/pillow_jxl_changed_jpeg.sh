#!/usr/bin/env bash
# pillow-jxl-plugin 1.3.8: a picture opened from a JPEG file and then changed in place (`thumbnail`, `paste`,
# drawing) is saved as JPEG XL without the change: the plugin packs the JPEG file again instead of the pixels, by
# default and even with `lossless=False` or a `quality`. A warning says "JPEG reconstruction", not that pixels are
# dropped. `lossless_jpeg=False` writes the pixels.
# Expected: the pixels in memory, as with every other format.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow-jxl-plugin==1.3.8 pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import io
import warnings
from importlib.metadata import version

import pillow_jxl  # noqa: F401
from PIL import Image

warnings.simplefilter("ignore")
print("pillow-jxl-plugin", version("pillow-jxl-plugin"), "Pillow", version("pillow"))
Image.new("RGB", (64, 64), "white").save("white.jpg")


def save(form, **settings):
    image = Image.open("white.jpg")
    image.paste("red", (0, 0, 64, 64))
    image.thumbnail((16, 16))
    content = io.BytesIO()
    image.save(content, form, **settings)
    saved = Image.open(content).convert("RGB")
    color = "red" if saved.getpixel((8, 8))[1] < 128 else "white"
    print(form, settings, "->", color, saved.size)
    return color, saved.size


print("a white JPEG of 64 by 64, painted red and reduced to 16 by 16, then saved:")
for form in ("JPEG", "WEBP", "PNG"):
    assert save(form) == ("red", (16, 16)), "the plain case has changed"
assert save("JXL", lossless_jpeg=False) == ("red", (16, 16)), "the setting has changed"
for settings in ({}, {"lossless": False}, {"quality": 50}):
    assert save("JXL", **settings) == ("white", (64, 64)), "this has changed"
print("seen: the JPEG XL file has the size and the color of the file that was opened")
PYTHON
