"""Registration with transformers, so that classes such as `AutoModel` load DWC checkpoints.

transformers has tables that map a model type to the name of a class. When a class is first needed,
transformers imports it from `transformers.models.<model type>`. This module adds this project's
names to the tables, and makes `transformers.models.dwc` an alias of the package `dwc`, which
imports its public classes on first access.

This module imports neither transformers nor torch, and none of this project's classes. If a table
is not loaded yet, an import hook adds the entry when transformers loads the table.
`AutoModel.register` and similar functions cannot be used instead, because they need the classes,
and importing the classes needs torch.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_MODEL_TYPE = "dwc"
_ALIAS = f"transformers.models.{_MODEL_TYPE}"

# The modules of transformers that contain a table. For each module: the name of the table, the
# class name to enter for this project's model type, and the name of the mapping that transformers
# builds from the table (with config classes as keys), or None if it builds no such mapping.
_TABLES = {
    "transformers.models.auto.configuration_auto": ("CONFIG_MAPPING_NAMES", "DWCConfig", None),
    "transformers.models.auto.modeling_auto": ("MODEL_MAPPING_NAMES", "DWCModel", "MODEL_MAPPING"),
    "transformers.models.auto.processing_auto": (
        "PROCESSOR_MAPPING_NAMES",
        "DWCProcessor",
        "PROCESSOR_MAPPING",
    ),
}
_CONFIG_CLASS = "DWCConfig"


def register() -> None:
    """Add this project's classes to the tables of transformers, so that `AutoModel` finds them.

    The tables map model types to class names. A table that is not loaded yet gets its entry when
    transformers loads it. Repeated calls have no further effect.
    """
    if not any(isinstance(finder, _TableFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TableFinder())
    for name in _TABLES:
        if name in sys.modules:
            # If another thread is importing the module, this waits until the import ends.
            __import__(name)
            _add_entries(sys.modules[name])


def _add_entries(module: ModuleType) -> None:
    """Add this project's model type to the table that `module` contains.

    The table is a dict from model types to class names. The new entry maps "dwc" to the name of
    this project's config, model or processor class.

    Args:
        module: A loaded module of transformers that contains such a table.
    """
    table_name, entry, mapping_name = _TABLES[module.__name__]
    table = getattr(module, table_name, None)
    if not isinstance(table, dict):
        return  # this version of transformers has no such table, but must stay importable
    table.setdefault(_MODEL_TYPE, entry)
    sys.modules.setdefault(_ALIAS, sys.modules[__package__])
    # The mapping may have been built earlier, from a table without the entry.
    mapping = getattr(module, mapping_name, None) if mapping_name else None
    model_types = getattr(mapping, "_reverse_config_mapping", None)
    if isinstance(model_types, dict):
        model_types.setdefault(_CONFIG_CLASS, _MODEL_TYPE)


class _TableFinder:
    """Import hook for the modules of transformers that contain the tables.

    The tables map model types to class names. The hook finds these modules with the standard
    `PathFinder`, but replaces their loader by a `_TableLoader`, which adds this project's entries
    to the tables. It ignores all other modules.
    """

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        """Return the import spec of a module; None for a module without a table.

        The modules with a table are those of transformers that map model types to class names. For
        them, the loader in the spec adds this project's entry to the table.
        """
        if name not in _TABLES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _TableLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _TableLoader:
    """Import loader for a module of transformers with a table that maps model types to class names.

    It runs the module's standard loader, then adds this project's entry to the table. While the
    module is executed, its attributes `__loader__` and `__spec__.loader` are the standard loader,
    as if this class did not exist.
    """

    def __init__(self, loader: Any):
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the module's standard loader create the module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module with its standard loader, then add this project's entry to its table.

        The table maps model types to class names.
        """
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _add_entries(module)
