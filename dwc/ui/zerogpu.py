"""Choice of the device that runs the model: a local GPU, the GPU of ZeroGPU, or the CPU.

ZeroGPU is a service for Hugging Face Spaces. It gives a process access to a shared GPU, but only
during a single function call. It needs the package `spaces`, which is installed only in Spaces.
That package patches torch and must be imported before torch. So this module must be imported before
any other module that imports torch.
"""

import copy
import logging
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwc.modeling.modeling_dwc import DWCModel
    from dwc.search.query_batching import ModelInputs, ModelOutputs, RunModel
    from dwc.search.searcher import Searcher

try:
    import spaces  # type: ignore[import-not-found]
except ImportError:
    spaces = None


LEASE_SECONDS = 15
"""The requested maximum duration of a call on ZeroGPU, in seconds.

A query takes well under a second. ZeroGPU grants the GPU sooner if the requested duration is short.
"""

_LENT_DEVICE = "cuda"

_log = logging.getLogger(__name__)


def is_lent() -> bool:
    """Return whether this process runs on ZeroGPU, which lends a GPU for single function calls."""
    return spaces is not None and bool(spaces.config.Config.zero_gpu)


def use_local_gpu(model: "DWCModel") -> None:
    """Move a model to the local GPU, if there is one; do nothing on ZeroGPU.

    ZeroGPU, a service for Hugging Face Spaces, lends a GPU only for single function calls.
    """
    if not is_lent():
        from dwc.modeling.modeling_dwc import local_device

        model.to(local_device())


def borrow_gpu(searcher: "Searcher") -> None:
    """Run a searcher's forward passes on ZeroGPU from now on; do nothing without ZeroGPU.

    ZeroGPU, a service for Hugging Face Spaces, lends a GPU for single function calls. It runs each
    call in another process, forked from this one, and copies inputs and outputs between the
    processes; this process cannot use tensors on the GPU. So a copy of the model is made for the
    GPU. The original stays on the CPU: it computes attention maps, and answers queries for which no
    GPU is granted. Queries that wait at the same time share a call. The call uses the quota of the
    visitor whose query is the oldest.
    """
    if is_lent():
        from dwc.search.query_batching import model_runner

        gpu_model = copy.deepcopy(searcher.checkpoint.model).to(_LENT_DEVICE)
        run_on_gpu = spaces.GPU(duration=LEASE_SECONDS)(model_runner(gpu_model))
        composer = searcher.compose
        composer.run_model = partial(_run_on_gpu_or_cpu, run_on_gpu, composer.run_model)


def _run_on_gpu_or_cpu(
    on_gpu: "RunModel", on_cpu: "RunModel", inputs: "ModelInputs"
) -> "ModelOutputs":
    """Run a forward pass on a GPU that ZeroGPU lends, or on the CPU if it lends none."""
    try:
        return on_gpu(inputs)
    except Exception as error:  # for example, the quota is used up; only Spaces define the types
        _log.warning("no GPU was lent, so the CPU answers: %s", error)
        return on_cpu(inputs)
