"""A convolution, its batch norm and its activation as one operation, for inference on a CPU.

Without gradients, a batch norm in eval mode is folded into the convolution's weights, and oneDNN
applies the activation before it writes the result. The folded weights are a copy, so the parameters
themselves stay as they are; when training changes them, a new copy is computed.

oneDNN chooses the memory layout of the weights by the size of the features, and rearranges weights
of another layout in each call. In torch 2.13 on a processor with AVX2, half of EfficientNet-Lite's
time for one image was spent on this. So the folded weights are stored in the layout for the
features to which they are first applied, separately for one image and for several.

With one thread, CLIP's RN50 takes 0.85 of the time of the separate operations. For a small network
on images of 64 pixels, the factor is 1 for one image and 0.9 for eight. It is 1.5 for the CNN
stream's maps of 4 x 4 cells, so the fused operation is not used there; `inception.py` only folds
the batch norms, with `can_fold`, `fold` and `state_of`.
"""

from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

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
        state: The state of the parameters that were folded; see `state_of`.
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
        activation: "none"; "relu", which replaces negative values by 0; or "relu6", which clips
            values to [0, 6].

    Returns:
        Maps (N, out_channels, height, width), with the height and width that the convolution gives.
    """
    if _can_fuse(convolution, normalization, features):
        weight, bias = _fold_for(convolution, normalization, features)
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


def can_fold(
    convolution: nn.Conv1d | nn.Conv2d, normalization: nn.Module, features: Tensor
) -> bool:
    """Return whether a batch norm may be folded into the convolution before it, on a CPU.

    The folded weights are valid if the batch norm is in eval mode. They have no gradients, and
    have the type float32.

    Args:
        convolution: The convolution.
        normalization: The batch norm.
        features: The input of the convolution.
    """
    weight = convolution.weight
    return (
        not normalization.training
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and features.device.type == weight.device.type == "cpu"
        and features.dtype == weight.dtype == torch.float32
        and not weight.is_inference()  # torch does not count the changes of such tensors
        and not torch.compiler.is_compiling()
    )


def fold(
    convolution: nn.Conv1d | nn.Conv2d, normalization: nn.BatchNorm1d | nn.BatchNorm2d
) -> tuple[Tensor, Tensor]:
    """Fold a batch norm into a convolution without bias.

    Returns:
        The weight, of the shape of the convolution's weight, and the bias (out_channels,) of a
        convolution that computes the same as the two modules in eval mode.
    """
    assert normalization.running_mean is not None
    assert normalization.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight.double(),
        None,
        normalization.running_mean.double(),
        normalization.running_var.double(),
        normalization.eps,
        normalization.weight.double(),
        normalization.bias.double(),
    )
    return weight.float(), bias.float()


def _can_fuse(convolution: nn.Conv2d, normalization: nn.BatchNorm2d, features: Tensor) -> bool:
    return _IS_AVAILABLE and features.numel() > 0 and can_fold(convolution, normalization, features)


def _fold_for(
    convolution: nn.Conv2d, normalization: nn.BatchNorm2d, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Fold a batch norm into a convolution, or return the result of an earlier call.

    The weight has the memory layout that oneDNN chooses for features of this size. The bias has the
    shape (out_channels,).
    """
    state = state_of(convolution, normalization)
    known = _folded.get(convolution)
    layout = _layout_for(features)
    if known is None or known.state != state:
        _, bias = fold(convolution, normalization)
        known = _Folded(state, bias, {})
        _folded[convolution] = known
    if layout not in known.layouts:
        weight, _ = fold(convolution, normalization)
        known.layouts[layout] = _REORDER(
            weight.to_mkldnn(),
            convolution.padding,
            convolution.stride,
            convolution.dilation,
            convolution.groups,
            features.shape,
        )
    return known.layouts[layout], known.bias


def _layout_for(features: Tensor) -> tuple[bool, int]:
    """Return the key under which the folded weights for some features are stored.

    The key tells whether there are several images, and the number of threads. The best layout also
    depends on the height and width of the features, but these are not in the key, since a model has
    features of only a few sizes.
    """
    return len(features) > 1, torch.get_num_threads()


def state_of(
    convolution: nn.Conv1d | nn.Conv2d, normalization: nn.BatchNorm1d | nn.BatchNorm2d
) -> tuple[int, ...]:
    """Return numbers that show whether the parameters of both modules have changed.

    After a change of any parameter or running statistic, at least one of the numbers differs.
    """
    mean, variance = normalization.running_mean, normalization.running_var
    assert mean is not None
    assert variance is not None
    tensors = (convolution.weight, normalization.weight, normalization.bias, mean, variance)
    return tuple(number for tensor in tensors for number in (tensor._version, tensor.data_ptr()))
