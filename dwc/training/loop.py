"""The loop that every training stage runs in: steps, a schedule, a log, a way back after a kill.

A stage is a function of the step's number, and so is its data: a run that was killed and goes on
from its last saved state sees the same batches, and ends in the same weights, as one that was not.

What every stage's step shares but its loss: AdamW, a warm-up and a cosine, clipped gradients.
"""

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

logger = logging.getLogger(__name__)

StepFunction = Callable[[int], Mapping[str, float]]


@dataclass(frozen=True)
class LoopSettings:
    """How long a stage runs and what it leaves behind.

    `save_every` and `log_every` count steps; a state is kept in `folder/<stage>` (None keeps none).
    """

    total_steps: int
    folder: Path | None = None
    save_every: int = 500
    log_every: int = 50


class Callback(Protocol):
    """Looks on between steps: to measure, to average weights."""

    def before_step(self, step: int) -> None:
        """Called before a step; again, after a resumption, before the step it goes on with."""

    def after_step(self, done: int) -> None:
        """Called once `done` steps are done, before a state is saved: what it changes is in it."""


@dataclass
class _Progress:
    """The one number that accelerate keeps beside weights, optimisers and random states."""

    done: int = 0

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.done = int(state["done"])


def cosine_with_warmup(total_steps: int, warmup_steps: int) -> Callable[[int], float]:
    """Factor of the learning rate by step: linear up over the warm-up, then half a cosine to 0."""

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
    watcher: Callback | None = None,
) -> dict[str, float]:
    """Run a stage to its end, from its last saved state if there is one.

    `step_function(step)` does one step, optimiser included, and returns numbers to log. Everything
    it trains must have been through `accelerator.prepare`. Logs means over `log_every` steps to the
    logger, to the accelerator's trackers and, as JSON lines, to `folder/<stage>.jsonl`. Returns the
    last means logged.
    """
    progress = _Progress()
    accelerator.register_for_checkpointing(progress)
    state_folder = settings.folder / stage if settings.folder else None
    saved = _find_state(state_folder) if state_folder else None
    if saved:
        accelerator.load_state(str(saved))
        logger.info("%s: goes on after step %d", stage, progress.done)

    means: dict[str, float] = {}
    sums: dict[str, float] = {}
    first, began = progress.done, time.monotonic()
    for step in range(first, settings.total_steps):
        if watcher:
            watcher.before_step(step)
        for name, value in step_function(step).items():
            if not math.isfinite(value):
                raise FloatingPointError(f"{stage}: {name} is {value} at step {step}")
            sums[name] = sums.get(name, 0.0) + value
        progress.done = step + 1
        if watcher:
            watcher.after_step(progress.done)
        since_log = (progress.done - first) % settings.log_every or settings.log_every
        if since_log == settings.log_every or progress.done == settings.total_steps:
            means = {name: total / since_log for name, total in sums.items()}
            sums = {}
            seconds = time.monotonic() - began
            left = seconds / (progress.done - first) * (settings.total_steps - progress.done)
            _log(stage, accelerator, settings, progress.done, means, seconds, left)
        if state_folder and progress.done % settings.save_every == 0:
            _save(accelerator, state_folder)
    if state_folder and first < settings.total_steps:
        _save(accelerator, state_folder)
    return means


def _find_state(folder: Path) -> Path | None:
    """The last state that is whole: a kill may have come at any point of `_save`."""
    candidates = (folder, _beside(folder, "fresh"), _beside(folder, "outdated"))
    return next((state for state in candidates if (state / "complete").exists()), None)


def _beside(folder: Path, kind: str) -> Path:
    return folder.with_name(f"{folder.name}.{kind}")


def _save(accelerator: Accelerator, folder: Path) -> None:
    """Save beside the last state, and put it away only when the new one is whole."""
    fresh, outdated = _beside(folder, "fresh"), _beside(folder, "outdated")
    if accelerator.is_main_process:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(fresh))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (fresh / "complete").touch()
        shutil.rmtree(outdated, ignore_errors=True)
        if folder.exists():
            folder.rename(outdated)
        fresh.rename(folder)
        shutil.rmtree(outdated, ignore_errors=True)
    accelerator.wait_for_everyone()


def _log(
    stage: str,
    accelerator: Accelerator,
    settings: LoopSettings,
    done: int,
    means: Mapping[str, float],
    seconds: float,
    left: float,
) -> None:
    accelerator.log(dict(means), step=done)
    if not accelerator.is_main_process:
        return
    numbers = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
    logger.info(
        "%s %d/%d  %s  %.0f s, %.0f s left",
        stage,
        done,
        settings.total_steps,
        numbers,
        seconds,
        left,
    )
    if settings.folder:
        settings.folder.mkdir(parents=True, exist_ok=True)
        line = {"step": done, "seconds": round(seconds, 1)}
        line |= {name: round(value, 5) for name, value in means.items()}
        with (settings.folder / f"{stage}.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")


class OptimizerSettings(Protocol):
    """What a stage's own settings say of its optimiser."""

    @property
    def total_steps(self) -> int:
        """The cosine ends there, at 0."""

    @property
    def learning_rate(self) -> float:
        """After the warm-up."""

    @property
    def weight_decay(self) -> float:
        """Of a group that does not say its own."""

    @property
    def warmup_steps(self) -> int:
        """Within `total_steps`."""

    @property
    def max_gradient_norm(self) -> float:
        """Longer gradients are cut to this length."""


class OptimizerStep:
    """A module under an accelerator, with its optimiser and schedule.

    `module` is what was given, prepared and in training mode. Its state is saved and found again
    with the accelerator's own, which must be a fresh one for every stage.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: OptimizerSettings,
        accelerator: Accelerator,
        groups: list[dict[str, Any]] | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        """`groups`, by default one of all that requires gradients, are the optimiser's."""
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(
            groups or [{"params": trained}],
            lr=settings.learning_rate,
            betas=betas,
            weight_decay=settings.weight_decay,
        )
        factor = cosine_with_warmup(settings.total_steps, settings.warmup_steps)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        self._accelerator, self._max_norm = accelerator, settings.max_gradient_norm
        prepared: Any = accelerator.prepare(module, optimiser)
        self.module, self._optimiser = prepared
        accelerator.register_for_checkpointing(self._schedule)
        self.module.train()

    def learn(self, loss: Tensor) -> None:
        """One step down a loss."""
        self._optimiser.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self.module.parameters(), self._max_norm)
        self._optimiser.step()
        self._schedule.step()


def decay_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups in which norms, biases and scales do not decay."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
