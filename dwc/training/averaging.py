"""An exponential moving average of the weights that are trained."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dwc.modeling.model import DWCModel

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
