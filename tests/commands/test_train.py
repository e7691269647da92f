"""The arguments of `train`, and the errors for wrong ones."""

import argparse
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from dwc.cli import main
from dwc.commands import train
from dwc.training.dwc.presets import PRESETS

ROOT = Path(__file__).parents[2]


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.configure(parser)
    return parser.parse_args(arguments)


def asked_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> SimpleNamespace:
    """What the training would be asked for."""
    import dwc.training.dwc.train_benchmark as module

    seen = {}

    def remember(asked: object) -> dict[str, float]:
        seen["asked"] = asked
        return {}

    monkeypatch.setattr(module, "train_benchmark", remember)
    assert main(["train", "dwc", *arguments]) == 0
    return seen["asked"]


def test_the_catalogue_command_has_its_defaults() -> None:
    args = parse("catalogue", "--out", "somewhere")
    assert (args.recipe, args.out, args.work) == (
        "catalogue", Path("somewhere"), Path("runs/catalogue"),
    )  # fmt: skip
    assert (args.seed, args.share, args.photographs) == (0, 1.0, None)


def test_the_choices_on_the_command_line_are_those_of_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are written out there, since help must not wait for torch."""
    from dwc.training.dwc.benchmark_data import CATEGORIES

    given = ["--data", str(tmp_path), "--clip", "C", "--out", "O"]
    for dataset in CATEGORIES:
        for preset in PRESETS:
            asked = asked_of(monkeypatch, "--dataset", dataset, "--preset", preset, *given)
            assert (asked.dataset, asked.preset) == (dataset, PRESETS[preset])
            assert asked.work == Path("runs") / f"dwc-{dataset}-{preset}"
    for category in CATEGORIES["fashion_iq"]:
        assert parse("dwc", "--dataset", "shoes", *given, "--category", category)


def test_arguments_reach_the_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = asked_of(
        monkeypatch, "--dataset", "fashion_iq", "--data", str(tmp_path), "--clip", "C",
        "--clip-tokenizer", "T", "--resnet", "R", "--preset", "authors", "--out", "O",
        "--work", "W", "--category", "dress", "--category", "dress", "--workers", "0",
        "--set", "epochs=3", "--set", "teacher_side=target", "--log-with", "tensorboard",
    )  # fmt: skip
    given = {field.name: getattr(asked, field.name) for field in fields(asked)}
    preset = given.pop("preset")
    assert (preset.name, preset.epochs, preset.teacher_side) == ("authors", 3, "target")
    assert given == {
        "dataset": "fashion_iq", "data": tmp_path, "clip": "C", "clip_tokenizer": "T",
        "resnet": "R", "out": Path("O"), "work": Path("W"), "categories": ("dress",),
        "workers": 0, "trackers": ("tensorboard",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"--data": "./none"}, "TrainingError: none is not a folder; give the one with shoes"),
        ({"--set": "epochs=many"}, "TrainingError: epochs is 'many'; it is a whole number"),
        ({"--workers": "-1"}, "TrainingError: --workers is -1; give 0 or more"),
        ({"--category": "dress"}, "TrainingError: shoes has no category 'dress'; there are none"),
        ({"--log-with": "abacus"}, "TrainingError: the tracker abacus is not installed"),
        ({}, "DatasetError: "),
    ],
)
def test_mistakes_are_reported_in_one_line(
    changed: dict[str, str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"--dataset": "shoes", "--data": str(tmp_path), "--clip": "./none", "--out": "O"}
    words = [word for pair in (given | changed).items() for word in pair]
    assert main(["train", "dwc", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith(says)
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("recipe", ["catalogue", "dwc"])
def test_help_does_not_import_torch(recipe: str) -> None:
    script = (
        "import sys; from dwc.cli import main\n"
        f"try: main(['train', '{recipe}', '--help'])\n"
        "finally: print('heavy', [m for m in ('torch', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--out" in done.stdout
    assert "heavy []" in done.stdout
