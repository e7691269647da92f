"""The study's numbers, on one screen.

What the study keeps: a pool, and questions to two galleries, as frozen towers made them.

Computing what the study keeps: every picture and text goes through the frozen towers once.
"""

import hashlib
import json
import os
import random
import shutil
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dwc.catalogue.splits import training_triplets
from dwc.checkpoints.load import Checkpoint
from dwc.errors import TrainingError
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.training.catalogue.drawn_pool import PoolSettings, draw_pool
from dwc.training.catalogue.eval_set import CachedEvalSet, cache_eval_set
from dwc.training.catalogue.recipe import PICTURE_PX, CatalogueRecipe
from dwc.training.dwc.mutual_training import MutualSettings
from dwc.training.feature_cache import (
    CachedImages,
    CachedPool,
    CachedTexts,
    cache_image_features,
    cache_text_features,
)


def _bundled() -> MutualSettings:
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


_TENSORS, _COMPLETE = "features.pt", "complete.json"


@dataclass(frozen=True)
class StudyFeatures:
    """All of it. `noise` (T,) in [0, 1) says which of the pool's wishes go wrong first.

    `config` is that of the checkpoint whose towers are kept.
    """

    config: DWCConfig
    pool: CachedPool
    noise: Tensor
    test: CachedEvalSet
    val: CachedEvalSet

    def pool_with(self, wrong_share: float) -> CachedPool:
        """The pool where a share (0 to 1) of the triplets carries another triplet's wish.

        It is that of the triplet before, as the catalogue's own dial has it; what is wrong at a
        smaller share is wrong at a larger one, too.
        """
        if wrong_share == 0:
            return self.pool
        own = torch.arange(len(self.noise))
        said = torch.where((self.noise < wrong_share) & (own > 0), own - 1, own)
        wishes = self.pool.wishes
        mixed = CachedTexts(wishes.features[said], wishes.words[said], wishes.lengths[said])
        return replace(self.pool, wishes=mixed)


def save_features(features: StudyFeatures, folder: Path) -> None:
    """Write into a folder beside first, and move it in when it is whole."""
    fresh = folder.with_name(f"{folder.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    features.config.save_pretrained(fresh)
    torch.save(_as_tensors(features), fresh / _TENSORS)
    (fresh / _COMPLETE).write_text(json.dumps({"triplets": len(features.noise)}) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a whole one."""
    return (folder / _COMPLETE).is_file()


def load_features(folder: Path) -> StudyFeatures:
    """Read back what `write` wrote; the tensors stay on disk until they are used."""
    found = torch.load(folder / _TENSORS, mmap=True, weights_only=True)
    pool = found["pool"]
    pictures = CachedImages(pool["pictures"]["rows"], tuple(pool["pictures"]["map_shape"]))
    return StudyFeatures(
        config=DWCConfig.from_pretrained(folder),
        pool=CachedPool(
            pictures,
            pool["references"],
            pool["targets"],
            CachedTexts(**pool["wishes"]),
            CachedTexts(**pool["descriptions"]),
        ),
        noise=found["noise"],
        test=_questions(found["test"]),
        val=_questions(found["val"]),
    )


def _questions(found: dict[str, Any]) -> CachedEvalSet:
    return CachedEvalSet(**{**found, "texts": CachedTexts(**found["texts"])})


def _as_tensors(part: Any) -> Any:
    """A dataclass as a dict of tensors, dicts and tuples; the config, which has a file, is out."""
    if isinstance(part, (Tensor, tuple)):
        return part
    return {
        field.name: _as_tensors(getattr(part, field.name))
        for field in fields(part)
        if field.name != "config"
    }


_SEED = 0  # of views, triplets and descriptions: what is kept is the same for every run


def cache_features(
    settings: StudySettings, checkpoint: Checkpoint, work: Path, drawings: Path
) -> Path:
    """Keep all that the study needs, unless it is kept already; the folder it is in.

    Drawings go to `drawings`, which may hold them. TrainingError for a checkpoint that lacks a
    stream, or does not read drawings of the catalogue's size.
    """
    folder = work / f"features-{settings.kept_name(checkpoint.fingerprint)}"
    if is_complete(folder):
        return folder
    _require_catalogue_model(checkpoint)
    model, processor = checkpoint.model, checkpoint.processor
    pool = draw_pool(settings.pool, drawings, workers=os.cpu_count() or 1)
    triplets = list(training_triplets(pool.items, _SEED, settings.triplets))
    looking = work / "looking"
    pictures = cache_image_features(model, pool, settings.views, _SEED, looking)
    kept = cache_text_features(model, processor, pictures, pool, triplets, _SEED, looking)
    dial = random.Random(f"noise|{_SEED}")
    features = StudyFeatures(
        config=model.config,
        pool=kept,
        noise=torch.tensor([dial.random() for _ in triplets], dtype=torch.float64),
        test=cache_eval_set(model, processor, "test", settings.gallery, settings.queries),
        val=cache_eval_set(model, processor, "val", settings.gallery, settings.queries),
    )
    save_features(features, folder)
    shutil.rmtree(looking)
    return folder


def _require_catalogue_model(checkpoint: Checkpoint) -> None:
    model = checkpoint.model
    if model.clip is None or model.cnn_stream is None:
        raise TrainingError(
            f"{checkpoint.name} lacks a stream; the study takes a DWC checkpoint with both."
        )
    size_px = model.clip.config.vision_config.image_size
    if size_px != PICTURE_PX:
        raise TrainingError(
            f"{checkpoint.name} reads pictures of {size_px} pixels; the study is of models for the "
            f"catalogue's {PICTURE_PX}."
        )
