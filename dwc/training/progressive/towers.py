"""The step that PL's stages share: AdamW with warm-up and cosine, on whatever a stage trains."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dwc.training.loop import LoopSettings, OptimizerStep, run_stage

Batch = TypeVar("Batch")
Outputs = TypeVar("Outputs")

_LARGEST_SCALE = 100.0  # as CLIP's training clips it


@dataclass(frozen=True)
class TowerSettings:
    """How long and how fast a stage learns; `head_learning_rate` is that of what is not a tower.

    The defaults suit towers that start from nothing. A CLIP of the Hub wants about 1e-5.
    """

    total_steps: int
    learning_rate: float = 1e-3
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 200
    max_gradient_norm: float = 1.0


class Towers(Protocol):
    """What a stage trains: a CLIP, or one that reads pictures kept (`kept.KeptTowers`)."""

    logit_scale: nn.Parameter

    def image_features(self, pixel_values: Tensor, /) -> Tensor:
        """Pictures -> (N, F)."""

    def text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, /) -> Tensor:
        """Token ids (N, L) and their mask -> (N, F)."""

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """As of a module."""

    def eval(self) -> Any:
        """As of a module."""


def cosine_scale(clip: Towers) -> Tensor:
    """What multiplies cosines in a softmax: CLIP's own learned scale, at most 100."""
    return clip.logit_scale.exp().clamp(max=_LARGEST_SCALE)


def train_towers(
    stage: str,
    module: nn.Module,
    batches: Callable[[int], Batch],
    judge: Callable[[Outputs, Batch], tuple[Tensor, dict[str, float]]],
    settings: TowerSettings,
    accelerator: Accelerator,
    loop: LoopSettings,
) -> dict[str, float]:
    """Train `module`, whose `clip` holds the towers, in place, from its last saved state if any.

    `module(batch)` gives the outputs of a batch (a dataclass of tensors, or of lists and dicts of
    them), `judge(outputs, batch)` their loss and numbers to log. Runs in `run_stage`, which see.
    The accelerator must be a fresh one, since its saved state holds all that it was given. Raises
    ValueError where nothing is left to train.
    """
    groups = parameter_groups(module, settings)
    if not groups:
        raise ValueError(f"{stage}: nothing to train; let the towers train, or add a weigher.")
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = OptimizerStep(module, settings, accelerator, groups, betas=(0.9, 0.98))

    def step(number: int) -> dict[str, float]:
        batch = _moved(batches(number), accelerator.device)
        # On CPUs the fused attention's backward pass takes four times as long as the plain one.
        with accelerator.autocast(), sdpa_kernel(SDPBackend.MATH):
            outputs = learner.module(batch)
        loss, numbers = judge(outputs, batch)
        learner.learn(loss)
        return {"loss": float(loss.detach()), **numbers}

    return run_stage(stage, accelerator, step, loop)


def _moved(batch: Any, device: torch.device) -> Any:
    """A batch, a dataclass, with all its tensors on the device."""
    return replace(batch, **send_to_device(vars(batch), device, non_blocking=True))


def parameter_groups(module: nn.Module, settings: TowerSettings) -> list[dict[str, Any]]:
    """What learns in a stage's module, for the optimiser: its `clip` and the rest at their rates.

    Norms, biases and scales do not decay.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            kind = (name.startswith("clip."), parameter.ndim > 1)
            groups.setdefault(kind, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate if is_tower else settings.head_learning_rate,
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (is_tower, decays), parameters in groups.items()
    ]
