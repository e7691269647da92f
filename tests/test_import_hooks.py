"""What gradio and transformers need not do whenever they are imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
from dwc import import_hooks
import_hooks.register_shortcuts()
assert not {"gradio", "transformers"} & set(sys.modules)
"""
GRADIO = """
import gradio
assert not [file for file in opened if file.endswith(".pyi")]
with gradio.Blocks():
    gradio.Textbox(label="a component still works").change(print)
"""
# The config and the model come from modules that only the list of models names.
TRANSFORMERS = """
from transformers import CLIPConfig, ResNetModel
files = [file for file in opened if file.endswith("modeling_bert.py")]
assert len(files) == 1, files
assert CLIPConfig().model_type == "clip" and ResNetModel.config_class.model_type == "resnet"
"""
TWICE = """
import_hooks.register_shortcuts()
import_hooks.register_shortcuts()
import transformers.utils.import_utils as module
import_hooks.register_shortcuts()
scan = module.create_import_structure_from_path
assert scan(module.__file__) is scan(__import__("pathlib").Path(module.__file__).parent)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [GRADIO, TRANSFORMERS, TWICE], ids=["gradio", "models", "twice"])
def test_a_shortcut_spares_files(code):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
