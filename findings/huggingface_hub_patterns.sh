#!/usr/bin/env bash
# huggingface_hub 2.4.0: in `allow_patterns`, of `snapshot_download` and `upload_folder`, the exact name of a file with
# brackets does not select it, so that a list of names loses it; "**/*.json" leaves out files at the top; "./images/*"
# and the folder "images" without a slash select nothing; "*.jpg" takes subfolders, but not "A.JPG". `snapshot_download`
# warns only if no file at all is selected. This calls the function by which both of them select.
# Expected: a name selects its file; the rest as in `glob`; a message for a pattern that selects nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check huggingface_hub==2.4.0
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

from huggingface_hub.utils import filter_repo_objects

print("huggingface_hub", version("huggingface_hub"))
files = ["config.json", "images/A.JPG", "images/b.jpg", "images/look [front].jpg", "images/meta.json"]
print("files:", files)
selected = {}
for pattern in ("images/look [front].jpg", "**/*.json", "./images/*", "images", "images/", "*.jpg"):
    selected[pattern] = list(filter_repo_objects(files, allow_patterns=[pattern]))
    print(f"{pattern!r} selects {selected[pattern]}")
every = list(filter_repo_objects(files, allow_patterns=files))
print("all five names as patterns select", every)
assert selected["images/"] == files[1:], "the plain case has changed"
assert selected["images/look [front].jpg"] == [], "this has changed"
assert selected["**/*.json"] == ["images/meta.json"], "this has changed"
assert selected["./images/*"] == selected["images"] == [], "this has changed"
assert selected["*.jpg"] == ["images/b.jpg", "images/look [front].jpg"], "this has changed"
assert len(every) == 4 and "images/look [front].jpg" not in every, "this has changed"
print("seen: a list of names selects all but the one with brackets")
PYTHON
