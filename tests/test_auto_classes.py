"""transformers' Auto classes load a checkpoint after `import dwc`, whatever was imported before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.search.tiny import write_tiny_checkpoint

ROOT = Path(__file__).parents[1]
SECONDS = 400  # a deadlock never ends; a busy machine takes minutes

LOAD = {
    "config": "AutoConfig.from_pretrained(folder)",
    "model": "AutoModel.from_pretrained(folder)",
    "processor": "AutoProcessor.from_pretrained(folder)",
    "from_config": "AutoModel.from_config(DWCConfig.from_pretrained(folder))",
}
CLASSES = {
    "config": "DWCConfig",
    "model": "DWCModel",
    "processor": "DWCProcessor",
    "from_config": "DWCModel",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def run(code, path=ROOT, seconds=SECONDS):
    """Run code in an interpreter of its own; a test that hangs fails."""
    environment = {**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


DWC_FIRST = "import dwc; from transformers import AutoConfig, AutoModel, AutoProcessor"
CONFIG_FIRST = (
    "from transformers import AutoConfig; import dwc; "
    "from transformers import AutoModel, AutoProcessor"
)
TRANSFORMERS_FIRST = "from transformers import AutoConfig, AutoModel, AutoProcessor; import dwc"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imports", "firsts"),
    [
        (DWC_FIRST, ["processor", "model"]),
        (CONFIG_FIRST, ["config"]),
        (TRANSFORMERS_FIRST, ["from_config", "processor"]),
    ],
)
def test_the_auto_classes_load_a_checkpoint(checkpoint, imports, firsts):
    """Each first use is made in a process of its own, forked after the imports."""
    lines, expected = [imports, f"import os; folder = {str(checkpoint)!r}"], []
    for first in firsts:
        order = [first, *(name for name in LOAD if name != first)]
        uses = [f"print(type({LOAD[name]}).__name__, flush=True)" for name in order]
        uses.insert(0 if first == "from_config" else 1, "from dwc import DWCConfig")
        lines += ["if os.fork() == 0:", *(f"    {line}" for line in [*uses, "os._exit(0)"])]
        lines += ["assert os.wait()[1] == 0"]
        expected += [CLASSES[name] for name in order]
    assert run("\n".join(lines)) == expected


@pytest.mark.slow
def test_imports_in_many_threads_end_and_register(checkpoint):
    printed = run(
        f"""
import threading
import transformers  # which several threads cannot import at once
folder = {str(checkpoint)!r}
start, loaded = threading.Barrier(6), []
def load(number):
    start.wait()
    if number % 2:
        import dwc
        from transformers import AutoConfig
    else:
        from transformers import AutoConfig
        import dwc
    loaded.append(type(AutoConfig.from_pretrained(folder)).__name__)
threads = [threading.Thread(target=load, args=[number], daemon=True) for number in range(6)]
[thread.start() for thread in threads]
[thread.join(100) for thread in threads]
print(*loaded)
"""
    )
    assert printed == ["DWCConfig"] * 6


@pytest.mark.slow
def test_the_classes_of_this_process_are_registered(checkpoint):
    from transformers import AutoConfig, AutoModel, AutoModelForImageClassification, AutoProcessor

    import dwc

    assert type(AutoConfig.from_pretrained(checkpoint)) is dwc.DWCConfig
    assert type(AutoProcessor.from_pretrained(checkpoint)) is dwc.DWCProcessor
    model = AutoModel.from_pretrained(checkpoint)
    assert type(model) is dwc.DWCModel
    assert not model.training
    assert type(AutoModel.from_config(model.config)) is dwc.DWCModel
    assert type(AutoConfig.for_model("dwc", cnn_config={})) is dwc.DWCConfig
    with pytest.raises(ValueError, match="DWCConfig"):
        AutoModelForImageClassification.from_pretrained(checkpoint)


# A stand-in for transformers, so that what the hook does is seen without seconds of imports.
TABLES = {
    "configuration_auto": "CONFIG_MAPPING_NAMES = {'bert': 'BertConfig'}\n",
    "modeling_auto": "from .configuration_auto import CONFIG_MAPPING_NAMES\n"
    "MODEL_MAPPING_NAMES = {'bert': 'BertModel'}\n"
    "class MODEL_MAPPING:\n"
    "    _reverse_config_mapping = {v: k for k, v in CONFIG_MAPPING_NAMES.items()}\n",
    "processing_auto": "PROCESSOR_MAPPING_NAMES = {'bert': 'BertProcessor'}\n",
}
AUTO = "transformers.models.auto"


@pytest.fixture
def stand_in(tmp_path):
    """Return a function that writes the stand-in and runs code with it."""

    def run_with(code, **replaced):
        package = tmp_path / "transformers" / "models" / "auto"
        package.mkdir(parents=True)
        for folder in (package, *package.parents[:2]):
            (folder / "__init__.py").touch()
        for name, source in {**TABLES, **replaced}.items():
            (package / f"{name}.py").write_text(source)
        return run(code, f"{tmp_path}{os.pathsep}{ROOT}", seconds=30)

    return run_with


ENTRIES = f"""
import importlib
def entries():
    config, model, processing = (
        importlib.import_module(f"{AUTO}.{{name}}")
        for name in ("configuration_auto", "modeling_auto", "processing_auto")
    )
    return (
        config.CONFIG_MAPPING_NAMES["dwc"], model.MODEL_MAPPING_NAMES["dwc"],
        processing.PROCESSOR_MAPPING_NAMES["dwc"],
        model.MODEL_MAPPING._reverse_config_mapping["DWCConfig"],
    )
"""
EXPECTED = ["DWCConfig", "DWCModel", "DWCProcessor", "dwc"]


@pytest.mark.parametrize(
    "before", ["", "configuration_auto", "modeling_auto", "configuration_auto, processing_auto"]
)
def test_entries_are_added_whatever_is_loaded_before(stand_in, before):
    imports = f"from {AUTO} import {before}" if before else ""
    assert stand_in(f"{imports}\nimport dwc\n{ENTRIES}\nprint(*entries())") == EXPECTED


@pytest.mark.slow
def test_a_table_that_another_thread_is_loading_gets_its_entry(stand_in):
    """`import dwc` finds the module in sys.modules before its table exists."""
    slow = (
        "import threading, time\n"
        "threading.begun.set()\n"
        "time.sleep(0.5)\n" + TABLES["configuration_auto"]
    )
    code = f"""
import threading
threading.begun = threading.Event()
loading = threading.Thread(target=__import__, args=["{AUTO}.configuration_auto"], daemon=True)
loading.start()
threading.begun.wait()
import dwc
loading.join()
{ENTRIES}
print(*entries())
"""
    assert stand_in(code, configuration_auto=slow) == EXPECTED


def test_a_table_module_that_imports_dwc_itself_does_not_hang(stand_in):
    circular = TABLES["configuration_auto"] + "import dwc\n"
    code = f"{ENTRIES}\nimport {AUTO}.configuration_auto\nprint(*entries())"
    assert stand_in(code, configuration_auto=circular) == EXPECTED


def test_reloading_keeps_the_entries_and_the_hook_single(stand_in):
    code = f"""
import dwc, importlib, sys
{ENTRIES}
entries()
importlib.reload(dwc)
importlib.reload(sys.modules["{AUTO}.configuration_auto"])
print(*entries(), sum("import_hooks" in str(type(finder)) for finder in sys.meta_path))
"""
    assert stand_in(code) == [*EXPECTED, "1"]


def test_the_hook_leaves_loaders_and_other_modules_alone(stand_in):
    code = f"""
import dwc, importlib.util, sys
spec = importlib.util.find_spec("{AUTO}.configuration_auto")
assert "MAPPING" in spec.loader.get_source(spec.name)
assert "{AUTO}.configuration_auto" not in sys.modules
module = importlib.import_module("{AUTO}.configuration_auto")
import json.tool
for loaded in (module, json.tool):
    print(type(loaded.__spec__.loader).__name__, type(loaded.__loader__).__name__)
assert sys.meta_path[0].find_spec("json.tool", json.__path__) is None
"""
    assert stand_in(code) == ["SourceFileLoader"] * 4


def test_transformers_without_such_tables_is_imported_all_the_same(stand_in):
    code = f"import dwc, {AUTO}.configuration_auto, {AUTO}.modeling_auto\nprint('imported')"
    assert stand_in(code, configuration_auto="", modeling_auto="MODEL_MAPPING_NAMES = None") == [
        "imported"
    ]


def test_an_error_inside_a_table_module_is_not_hidden(stand_in):
    code = f"""
import dwc
try:
    import {AUTO}.configuration_auto
except ZeroDivisionError:
    print("raised")
"""
    assert stand_in(code, configuration_auto="1 / 0") == ["raised"]
