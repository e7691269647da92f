#!/usr/bin/env bash
# Pillow 12.3.0: `getexif()` returns no tag that follows a tag whose value lies outside the EXIF data, as the
# camera's name does in files from which an editor cut it. The orientation (0x0112) comes after maker and model
# (0x010F, 0x0110), so `ImageOps.exif_transpose` leaves such a photograph lying. Browsers turn it.
# Expected: the orientation, whose value is stored in its own entry, is read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import io
import struct
import warnings
from importlib.metadata import version

from PIL import Image, ImageOps

warnings.simplefilter("ignore")
print("pillow", version("pillow"))
plain = io.BytesIO()
Image.new("RGB", (320, 240), (200, 40, 30)).save(plain, "JPEG")
orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
maker = struct.pack("<HHII", 0x010F, 2, 40, 9999)  # 40 characters at byte 9,999, behind the end


def size_of(*entries):
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    content = plain.getvalue()
    with Image.open(io.BytesIO(content[:2] + segment + content[2:])) as picture:
        return picture.getexif().get(0x0112), ImageOps.exif_transpose(picture).size


for name, entries in (
    ("orientation alone", [orientation]),
    ("maker outside the data, then orientation", [maker, orientation]),
):
    print(f"{name}: orientation {size_of(*entries)[0]}, size {size_of(*entries)[1]}")
assert size_of(orientation) == (6, (240, 320)), "this has changed"
assert size_of(maker, orientation) == (None, (320, 240)), "this has changed"
print("seen: the photograph stays lying")
PYTHON
