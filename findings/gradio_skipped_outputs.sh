#!/usr/bin/env bash
# gradio 6.31.0: a handler that returns a dict with one of its many outputs, or gr.skip() for some, leaves the
# other components as they are. For each of them, the server constructs a new component in every event.
# Expected: an output that is not returned costs nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check gradio==6.31.0
cd "$folder"
GRADIO_ANALYTICS_ENABLED=False "$folder/env/bin/python" - <<'PYTHON'
import asyncio
import functools
import time
from importlib.metadata import version

import gradio as gr
from gradio.state_holder import SessionState

print("gradio", version("gradio"))
OUTPUTS = 20
constructed = 0


construct = gr.HTML.__init__


@functools.wraps(construct)
def counted(self, *arguments, **options):
    global constructed
    constructed += 1
    construct(self, *arguments, **options)


gr.HTML.__init__ = counted

with gr.Blocks() as page:
    button = gr.Button()
    parts = [gr.HTML(f"part {number}") for number in range(OUTPUTS)]
    button.click(lambda: {parts[0]: "new"}, None, parts)
    button.click(lambda: "new", None, parts[:1])

seen = {}
for name, function in zip(("one of 20 outputs", "its only output"), page.fns.values()):
    state = SessionState(page)
    before, start = constructed, time.perf_counter()
    asyncio.run(page.process_api(function, [], state=state))
    milliseconds = (time.perf_counter() - start) * 1e3
    seen[name] = constructed - before
    print(f"{name}: {seen[name]} components constructed, {milliseconds:.1f} ms")
assert seen["its only output"] == 0, "this has changed"
assert seen["one of 20 outputs"] == OUTPUTS - 1, "this has changed"
print("seen: each output that was not returned is constructed again, in every event")
PYTHON
