"""FashionIQ's numbers over generated pictures, in each of the trees in which they are kept."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from dwc.datasets.annotation_files import NamedImages
from dwc.datasets.fashion_iq import CATEGORIES, TREES
from dwc.datasets.triplets import Benchmark, PublishedSize, RetrievalQuery, compare_size
from dwc.errors import DatasetError
from dwc.evaluation.benchmarks import BenchmarkOptions, evaluate_benchmark
from dwc.evaluation.retrieval import evaluate_files
from tests.evaluation.made import WORLD, Asked, check_recalls, write_pictures
from tests.training.tiny import tiny_model, tiny_processor


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
        (root / folder).mkdir(parents=True)
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
    report = evaluate_benchmark("fashion_iq", *world, tmp_path)
    assert (report["queries"], report["gallery"], report["missing"]) == (9, 15, 0)
    assert report["coverage"]["queries"] == report["coverage"]["gallery"] == 1
    assert set(report["categories"]) == set(CATEGORIES)
    for k in (1, 10, 50):
        each = [report["categories"][category][f"recall@{k}"] for category in CATEGORIES]
        assert report[f"recall@{k}"] == pytest.approx(sum(each) / 3)
        clip = [report["categories"][c]["streams"]["clip"][f"recall@{k}"] for c in CATEGORIES]
        assert report["streams"]["clip"][f"recall@{k}"] == pytest.approx(sum(clip) / 3)
    assert report["recall@10"] == 1  # five pictures, less the reference
    assert report["mean_of_averages"] == pytest.approx(1)


@pytest.mark.slow
def test_blank_captions_are_counted_and_logged(world, tmp_path, caplog):
    write(tmp_path, TREES[0])
    assert "blank_captions" not in evaluate_benchmark("fashion_iq", *world, tmp_path)
    assert "blank" not in caplog.text
    file = tmp_path / "captions" / "cap.dress.val.json"
    entries = json.loads(file.read_text())
    entries[0]["captions"], entries[2]["captions"][1] = ["", " "], ""
    file.write_text(json.dumps(entries))
    report = evaluate_benchmark("fashion_iq", *world, tmp_path)
    assert report["blank_captions"] == report["categories"]["dress"]["blank_captions"] == 3
    message = "fashion_iq-dress-val-P3: 3 captions of the queries are blank, in the published split"
    assert f"{message} 0" in report["comparability"]
    assert "cap.dress.val.json: 3 captions are blank" in caplog.text


@pytest.mark.parametrize(
    ("protocol", "gallery", "queries"),
    [("P1", 18, 9), ("P2", 18, 9), ("P3", 15, 9), ("P4", 15, 18)],
)
def test_the_protocols_count_their_own(world, tmp_path, protocol, gallery, queries):
    write(tmp_path, "images")
    report = evaluate_benchmark("fashion_iq", *world, tmp_path, BenchmarkOptions(protocol=protocol))
    assert report["protocol"] == f"fashion_iq-{protocol}"
    assert (report["gallery"], report["queries"]) == (gallery, queries)


def test_missing_pictures_make_numbers_that_do_not_compare(world, tmp_path):
    write(tmp_path, "images")
    (tmp_path / "images" / "shirt2.jpg").unlink()
    report = evaluate_benchmark("fashion_iq", *world, tmp_path)
    assert report["comparable"] is False
    assert (report["missing"], report["gallery"]) == (1, 14)
    assert report["categories"]["shirt"]["queries"] == 1


def test_a_category_without_queries_is_left_out_and_named(world, tmp_path):
    write(tmp_path, "resized_image/{category}")
    shutil.rmtree(tmp_path / "resized_image" / "dress")
    for name in ("shirt0.jpg", "shirt1.png", "shirt2.jpg"):
        (tmp_path / "resized_image" / "shirt" / name).unlink()
    report = evaluate_benchmark("fashion_iq", *world, tmp_path)
    assert set(report["categories"]) == {"toptee"}
    assert set(report["categories_left_out"]) == {"dress", "shirt"}
    assert "no pictures" in report["categories_left_out"]["dress"]
    assert report["recall@10"] == report["categories"]["toptee"]["recall@10"]
    assert report["comparable"] is False
    assert report["coverage"]["gallery"] == pytest.approx(5 / 15)
    assert report["coverage"]["queries"] == pytest.approx(3 / 9)


def test_no_query_left_at_all_is_an_error(world, tmp_path):
    write(tmp_path, "images")
    for path in (tmp_path / "images").iterdir():
        path.write_text("<html>404</html>")
    with pytest.raises(DatasetError, match=r"no query of fashion_iq-dress.*5 cannot be read"):
        evaluate_benchmark("fashion_iq", *world, tmp_path)


def test_one_category_alone(world, tmp_path):
    write(tmp_path, "images")
    whole = evaluate_benchmark("fashion_iq", *world, tmp_path)
    options = BenchmarkOptions(protocol="P1", categories=["shirt"])
    report = evaluate_benchmark("fashion_iq", *world, tmp_path, options)
    assert report["protocol"] == "fashion_iq-shirt-P1"
    assert set(report["categories"]) == {"shirt"}
    assert (report["queries"], report["gallery"], report["missing"]) == (3, 6, 0)
    assert set(report["streams"]["clip"]) == set(whole["streams"]["clip"])


def test_an_unknown_layout_says_what_is_there(world, tmp_path):
    write(tmp_path / "fashionIQ_dataset", "images")
    with pytest.raises(DatasetError, match=r"is missing \(.*holds fashionIQ_dataset\).*Name the"):
        evaluate_benchmark("fashion_iq", *world, tmp_path)
    (tmp_path / "fashionIQ_dataset" / "images").rename(tmp_path / "fashionIQ_dataset" / "pics")
    with pytest.raises(DatasetError, match=r"no pictures .*holds captions, image_splits, pics"):
        evaluate_benchmark("fashion_iq", *world, tmp_path / "fashionIQ_dataset")


def test_a_part_of_the_published_split_does_not_compare(world, tmp_path):
    write(tmp_path, "images")
    report = evaluate_benchmark("fashion_iq", *world, tmp_path)
    assert report["comparable"] is False
    assert report["comparability"].startswith("not comparable; ")
    assert "left" not in report["comparability"]  # all that the files list is there
    dress = report["categories"]["dress"]
    assert dress["comparable"] is False
    assert dress["coverage"]["deviations"] == [
        "fashion_iq-dress-val-P3: the files have 3 queries, the published split 2,017",
        "fashion_iq-dress-val-P3: the files have 5 gallery pictures, the published split 2,628",
    ]
    assert all(f"-{name}-val-P3" in report["comparability"] for name in CATEGORIES)
    assert report["coverage"]["compared_with_published"] is True


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_captions_is_reported(world, tmp_path, count):
    write(tmp_path, "images")
    file = tmp_path / "captions" / "cap.dress.val.json"
    entries = json.loads(file.read_text())
    for entry in entries[:2]:
        entry["captions"] = ["are red", "are blue", "are long"][:count]
    file.write_text(json.dumps(entries))
    options = BenchmarkOptions(categories=["dress"])
    report = evaluate_benchmark("fashion_iq", *world, tmp_path, options)
    assert (
        f"captions per triplet: 2 of 3 triplets have {count}; in the published split all have 2"
        in report["comparability"]
    )


def test_the_published_sizes_compare_and_one_query_less_does_not():
    whole = Benchmark(
        "b", tuple("abc"), tuple(RetrievalQuery(n, ("x",), frozenset("c")) for n in "ab")
    )
    same = compare_size(whole, PublishedSize(queries=2, gallery=3))
    assert (same.is_compared, same.deviations) == (True, ())
    less = compare_size(whole, PublishedSize(queries=3, gallery=3))
    assert less.deviations == ("b: the files have 2 queries, the published split 3",)
    assert not compare_size(whole, None).is_compared


@pytest.mark.parametrize(("published", "deviates"), [(0, True), (1, True), (2, False), (3, False)])
def test_more_blank_captions_than_published_are_a_deviation(published, deviates):
    queries = tuple(RetrievalQuery("a", ("", " ", text), frozenset("b")) for text in "x")
    benchmark = compare_size(Benchmark("b", ("a", "b"), queries), PublishedSize(1, 2, published))
    message = f"b: 2 captions of the queries are blank, in the published split {published}"
    assert benchmark.deviations == ((message,) if deviates else ())


def test_placeholders_in_place_of_pictures_are_reported(tmp_path):
    names = [f"g{n}" for n in range(40)]
    for n, name in enumerate(names):
        Image.new("RGB", (8, 8), (6 * max(0, n - 11), 40, 40)).save(tmp_path / f"{name}.png")
    queries = tuple(RetrievalQuery(name, ("are red",), frozenset({"g39"})) for name in names[:5])
    benchmark = Benchmark("made", tuple(names), queries)
    result = evaluate_files(benchmark, NamedImages([tmp_path], "the"), *WORLD).to_dict()
    assert result["identical_pictures"] == 11
    assert result["comparable"] is False
    assert "12 of 40 gallery pictures are one and the same" in result["comparability"]
    for name in names[:4]:  # below the number of a placeholder
        Image.new("RGB", (8, 8), (0, int(name[1:]), 200)).save(tmp_path / f"{name}.png")
    result = evaluate_files(benchmark, NamedImages([tmp_path], "the"), *WORLD).to_dict()
    assert (result["identical_pictures"], result["comparable"]) == (7, True)


def test_names_in_another_case_are_reported_as_such(world, tmp_path, caplog):
    write(tmp_path, "images")
    folder = tmp_path / "images"
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("dress", "DRESS"))
    options = BenchmarkOptions(categories=["dress"])
    with pytest.raises(
        DatasetError, match=r"differ in case only: .*DRESS0\.jpg for dress0\. Rename"
    ):
        evaluate_benchmark("fashion_iq", *world, tmp_path, options)
    for n in (0, 2, 3, 4):
        path = next(folder.glob(f"DRESS{n}.*"))
        path.rename(folder / path.name.lower())
    report = evaluate_benchmark("fashion_iq", *world, tmp_path, options)
    assert report["missing_pictures"] == ["dress1"]
    assert "1 of 1 missing pictures are there under names that differ in case only" in caplog.text


def naive(root, category, protocol):
    """The queries and the gallery of a protocol, read anew: (reference, text, hits), names."""
    entries = json.loads((root / "captions" / f"cap.{category}.val.json").read_text())
    names = json.loads((root / "image_splits" / f"split.{category}.val.json").read_text())
    used = {e[key] for e in entries for key in ("candidate", "target")}
    gallery = names if protocol in ("P1", "P2") else [name for name in names if name in used]
    asked = []
    for e in entries:
        stripped = [caption.strip() for caption in e["captions"]]
        texts = stripped if protocol == "P4" else [" + ".join(filter(None, stripped))]
        asked += [Asked(e["candidate"], text, {e["target"]}) for text in texts]
    return asked, gallery


@pytest.mark.parametrize("protocol", ["P1", "P2", "P3", "P4"])
def test_a_triplet_of_one_picture_is_counted_apart(world, tmp_path, protocol, caplog):
    write(tmp_path, "images")
    path = tmp_path / "captions" / "cap.dress.val.json"
    entries = json.loads(path.read_text())
    same = {"candidate": "dress0", "target": "dress0", "captions": ["top red", "bottom red"]}
    path.write_text(json.dumps([*entries, same]))
    report = evaluate_benchmark("fashion_iq", *world, tmp_path, BenchmarkOptions(protocol=protocol))
    dress = report["categories"]["dress"]
    count = 2 if protocol == "P4" else 1
    assert dress["queries"] == 4 * count
    if protocol == "P1":  # the reference stays in the gallery, and is found
        assert "unanswerable" not in report
        assert "their own reference" not in caplog.text
        return
    assert f"the target of {count} of {4 * count} queries is their own reference" in caplog.text
    assert report["unanswerable"] == dress["unanswerable"] == count
    assert dress["answerable"]["queries"] == 3 * count
    for k in (1, 10, 50):
        answered = dress["answerable"][f"recall@{k}"]
        assert dress[f"recall@{k}"] == pytest.approx(answered * 3 / 4)
    assert "unanswerable" not in report["categories"]["shirt"]


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="DWC_TEST_DATA is not set")
@pytest.mark.parametrize("protocol", ["P1", "P2", "P3", "P4"])
def test_the_real_annotations(tmp_path, protocol):
    real = Path(os.environ["DWC_TEST_DATA"]) / "fashion_iq"
    for place in ("captions", "image_splits"):
        (tmp_path / place).symlink_to(real / place)
    # All categories for the authors' protocol; one does for what sets the others apart.
    categories = CATEGORIES if protocol == "P3" else ("dress",)
    read = {category: naive(real, category, protocol) for category in categories}
    for category, (_, gallery) in read.items():
        places = {name: f"image_data/{category}/{name}.png" for name in gallery}
        write_pictures(tmp_path, places)
    options = BenchmarkOptions(protocol=protocol, categories=categories)
    report = evaluate_benchmark("fashion_iq", *WORLD, tmp_path, options)
    streams = ("together", "clip", "cnn") if protocol == "P1" else ("together",)
    for category, (asked, gallery) in read.items():
        numbers = report["categories"][category]
        check_recalls(numbers, asked, gallery, removed=protocol != "P1", streams=streams)
    assert report["texts_cut"] == 0
    assert report["comparable"] is True
    counts = {"P1": (2017, 3817), "P2": (2017, 3817), "P3": (6016, 8619), "P4": (4034, 2628)}
    assert (report["queries"], report["gallery"]) == counts[protocol]
