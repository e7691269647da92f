"""Where the model computes: on this machine's GPU, on one that a ZeroGPU Space lends, or the CPU.

`spaces`, which only Spaces have, changes how torch sees GPUs, and so has to be imported before it:
import this module first.
"""

from typing import TYPE_CHECKING

try:
    import spaces  # type: ignore[import-not-found]
except ImportError:
    spaces = None

import torch

if TYPE_CHECKING:
    from dwc.modeling.model import DWCModel
    from dwc.search.searcher import Searcher

# A search takes well under a second; a short lease is granted sooner.
LEASE_SECONDS = 15


def is_lent() -> bool:
    """Whether a GPU is there during single calls only (ZeroGPU)."""
    return spaces is not None and bool(spaces.config.Config.zero_gpu)


def place_for_embedding(model: "DWCModel") -> None:
    """Use this machine's own GPU, if it has one. A lent one is not there yet."""
    if not is_lent() and torch.cuda.is_available():
        model.to("cuda")


def place_for_serving(searcher: "Searcher") -> None:
    """Have every search borrow the GPU where it is lent; elsewhere leave the model where it is."""
    if is_lent():
        searcher.checkpoint.model.to("cuda")
        borrowing = spaces.GPU(duration=LEASE_SECONDS)(searcher.search)
        setattr(searcher, "search", borrowing)  # noqa: B010  (a method is not assigned to)
