"""A convolution, its batch norm and its activation as one operation, for inference on a CPU.

Without gradients, a batch norm in eval mode is folded into the convolution's weights, and oneDNN
applies the activation before it writes the result. The folded weights are a copy, so the parameters
themselves stay as they are; when training changes them, a new copy is computed.

oneDNN chooses the memory layout of the weights by the size of the features, and rearranges weights
of another layout in each call. In torch 2.13 on a processor with AVX2, this took half the time of
EfficientNet-Lite for one image. So the folded weights are stored in the layout for the features to
which they are first applied, separately for one image and for several.

With one thread, CLIP's RN50 takes 0.85 of the time of the separate operations. A small network for
images of 64 pixels takes as long for one image and 0.9 of the time for eight. The CNN stream's maps
of 4 x 4 cells are not worth it: there, the fused operation takes 1.5 times as long.
"""

from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["none", "relu", "relu6"]

_ACTIVATIONS: dict[str, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
# The operations with which torch's compiler fuses convolutions; older versions lack them.
_CONVOLVE: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
_REORDER: Any = getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None)
_IS_AVAILABLE = torch.backends.mkldnn.is_available() and None not in (_CONVOLVE, _REORDER)


class _Folded(NamedTuple):
    """The folded weights of a convolution.

    Attributes:
        state: The state of the parameters that were folded; see `_state_of`.
        bias: The folded bias (out_channels,).
        layouts: The folded weight in several memory layouts of oneDNN. The keys are those of
            `_layout_for`.
    """

    state: tuple[int, ...]
    bias: Tensor
    layouts: dict[tuple[bool, int], Tensor]


# They are not stored in the module, since weights in a layout of oneDNN can be neither copied nor
# pickled.
_folded: WeakKeyDictionary[nn.Module, _Folded] = WeakKeyDictionary()


def convolve(
    convolution: nn.Conv2d,
    normalization: nn.BatchNorm2d,
    features: Tensor,
    activation: Activation = "none",
) -> Tensor:
    """Apply a convolution without bias, a batch norm, and an activation.

    Args:
        convolution: The convolution.
        normalization: The batch norm.
        features: Maps of N images, (N, in_channels, height, width).
        activation: "none"; "relu" for values of at least 0; or "relu6" for values clipped to
            [0, 6].

    Returns:
        Maps (N, out_channels, height, width), with the height and width that the convolution gives.
    """
    if _can_fuse(convolution, normalization, features):
        weight, bias = _fold(convolution, normalization, features)
        return _CONVOLVE(
            features,
            weight,
            bias,
            convolution.padding,
            convolution.stride,
            convolution.dilation,
            convolution.groups,
            *_ACTIVATIONS[activation],
            "",
        )
    result = normalization(convolution(features))
    if activation == "relu":
        return functional.relu(result)
    return functional.relu6(result) if activation == "relu6" else result


def _can_fuse(convolution: nn.Conv2d, normalization: nn.BatchNorm2d, features: Tensor) -> bool:
    weight = convolution.weight
    return (
        _IS_AVAILABLE
        and not normalization.training
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and features.device.type == weight.device.type == "cpu"
        and features.dtype == weight.dtype == torch.float32
        and features.numel() > 0
        and not weight.is_inference()  # torch does not count the changes of such tensors
        and not torch.compiler.is_compiling()
    )


def _fold(
    convolution: nn.Conv2d, normalization: nn.BatchNorm2d, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Fold a batch norm into a convolution, and return the weight and bias of the result.

    The weight has the memory layout of oneDNN for the features; the bias has the shape
    (out_channels,).
    """
    state = _state_of(convolution, normalization)
    known = _folded.get(convolution)
    layout = _layout_for(features)
    if known is None or known.state != state:
        known = _Folded(state, _folded_bias(normalization), {})
        _folded[convolution] = known
    if layout not in known.layouts:
        weight = convolution.weight.double() * _scale(normalization)[:, None, None, None]
        known.layouts[layout] = _REORDER(
            weight.float().to_mkldnn(),
            convolution.padding,
            convolution.stride,
            convolution.dilation,
            convolution.groups,
            features.shape,
        )
    return known.layouts[layout], known.bias


def _layout_for(features: Tensor) -> tuple[bool, int]:
    """Return the key of the folded weights to use for some features.

    Features of other sizes would need other layouts, but only the difference between one image and
    several is distinguished, and the number of threads. A model has only a few sizes of features.
    """
    return len(features) > 1, torch.get_num_threads()


def _state_of(convolution: nn.Conv2d, normalization: nn.BatchNorm2d) -> tuple[int, ...]:
    """Return numbers that differ after any change of the parameters of both modules."""
    mean, variance = normalization.running_mean, normalization.running_var
    assert mean is not None
    assert variance is not None
    tensors = (convolution.weight, normalization.weight, normalization.bias, mean, variance)
    return tuple(number for tensor in tensors for number in (tensor._version, tensor.data_ptr()))


def _scale(normalization: nn.BatchNorm2d) -> Tensor:
    """Return the factor (C,), float64, by which a batch norm multiplies each of C channels."""
    assert normalization.running_var is not None
    variance = normalization.running_var.double()
    return normalization.weight.double() / (variance + normalization.eps).sqrt()


def _folded_bias(normalization: nn.BatchNorm2d) -> Tensor:
    """Return the summand (C,) that a batch norm adds to each of C channels after its factor."""
    assert normalization.running_mean is not None
    shift = normalization.running_mean.double() * _scale(normalization)
    return (normalization.bias.double() - shift).float()
