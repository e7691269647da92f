#!/usr/bin/env bash
# @gradio/client 2.7.0 (npm) with gradio 6.31.0: `close()` leaves the heartbeat of an app open that has a `gr.State`
# or an `unload` listener. So a Node program
# does not end by itself, and the app runs `unload` and frees the state only when it is killed.
# With an app that has neither, the program ends at once.
# Expected: after `close()` the program ends, and the app runs `unload`.
# Needs node (20 or later) and npm, besides python3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check gradio==6.31.0
npm install --silent --no-audit --no-fund @gradio/client@2.7.0
cat > ask.mjs <<'JS'
import { Client } from "@gradio/client";
const client = await Client.connect(process.argv[2]);
const answer = await client.predict("/add_one", [1]);
client.close();
console.log(`    the program received ${answer.data} and closed its client`);
JS
GRADIO_ANALYTICS_ENABLED=False env/bin/python - <<'PYTHON'
import subprocess
import time
from importlib.metadata import version

import gradio as gr

print("gradio", version("gradio"), "with @gradio/client 2.7.0")
unloaded = []


def run(listens):
    with gr.Blocks() as app:
        number = gr.Number()
        gr.Button().click(lambda n: n + 1, number, number, api_name="add_one")
        if listens:
            app.unload(lambda: unloaded.append("unload"))
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True)
    print("an app with an unload listener:" if listens else "an app without one:")
    program = subprocess.Popen(["node", "ask.mjs", address])
    try:
        ended = program.wait(timeout=20) == 0
    except subprocess.TimeoutExpired:
        ended = False
    before = len(unloaded)
    program.kill()
    time.sleep(10)
    app.close()
    print(f"    ended by itself within 20 s: {ended}; unload ran {before} times")
    print(f"    unload ran {len(unloaded)} times after the program was gone")
    return ended, before, len(unloaded)


assert run(listens=False) == (True, 0, 0), "the plain case has changed"
assert run(listens=True) == (False, 0, 1), "this has changed"
print("seen: the connection outlives close()")
PYTHON
