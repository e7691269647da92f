"""Loading that is whole or not at all.

transformers warns about tensors that are missing or unexpected, and fills what is missing with
random numbers. Here each of these is an error that lists the tensors.
"""

from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import PreTrainedModel

from dwc.errors import CheckpointError

_LISTED = 12  # Names in one message; the rest are counted.

_Model = TypeVar("_Model", bound="StrictModel")


class StrictModel(PreTrainedModel):
    """A `PreTrainedModel` whose `from_pretrained` raises unless every tensor is there and sound."""

    @classmethod
    def from_pretrained(cls: type[_Model], *arguments: Any, **options: Any) -> Any:
        """Load from a folder or a Hub id; arguments as in transformers, but strict.

        Reads safetensors alone, into float32 unless `dtype` says otherwise, and returns the model
        in eval mode. Raises CheckpointError for missing, unexpected or misshapen tensors, for
        numbers that are not finite, for files that are absent or cut short, and for a config that
        does not hold together.
        """
        wants_info = options.pop("output_loading_info", False)
        options.setdefault("dtype", options.pop("torch_dtype", torch.float32))
        options["use_safetensors"] = True
        options["ignore_mismatched_sizes"] = True  # Listed below with the others, not raised alone.
        source = arguments[0] if arguments else options.get("pretrained_model_name_or_path")
        try:
            model, info = super().from_pretrained(*arguments, output_loading_info=True, **options)
        except (OSError, SafetensorError, StrictDataclassError, ValueError) as error:
            raise CheckpointError(f"{source} cannot be loaded: {error}") from error
        _require_whole(model, info, source)
        return (model, info) if wants_info else model

    def _adjust_missing_and_unexpected_keys(self, loading_info: Any) -> None:
        """Forgive nothing: transformers would pass over buffers that old checkpoints carried."""


def _require_whole(model: PreTrainedModel, info: dict[str, Any], source: Any) -> None:
    """Raise CheckpointError unless every tensor was loaded, and is finite."""
    faults = {
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "misshapen": sorted(
            f"{name} (found {tuple(found)}, expected {tuple(expected)})"
            for name, found, expected in info["mismatched_keys"]
        ),
        "not finite": [
            name
            for name, tensor in model.state_dict().items()
            if tensor.is_floating_point() and not _is_finite(tensor)
        ],
    }
    lines = [f"  {fault}: {_listed(names)}" for fault, names in faults.items() if names]
    if lines:
        raise CheckpointError(
            f"the weights in {source} are not those of the model in its config:\n"
            + "\n".join(lines)
            + "\nFetch or convert the checkpoint again; nothing was loaded."
        )


def _is_finite(tensor: torch.Tensor) -> bool:
    """Whether every number is finite, in one pass and without a tensor as large beside it.

    The least and the greatest are NaN where any number is.
    """
    if not tensor.numel():
        return True
    return bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all())


def _listed(names: list[str]) -> str:
    """The first names, and the count of the others."""
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
