"""The wardrobe's protocol against a naive version, with a small model and colored squares."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dwc.cli import main
from dwc.datasets.wardrobe import (
    CHANGEABLE,
    VALUE_TEXTS,
    attribute_changes,
    fits_words,
    image_path,
    search_words,
)
from dwc.errors import DatasetError
from dwc.evaluation.metrics import spearman
from dwc.evaluation.open_words import (
    OPEN_COLORS,
    OPEN_GARMENTS,
    OPEN_WORDS,
    evaluate_open_words,
)
from dwc.evaluation.photographs import (
    CLASS_WORDS,
    count_unknown_words,
    evaluate_wardrobe,
    reading_accuracy,
    word_precision,
)
from dwc.modeling.processing_dwc import DWCProcessor, build_word_tokenizer
from tests.datasets.test_wardrobe import random_wardrobe, write_table
from tests.search.tiny import write_tiny_checkpoint
from tests.training.tiny import tiny_model, tiny_processor


@pytest.fixture(scope="module")
def wardrobe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wardrobe")
    photographs = random_wardrobe(3, count=40)
    classes = [*CLASS_WORDS, "Hat"]
    for n, one in enumerate(photographs):
        object.__setattr__(one, "label", classes[n % len(classes)])
        path = image_path(folder, one.file)
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 30), (6 * n, 255 - 5 * n, 40 + n)).save(path)
    write_table(folder, photographs)
    return folder, photographs


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    processor = tiny_processor(max_tokens=64)
    return tiny_model(processor).eval(), processor


@pytest.fixture(scope="module")
def report(wardrobe, world):
    return evaluate_wardrobe(*world, wardrobe[0], "eval", seed=1)


def rank(scores: np.ndarray, hits: list[int], left_out: int | None = None) -> int:
    order = [row for row in sorted(range(len(scores)), key=lambda n: -scores[n]) if row != left_out]
    return 1 + min(order.index(hit) for hit in hits)


@pytest.mark.slow
@torch.inference_mode()
def test_numbers_are_those_of_a_naive_version(wardrobe, world, report) -> None:
    (folder, photographs), (model, processor) = wardrobe, world
    pictures = [Image.open(image_path(folder, one.file)) for one in photographs]
    pixels = processor(images=pictures)["pixel_values"]
    gallery = model.embed_images(pixels).numpy()
    single = model.config.caption_template["single"]
    changes = attribute_changes(photographs, 1)
    weights, ranks = {"clip": [], "cnn": []}, []
    for change in changes:
        row = change.reference
        text = processor(text=single.format(change.words))
        query = model.compose(pixel_values=pixels[row : row + 1], **text)
        ranks.append(rank(gallery @ query.embedding[0].numpy(), list(change.hits), row))
        for name, stream in query.streams.items():
            weights[name].append(float(stream.image_weight))
    assert report["composed"]["queries"] == len(changes)
    for k in (1, 10):
        share = np.mean([found <= k for found in ranks])
        assert report["composed"][f"recall@{k}"] == pytest.approx(share)
    shares = [change.image_share for change in changes]
    for name, found in weights.items():
        expected = spearman(found, shares)
        told = report["streams"][name]["weight_truth_correlation"]
        assert told == pytest.approx(expected, abs=0.02)  # batches round weights otherwise
    own = []
    for row, one in enumerate(photographs):
        query = model.compose(**processor(text=single.format(one.caption))).embedding[0].numpy()
        own.append(rank(gallery @ query, [row]))
    assert report["captions"]["recall@10"] == pytest.approx(np.mean([r <= 10 for r in own]))
    assert report["captions"]["queries"] == len(photographs)


def test_every_class_of_the_split_has_its_precision(report) -> None:
    classes = report["classes"]
    assert list(classes["classes"]) == list(CLASS_WORDS)
    assert classes["precision@10"] == pytest.approx(np.mean(list(classes["classes"].values())))
    assert classes["chance"] == pytest.approx(5 / 40)


def english_world(photographs):
    """A model that knows the words of these photographs' queries and captions."""
    texts = [change.words for seed in range(9) for change in attribute_changes(photographs, seed)]
    vocabulary = build_word_tokenizer([*texts, *(one.caption for one in photographs)])
    processor = tiny_processor(max_tokens=64)
    processor = DWCProcessor(processor.image_processor, processor.clip_tokenizer, vocabulary)
    return tiny_model(processor).eval(), processor


def rewrite(folder, target, photographs):
    """Write a table of other rows over the same pictures."""
    (target / "photos").symlink_to(folder / "photos")
    write_table(target, photographs)


@pytest.mark.slow
def test_words_in_another_language_are_counted(wardrobe, tmp_path, caplog) -> None:
    folder, photographs = wardrobe
    world = english_world(photographs)
    words = {"blue": "Blau", "red": "rot", "green": "green"}
    german = [
        replace(
            one,
            attributes={**one.attributes, "colour": words[one.attributes["colour"]]},
            caption=f"ein kleid {n}" if n % 2 else one.caption,
        )
        for n, one in enumerate(photographs)
    ]
    rewrite(folder, tmp_path, german)
    report = evaluate_wardrobe(*world, tmp_path, seed=1)
    texts = [change.words for change in attribute_changes(german, 1)]
    blue, red = (sum(word in text.split() for text in texts) for word in ("Blau", "rot"))
    with_either = sum("Blau" in text or "rot" in text.split() for text in texts)
    assert report["composed"]["with_unknown_words"] == with_either > 0
    assert report["composed"]["unknown_words"] == {"blau": blue, "rot": red}
    assert report["captions"]["with_unknown_words"] == 20
    assert report["captions"]["unknown_words"]["kleid"] == 20
    assert f"{with_either} of {len(texts)} composed queries have words that the" in caplog.text
    assert "blau (" in caplog.text
    assert "20 of 40 captions have words that the model does not know" in caplog.text

    caplog.clear()
    report = evaluate_wardrobe(*world, folder, seed=1)
    for part in ("captions", "composed"):
        assert report[part]["with_unknown_words"] == 0
        assert report[part]["unknown_words"] == {}
    assert caplog.text == ""
    without = DWCProcessor(world[1].image_processor, world[1].clip_tokenizer, None)
    assert count_unknown_words(without, ["ein kleid"]) == {}


@pytest.mark.slow
def test_captions_of_other_rows_are_reported(wardrobe, tmp_path, caplog) -> None:
    folder, photographs = wardrobe
    named = [replace(one, caption=f"a {one.attributes['colour']} top") for one in photographs]
    own = sum(
        one.attributes["colour"] == other.attributes["colour"]
        for one, other in zip(photographs, [*photographs[1:], photographs[0]], strict=True)
    )
    assert own < len(photographs) / 2
    captions = [one.caption for one in named]
    shifted = [
        replace(one, caption=caption)
        for one, caption in zip(named, [*captions[1:], captions[0]], strict=True)
    ]
    world = english_world(named)
    for name, rows in (("right", named), ("shifted", shifted)):
        caplog.clear()
        target = tmp_path / name
        target.mkdir()
        rewrite(folder, target, rows)
        evaluate_wardrobe(*world, target)
        message = f"of 40 captions that name a color, {own} name that of their own row"
        assert (message in caplog.text) == (name == "shifted")


@pytest.mark.slow
def test_fitting_results_are_counted_for_words_that_people_type(wardrobe) -> None:
    _, photographs = wardrobe
    model, processor = english_world(photographs)
    photographs = [
        replace(one, attributes={**one.attributes, "neckline": "v" if n % 3 else "round"})
        for n, one in enumerate(photographs)
    ]
    vectors = np.random.default_rng(0).normal(size=(len(photographs), 80)).astype(np.float32)
    report = word_precision(model, processor, photographs, vectors, k=9)
    assert report["k"] == 9
    single = model.config.caption_template["single"]
    by_words = {wanted.words: wanted for wanted in search_words()}
    checked = 0
    for text, count in report["words"].items():
        fitting = [fits_words(one, by_words[text]) for one in photographs if text in by_words]
        if not fitting:
            continue  # the processor reads it otherwise
        with torch.inference_mode():
            query = model.compose(**processor(text=single.format(text))).embedding[0].numpy()
        first = sorted(range(len(photographs)), key=lambda n: -(query @ vectors[n]))[:9]
        assert count == {"found": sum(fitting[n] for n in first), "fitting": sum(fitting)}
        checked += 1
    assert checked > 3
    assert not any(words.startswith("maxi") for words in report["words"])  # nothing fits


@pytest.mark.slow
def test_readings_are_compared_with_the_table(wardrobe) -> None:
    _, photographs = wardrobe
    model, processor = english_world(photographs)
    single = model.config.caption_template["single"]
    with torch.inference_mode():
        texts = [single.format(text) for (text,) in VALUE_TEXTS["colour"].values()]
        embeddings = model.compose(**processor(text=texts)).embedding.numpy()
    colors = list(VALUE_TEXTS["colour"])
    rows = [colors.index(one.attributes["colour"]) for one in photographs]
    report = reading_accuracy(model, processor, photographs, embeddings[rows])
    same = [np.allclose(embeddings[row], embeddings[0]) for row in rows]
    assert report["colour"] == 1 or any(same)  # as similar to its own text as can be
    assert set(report) == {"colour", "pattern", "sleeve", "kind"}
    other = reading_accuracy(model, processor, photographs, -embeddings[rows])
    assert other["colour"] < report["colour"]


def test_open_words_of_a_kind_that_no_photograph_has_are_named(wardrobe, world, caplog) -> None:
    _, photographs = wardrobe
    vectors = np.eye(len(photographs), 80, dtype=np.float32)
    found = evaluate_open_words(*world, photographs, vectors)
    assert caplog.text == ""
    assert {*found["left_out"], *found["words"]} == OPEN_WORDS
    german = [replace(one, category="kleid") for one in photographs]
    found = evaluate_open_words(*world, german, vectors)
    assert found["garments"] is None
    assert set(found["left_out"]) >= set(OPEN_GARMENTS)
    assert "none of the garments is measured, since no photograph has a category of" in caplog.text


@pytest.mark.slow
def test_repeated_captions_are_counted(wardrobe, world, report, tmp_path, caplog) -> None:
    folder, photographs = wardrobe
    assert report["captions"]["repeated"] == 0
    for repeated in (4, 5):
        same = ["A  red coat", "a red coat"]
        rows = [
            replace(one, caption=same[n % 2] if n < repeated else one.caption)
            for n, one in enumerate(photographs)
        ]
        target = tmp_path / str(repeated)
        target.mkdir()
        rewrite(folder, target, rows)
        report = evaluate_wardrobe(*world, target)
        assert report["captions"]["repeated"] == repeated
        message = f"{repeated} of 40 captions have the text of another caption, such as 'a red"
        assert (message in caplog.text) == (repeated == 5)


@pytest.mark.parametrize(
    ("category", "attributes", "reason"),
    [
        (None, dict.fromkeys(CHANGEABLE, "?"),
         "colour, pattern, sleeve and length are unknown for every photograph. Fill in these"),
        ("n/a", {}, "the category is unknown for every photograph. Fill in this column"),
        (None, {"colour": "red", "pattern": "plain", "sleeve": "long", "length": "long"},
         "no two photographs of a category have known values and differ in one or two of"),
    ],
)  # fmt: skip
def test_a_table_without_composed_queries_is_refused_with_the_reason(
    wardrobe, world, tmp_path, category, attributes, reason
) -> None:
    folder, photographs = wardrobe
    rows = [
        replace(
            one,
            category=category or one.category,
            attributes={**one.attributes, **attributes},
        )
        for one in photographs
    ]
    rewrite(folder, tmp_path, rows)
    with pytest.raises(DatasetError) as raised:
        evaluate_wardrobe(*world, tmp_path)
    message = str(raised.value)
    assert f"csv: no composed query can be made of the split 'eval': {reason}" in message


@pytest.mark.slow
def test_photographs_that_cannot_be_read_are_left_out_and_counted(wardrobe, world, tmp_path):
    _, photographs = wardrobe
    for one in photographs[1:]:
        path = image_path(tmp_path, one.file)
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), (3, 200, 7)).save(path)
    image_path(tmp_path, photographs[0].file).write_text("<html>404</html>")
    write_table(tmp_path, photographs)
    found = evaluate_wardrobe(*world, tmp_path)
    assert (found["missing"], found["photographs"]) == (1, 39)
    assert found["captions"]["queries"] == 39


@pytest.mark.slow
def test_the_command_takes_any_split_of_the_table(wardrobe, tmp_path, capsys) -> None:
    folder, _ = wardrobe
    model = write_tiny_checkpoint(tmp_path / "model")
    file = tmp_path / "numbers.json"
    arguments = ["evaluate", str(model), "--dataset", "wardrobe", "--data", str(folder)]
    assert main([*arguments, "--split", "eval", "--queries", "5", "--json", str(file)]) == 0
    numbers = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert json.loads(file.read_text()) == numbers
    assert numbers["composed"]["queries"] == 5
    for part in ("captions", "composed"):
        assert 0 <= numbers[part]["recall@1"] <= numbers[part]["recall@10"] <= 1
    assert main([*arguments, "--split", "people"]) == 2
    assert "no photograph of the split 'people'; it has eval" in capsys.readouterr().err


def test_open_words_are_searched_alone_and_an_unreadable_word_is_not_found(
    wardrobe, world, report
) -> None:
    _, photographs = wardrobe
    colors = {photograph.attributes["colour"] for photograph in photographs}
    measured = report["open_words"]["words"]
    assert report["open_words"]["count"] == len(measured) > 0
    for word, right in OPEN_COLORS.items():
        assert (word in measured) == bool(right & colors)
    assert {entry["read"] for entry in measured.values()} == {None}  # no neighbors in this model
    assert report["open_words"]["share"] == 0

    model, processor = world
    taught = DWCProcessor(
        processor.image_processor,
        processor.clip_tokenizer,
        processor.word_tokenizer,
        word_neighbors={"azure": "blue"},
    )
    length = model.config.clip_embedding_dim + model.config.cnn_embedding_dim
    vectors = np.eye(len(photographs), length, dtype=np.float32)
    again = evaluate_open_words(model, taught, photographs, vectors)
    if "azure" in again["words"]:
        entry = again["words"]["azure"]
        assert entry["read"] == "blue"
        assert entry["right"] == (entry["found"] == "blue")
