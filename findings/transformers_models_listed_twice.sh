#!/usr/bin/env bash
# transformers 5.24.0: the first access to any model, such as `from transformers import CLIPConfig`, reads
# the source of all models, about 1,700 files, although `import transformers` has just read them. The list
# of the models is cached, but its key is first the path of the folder, and then the name of a file
# in it. That takes 0.4 s of processor time in each process.
# Expected: the files are read once.
# Workaround: let `create_import_structure_from_path` in `transformers.utils.import_utils` take the folder of
# a file, before `transformers` itself is imported: by an import hook.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0
cat > "$folder/run.py" <<'PYTHON'
import sys
from collections import Counter

opened = Counter()


def watch(event, arguments):
    name = str(arguments[0]) if event == "open" else ""
    if "/transformers/models/" in name and name.endswith(".py"):
        opened[name] += 1


sys.addaudithook(watch)
import transformers

first = sum(opened.values())
from transformers import CLIPConfig

print(f"transformers {transformers.__version__}: {first} files of models opened by its import,")
print(f"{sum(opened.values()) - first} more by the import of {CLIPConfig.__name__}")
sys.exit(sum(count > 1 for count in opened.values()) < 1000)
PYTHON
"$folder/env/bin/python" "$folder/run.py" 2> /dev/null || { echo "the behavior has changed"; exit 1; }
echo "seen: the sources of all models are read twice"
