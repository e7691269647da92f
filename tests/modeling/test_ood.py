import pytest
import torch

from dwc.modeling.ood import MahalanobisOOD


def test_ood_score_is_the_mahalanobis_distance_over_the_threshold():
    measure = MahalanobisOOD(3)
    spread = torch.randn(3, 3)
    measure.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    measure.precision.copy_(spread @ spread.T + torch.eye(3))
    measure.threshold.fill_(2.5)
    features = torch.randn(4, 3)
    for row, value in enumerate(measure.score(features)):
        offset = features[row] - measure.mean
        torch.testing.assert_close(value, (offset @ measure.precision @ offset).sqrt() / 2.5)


def test_fitted_one_held_out_picture_in_a_hundred_is_unfamiliar():
    mixing = torch.randn(5, 5)
    training, held_out = torch.randn(3000, 5) @ mixing + 4, torch.randn(1000, 5) @ mixing + 4
    measure = MahalanobisOOD(5)
    measure.fit(training, held_out)
    share = (measure.score(held_out) > 1).float().mean()
    assert 0.005 <= share <= 0.015
    assert measure.score(training.mean(dim=0, keepdim=True)) < 0.01
    assert measure.score(torch.full((1, 5), 100.0)) > 5


def test_far_is_judged_by_the_spread_of_each_direction():
    training = torch.randn(4000, 2) * torch.tensor([10.0, 0.5])
    measure = MahalanobisOOD(2)
    measure.fit(training, training, shrinkage=0.0)
    along, across = measure.score(torch.tensor([[8.0, 0.0], [0.0, 8.0]]))
    assert along < 1 < across


def test_fewer_pictures_than_features_still_have_an_inverse():
    measure = MahalanobisOOD(20)
    measure.fit(torch.randn(6, 20), torch.randn(6, 20))
    assert torch.isfinite(measure.score(torch.randn(3, 20))).all()
    with pytest.raises(ValueError, match="1 training and 6 held-out"):
        measure.fit(torch.randn(1, 20), torch.randn(6, 20))
