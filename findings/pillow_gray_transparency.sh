#!/usr/bin/env bash
# Pillow 12.3.0: a gray PNG of 2 or 4 bits whose chunk tRNS names one transparent level (what optimizers of
# PNG files write) is opened without transparency: the pixels are scaled to 8 bits, the level is not.
# Expected: pixels of that level are transparent, as at 8 bits and in browsers (PNG, third edition, 11.3.1.1).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import struct
import zlib
from importlib.metadata import version
from io import BytesIO

from PIL import Image

print("pillow", version("pillow"))


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def gray_png(bits):
    """16 pixels of the second-darkest level, which is declared transparent."""
    row = int(("0" * (bits - 1) + "1") * 16, 2).to_bytes(2 * bits, "big")
    header = struct.pack(">IIBBBBB", 16, 1, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", 1))
        + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    )


alphas = {}
for bits in (1, 2, 4, 8):
    with Image.open(BytesIO(gray_png(bits))) as picture:
        level = picture.convert("L").getpixel((0, 0))
        alphas[bits] = picture.convert("RGBA").getpixel((0, 0))[3]
        print(f"{bits} bits: level {level}, declared {picture.info['transparency']}, alpha {alphas[bits]}")
assert alphas[8] == alphas[1] == 0, "this has changed"
assert alphas[2] == alphas[4] == 255, "this has changed"
print("seen: transparent at 1 and 8 bits, opaque at 2 and 4 bits")
PYTHON
