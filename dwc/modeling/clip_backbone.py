"""CLIP's two towers, which map images and texts into one feature space.

An ordinary module that can be trained; `DWCModel` freezes it.

Parameter names are those of transformers' `CLIPModel`: `text_model.*`, `vision_model.*`,
`text_projection.weight`, `visual_projection.weight`, `logit_scale`. With a ModifiedResNet or an
EfficientNet-Lite, `vision_model.*` is named as in `modified_resnet.py` or `efficientnet_lite.py`,
and there is no `visual_projection`, since these towers already end in the common space.
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
    """CLIP with either image tower; returns features that are not normalized.

    Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision".
    """

    config: ClipBackboneConfig
    config_class = ClipBackboneConfig
    base_model_prefix = "clip_backbone"
    main_input_name = "pixel_values"
    _supports_sdpa = True

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
        # Residual branches start at zero. This cannot stand in `_init_weights`, which transformers
        # calls only for modules that own parameters directly.
        for module in self.modules():
            if isinstance(module, AntiAliasedBottleneck):
                nn.init.zeros_(module.expand.normalisation.weight)

    def image_features(self, pixel_values: Tensor) -> Tensor:
        """Embed images.

        Args:
            pixel_values: (N, 3, image_size, image_size), normalized by CLIP's mean and deviation.

        Returns:
            Features (N, F), not normalized.
        """
        if self.visual_projection is None:
            return self.vision_model(pixel_values)
        pooled = self.vision_model(pixel_values=pixel_values).pooler_output
        return self.visual_projection(pooled)

    def text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Embed texts.

        The feature is read at a text's first end-of-text token. Attention is causal, so padding
        behind that token changes nothing and `attention_mask` is optional.

        Args:
            input_ids: Token ids (N, L), padded on the right.
            attention_mask: (N, L), 1 on tokens.

        Returns:
            Features (N, F), not normalized.

        Raises:
            QueryError: A text is too long, or has no end-of-text token.
        """
        longest = self.config.text_config.max_position_embeddings
        if input_ids.shape[1] > longest:
            raise QueryError(
                f"the text has {input_ids.shape[1]} CLIP tokens; this model reads at most "
                f"{longest}. Shorten it."
            )
        # transformers pools at the largest id where `eos_token_id` is 2, for early conversions.
        # That is wrong for a small vocabulary, so the position is looked up here.
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
        """Encode texts (N, L) and project the states at `ends` (N,) to (N, F)."""
        states = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        rows = torch.arange(len(input_ids), device=input_ids.device)
        return self.text_projection(states.last_hidden_state[rows, ends])

    def _init_weights(self, module: nn.Module) -> None:
        """Initialize as OpenAI's training did: projections preserve lengths.

        The towers from transformers initialize themselves in the same way.
        """
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            module.reset_parameters()
        else:
            super()._init_weights(module)
