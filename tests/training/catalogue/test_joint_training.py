"""From a checkpoint of drawings and a wardrobe to a joint one, with everything small."""

import json
import math
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dwc.catalogue.language.exclusions import LEXICAL_NEGATIONS, excluded_names, other_number
from dwc.catalogue.splits import gallery
from dwc.checkpoints.load import load
from dwc.checkpoints.save import save_checkpoint
from dwc.cli import main
from dwc.datasets.wardrobe import image_path
from dwc.errors import DatasetError, TrainingError
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.catalogue import joint_training
from dwc.training.catalogue.augmentation import find_garment, recolor
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.catalogue.joint_batches import (
    TRIPLETS_PER_PHOTOGRAPH,
    BatchMix,
    MixedBatches,
    PhotographTriplets,
    collect_texts,
    draw_photographs,
)
from dwc.training.catalogue.joint_training import (
    JointRecipe,
    check_wardrobe,
    measure_photographs_again,
    publish_joint,
)
from dwc.training.catalogue.photograph_towers import ImageStageSettings, StageSettings
from dwc.training.catalogue.photographs import (
    QUERY_ATTRIBUTES,
    PhotographPool,
    attribute_triplets,
    describe_photograph,
    encode_photographs,
    exclusion_pairs,
    load_photographs,
    recoloring_triplets,
    text_exclusions,
)
from dwc.training.catalogue.recipe import catalogue_config
from dwc.training.catalogue.train_catalogue import make_processor
from dwc.training.dwc.mutual_training import MutualSettings
from tests.datasets.test_wardrobe import photograph, write_table

pytestmark = pytest.mark.training

FLOOR = (200, 190, 180)
COLORS = {"red": (200, 40, 40), "blue": (40, 60, 190), "green": (40, 160, 60)}

TINY = JointRecipe(
    image_size=64,
    pool=PoolSettings(items=600, styles=("gallery",), size_px=64),
    views=2,
    triplets=120,
    new_features=16,
    new_channels=16,
    merges=20,
    dictionary=12,
    projection=ImageStageSettings(
        2, warmup_steps=1, frozen_steps=1, photographs=8, recolored=4, second_views=3, drawings=4
    ),
    texts=StageSettings(2, warmup_steps=1),
    mix=BatchMix(6, 4, 4, 4, 3, 2, 2, 2),
    mixed_precision="bf16",
    streams=MutualSettings(
        total_steps=2,
        schedule="cosine",
        warmup_steps=1,
        share_teaching=1.0,
        weight_distillation=0.3,
        anchoring=1.0,
        attribute_teaching=0.5,
    ),
)


class FakeTeacher:
    """Vectors that depend on the letters alone."""

    def encode(self, texts):
        rows = [[text.count(chr(97 + n % 26)) + n / 384 for n in range(384)] for text in texts]
        return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)

    def dictionary(self, count):
        return [f"word{chr(97 + n)}" for n in range(count)]


def write_wardrobe(folder: Path) -> Path:
    rows = []
    for n in range(30):
        colour = list(COLORS)[n % 3]
        one = photograph(f"{n}.png", ("t_shirt", "dress")[n % 2], colour=colour)
        object.__setattr__(one, "split", "eval" if n % 5 == 4 else "train")
        pixels = np.zeros((40, 40, 3), dtype=np.uint8) + np.array(FLOOR, dtype=np.uint8)
        pixels[8:32, 10:30] = COLORS[colour]
        path = image_path(folder, one.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        rows.append(one)
    write_table(folder, rows)
    return folder


@pytest.fixture(scope="module")
def wardrobe(tmp_path_factory) -> Path:
    return write_wardrobe(tmp_path_factory.mktemp("wardrobe"))


@pytest.fixture(scope="module")
def pool(tmp_path_factory, wardrobe) -> PhotographPool:
    return load_photographs(wardrobe, tmp_path_factory.mktemp("pool"), 0, 1)


@pytest.fixture(scope="module")
def published(tmp_path_factory, wardrobe):
    """The start's folder, the work folder, the checkpoint's folder and the numbers."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("joint")
    processor = make_processor(gallery("train", 60), 0, 400)
    tokenizer = processor.clip_tokenizer
    torch.manual_seed(0)
    config = catalogue_config(
        len(processor.word_tokenizer), len(tokenizer), int(tokenizer.eos_token_id)
    )
    save_checkpoint(DWCModel(config), processor, place / "start", dtype=torch.float16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_training, "SentenceTeacher", FakeTeacher)
        numbers = publish_joint(
            str(place / "start"), wardrobe, TINY, place / "work", place / "out", (40, 20)
        )
    return place, numbers


def test_the_garment_is_found_and_nothing_else_is_recolored() -> None:
    photo = np.zeros((96, 96, 3)) + np.array(FLOOR) / 255
    photo[24:72, 28:68] = np.array(COLORS["blue"]) / 255
    garment = find_garment(photo)
    assert garment is not None
    inside = np.zeros((96, 96), dtype=bool)
    inside[26:70, 30:66] = True
    assert garment.mask[inside].mean() > 0.98
    green = recolor(photo, garment, "green", "mid")
    assert (green[48, 48] - photo[48, 48])[1] > 0.1
    assert np.abs(green[:12] - photo[:12]).max() < 0.02
    assert find_garment(np.zeros((96, 96, 3)) + 0.5) is None


def test_triplets_say_what_differs_and_recolorings_return(pool) -> None:
    assert len(pool.photographs) == 24
    assert pool.images == 24 + len(pool.recolorings) > 24
    for triplet in attribute_triplets(pool, 2, 0):
        before, after = (pool.photographs[n] for n in (triplet.reference, triplet.target))
        assert before.category == after.category
        assert after.attributes["colour"] in triplet.words
        assert 0 < triplet.image_share < 1
    for triplet in recoloring_triplets(pool, 0):
        before, after = (pool.photograph_of(n) for n in (triplet.reference, triplet.target))
        assert before.file == after.file
        assert before.attributes["colour"] != after.attributes["colour"]
        assert after.attributes["colour"] in triplet.words
    labels = encode_photographs(pool.photographs)
    assert labels.shape == (24, 9)
    assert describe_photograph(pool.photographs[0], random.Random(1)).split()


def test_an_exclusion_has_the_excluded_image_as_its_negative(pool) -> None:
    pairs = exclusion_pairs(pool, 0)
    assert len(pairs) >= len(pool.recolorings) > 0
    references = set()
    for wish, exclusion in pairs:
        asked, spared = (pool.photograph_of(triplet.target) for triplet in (wish, exclusion))
        changed = [
            name for name in ("colour", "pattern") if asked.known(name) != spared.known(name)
        ]
        assert len(changed) == 1
        assert wish.reference == exclusion.target
        assert exclusion.reference in (wish.target, exclusion.target)
        references.add(exclusion.reference == exclusion.target)
        assert wish.label != exclusion.label
        value = asked.attributes[changed[0]]
        words = [name for _, name in excluded_names("t_shirt", changed[0], value)]
        words += [other for name in words if (other := other_number(name))]
        words += LEXICAL_NEGATIONS.get((changed[0], value), ())
        assert any(word in exclusion.words for word in words)
    assert references == {True, False}


def test_text_exclusions_have_the_texts_and_targets_of_their_triplets(pool) -> None:
    pairs = exclusion_pairs(pool, 0)
    queries = text_exclusions(pool, pairs, 0)
    assert len(queries) == len(pairs) > 0
    starts = set()
    for triplets, texts in zip(pairs, queries, strict=True):
        for triplet, (text, target) in zip(triplets, texts, strict=True):
            assert target == triplet.target
            assert text.endswith(triplet.words)
            starts.add(text.removesuffix(triplet.words).strip(" ,"))
    assert "" in starts
    assert any("dress" in start for start in starts)


def test_half_of_the_photographs_triplets_share_a_reference(pool) -> None:
    triplets = attribute_triplets(pool, TRIPLETS_PER_PHOTOGRAPH, 0)
    drawn = draw_photographs(triplets, 16, random.Random(0))
    assert len(drawn) == 16
    assert all(len({t.reference for t in drawn[n : n + 4]}) == 1 for n in (0, 4))
    assert len({t.reference for t in drawn[8:]}) > 2


class NumberedBatches(MixedBatches):
    """Batches in which a photograph's input is its index, and a drawing's a negative number."""

    views = 1

    def _photograph(self, image, view):
        return torch.tensor([float(image)])

    def _drawing(self, item):
        return torch.tensor([-1.0 - item])

    def _group(self, words, images):
        return {} if images is None else {"pixel_values": torch.stack(images)}


def test_a_target_is_as_relevant_as_it_has_what_the_query_asks_for(pool) -> None:
    items = gallery("train", 40)
    texts = collect_texts(pool, items, {"single": "{0}", "pair": "{0} and {1}"}, 60, 0.1, [], 0)
    triplets = PhotographTriplets.of(pool, 0)
    mix = BatchMix(6, 8, 4, 4, 3, 2, 2, 2)
    batch = NumberedBatches(pool, texts, triplets, mix, 0).batches()(3)
    shown = [int(n) for n in batch.target_pixels.flatten()]
    references = [int(n) for n in batch.queries[0]["pixel_values"].flatten()]
    relevance = batch.relevance
    count = len(shown)
    assert relevance.shape == (count, count)
    assert (relevance.diagonal() == 1).all()
    same = (batch.labels[:, None] == batch.labels[None, :]).float()
    rows = range(6, 6 + 8)
    others = [row for row in range(count) if row not in rows]
    assert torch.equal(relevance[others], same[others])
    seen = set()
    for row in rows:
        reference, target = (pool.photograph_of(n) for n in (references[row], shown[row]))
        for column in range(count):
            if shown[column] < 0:
                assert relevance[row, column] == 0
                continue
            other = pool.photograph_of(shown[column])
            missed = 2 * (other.category != target.category) + sum(
                reference.known(name) is not None and other.known(name) != target.known(name)
                for name in QUERY_ATTRIBUTES[1:]
            )
            expected = math.exp(-3.5 * missed) if missed < 2 else 0
            assert float(relevance[row, column]) == pytest.approx(expected)
            seen.add(missed)
    assert {0, 1, 2} <= seen
    wanted, shows = batch.attributes
    assert wanted.shape == shows.shape == (count, len(QUERY_ATTRIBUTES))
    assert (wanted[:6] == -100).all()
    assert (wanted[6 + 16 :] == -100).all()
    assert (wanted[6 : 6 + 16, 0] == shows[6 : 6 + 16, 0]).all()  # the category is always known


def test_a_checkpoint_of_both_worlds_is_written_and_measured(published) -> None:
    place, numbers = published
    loaded = load(str(place / "out"))
    attributes = loaded.model.clip_stream.attributes
    assert float(attributes.scale) > 0
    assert bool(attributes.project.weight.any())
    assert numbers["fingerprint"] == loaded.fingerprint
    assert loaded.model.shares_backbone
    assert len(loaded.model.familiarity.thresholds) == 2  # photographs and drawings
    assert (loaded.model.familiarity.thresholds > 1e-3).all()
    assert loaded.model.config.clip_config.projection_dim == 256 + 16
    assert numbers["before"]["fingerprint"] == load(str(place / "start")).fingerprint
    for part in (numbers, numbers["before"]):
        assert part["catalogue"]["queries"] == 20
        assert part["wardrobe"]["photographs"] == 6
    assert json.loads((place / "out" / "evaluation.json").read_text())["wardrobe"]
    card = (place / "out" / "README.md").read_text()
    assert f"{numbers['wardrobe']['captions']['recall@10']:.3f}" in card
    stages = {
        json.loads(line)["stage"]
        for line in (place / "out" / "training.jsonl").read_text().splitlines()
    }
    assert stages == set(joint_training.STAGES)
    assert loaded.processor.unknown_words("a worda striped zzyzx") == ["zzyzx"]


def test_photographs_are_measured_again_with_other_neighbors(published, wardrobe, tmp_path) -> None:
    """`make checkpoint` measured the open words before it wrote what is read for them."""
    place, numbers = published
    folder = shutil.copytree(place / "out", tmp_path / "out")
    known = "dress"
    assert known in load(str(folder)).processor.word_tokenizer.get_vocab()
    before = numbers["wardrobe"]["open_words"]["words"]
    unread = [word for word, found in before.items() if found["read"] is None]
    assert len(unread) > len(before) / 2
    (folder / "word_neighbors.json").write_text(json.dumps(dict.fromkeys(unread, known)))
    measure_photographs_again(folder, wardrobe)
    again = json.loads((folder / "evaluation.json").read_text())
    now = again["wardrobe"]["open_words"]["words"]
    assert {now[word]["read"] for word in unread} == {known}
    assert again["wardrobe"]["captions"] == numbers["wardrobe"]["captions"]
    assert again["catalogue"] == numbers["catalogue"]


def test_a_finished_run_ends_in_the_same_weights(published, wardrobe, tmp_path, monkeypatch):
    place, numbers = published
    monkeypatch.setattr(joint_training, "SentenceTeacher", FakeTeacher)
    again = publish_joint(
        str(place / "start"), wardrobe, TINY, place / "work", tmp_path / "again", (40, 20)
    )
    assert again["fingerprint"] == numbers["fingerprint"]


def test_another_recipe_is_refused_in_its_work_folder(published, wardrobe, tmp_path) -> None:
    place, _ = published
    arguments = (place / "work", tmp_path / "out", (40, 20))
    with pytest.raises(TrainingError, match=r"seed 0 \(now: 1\)"):
        publish_joint(str(place / "start"), wardrobe, replace(TINY, seed=1), *arguments)
    other = shutil.copytree(wardrobe, tmp_path / "wardrobe")
    with (other / "attributes.csv").open("a") as table:
        table.write("\n")
    with pytest.raises(TrainingError, match="holds a training with wardrobe"):
        publish_joint(str(place / "start"), other, TINY, *arguments)
    assert not (tmp_path / "out").exists()


def test_streams_are_interpolated_and_towers_stay(published) -> None:
    model = load(str(published[0] / "out")).model
    before = {
        "clip_stream.project_image.bias": torch.zeros(256),
        "cnn_stream.project_image.bias": torch.ones(256),
    }
    clip = model.clip_stream.project_image.bias.detach().clone()
    cnn = model.cnn_stream.project_image.bias.detach().clone()
    joint_training.interpolate_streams(model, before, (0.75, 0.5))
    torch.testing.assert_close(model.clip_stream.project_image.bias.detach(), 0.75 * clip)
    torch.testing.assert_close(model.cnn_stream.project_image.bias.detach(), 0.5 * cnn + 0.5)


def test_a_share_of_the_recipe_is_a_shorter_one() -> None:
    short = JointRecipe.scaled(3, 0.1)
    assert short.seed == 3
    assert short.streams.total_steps == JointRecipe().streams.total_steps // 10
    assert replace(short, seed=0).image_size == JointRecipe().image_size


def test_a_wardrobe_is_asked_for_before_anything_is_trained(tmp_path, capsys) -> None:
    with pytest.raises(TrainingError, match=r"make checkpoint WARDROBE=FOLDER"):
        check_wardrobe(None)
    with pytest.raises(DatasetError, match=r"has no attributes\.csv"):
        check_wardrobe(tmp_path)
    arguments = ["train", "catalogue", "--wardrobe", "", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--work", str(tmp_path / "work")]) == 2
    assert "clothing-dataset" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
