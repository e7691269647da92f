"""FashionIQ's numbers over generated pictures, in each of the trees in which they are kept."""

import json

import pytest
import torch
from PIL import Image

from dwc.datasets.fashion_iq import CATEGORIES
from dwc.errors import DatasetError
from dwc.evaluation.fashion_iq import evaluate_fashion_iq
from tests.training.tiny import tiny_model, tiny_processor

TREES = ("images", "all_imgs", "resized_image/{category}")


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    processor = tiny_processor()
    model = tiny_model(processor).eval()
    model.config.caption_template = {"single": "{0}", "pair": "{0} and {1}"}
    return model, processor


def write(root, tree):
    """Six pictures a category, and three questions over five of them."""
    for folder in ("captions", "image_splits"):
        (root / folder).mkdir()
    for number, category in enumerate(CATEGORIES):
        ids = [f"{category}{n}" for n in range(6)]
        entries = [
            {
                "candidate": ids[n],
                "target": ids[n + 2],
                "captions": ["top red", f"bottom {('blue', 'green', 'white')[n]}"],
            }
            for n in range(3)
        ]
        (root / "captions" / f"cap.{category}.val.json").write_text(json.dumps(entries))
        (root / "image_splits" / f"split.{category}.val.json").write_text(json.dumps(ids))
        place = root / tree.format(category=category)
        place.mkdir(parents=True, exist_ok=True)
        for n, name in enumerate(ids):
            suffix = ".png" if n % 2 else ".jpg"
            Image.new("RGB", (24, 36), (40 * n, 80 * number, 200)).save(place / f"{name}{suffix}")


@pytest.mark.parametrize("tree", TREES)
def test_the_numbers_of_every_category_and_their_means(world, tmp_path, tree):
    write(tmp_path, tree)
    report = evaluate_fashion_iq(*world, tmp_path)
    assert report["comparable"] is True
    assert (report["queries"], report["gallery"], report["missing"]) == (9, 15, 0)
    assert set(report["categories"]) == set(CATEGORIES)
    for k in (1, 10, 50):
        each = [report["categories"][category][f"recall@{k}"] for category in CATEGORIES]
        assert report[f"recall@{k}"] == pytest.approx(sum(each) / 3)
        clip = [report["categories"][c]["streams"]["clip"][f"recall@{k}"] for c in CATEGORIES]
        assert report["streams"]["clip"][f"recall@{k}"] == pytest.approx(sum(clip) / 3)
    assert report["recall@10"] == 1  # five pictures, less the reference
    assert report["mean_of_averages"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("protocol", "gallery", "queries"),
    [("P1", 18, 9), ("P2", 18, 9), ("P3", 15, 9), ("P4", 15, 18)],
)
def test_the_protocols_count_their_own(world, tmp_path, protocol, gallery, queries):
    write(tmp_path, "images")
    report = evaluate_fashion_iq(*world, tmp_path, protocol)
    assert report["protocol"] == f"fashion_iq-{protocol}"
    assert (report["gallery"], report["queries"]) == (gallery, queries)


def test_missing_pictures_make_numbers_that_do_not_compare(world, tmp_path):
    write(tmp_path, "images")
    (tmp_path / "images" / "shirt2.jpg").unlink()
    report = evaluate_fashion_iq(*world, tmp_path)
    assert report["comparable"] is False
    assert (report["missing"], report["gallery"]) == (1, 14)
    assert report["categories"]["shirt"]["queries"] == 1


def test_no_query_left_is_an_error(world, tmp_path):
    write(tmp_path, "images")
    for n in range(3):
        next((tmp_path / "images").glob(f"dress{n}.*")).unlink()
    with pytest.raises(DatasetError, match=r"no query of fashion_iq-dress"):
        evaluate_fashion_iq(*world, tmp_path)
