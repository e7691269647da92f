"""Run functions as soon as certain modules of other packages are imported.

Such a function changes the imported module. This project itself need not import the module for this
purpose, which could take seconds: the function runs only when other code imports the module.

`register_shortcuts` shortens slow imports of gradio and transformers in this way. Each shortcut
replaces one function of such a package. If another version of the package does not have the
function, nothing is replaced.
"""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

Action = Callable[[ModuleType], None]
"""Function that changes a module that was just imported."""


def after_import(actions: Mapping[str, Action]) -> None:
    """Run a function as soon as its module is imported, now or later, for several modules.

    If a module has been imported before, its function runs at once. A second call with the same
    functions runs them again for modules that have been imported, and changes nothing else. If
    several calls give functions for a module that is not imported yet, only the last one runs.

    Args:
        actions: The function for each module, by the full name of the module.
    """
    if not any(
        isinstance(finder, _Finder) and finder.actions == actions for finder in sys.meta_path
    ):
        sys.meta_path.insert(0, _Finder(actions))
    for name, action in actions.items():
        if name in sys.modules:
            # If another thread is importing the module, this waits until the import ends.
            __import__(name)
            action(sys.modules[name])


class _Finder:
    """Import hook that runs a function after a module is imported.

    The hook finds a module with the standard `PathFinder`, but replaces the module's loader by a
    `_Loader`. Modules that are not in `actions` are left to the other import hooks.

    Attributes:
        actions: The function for each module, by the full name of the module.
    """

    def __init__(self, actions: Mapping[str, Action]):
        self.actions = dict(actions)

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        """Return the import spec of a module, with a loader that runs the module's function.

        The result is None for a module that is not in `actions`.
        """
        action = self.actions.get(name)
        if action is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, action)  # type: ignore[assignment]
        return spec


class _Loader:
    """Import loader that runs a module's standard loader, and then a function.

    While the module is executed, its attributes `__loader__` and `__spec__.loader` are the standard
    loader, as if this class did not exist.
    """

    def __init__(self, loader: Any, action: Action):
        self._loader = loader
        self._action = action

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the module's standard loader create the module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module with its standard loader, then run the function."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._action(module)


def register_shortcuts() -> None:
    """Register the shortcuts; to save time, call this before gradio or transformers is imported."""
    after_import(
        {
            "gradio.component_meta": _write_no_stubs,
            "transformers.utils.import_utils": _scan_models_once,
        }
    )


def _write_no_stubs(module: ModuleType) -> None:
    """Let gradio define its components without a stub file (`.pyi`) for each of them.

    Whenever gradio 6.31 is imported, it parses the source and the stub file of every component.
    This takes 40 % of the import time, and only editors use stub files.

    Args:
        module: The module `gradio.component_meta`.
    """
    if hasattr(module, "create_or_modify_pyi"):
        module.create_or_modify_pyi = lambda *arguments: None  # type: ignore[attr-defined]


def _scan_models_once(module: ModuleType) -> None:
    """Let transformers list its models once instead of twice.

    To make this list, transformers 5.24 reads all 1,700 source files of its models. It caches the
    list under the path it was requested with. But its first request has the folder as a `Path`, and
    its second request has a file in this folder. With the shortcut, both are made with the folder.

    Args:
        module: The module `transformers.utils.import_utils`.
    """
    scan = getattr(module, "create_import_structure_from_path", None)
    if scan is None or hasattr(scan, "scans_once"):
        return

    @functools.wraps(scan)
    def scan_folder(module_path: str | os.PathLike[str]) -> object:
        folder = os.fspath(module_path)
        return scan(os.path.dirname(folder) if os.path.isfile(folder) else folder)

    scan_folder.scans_once = True  # type: ignore[attr-defined]
    module.create_import_structure_from_path = scan_folder  # type: ignore[attr-defined]
