"""The model `DWCModel`, which composes queries of an image and a text in one or two streams.

Parameter names: `clip.*` and `clip_stream.*` as in `clip_stream.py`, `cnn_stream.*` as in
`cnn_stream.py`, `familiarity.*` as in `ood.py`. Modules that the config omits have no parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dwc.errors import QueryError
from dwc.modeling.clip_stream import ClipBackbone, ClipStream
from dwc.modeling.cnn_stream import CnnStream, RegionMaps
from dwc.modeling.combiners import ComposedQuery
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.efficientnet_lite import EfficientNetLiteTower
from dwc.modeling.ood import MahalanobisOOD, SubspaceOOD
from dwc.modeling.strict_loading import StrictModel


@dataclass(frozen=True)
class ImageFeatures:
    """Features of N reference images that do not depend on the texts of the queries.

    Attributes:
        clip: CLIP's image features of size F, (N, F); None if the model has no CLIP stream.
        cnn_map: The CNN stream's feature maps with C channels of h by w regions, (N, C, h, w); None
            if the model has no CNN stream.
        ood_score: Out-of-distribution scores (N,), at least 0: how unusual each image is compared
            with the training images. None if the model has no statistics of its training images.
    """

    clip: Tensor | None
    cnn_map: Tensor | None
    ood_score: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return next(len(tensor) for tensor in self._tensors() if tensor is not None)

    @property
    def size_bytes(self) -> int:
        """The memory that the features take, in bytes."""
        return sum(tensor.nbytes for tensor in self._tensors() if tensor is not None)

    def rows(self, rows: Tensor) -> "ImageFeatures":
        """Return a copy of the features of some of the images, in the given order.

        Args:
            rows: Indices of the images (M,), int64; an index may be repeated.
        """
        return ImageFeatures(
            *(None if tensor is None else tensor[rows] for tensor in self._tensors())
        )

    def to(self, target: torch.device | torch.dtype | str) -> "ImageFeatures":
        """Return the same features on another device, or with numbers of another type."""
        return ImageFeatures(
            *(None if tensor is None else tensor.to(target) for tensor in self._tensors())
        )

    @classmethod
    def concatenate(cls, features: Sequence["ImageFeatures"]) -> "ImageFeatures":
        """Concatenate the features of one or more batches of images, computed by the same model."""
        columns = zip(*(batch._tensors() for batch in features), strict=True)
        return cls(*(None if column[0] is None else torch.cat(column) for column in columns))

    def _tensors(self) -> tuple[Tensor | None, ...]:
        return self.clip, self.cnn_map, self.ood_score


_DIVIDING_DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")


class DWCModel(StrictModel):
    """The Dynamic Weighted Combiner (DWC): composes queries and embeds gallery images.

    Source: Huang et al. 2024, "Dynamic Weighted Combiner for Mixed-Modal Image Retrieval" (AAAI).
    CLIP is frozen and stays in eval mode during training. If the config omits a stream, the model's
    attribute for this stream is None.
    """

    config: DWCConfig
    config_class = DWCConfig
    base_model_prefix = "dwc"
    main_input_name = "pixel_values"
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    def __init__(self, config: DWCConfig):
        super().__init__(config)
        if config.cnn_config is not None:
            # The stream's ResNet has no attention layers and would reject any other value.
            config.cnn_config._attn_implementation = "eager"
        self.clip: ClipBackbone | None = None
        self.clip_stream: ClipStream | None = None
        self.cnn_stream: CnnStream | None = None
        self.familiarity: MahalanobisOOD | SubspaceOOD | None = None
        if config.clip_config is not None:
            feature_dim = config.clip_config.projection_dim
            self.clip = ClipBackbone(config.clip_config)
            self.clip_stream = ClipStream(
                feature_dim,
                config.clip_embedding_dim,
                config.combiner,
                config.dropout,
                [len(values) for values in config.image_attributes.values()],
            )
            if config.familiarity and config.ood_groups:
                channels = config.clip_config.vision_config.feature_dim
                self.familiarity = SubspaceOOD(channels, config.ood_groups, config.ood_components)
            elif config.familiarity:
                self.familiarity = MahalanobisOOD(feature_dim)
        if config.cnn_config is not None:
            self.cnn_stream = CnnStream(config.cnn_config, config.cnn_embedding_dim, config.dropout)
        self.post_init()
        self._freeze()

    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Any:
        """Load a checkpoint like `StrictModel.from_pretrained`, and freeze CLIP as `__init__` does.

        With a `device_map` such as "auto", transformers would divide the model among devices. The
        streams exchange tensors, so the whole model is loaded on the accelerator instead, or on the
        CPU if there is none.
        """
        if options.get("device_map") in _DIVIDING_DEVICE_MAPS:
            options["device_map"] = {"": torch.accelerator.current_accelerator(True) or "cpu"}
        loaded = super().from_pretrained(*arguments, **options)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model._freeze()  # loading replaced the frozen parameters by new, unfrozen ones
        return loaded

    def train(self, mode: bool = True) -> "DWCModel":
        """Switch to training or eval mode; CLIP stays in eval mode."""
        super().train(mode)
        if mode and self.clip is not None:
            self.clip.eval()
        return self

    def forward(
        self,
        pixel_values: Tensor | None = None,
        clip_input_ids: Tensor | None = None,
        clip_attention_mask: Tensor | None = None,
        word_ids: Tensor | None = None,
        word_mask: Tensor | None = None,
        return_dict: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> ComposedQuery | tuple[Any, ...]:
        """Compose N queries like `compose`, with the options that transformers models have.

        Either the image or the text tensors may be None; queries then have one modality only.

        Args:
            pixel_values: Reference images (N, 3, height, width), normalized by CLIP's channel means
                and standard deviations.
            clip_input_ids: Token ids of CLIP's tokenizer, padded to L tokens, (N, L).
            clip_attention_mask: (N, L), 1 on tokens and 0 on padding.
            word_ids: Word ids of the CNN stream's tokenizer, padded to W words, (N, W).
            word_mask: (N, W) bool, True on words.
            return_dict: True to return a `ComposedQuery`, False to return its `to_tuple()`; None
                for the config's value.
            output_attentions: Must not be True; None for the config's value.
            output_hidden_states: Must not be True; None for the config's value.

        Raises:
            QueryError: Neither images nor texts are given, or the model has two streams and only
                one of them gets the texts.
            ValueError: Attention weights or hidden states are requested. The model does not return
                them, because its two streams have different layers.
        """
        if self._option("output_attentions", output_attentions):
            raise ValueError(
                "output_attentions is True, but the streams share no attention layers. The weights "
                "between words and image regions are in `region_maps(...)`."
            )
        if self._option("output_hidden_states", output_hidden_states):
            raise ValueError(
                "output_hidden_states is True, but the streams share no layers. The parts of a "
                "query are `.image_part` and `.text_part` of each stream; for all else register "
                "forward hooks on `model.clip` and `model.cnn_stream`."
            )
        query = self.compose(pixel_values, clip_input_ids, clip_attention_mask, word_ids, word_mask)
        return query if self._option("return_dict", return_dict) else query.to_tuple()

    def _option(self, name: str, value: bool | None) -> bool:
        """Return `value`, or the config's value of the option `name` if `value` is None."""
        return getattr(self.config, name) if value is None else value

    def compose(
        self,
        pixel_values: Tensor | None = None,
        clip_input_ids: Tensor | None = None,
        clip_attention_mask: Tensor | None = None,
        word_ids: Tensor | None = None,
        word_mask: Tensor | None = None,
    ) -> ComposedQuery:
        """Compose N queries from the tensors that `DWCProcessor` returns.

        Either the image or the text tensors may be None; queries then have one modality only.

        Args:
            pixel_values: Reference images (N, 3, height, width), normalized by CLIP's channel means
                and standard deviations.
            clip_input_ids: Token ids of CLIP's tokenizer, padded to L tokens, (N, L).
            clip_attention_mask: (N, L), 1 on tokens and 0 on padding.
            word_ids: Word ids of the CNN stream's tokenizer, padded to W words, (N, W).
            word_mask: (N, W) bool, True on words.

        Raises:
            QueryError: Neither images nor texts are given, or the model has two streams and only
                one of them gets the texts.
        """
        self._require_both_forms(clip_input_ids, word_ids)
        images = None if pixel_values is None else self.image_features(pixel_values)
        return self.compose_features(
            images, clip_input_ids, clip_attention_mask, word_ids, word_mask
        )

    def image_features(self, pixel_values: Tensor) -> ImageFeatures:
        """Compute the features of N reference images, for use in `compose_features`.

        Args:
            pixel_values: Images (N, 3, height, width), normalized by CLIP's channel means and
                standard deviations.
        """
        clip = cnn_map = shared_map = ood_score = None
        if self.clip is not None:
            clip, shared_map = self._clip_image_features(pixel_values)
            if isinstance(self.familiarity, SubspaceOOD):
                assert shared_map is not None  # the config requires an EfficientNet-Lite
                ood_score = self.familiarity.score(shared_map.float().mean(dim=(2, 3)))
            elif self.familiarity is not None:
                ood_score = self.familiarity.score(clip)
        if self.cnn_stream is not None:
            cnn_map = self.cnn_stream.feature_map(pixel_values, shared_map)
        return ImageFeatures(clip, cnn_map, ood_score)

    def compose_features(
        self,
        images: ImageFeatures | None = None,
        clip_input_ids: Tensor | None = None,
        clip_attention_mask: Tensor | None = None,
        word_ids: Tensor | None = None,
        word_mask: Tensor | None = None,
    ) -> ComposedQuery:
        """Compose N queries from texts and from the features that `image_features` returned.

        Either the images or the texts may be None; queries then have one modality only.

        Args:
            images: The reference images' features, as `image_features` returns them; None for
                queries without images.
            clip_input_ids: Token ids of CLIP's tokenizer, padded to L tokens, (N, L).
            clip_attention_mask: (N, L), 1 on tokens and 0 on padding.
            word_ids: Word ids of the CNN stream's tokenizer, padded to W words, (N, W).
            word_mask: (N, W) bool, True on words.

        Raises:
            QueryError: Neither images nor texts are given, or the model has two streams and only
                one of them gets the texts.
        """
        self._require_both_forms(clip_input_ids, word_ids)
        clip = cnn = None
        if self.clip is not None and self.clip_stream is not None:
            image = None if images is None else images.clip
            text = None
            if clip_input_ids is not None:
                text = self.clip.text_features(clip_input_ids, clip_attention_mask)
            clip = self.clip_stream.compose(image, text)
        if self.cnn_stream is not None:
            cnn_map = None if images is None else images.cnn_map
            cnn = self.cnn_stream.compose_map(cnn_map, word_ids, word_mask)
        ood_score = None if images is None else images.ood_score
        return ComposedQuery(clip=clip, cnn=cnn, ood_score=ood_score)

    def embed_images(self, pixel_values: Tensor) -> Tensor:
        """Embed N gallery images in the space of the query embeddings.

        Args:
            pixel_values: N images (N, 3, height, width), normalized by CLIP's channel means and
                standard deviations.

        Returns:
            Embeddings of the N images, one per row: the unit vector of the CLIP stream, followed by
            the unit vector of the CNN stream.
        """
        clip = cnn_map = shared_map = None
        if self.clip is not None and self.clip_stream is not None:
            clip, shared_map = self._clip_image_features(pixel_values)
        if self.cnn_stream is not None:
            cnn_map = self.cnn_stream.feature_map(pixel_values, shared_map)
        return self.embed_features(ImageFeatures(clip, cnn_map))

    def embed_features(self, images: ImageFeatures) -> Tensor:
        """Embed N gallery images, given the features that `image_features` returned for them.

        Args:
            images: The images' features.

        Returns:
            Embeddings of the N images, as `embed_images` returns them.
        """
        embeddings = []
        if images.clip is not None and self.clip_stream is not None:
            embeddings.append(self.clip_stream.embed(images.clip))
        if images.cnn_map is not None and self.cnn_stream is not None:
            embeddings.append(self.cnn_stream.embed_map(images.cnn_map))
        return torch.cat(embeddings, dim=-1)

    def region_maps(
        self, pixel_values: Tensor, word_ids: Tensor, word_mask: Tensor | None = None
    ) -> RegionMaps:
        """Return the CNN stream's attention between words and image regions.

        Args:
            pixel_values: N images (N, 3, height, width), normalized by CLIP's channel means and
                standard deviations.
            word_ids: Word ids (N, L), padded to L words.
            word_mask: (N, L) bool, True on words; None for no padding.

        Raises:
            QueryError: The model has no CNN stream, or no query has words.
        """
        return self.attend_features(self.image_features(pixel_values), word_ids, word_mask)

    def attend_features(
        self, images: ImageFeatures, word_ids: Tensor, word_mask: Tensor | None = None
    ) -> RegionMaps:
        """Return the CNN stream's attention between words and regions, given the image features.

        Args:
            images: The images' features, as `image_features` returns them.
            word_ids: Word ids (N, L), padded to L words.
            word_mask: (N, L) bool, True on words; None for no padding.

        Raises:
            QueryError: The model has no CNN stream, or no query has words.
        """
        if self.cnn_stream is None or images.cnn_map is None:
            raise QueryError("the model has no CNN stream, and so no regions.")
        return self.cnn_stream.attend_map(images.cnn_map, word_ids, word_mask)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the CNN stream's table of word vectors, or CLIP's if there is no CNN stream.

        The CNN stream's table is trained; CLIP's is frozen.
        """
        if self.cnn_stream is not None:
            return self.cnn_stream.word_encoder.embedding
        assert self.clip is not None
        return self.clip.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the table of word vectors that `get_input_embeddings` returns."""
        if self.cnn_stream is not None:
            self.cnn_stream.word_encoder.embedding = value
        elif self.clip is not None:
            self.clip.text_model.set_input_embeddings(value)

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Embedding:
        """Change the number of words of the CNN stream, for example to train it on more words.

        The processor's `word_tokenizer` must be extended with the same words, since a checkpoint is
        saved and loaded only if model and processor agree. CLIP's vocabulary does not change.

        Args:
            new_num_tokens: New number of word ids. The table of word vectors has one row per id;
                rows are added or removed at its end. None to change nothing.
            pad_to_multiple_of: Must be None.
            mean_resizing: Whether new rows are drawn at random with the mean and covariance of the
                old rows.

        Returns:
            The CNN stream's table of word vectors.

        Raises:
            ValueError: The model has no CNN stream; or `pad_to_multiple_of` is given, which could
                add rows that belong to no word.
        """
        if self.cnn_stream is None:
            raise ValueError(
                "this model has only CLIP's vocabulary, and CLIP is frozen: new tokens would keep "
                "random vectors. Convert a CLIP with the vocabulary that you need."
            )
        if pad_to_multiple_of is not None:
            raise ValueError(
                f"pad_to_multiple_of is {pad_to_multiple_of}, but every row of the table must "
                "belong to a word of the checkpoint's word_tokenizer. Leave it out."
            )
        if new_num_tokens is None:
            return self.cnn_stream.word_encoder.embedding
        self._resize_token_embeddings(new_num_tokens, None, mean_resizing)
        self.cnn_stream.config.vocab_size = new_num_tokens
        return self.cnn_stream.word_encoder.embedding

    def generate(self, *arguments: Any, **options: Any) -> None:
        """Raise an error, because a DWC model returns vectors and cannot generate text.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "a DWC model generates no text: it composes an image and a text to a query vector "
            "(`compose`) and embeds gallery images (`embed_images`)."
        )

    def gradient_checkpointing_enable(self, *arguments: Any, **options: Any) -> None:
        """Raise an error, because gradient checkpointing would harm this model.

        It would save no memory in CLIP, which is frozen and stores no activations. It would compute
        the CNN stream twice in each step, so batch norms would update their statistics twice.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "gradient checkpointing does not apply to a DWC model. CLIP is frozen and keeps no "
            "activations, and computing the CNN stream twice would update its batch norms twice. "
            "To save memory, use smaller batches. The `ClipBackbone` alone supports it."
        )

    @property
    def shares_backbone(self) -> bool:
        """Whether the CNN stream also uses the feature map of CLIP's image tower."""
        return self.cnn_stream is not None and self.cnn_stream.project_regions is not None

    def _clip_image_features(self, pixel_values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return CLIP's features (N, F) of N images, and the image tower's feature map.

        F is the length of a feature vector. The map is None if the image tower is not an
        EfficientNet-Lite.
        """
        assert self.clip is not None
        tower = self.clip.vision_model
        if not isinstance(tower, EfficientNetLiteTower):
            return self.clip.image_features(pixel_values), None
        shared_map = tower.region_map(pixel_values)
        return tower.pool(shared_map, pixel_values), shared_map

    def _require_both_forms(self, clip_input_ids: Tensor | None, word_ids: Tensor | None) -> None:
        """Raise QueryError if the model has two streams and only one of them gets the texts."""
        if self.clip is None or self.cnn_stream is None:
            return
        if (clip_input_ids is None) != (word_ids is None):
            given, absent = "clip_input_ids", "word_ids"
            if clip_input_ids is None:
                given, absent = absent, given
            raise QueryError(
                f"the text was given as {given} without {absent}; this model has two streams, "
                "which need one form each. Pass all tensors that the processor returns."
            )

    def _freeze(self) -> None:
        """Exclude CLIP and the attribute classifiers from training; set CLIP to eval mode."""
        if self.clip is not None:
            self.clip.requires_grad_(False)
            self.clip.eval()
        if self.clip_stream is not None and self.clip_stream.attributes is not None:
            self.clip_stream.attributes.classifiers.requires_grad_(False)

    def _init_weights(self, module: nn.Module) -> None:
        """Initialize linear, convolution, LSTM and embedding layers as PyTorch does by default.

        The training of DWC's authors did the same. Other modules are initialized as in
        transformers.
        """
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.LSTM, nn.Embedding)):
            module.reset_parameters()
        else:
            super()._init_weights(module)


def local_device(index: int = 0) -> torch.device:
    """Return a GPU of this machine, or the CPU if there is no GPU that torch can use.

    Args:
        index: The number of this process among the processes on this machine, from 0 on. Process 0
            gets the first GPU, and so on; if there are more processes than GPUs, they share them.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", index % torch.cuda.device_count())
    return torch.device("cpu")
