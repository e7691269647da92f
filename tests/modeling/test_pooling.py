import torch

from dwc.modeling.cnn_stream import GeneralizedMean


def test_gem_is_the_formula_and_clamps_what_is_negative():
    pool = GeneralizedMean(2.5)
    features = torch.tensor([[[1.0, 2.0, -3.0], [0.5, 0.0, 4.0]]])
    floored = [[1.0, 2.0, 1e-6], [0.5, 1e-6, 4.0]]
    expected = [(sum(x**2.5 for x in row) / 3) ** (1 / 2.5) for row in floored]
    torch.testing.assert_close(pool(features)[0], torch.tensor(expected))


def test_gem_of_p_one_is_the_mean_and_of_large_p_nears_the_maximum():
    features = torch.rand(2, 3, 9) + 0.1
    torch.testing.assert_close(GeneralizedMean(1.0)(features), features.mean(-1))
    torch.testing.assert_close(
        GeneralizedMean(200.0)(features), features.amax(-1), rtol=0.02, atol=0
    )


def test_masked_gem_sees_valid_positions_alone():
    pool = GeneralizedMean(3.0)
    features = torch.randn(3, 4, 5)
    mask = torch.arange(5) < torch.tensor([5, 2, 0])[:, None]
    pooled = pool(features, mask)
    torch.testing.assert_close(pooled[:1], pool(features[:1]))
    torch.testing.assert_close(pooled[1:2], pool(features[1:2, :, :2]))
    assert pooled[2].abs().sum() == 0


def test_a_row_without_positions_has_a_finite_gradient():
    pool = GeneralizedMean(3.0)
    features = torch.randn(2, 4, 5, requires_grad=True)
    pool(features, torch.tensor([[True] * 5, [False] * 5])).sum().backward()
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(pool.p.grad).all()


def test_half_precision_survives_the_power():
    features = torch.full((1, 1, 4), 2.0, dtype=torch.float16)
    pooled = GeneralizedMean(3.0)(features)
    assert pooled.dtype == torch.float16
    torch.testing.assert_close(pooled, torch.full((1, 1), 2.0, dtype=torch.float16))


def test_a_power_that_no_float_holds_gives_finite_numbers_and_gradients():
    """1e-6 to the seventh is below the smallest float, 20 to the fortieth above the largest."""
    features = torch.tensor([[[0.0, 0.0, 0.0], [20.0, 0.0, 5.0]]], requires_grad=True)
    for power in (7.0, 40.0):
        for mask in (None, torch.tensor([[True, True, False]])):
            pool = GeneralizedMean(power)
            pooled = pool(features, mask)
            torch.testing.assert_close(pooled[0, 0].item(), 1e-6, rtol=1e-4, atol=0)
            assert 15 < pooled[0, 1].item() <= 20
            pooled.sum().backward()
            assert torch.isfinite(features.grad).all()
            assert torch.isfinite(pool.p.grad).all()
