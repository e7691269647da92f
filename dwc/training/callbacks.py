"""Callbacks of the loop: a moving average of the weights, and the choice of the best epoch."""

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
_FROZEN = "clip."  # the frozen CLIP does not change, so it is not written with every best epoch

Measure = Callable[[], tuple[float, Mapping[str, float]]]


class WeightAverage:
    """Exponential moving average of both streams' weights; the frozen CLIP needs none.

    After n updates the decay is at most (1 + n) / (10 + n), so that the random initial weights are
    soon forgotten. Running statistics of batch norms are averaged, counters copied.
    """

    def __init__(self, model: DWCModel, decay: float) -> None:
        """Start from the model's weights; the model must be on its device already.

        Args:
            model: The model to follow.
            decay: The decay of a step, in [0, 1).
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
        """Add the current weights to the average."""
        self._average.update_parameters(self._streams)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Replace the model's streams by the averaged ones within the block."""
        averaged = dict(cast(nn.ModuleDict, self._average.module).items())
        try:
            for name, stream in averaged.items():
                setattr(self._model, name, stream)
            yield
        finally:
            for name, stream in self._streams.items():
                setattr(self._model, name, stream)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages and the number of updates."""
        return self._average.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved state."""
        self._average.load_state_dict(state)


class EpochSelection:
    """Measures epochs, keeps the best epoch's weights, and updates the average after each step.

    Its folder holds `epochs.jsonl`, a line for each measured epoch, and the weights of the best so
    far. An epoch measured before a kill is not measured again, and of equal epochs the first wins:
    a run that was killed chooses like an uninterrupted one.
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
        """Read what was measured before.

        Args:
            model: The model that is trained.
            measure: Returns the score of the model as it is, and the numbers behind the score.
            epochs: After how many finished epochs to measure.
            steps_per_epoch: Steps of an epoch.
            folder: Where the history and the best weights go.
            accelerator: The stage's own.
            average: The weights to measure and keep instead of the model's own.
        """
        self._model, self._measure, self._average = model, measure, average
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._folder, self._accelerator = folder, accelerator
        self._lines = _read_history(folder / _HISTORY)
        self._best = _read_score(folder / _BEST)
        self.seconds = 0.0
        """Time spent measuring since this object was made."""

    @property
    def history(self) -> list[dict[str, float]]:
        """The numbers of every measured epoch, in order."""
        return [self._lines[epoch] for epoch in sorted(self._lines)]

    def before_step(self, step: int) -> None:
        """Measure if an epoch begins with this step."""
        epoch, rest = divmod(step, self._steps_per_epoch)
        if rest == 0:
            self.measure_epoch(epoch)

    def after_step(self, done: int) -> None:
        """Update the average."""
        if self._average is not None:
            self._average.update()

    def measure_epoch(self, epoch: int) -> None:
        """Measure the weights after `epoch` finished epochs, if due and not measured before."""
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
        """Load the best weights into the model.

        Call it on every process, after all have measured the last epoch.

        Returns:
            The number of finished epochs that the weights are of.

        Raises:
            RuntimeError: the weights are of another model.
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
