"""Fields of a config that nothing reads: a misspelling, or the word of a later version."""

from collections.abc import Mapping
from typing import Any

from transformers import PretrainedConfig

# Beside its own fields, every config has those that some version of the library writes.
_LIBRARY = {
    *PretrainedConfig().to_dict(),
    "attn_implementation",
    "auto_map",
    "name_or_path",
    "num_labels",
    "tie_word_embeddings",
    "torch_dtype",
}


def require_known_fields(
    kind: type[PretrainedConfig], values: Mapping[str, Any], place: str
) -> None:
    """Raise ValueError naming the fields in `values` that a config of this kind does not have.

    `place` is where they stand. What begins with an underscore is the library's own.
    """
    own = sorted(set(kind.__dataclass_fields__) - set(PretrainedConfig.__dataclass_fields__))
    unknown = sorted(
        name
        for name in values
        if name not in own and name not in _LIBRARY and not name.startswith("_")
    )
    if unknown:
        raise ValueError(
            f"{place} has fields that nothing here reads: {', '.join(unknown)}; it may have "
            f"{', '.join(name for name in own if name != 'sub_configs')}. Correct them, or update "
            "dwc if a later version wrote this."
        )
