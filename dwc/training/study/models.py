"""DWC and Progressive Learning (PL) models of the study, which take cached features as input."""

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
    """Stand-in for an MLP that outputs one fixed number for every query and output dimension."""

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
    """Return an untrained DWC model that takes cached features and has the parts of a variant.

    Args:
        variant: The system variant to build, one of DWC.
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
        variant: The variant, whose `edits` and `weighs` say which parts remain.
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
        """Create the layers.

        Args:
            dim: Size F of CLIP's features.
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
        """Return image features of size F for N cached rows, (N, F); see `CachedImages.rows`."""
        return self.image_layer(rows[:, : self.dim])

    def text_features(self, texts: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return text features of size F for N texts, (N, F); ignore the mask.

        `texts` are CLIP's cached text features (N, F).
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
        variant: The system variant to build, one of PL. If it includes stage one, the initial
            features are those of CLIP, which stage one has trained; otherwise the layers after CLIP
            are initialized at random.
        features: Cached features, which determine the sizes of the model.
    """
    dim, config = features.pool.images.feature_dim, features.config
    scale = config.clip_config.logit_scale_init_value
    combiner = variant.combiner if "hybrid" in variant.stages else "progressive_fixed"
    return PLModel(
        LinearTowers(dim, scale, is_clip="open_domain" in variant.stages),
        ClipStream(dim, dim, combiner, config.dropout),
    )
