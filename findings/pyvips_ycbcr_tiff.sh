#!/usr/bin/env bash
# pyvips 3.2.0 with pyvips-binary 8.18.7 (libvips 8.18): a TIFF whose pixels are YCbCr and which is not
# compressed as JPEG (no compression, LZW) is opened as sRGB with Y, Cb and Cr as red, green and blue; so are
# its thumbnails. The same picture with JPEG compression is right. There is no warning.
# Expected: the colors, as from Pillow and imagecodecs (TIFF 6.0, section 21), or an error.
# It matters where pictures are decoded by libvips for speed: all but black and gray comes out wrong.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
  pyvips==3.2.0 pyvips-binary==8.18.7 tifffile==2026.3.3 pillow==13.0.0 numpy
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import pyvips
import tifffile
from PIL import Image

print("pyvips", version("pyvips"), "pyvips-binary", version("pyvips-binary"))
levels = np.linspace(0, 255, 64).astype(np.uint8)
red, green = np.meshgrid(levels, levels)
colors = Image.fromarray(np.stack([red, green, 255 - red], axis=-1))  # (64, 64, 3)
tifffile.imwrite("none.tif", np.asarray(colors.convert("YCbCr")), photometric="ycbcr")  # 4:4:4
colors.convert("YCbCr").save("lzw.tif", compression="tiff_lzw")
colors.convert("YCbCr").save("jpeg.tif", compression="jpeg")


def error(pixels):
    return float(np.abs(np.asarray(pixels, dtype=float) - np.asarray(colors)).mean())


errors = {}
for name in ("none", "lzw", "jpeg"):
    path = f"{name}.tif"
    picture = pyvips.Image.new_from_file(path)
    with Image.open(path) as reference:
        errors[name] = (
            error(reference.convert("RGB")),
            error(picture.numpy()),
            error(pyvips.Image.thumbnail(path, 64).numpy()),
        )
    print(f"compression {name}: libvips says {picture.interpretation};", end=" ")
    print("mean error of Pillow {:.1f}, libvips {:.1f}, its thumbnail {:.1f}".format(*errors[name]))
    assert picture.interpretation == "srgb", "this has changed"
assert max(pillow for pillow, *_ in errors.values()) < 3
assert max(errors["jpeg"]) < 3
assert min(errors["none"][1:] + errors["lzw"][1:]) > 50, "this has changed"
print("seen: Y, Cb and Cr are taken for red, green and blue, unless the compression is JPEG")
PYTHON
