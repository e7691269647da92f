"""A recipe cut to a share of its steps and drawings, for a quick trial."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from dwc.training.pool import PoolSettings

Settings = TypeVar("Settings", bound=Any)

_FEWEST_ITEMS = 600
_FEWEST_TRIPLETS = 1_000


@dataclass(frozen=True)
class Shortening:
    """Takes a `share`, above 0 and at most 1, of what a recipe says; ValueError outside."""

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; it must be above 0 and at most 1")

    def part(self, number: int) -> int:
        """The share of a number, at least 1."""
        return max(1, round(number * self.share))

    def steps(self, settings: Settings) -> Settings:
        """A stage's settings with the share of its `total_steps` and `warmup_steps`."""
        return replace(
            settings,
            total_steps=self.part(settings.total_steps),
            warmup_steps=self.part(settings.warmup_steps),
        )

    def pool(self, pool: PoolSettings) -> PoolSettings:
        """The share of the drawings, and as many as triplets can be found in."""
        return replace(pool, items=max(_FEWEST_ITEMS, self.part(pool.items)))

    def triplets(self, count: int) -> int:
        """The share of the triplets, and as many as a batch or two need."""
        return max(_FEWEST_TRIPLETS, self.part(count))
