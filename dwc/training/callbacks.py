"""An exponential moving average of the weights that are trained.

The best epoch's weights, kept: measured between epochs, whatever kills come in between.
"""

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

from dwc.modeling.modeling_dwc import DWCModel

_STREAMS = ("clip_stream", "cnn_stream")


class WeightAverage:
    """Follows both streams; the frozen CLIP needs no average.

    After n updates the decay is at most (1 + n) / (10 + n), so that the first weights, which know
    nothing, are soon forgotten. Running statistics of batch norms are averaged, counters copied.
    """

    def __init__(self, model: DWCModel, decay: float) -> None:
        """`decay` in [0, 1), by step. The model must be on its device already."""
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
                for own, other in zip(averaged, current, strict=True):
                    own.copy_(other)

        self._average = AveragedModel(self._streams, multi_avg_fn=follow, use_buffers=True)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self._average.update_parameters(self._streams)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it, the model's streams are the averaged ones."""
        averaged = dict(cast(nn.ModuleDict, self._average.module).items())
        try:
            for name, stream in averaged.items():
                setattr(self._model, name, stream)
            yield
        finally:
            for name, stream in self._streams.items():
                setattr(self._model, name, stream)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages, and how many updates they are of."""
        return self._average.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state."""
        self._average.load_state_dict(state)


logger = logging.getLogger(__name__)

_BEST, _HISTORY = "best.safetensors", "epochs.jsonl"
_FROZEN = "clip."  # comes from where the training took it; not written again with every best epoch

Measure = Callable[[], tuple[float, Mapping[str, float]]]


class EpochSelection:
    """Looks on between steps: follows the average of the weights, measures epochs, keeps the best.

    What it keeps is in `folder`: `epochs.jsonl`, a line for each epoch measured, and the weights of
    the best so far. An epoch that was measured before a kill is not measured again, and of equals
    the first is kept: so a training that was killed chooses as one that was not.
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
        """`measure` gives the score of the model as it stands, and the numbers behind it.

        `epochs` are those to measure, by how many whole ones are done.
        """
        self._model, self._measure, self._average = model, measure, average
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._folder, self._accelerator = folder, accelerator
        self._lines = _read_history(folder / _HISTORY)
        self._best = _read_score(folder / _BEST)
        self.seconds = 0.0
        """What measuring took since this object was made."""

    @property
    def history(self) -> list[dict[str, float]]:
        """The numbers of every epoch measured, in order."""
        return [self._lines[epoch] for epoch in sorted(self._lines)]

    def before_step(self, step: int) -> None:
        """Measure where an epoch begins."""
        epoch, rest = divmod(step, self._steps_per_epoch)
        if rest == 0:
            self.consider(epoch)

    def after_step(self, done: int) -> None:
        """Follow the weights."""
        if self._average is not None:
            self._average.update()

    def consider(self, epoch: int) -> None:
        """Measure the weights after `epoch` whole epochs, if they are to be and were not yet."""
        if epoch not in self._epochs or epoch in self._lines:
            return
        began = time.monotonic()
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
        self.seconds += time.monotonic() - began
        if not self._accelerator.is_main_process:
            return
        _replace(self._folder / _HISTORY, self._write_history)
        told = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        logger.info("after epoch %d: %s%s", epoch, told, ", the best so far" if is_best else "")

    def load_best(self) -> int:
        """Put the best weights into the model; after how many epochs it had them.

        Call it on every process, once all have measured the last epoch.
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
        told = {"epoch": str(epoch), "score": repr(score)}
        _replace(self._folder / _BEST, lambda file: save_file(weights, file, told))

    def _write_history(self, file: Path) -> None:
        file.write_text("".join(json.dumps(line) + "\n" for line in self.history))


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name first: a kill leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.fresh")
    write(fresh)
    fresh.replace(file)


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
