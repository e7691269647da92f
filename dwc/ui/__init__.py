"""The web page: its blocks, handlers and state."""

from types import ModuleType

from dwc.import_hooks import after_import


def _write_no_stubs(module: ModuleType) -> None:
    """Let gradio define its components without a stub file (`.pyi`) for each of them.

    gradio 6.31 parses the source of every component and its stub file whenever it is imported. That
    takes 40 % of its import, and only editors read stub files.

    Args:
        module: The module `gradio.component_meta`.
    """
    if hasattr(module, "create_or_modify_pyi"):
        module.create_or_modify_pyi = lambda *arguments: None  # type: ignore[attr-defined]


after_import({"gradio.component_meta": _write_no_stubs})
