import json
from pathlib import Path

from PIL import Image

from dwc.catalogue.export import draw_images, triplets_of, triplets_of_queries, write_fashion_iq
from dwc.catalogue.queries import queries
from dwc.catalogue.splits import gallery, training_triplets
from dwc.datasets.fashion_iq import (
    FashionIqImages,
    fashion_iq_benchmark,
    fashion_iq_triplets,
    split_ids,
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    items = gallery("train", 60)
    drawn = list(training_triplets(items, seed=0, count=100))
    written = triplets_of(items, drawn)
    write_fashion_iq(tmp_path, "catalogue", "train", items, written)
    assert fashion_iq_triplets(tmp_path, "catalogue", "train") == written
    assert split_ids(tmp_path, "catalogue", "train") == [item.id for item in items]
    for (reference, target, modification), triplet in zip(drawn, written, strict=True):
        assert triplet.reference == items[reference].id
        assert triplet.target == items[target].id
        assert set(triplet.captions) == set(modification.captions)
    entry = json.loads((tmp_path / "captions" / "cap.catalogue.train.json").read_text())[0]
    assert set(entry) == {"target", "candidate", "captions"}
    assert len(entry["captions"]) == 2


def test_exported_queries_are_a_benchmark_with_pictures(tmp_path: Path) -> None:
    items = gallery("test", 12)
    drawn = triplets_of_queries(queries(items, 10, seed=0))
    write_fashion_iq(tmp_path, "catalogue", "test", items, drawn)
    (tmp_path / "images").mkdir()
    for item in items[:11]:
        (tmp_path / "images" / f"{item.id}.jpg").touch()
    made = fashion_iq_benchmark(
        tmp_path, "catalogue", "P2", split="test", pictures=FashionIqImages(tmp_path, "catalogue")
    )
    assert made.gallery == tuple(item.id for item in items[:11])
    assert made.missing == (items[11].id,)


def test_pictures_are_drawn_once(tmp_path: Path) -> None:
    items = gallery("test", 3)
    assert draw_images(tmp_path, items, size_px=32, style="plain") == 3
    assert draw_images(tmp_path, items, size_px=32, style="plain") == 0
    for item in items:
        found = FashionIqImages(tmp_path, "catalogue").find(item.id)
        assert found is not None
        with Image.open(found) as picture:
            assert picture.size == (32, 32)
