"""The design's rules, read off the sources: which room may know which, and what each keeps out."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dwc"

# Every unit (a package, a top-level module, or a module listed here by its own name) with the units
# it may import. What is not listed is not allowed.
MAY_IMPORT = {
    "errors": set(),
    "import_hooks": set(),
    "auto_classes": {"import_hooks"},
    "files": {"errors"},
    "memory": set(),
    "lazy_pattern": set(),
    "progress": set(),
    "negation": set(),
    "datasets": {"errors", "files"},
    "checkpoints.safetensors_files": {"errors", "files"},
    "modeling": {"errors", "checkpoints.safetensors_files", "negation", "lazy_pattern"},
    "checkpoints": {"errors", "files", "memory", "modeling", "checkpoints.safetensors_files"},
    "convert": {"errors", "files", "modeling", "checkpoints", "checkpoints.safetensors_files"},
    "space": {"errors", "files", "checkpoints"},
    "catalogue": {"errors", "files", "datasets", "negation"},
    "gallery": {"errors", "files", "memory", "progress", "datasets", "catalogue"},
    "evaluation": {"errors", "files", "progress", "modeling", "datasets", "catalogue"},
    "search": {
        "errors", "files", "modeling", "checkpoints", "datasets", "gallery", "negation",
        "catalogue", "lazy_pattern",
    },
    "explain": {"errors", "files", "modeling", "checkpoints", "gallery", "evaluation", "search"},
    "training": {
        "errors", "files", "progress", "modeling", "checkpoints", "convert", "datasets",
        "catalogue", "evaluation", "negation",
    },
    "ui": {  # `negation`: what a text excludes is compared with the metadata
        "errors", "files", "modeling", "checkpoints", "datasets", "gallery", "catalogue", "search",
        "explain", "negation", "import_hooks", "lazy_pattern",
    },
    # The one command that serves the page.
    "commands.app": {"errors", "files", "memory", "gallery", "commands", "ui"},
    "commands": {
        "errors", "files", "modeling", "checkpoints", "convert", "datasets", "catalogue", "gallery",
        "search", "explain", "evaluation", "training", "space",
    },
    "cli": {"errors", "files", "memory", "import_hooks", "commands", "commands.app"},
    "__main__": {"cli"},
    "__init__": {"auto_classes", "modeling", "search"},  # the public names, imported on first use
}  # fmt: skip

# Units of which only the listed modules may be imported.
NARROW = {
    # A training starts from foreign weights and writes texts in the authors' template.
    ("training", "convert"): {
        "dwc.convert.clip_tokenizer",
        "dwc.convert.to_checkpoint",
        "dwc.convert.sources",
    },
    # Weight statistics are correlated as in a benchmark.
    ("explain", "evaluation"): {"dwc.evaluation.metrics"},
    # An excluded detail is contrasted with the details that can replace it.
    ("search", "catalogue"): {"dwc.catalogue.language.exclusions"},
    # A gallery source draws the catalogue.
    ("gallery", "catalogue"): {
        "dwc.catalogue.drawing",
        "dwc.catalogue.splits",
    },
}

FILES_AND_PICTURES = {"os", "io", "pathlib", "shutil", "tempfile", "glob", "json", "PIL"}
HEAVY = {"torch", "transformers", "accelerate", "gradio"}
HUB_CALLS = {
    "hf_hub_download", "snapshot_download", "cached_file", "HfApi", "create_repo", "upload_folder",
    "create_commit",
}  # fmt: skip
HUB_CALLERS = {
    "dwc.checkpoints.hub",  # models
    "dwc.modeling.processing_dwc",  # its own `from_pretrained`, through transformers' `cached_file`
    "dwc.gallery.sources",  # data sets
    "dwc.convert.clip_tokenizer",  # OpenAI's merges, at one commit, for who converts
    "dwc.convert.sources",  # and a CLIP, through transformers
}
AUTHORS_NAMES = {
    "img_fc", "txt_fc", "fc_txt", "atten_I", "atten_T", "dynamic_scalar", "imgconv", "txt2img",
    "img2txt", "img_pool", "loss_weight",
}  # fmt: skip


class Module(NamedTuple):
    """One source file: its dotted name and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        return room_of(self.name)

    @property
    def imported(self) -> set[str]:
        """Every module or name that it imports anywhere, dotted; functions' own imports too."""
        return set(imported_by(self.tree))


def room_of(name: str) -> str:
    """The unit that a module belongs to."""
    inner = name.partition(".")[2]
    return inner if inner in MAY_IMPORT else inner.split(".")[0] or "__init__"


def imported_by(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8")))


MODULES = [read(path) for path in sorted(PACKAGE.rglob("*.py"))]
NAMES = {module.name for module in MODULES}


def home_of(imported: str) -> str | None:
    """The module of this package that an imported name lives in; None for what is not ours."""
    if imported.split(".")[0] != "dwc":
        return None
    while imported not in NAMES:
        imported = imported.rpartition(".")[0]
    return imported


def forbidden_arrows(module: Module) -> list[str]:
    wrong = []
    for home in filter(None, map(home_of, module.imported)):
        if home == "dwc":
            continue  # `__version__`
        room = room_of(home)
        if room == module.room:
            continue
        doors = NARROW.get((module.room, room))
        behind_a_door = doors is None or any(home.startswith(door) for door in doors)
        if room not in MAY_IMPORT[module.room] or not behind_a_door:
            wrong.append(f"{module.name} imports {home}")
    return wrong


def packages(module: Module) -> set[str]:
    return {name.split(".")[0] for name in module.imported}


def pieces(module: Module) -> Iterator[str]:
    """Every identifier and string of a module but its docstrings."""
    told = {id(n.value) for n in ast.walk(module.tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def undocumented(tree: ast.Module) -> list[str]:
    """Public functions and classes of a module, and public methods, without a docstring."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    public = [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]
    inner = [one for node in public if isinstance(node, ast.ClassDef) for one in node.body]
    inner = [one for one in inner if isinstance(one, kinds) and not one.name.startswith("_")]
    return [node.name for node in public + inner if not ast.get_docstring(node)]


def named(prefix: str) -> list[Module]:
    return [module for module in MODULES if f"{module.name}.".startswith(f"{prefix}.")]


def test_every_room_is_on_the_map():
    assert {module.room for module in MODULES} == set(MAY_IMPORT)


def test_the_map_has_no_circle():
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        free = [r for r, needs in MAY_IMPORT.items() if r not in order and needs <= set(order)]
        assert free, f"a circle among {set(MAY_IMPORT) - set(order)}"
        order += free


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_arrows_point_one_way(module):
    assert forbidden_arrows(module) == []


def test_an_arrow_that_points_the_other_way_is_seen():
    tree = ast.parse(
        "def f():\n    from dwc.search.results import Hit\nfrom dwc.checkpoints import load"
    )
    wrong = forbidden_arrows(Module("dwc.modeling.modeling_dwc", PACKAGE, tree))
    assert sorted(wrong) == [
        "dwc.modeling.modeling_dwc imports dwc.checkpoints.load",
        "dwc.modeling.modeling_dwc imports dwc.search.results",
    ]
    stores = ast.parse(
        "from dwc.gallery.store import Store\nfrom dwc.datasets.image_loading import decode"
    )
    assert forbidden_arrows(Module("dwc.evaluation.retrieval", PACKAGE, stores)) == [
        "dwc.evaluation.retrieval imports dwc.gallery.store"
    ]


@pytest.mark.slow
def test_only_the_entry_point_knows_the_page():
    users = [m.name for m in MODULES if m.room != "ui" and any("dwc.ui" in i for i in m.imported)]
    assert users == ["dwc.commands.app"]
    assert [m.name for m in MODULES if m.room != "ui" and "gradio" in packages(m)] == []


def test_modeling_reads_neither_files_nor_pictures():
    for module in named("dwc.modeling"):
        if module.name == "dwc.modeling.processing_dwc":
            continue  # takes PIL images and reads its own files, as processors of transformers do
        assert packages(module) & FILES_AND_PICTURES == set(), module.name
        calls = {n.func.id for n in ast.walk(module.tree) if _is_plain_call(n)}
        assert "open" not in calls, module.name


def _is_plain_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


@pytest.mark.slow
@pytest.mark.parametrize("room", ["gallery", "catalogue"])
def test_gallery_and_catalogue_need_no_torch_whatever_they_call(room):
    """Imports inside functions count too, and those of everything imported."""
    by_name = {module.name: module for module in MODULES}
    reached = {module.name for module in named(f"dwc.{room}")}
    waiting = list(reached)
    while waiting:
        homes = set(filter(None, map(home_of, by_name[waiting.pop()].imported)))
        waiting += homes - reached
        reached |= homes
    reached.discard("dwc")  # looks its public names up only when they are asked for
    assert len(reached) > len(named(f"dwc.{room}"))
    assert {name for name in reached if packages(by_name[name]) & HEAVY} == set()


@pytest.mark.slow
def test_gallery_and_catalogue_are_imported_without_torch():
    names = sorted(m.name for room in ("gallery", "catalogue") for m in named(f"dwc.{room}"))
    assert _loaded_after(names) == ""


@pytest.mark.parametrize("name", ["dwc", "dwc.cli", "dwc.errors"])
def test_what_starts_fast_imports_no_torch(name):
    assert _loaded_after([name]) == ""


@pytest.mark.slow
def test_the_public_names_do_bring_torch():
    assert "torch" in _loaded_after(["dwc.modeling.modeling_dwc"])


def _loaded_after(names: list[str]) -> str:
    """The heavy packages that a fresh interpreter has loaded after these imports."""
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


@pytest.mark.slow
def test_the_authors_names_stay_with_the_converter():
    known = {name: set() for name in AUTHORS_NAMES}
    for module in MODULES:
        text = "\n".join(pieces(module))
        for name in AUTHORS_NAMES:
            if name in text:
                known[name].add(module.room)
    assert known == {name: {"convert"} for name in AUTHORS_NAMES}


@pytest.mark.slow
def test_who_talks_to_the_hub():
    callers = {
        module.name
        for module in MODULES
        if {name.rpartition(".")[2] for name in module.imported} & HUB_CALLS
    }
    assert "dwc.checkpoints.hub" in callers
    assert callers - HUB_CALLERS == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_what_is_public_has_a_docstring(module):
    assert undocumented(module.tree) == []


def test_a_missing_docstring_is_seen():
    source = 'class A:\n    """Doc."""\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...'
    assert undocumented(ast.parse(source)) == ["h", "f"]
