"""Words over labelled photographs, with pictures whose embeddings are chosen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dwc.errors import DatasetError
from dwc.evaluation.photographs import (
    CLASS_WORDS,
    LabeledPhotographs,
    evaluate_photographs,
    read_labeled_photographs,
)
from tests.training.tiny import tiny_model, tiny_processor


@pytest.fixture
def folder(tmp_path):
    """Two photographs a class, of a colour each, and two of a class that nobody asks for."""
    labels = [*CLASS_WORDS, "Hat"]
    rows = ["file,label"]
    for n, label in enumerate(labels * 2):
        name = f"p{n:02}.jpg"
        Image.new("RGB", (20 + n, 30), (15 * n, 255 - 15 * n, 40)).save(tmp_path / name)
        rows.append(f"{name},{label}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.fixture
def world():
    torch.set_num_threads(1)
    processor = tiny_processor()
    model = tiny_model(processor).eval()
    model.config.caption_template = {"single": "top {0}", "pair": "{0} {1}"}
    return model, processor


def test_the_table_gives_paths_and_labels_in_its_order(folder):
    found = read_labeled_photographs(folder)
    assert found.paths[:2] == [folder / "p00.jpg", folder / "p01.jpg"]
    assert found.labels == [*CLASS_WORDS, "Hat"] * 2


@pytest.mark.parametrize("table", ["", "file,label\n", "name,class\na.jpg,Dress\n"])
def test_a_table_that_is_not_as_expected_is_refused(tmp_path, table):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(DatasetError, match="lacks the columns file, label, or has no row"):
        read_labeled_photographs(tmp_path)


@pytest.mark.parametrize(
    ("table", "encoding"),
    [
        ("File,Label\r\na.jpg,Dress\r\n", "utf-8-sig"),
        (" file ; label \na.jpg; Dress\n", "utf-8"),
        ("sep=;\nfile;label\na.jpg;Dress\n", "utf-8"),
        ("file\tlabel\na.jpg\tDress\n", "utf-16"),
        ("file,label,,\na.jpg,Dress,,\n,,,\n", "utf-8"),
    ],
)
def test_a_table_as_spreadsheets_write_it_is_read(tmp_path, table, encoding):
    (tmp_path / "labels.csv").write_bytes(table.encode(encoding))
    photographs = read_labeled_photographs(tmp_path)
    assert photographs.paths == [tmp_path / "a.jpg"]
    assert photographs.labels == ["Dress"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,label\na.jpg,Dress\n,Dress\n", "line 3: has no file"),
        ("file,label\na.jpg,\n", "line 2: has no label"),
        ("file,label\na.jpg,Dress\na.jpg,Skirt\n", "line 3: a.jpg is in an earlier row"),
        ("file,label,Label\na.jpg,Dress,Dress\n", "has the column label more than once"),
        ("file,label\na\u00e9.jpg,Dress\n", "line 2: has the byte 0xe9; expected UTF-8"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, table, message):
    (tmp_path / "labels.csv").write_bytes(table.encode("latin-1"))
    with pytest.raises(DatasetError) as raised:
        read_labeled_photographs(tmp_path)
    assert message in str(raised.value)


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"no labels\.csv.*--data DIR"):
        read_labeled_photographs(tmp_path)


@pytest.mark.slow
def test_precision_is_the_share_of_the_class_among_the_first(folder, world):
    model, processor = world
    photographs = read_labeled_photographs(folder)
    report = evaluate_photographs(model, processor, photographs, k=3)
    with torch.inference_mode():
        vectors = [
            model.embed_images(processor(images=Image.open(path))["pixel_values"])[0]
            for path in photographs.paths
        ]
        for name, words in CLASS_WORDS.items():
            query = model.compose(**processor(text=f"top {words}")).embedding[0]
            scores = np.array([float(query @ vector) for vector in vectors])
            first = sorted(range(len(scores)), key=lambda n: -scores[n])[:3]
            share = sum(photographs.labels[n] == name for n in first) / 3
            assert report["classes"][name] == pytest.approx(share)
    assert report["precision@3"] == pytest.approx(np.mean(list(report["classes"].values())))
    assert report["highest_possible"] == pytest.approx(2 / 3)  # two photographs a class
    assert report["chance"] == pytest.approx(2 / 16)


def test_a_photograph_that_is_gone_counts_as_missing(folder, world):
    photographs = read_labeled_photographs(folder)
    (folder / "p03.jpg").unlink()
    report = evaluate_photographs(*world, photographs)
    assert report["missing"] == 1
    without = LabeledPhotographs(
        [path for path in photographs.paths if path.name != "p03.jpg"],
        [label for n, label in enumerate(photographs.labels) if n != 3],
    )
    assert report == {**evaluate_photographs(*world, without), "missing": 1}
    for path in without.paths:
        path.unlink()
    with pytest.raises(DatasetError, match=r"none of the 16 photographs can be read: .*p00\.jpg"):
        evaluate_photographs(*world, photographs)


def test_classes_without_a_photograph_are_named(folder, world, caplog):
    photographs = read_labeled_photographs(folder)
    assert evaluate_photographs(*world, photographs)["classes_without_photographs"] == []
    assert caplog.text == ""
    renamed = ["Trousers" if label == "Pants" else label for label in photographs.labels]
    report = evaluate_photographs(*world, replace(photographs, labels=renamed))
    assert report["classes_without_photographs"] == ["Pants"]
    assert "Pants" not in report["classes"]
    assert "the label Pants, so that precision@10 is the mean of 6 of 7 classes." in caplog.text
    assert "none of the classes: Hat (2), Trousers (2)" in caplog.text


@pytest.mark.slow
def test_a_class_is_recognized_however_it_is_spelled(folder, world):
    photographs = read_labeled_photographs(folder)
    others = [label.lower().replace("-", " ") for label in photographs.labels]
    report = evaluate_photographs(*world, photographs)
    assert evaluate_photographs(*world, replace(photographs, labels=others)) == report
