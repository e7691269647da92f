"""The CLIP stream: composed queries and gallery embeddings from CLIP's features.

- `ClipBackbone` is CLIP: a text encoder and an image encoder ("towers") with one feature space. It
  can be trained like any module; `DWCModel` freezes it.
- `ClipStream` projects CLIP's features and combines those of image and text into queries. It may
  also use `AttributeFeatures`.

Parameter names of `ClipBackbone` are those of transformers' `CLIPModel`: `text_model.*`,
`vision_model.*`, `text_projection.weight`, `visual_projection.weight`, `logit_scale`. If the image
tower is a ModifiedResNet or an EfficientNet-Lite, the names under `vision_model.` are those
documented in `modified_resnet.py` or `efficientnet_lite.py`, and there is no `visual_projection`,
because these towers output vectors of the shared feature space themselves.

Parameter names of `ClipStream`: `project_image` and `project_text` (W_i and W_t in the DWC paper),
each with `.weight` and `.bias`; and `combiner.*`, documented in the combiner's class. The
projections do not exist if the combiner takes CLIP's features directly.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPVisionModel

from dwc.errors import QueryError
from dwc.modeling.combiners import Composition, combiner_class, normalize
from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    EfficientNetLiteConfig,
    ModifiedResNetConfig,
)
from dwc.modeling.efficientnet_lite import EfficientNetLiteTower
from dwc.modeling.modified_resnet import AntiAliasedBottleneck, ModifiedResNet
from dwc.modeling.strict_loading import StrictModel
from dwc.modeling.text_batching import MIN_BUCKETED, length_bucketed


class ClipBackbone(StrictModel):
    """CLIP with a ViT, ModifiedResNet or EfficientNet-Lite as its image tower (image encoder).

    The features that its methods return are not scaled to unit length.

    Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision".
    """

    config: ClipBackboneConfig
    config_class = ClipBackboneConfig
    base_model_prefix = "clip_backbone"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    # Implementations of attention that transformers' towers support. The other two towers have only
    # one implementation.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    def __init__(self, config: ClipBackboneConfig):
        super().__init__(config)
        text, vision = config.text_config, config.vision_config
        self.text_model = CLIPTextModel(text)
        self.text_projection = nn.Linear(text.hidden_size, config.projection_dim, bias=False)
        self.visual_projection: nn.Linear | None = None
        self.vision_model: nn.Module
        if isinstance(vision, ModifiedResNetConfig):
            self.vision_model = ModifiedResNet(vision)
        elif isinstance(vision, EfficientNetLiteConfig):
            self.vision_model = EfficientNetLiteTower(vision)
        else:
            self.vision_model = CLIPVisionModel(vision)
            self.visual_projection = nn.Linear(
                vision.hidden_size, config.projection_dim, bias=False
            )
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.post_init()
        # Initialize residual branches to output zero. `_init_weights` cannot do this: transformers
        # calls it only for modules that own parameters directly.
        for module in self.modules():
            if isinstance(module, AntiAliasedBottleneck):
                nn.init.zeros_(module.expand.normalisation.weight)

    def image_features(self, pixel_values: Tensor) -> Tensor:
        """Embed images in CLIP's feature space.

        Args:
            pixel_values: N images (N, 3, image_size, image_size), normalized by CLIP's channel
                means and standard deviations.

        Returns:
            Features (N, F), not scaled to unit length; F is `projection_dim`.
        """
        if self.visual_projection is None:
            return self.vision_model(pixel_values)
        pooled = self.vision_model(pixel_values=pixel_values).pooler_output
        return self.visual_projection(pooled)

    def text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Embed texts in CLIP's feature space.

        The features of a text are its projected hidden state at the first end-of-text token.
        Attention is causal, so padding after that token changes nothing and `attention_mask` is
        optional.

        Args:
            input_ids: Token ids (N, L) of N texts, padded on the right to L tokens.
            attention_mask: (N, L), 1 on tokens and 0 on padding; None for no mask.

        Returns:
            Features (N, F), not scaled to unit length; F is `projection_dim`.

        Raises:
            QueryError: A text is too long, or has no end-of-text token.
        """
        longest = self.config.text_config.max_position_embeddings
        if input_ids.shape[1] > longest:
            raise QueryError(
                f"the text has {input_ids.shape[1]} CLIP tokens; this model reads at most "
                f"{longest}. Shorten it."
            )
        # If `eos_token_id` is 2, as in early conversions, transformers pools at the position of the
        # largest id. That is wrong for a small vocabulary, so this method searches the position.
        end = self.config.text_config.eos_token_id
        is_end = input_ids == end  # (N, L)
        if not bool(is_end.any(dim=1).all()):
            raise QueryError(
                f"a text has no end-of-text token (id {end}); read texts with the checkpoint's "
                "processor."
            )
        ends = is_end.int().argmax(dim=1)  # (N,), the first one
        if len(ends) < MIN_BUCKETED:
            return self._encode_texts(input_ids, attention_mask, ends)

        def encode(rows: Tensor, longest: int) -> Tensor:
            mask = None if attention_mask is None else attention_mask[rows, :longest]
            return self._encode_texts(input_ids[rows, :longest], mask, ends[rows])

        return length_bucketed(ends + 1, encode)

    def _encode_texts(
        self, input_ids: Tensor, attention_mask: Tensor | None, ends: Tensor
    ) -> Tensor:
        """Encode N texts of L tokens each as feature vectors (N, F) of length F.

        The features of a text are the projected hidden state at the text's position in `ends`.

        Args:
            input_ids: Token ids (N, L).
            attention_mask: (N, L), 1 on tokens and 0 on padding; None for no mask.
            ends: Position of the first end-of-text token in each text (N,).
        """
        states = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        rows = torch.arange(len(input_ids), device=input_ids.device)
        return self.text_projection(states.last_hidden_state[rows, ends])

    def _init_weights(self, module: nn.Module) -> None:
        """Initialize a module as in OpenAI's training of CLIP.

        Linear layers get random weights that preserve the length of vectors on average.
        Convolutions get PyTorch's default initialization. All other modules are initialized as in
        transformers, which follows OpenAI for its CLIP text and image towers.
        """
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            module.reset_parameters()
        else:
            super()._init_weights(module)


class AttributeFeatures(nn.Module):
    """Features of images computed from the probabilities of their attributes' values.

    A linear classifier predicts each attribute, such as the color, from CLIP's image features. The
    square roots of all probabilities are projected linearly to the CLIP stream's embeddings. This
    is an addition of this project: the paper's CLIP stream uses CLIP's features alone.

    The classifiers are fitted to labels before the model is trained, and stay frozen afterwards.

    Attributes:
        classifiers: All classifiers as one linear layer, from features of size F to M logits, M
            being the number of values of all attributes.
        scale: Factor by which the square roots are multiplied, a scalar.
        project: The linear layer from the M scaled square roots to the embeddings.
    """

    scale: Tensor

    def __init__(self, feature_dim: int, embedding_dim: int, sizes: Sequence[int]):
        """Create the classifiers and the projection, not yet trained.

        Args:
            feature_dim: Length F of CLIP's feature vectors.
            embedding_dim: Length D of the embeddings.
            sizes: Number of values of each attribute; for an attribute such as the color, the
                number of colors.
        """
        super().__init__()
        self.sizes = list(sizes)
        self.classifiers = nn.Linear(feature_dim, sum(sizes)).requires_grad_(False)
        self.register_buffer("scale", torch.ones(()))
        self.project = nn.Linear(sum(sizes), embedding_dim, bias=False)

    def forward(self, image_features: Tensor) -> Tensor:
        """Map CLIP's image features (N, F) to features (N, D) computed from attributes.

        `ClipStream` adds the result to its projection of CLIP's image features.
        """
        logits = self.classifiers(image_features).float().split(self.sizes, dim=-1)
        roots = [(values.log_softmax(dim=-1) / 2).exp() for values in logits]
        return self.project(self.scale * torch.cat(roots, dim=-1).to(image_features.dtype))


class ClipStream(nn.Module):
    """Stream that computes composed queries and gallery embeddings from CLIP's features."""

    def __init__(
        self,
        feature_dim: int,
        embedding_dim: int,
        combiner: str,
        dropout: float,
        attribute_sizes: Sequence[int] = (),
    ):
        """Build the stream.

        Args:
            feature_dim: Length of CLIP's feature vectors.
            embedding_dim: Length of the embeddings.
            combiner: Name of a registered combiner.
            dropout: Dropout probability in training, 0 to 1.
            attribute_sizes: Number of values of each attribute in `AttributeFeatures`, which
                requires a combiner with `uses_projections`. Empty for no `AttributeFeatures`.
        """
        super().__init__()
        combiner_type = combiner_class(combiner)
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.project_image: nn.Linear | None = None
        self.project_text: nn.Linear | None = None
        if combiner_type.uses_projections:
            self.project_image = nn.Linear(feature_dim, embedding_dim)
            self.project_text = nn.Linear(feature_dim, embedding_dim)
        self.attributes = (
            AttributeFeatures(feature_dim, embedding_dim, attribute_sizes)
            if attribute_sizes
            else None
        )
        self.combiner = combiner_type(embedding_dim, dropout)

    def embed(self, image_features: Tensor) -> Tensor:
        """Embed N gallery images as unit vectors.

        Args:
            image_features: CLIP's image features of size F, (N, F).

        Returns:
            Unit-length embeddings of size D, (N, D).
        """
        if self.project_image is None:
            return normalize(image_features)
        projected = self.project_image(image_features)
        if self.attributes is not None:
            projected = projected + self.attributes(image_features)
        return self._activate(projected)

    def compose(self, image_features: Tensor | None, text_features: Tensor | None) -> Composition:
        """Compose N queries from CLIP's features; the features need not have unit length.

        If images or texts are missing, zero vectors replace their features. The image weight is
        then exactly 0 (without images) or 1 (without texts), and the composition has no joint part,
        a term that some combiners compute from image and text together.

        Args:
            image_features: CLIP's image features of size F, (N, F); None for missing images.
            text_features: CLIP's text features (N, F); None for missing texts.

        Returns:
            The N composed queries, with embeddings of length D.

        Raises:
            QueryError: Both arguments are None.
        """
        if text_features is None:
            if image_features is None:
                raise QueryError("the query has neither a picture nor words; give at least one.")
            image = self.embed(image_features)  # (N, D): f_i
            return self._compose_single_modality(image, torch.zeros_like(image), image_weight=1.0)
        text = self._embed_texts(text_features)  # (N, D): f_t
        if image_features is None:
            return self._compose_single_modality(torch.zeros_like(text), text, image_weight=0.0)
        return self.combiner(self.embed(image_features), text)

    def _compose_single_modality(
        self, image: Tensor, text: Tensor, image_weight: float
    ) -> Composition:
        """Compose N queries that have either only an image or only a text.

        Args:
            image: Projected image features of size D, (N, D); zeros if the images are missing.
            text: Projected text features (N, D); zeros if the texts are missing.
            image_weight: 0 if the images are missing, 1 if the texts are.
        """
        composed = self.combiner(image, text)
        weight = torch.full_like(composed.image_weight, image_weight)
        return Composition.mix(composed.image_part, composed.text_part, weight)

    def _embed_texts(self, text_features: Tensor) -> Tensor:
        """Map CLIP's text features of size F, (N, F), to unit vectors of size D, (N, D)."""
        if self.project_text is None:
            return normalize(text_features)
        return self._activate(self.project_text(text_features))

    def _activate(self, projected: Tensor) -> Tensor:
        """Map projected features (N, D) to unit vectors: normalize(dropout(relu(x)))."""
        activated = functional.relu(projected)
        return normalize(functional.dropout(activated, self.dropout, self.training))
