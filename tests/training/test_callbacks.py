"""Callbacks of the loop: averaged weights, the best epoch; and states that survive a kill."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from dwc import files
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.loop import EpochSelection, LoopSettings, WeightAverage, run_stage
from tests.training.tiny import tiny_model, tiny_processor


@pytest.fixture
def model() -> DWCModel:
    return tiny_model(tiny_processor())


def move(model: DWCModel, by: float) -> None:
    """Another model in every trained number, counters of batch norms among them."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not name.startswith("clip."):
                tensor.add_(by if tensor.is_floating_point() else 1)


@pytest.mark.slow
def test_the_average_is_that_of_the_formula(model: DWCModel) -> None:
    average = WeightAverage(model, decay=0.5)
    name = "cnn_stream.resnet.embedder.embedder.normalization.running_mean"
    expected = None
    for update in range(6):
        move(model, 0.3 * update)
        average.update()
        now = model.state_dict()[name].clone()
        decay = min(0.5, (1 + update) / (10 + update))
        expected = now if expected is None else decay * expected + (1 - decay) * now
    with average.in_place():
        torch.testing.assert_close(model.state_dict()[name], expected)
        counter = name.replace("running_mean", "num_batches_tracked")
        assert int(model.state_dict()[counter]) == 6
    assert torch.equal(model.state_dict()[name], now)


def test_the_trained_weights_are_back_after_an_error(model: DWCModel) -> None:
    average = WeightAverage(model, decay=0.9)
    before = {name: id(parameter) for name, parameter in model.named_parameters()}

    def interrupted() -> None:
        with average.in_place():
            assert {n: id(p) for n, p in model.named_parameters()} != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before


@pytest.mark.slow
def test_an_average_continues_from_its_state(model: DWCModel) -> None:
    first = WeightAverage(model, decay=0.9)
    first.update()
    state = {name: value.clone() for name, value in first.state_dict().items()}
    move(model, 1.0)
    second = WeightAverage(model, decay=0.9)
    second.load_state_dict(state)
    for average in (first, second):
        average.update()
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def select(model: DWCModel, scores: list[float], folder: Path) -> EpochSelection:
    """Epochs 1 to 4 of 3 steps each; the scores are given out in order."""
    waiting = iter(scores)

    def measure() -> tuple[float, dict[str, float]]:
        assert not model.training
        score = next(waiting)
        return score, {"recall@1": score}

    return EpochSelection(model, measure, range(1, 5), 3, folder, Accelerator(cpu=True))


def weight(model: DWCModel) -> float:
    return float(model.cnn_stream.project_image.bias[0].detach())


@pytest.mark.slow
def test_the_first_of_the_best_epochs_is_selected(model: DWCModel, tmp_path: Path) -> None:
    selection = select(model, [0.2, 0.7, 0.7, 0.1], tmp_path)
    weights = {}
    for step in range(12):
        if step % 3 == 0:
            weights[step // 3] = weight(model)
        selection.before_step(step)
        assert model.training or step < 3
        selection.after_step(step + 1)
        move(model, 0.5)
    selection.measure_epoch(4)
    assert [line["score"] for line in selection.history] == [0.2, 0.7, 0.7, 0.1]
    assert [line["step"] for line in selection.history] == [3, 6, 9, 12]
    assert selection.load_best() == 2
    assert weight(model) == pytest.approx(weights[2])


def test_a_resumed_selection_measures_no_epoch_twice(model: DWCModel, tmp_path: Path) -> None:
    first = select(model, [0.6, 0.3], tmp_path)
    first.measure_epoch(1)
    first.measure_epoch(2)
    best = weight(model)
    move(model, 1.0)
    resumed = select(model, [0.5, 0.4], tmp_path)
    for epoch in (1, 2, 3, 4):
        resumed.measure_epoch(epoch)
    lines = [json.loads(line) for line in (tmp_path / "epochs.jsonl").read_text().splitlines()]
    assert [line["score"] for line in lines] == [0.6, 0.3, 0.5, 0.4]
    assert resumed.load_best() == 1
    assert weight(model) == best


def test_the_frozen_clip_is_not_written_with_every_best_epoch(
    model: DWCModel, tmp_path: Path
) -> None:
    select(model, [0.5], tmp_path).measure_epoch(1)
    size = (tmp_path / "best.safetensors").stat().st_size
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.clip.parameters())
    assert 4 * trained <= size < 4 * (trained + frozen)


class _Killed(BaseException):
    """A kill that no handler takes for a mistake."""


@pytest.mark.parametrize(
    ("point", "calls", "goes_on_after"),
    [
        # The first save is after step 2, the next after step 4 …
        *(("save_state", calls, 2 * (calls - 1)) for calls in (1, 2, 3)),
        ("rmtree", 1, 0),  # before the first state is begun
        ("rmtree", 2, 2),  # it is whole, under its first name
        ("rename", 1, 2),
        ("rename", 2, 2),  # the second is whole, but the first is still in place
        ("rename", 3, 4),  # the first is out of its place, the second not yet in it
    ],
)
def test_a_kill_while_saving_leaves_a_state_to_continue_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, calls: int, goes_on_after: int
) -> None:
    """Killed at the n-th call of what saving calls, then asked for again."""
    steps: list[int] = []

    def train() -> float:
        accelerator = Accelerator(cpu=True)
        layer = nn.Linear(1, 1, bias=False)
        nn.init.ones_(layer.weight)
        prepared = accelerator.prepare(layer)

        def step(number: int) -> dict[str, float]:
            steps.append(number)
            with torch.no_grad():
                layer.weight.add_(1)
            return {"loss": 1.0}

        run_stage("stage", accelerator, step, LoopSettings(8, tmp_path, save_every=2))
        return float(prepared.weight.detach())

    owner = {"save_state": Accelerator, "rename": Path, "rmtree": files.shutil}[point]
    original, made = getattr(owner, point), 0

    def dies(*arguments: object, **options: object) -> object:
        nonlocal made
        made += 1
        if made == calls:
            raise _Killed
        return original(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(owner, point, dies)
        with pytest.raises(_Killed):
            train()
    steps.clear()
    assert train() == 9  # one, and one more for each step
    assert steps == list(range(goes_on_after, 8))
