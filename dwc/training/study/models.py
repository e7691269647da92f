"""DWC and Progressive Learning (PL) models on cached features, with parts removed or added."""

import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import ResNetModel

from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.cnn_stream import CnnStream
from dwc.modeling.combiners import combiner_class
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.dwc.presets import AUTHORS
from dwc.training.feature_cache import CachedClip, CachedFeatureMaps
from dwc.training.study.features import StudyFeatures, StudySettings
from dwc.training.study.variants import Variant


class _Constant(nn.Module):
    """Stand-in for an MLP, without parameters, that outputs the same number for every query."""

    def __init__(self, value: float, out_dim: int) -> None:
        super().__init__()
        self.value, self.out_dim = value, out_dim

    def forward(self, features: Tensor) -> Tensor:
        return features.new_full((len(features), self.out_dim), self.value)


class _UneditedCnnStream(CnnStream):
    """CNN stream without editors; image part and text part are the unchanged pooled features."""

    def _edit_image(self, features: Tensor, regions: Tensor, word_context: Tensor) -> Tensor:
        return self.project_image(self.pool_image(features.flatten(2)))

    def _edit_text(self, words: Tensor, region_context: Tensor, mask: Tensor) -> Tensor:
        return self.project_text(self.pool_text(words.transpose(1, 2), mask))


def build_dwc(variant: Variant, features: StudyFeatures, settings: StudySettings) -> DWCModel:
    """Return an untrained DWC model for cached features with the variant's streams and parts."""
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
    """Remove parts of DWC's combiner in place, as the variant specifies.

    Without editors, features are used unchanged, since the gates that multiply them are fixed at 1.
    Without learned weights, the image weight is fixed at one half.
    """
    if not variant.edits:
        combiner.edit_image = _Constant(torch.inf, dim)
        combiner.edit_text = _Constant(torch.inf, dim)
    if not variant.weighs:
        combiner.weigh = _Constant(0.0, 1)


class LinearTowers(nn.Module):
    """PL's towers on cached features: one trainable linear layer behind each of CLIP's towers."""

    def __init__(self, dim: int, log_scale: float, is_clip: bool = True) -> None:
        """Create the layers.

        Args:
            dim: Size F of CLIP's features.
            log_scale: Initial logarithm of the factor of cosine similarities.
            is_clip: Whether the layers start as the identity, so that the towers initially equal
                CLIP's; otherwise the layers are initialized at random.
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
        """Return image features (N, F) of cached rows; see `feature_cache` for their layout."""
        return self.image_layer(rows[:, : self.dim])

    def text_features(self, texts: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return text features (N, F) of cached CLIP features (N, F)."""
        return self.text_layer(texts)


@dataclass(frozen=True)
class PLModel:
    """PL model (towers and CLIP stream) on cached features."""

    towers: LinearTowers
    stream: ClipStream


def build_pl(variant: Variant, features: StudyFeatures) -> PLModel:
    """Return an untrained PL model; without stage one, its towers are initialized at random."""
    dim, config = features.pool.images.feature_dim, features.config
    scale = config.clip_config.logit_scale_init_value
    combiner = variant.combiner if "hybrid" in variant.stages else "progressive_fixed"
    return PLModel(
        LinearTowers(dim, scale, is_clip="open_domain" in variant.stages),
        ClipStream(dim, dim, combiner, config.dropout),
    )
