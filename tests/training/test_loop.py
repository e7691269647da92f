"""Which processes and devices a training uses."""

import pytest
import torch

from dwc.cli import main
from dwc.training import loop


@pytest.mark.parametrize(
    ("device", "variables", "expected"),
    [
        (None, {}, True),
        (None, {"LOCAL_RANK": "1"}, True),
        ("cuda", {}, False),
        ("cuda", {"LOCAL_RANK": "1"}, False),
        ("cuda", {"ACCELERATE_USE_CPU": "true"}, True),
        ("mps", {}, False),
        ("mps", {"LOCAL_RANK": "1"}, True),  # torch connects no processes there
    ],
)
def test_a_training_is_on_the_cpu_if_no_device_can_take_all_its_processes(
    monkeypatch: pytest.MonkeyPatch, device: str | None, variables: dict[str, str], expected: bool
) -> None:
    for name in ("LOCAL_RANK", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        torch.accelerator,
        "current_accelerator",
        lambda check_available: None if device is None else torch.device(device),
    )
    assert loop._trains_on_cpu() is expected


@pytest.mark.parametrize("command", [["train", "catalogue", "--out", "out"], ["study"]])
def test_trainings_of_one_process_refuse_several(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(command) == 2
    error = capsys.readouterr().err
    name = " ".join(command[:2])
    assert f"TrainingError: dwc {name} runs in one process, and a launcher started several" in error
    assert f"Start it without one: python -m dwc {name}" in error
