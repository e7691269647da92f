"""Where the model computes: on this machine's GPU, on one that a ZeroGPU Space lends, or the CPU.

`spaces`, which only Spaces have, changes how torch sees GPUs, and so has to be imported before it:
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
"""How long a GPU is lent at most: a query takes well under a second, and a short lease is granted
sooner."""

_LENT_DEVICE = "cuda"

_log = logging.getLogger(__name__)


def is_lent() -> bool:
    """Whether a GPU is there during single calls only (ZeroGPU)."""
    return spaces is not None and bool(spaces.config.Config.zero_gpu)


def place_for_embedding(model: "DWCModel") -> None:
    """Use this machine's own GPU, if it has one. A lent one is not there yet."""
    if not is_lent() and torch.cuda.is_available():
        model.to("cuda")


def place_for_serving(searcher: "Searcher") -> None:
    """Have every question borrow the GPU where it is lent; elsewhere leave things as they are.

    A lent GPU is there in another process, forked from this one, and for one call: what goes in and
    comes out is carried over, and a tensor that belongs to it is of no use here. So it has a copy
    of the model, and the model itself stays on the CPU for all that borrows nothing: the regions of
    a picture, and questions that the GPU's owner turns down.
    """
    if is_lent():
        from dwc.search.query import model_composer

        there = copy.deepcopy(searcher.checkpoint.model).to(_LENT_DEVICE)
        borrowing = spaces.GPU(duration=LEASE_SECONDS)(model_composer(there))
        searcher.compose = partial(_borrow, borrowing, searcher.compose)


def _borrow(
    borrowing: "Compose", here: "Compose", inputs: "Mapping[str, Tensor]"
) -> "ComposedQuery":
    """A pass on the lent GPU, or here where it is not to be had."""
    try:
        return borrowing(dict(inputs))
    except Exception as error:  # a spent quota, a lease that ran out; all are Spaces' own
        _log.warning("no GPU was lent, so the CPU answers: %s", error)
        return here(inputs)
