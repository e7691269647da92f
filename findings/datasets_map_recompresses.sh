#!/usr/bin/env bash
# datasets 5.2.0: `map` with a function that only reads a picture, such as for its width, and returns a new
# column, writes the picture again. A JPEG stored as bytes comes back as another JPEG of Pillow's default
# quality 75, and each further pass makes it worse. The kind of call decides: `filter`, a function that
# does not touch the picture, and `input_columns="image"` leave the bytes alone.
# Expected: a column that the function does not return stays as it was, bit for bit.
# It matters wherever embeddings are computed from the result: `cast_column("image", Image(decode=False))`
# or `input_columns` avoids it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0 numpy
cd "$folder"
HF_HOME="$folder" HF_HUB_OFFLINE=1 "$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version
from io import BytesIO

import numpy as np
from datasets import Dataset, Features, Image, disable_progress_bars
from PIL import Image as Pillow

disable_progress_bars()
print("datasets", version("datasets"), "pillow", version("pillow"))
noise = np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)
buffer = BytesIO()
Pillow.fromarray(noise).resize((96, 96)).save(buffer, "JPEG", quality=95)
jpeg = buffer.getvalue()
pixels = np.asarray(Pillow.open(BytesIO(jpeg)), dtype=float)
rows = Dataset.from_dict(
    {"image": [{"bytes": jpeg, "path": "a.jpg"}]}, features=Features({"image": Image()})
)


def stored(dataset):
    return dataset.cast_column("image", Image(decode=False))[0]["image"]["bytes"]


assert stored(rows) == jpeg
same = {
    "map, picture not read": stored(rows.map(lambda row: {"one": 1})) == jpeg,
    "filter by width": stored(rows.filter(lambda row: row["image"].width > 1)) == jpeg,
    "map, input_columns": stored(rows.map(lambda image: {"w": image.width}, input_columns="image")) == jpeg,
    "map, width read": stored(rows.map(lambda row: {"w": row["image"].width})) == jpeg,
    "map, batched, width read": stored(
        rows.map(lambda batch: {"w": [image.width for image in batch["image"]]}, batched=True)
    ) == jpeg,
}
for name, is_same in same.items():
    print(f"{name:26} {'the same bytes' if is_same else 'other bytes'}")
errors = []
mapped = rows
for step in range(3):
    mapped = mapped.map(lambda row, step=step: {f"w{step}": row["image"].width})
    errors.append(float(np.abs(np.asarray(mapped[0]["image"], dtype=float) - pixels).mean()))
    print(f"after {step + 1} passes: {len(stored(mapped))} bytes of {len(jpeg)}, mean error {errors[-1]:.2f}")
assert list(same.values()) == [True, True, True, False, False], "this has changed"
assert 1 < errors[0] < errors[1] < errors[2], "this has changed"
print("seen: a picture that was only read is compressed again, with loss, in each pass")
PYTHON
