"""The command from a benchmark's files to an evaluated checkpoint, also after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.tracking import GeneralTracker

from dwc.checkpoints import load
from dwc.cli import main
from dwc.errors import TrainingError
from dwc.evaluation.benchmarks import evaluate_benchmark
from dwc.training.dwc import benchmark_data
from dwc.training.dwc.presets import AUTHORS, RECOMMENDED, override
from dwc.training.dwc.train_benchmark import BenchmarkTraining, train_benchmark
from tests.fork_server import PYTHON
from tests.training.dwc.benchmark_files import write_css3d, write_fashion200k, write_shoes
from tests.training.dwc.benchmark_world import SMALL, World, make_world

pytestmark = pytest.mark.training

ROOT = Path(__file__).parents[3]
SHORT = (*SMALL, "epochs=2", "warmup_steps=2", "log_every=1", "save_every=3", "held_out_share=0.3")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("world"))


def ask(world: World, place: Path, **changes: object) -> BenchmarkTraining:
    asked = BenchmarkTraining(
        dataset="fashion_iq",
        data=world.data,
        clip=str(world.clip),
        preset=override(RECOMMENDED, SHORT),
        out=place / "out",
        work=place / "work",
        resnet=str(world.resnet),
        workers=0,
    )
    return replace(asked, **changes)


def arguments(world: World, place: Path, *more: str) -> list[str]:
    """The command line for what `ask` asks for."""
    given = {"data": world.data, "clip": world.clip, "resnet": world.resnet}
    given |= {"out": place / "out", "work": place / "work"}
    command = ["train", "dwc", "--dataset", "fashion_iq", "--workers", "1"]
    for name, value in given.items():
        command += [f"--{name}", str(value)]
    for assignment in SHORT:
        command += ["--set", assignment]
    return [*command, *more]  # the last word on a name counts


def logged(work: Path) -> dict[int, dict[str, float]]:
    """The numbers of each step, its last time, without the clock's."""
    lines = [json.loads(line) for line in (work / "alternating.jsonl").read_text().splitlines()]
    return {
        line["step"]: {name: value for name, value in line.items() if name != "seconds"}
        for line in lines
    }


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A training that nothing interrupted: its place, and the numbers it returned."""
    place = tmp_path_factory.mktemp("whole")
    return place, train_benchmark(ask(world, place))


def test_the_checkpoint_is_complete_and_its_evaluation_repeats(world: World, trained) -> None:
    place, numbers = trained
    loaded = load.load(place / "out")
    assert loaded.fingerprint == numbers["fingerprint"]
    again = evaluate_benchmark("fashion_iq", loaded.model, loaded.processor, world.data)
    assert {name: numbers[name] for name in again} == json.loads(json.dumps(again))
    assert json.loads((place / "out" / "evaluation.json").read_text()) == numbers
    assert numbers["queries"] == 24
    assert loaded.model.config.caption_template == {"single": "{0}", "pair": "{0} and {1}"}


def test_the_record_has_recipe_counts_and_every_epoch(trained) -> None:
    place, _ = trained
    record = json.loads((place / "out" / "training.json").read_text())
    assert record["preset"]["name"] == "recommended"
    assert record["counts"]["triplets"] == 72
    assert record["counts"]["missing_pictures"] == 0
    assert [line["epoch"] for line in record["epochs"]] == [1, 2]
    best = max(record["epochs"], key=lambda line: line["score"])
    assert record["chosen_epoch"] == best["epoch"]
    assert {"recall@10", "clip_recall@10", "cnn_recall@50"} <= set(record["epochs"][0])
    steps = 2 * record["steps_per_epoch"]
    assert set(logged(place / "work")) == set(range(1, steps + 1))


def test_the_card_says_how_it_was_trained_and_what_it_reached(world: World, trained) -> None:
    place, numbers = trained
    record = json.loads((place / "out" / "training.json").read_text())
    card = (place / "out" / "README.md").read_text()
    recipe = f"`recommended` on dress, shirt, toptee: 2 epochs of {record['steps_per_epoch']} steps"
    assert recipe in card
    assert "- fashion_iq\n" in card
    assert f"| {numbers['protocol']} | 24 |" in card
    assert f"{100 * numbers['recall@10']:.2f}" in card


def test_clip_is_unchanged_and_the_rest_is_trained(world: World, trained) -> None:
    from dwc.convert.sources import read_clip

    model = load.load(trained[0] / "out").model
    for name, weight in read_clip(str(world.clip)).weights.items():
        torch.testing.assert_close(model.clip.state_dict()[name], weight, atol=0, rtol=0)
    assert not torch.equal(model.clip_stream.combiner.weigh[0].bias, torch.zeros(32))


@pytest.mark.parametrize("combiner", ["tirg", "clip4cir"])
def test_a_baseline_trains_on_cached_clip_features_alone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, combiner: str
) -> None:
    opened = []
    monkeypatch.setattr(benchmark_data, "decode", opened.append)
    preset = override(RECOMMENDED, [*SHORT, "streams=clip", f"combiner={combiner}"])
    asked = ask(world, tmp_path, preset=preset, resnet="no such ResNet")
    numbers = train_benchmark(asked)
    loaded = load.load(tmp_path / "out")
    assert loaded.model.config.combiner == combiner
    assert loaded.model.cnn_stream is None
    assert loaded.processor.word_tokenizer is None
    assert set(numbers["streams"]) == {"clip"}
    assert not opened
    losses = logged(tmp_path / "work")
    assert losses[max(losses)]["clip_contrast"] < losses[1]["clip_contrast"]
    assert not any(name.startswith("cnn") for name in losses[1])


def test_a_killed_training_continues_to_the_same_losses_and_weights(
    world: World, trained, tmp_path: Path
) -> None:
    """SIGKILL in the middle, workers and all; then the same command again."""
    whole, numbers = trained
    log = tmp_path / "work" / "alternating.jsonl"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "dwc", *arguments(world, tmp_path)],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        while process.poll() is None:
            if log.is_file() and len(log.read_text().splitlines()) >= 5:
                break
            time.sleep(0.02)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        _, told = process.communicate()
    assert process.returncode == -signal.SIGKILL, told.decode()
    last = max(logged(tmp_path / "work"))
    assert 5 <= last < max(logged(whole / "work"))
    assert not (tmp_path / "out").exists()

    resumed = train_benchmark(ask(world, tmp_path))
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert 4 in steps[5:], "it began again at the state saved after step 3"
    assert 1 not in steps[5:], "it began from nothing"
    assert logged(tmp_path / "work") == logged(whole / "work")
    assert resumed["fingerprint"] == numbers["fingerprint"]
    epochs = [(place / "work" / "epochs.jsonl").read_text() for place in (tmp_path, whole)]
    assert epochs[0] == epochs[1]


def test_a_finished_training_is_not_trained_again(world: World, trained) -> None:
    place, numbers = trained
    before = (place / "work" / "alternating.jsonl").read_text()
    assert train_benchmark(ask(world, place))["fingerprint"] == numbers["fingerprint"]
    assert (place / "work" / "alternating.jsonl").read_text() == before


def test_a_work_folder_refuses_another_recipe(world: World, trained) -> None:
    place, _ = trained
    other = override(RECOMMENDED, (*SHORT, "batch_size=4"))
    with pytest.raises(TrainingError, match=r"preset\.batch_size 8 \(now: 4\)"):
        train_benchmark(ask(world, place, preset=other))


def test_the_authors_train_a_model_a_category_and_choose_on_the_evaluation_set(
    world: World, tmp_path: Path
) -> None:
    preset = override(AUTHORS, (*SHORT, "epochs=1"))
    chosen = ("dress", "shirt")
    numbers = train_benchmark(ask(world, tmp_path, preset=preset, categories=chosen))
    assert set(numbers["models"]) == set(chosen)
    each = [numbers["models"][name]["recall@10"] for name in chosen]
    assert numbers["recall@10"] == pytest.approx(sum(each) / 2)
    for category in chosen:
        out = tmp_path / "out" / category
        assert set(numbers["models"][category]["categories"]) == {category}
        template = load.load(out).model.config.caption_template
        assert template["pair"] == "<BOS> {0} <AND> {1} <EOS>"
        record = json.loads((out / "training.json").read_text())
        assert record["chosen_epoch"] == 0  # measured before the epoch, which was the only one
        assert record["counts"]["held_out_queries"] == 0
        measured = record["epochs"][0]["recall@10"]
        assert measured == pytest.approx(numbers["models"][category]["recall@10"])


def test_missing_pictures_are_counted_and_the_rest_is_trained(world: World, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for part in ("captions", "image_splits"):
        (data / part).symlink_to(world.data / part)
    (data / "images").mkdir()
    pictures = sorted((world.data / "images").iterdir())
    for picture in pictures[2:]:
        (data / "images" / picture.name).symlink_to(picture)
    preset = override(RECOMMENDED, (*SHORT, "epochs=1"))
    train_benchmark(ask(world, tmp_path, data=data, preset=preset))
    counts = json.loads((tmp_path / "out" / "training.json").read_text())["counts"]
    assert counts["missing_pictures"] == 2
    assert counts["triplets_with_pictures"] < counts["triplets"] == 72


def test_a_damaged_picture_stops_the_command_with_its_triplet(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for part in ("captions", "image_splits"):
        (data / part).symlink_to(world.data / part)
    (data / "images").mkdir()
    for picture in (world.data / "images").iterdir():
        is_trained = picture.stem.startswith("train")
        content = picture.read_bytes()
        (data / "images" / picture.name).write_bytes(content[:200] if is_trained else content)
    moved = World(data, world.clip, world.resnet)
    assert main(arguments(moved, tmp_path, "--preset", "authors", "--category", "dress")) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("DatasetError: triplet ")
    assert "train-000" in told
    assert "cut short or damaged" in told


def test_the_numbers_go_to_the_trackers(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, dict[str, float]] = {}

    class Notebook(GeneralTracker):
        name, requires_logging_directory, main_process_only = "notebook", False, True
        tracker = None

        def store_init_configuration(self, values: dict) -> None:
            seen.setdefault(-1, {}).update(values)

        def log(self, values: dict, step: int | None = None, **_: object) -> None:
            seen.setdefault(step or 0, {}).update(values)

    training = "dwc.training.dwc.train_benchmark"
    made = sys.modules[training].new_accelerator

    def accelerator(log_with: object, **options: object) -> object:
        return made(log_with=[Notebook()], **options)

    monkeypatch.setattr(f"{training}.new_accelerator", accelerator)
    preset = override(RECOMMENDED, (*SHORT, "epochs=1"))
    train_benchmark(ask(world, tmp_path, preset=preset))
    assert seen[-1]["learning_rate"] == RECOMMENDED.learning_rate
    steps = logged(tmp_path / "work")
    assert seen[1]["clip_contrast"] == pytest.approx(steps[1]["clip_contrast"], abs=1e-5)
    assert "selection/recall@10" in seen[max(steps)]


def test_a_missing_tracker_is_an_error_before_anything_is_done(
    world: World, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="the tracker abacus is not installed"):
        train_benchmark(ask(world, tmp_path, trackers=("abacus",)))
    assert not (tmp_path / "work").exists()


def test_two_processes_train_one_model(world: World, tmp_path: Path) -> None:
    """As `torchrun` starts them; the gradients meet, and one of them writes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    asked = arguments(world, tmp_path, "--set", "batch_size=4", "--set", "epochs=1")
    done = subprocess.run(
        [*PYTHON, "-W", "ignore", *launcher, "--no-python", *PYTHON, "-m", "dwc", *asked],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["processes"] == 2
    assert record["steps_per_epoch"] == record["counts"]["learned"] // (2 * 4)
    assert set(logged(tmp_path / "work")) == set(range(1, record["steps_per_epoch"] + 1))
    assert done.stderr.count("the weights after epoch 1 are the best") == 1
    load.load(tmp_path / "out")


@pytest.mark.parametrize(
    ("dataset", "write", "protocol"),
    [
        ("shoes", write_shoes, "shoes-test-twice"),
        ("css3d", write_css3d, "css3d-test"),
        ("fashion200k", write_fashion200k, "fashion200k-test-states_answer"),
    ],
)
def test_every_benchmark_is_measured_by_its_own_protocol(
    world: World, tmp_path: Path, dataset: str, write: Callable[[Path], None], protocol: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(data)
    preset = override(AUTHORS, (*SHORT, "epochs=1", "measures=after"))
    asked = ask(world, tmp_path, dataset=dataset, data=data, preset=preset)
    numbers = train_benchmark(asked)
    assert numbers["protocol"] == protocol
    assert set(numbers["streams"]) == {"clip", "cnn"}
    assert load.load(tmp_path / "out").fingerprint == numbers["fingerprint"]
