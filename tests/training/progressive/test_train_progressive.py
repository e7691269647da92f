"""PL from nothing to a checkpoint that searches, stage by stage, in small."""

import json
import os
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard

from dwc.catalogue.language.description import describe_fully
from dwc.catalogue.splits import gallery, training_triplets
from dwc.checkpoints import load
from dwc.cli import main
from dwc.errors import TrainingError
from dwc.gallery.builder import build_store
from dwc.gallery.sources import CatalogueSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.searcher import Searcher
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.progressive.recipe import ProgressiveRecipe, Start
from dwc.training.progressive.stages import FashionSettings, HybridSettings, TowerSettings
from dwc.training.progressive.train_progressive import publish_progressive, train_progressive
from tests.fork_server import PYTHON
from tests.training.dwc.benchmark_world import PX as CLIP_PX
from tests.training.dwc.benchmark_world import write_clip

pytestmark = pytest.mark.training

TINY = ProgressiveRecipe(
    pool=PoolSettings(items=60, styles=("training",)),
    open_domain=TowerSettings(total_steps=2, warmup_steps=1),
    open_domain_batch=8,
    fashion=FashionSettings(total_steps=2, warmup_steps=1),
    fashion_batch=8,
    hybrid=HybridSettings(total_steps=3, warmup_steps=1),
    hybrid_batch=8,
    triplets=60,
    text_only_share=0.25,
    image_only_share=0.125,
    mixed_precision="no",
    vocabulary_texts=200,
    ood_items=24,
    measured_gallery=30,
    measured_queries=12,
)
STEPS = {"open_domain": 2, "fashion": 2, "hybrid": 3}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Path]:
    """The checkpoint's folder, the numbers that came back, and the work folder."""
    place = tmp_path_factory.mktemp("progressive")
    torch.set_num_threads(1)
    out, work = place / "out", place / "work"
    return out, publish_progressive(TINY, work, out), work


def test_two_processes_train_one_model_and_write_it_once(tmp_path: Path) -> None:
    """As `torchrun` starts them on a machine without a GPU."""
    out, work = tmp_path / "out", tmp_path / "work"
    root = Path(__file__).parents[3]
    script = Path(__file__).with_name("two_processes.py")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*PYTHON, *launcher, "--no-python", *PYTHON, script, work, out],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "processes 2, number 0, published True",
        "processes 2, number 1, published False",
    ]
    for stage, steps in STEPS.items():
        lines = [json.loads(line) for line in (work / f"{stage}.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [steps]
    numbers = json.loads((out / "evaluation.json").read_text())
    assert load.load(str(out)).fingerprint == numbers["fingerprint"]


def logs(work: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in work.glob("*.jsonl")}


def test_the_folder_is_a_whole_checkpoint_with_its_log_and_numbers(published: Any) -> None:
    out, numbers, _ = published
    loaded = load.load(str(out))
    assert loaded.fingerprint == numbers["fingerprint"]
    assert loaded.model.config.combiner == "progressive"
    assert loaded.model.cnn_stream is None
    assert json.loads((out / "evaluation.json").read_text()) == numbers
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert {line["stage"]: line["step"] for line in lines} == STEPS
    assert numbers["stages"] == list(STEPS)


def test_the_numbers_hold_together(published: Any) -> None:
    _, numbers, _ = published
    catalogue, weights = numbers["catalogue"], numbers["weights"]
    assert (catalogue["gallery"], catalogue["queries"]) == (30, 12)
    assert "weight_truth_correlation" in catalogue["streams"]["clip"]
    for k in (1, 10, 50):
        # The table's first row is the model as it answers; the rows below take its weight away.
        assert weights["learned"][f"recall@{k}"] == catalogue[f"recall@{k}"]
    means = {name: row["image_weight_mean"] for name, row in weights.items()}
    assert (means["text_only"], means["half"], means["image_only"]) == (0, 0.5, 1)
    assert all(
        weights["oracle"]["recall@1"] >= weights[n]["recall@1"] for n in ("half", "best_fixed")
    )


def test_the_card_says_that_it_is_a_reconstruction_and_shows_the_numbers(published: Any) -> None:
    out, numbers, _ = published
    card = (out / "README.md").read_text()
    assert ModelCard(card).data.license == "apache-2.0"
    assert "**This\nis a reconstruction**" in card
    assert f"{100 * numbers['catalogue']['recall@10']:.1f}" in card
    assert "composed queries (3 steps)" in card
    assert "| the best for each query (knows the answer) |" in card


def test_it_answers_over_a_gallery(published: Any, tmp_path: Path) -> None:
    loaded = load.load(str(published[0]))
    source = CatalogueSource("test", 12, 64)
    store = build_store(
        source, image_embedder(loaded), tmp_path / "store", model_identity(loaded), workers=1
    )
    result = Searcher(loaded, store).search(text="in red", k=5, reference_id=store.ids[0])
    assert len(result.hits) == 5
    assert set(result.weights) == {"clip"}
    assert all(sum(h.parts.values()) == pytest.approx(h.score, abs=1e-4) for h in result.hits)


def test_stage_by_stage_is_the_same_as_in_one_go(published: Any, tmp_path: Path) -> None:
    _, _, work = published
    apart = tmp_path / "work"
    apart.mkdir()
    for file in work.glob("pool-*.npy"):  # drawn already
        shutil.copy(file, apart)
    first = train_progressive(TINY, apart, until="open_domain")
    assert first.model.config.combiner == "progressive_fixed"
    assert not (apart / "fashion.jsonl").exists()
    before = logs(apart)["open_domain.jsonl"]
    train_progressive(TINY, apart, until="fashion")
    last = train_progressive(TINY, apart)
    assert logs(apart)["open_domain.jsonl"] == before
    whole = train_progressive(TINY, work).model.state_dict()
    for name, value in last.model.state_dict().items():
        assert torch.equal(value, whole[name]), name


def test_a_finished_run_is_not_trained_again(published: Any, tmp_path: Path) -> None:
    _, numbers, work = published
    before = logs(work)
    again = publish_progressive(replace(TINY, measured_queries=4), work, tmp_path / "again")
    assert logs(work) == before
    assert again["fingerprint"] == numbers["fingerprint"]


def test_another_recipe_is_refused_in_the_folder(published: Any) -> None:
    _, _, work = published
    other = replace(TINY, hybrid=replace(TINY.hybrid, gamma=2.0), seed=1)
    with pytest.raises(TrainingError, match=r"seed 0 \(now: 1\), hybrid.gamma 1.0 \(now: 2.0\)"):
        train_progressive(other, work)


def test_it_starts_from_an_existing_clip(published: Any, tmp_path: Path) -> None:
    loaded = load.load(str(published[0]))
    start = Start("the other one", loaded.model.clip, loaded.processor)
    before = {name: value.clone() for name, value in loaded.model.clip.state_dict().items()}
    numbers = publish_progressive(TINY, tmp_path / "work", tmp_path / "out", start, until="fashion")
    assert numbers["stages"] == ["fashion"]
    assert not (tmp_path / "work" / "open_domain.jsonl").exists()
    assert "began as the other one" in (tmp_path / "out" / "README.md").read_text()
    for name, value in loaded.model.clip.state_dict().items():
        assert torch.equal(before[name], value), name
    assert numbers["weights"]["learned"] == numbers["weights"]["half"]


def test_stages_are_named_once_and_in_order() -> None:
    with pytest.raises(ValueError, match="once each, in order"):
        replace(TINY, stages=("hybrid", "fashion"))
    without = replace(TINY, stages=("open_domain", "hybrid"))
    assert without.stages_until("fashion") == ("open_domain",)


def test_a_share_shortens_every_stage() -> None:
    whole, part = ProgressiveRecipe(), ProgressiveRecipe.of(seed=3, share=0.1)
    assert part.seed == 3
    for stage in STEPS:
        steps = (getattr(recipe, stage).total_steps for recipe in (whole, part))
        assert next(steps) == 10 * next(steps)
    with pytest.raises(ValueError, match="share is 2"):
        ProgressiveRecipe.of(share=2)


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the command asks for comes small."""
    monkeypatch.setattr(ProgressiveRecipe, "of", classmethod(lambda cls, seed, share: TINY))


@pytest.mark.usefixtures("tiny_recipe")
def test_the_command_stops_after_the_given_stage(published: Any, tmp_path: Path) -> None:
    _, numbers, work = published
    places = ["--work", str(work), "--out"]
    assert main(["train", "progressive", "--stage", "1", *places, str(tmp_path / "first")]) == 0
    first = json.loads((tmp_path / "first" / "evaluation.json").read_text())
    assert first["stages"] == ["open_domain"]
    assert main(["train", "progressive", *places, str(tmp_path / "all")]) == 0
    assert load.fingerprint(tmp_path / "all") == numbers["fingerprint"]


@pytest.mark.usefixtures("tiny_recipe")
def test_the_command_starts_from_a_clip_of_transformers(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    items, rng = gallery("train", 200), random.Random(0)
    texts = [describe_fully(item.garment, rng) for item in items]
    for _, _, wish in training_triplets(items, 0, 200):
        texts += wish.captions
    write_clip(folder, texts)
    asked = ["train", "progressive", "--clip", str(folder), "--stage", "2"]
    asked += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(asked) == 0
    loaded = load.load(tmp_path / "out")
    assert loaded.processor.word_tokenizer is None
    assert loaded.model.config.clip_config.vision_config.image_size == CLIP_PX
    numbers = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert numbers["start"] == str(folder)
    small = TINY.fashion.learning_rate / 100
    assert numbers["recipe"]["fashion"]["learning_rate"] == pytest.approx(small)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--share", "0"], "--share is 0"),
        (["--start", "no/such/folder"], "no/such/folder"),
        (["--wardrobe", ""], "make progressive WARDROBE=FOLDER"),
        (["--wardrobe", "no/such/folder"], "no/such/folder has no attributes.csv"),
        (["--wardrobe", "W", "--clip", "C"], "give it with --start, not --clip"),
        (["--wardrobe", "W", "--stage", "2"], "leave --stage out"),
    ],
)
def test_wrong_arguments_are_errors(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(["train", "progressive", *places, *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_stage_one_is_refused_for_a_pretrained_clip(
    published: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _, _ = published
    asked = ["train", "progressive", "--stage", "1", "--start", str(out)]
    assert main([*asked, "--work", str(tmp_path / "w"), "--out", str(tmp_path / "o")]) == 2
    assert "ask for 2, 3 or all" in capsys.readouterr().err


def test_drawings_for_a_large_clip_are_larger_and_fit_into_memory() -> None:
    recipe = ProgressiveRecipe().fine_tuning(224)
    assert recipe.pool.size_px == 280
    size = recipe.pool.items * len(recipe.pool.styles) * 3 * 280**2
    assert 3.9e9 < size <= 4e9
    assert recipe.hybrid.learning_rate == ProgressiveRecipe().hybrid.learning_rate / 100
