#!/usr/bin/env bash
# imagehash 4.3.2: (1) all 16-bit gray pictures without nearly black parts have one hash, that of a white picture;
# (2) all black drawings on a transparent ground (its color is black too, as is usual), such as logos, have one
# hash, that of a black picture. So different pictures are duplicates of each other, with each kind of hash.
# Expected: hashes about equal to those of the same picture in 8 bits, and on white.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check imagehash==4.3.2 pillow==12.3.0 numpy
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import imagehash
import numpy as np
from PIL import Image, ImageDraw

print("imagehash", version("imagehash"), "Pillow", version("pillow"))
random = np.random.default_rng(0)


def deep():
    return np.kron(random.integers(1000, 65535, (8, 8)), np.ones((16, 16), int)).astype(np.uint16)


def logo(shape, box, ground):
    image = Image.new("RGBA", (128, 128), ground)
    getattr(ImageDraw.Draw(image), shape)(box, fill=(0, 0, 0, 255))
    return image


def drawings(ground):
    return logo("ellipse", (10, 10, 110, 110), ground), logo("rectangle", (5, 60, 90, 80), ground)


arrays = deep(), deep()
pairs = {
    "8-bit gray": [Image.fromarray((array >> 8).astype(np.uint8)) for array in arrays],
    "16-bit gray": [Image.fromarray(array) for array in arrays],
    "black on white": drawings((255, 255, 255, 255)),
    "black on transparent": drawings((0, 0, 0, 0)),
}
for name, (first, second) in pairs.items():
    distances = {}
    for kind in ("phash", "dhash", "average_hash", "whash"):
        hash_of = getattr(imagehash, kind)
        distances[kind] = int(hash_of(first) - hash_of(second))
    print(f"distance of two different pictures, {name}: {distances}")
    far = name in ("8-bit gray", "black on white")
    assert all((d > 8) if far else (d == 0) for d in distances.values()), "this has changed"
print("seen: distance 0 between different pictures")
PYTHON
