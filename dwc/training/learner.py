"""What every stage's step shares but its loss: AdamW, a warm-up and a cosine, clipped gradients."""

from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dwc.training.loop import cosine_with_warmup


class LearnerSettings(Protocol):
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


class Learner:
    """A module under an accelerator, with its optimiser and schedule.

    `module` is what was given, prepared and in training mode. Its state is saved and found again
    with the accelerator's own, which must be a fresh one for every stage.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: LearnerSettings,
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


def without_decay_of_vectors(module: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups in which norms, biases and scales do not decay."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
