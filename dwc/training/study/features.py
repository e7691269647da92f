"""Settings of the study, and its cached features of training data and of two evaluation sets."""

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
from dwc.files import atomic_folder, description_digest, write_json
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
from dwc.training.run_dir import reporting_full_disk

_SEED = 0  # for augmentation, triplets and descriptions; all runs share the cached features
_TENSORS, _COMPLETE = "features.pt", "complete.json"
_FORMAT = 2  # version of the cached features' file format


def _bundled_settings() -> MutualSettings:
    """Return the settings of mutual training for the bundled checkpoint of drawings."""
    return CatalogueRecipe().mutual


@dataclass(frozen=True)
class StudySettings:
    """Data and training settings that all system variants of the study share.

    Attributes:
        seeds: Random seeds; each variant is trained once per seed.
        pool: Settings of the pool of drawings.
        views: Number of augmented copies of each drawing whose features are cached.
        triplets: Number of training triplets made from the pool.
        gallery: Number of garments in the evaluation gallery of a split.
        queries: Number of evaluation queries for that gallery.
        steps: Number of training steps, except in PL's stage two.
        fashion_steps: Number of training steps in PL's stage two.
        batch: Batch size.
        learning_rate: Learning rate of DWC and the baseline combiners.
        pl_learning_rate: Learning rate of Progressive Learning (PL).
        warmup_steps: Number of warm-up steps before the cosine schedule.
        temperature: Temperature of the contrastive loss.
        alpha: Share of the similarity distribution in the soft labels, in [0, 1].
        cnn_hidden_dim: Hidden size of the CNN stream's LSTM, smaller than in the bundled models.
        mixed_precision: Precision of all training runs, in accelerate's terms: "no", "fp16" or
            "bf16".
        wrong_texts: Shares of wrong training texts to train with, each in [0, 1].
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
    temperature: float = field(default_factory=lambda: _bundled_settings().temperature)
    alpha: float = field(default_factory=lambda: _bundled_settings().alpha)
    cnn_hidden_dim: int = 96
    mixed_precision: str = "bf16"
    wrong_texts: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4)

    def features_name(self, fingerprint: str) -> str:
        """Return a hash of 12 hex digits of all that affects the cached features.

        Args:
            fingerprint: Hash of the checkpoint whose encoders compute the features.
        """
        names = ("pool", "views", "triplets", "gallery", "queries")
        return description_digest([_FORMAT, fingerprint, {n: asdict(self)[n] for n in names}])

    def runs_name(self, fingerprint: str) -> str:
        """Return a hash of 12 hex digits of all that affects a run except its variant and seed.

        A run is the training and evaluation of a system variant with a seed.

        Args:
            fingerprint: Hash of the checkpoint that provides the frozen encoders.
        """
        left_out = ("seeds", "wrong_texts")
        described = {name: value for name, value in asdict(self).items() if name not in left_out}
        return description_digest([fingerprint, described])


@dataclass(frozen=True)
class StudyFeatures:
    """Cached features of the training data and of both evaluation sets.

    Attributes:
        config: Configuration of the checkpoint that provides the frozen encoders.
        pool: Features of the drawings and of T triplets.
        noise: A random number in [0, 1) for each triplet (T,). At a share s of wrong texts, the
            triplets with a number below s have wrong texts.
        test: Queries and gallery of the test split.
        val: Queries and gallery of the validation split.
    """

    config: DWCConfig
    pool: CachedPool
    noise: Tensor
    test: CachedEvalSet
    val: CachedEvalSet

    def pool_with(self, wrong_share: float) -> CachedPool:
        """Return the training data with wrong modification texts for some of the triplets.

        A wrong text is the text of the previous triplet, as in `training_triplets`. Texts that are
        wrong at a smaller share are also wrong at a larger share.

        Args:
            wrong_share: Share of triplets with a wrong text, 0 to 1.
        """
        if wrong_share == 0:
            return self.pool
        own = torch.arange(len(self.noise))
        source = torch.where((self.noise < wrong_share) & (own > 0), own - 1, own)
        texts = self.pool.modifications
        mixed = CachedTexts(texts.features[source], texts.words[source], texts.lengths[source])
        return replace(self.pool, modifications=mixed)


def save_features(features: StudyFeatures, folder: Path) -> None:
    """Write the features to a folder; an interrupted call leaves no incomplete folder there."""
    with reporting_full_disk(folder.parent, "features"), atomic_folder(folder) as partial:
        features.config.save_pretrained(partial)
        torch.save(_as_tensors(features), partial / _TENSORS)
        write_json(partial / _COMPLETE, {"triplets": len(features.noise)})


def is_complete(folder: Path) -> bool:
    """Return whether a folder contains completely written features."""
    return (folder / _COMPLETE).is_file()


def load_features(folder: Path) -> StudyFeatures:
    """Load features written by `save_features`; tensors are read from disk when first used."""
    tensors = torch.load(folder / _TENSORS, mmap=True, weights_only=True)
    pool = tensors["pool"]
    images = CachedImages(pool["images"]["rows"], tuple(pool["images"]["map_shape"]))
    return StudyFeatures(
        config=DWCConfig.from_pretrained(folder),
        pool=CachedPool(
            images,
            pool["references"],
            pool["targets"],
            CachedTexts(**pool["modifications"]),
            CachedTexts(**pool["descriptions"]),
        ),
        noise=tensors["noise"],
        test=_eval_set(tensors["test"]),
        val=_eval_set(tensors["val"]),
    )


def _eval_set(tensors: dict[str, Any]) -> CachedEvalSet:
    return CachedEvalSet(**{**tensors, "texts": CachedTexts(**tensors["texts"])})


def _as_tensors(part: Any) -> Any:
    """Convert a dataclass to nested dicts of tensors and tuples, without its field `config`."""
    if isinstance(part, (Tensor, tuple)):
        return part
    return {
        field.name: _as_tensors(getattr(part, field.name))
        for field in fields(part)
        if field.name != "config"
    }


def cache_features(
    settings: StudySettings, checkpoint: Checkpoint, work: Path, drawings: Path
) -> Path:
    """Compute the study's features and write them to a folder, unless they exist there already.

    Args:
        settings: Settings of the study.
        checkpoint: Checkpoint whose image and text encoders compute the features.
        work: Work folder of the study.
        drawings: Folder of the pool of drawings, which are created if missing.

    Returns:
        The folder of the features, inside `work`; see `load_features`.

    Raises:
        TrainingError: the checkpoint lacks a stream or has another image size than the catalogue,
            or the disk is full.
    """
    folder = work / f"features-{settings.features_name(checkpoint.fingerprint)}"
    if is_complete(folder):
        return folder
    _require_catalogue_model(checkpoint)
    model, processor = checkpoint.model, checkpoint.processor
    pool = draw_pool(settings.pool, drawings, workers=os.cpu_count() or 1)
    triplets = list(training_triplets(pool.items, _SEED, settings.triplets))
    scratch = work / "scratch"
    images = cache_image_features(model, pool, settings.views, _SEED, scratch)
    rng = random.Random(f"noise|{_SEED}")
    features = StudyFeatures(
        config=model.config,
        pool=cache_text_features(model, processor, images, pool, triplets, _SEED, scratch),
        noise=torch.tensor([rng.random() for _ in triplets], dtype=torch.float64),
        test=cache_eval_set(model, processor, "test", settings.gallery, settings.queries),
        val=cache_eval_set(model, processor, "val", settings.gallery, settings.queries),
    )
    save_features(features, folder)
    shutil.rmtree(scratch)
    return folder


def _require_catalogue_model(checkpoint: Checkpoint) -> None:
    model = checkpoint.model
    if model.clip is None or model.cnn_stream is None:
        raise TrainingError(
            f"{checkpoint.name} lacks a stream; the study needs a DWC checkpoint with both."
        )
    size_px = model.clip.config.vision_config.image_size
    if size_px != PICTURE_PX:
        raise TrainingError(
            f"{checkpoint.name} takes pictures of {size_px} pixels; the study needs a model for "
            f"the catalogue's {PICTURE_PX}."
        )
