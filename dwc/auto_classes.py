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
from types import ModuleType

from dwc.import_hooks import after_import

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
    after_import(dict.fromkeys(_TABLES, _add_entries))


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
