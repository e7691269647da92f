"""Where the model computes: this machine's GPU, one lent by a ZeroGPU Space, or the CPU.

`spaces`, which only Spaces have, changes how torch sees GPUs and has to be imported before torch:
import this module first.
"""

import copy
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from dwc.modeling.composition import ComposedQuery
    from dwc.modeling.modeling_dwc import DWCModel
    from dwc.search.query import Compose
    from dwc.search.searcher import Searcher

try:
    import spaces  # type: ignore[import-not-found]
except ImportError:
    spaces = None


LEASE_SECONDS = 15
"""The longest time for which a GPU is lent. A query takes well under a second, and a short lease is
granted sooner."""

_LENT_DEVICE = "cuda"

_log = logging.getLogger(__name__)


def is_lent() -> bool:
    """Whether a GPU is available during single calls only (ZeroGPU)."""
    return spaces is not None and bool(spaces.config.Config.zero_gpu)


def use_local_gpu(model: "DWCModel") -> None:
    """Move a model to this machine's own GPU, if there is one. A lent GPU is left alone."""
    if not is_lent() and torch.cuda.is_available():
        model.to("cuda")


def borrow_gpu(searcher: "Searcher") -> None:
    """Let every pass of a searcher's model borrow the GPU where one is lent; else change nothing.

    A lent GPU belongs to another process, forked from this one, and is available for one call.
    Inputs and outputs are copied between the processes, and its tensors are of no use here. So the
    GPU gets a copy of the model. The model itself stays on the CPU for all that does not borrow:
    attention maps, and queries for which no GPU is granted.
    """
    if is_lent():
        from dwc.search.query import model_composer

        gpu_model = copy.deepcopy(searcher.checkpoint.model).to(_LENT_DEVICE)
        compose_on_gpu = spaces.GPU(duration=LEASE_SECONDS)(model_composer(gpu_model))
        searcher.compose = partial(_compose_on_gpu_or_cpu, compose_on_gpu, searcher.compose)


def _compose_on_gpu_or_cpu(
    on_gpu: "Compose", on_cpu: "Compose", inputs: "Mapping[str, Tensor]"
) -> "ComposedQuery":
    """One pass on the lent GPU, or on the CPU where no GPU is granted."""
    try:
        return on_gpu(dict(inputs))
    except Exception as error:  # a spent quota or an expired lease; the types belong to Spaces
        _log.warning("no GPU was lent, so the CPU answers: %s", error)
        return on_cpu(inputs)
