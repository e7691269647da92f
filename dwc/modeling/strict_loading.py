"""Loading that is whole or not at all.

transformers warns about tensors that are missing or unexpected, and fills what is missing with
random numbers. Here each of these is an error that lists the tensors.
"""

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights

from dwc.checkpoints.safetensors_files import Weights, find_non_finite, is_folder
from dwc.errors import CheckpointError, list_names

# Skipping the random start replaces functions of torch for a moment, for every thread; two at once
# would each take the other's for the original.
_UNINITIALISED = threading.Lock()

_Model = TypeVar("_Model", bound="StrictModel")


class StrictModel(PreTrainedModel):
    """A `PreTrainedModel` whose `from_pretrained` raises unless every tensor is there and sound."""

    @classmethod
    def from_pretrained(cls: type[_Model], *arguments: Any, **options: Any) -> Any:
        """Load from a folder or a Hub id; arguments as in transformers, but strict.

        Reads safetensors alone, into float32 unless `dtype` says otherwise, and returns the model
        in eval mode. A folder is read without transformers' loading, which takes several times as
        long; with any option of it but `dtype`, and from the Hub, that is what reads. `weights` are
        a folder's that someone began to read before, as the same `dtype`.

        Raises CheckpointError for missing, unexpected or misshapen tensors, for numbers that are
        not finite, for files that are absent or cut short, and for a config that does not hold
        together.
        """
        wants_info = options.pop("output_loading_info", False)
        dtype = options.pop("dtype", options.pop("torch_dtype", torch.float32))
        options.pop("ignore_mismatched_sizes", None)  # Listed below with the others.
        options.pop("use_safetensors", None)
        weights = options.pop("weights", None)
        source = arguments[0] if arguments else options.get("pretrained_model_name_or_path")
        plain = len(arguments) <= 1 and not options.keys() - {"pretrained_model_name_or_path"}
        try:
            if plain and isinstance(dtype, torch.dtype) and source and is_folder(source):
                model, faults = cls._read(source, dtype, weights or Weights(source, dtype))
            else:
                model, info = super().from_pretrained(
                    *arguments,
                    **options,
                    dtype=dtype,
                    output_loading_info=True,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,
                )
                faults = Faults(
                    sorted(info["missing_keys"]),
                    sorted(info["unexpected_keys"]),
                    sorted(info["mismatched_keys"]),
                    find_non_finite(model.state_dict()),
                )
        except (OSError, SafetensorError, StrictDataclassError, ValueError) as error:
            raise CheckpointError(f"{source} cannot be loaded: {error}") from error
        faults.require_none(source)
        return (model, faults.as_info()) if wants_info else model

    @classmethod
    def _read(
        cls: type[_Model], folder: Any, dtype: torch.dtype, weights: Weights
    ) -> tuple[_Model, "Faults"]:
        """The model in a folder, and what is wrong with its weights."""
        config = cls.config_class.from_pretrained(folder)
        config.name_or_path = str(folder)
        config.dtype = dtype
        with _UNINITIALISED, no_init_weights():
            model = cls(config)
        faults = _fill(model, weights.tensors)
        return model.eval(), faults._replace(not_finite=sorted(weights.not_finite()))

    def _adjust_missing_and_unexpected_keys(self, loading_info: Any) -> None:
        """Forgive nothing: transformers would pass over buffers that old checkpoints carried."""


class Faults(NamedTuple):
    """What is wrong with the weights for a model: names, and for misshapen ones both shapes."""

    missing: list[str]
    unexpected: list[str]
    misshapen: list[tuple[str, Any, Any]]
    not_finite: list[str]

    def require_none(self, source: Any) -> None:
        """Raise CheckpointError that lists them, unless there are none."""
        shapes = [
            f"{name} (found {tuple(found)}, expected {tuple(expected)})"
            for name, found, expected in self.misshapen
        ]
        faults = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "misshapen": shapes,
            "not finite": self.not_finite,
        }
        lines = [f"  {fault}: {list_names(names)}" for fault, names in faults.items() if names]
        if lines:
            raise CheckpointError(
                f"the weights in {source} are not those of the model in its config:\n"
                + "\n".join(lines)
                + "\nFetch or convert the checkpoint again; nothing was loaded."
            )

    def as_info(self) -> dict[str, Any]:
        """As transformers tells them."""
        return {
            "missing_keys": set(self.missing),
            "unexpected_keys": set(self.unexpected),
            "mismatched_keys": set(self.misshapen),
            "error_msgs": [],
        }


def _fill(model: PreTrainedModel, tensors: Mapping[str, Tensor]) -> Faults:
    """Put tensors in the places of the model's own, as they are; tell which do not belong."""
    places = model.state_dict(keep_vars=True)
    misshapen = []
    for name in places.keys() & tensors.keys():
        if places[name].shape == tensors[name].shape:
            places[name].data = tensors[name]
        else:
            misshapen.append((name, tensors[name].shape, places[name].shape))
    return Faults(
        sorted(places.keys() - tensors.keys()),
        sorted(tensors.keys() - places.keys()),
        sorted(misshapen),
        [],
    )
