"""The loop that all training stages run in: steps, schedule, log, saved states, resumption.

A stage's data is a function of the step number, so a run that was killed and continues from its
last saved state sees the same batches, and ends in the same weights, as an uninterrupted one.
`OptimizerStep` is what most stages' steps share: AdamW, warm-up and cosine, gradient clipping.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dwc.progress import progress_bar
from dwc.training.run_dir import append_log, find_state, save_state

logger = logging.getLogger(__name__)

StepFunction = Callable[[int], Mapping[str, float]]


@dataclass(frozen=True)
class LoopSettings:
    """Length of a stage and what it writes.

    Attributes:
        total_steps: Steps of the stage.
        folder: Where the state (`folder/<stage>`) and the log (`folder/<stage>.jsonl`) go; None
            writes neither.
        save_every: Steps between two saved states.
        log_every: Steps between two log lines.
    """

    total_steps: int
    folder: Path | None = None
    save_every: int = 500
    log_every: int = 50


class Callback(Protocol):
    """Called between steps, to evaluate or to average weights."""

    def before_step(self, step: int) -> None:
        """Called before a step; after a resumption, also before the step that it continues with."""

    def after_step(self, done: int) -> None:
        """Called after `done` steps, before a state is saved: the state includes its changes."""


@dataclass
class _StepCounter:
    """The number of finished steps, in a form that accelerate saves with a state."""

    done: int = 0

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.done = int(state["done"])


def cosine_with_warmup(total_steps: int, warmup_steps: int) -> Callable[[int], float]:
    """Return the learning rate's factor by step: linear warm-up, then half a cosine to 0."""

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
    """Run a stage to its end, from its last saved state if there is one.

    Means over `log_every` steps go to the log, to the accelerator's trackers and, as JSON lines, to
    `folder/<stage>.jsonl`.

    Args:
        stage: The name of the stage, and of its files.
        accelerator: A new one for each stage; all that is trained went through its `prepare`.
        step_function: Does one step, optimizer included, and returns numbers to log.
        settings: Length, folder and intervals.
        callback: Called between steps.

    Returns:
        The last means logged; empty if no step was left to do.

    Raises:
        FloatingPointError: a number that a step returned is not finite.
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
    """Length and optimizer of a stage: AdamW with warm-up and cosine.

    Attributes:
        total_steps: Steps of the stage; the cosine reaches 0 there.
        learning_rate: After the warm-up.
        weight_decay: Of parameter groups that have none of their own.
        warmup_steps: Part of `total_steps`.
        max_gradient_norm: Longer gradients are clipped to this length.
    """

    total_steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    max_gradient_norm: float = 1.0


class OptimizerStep:
    """A module with its AdamW and schedule under an accelerator; call it with a loss.

    Their state is saved with the accelerator's, which must be a new one for each stage.

    Attributes:
        module: The module given, prepared and in training mode.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: AdamWSettings,
        accelerator: Accelerator,
        groups: list[dict[str, Any]] | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        """Prepare module and optimizer.

        Args:
            module: What is trained.
            settings: Rate, decay, schedule and clipping.
            accelerator: The stage's own.
            groups: The optimizer's parameter groups; one of all trainable parameters by default.
            betas: AdamW's.
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
        """Do one optimizer step on a loss."""
        self._optimizer.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self.module.parameters(), self._max_norm)
        self._optimizer.step()
        self._schedule.step()


def decay_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Return parameter groups in which norms, biases and scales have no weight decay."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
