"""The study's numbers, on one screen."""

import hashlib
import json
from dataclasses import asdict, dataclass, field

from dwc.training.alternating import AlternatingSettings
from dwc.training.pool import PoolSettings
from dwc.training.recipe import CatalogueRecipe


def _bundled() -> AlternatingSettings:
    """The bundled checkpoint's own settings."""
    return CatalogueRecipe().alternating


@dataclass(frozen=True)
class StudySettings:
    """How much is kept, how long a variant learns, and how often; the same for all variants.

    `views` random views of every picture are kept. `cnn_hidden_dim` is that of the study's CNN
    stream, smaller than the bundled one's. `fashion_steps` are PL's stage two, `steps` all else;
    `learning_rate` is DWC's and the baselines', `pl_learning_rate` PL's.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    pool: PoolSettings = field(default_factory=PoolSettings)
    views: int = 2
    triplets: int = 120_000
    gallery: int = 2_000
    queries: int = 6_000
    steps: int = 400
    fashion_steps: int = 200
    batch: int = 128
    learning_rate: float = 6e-3
    pl_learning_rate: float = 1e-3
    warmup_steps: int = 50
    temperature: float = field(default_factory=lambda: _bundled().temperature)
    alpha: float = field(default_factory=lambda: _bundled().alpha)
    cnn_hidden_dim: int = 96
    mixed_precision: str = "bf16"
    wrong_texts: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4)

    def kept_name(self, fingerprint: str) -> str:
        """12 hex digits of all that decides what is kept."""
        names = ("pool", "views", "triplets", "gallery", "queries")
        return _digest([fingerprint, {name: asdict(self)[name] for name in names}])

    def run_name(self, fingerprint: str) -> str:
        """12 hex digits of all that decides a run's numbers, but its variant and seed."""
        left_out = ("seeds", "wrong_texts")
        said = {name: value for name, value in asdict(self).items() if name not in left_out}
        return _digest([fingerprint, said])


def _digest(described: object) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
