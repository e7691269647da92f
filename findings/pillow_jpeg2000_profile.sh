#!/usr/bin/env bash
# Pillow 12.3.0: the ICC profile in the header of a JPEG 2000 file (color box of method 2, as scanners and
# archives write it) is not read: `info` has no "icc_profile", so a program that converts by it shows other
# colors. Expected: `info["icc_profile"]`, as for PNG, JPEG, WebP, TIFF and AVIF.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import struct
from importlib.metadata import version
from io import BytesIO

from PIL import Image, ImageCms, features

print("pillow", version("pillow"), "openjpeg", features.version("jpg_2000"))
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
picture = Image.new("RGB", (64, 64), (200, 30, 30))


def saved(format, **options):
    file = BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


content = saved("JPEG2000")
at = content.index(b"colr") - 4
length = int.from_bytes(content[at : at + 4], "big")
box = struct.pack(">I4sBBB", 11 + len(profile), b"colr", 2, 0, 0) + profile
header = content.index(b"jp2h") - 4
size = int.from_bytes(content[header : header + 4], "big") - length + len(box)
content = (
    content[:header] + size.to_bytes(4, "big") + content[header + 4 : at] + box
    + content[at + length :]
)
files = {"PNG": saved("PNG", icc_profile=profile), "JPEG 2000": content}
seen = {}
for name, file in files.items():
    with Image.open(BytesIO(file)) as opened:
        opened.load()
        seen[name] = len(opened.info.get("icc_profile", b""))
        print(f"{name}: {opened.size}, pixel {opened.getpixel((5, 5))}, profile of {seen[name]} bytes")
assert seen == {"PNG": len(profile), "JPEG 2000": 0}, "this has changed"
print("seen: the profile of the JPEG 2000 is lost")
PYTHON
