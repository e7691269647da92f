#!/usr/bin/env bash
# Pillow 13.0.0 (12.3.0 too): a 16-bit gray picture saved as AVIF, WebP or GIF is white wherever its value is above
# 255, which is nearly everywhere. Saved as JPEG or BMP it is refused ("cannot write mode I;16"); as PNG it is kept.
# Expected: an error as with JPEG, or 8 bits of the same picture.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import io
from importlib.metadata import version

import numpy as np
from PIL import Image

print("Pillow", version("pillow"))
ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
image = Image.fromarray(ramp)
assert image.mode == "I;16", "the mode has changed"
white = {}
for form in ("PNG", "JPEG", "BMP", "AVIF", "WEBP", "GIF"):
    content = io.BytesIO()
    try:
        image.save(content, form)
    except OSError as error:
        white[form] = None
        print(f"{form}: OSError: {error}")
        continue
    saved = Image.open(content)
    pixels = np.asarray(saved.convert("L") if saved.mode in ("P", "RGB") else saved)
    white[form] = float((pixels >= (65535 if form == "PNG" else 255)).mean())
    print(f"{form}: mode {saved.mode}, {white[form]:.1%} of a ramp from black to white is white")
assert white["PNG"] < 0.01 and white["JPEG"] is white["BMP"] is None, "the plain cases have changed"
assert all(white[form] > 0.95 for form in ("AVIF", "WEBP", "GIF")), "this has changed"
print("seen: three formats write a white picture without a message")
PYTHON
