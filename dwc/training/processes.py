"""Connection of the processes of a training run."""

import os
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env


def new_accelerator(**options: Any) -> Accelerator:
    """Return an accelerator that knows all processes of a launch, on machines without a GPU too.

    Args:
        **options: Arguments of `Accelerator` other than `cpu`.
    """
    return Accelerator(cpu=_trains_on_cpu(), **options)


def launched_processes() -> PartialState:
    """Return the number of this process and of all processes of a launch, as `new_accelerator`."""
    return PartialState(cpu=_trains_on_cpu())


def _trains_on_cpu() -> bool:
    """Return the argument `cpu` of accelerate's classes.

    If it is False and there is no device for which torch connects processes, `torchrun` starts
    several processes of which accelerate 1.15.0 tells each that it is the only one.
    """
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return True
    device = torch.accelerator.current_accelerator(check_available=True)
    is_launched = "LOCAL_RANK" in os.environ
    return device is None or (device.type == "mps" and is_launched)
