import os
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from PIL import Image

from dwc.checkpoints.load import load
from dwc.datasets.image_loading import decode
from dwc.datasets.wardrobe import image_path, read_wardrobe
from dwc.modeling.ood import MahalanobisOOD, SubspaceOOD


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


def _around(center: torch.Tensor, count: int) -> torch.Tensor:
    spread = torch.linspace(0.3, 0.01, len(center))
    return center + torch.randn(count, len(center)) * spread


def test_each_group_is_familiar_and_what_lies_between_them_is_not():
    first, second = torch.eye(12)[0] * 3, torch.eye(12)[1] * 3
    measure = SubspaceOOD(12, groups=2, components=4)
    measure.fit([(_around(center, 3000), _around(center, 1000)) for center in (first, second)])
    for center in (first, second):
        share = (measure.score(_around(center, 1000)) > 1).float().mean()
        assert 0 < share < 0.03
    between = _around((first + second) / 2, 100)
    assert (measure.score(between) > 1).all()


def test_a_subspace_with_nearly_all_components_gives_the_exact_mahalanobis_distance():
    features = torch.nn.functional.normalize(torch.randn(500, 6) + 2, dim=1)
    measure = SubspaceOOD(6, groups=1, components=5)
    measure.fit([(features, features)])
    offset = features - features.mean(dim=0)
    exact = ((offset @ torch.linalg.inv(torch.cov(features.T))) * offset).sum(dim=1).sqrt()
    expected = exact / exact.quantile(0.99)
    torch.testing.assert_close(measure.score(features), expected, rtol=1e-3, atol=1e-4)


def test_the_norm_of_features_does_not_matter_to_a_subspace():
    measure = SubspaceOOD(8, groups=1, components=3)
    measure.fit([(torch.rand(100, 8), torch.rand(50, 8))])
    features = torch.rand(5, 8)
    torch.testing.assert_close(measure.score(features * 7), measure.score(features))


def test_few_images_of_a_subspace_still_give_finite_scores():
    measure = SubspaceOOD(20, groups=1, components=10)
    measure.fit([(torch.randn(3, 20), torch.randn(1, 20))])
    assert torch.isfinite(measure.score(torch.randn(3, 20))).all()
    with pytest.raises(ValueError, match="group 0 has 1 training and 3 held-out"):
        measure.fit([(torch.randn(1, 20), torch.randn(3, 20))])
    with pytest.raises(ValueError, match="2 groups; the model has 1"):
        measure.fit([(torch.randn(3, 20), torch.randn(3, 20))] * 2)


@pytest.fixture(scope="module")
def bundled():
    return load("dwc-catalogue")


@torch.inference_mode()
def _scores(checkpoint, images: list[Image.Image]) -> torch.Tensor:
    batches = [images[start : start + 16] for start in range(0, len(images), 16)]
    features = [
        checkpoint.model.image_features(checkpoint.processor(images=batch)["pixel_values"])
        for batch in batches
    ]
    return torch.cat([batch.ood_score for batch in features])


@pytest.mark.slow
def test_the_bundled_model_finds_pictures_without_a_garment_unfamiliar(bundled):
    folders = [files("sklearn") / "datasets/images", files("gradio") / "media_assets/images"]
    paths = [path for folder in folders for path in sorted(Path(str(folder)).glob("*.[jp]*g"))]
    images = []
    for path in paths:
        image = decode(path)
        width, height = image.size
        images += [image, image.crop((0, 0, width * 3 // 5, height * 3 // 5))]
        images.append(image.crop((width * 2 // 5, height * 2 // 5, width, height)))
    assert len(images) >= 15
    assert (_scores(bundled, images) > 1).float().mean() >= 0.9


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
def test_the_bundled_model_finds_photographs_of_garments_familiar(bundled):
    folder = Path(os.environ["DWC_TEST_DATA"]) / "wardrobe"
    photographs = read_wardrobe(folder, "eval")[::4]
    images = [decode(image_path(folder, photograph.file)) for photograph in photographs]
    assert (_scores(bundled, images) > 1).float().mean() <= 0.05
