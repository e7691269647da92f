"""Convolution, batch norm and activation in one operation, against the separate modules."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from dwc.modeling import fused_convolution
from dwc.modeling.fused_convolution import convolve


def layers(kernel_size=3, groups=1):
    torch.manual_seed(0)
    convolution = nn.Conv2d(
        8, 8, kernel_size, padding=kernel_size // 2, groups=groups, bias=False
    ).eval()
    normalization = nn.BatchNorm2d(8, eps=1e-3).eval()
    for tensor in (normalization.running_mean, normalization.bias.data):
        tensor.normal_()
    normalization.running_var.uniform_(0.5, 2)
    normalization.weight.data.uniform_(0.5, 2)
    return convolution, normalization


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize(("kernel_size", "groups"), [(1, 1), (3, 8), (5, 8)])
@pytest.mark.parametrize("count", [1, 5])
def test_it_equals_the_separate_modules(activation, kernel_size, groups, count) -> None:
    convolution, normalization = layers(kernel_size, groups)
    features = 3 * torch.randn(count, 8, 11, 9)
    with torch.no_grad():
        expected = normalization(convolution(features))
        if activation != "none":
            expected = getattr(functional, activation)(expected)
        fused = convolve(convolution, normalization, features, activation)
    torch.testing.assert_close(fused, expected, atol=1e-5, rtol=1e-5)


def test_features_of_any_size_and_number_may_follow_each_other() -> None:
    """The weights have the layout for the first of them."""
    convolution, normalization = layers(1)
    for shape in ((1, 8, 11, 9), (5, 8, 7, 7), (1, 8, 1, 3), (2, 8, 30, 40), (1, 8, 11, 9)):
        features = torch.randn(shape)
        with torch.no_grad():
            expected = normalization(convolution(features))
            fused = convolve(convolution, normalization, features)
        torch.testing.assert_close(fused, expected, atol=1e-5, rtol=1e-5)


def test_no_call_rearranges_the_weights(capfd) -> None:
    """With AVX2, that took longer than the convolutions: six of EfficientNet-Lite's layers did."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(672, 112, 1, bias=False).eval()
    normalization = nn.BatchNorm2d(112).eval()
    for count in (1, 8):
        features = torch.randn(count, 672, 12, 12).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            convolve(convolution, normalization, features)
            capfd.readouterr()
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                convolve(convolution, normalization, features)
        log = capfd.readouterr().out
        assert "convolution" in log
        assert "reorder" not in log


def test_a_changed_parameter_is_noticed() -> None:
    convolution, normalization = layers()
    features = torch.randn(1, 8, 7, 7)
    with torch.no_grad():
        convolve(convolution, normalization, features)
        for tensor in (convolution.weight, normalization.bias, normalization.running_var):
            tensor.mul_(1.5)
            expected = normalization(convolution(features))
            fused = convolve(convolution, normalization, features)
            torch.testing.assert_close(fused, expected, atol=1e-5, rtol=1e-5)


def test_a_training_has_gradients_and_updates_the_statistics() -> None:
    convolution, normalization = layers()
    features = torch.randn(2, 8, 7, 7)
    assert convolve(convolution, normalization, features).requires_grad
    before = normalization.running_mean.clone()
    normalization.train()
    with torch.no_grad():
        convolve(convolution, normalization, features)
    assert not torch.equal(normalization.running_mean, before)


def test_a_module_that_was_used_can_be_copied_and_saved_as_before(tmp_path) -> None:
    convolution, normalization = layers()
    names = set(convolution.state_dict())
    with torch.no_grad():
        convolve(convolution, normalization, torch.randn(1, 8, 7, 7))
    copy.deepcopy(convolution)
    torch.save(convolution, tmp_path / "convolution.pt")
    assert set(convolution.state_dict()) == names


def test_without_the_operation_the_modules_run_one_by_one(monkeypatch) -> None:
    convolution, normalization = layers()
    features = torch.randn(1, 8, 7, 7)
    with torch.no_grad():
        fused = convolve(convolution, normalization, features, "relu6")
        monkeypatch.setattr(fused_convolution, "_IS_AVAILABLE", False)
        separate = convolve(convolution, normalization, features, "relu6")
    torch.testing.assert_close(fused, separate, atol=1e-5, rtol=1e-5)
