"""Choice of the device that runs a model."""

import torch


def local_device(index: int = 0) -> torch.device:
    """Return a GPU of this machine, or the CPU if there is no GPU that torch can use.

    Args:
        index: The number of this process on this machine, from 0 on. Processes with successive
            numbers get successive GPUs, and share them if there are more processes than GPUs.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", index % torch.cuda.device_count())
    return torch.device("cpu")
