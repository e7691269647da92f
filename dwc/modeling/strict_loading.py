"""`StrictModel`, a model class that loads either all tensors of a checkpoint or none.

transformers only warns about missing or unexpected tensors and fills the missing ones with random
numbers. `StrictModel` raises an error that lists such tensors.
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

# `no_init_weights` replaces functions of torch for all threads and later restores them. If two
# threads used it at once, one thread could save the other's replacement as the original function
# and restore it.
_NO_INIT_LOCK = threading.Lock()

_Model = TypeVar("_Model", bound="StrictModel")


class StrictModel(PreTrainedModel):
    """A `PreTrainedModel` that loads only if every tensor is present and finite."""

    @classmethod
    def from_pretrained(cls: type[_Model], *arguments: Any, **options: Any) -> Any:
        """Load a model from a folder or a Hub id; raise an error if its weights are incomplete.

        Only safetensors files are read. The model's tensors have the type `dtype` (float32 by
        default), and the model is in eval mode. If no options other than `dtype` and `weights` are
        given, a folder is loaded by this class's own code, which is several times as fast as the
        method of transformers.

        Args:
            *arguments: Positional arguments of transformers' `from_pretrained`.
            **options: Options of transformers' `from_pretrained`. In addition, `weights` may be a
                `Weights` object for the same folder and `dtype`, if the caller has already created
                one to load the tensors earlier.

        Raises:
            CheckpointError: Tensors are missing, unexpected, misshapen or not finite; files are
                absent or cut short; or the config is invalid.
        """
        wants_info = options.pop("output_loading_info", False)
        dtype = options.pop("dtype", options.pop("torch_dtype", torch.float32))
        options.pop("ignore_mismatched_sizes", None)  # wrong shapes are always reported below
        options.pop("use_safetensors", None)
        weights = options.pop("weights", None)
        source = arguments[0] if arguments else options.get("pretrained_model_name_or_path")
        plain = len(arguments) <= 1 and not options.keys() - {"pretrained_model_name_or_path"}
        try:
            if plain and isinstance(dtype, torch.dtype) and source and is_folder(source):
                with weights or Weights(source, dtype) as tensors:
                    model, faults = cls._read(source, dtype, tensors)
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
        """Load a model from a folder without the slower `from_pretrained` of transformers' models.

        Args:
            folder: Folder of the config.
            dtype: Type of the model's tensors.
            weights: The tensors to load.

        Returns:
            The model, in eval mode, and the faults of its weights.
        """
        config = cls.config_class.from_pretrained(folder)
        config.name_or_path = str(folder)
        config.dtype = dtype
        with _NO_INIT_LOCK, no_init_weights():
            model = cls(config)
        faults = _fill(model, weights.tensors)
        return model.eval(), faults._replace(not_finite=sorted(weights.not_finite()))

    def set_attn_implementation(
        self, attn_implementation: str | dict[str, Any], **options: Any
    ) -> None:
        """Choose how attention is computed in the parts that have transformers' attention layers.

        The inherited method would fail on a ResNet, which has no attention layers.

        Args:
            attn_implementation: An implementation such as "sdpa" or "eager" for all parts; or a
                dict from the names of sub-configs to the implementations for these parts. The key
                "" stands for the model itself. A value may also be a dict for the part's own parts.
            **options: Further arguments of transformers' method.

        Raises:
            ValueError: The implementation does not exist, or a part does not support it.
        """
        names = ["", *self.config.sub_configs]
        if not isinstance(attn_implementation, dict):
            attn_implementation = dict.fromkeys(names, attn_implementation)
        if unknown := sorted(attn_implementation.keys() - set(names)):
            raise ValueError(
                f"attn_implementation names {', '.join(unknown)}; this model has "
                f"{', '.join(names[1:])}."
            )
        parts = [part for part in self.children() if isinstance(part, PreTrainedModel)]
        for name, value in attn_implementation.items():
            if name == "":
                checked = self._check_and_adjust_attn_implementation(value, **options)
                self.config._attn_implementation_internal = checked
            for part in parts:
                if part.config is getattr(self.config, name, None):
                    part.set_attn_implementation(value, **options)

    def _adjust_missing_and_unexpected_keys(self, loading_info: Any) -> None:
        """Do nothing, so that `loading_info` keeps all names of missing and unexpected tensors.

        The inherited method of transformers would remove the names of some buffers from it.
        """


class Faults(NamedTuple):
    """The tensors that prevent a checkpoint from being loaded, by the kind of error.

    Attributes:
        missing: Names of the model's tensors that the checkpoint lacks.
        unexpected: Names of the checkpoint's tensors that the model does not have.
        misshapen: Tensors with a wrong shape, each as a triple of its name, its shape in the
            checkpoint and its shape in the model.
        not_finite: Names of tensors with infinite or NaN values.
    """

    missing: list[str]
    unexpected: list[str]
    misshapen: list[tuple[str, Any, Any]]
    not_finite: list[str]

    def require_none(self, source: Any) -> None:
        """Raise a CheckpointError that lists the faults, if there are any.

        Args:
            source: Folder or Hub id of the checkpoint, for the error message.
        """
        shapes = [
            f"{name} (found {tuple(actual)}, expected {tuple(expected)})"
            for name, actual, expected in self.misshapen
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
                f"the weights in {source} do not fit the model in its config:\n"
                + "\n".join(lines)
                + "\nFetch or convert the checkpoint again; nothing was loaded."
            )

    def as_info(self) -> dict[str, Any]:
        """Return the faults as a dict like transformers' `output_loading_info`."""
        return {
            "missing_keys": set(self.missing),
            "unexpected_keys": set(self.unexpected),
            "mismatched_keys": set(self.misshapen),
            "error_msgs": [],
        }


def _fill(model: PreTrainedModel, tensors: Mapping[str, Tensor]) -> Faults:
    """Assign tensors to a model's parameters and buffers of the same names, without copying them.

    Returns:
        The missing, unexpected and misshapen tensors; misshapen ones are not assigned.
    """
    slots = model.state_dict(keep_vars=True)
    misshapen = []
    for name in slots.keys() & tensors.keys():
        if slots[name].shape == tensors[name].shape:
            slots[name].data = tensors[name]
        else:
            misshapen.append((name, tensors[name].shape, slots[name].shape))
    return Faults(
        sorted(slots.keys() - tensors.keys()),
        sorted(tensors.keys() - slots.keys()),
        sorted(misshapen),
        [],
    )
