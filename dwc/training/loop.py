"""Training loop of all stages, with logging, saved states, an optimizer, and epoch selection.

The batches of a stage depend only on the step number. A run that resumes from its last saved state
therefore gets the same batches and ends with the same parameters as an uninterrupted run.
`OptimizerStep` implements the optimizer of most stages: AdamW with a warm-up and cosine schedule of
the learning rate, and gradient clipping. `new_accelerator` connects the processes of a training
run. `WeightAverage` is a moving average of the parameters. The callback `EpochSelection` selects
the best epoch. `cpu_precision` and `autocast_bfloat16` choose bfloat16 where the processor is made
for it, and float32 elsewhere.
"""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dwc.files import atomic_path, write_text
from dwc.modeling.modeling_dwc import DWCModel
from dwc.progress import progress_bar
from dwc.training.run_dir import append_log, find_state, reporting_full_disk, save_state


@cache
def has_fast_bfloat16(device_type: str) -> bool:
    """Return whether a device computes about as fast in bfloat16 as in float32, or faster.

    PyTorch computes in bfloat16 on any CPU. On an AMD EPYC without AVX-512, however, a training
    step of convolutions takes 8 times as long as in float32, and one of linear layers 9 times
    (torch 2.13.0). Other CPUs without these instructions are assumed to be as slow.

    Args:
        device_type: The type of the device, such as "cpu" or "cuda".
    """
    if device_type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device_type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def autocast_bfloat16(device_type: str = "cpu", enabled: bool = True) -> torch.autocast:
    """Return a context in which PyTorch computes in bfloat16 if the device is fast at it.

    Args:
        device_type: The type of the device, such as "cpu" or "cuda".
        enabled: False to compute in float32 on any device.
    """
    is_enabled = enabled and has_fast_bfloat16(device_type)
    return torch.autocast(device_type, torch.bfloat16, enabled=is_enabled)


def cpu_precision(precision: str) -> str:
    """Return the precision of a training on the CPU, in accelerate's terms: "no" is float32.

    Args:
        precision: The requested precision, such as "bf16". "no" replaces "bf16" if the CPU is slow
            in bfloat16.
    """
    return "no" if precision == "bf16" and not has_fast_bfloat16("cpu") else precision


logger = logging.getLogger(__name__)

StepFunction = Callable[[int], Mapping[str, float]]


@dataclass(frozen=True)
class LoopSettings:
    """Length of a training stage, folder of its state and log, and intervals of saving and logging.

    Attributes:
        total_steps: Number of steps of the stage.
        folder: Folder of the saved state (`folder/<stage>`) and the log (`folder/<stage>.jsonl`);
            None to write neither.
        save_every: Number of steps between two saved states.
        log_every: Number of steps between two log lines.
    """

    total_steps: int
    folder: Path | None = None
    save_every: int = 500
    log_every: int = 50


class Callback(Protocol):
    """Object whose methods the training loop calls before and after each step.

    For example, a callback can evaluate the model or average its parameters.
    """

    def before_step(self, step: int) -> None:
        """Handle the start of a step; the loop calls this method before each step.

        Args:
            step: Index of the step, from 0. A resumed run does not start with 0.
        """

    def after_step(self, done: int) -> None:
        """Handle the end of a step.

        If the state of the training is saved after the step, this method is called first, so that
        the saved state includes the changes made here.

        Args:
            done: Number of finished steps.
        """


@dataclass
class _StepCounter:
    """Counter of finished steps that accelerate can save and load with a state."""

    done: int = 0

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.done = int(state["done"])


def cosine_with_warmup(total_steps: int, warmup_steps: int) -> Callable[[int], float]:
    """Return a function that maps a step number to the factor (0 to 1) of the learning rate.

    The factor increases linearly to 1 over the first `warmup_steps` steps. Then it decreases along
    half a cosine and reaches 0 at step `total_steps`.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        share = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    return factor


def run_stage(
    stage: str,
    accelerator: Accelerator,
    step_function: StepFunction,
    settings: LoopSettings,
    callback: Callback | None = None,
) -> dict[str, float]:
    """Run a training stage to its end, resuming from its last saved state if there is one.

    Every `log_every` steps, the numbers that the steps returned since the last log line are
    averaged. The means are shown in the progress bar (or in the Python log if there is no
    terminal), sent to the accelerator's trackers, and appended as a JSON line to
    `folder/<stage>.jsonl`.

    Args:
        stage: Name of the stage and of its files.
        accelerator: A new accelerator for this stage, with all trained modules and optimizers
            already passed to its `prepare`.
        step_function: Function that performs one training step, including the optimizer step, and
            returns the numbers to log by name.
        settings: Length, folder and intervals of the stage.
        callback: Object that is called before and after each step; see `Callback`.

    Returns:
        The content of the last log line: the mean of each number that `step_function` returns, by
        name. Empty if the stage was already finished.

    Raises:
        FloatingPointError: a step returned a number that is not finite.
    """
    counter = _StepCounter()
    accelerator.register_for_checkpointing(counter)
    state_folder = settings.folder / stage if settings.folder else None
    state = find_state(state_folder) if state_folder else None
    if state:
        accelerator.load_state(str(state))
        logger.info("%s: continues after step %d", stage, counter.done)

    means: dict[str, float] = {}
    sums: dict[str, float] = {}
    first, start = counter.done, time.monotonic()
    with progress_bar(settings.total_steps, stage, logger, first, settings.log_every) as bar:
        bar.disable |= not accelerator.is_main_process
        for step in range(first, settings.total_steps):
            if callback:
                callback.before_step(step)
            for name, value in step_function(step).items():
                if not math.isfinite(value):
                    raise FloatingPointError(f"{stage}: {name} is {value} at step {step}")
                sums[name] = sums.get(name, 0.0) + value
            counter.done = step + 1
            if callback:
                callback.after_step(counter.done)
            since_log = (counter.done - first) % settings.log_every or settings.log_every
            if since_log == settings.log_every or counter.done == settings.total_steps:
                means = {name: total / since_log for name, total in sums.items()}
                sums = {}
                numbers = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
                bar.set_postfix_str(numbers, refresh=False)
                _log(stage, accelerator, settings, counter.done, means, time.monotonic() - start)
            bar.update()
            if state_folder and counter.done % settings.save_every == 0:
                save_state(accelerator, state_folder)
    if state_folder and first < settings.total_steps:
        save_state(accelerator, state_folder)
    return means


def _log(
    stage: str,
    accelerator: Accelerator,
    settings: LoopSettings,
    done: int,
    means: Mapping[str, float],
    seconds: float,
) -> None:
    accelerator.log(dict(means), step=done)
    if accelerator.is_main_process and settings.folder:
        rounded = {name: round(value, 5) for name, value in means.items()}
        line = {"step": done, "seconds": round(seconds, 1), **rounded}
        append_log(settings.folder, stage, line)


@dataclass(frozen=True)
class AdamWSettings:
    """Settings of a stage that is trained by AdamW with a warm-up and cosine schedule.

    Attributes:
        total_steps: Number of steps of the stage; the learning rate reaches 0 after the last step.
        learning_rate: Learning rate at the end of the warm-up.
        weight_decay: Weight decay, except for parameter groups that define another one.
        warmup_steps: Number of warm-up steps, included in `total_steps`.
        max_gradient_norm: Gradients with a larger norm are clipped to this norm.
    """

    total_steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    max_gradient_norm: float = 1.0


class OptimizerStep:
    """Callable that takes a loss and performs one AdamW step with gradient clipping.

    A call also advances the learning-rate schedule. The states of module, optimizer and schedule
    become part of the accelerator's saved state, so each stage needs a new accelerator.

    Attributes:
        module: The trained module, prepared by the accelerator and in training mode.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: AdamWSettings,
        accelerator: Accelerator,
        groups: list[dict[str, Any]] | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        """Prepare the module, the optimizer and the schedule.

        Args:
            module: The module to train.
            settings: Learning rate, weight decay, schedule and clipping.
            accelerator: The accelerator of this training stage.
            groups: Parameter groups of the optimizer; by default one group with all trainable
                parameters.
            betas: AdamW's decay rates of the running averages of gradients and squared gradients.
        """
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            groups or [{"params": trained}],
            lr=settings.learning_rate,
            betas=betas,
            weight_decay=settings.weight_decay,
        )
        factor = cosine_with_warmup(settings.total_steps, settings.warmup_steps)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        self._accelerator, self._max_norm = accelerator, settings.max_gradient_norm
        prepared: Any = accelerator.prepare(module, optimizer)
        self.module, self._optimizer = prepared
        accelerator.register_for_checkpointing(self._schedule)
        self.module.train()

    def __call__(self, loss: Tensor) -> None:
        """Backpropagate a loss and perform one optimizer step."""
        self._optimizer.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self.module.parameters(), self._max_norm)
        self._optimizer.step()
        self._schedule.step()


def decay_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Divide a module's trainable parameters into two groups for the optimizer.

    Parameters with at least two dimensions form the first group. All other parameters (norms,
    biases and scales) form the second group, which has no weight decay.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def new_accelerator(**options: Any) -> Accelerator:
    """Return an `Accelerator` that connects all processes of a training run, even without a GPU.

    Args:
        **options: Arguments of `Accelerator` other than `cpu`.
    """
    is_cpu = _trains_on_cpu()
    if is_cpu and "mixed_precision" in options:
        options["mixed_precision"] = cpu_precision(options["mixed_precision"])
    return Accelerator(cpu=is_cpu, **options)


def launched_processes() -> PartialState:
    """Return the number of training processes and the index of this one, as a `PartialState`.

    The call also connects the processes to one another, even without a GPU.
    """
    return PartialState(cpu=_trains_on_cpu())


def _trains_on_cpu() -> bool:
    """Return whether to train on the CPU: the value of the argument `cpu` of accelerate's classes.

    The result is True in these cases:

    - the environment variable ACCELERATE_USE_CPU requests it;
    - the machine has no GPU or similar device;
    - the device is Apple's (MPS) and `torchrun` started the process. torch cannot connect processes
      on MPS, and accelerate 1.15.0 would treat each process as the only one.
    """
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return True
    device = torch.accelerator.current_accelerator(check_available=True)
    is_launched = "LOCAL_RANK" in os.environ
    return device is None or (device.type == "mps" and is_launched)


logger = logging.getLogger(__name__)

_STREAMS = ("clip_stream", "cnn_stream")
_BEST, _HISTORY = "best.safetensors", "epochs.jsonl"
_FROZEN = "clip."  # prefix of the frozen CLIP parameters, which never change and are not saved

Measure = Callable[[], tuple[float, Mapping[str, float]]]


class WeightAverage:
    """Exponential moving average of the parameters of both streams, without the frozen CLIP.

    Each update retains a share of the old average. After n updates, this share is at most
    (1 + n) / (10 + n), so that the random initial parameters soon lose their influence. Running
    statistics of batch norms are also averaged; integer step counters are copied.
    """

    def __init__(self, model: DWCModel, decay: float) -> None:
        """Initialize the average with the current parameters of the model.

        Args:
            model: The model whose parameters are averaged, already on the device of the training.
            decay: Share of the old average that an update retains, in [0, 1). The first updates
                retain less.
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
        """Use the averaged parameters in the `with` block, and the model's own ones after it."""
        averaged = dict(cast(nn.ModuleDict, self._average.module).items())
        try:
            for name, stream in averaged.items():
                setattr(self._model, name, stream)
            yield
        finally:
            for name, stream in self._streams.items():
                setattr(self._model, name, stream)

    def state_dict(self) -> dict[str, Tensor]:
        """Return tensors by name: the averaged parameters and the number of updates."""
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
        """Build the callback, and load the evaluations of an interrupted run from the folder.

        Args:
            model: The model that is trained.
            measure: Function without arguments that evaluates the model. It returns a score (higher
                is better) and the metrics by name.
            epochs: The epochs after which the model is evaluated. The first epoch is 1; 0 stands
                for the start of the training.
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
        """Evaluate the model if the step is the first of an epoch; otherwise do nothing.

        At this time, the model has finished the previous epoch; see `measure_epoch`.
        """
        epoch, rest = divmod(step, self._steps_per_epoch)
        if rest == 0:
            self.measure_epoch(epoch)

    def after_step(self, done: int) -> None:
        """Update the moving average of the parameters, if there is one."""
        if self._average is not None:
            self._average.update()

    def measure_epoch(self, epoch: int) -> None:
        """Evaluate the model after `epoch` epochs; save its parameters if its score is the best.

        Do nothing if `epoch` is not one of the epochs to evaluate or was evaluated already.
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
