#!/usr/bin/env bash
# transformers 5.24.0: `from transformers import AutoConfig` in several threads at once raises ImportError
# ("cannot import name 'AutoConfig' from 'transformers'") in some of them, although Python's import
# locks make simultaneous imports of ordinary packages safe. The package replaces itself in `sys.modules`
# while it is imported; a thread that waited for the import continues with the replaced, empty module.
# Expected: every thread gets the name, as from any other package.
# Workaround: `import transformers` once before threads start.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0
cat > "$folder/run.py" <<'PYTHON'
import sys
import threading
from importlib.metadata import version

if "first" in sys.argv:
    import transformers  # noqa: F401
start, errors = threading.Barrier(6), []


def load():
    start.wait()
    try:
        from transformers import AutoConfig  # noqa: F401
    except ImportError as error:
        errors.append(str(error).split(" (")[0])


threads = [threading.Thread(target=load) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("transformers", version("transformers"), *sys.argv[1:])
print(len(errors), "of 6 threads failed:", *sorted(set(errors)))
sys.exit(bool(errors))
PYTHON
failed=0
for _ in 1 2 3 4 5; do
  "$folder/env/bin/python" "$folder/run.py" || failed=$((failed + 1))
done
test "$failed" -gt 0 || { echo "no run of five failed: the behavior has changed"; exit 1; }
"$folder/env/bin/python" "$folder/run.py" first || { echo "the workaround has failed"; exit 1; }
echo "seen: $failed of 5 runs failed; none after an import of transformers beforehand"
