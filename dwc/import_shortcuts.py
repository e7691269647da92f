"""Shortcuts through slow imports of gradio and transformers.

Each shortcut replaces one function of such a package when the package is imported. If another
version of the package does not have the function, nothing is replaced.
"""

import functools
import os
from types import ModuleType

from dwc.import_hooks import after_import


def register() -> None:
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
