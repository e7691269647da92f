"""Precision of training: bfloat16 where the processor is made for it, and float32 elsewhere."""

from functools import cache

import torch


@cache
def has_fast_bfloat16(device_type: str) -> bool:
    """Return whether a device computes about as fast in bfloat16 as in float32, or faster.

    PyTorch computes in bfloat16 on any CPU. On an AMD EPYC without AVX-512, however, a training
    step of convolutions takes 8 times as long as in float32, and one of linear layers 9 times
    (torch 2.13.0). Other CPUs without these instructions are assumed to be as slow.

    Args:
        device_type: The type of the device, such as "cpu" or "cuda".
    """
    if device_type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device_type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def autocast_bfloat16(device_type: str = "cpu", enabled: bool = True) -> torch.autocast:
    """Return a context in which PyTorch computes in bfloat16 if the device is fast at it.

    Args:
        device_type: The type of the device, such as "cpu" or "cuda".
        enabled: False to compute in float32 on any device.
    """
    is_enabled = enabled and has_fast_bfloat16(device_type)
    return torch.autocast(device_type, torch.bfloat16, enabled=is_enabled)


def cpu_precision(precision: str) -> str:
    """Return the precision of a training on the CPU, in accelerate's terms: "no" is float32.

    Args:
        precision: The requested precision, such as "bf16". "no" replaces "bf16" if the CPU is slow
            in bfloat16.
    """
    return "no" if precision == "bf16" and not has_fast_bfloat16("cpu") else precision
