"""Gradio is imported without the stub files that it writes for editors."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
import dwc.ui
assert "gradio" not in sys.modules
import gradio
sys.stdout.write(" ".join(file for file in opened if file.endswith(".pyi")))
with gradio.Blocks():
    gradio.Textbox(label="a component still works").change(print)
"""


def test_no_stub_file_is_read_or_written():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
