"""Model configuration: `DWCConfig` and its sub-configs, validated when they are constructed.

    DWCConfig
    ├── clip_config: ClipBackboneConfig
    │   ├── text_config: transformers' CLIPTextConfig
    │   └── vision_config: CLIPVisionConfig, ModifiedResNetConfig or EfficientNetLiteConfig
    └── cnn_config: CnnStreamConfig
        └── resnet_config: transformers' ResNetConfig, or EfficientNetLiteConfig

If `clip_config` or `cnn_config` is None, the model lacks that stream. Every sub-config may be given
as a dict, as in `config.json`.
"""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import (
    CLIPConfig,
    CLIPTextConfig,
    CLIPVisionConfig,
    PretrainedConfig,
    ResNetConfig,
)

from dwc.modeling.combiners import combiner_class, combiner_names

# Fields that some version of transformers writes into every config.
_LIBRARY = {
    *PretrainedConfig().to_dict(),
    "attn_implementation",
    "auto_map",
    "experts_implementation",
    "name_or_path",
    "num_labels",
    "quantization_config",
    "tie_word_embeddings",
    "torch_dtype",
}


def require_known_fields(
    kind: type[PretrainedConfig], values: Mapping[str, Any], location: str
) -> None:
    """Raise ValueError if a config has fields that its class does not define.

    Such fields are usually misspelled, or come from a later version of this package.

    Args:
        kind: The config class.
        values: Field name -> value. The fields that transformers adds to any config, and names with
            a leading underscore, are accepted too.
        location: Name of the config in the error message.

    Raises:
        ValueError: `values` has unknown fields.
    """
    own = sorted(
        {item.name for item in fields(kind)} - {item.name for item in fields(PretrainedConfig)}
    )
    unknown = sorted(
        name
        for name in values
        if name not in own and name not in _LIBRARY and not name.startswith("_")
    )
    if unknown:
        raise ValueError(
            f"{location} has unknown fields: {', '.join(unknown)}; the known ones are "
            f"{', '.join(own)}. Correct them, or update dwc if a later version wrote this."
        )


FORMAT_VERSION = 1
_NOT_GIVEN = object()  # default of the streams' configs; None would mean that there is no stream

# The end-of-text token has the last id of OpenAI's vocabulary. Configs of transformers' early
# conversions give it the id 2; `ClipBackboneConfig` corrects that.
_OPENAI_VOCAB_SIZE = 49408
_OPENAI_EOS_TOKEN_ID = 49407

_LARGEST_EPSILON = 1e-2  # of layer norms; with a larger one, they no longer normalize


def _require_positive(config: PretrainedConfig, *names: str) -> None:
    """Raise ValueError if one of the named fields of a config is not above 0."""
    for name in names:
        value = getattr(config, name)
        if value <= 0:
            raise ValueError(f"{type(config).__name__}.{name} is {value}; it must be above 0.")


@strict
class ModifiedResNetConfig(PretrainedConfig):
    """Config of CLIP's image tower (image encoder) ModifiedResNet; the defaults are those of RN50.

    Attributes:
        layers: Number of blocks in each stage.
        width: Channels of the stem. The last stage has `width * 4 * 2**(stages - 1)` channels.
        image_size: Height and width of the input in pixels.
        num_channels: Channels of the input, 3 for RGB.
        num_attention_heads: Heads of the attention pooling layer.
        projection_dim: Length of the output features.
    """

    model_type = "clip_modified_resnet"
    base_config_key = "vision_config"

    layers: list[int] | tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    image_size: int = 224
    num_channels: int = 3
    num_attention_heads: int = 32
    projection_dim: int = 1024

    def __post_init__(self, **kwargs: Any) -> None:
        require_known_fields(type(self), kwargs, type(self).__name__)
        self.layers = list(self.layers)
        super().__post_init__(**kwargs)
        self._check()

    @property
    def feature_dim(self) -> int:
        """Number of channels of the feature map that the network's last stage returns."""
        return self.width * 4 * 2 ** (len(self.layers) - 1)

    @property
    def grid_size(self) -> int:
        """Side of the last stage's square feature map in cells."""
        return self.image_size // self.reduction

    @property
    def reduction(self) -> int:
        """Side of the image divided by the side of the last stage's feature map.

        The stem divides the resolution by 4, each stage after the first by 2.
        """
        return 4 * 2 ** (len(self.layers) - 1)

    def _check(self) -> None:
        """Raise ValueError if a number is out of range or does not fit the other numbers.

        For example, `image_size` must be a multiple of `reduction`.
        """
        _require_positive(
            self, "width", "image_size", "num_channels", "num_attention_heads", "projection_dim"
        )
        if not self.layers or min(self.layers) < 1:
            raise ValueError(f"layers is {self.layers}; give at least one block for each stage.")
        if self.width % 2:
            raise ValueError(f"width is {self.width}; the stem halves it, so it must be even.")
        if self.image_size % self.reduction:
            raise ValueError(
                f"image_size is {self.image_size}; {len(self.layers)} stages need a multiple of "
                f"{self.reduction}."
            )
        if self.feature_dim % self.num_attention_heads:
            raise ValueError(
                f"{self.num_attention_heads} attention heads do not divide the last stage's "
                f"{self.feature_dim} channels."
            )


@strict
class EfficientNetLiteConfig(PretrainedConfig):
    """Config of EfficientNet-Lite; the defaults are those of Lite0.

    The network serves as CLIP's image tower or as the CNN stream's backbone.

    Attributes:
        width: Factor by which Lite0's numbers of channels are multiplied.
        depth: Factor by which Lite0's numbers of blocks per stage are multiplied, except in the
            first and the last stage.
        image_size: Height and width of the input in pixels.
        projection_dim: Length of the output features; used by the image tower only.
        detail_config: ModifiedResNetConfig of a small second network, the detail network; None for
            no second network. The input of the detail network is the image, resized to the
            `image_size` in the detail network's config. Its features are concatenated with the
            backbone's. Used by the image tower only.
    """

    model_type = "efficientnet_lite"
    base_config_key = "vision_config"
    sub_configs: ClassVar[dict[str, type]] = {"detail_config": ModifiedResNetConfig}
    feature_dim: ClassVar[int] = 1280  # channels of the last map, whatever the width
    reduction: ClassVar[int] = 32  # side of the image divided by the side of the last map

    width: float = 1.0
    depth: float = 1.0
    image_size: int = 224
    projection_dim: int = 512
    # May be given as a dict, a config or None; `__post_init__` converts a dict to a config.
    detail_config: Any = None

    def __post_init__(self, **kwargs: Any) -> None:
        require_known_fields(type(self), kwargs, type(self).__name__)
        if isinstance(self.detail_config, dict):
            self.detail_config = ModifiedResNetConfig(**self.detail_config)
        super().__post_init__(**kwargs)
        _require_positive(self, "width", "depth", "image_size", "projection_dim")


_IMAGE_TOWERS = (CLIPVisionConfig, ModifiedResNetConfig, EfficientNetLiteConfig)


@strict
class ClipBackboneConfig(PretrainedConfig):
    """Config of CLIP, which has a text encoder and an image encoder ("towers").

    Attributes:
        text_config: The text tower's config. The features of a text are computed from the hidden
            state at the first token with the id `eos_token_id`.
        vision_config: The image tower's config. Its `model_type` selects a ViT
            (`clip_vision_model`, the default), a ModifiedResNet (`clip_modified_resnet`) or an
            EfficientNet-Lite (`efficientnet_lite`).
        projection_dim: Length of the features of both towers.
        logit_scale_init_value: Natural logarithm of the initial value of CLIP's logit scale, the
            learned factor by which cosine similarities are multiplied.
    """

    model_type = "dwc_clip"
    base_config_key = "clip_config"
    sub_configs: ClassVar[dict[str, type]] = {
        "text_config": CLIPTextConfig,
        "vision_config": PretrainedConfig,
    }

    # May be given as a dict, a config or None; `__post_init__` converts all to configs.
    text_config: Any = None
    vision_config: Any = None
    projection_dim: int = 512
    logit_scale_init_value: float = 2.6592

    def __post_init__(self, **kwargs: Any) -> None:
        require_known_fields(type(self), kwargs, type(self).__name__)
        text = {} if self.text_config is None else self.text_config
        if isinstance(text, dict):
            text = CLIPTextConfig(**{"projection_dim": self.projection_dim, **text})
        if text.vocab_size == _OPENAI_VOCAB_SIZE and text.eos_token_id == 2:
            text.eos_token_id = _OPENAI_EOS_TOKEN_ID
        vision = {} if self.vision_config is None else self.vision_config
        if isinstance(vision, dict):
            kind = vision.get("model_type", CLIPVisionConfig.model_type)
            towers = {tower.model_type: tower for tower in _IMAGE_TOWERS}
            if kind not in towers:
                raise ValueError(
                    f"vision_config.model_type is {kind!r}; the image towers are {sorted(towers)}."
                )
            vision = towers[kind](**{"projection_dim": self.projection_dim, **vision})
        self.text_config = text
        self.vision_config = vision
        super().__post_init__(**kwargs)
        self._check()

    @classmethod
    def rn50(cls) -> "ClipBackboneConfig":
        """Return the config of OpenAI's CLIP RN50, the default CLIP of the DWC paper."""
        return cls(
            projection_dim=1024,
            text_config=CLIPTextConfig(projection_dim=1024),
            vision_config=ModifiedResNetConfig(),
        )

    @classmethod
    def vit_b32(cls) -> "ClipBackboneConfig":
        """Return the config of OpenAI's CLIP ViT-B/32."""
        return cls(text_config=CLIPTextConfig(), vision_config=CLIPVisionConfig())

    @classmethod
    def from_clip(cls, config: CLIPConfig) -> "ClipBackboneConfig":
        """Return the `ClipBackboneConfig` that corresponds to a `CLIPConfig` of transformers."""
        text = {**config.text_config.to_dict(), "projection_dim": config.projection_dim}
        vision = {**config.vision_config.to_dict(), "projection_dim": config.projection_dim}
        return cls(
            text_config=text,
            vision_config=vision,
            projection_dim=config.projection_dim,
            logit_scale_init_value=config.logit_scale_init_value,
        )

    def _check(self) -> None:
        """Raise ValueError if the towers' feature lengths differ or a value is out of range."""
        _require_positive(self, "projection_dim")
        for name in ("text_config", "vision_config"):
            epsilon = getattr(getattr(self, name), "layer_norm_eps", _LARGEST_EPSILON)
            if not 0 < epsilon <= _LARGEST_EPSILON:
                raise ValueError(
                    f"{name}.layer_norm_eps is {epsilon:g}; it must be above 0 and at most "
                    f"{_LARGEST_EPSILON:g}, usually 1e-05."
                )
        for name in ("text_config", "vision_config"):
            length = getattr(self, name).projection_dim
            if length != self.projection_dim:
                raise ValueError(
                    f"{name}.projection_dim is {length}, but projection_dim is "
                    f"{self.projection_dim}: both towers must end in the same space."
                )
        eos, vocab_size = self.text_config.eos_token_id, self.text_config.vocab_size
        if not isinstance(eos, int) or not 0 <= eos < vocab_size:
            raise ValueError(
                f"text_config.eos_token_id is {eos}; with a vocabulary of {vocab_size} it must be "
                f"one id from 0 to {vocab_size - 1}, the one that ends every text."
            )


@strict
class CnnStreamConfig(PretrainedConfig):
    """Config of the CNN stream: an image backbone, an LSTM over words, and their cross-attention.

    Attributes:
        resnet_config: The image backbone's config. Its `model_type` selects a ResNet (the default)
            or an EfficientNet-Lite.
        shared_channels: If above 0, this stream also uses the feature map of CLIP's image tower,
            which adds this number of channels to the stream's feature map. The image tower must
            then be an EfficientNet-Lite. 0 to use only this stream's backbone.
        resnet_size: Height and width in pixels to which images are downscaled for this stream's
            backbone if `shared_channels` is above 0.
        vocab_size: Number of ids of the word vocabulary, including special words like `<UNK>`.
        word_embedding_dim: Length of word vectors.
        hidden_dim: Length of LSTM states and of region embeddings. It is the same for both, because
            the cross-attention computes their dot products.
        word_temperature: Divisor of the attention scores before the softmax over words.
        region_temperature: Divisor of the attention scores before the softmax over regions.
        gem_p: Initial exponent of the three generalized-mean (GeM) pooling layers.
    """

    model_type = "dwc_cnn"
    base_config_key = "cnn_config"
    sub_configs: ClassVar[dict[str, type]] = {"resnet_config": PretrainedConfig}

    # May be given as a dict, a config or None; `__post_init__` converts all to configs.
    resnet_config: Any = None
    shared_channels: int = 0
    resnet_size: int = 64
    vocab_size: int = 4
    word_embedding_dim: int = 512
    hidden_dim: int = 1024
    word_temperature: float = 7.0
    region_temperature: float = 4.0
    gem_p: float = 3.0

    def __post_init__(self, **kwargs: Any) -> None:
        require_known_fields(type(self), kwargs, type(self).__name__)
        resnet = {} if self.resnet_config is None else self.resnet_config
        if isinstance(resnet, dict):
            is_lite = resnet.get("model_type") == EfficientNetLiteConfig.model_type
            resnet = (EfficientNetLiteConfig if is_lite else ResNetConfig)(**resnet)
        self.resnet_config = resnet
        super().__post_init__(**kwargs)
        self._check()

    @property
    def feature_dim(self) -> int:
        """Number of channels of the stream's feature map: the backbone's plus `shared_channels`."""
        return self.backbone_channels + self.shared_channels

    @property
    def backbone_channels(self) -> int:
        """Number of channels of the feature map of the backbone's last stage."""
        backbone = self.resnet_config
        if isinstance(backbone, EfficientNetLiteConfig):
            return backbone.feature_dim
        return backbone.hidden_sizes[-1]

    def _check(self) -> None:
        """Raise ValueError if a number is out of range or not a multiple of 8 as required.

        `hidden_dim` and `feature_dim` must be multiples of 8, because the Inception blocks split
        their output channels into eighths.
        """
        _require_positive(
            self,
            "vocab_size",
            "word_embedding_dim",
            "hidden_dim",
            "word_temperature",
            "region_temperature",
            "gem_p",
            "resnet_size",
        )
        if self.shared_channels < 0:
            raise ValueError(f"shared_channels is {self.shared_channels}; it must be 0 or more.")
        widths = {
            "hidden_dim": self.hidden_dim,
            "resnet_config.hidden_sizes[-1] + shared_channels": self.feature_dim,
        }
        for name, width in widths.items():
            if width % 8:
                raise ValueError(
                    f"{name} is {width}; an Inception block splits it in eighths, so it must be a "
                    "multiple of 8."
                )


@strict
class DWCConfig(PretrainedConfig):
    """Config of a DWC model: its streams, the lengths of embeddings, and the caption template.

    Attributes:
        clip_config: Config of the CLIP stream's backbone; None for a model without a CLIP stream.
        cnn_config: Config of the CNN stream; None for a model without a CNN stream. At least one
            stream is needed. If neither argument is given, both streams have the sizes of the DWC
            paper, and the word vocabulary consists of the four reserved words. If one argument is
            given, the other is None.
        clip_embedding_dim: Length of the CLIP stream's embeddings.
        cnn_embedding_dim: Length of the CNN stream's embeddings.
        combiner: Registered name of the CLIP stream's combiner.
        dropout: Dropout probability in training, at least 0 and below 1.
        image_attributes: For each attribute of images, the names of its values. The CLIP stream
            then also uses the attributes' probabilities, which linear classifiers compute from
            CLIP's image features. This requires a combiner with `uses_projections`. Empty, as in
            the paper, for a stream without classifiers.
        caption_template: Format strings that make a text from one caption (`single`) or from two
            captions (`pair`), as in training.
        familiarity: Whether the weights include out-of-distribution (OOD) statistics of the
            training images.
        ood_groups: Number of groups of training images with separate OOD statistics, which are
            computed from the feature map of an EfficientNet-Lite image tower. With 0, all training
            images have common statistics, computed from CLIP's features.
        ood_components: Number of principal components in the statistics of a group.
        format_version: Version of the checkpoint format.
    """

    model_type = "dwc"
    sub_configs: ClassVar[dict[str, type]] = {
        "clip_config": ClipBackboneConfig,
        "cnn_config": CnnStreamConfig,
    }
    # Without this, older versions of transformers construct a default config for comparison, which
    # fails here.
    has_no_defaults_at_init: ClassVar[bool] = True

    # May be given as a dict, a config or None; `__post_init__` converts a dict to a config.
    clip_config: Any = _NOT_GIVEN
    cnn_config: Any = _NOT_GIVEN
    clip_embedding_dim: int = 1024
    cnn_embedding_dim: int = 1024
    combiner: str = "dwc"
    dropout: float = 0.5
    image_attributes: dict[str, list[str]] = field(default_factory=dict)
    caption_template: dict[str, str] = field(
        default_factory=lambda: {"single": "{0}", "pair": "{0} and {1}"}
    )
    familiarity: bool = False
    ood_groups: int = 0
    ood_components: int = 64
    format_version: int = FORMAT_VERSION

    def __post_init__(self, **kwargs: Any) -> None:
        self._check_format_version()
        require_known_fields(type(self), kwargs, type(self).__name__)
        if self.clip_config is _NOT_GIVEN and self.cnn_config is _NOT_GIVEN:
            self.clip_config, self.cnn_config = ClipBackboneConfig.rn50(), CnnStreamConfig()
        if self.clip_config is _NOT_GIVEN:
            self.clip_config = None
        if self.cnn_config is _NOT_GIVEN:
            self.cnn_config = None
        if isinstance(self.clip_config, CLIPConfig):
            self.clip_config = ClipBackboneConfig.from_clip(self.clip_config)
        elif isinstance(self.clip_config, dict):
            self.clip_config = ClipBackboneConfig(**self.clip_config)
        if isinstance(self.cnn_config, dict):
            self.cnn_config = CnnStreamConfig(**self.cnn_config)
        # `config.json` is written with sorted names, and the order is that of the classifiers.
        self.image_attributes = dict(sorted(self.image_attributes.items()))
        super().__post_init__(**kwargs)
        self._check()

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Return a config from the content of `config.json`.

        Unknown fields are rejected only in configs whose class this project defines. Sub-configs
        of a transformers class may have fields from any version of that library.

        Raises:
            ValueError: A config whose class this project defines has unknown fields.
        """
        # A config of another format version is refused by `_check_format_version` later.
        if config_dict.get("format_version", FORMAT_VERSION) == FORMAT_VERSION:
            clip = config_dict.get("clip_config")
            vision = clip.get("vision_config") if isinstance(clip, dict) else None
            if isinstance(vision, dict) and "model_type" not in vision:
                vision = None  # a ViT, whose config is transformers' own
            for location, kind, values in (
                ("the config", cls, config_dict),
                ("clip_config", ClipBackboneConfig, clip),
                ("cnn_config", CnnStreamConfig, config_dict.get("cnn_config")),
                ("clip_config.vision_config", ModifiedResNetConfig, vision),
                ("clip_config.vision_config", EfficientNetLiteConfig, vision),
            ):
                if not isinstance(values, dict):
                    continue
                if values.get("model_type", kind.model_type) == kind.model_type:
                    require_known_fields(kind, values, location)
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def paper(cls, vocab_size: int, clip_config: ClipBackboneConfig | None = None) -> "DWCConfig":
        """Return the config of the model in the DWC paper.

        Args:
            vocab_size: Number of ids of the word vocabulary.
            clip_config: Config of CLIP; None for CLIP RN50.
        """
        return cls(
            clip_config=clip_config or ClipBackboneConfig.rn50(),
            cnn_config=CnnStreamConfig(vocab_size=vocab_size),
        )

    def _check_format_version(self) -> None:
        """Raise ValueError if this version of dwc cannot read the config's format."""
        if self.format_version != FORMAT_VERSION:
            raise ValueError(
                f"format_version is {self.format_version}; this version of dwc reads "
                f"{FORMAT_VERSION}. Update dwc, or convert the checkpoint again."
            )

    def _check(self) -> None:
        """Raise ValueError if a value is invalid or does not fit the streams or the combiner."""
        if self.clip_config is None and self.cnn_config is None:
            raise ValueError(
                "clip_config and cnn_config are both None; a model needs at least one stream."
            )
        _require_positive(self, "clip_embedding_dim", "cnn_embedding_dim")
        if self.cnn_config is not None and self.cnn_config.shared_channels:
            vision = None if self.clip_config is None else self.clip_config.vision_config
            if not isinstance(vision, EfficientNetLiteConfig):
                raise ValueError(
                    f"cnn_config.shared_channels is {self.cnn_config.shared_channels}, and CLIP's "
                    "image tower is no EfficientNet-Lite; set it to 0."
                )
        if self.ood_groups:
            _require_positive(self, "ood_groups", "ood_components")
            vision = None if self.clip_config is None else self.clip_config.vision_config
            if not isinstance(vision, EfficientNetLiteConfig):
                raise ValueError(
                    f"ood_groups is {self.ood_groups}, and CLIP's image tower is no "
                    "EfficientNet-Lite; set it to 0."
                )
            if self.ood_components >= vision.feature_dim:
                raise ValueError(
                    f"ood_components is {self.ood_components}; it must be below the image tower's "
                    f"{vision.feature_dim} channels."
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and below 1.")
        if self.combiner not in combiner_names():
            raise ValueError(
                f"combiner is {self.combiner!r}; the combiners are {', '.join(combiner_names())}."
            )
        self._check_caption_template()
        self._check_image_attributes()
        if self.clip_config is None:
            if self.familiarity:
                raise ValueError(
                    "familiarity is measured on CLIP's features, and clip_config is None; set "
                    "familiarity to False."
                )
        elif not combiner_class(self.combiner).uses_projections:
            projection_dim = self.clip_config.projection_dim
            if self.clip_embedding_dim != projection_dim:
                raise ValueError(
                    f"the combiner {self.combiner!r} works on CLIP's own features of length "
                    f"{projection_dim}; clip_embedding_dim is {self.clip_embedding_dim}, set it to "
                    f"{projection_dim}."
                )

    def _check_image_attributes(self) -> None:
        """Raise ValueError if `image_attributes` is invalid.

        Each attribute needs at least two values, all different. Attributes can be used only by a
        CLIP stream whose combiner uses projections.
        """
        for name, values in self.image_attributes.items():
            if len(values) < 2 or len(set(values)) < len(values):
                raise ValueError(
                    f"image_attributes[{name!r}] is {values}; give at least two different values."
                )
        if self.image_attributes and (
            self.clip_config is None or not combiner_class(self.combiner).uses_projections
        ):
            raise ValueError(
                f"image_attributes has {', '.join(self.image_attributes)}, but only a CLIP stream "
                "whose combiner uses projections can use them; leave image_attributes empty."
            )

    def _check_caption_template(self) -> None:
        """Raise ValueError if a caption template lacks or repeats a placeholder, such as `{0}`."""
        for form, slots in {"single": 1, "pair": 2}.items():
            text = self.caption_template.get(form)
            expected = " and ".join(f"{{{location}}}" for location in range(slots))
            try:
                filled = None if text is None else text.format(*"ab"[:slots])
            except (IndexError, KeyError, ValueError):
                filled = None
            if filled is None or any(
                str(text).count(f"{{{location}}}") != 1 for location in range(slots)
            ):
                raise ValueError(
                    f"caption_template[{form!r}] is {text!r}; it must be a text that contains "
                    f"{expected}, each exactly once."
                )
