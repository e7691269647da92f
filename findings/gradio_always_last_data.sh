#!/usr/bin/env bash
# gradio 6.31.0: an event with `trigger_mode="always_last"` that is triggered while its handler runs is
# run once more when the handler ends, with the event data of the FIRST trigger. Inputs are read anew,
# `gr.EventData` is not. So a `gr.HTML` element (or a `.select` listener) that is used three times in
# quick succession is handled twice, both times with what was chosen first.
# Expected: the second run has the data of the last trigger.
# Needs Chromium, besides python3: set CHROMIUM to its path if it is not on the PATH.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}"
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check gradio==6.31.0 playwright==1.65.2
cat > "$folder/run.py" <<'PYTHON'
import os
import time
from importlib.metadata import version

import gradio as gr
from playwright.sync_api import sync_playwright

received = []


def handle(event: gr.EventData):
    received.append(event._data["number"])
    time.sleep(1)


SCRIPT = """
element.addEventListener('click', (event) => {
  trigger('choose', {number: Number(event.target.dataset.number)});
});
"""
BUTTONS = "".join(f'<button data-number="{n}">{n}</button>' for n in (1, 2, 3))

with gr.Blocks() as page:
    buttons = gr.HTML(BUTTONS, elem_id="buttons", js_on_load=SCRIPT)
    buttons.choose(handle, None, None, trigger_mode="always_last")
_, address, _ = page.launch(prevent_thread_lock=True, quiet=True)
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"]
    )
    tab = browser.new_page()
    tab.goto(address)
    tab.wait_for_selector("#buttons button")
    tab.wait_for_timeout(1000)
    for number in (1, 2, 3):
        tab.click(f"#buttons button[data-number='{number}']")
        tab.wait_for_timeout(200)
    tab.wait_for_timeout(4000)
    browser.close()
page.close()
print("gradio", version("gradio"))
print("clicked 1, 2, 3, within half a second; the handler received", received)
assert received == [1, 1], "this has changed"
print("seen: the second run repeats the first click instead of taking the last")
PYTHON
"$folder/env/bin/python" "$folder/run.py"
