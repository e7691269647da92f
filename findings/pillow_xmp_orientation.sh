#!/usr/bin/env bash
# Pillow 12.3.0: `getexif()` reports the orientation in XMP data if the EXIF data has none, and loading a TIFF
# rotates its pixels by it. Chromium 143 shows such a JPEG, PNG, WebP or AVIF file as it is stored.
# Expected: a TIFF without the tag Orientation is loaded as stored, and a JPEG without EXIF data has none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import io
from importlib.metadata import version

from PIL import Image

print("pillow", version("pillow"))
xmp = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
stored = Image.new("RGB", (60, 40), (200, 30, 30))
seen = {}
for format, options in (("JPEG", {"xmp": xmp}), ("TIFF", {"tiffinfo": {700: xmp}})):
    file = io.BytesIO()
    stored.save(file, format, **options)
    with Image.open(io.BytesIO(file.getvalue())) as picture:
        opened, reported = picture.size, picture.getexif().get(0x0112)
        picture.load()
        seen[format] = opened, picture.size, reported
        print(f"{format}: opened {opened}, loaded {picture.size}, getexif reports {reported}")
assert seen["JPEG"] == ((60, 40), (60, 40), 6), "this has changed"
assert seen["TIFF"] == ((60, 40), (40, 60), 6), "this has changed"
print("seen: XMP data alone gives an orientation, and the TIFF is rotated while its pixels are loaded")
PYTHON
