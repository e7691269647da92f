#!/usr/bin/env bash
# transformers 5.24.0: a PIL image processor takes the name of a filter as `resample` without an error, and
# whatever the name is, images are resized with the bilinear filter; only numbers choose one.
# Expected: "bicubic" and "nearest" name filters, as they do in PIL and torchvision, or are refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - 2>errors.log <<'PYTHON'
from importlib.metadata import version

import numpy as np
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

print("transformers", version("transformers"), "pillow", version("pillow"))
noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
picture = Image.fromarray(noise)
pixels = {}
for resample in (0, 2, 3, "nearest", "bilinear", "bicubic"):
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 24}, crop_size=24, resample=resample, do_normalize=False
    )
    pixels[resample] = processor(picture, return_tensors="np")["pixel_values"]
for resample, values in pixels.items():
    like = [number for number in (0, 2, 3) if np.array_equal(values, pixels[number])]
    print(f"resample={resample!r}: the pixels of number {like[0]}")
assert not np.array_equal(pixels[2], pixels[3]), "this has changed"
for name in ("nearest", "bilinear", "bicubic"):
    assert np.array_equal(pixels[name], pixels[2]), "this has changed"
print("seen: every name resizes as number 2, bilinear")
PYTHON
