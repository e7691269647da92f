"""Models of the study, and the cached features that are their inputs.

`StudySettings` has the settings that all variants share. `cache_features` computes the features of
the training data and of two evaluation sets. `build_dwc` and `build_pl` build the model of a
variant of DWC or of Progressive Learning (PL), in which parts may be removed or replaced.
"""

import copy
import os
import random
import shutil
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import ResNetModel

from dwc.catalogue.splits import training_triplets
from dwc.checkpoints.load import Checkpoint
from dwc.errors import TrainingError
from dwc.files import atomic_folder, description_digest, write_json
from dwc.modeling.clip_stream import ClipBackbone, ClipStream
from dwc.modeling.cnn_stream import CnnStream
from dwc.modeling.combiners import combiner_class
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.catalogue.drawn_pool import PoolSettings, draw_pool
from dwc.training.catalogue.eval_set import CachedEvalSet, cache_eval_set
from dwc.training.catalogue.recipe import PICTURE_PX, CatalogueRecipe
from dwc.training.dwc.mutual_training import MutualSettings
from dwc.training.dwc.presets import AUTHORS
from dwc.training.feature_cache import (
    CachedClip,
    CachedFeatureMaps,
    CachedImages,
    CachedPool,
    CachedTexts,
    cache_image_features,
    cache_text_features,
)
from dwc.training.run_dir import reporting_full_disk
from dwc.training.study.variants import Variant

_SEED = 0  # for augmentation, triplets and descriptions; all runs share the cached features
_TENSORS, _COMPLETE = "features.pt", "complete.json"
_FORMAT = 2  # version of the cached features' file format


def _bundled_settings() -> MutualSettings:
    """Return the mutual-training settings of the bundled checkpoint for drawings."""
    return CatalogueRecipe().mutual


@dataclass(frozen=True)
class StudySettings:
    """Data and training settings that all system variants of the study share.

    Attributes:
        seeds: Random seeds; each variant is trained once per seed.
        pool: Settings of the drawings to train on (the "pool").
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
        wrong_texts: Shares of the training triplets that get the text of another triplet, each in
            [0, 1]. Variants are trained with each share.
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
        """Return a name for the cached features: a hash of the settings that affect them.

        Args:
            fingerprint: Hash of the checkpoint whose encoders compute the features.
        """
        names = ("pool", "views", "triplets", "gallery", "queries")
        return description_digest([_FORMAT, fingerprint, {n: asdict(self)[n] for n in names}])

    def runs_name(self, fingerprint: str) -> str:
        """Return a name for all runs with these settings: a hash of the settings that affect them.

        A run is the training and evaluation of one system variant with one seed. All runs of a
        study have the same name.

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

        A wrong text is the text of the previous triplet. The triplets that have wrong texts at a
        smaller share also have them at a larger share.

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
    """Return whether `save_features` has completely written the features in a folder."""
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
    """Convert nested dataclasses to nested dicts of tensors and tuples, without fields `config`."""
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
        drawings: Folder for the file of training drawings; the file is created if it is missing.

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


class _Constant(nn.Module):
    """Replacement for an MLP; every element of its output is the same fixed number."""

    def __init__(self, value: float, out_dim: int) -> None:
        super().__init__()
        self.value, self.out_dim = value, out_dim

    def forward(self, features: Tensor) -> Tensor:
        return features.new_full((len(features), self.out_dim), self.value)


class _UneditedCnnStream(CnnStream):
    """CNN stream whose image part and text part do not depend on the other modality.

    The attention blocks ("editors") that adapt one modality to the other are not used; the parts
    are projections of the pooled features.
    """

    def _edit_image(self, features: Tensor, regions: Tensor, word_context: Tensor) -> Tensor:
        return self.project_image(self.pool_image(features.flatten(2)))

    def _edit_text(self, words: Tensor, region_context: Tensor, mask: Tensor) -> Tensor:
        return self.project_text(self.pool_text(words.transpose(1, 2), mask))


def build_dwc(variant: Variant, features: StudyFeatures, settings: StudySettings) -> DWCModel:
    """Return an untrained DWC model for a system variant; the model takes cached features.

    Args:
        variant: The system variant to build, a variant of DWC.
        features: Cached features, which determine the sizes of the model.
        settings: Settings of the study, with the hidden size of the CNN stream.
    """
    images = features.pool.images
    config: DWCConfig = copy.deepcopy(features.config)
    config.familiarity = False
    config.combiner = variant.combiner
    if variant.authors:
        config.dropout = AUTHORS.dropout
    if not combiner_class(variant.combiner).uses_projections:
        config.clip_embedding_dim = images.feature_dim
    config.cnn_config.hidden_dim = settings.cnn_hidden_dim
    cnn_config = config.cnn_config
    if "cnn" not in variant.streams:
        config.cnn_config = None
    if "clip" not in variant.streams:
        config.clip_config = None
    model = DWCModel(config)
    if model.clip_stream is not None:
        model.clip = cast(ClipBackbone, CachedClip(images.feature_dim))
        _change_parts(model.clip_stream.combiner, variant, model.clip_stream.embedding_dim)
    if model.cnn_stream is not None:
        if not variant.edits:
            model.cnn_stream = _UneditedCnnStream(
                cnn_config, config.cnn_embedding_dim, config.dropout
            )
        model.cnn_stream.resnet = cast(ResNetModel, CachedFeatureMaps(images.map_shape))
        if not variant.weighs:
            model.cnn_stream.weigh = cast(nn.Sequential, _Constant(0.0, 1))
    return model


def _change_parts(combiner: nn.Module, variant: Variant, dim: int) -> None:
    """Replace parts of DWC's combiner in place with constants, as a system variant specifies.

    If the variant has no editors (the modules that compute gates and multiply the features by
    them), the gates are fixed at 1, so the features are used unchanged. Without learned weights,
    the image weight is fixed at one half.

    Args:
        combiner: The combiner of the CLIP stream.
        variant: The variant; its `edits` and `weighs` determine which parts remain.
        dim: Length of the feature vectors.
    """
    if not variant.edits:
        combiner.edit_image = _Constant(torch.inf, dim)
        combiner.edit_text = _Constant(torch.inf, dim)
    if not variant.weighs:
        combiner.weigh = _Constant(0.0, 1)


class LinearTowers(nn.Module):
    """Trainable linear layers after CLIP's two encoders, for Progressive Learning (PL).

    CLIP's frozen image and text encoders are not part of the module. The layers take cached outputs
    of these encoders.
    """

    def __init__(self, dim: int, log_scale: float, is_clip: bool = True) -> None:
        """Build the two linear layers.

        Args:
            dim: Size of CLIP's features.
            log_scale: Initial logarithm of the learned factor of cosine similarities.
            is_clip: If True, the layers are initialized as the identity, so that the initial
                features are those of CLIP; if False, they are initialized at random.
        """
        super().__init__()
        self.dim = dim
        self.image_layer, self.text_layer = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.logit_scale = nn.Parameter(torch.tensor(log_scale))
        if is_clip:
            for layer in (self.image_layer, self.text_layer):
                nn.init.eye_(layer.weight)
                nn.init.zeros_(layer.bias)

    def image_features(self, rows: Tensor) -> Tensor:
        """Apply the image layer to CLIP's cached features of N images; return the result (N, F).

        `rows` has one row of cached features per image, from all image networks. CLIP's features
        are the first F columns; the others are ignored.
        """
        return self.image_layer(rows[:, : self.dim])

    def text_features(self, texts: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply the text layer to CLIP's cached features (N, F) of N texts.

        The result has the same shape. `mask` is ignored.
        """
        return self.text_layer(texts)


@dataclass(frozen=True)
class PLModel:
    """Progressive Learning (PL) model that takes cached features.

    Attributes:
        towers: Linear layers that map cached CLIP features to image and text features.
        stream: CLIP stream with the combiner.
    """

    towers: LinearTowers
    stream: ClipStream


def build_pl(variant: Variant, features: StudyFeatures) -> PLModel:
    """Return an untrained Progressive Learning (PL) model that takes cached features.

    Args:
        variant: The system variant to build, a variant of PL. If it includes stage one, the initial
            features are those of CLIP, since training CLIP is stage one. Otherwise, the layers
            after CLIP are initialized at random.
        features: Cached features, which determine the sizes of the model.
    """
    dim, config = features.pool.images.feature_dim, features.config
    scale = config.clip_config.logit_scale_init_value
    combiner = variant.combiner if "hybrid" in variant.stages else "progressive_fixed"
    return PLModel(
        LinearTowers(dim, scale, is_clip="open_domain" in variant.stages),
        ClipStream(dim, dim, combiner, config.dropout),
    )
