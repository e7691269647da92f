"""Training loop of all stages, with logging and resuming; also its accelerator and optimizer.

The batches of a stage depend only on the step number. A run that resumes from its last saved state
therefore gets the same batches and ends with the same parameters as an uninterrupted run.
`OptimizerStep` implements the optimizer of most stages: AdamW with a warm-up and cosine schedule of
the learning rate, and gradient clipping. `new_accelerator` connects the processes of a training
run.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn

from dwc.progress import progress_bar
from dwc.training.run_dir import append_log, find_state, save_state

logger = logging.getLogger(__name__)

StepFunction = Callable[[int], Mapping[str, float]]


@dataclass(frozen=True)
class LoopSettings:
    """Length of a training stage, and where and how often it saves its state and log lines.

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
    """Object that the loop calls between steps, for example to evaluate or average the model."""

    def before_step(self, step: int) -> None:
        """Handle the start of a step.

        Args:
            step: Number of the step, from 0. A resumed run does not start with 0.
        """

    def after_step(self, done: int) -> None:
        """Handle the end of a step.

        The loop calls this method before it saves its state, so the saved state includes changes
        made here.

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

    The factor increases linearly to 1 in `warmup_steps`, then falls along half a cosine to 0 at
    `total_steps`.
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

    Every `log_every` steps, the means of the numbers that the steps returned since the last log
    line are shown in the progress bar (in the Python log if there is no terminal), sent to the
    accelerator's trackers, and appended as a JSON line to `folder/<stage>.jsonl`.

    Args:
        stage: Name of the stage and of its files.
        accelerator: A new accelerator for this stage, with all trained modules and optimizers
            already passed to its `prepare`.
        step_function: Performs one training step, including the optimizer's, and returns named
            numbers to log.
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
        total_steps: Number of steps of the stage; the learning rate reaches 0 after the last.
        learning_rate: Learning rate at the end of the warm-up.
        weight_decay: Weight decay of parameter groups that define none of their own.
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
    """Return an accelerator that connects all processes of a training run, even without a GPU.

    Args:
        **options: Arguments of `Accelerator` other than `cpu`.
    """
    return Accelerator(cpu=_trains_on_cpu(), **options)


def launched_processes() -> PartialState:
    """Return accelerate's record of the training's processes: their number and this one's index.

    The processes are connected like those of `new_accelerator`.
    """
    return PartialState(cpu=_trains_on_cpu())


def _trains_on_cpu() -> bool:
    """Return whether to train on the CPU, the value of the argument `cpu` of accelerate's classes.

    It must be True if torch cannot connect processes through this machine's accelerator. Otherwise,
    accelerate 1.15.0 treats each process that `torchrun` started as the only process.
    """
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return True
    device = torch.accelerator.current_accelerator(check_available=True)
    is_launched = "LOCAL_RANK" in os.environ
    return device is None or (device.type == "mps" and is_launched)
