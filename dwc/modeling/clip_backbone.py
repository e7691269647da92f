"""CLIP's text encoder and image encoder ("towers"), which share one feature space.

`ClipBackbone` can be trained like any module; `DWCModel` freezes it.

Parameter names are those of transformers' `CLIPModel`: `text_model.*`, `vision_model.*`,
`text_projection.weight`, `visual_projection.weight`, `logit_scale`. If the image tower is a
ModifiedResNet or an EfficientNet-Lite, the names under `vision_model.` are those documented in
`modified_resnet.py` or `efficientnet_lite.py`, and there is no `visual_projection`, because these
towers output vectors of the shared feature space themselves.
"""

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPVisionModel

from dwc.errors import QueryError
from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    EfficientNetLiteConfig,
    ModifiedResNetConfig,
)
from dwc.modeling.efficientnet_lite import EfficientNetLiteTower
from dwc.modeling.modified_resnet import AntiAliasedBottleneck, ModifiedResNet
from dwc.modeling.packed_sequences import MANY, length_bucketed
from dwc.modeling.strict_loading import StrictModel


class ClipBackbone(StrictModel):
    """CLIP with a ViT, ModifiedResNet or EfficientNet-Lite as its image tower (image encoder).

    The returned features are not scaled to unit length.

    Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision".
    """

    config: ClipBackboneConfig
    config_class = ClipBackboneConfig
    base_model_prefix = "clip_backbone"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    # The towers of transformers support these; the others have no attention layers to choose for.
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
        # largest id. That is wrong for a small vocabulary, so the position is searched here.
        end = self.config.text_config.eos_token_id
        is_end = input_ids == end  # (N, L)
        if not bool(is_end.any(dim=1).all()):
            raise QueryError(
                f"a text has no end-of-text token (id {end}); read texts with the checkpoint's "
                "processor."
            )
        ends = is_end.int().argmax(dim=1)  # (N,), the first one
        if len(ends) < MANY:
            return self._encode_texts(input_ids, attention_mask, ends)

        def encode(rows: Tensor, longest: int) -> Tensor:
            mask = None if attention_mask is None else attention_mask[rows, :longest]
            return self._encode_texts(input_ids[rows, :longest], mask, ends[rows])

        return length_bucketed(ends + 1, encode)

    def _encode_texts(
        self, input_ids: Tensor, attention_mask: Tensor | None, ends: Tensor
    ) -> Tensor:
        """Encode N texts of L tokens each and return features of size F, (N, F).

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
        transformers' towers use OpenAI's initialization by default.
        """
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            module.reset_parameters()
        else:
            super()._init_weights(module)
