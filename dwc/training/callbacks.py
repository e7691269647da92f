"""Callbacks of the training loop: average the parameters over time, and select the best epoch."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dwc.files import atomic_path, write_text
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.run_dir import reporting_full_disk

logger = logging.getLogger(__name__)

_STREAMS = ("clip_stream", "cnn_stream")
_BEST, _HISTORY = "best.safetensors", "epochs.jsonl"
_FROZEN = "clip."  # prefix of the frozen CLIP parameters, which never change and are not saved

Measure = Callable[[], tuple[float, Mapping[str, float]]]


class WeightAverage:
    """Exponential moving average of the parameters of both streams; the frozen CLIP is excluded.

    The decay is the share of the old average that an update retains. After n updates, the decay is
    at most (1 + n) / (10 + n), so that the random initial parameters soon lose their influence.
    Batch-norm running statistics are averaged too; integer step counters are copied.
    """

    def __init__(self, model: DWCModel, decay: float) -> None:
        """Initialize the average with the current parameters of the model.

        Args:
            model: The model whose parameters are averaged, already on the device of the training.
            decay: Largest share of the old average that an update retains, in [0, 1).
        """
        self._model = model
        self._streams = nn.ModuleDict(
            {name: stream for name in _STREAMS if (stream := getattr(model, name)) is not None}
        )

        def follow(averaged: Any, current: Any, updates: Any) -> None:
            count = int(updates)
            rate = 1 - min(decay, (1 + count) / (10 + count))
            if averaged[0].is_floating_point():
                torch._foreach_lerp_(averaged, current, rate)
            else:
                for average, value in zip(averaged, current, strict=True):
                    average.copy_(value)

        self._average = AveragedModel(self._streams, multi_avg_fn=follow, use_buffers=True)

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the model's current parameters."""
        self._average.update_parameters(self._streams)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the averaged parameters, and its own again after the `with` block."""
        averaged = dict(cast(nn.ModuleDict, self._average.module).items())
        try:
            for name, stream in averaged.items():
                setattr(self._model, name, stream)
            yield
        finally:
            for name, stream in self._streams.items():
                setattr(self._model, name, stream)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged parameters and the number of updates, by name."""
        return self._average.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load averaged parameters and the number of updates that `state_dict` returned."""
        self._average.load_state_dict(state)


class EpochSelection:
    """Callback that evaluates the model after given epochs and saves the best epoch's parameters.

    The callback also updates the moving average of the parameters, if there is one. Its folder
    contains `epochs.jsonl`, with one line per evaluated epoch, and `best.safetensors`, the
    parameters of the best epoch so far. A resumed run selects the same epoch as an uninterrupted
    one, because earlier evaluations are loaded from the folder and the first of several equally
    good epochs is selected.
    """

    def __init__(
        self,
        model: DWCModel,
        measure: Measure,
        epochs: range,
        steps_per_epoch: int,
        folder: Path,
        accelerator: Accelerator,
        average: WeightAverage | None = None,
    ) -> None:
        """Create the callback and load evaluations of an interrupted run from the folder.

        Args:
            model: The model in training.
            measure: Function without arguments that evaluates the model. It returns a score (higher
                is better) and the metrics by name.
            epochs: Numbers of finished epochs after which the model is evaluated.
            steps_per_epoch: Number of training steps in an epoch.
            folder: Folder for the history and the best parameters.
            accelerator: The accelerator of this training stage.
            average: Moving average of the parameters, evaluated and saved instead of the model's
                current parameters; None to use the current ones.
        """
        self._model, self._measure, self._average = model, measure, average
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._folder, self._accelerator = folder, accelerator
        self._lines = _read_history(folder / _HISTORY)
        self._best = _read_score(folder / _BEST)
        self.seconds = 0.0
        """Seconds spent on evaluation since this object was created."""

    @property
    def history(self) -> list[dict[str, float]]:
        """Metrics of every evaluated epoch, in order of epochs."""
        return [self._lines[epoch] for epoch in sorted(self._lines)]

    def before_step(self, step: int) -> None:
        """Evaluate the model before the first step of an epoch; do nothing before other steps."""
        epoch, rest = divmod(step, self._steps_per_epoch)
        if rest == 0:
            self.measure_epoch(epoch)

    def after_step(self, done: int) -> None:
        """Update the moving average of the parameters, if there is one."""
        if self._average is not None:
            self._average.update()

    def measure_epoch(self, epoch: int) -> None:
        """Evaluate the model after `epoch` finished epochs, and save its parameters if it is best.

        Nothing happens if this epoch is not to be evaluated or has been evaluated already.
        """
        if epoch not in self._epochs or epoch in self._lines:
            return
        start = time.monotonic()
        with nullcontext() if self._average is None else self._average.in_place():
            self._model.eval()
            score, numbers = self._measure()
            is_best = self._best is None or score > self._best
            if is_best and self._accelerator.is_main_process:
                self._write_best(epoch, score)
        self._model.train()
        self._best = score if is_best else self._best
        step = epoch * self._steps_per_epoch
        self._lines[epoch] = {"epoch": epoch, "step": step, "score": score, **numbers}
        self._accelerator.log({f"selection/{name}": n for name, n in numbers.items()}, step=step)
        self.seconds += time.monotonic() - start
        if not self._accelerator.is_main_process:
            return
        lines = "".join(json.dumps(line) + "\n" for line in self.history)
        write_text(self._folder / _HISTORY, lines)
        listed = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        logger.info("after epoch %d: %s%s", epoch, listed, ", the best so far" if is_best else "")

    def load_best(self) -> int:
        """Load the best epoch's parameters into the model.

        Call this method on every process, after all processes have evaluated the last epoch.

        Returns:
            The number of finished epochs after which these parameters were saved.

        Raises:
            RuntimeError: the saved parameters belong to a different model.
        """
        file = self._folder / _BEST
        with safe_open(file, "pt") as tensors:
            epoch = int(tensors.metadata()["epoch"])
        unloaded = self._model.load_state_dict(load_file(file), strict=False)
        missing = [name for name in unloaded.missing_keys if not name.startswith(_FROZEN)]
        if missing or unloaded.unexpected_keys:
            raise RuntimeError(f"{file} is of another model: {missing + unloaded.unexpected_keys}")
        return epoch

    def _write_best(self, epoch: int, score: float) -> None:
        weights = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in self._model.state_dict().items()
            if not name.startswith(_FROZEN)
        }
        metadata = {"epoch": str(epoch), "score": repr(score)}
        with (
            reporting_full_disk(self._folder, "the best weights"),
            atomic_path(self._folder / _BEST) as partial,
        ):
            save_file(weights, partial, metadata)


def _read_history(file: Path) -> dict[int, dict[str, float]]:
    if not file.is_file():
        return {}
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return {int(line["epoch"]): line for line in lines}


def _read_score(file: Path) -> float | None:
    if not file.is_file():
        return None
    with safe_open(file, "pt") as tensors:
        return float(tensors.metadata()["score"])
