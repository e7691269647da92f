#!/usr/bin/env bash
# gradio 6.31.0: the address of a page takes query parameters of one's own, which an app reads from
# `gr.Request.query_params`; but `?page=2` is answered with status 500 (a KeyError in the log) on an app
# that has one page and never asked for a parameter of that name. `?page=` and `?pages=2` open it.
# Expected: the page, as with any other parameter, whatever its name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check gradio==6.31.0
cat > "$folder/run.py" <<'PYTHON'
from importlib.metadata import version

import gradio as gr
import httpx

with gr.Blocks() as app:
    gr.Markdown("One page")
_, address, _ = app.launch(prevent_thread_lock=True, quiet=True)
print("gradio", version("gradio"))
seen = {}
for query in ("", "?text=red", "?pages=2", "?page=", "?page=2", "?text=red&page=shop"):
    answer = httpx.get(address + query)
    seen[query] = answer.status_code
    print(f"GET /{query}: {answer.status_code} {answer.headers['content-type']}")
app.close()
opened = [query for query, status in seen.items() if status == 200]
failed = [query for query, status in seen.items() if status == 500]
assert opened == ["", "?text=red", "?pages=2", "?page="], "this has changed"
assert failed == ["?page=2", "?text=red&page=shop"], "this has changed"
print("seen: a parameter named page takes the page away")
PYTHON
"$folder/env/bin/python" "$folder/run.py" 2> "$folder/log"
grep "^KeyError" "$folder/log"
