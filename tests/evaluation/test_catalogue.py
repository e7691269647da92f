"""The catalogue's benchmark: one gallery, questions by seed, and its truth in the report."""

import pytest
import torch
from PIL import Image

from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.queries import wishes
from dwc.catalogue.splits import FAMILIES, catalogue_items, gallery
from dwc.evaluation.catalogue import (
    IMAGE_PX,
    CatalogueImages,
    evaluate_catalogue,
    evaluate_wishes,
)
from tests.training.tiny import tiny_model, tiny_processor


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    processor = tiny_processor(max_tokens=200)  # its vocabulary is small: a token a letter
    model = tiny_model(processor).eval()
    model.config.caption_template = {"single": "{0}", "pair": "{0} and {1}"}
    return model, processor


def evaluate(world, seed=0, opened=None):
    def pictures(name):
        if opened is not None:
            opened.append(name)
        place = int(name.split("-")[1])
        return Image.new("RGB", (40, 40), (6 * place, 120, 255 - 6 * place))

    return evaluate_catalogue(*world, gallery_size=40, queries=15, seed=seed, pictures=pictures)


def test_the_report_has_what_scripts_read(world):
    report = evaluate(world)
    assert (report["gallery"], report["queries"]) == (40, 15)
    assert (report["protocol"], report["split"], report["seed"]) == ("catalogue-test", "test", 0)
    for numbers in (report, *report["streams"].values()):
        assert 0 <= numbers["recall@1"] <= numbers["recall@10"] <= numbers["recall@50"] <= 1
    for stream in report["streams"].values():
        assert -1 <= stream["weight_truth_correlation"] <= 1


@pytest.mark.slow
def test_the_seed_draws_the_queries_and_leaves_the_gallery(world):
    first, same, other = [], [], []
    assert evaluate(world, 0, first) == evaluate(world, 0, same)
    evaluate(world, 1, other)
    assert first == same
    assert first[:40] == other[:40] == [item.id for item in gallery("test", 40)]
    assert first[40:] != other[40:]


@pytest.mark.slow
def test_pictures_are_drawn_as_the_gallery_shows_them():
    items = gallery("test", 2)
    pictures = CatalogueImages(items, workers=1)
    expected = draw(items[1].garment, items[1].picture_seed, IMAGE_PX, "gallery")
    assert pictures(items[1].id).tobytes() == expected.tobytes()
    with pytest.raises(KeyError):
        pictures("test-99999")


@pytest.mark.slow
def test_wishes_of_both_kinds_are_counted_in_all_and_by_attribute(world):
    def pictures(name):
        place = int(name.split("-")[1])
        return Image.new("RGB", (40, 40), (4 * place, 120, 255 - 4 * place))

    options = {"gallery_size": 60, "count": 50, "pictures": pictures}
    report = evaluate_wishes(*world, **options, seed=1)
    assert report == evaluate_wishes(*world, **options, seed=1)
    assert report != evaluate_wishes(*world, **options, seed=2)
    assert (report["protocol"], report["gallery"], report["seed"]) == ("wishes", 60, 1)
    for kind in ("offered", "language"):
        drawn = wishes(catalogue_items(FAMILIES, 60), 50, 1, are_offered=kind == "offered")
        numbers = report[kind]
        granted = sum(bool(wish.hits) for wish in drawn)
        assert (numbers["wishes"], numbers["granted"]) == (50, pytest.approx(granted / 50))
        assert 0 <= numbers["first_fits"] <= numbers["granted"]
        parts = numbers["attributes"].values()
        assert sum(part["wishes"] for part in parts) == 50
        for name in ("granted", "first_fits"):
            together = sum(part["wishes"] * part[name] for part in parts) / 50
            assert together == pytest.approx(numbers[name])
