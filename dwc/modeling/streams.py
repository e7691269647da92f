"""The model's two streams: each computes composed queries and gallery embeddings.

- `ClipBackbone` is CLIP: a text encoder and an image encoder ("towers") with one feature space. It
  can be trained like any module; `DWCModel` freezes it. `ClipStream` projects CLIP's features and
  combines those of image and text into queries.
- `CnnStream` computes features of an image's regions with a ResNet and states of a text's words
  with an LSTM, and relates both by cross-attention. Two modules called editors adapt image and text
  to each other. One multiplies the features of the image by a gate, and adds a term computed from
  the text. The other does the same with image and text exchanged. The editors follow Wen et al.
  2021, "Comprehensive Linguistic-Visual Composition Network for Image Retrieval" (CLVC-Net).
- `PackedSequences` and `length_bucketed` batch texts without the cost and the effects of padding.

Parameter names of `ClipBackbone` are those of transformers' `CLIPModel`: `text_model.*`,
`vision_model.*`, `text_projection.weight`, `visual_projection.weight`, `logit_scale`. If the image
tower is a ModifiedResNet or an EfficientNet-Lite, the names under `vision_model.` are those
documented in `modified_resnet.py` or `efficientnet_lite.py`, and there is no `visual_projection`,
because these towers output vectors of the shared feature space themselves.

Parameter names of `ClipStream`: `project_image` and `project_text` (W_i and W_t in the DWC paper),
each with `.weight` and `.bias`; and `combiner.*`, documented in the combiner's class. The
projections do not exist if the combiner takes CLIP's features directly.

Parameter names of `CnnStream` (Inc1d and Inc2d are the blocks `Inception1d` and `Inception2d`, GeM
is the pooling layer `GeneralizedMean`):

    resnet.*                        transformers' ResNetModel, or as in `efficientnet_lite.py`
    project_regions.{weight,bias}   1x1 convolution over the backbone's map and CLIP's map, only
                                    if the config shares CLIP's map
    word_encoder.embedding.weight   word vectors
    word_encoder.lstm.*_l0          LSTM (Hochreiter and Schmidhuber 1997)
    embed_regions.*                 Inc2d that computes E from X
    gate_image.*, add_image.*       Inc2d on [E; C] and on C, the image editor
    gate_text.*, add_text.*         Inc1d on [T; V] and on V, the text editor
    pool_image.p, pool_text.p       exponents of GeM_i and GeM_t, over the edited features
    pool_gallery.p                  exponent of GeM_img, over a gallery image's features
    project_image, project_text     W_img and W_txt, each .weight and .bias
    weigh.{0,3}.{weight,bias}       MLP_w, which computes the image weight

Symbols in comments on the CNN stream are those of Huang et al. 2024, "Dynamic Weighted Combiner for
Mixed-Modal Image Retrieval": X is the image's feature map, E are the region embeddings, T the word
states, C the attended words of each region, V the attended regions of each word, i is the image
part and t the text part (the edited image and text).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPVisionModel, ResNetModel

from dwc.errors import QueryError
from dwc.modeling.combiners import Composition, combiner_class, mlp, normalize
from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    CnnStreamConfig,
    EfficientNetLiteConfig,
    ModifiedResNetConfig,
)
from dwc.modeling.efficientnet_lite import EfficientNetLite, EfficientNetLiteTower, reduced
from dwc.modeling.fused_convolution import can_fold, fold, state_of
from dwc.modeling.modified_resnet import AntiAliasedBottleneck, ModifiedResNet
from dwc.modeling.strict_loading import StrictModel

MIN_BUCKETED = 64  # fewest texts for which `length_bucketed` is faster


def length_bucketed(lengths: Tensor, encode: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Encode texts in three groups of similar length, so that less padding is needed.

    Most texts are short and a few are long. With at least `MIN_BUCKETED` texts, three calls of
    `encode` with less padding are faster than one call.

    Args:
        lengths: Lengths (N,) of the texts.
        encode: Function `encode(rows, longest)` that takes the indices of some texts and the
            greatest of their lengths, and returns a tensor with one row per text.

    Returns:
        The encoded rows of all N texts, in the order of `lengths`.
    """
    order = lengths.argsort()
    half, most = len(order) // 2, len(order) * 7 // 8
    buckets = [bucket for bucket in (order[:half], order[half:most], order[most:]) if len(bucket)]
    return torch.cat([encode(bucket, int(lengths[bucket].max())) for bucket in buckets])[
        order.argsort()
    ]


@dataclass(frozen=True)
class PackedSequences:
    """Positions of all M words of N sequences that are padded to L words each.

    The methods convert between padded tensors (N, L, C) and packed tensors (M, C), for C channels.

    Attributes:
        mask: (N, L) bool, True on words; padding comes after a sequence's words.
    """

    mask: Tensor

    @cached_property
    def _positions(self) -> Tensor:
        return self.mask.flatten().nonzero().squeeze(-1)  # (M,)

    @cached_property
    def _has_before(self) -> Tensor:
        return (self._positions % self.mask.shape[1] != 0).unsqueeze(-1)  # (M, 1)

    @cached_property
    def _has_after(self) -> Tensor:
        return torch.cat([self._has_before[1:], self._has_before.new_zeros(1, 1)])  # (M, 1)

    @cached_property
    def window(self) -> Tensor:
        """Number of words, (M, 1), in a window around each of the M words.

        The window consists of the word, the word before it and the word after it. It has three
        words, or fewer at the first and the last word of a sequence.
        """
        return 1 + self._has_before.float() + self._has_after.float()

    def pack(self, padded: Tensor) -> Tensor:
        """Remove the padding from N sequences of word features: (N, L, C) to (M, C).

        L is the padded length, M the number of words in all sequences, C the number of channels.
        """
        return padded.flatten(0, 1).index_select(0, self._positions)

    def unpack(self, rows: Tensor) -> Tensor:
        """Arrange the features of M words as N padded sequences: (M, C) to (N, L, C).

        L is the padded length and C the number of channels. The result is zero on padding.
        """
        empty = rows.new_zeros(self.mask.numel(), rows.shape[1])
        return empty.index_copy(0, self._positions, rows).unflatten(0, self.mask.shape)

    def neighbors(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the words before and after each word.

        The features of the word before are zero for the first word of a sequence. The features of
        the word after are zero for the last word.

        Args:
            rows: Features of the M words with C channels, (M, C).

        Returns:
            The features of the words before, (M, C), and of the words after, (M, C).
        """
        none = rows.new_zeros(1, rows.shape[1])
        before = torch.cat([none, rows[:-1]]) * self._has_before
        after = torch.cat([rows[1:], none]) * self._has_after
        return before, after


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


def _branches(in_channels: int, out_channels: int) -> dict[str, list[tuple[int, int, int]]]:
    """Return the convolutions of an Inception block's four branches.

    Args:
        in_channels: Number of input channels of the block.
        out_channels: Number of output channels of all branches together, a multiple of 8.

    Returns:
        A dict from the name of each branch to its convolutions in order, each as (input channels,
        output channels, kernel size).

    Raises:
        ValueError: `out_channels` is not a multiple of 8.
    """
    if out_channels % 8:
        raise ValueError(f"an Inception block has {out_channels} outputs; give a multiple of 8.")
    eighth = out_channels // 8
    return {
        "point": [(in_channels, 3 * eighth, 1)],
        "narrow": [(in_channels, 4 * eighth, 1), (4 * eighth, 2 * eighth, 3)],
        "wide": [
            (in_channels, 2 * eighth, 1),
            (2 * eighth, eighth, 3),
            (eighth, 2 * eighth, 3),
        ],
        "pooled": [(in_channels, eighth, 1)],
    }


class _Step2d(nn.Module):
    """Bias-free 2-d convolution followed by batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.normalisation = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map N feature maps (N, C, H, W) to (N, out_channels, H, W).

        C is the number of input channels, H the height and W the width.
        """
        return self.normalisation(self.convolution(features))


class _Step1d(nn.Module):
    """Bias-free 1-d convolution followed by batch norm, for sequences stored without padding."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.convolution = nn.Conv1d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.normalisation = nn.BatchNorm1d(out_channels)

    def forward(self, rows: Tensor, sequences: PackedSequences) -> Tensor:
        """Map the features of M words from (M, C) to (M, out_channels).

        Args:
            rows: Features with C input channels of the words of all sequences, (M, C).
            sequences: Positions of the words in their sequences.
        """
        return self.normalisation(_convolve_words(rows, sequences, self.convolution.weight))


def _convolve_words(
    rows: Tensor, sequences: PackedSequences, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Apply a 1-d convolution to the features of M words, (M, C) to (M, out_channels).

    Args:
        rows: Features with C channels of the words of all sequences, (M, C).
        sequences: Positions of the words in their sequences.
        weight: The weight (out_channels, C, kernel size), for a kernel of 1 or 3 words.
        bias: The bias (out_channels,); None for no bias.
    """
    if weight.shape[-1] == 3:
        before, after = sequences.neighbors(rows)
        rows = torch.cat([before, rows, after], dim=-1)  # (M, 3 C)
    by_position = weight.transpose(1, 2).flatten(1)  # (out_channels, C or 3 C)
    return functional.linear(rows, by_position, bias)


class _FoldedInception(NamedTuple):
    """Weights of an Inception block in which the batch norms are folded into the convolutions.

    Each convolution is given as its weight (out_channels, in_channels, kernel size, ...) and bias
    (out_channels,).

    Attributes:
        state: The state of the parameters that were folded; see `state_of`.
        first: The first convolutions of all branches as one, since all have kernels of size 1. The
            outputs of the branches follow each other in the order of `branches`.
        branches: The number of outputs of the first convolution of each branch, and the branch's
            other convolutions.
    """

    state: tuple[int, ...]
    first: tuple[Tensor, Tensor]
    branches: list[tuple[int, list[tuple[Tensor, Tensor]]]]


# They are not stored in the module: they are no part of its state, and are not copied with it.
_folded_blocks: WeakKeyDictionary[nn.Module, _FoldedInception] = WeakKeyDictionary()


class _Inception(nn.Module):
    """Base class of Inception blocks, with four branches; each is a sequence of convolutions.

    The constructor's argument `step` is the class of all convolutions: `_Step2d` or `_Step1d`.

    Source: Szegedy et al. 2015, "Going Deeper with Convolutions", in the variant of CLVC-Net and
    DWC: every convolution is bias-free and followed by batch norm, there is a ReLU only between the
    convolutions of a branch, and the caller applies the activation to the block's output.

    Without gradients and in eval mode, the block computes the same in fewer operations, within
    rounding: batch norms are folded, and the first convolutions of the branches run as one. In the
    branch `pooled`, the convolution then precedes the average pooling, with which it commutes. For
    one query, this takes 0.4 of the time.

    Parameter names: the branches are `point`, `narrow`, `wide` and `pooled`; the Nth convolution of
    a branch has `N.convolution` and `N.normalisation`.
    """

    def __init__(self, in_channels: int, out_channels: int, step: type[nn.Module]):
        super().__init__()
        for name, convolutions in _branches(in_channels, out_channels).items():
            self.add_module(name, nn.ModuleList(step(*shape) for shape in convolutions))

    def _join(
        self,
        features: Tensor,
        average: Callable[[Tensor], Tensor],
        convolve: Callable[[Tensor, Tensor, Tensor], Tensor],
        *sequences: PackedSequences,
    ) -> Tensor:
        """Run the four branches and concatenate their outputs along the channels.

        Args:
            features: Input of the block.
            average: The average pooling of the branch `pooled`.
            convolve: Function that applies a convolution to its first argument; the others are the
                convolution's weight and bias.
            *sequences: Where each sequence's words are, which only the 1-d block needs.

        Returns:
            Features (N, out_channels, height, width) of N images from the 2-d block, or features
            (M, out_channels) of M words from the 1-d block.
        """
        step: Any = self.get_submodule("point.0")
        if can_fold(step.convolution, step.normalisation, features):
            return self._join_folded(features, average, convolve)
        outputs = [
            _run(branch, average(features) if name == "pooled" else features, *sequences)
            for name, branch in self.named_children()
        ]
        for output in outputs:
            if output.requires_grad:
                output.register_hook(_dense_like(output))
        return torch.cat(outputs, dim=1)

    def _join_folded(
        self,
        features: Tensor,
        average: Callable[[Tensor], Tensor],
        convolve: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Do the same as `_join`, with folded weights."""
        folded = self._fold()
        sizes = [size for size, _ in folded.branches]
        outputs = []
        starts = convolve(features, *folded.first).split(sizes, dim=1)
        for output, (_, convolutions) in zip(starts, folded.branches, strict=True):
            for weight, bias in convolutions:
                output = convolve(functional.relu(output), weight, bias)
            outputs.append(output)
        outputs[-1] = average(outputs[-1])
        return torch.cat(outputs, dim=1)

    def _fold(self) -> _FoldedInception:
        """Return the folded weights; they are computed again if a parameter has changed."""
        branches: list[Any] = list(self.children())
        steps = [(step.convolution, step.normalisation) for branch in branches for step in branch]
        state = tuple(number for step in steps for number in state_of(*step))
        known = _folded_blocks.get(self)
        if known is None or known.state != state:
            folded = [
                [fold(step.convolution, step.normalisation) for step in branch]
                for branch in branches
            ]
            weights, biases = zip(*(convolutions[0] for convolutions in folded), strict=True)
            known = _FoldedInception(
                state,
                (torch.cat(weights), torch.cat(biases)),
                [(len(bias), rest) for (_, bias), *rest in folded],
            )
            _folded_blocks[self] = known
        return known


def _dense_like(output: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a gradient hook that copies the gradient into the memory layout of `output`.

    `output` is the output of one branch of an Inception block. Without the hook, its gradient is a
    view into the gradient of the concatenated outputs, which makes the backward pass of the
    branch's last batch norm ten times slower on a CPU.
    """
    by_pixel = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if by_pixel else torch.contiguous_format
    return lambda gradient: gradient.contiguous(memory_format=layout)


def _run(branch: nn.Module, features: Tensor, *sequences: PackedSequences) -> Tensor:
    for number, step in enumerate(branch.children()):
        features = step(features if number == 0 else functional.relu(features), *sequences)
    return features


class Inception2d(_Inception):
    """An Inception block of 2-d convolutions, for feature maps."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, _Step2d)

    def forward(self, features: Tensor) -> Tensor:
        """Map N feature maps (N, in_channels, height, width) to (N, out_channels, height, width).

        No activation is applied to the result.
        """

        def average(maps: Tensor) -> Tensor:
            return functional.avg_pool2d(
                maps, kernel_size=3, stride=1, padding=1, count_include_pad=False
            )

        def convolve(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return functional.conv2d(maps, weight, bias, padding=weight.shape[-1] // 2)

        return self._join(features, average, convolve)


class Inception1d(_Inception):
    """An Inception block of 1-d convolutions, for sequences of words stored without padding."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, _Step1d)

    def forward(self, rows: Tensor, sequences: PackedSequences) -> Tensor:
        """Map the features of M words from (M, in_channels) to (M, out_channels).

        No activation is applied to the result. In training, batch norm needs at least two words.

        Args:
            rows: Features of the words of all sequences, (M, in_channels).
            sequences: Positions of the words in their sequences.
        """

        def average(words: Tensor) -> Tensor:
            before, after = sequences.neighbors(words)
            return (before + words + after) / sequences.window.to(words.dtype)

        def convolve(words: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return _convolve_words(words, sequences, weight, bias)

        return self._join(rows, average, convolve, sequences)


_SMALLEST_INPUT = 1e-6  # of generalized-mean pooling; powers of negative numbers are not real
# Smallest logarithm of a term relative to the greatest term; smaller logarithms are replaced by it.
# Such a term is lost in a float32 sum anyway, and on a CPU the exponential of smaller values takes
# six times as long.
_SMALLEST_LOG = -80.0


class GeneralizedMean(nn.Module):
    """Generalized-mean (GeM) pooling over the last axis: `(mean x^p)^(1/p)` with a learned p.

    The result equals the mean for p = 1 and approaches the maximum for large p. Source: Radenović,
    Tolias and Chum 2019, "Fine-tuning CNN Image Retrieval with No Human Annotation".
    """

    def __init__(self, p: float = 3.0):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool N sequences of L positions and C channels from (N, C, L) to (N, C).

        Args:
            features: (N, C, L); values below 1e-6 are replaced by 1e-6.
            mask: (N, L), True on valid positions; None if all positions are valid. A sequence
                without valid positions is pooled to zeros.
        """
        # Logarithms replace powers: with a learned p powers soon overflow, and on a CPU they take
        # twice as long, mostly in the backward pass.
        logs = features.float().clamp_min(_SMALLEST_INPUT).log() * self.p  # (N, C, L)
        if mask is None:
            logs = _log_sum_exp(logs) - math.log(logs.shape[-1])
            return (logs / self.p).exp().to(features.dtype)
        valid = mask.unsqueeze(1)  # (N, 1, L)
        count = valid.sum(dim=-1)  # (N, 1)
        logs = _log_sum_exp(logs.masked_fill(~valid, torch.finfo(logs.dtype).min))
        # A row without valid positions gets a finite logarithm here and becomes zero below.
        logs = torch.where(count > 0, logs - count.clamp_min(1).log(), 0.0)
        return ((logs / self.p).exp() * (count > 0)).to(features.dtype)


def _log_sum_exp(logs: Tensor) -> Tensor:
    """Compute the same as `logs.logsumexp(dim=-1)`, but faster, both forward and backward."""
    greatest = logs.detach().amax(dim=-1, keepdim=True)
    shares = (logs - greatest).clamp_min(_SMALLEST_LOG).exp()
    return shares.sum(dim=-1).log() + greatest.squeeze(-1)


class WordEncoder(nn.Module):
    """A word embedding and an LSTM, which compute one state vector per word of a text.

    The state of a word depends on the word and the words before it.
    """

    def __init__(self, vocab_size: int, embedding_dim: int, hidden_dim: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)

    def forward(self, word_ids: Tensor, mask: Tensor) -> Tensor:
        """Compute a state vector for each word of N texts.

        Args:
            word_ids: Word ids (N, L), padded to L words.
            mask: (N, L), True on words. Padding must come after the words, because the LSTM runs
                from left to right.

        Returns:
            States (N, L, H) of length H, zero on padding.

        Raises:
            QueryError: A word follows padding.
        """
        if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
            raise QueryError(
                "word_mask has words behind padding; pad texts on the right, as the checkpoint's "
                "processor does."
            )
        if len(word_ids) >= MIN_BUCKETED:
            return self._encode_bucketed(word_ids, mask)
        states = self._run_lstm(word_ids)  # (N, L, H)
        return states * mask.unsqueeze(-1)

    def _run_lstm(self, word_ids: Tensor) -> Tensor:
        """Return the LSTM's states (N, L, H) for word ids (N, L).

        Under an autocast to bfloat16, torch 2.13 raises an error for an LSTM on a CPU without
        instructions for bfloat16. There, the LSTM computes in float32.
        """
        words = self.embedding(word_ids)  # (N, L, embedding_dim)
        is_cast = words.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if is_cast and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            with torch.autocast("cpu", enabled=False):
                return self.lstm(words.float())[0]
        return self.lstm(words)[0]

    def _encode_bucketed(self, word_ids: Tensor, mask: Tensor) -> Tensor:
        """Compute a state vector for each word of N texts, in groups of texts of similar length.

        Groups need less padding, which saves time.

        Args:
            word_ids: Word ids (N, L), padded to L words.
            mask: (N, L), True on words.

        Returns:
            States (N, L, H) of length H, zero on padding.
        """

        def encode(rows: Tensor, longest: int) -> Tensor:
            states = self._run_lstm(word_ids[rows, :longest])
            states = states * mask[rows, :longest].unsqueeze(-1)
            return functional.pad(states, (0, 0, 0, word_ids.shape[1] - longest))

        return length_bucketed(mask.sum(dim=1), encode)


@dataclass(frozen=True)
class CrossAttention:
    """Attention between the L words and the R image regions of N queries.

    Attributes:
        word_context: (N, R, H), for each region the mean of the word features of length H, weighted
            by `over_words`.
        region_context: (N, L, H), for each word the mean of the region features of length H,
            weighted by `over_regions`.
        over_words: Attention weights (N, L, R). For each region they sum to 1 over the words; they
            are 0 on padding.
        over_regions: Attention weights (N, L, R). For each word they sum to 1 over the regions;
            they are 0 on padding.
    """

    word_context: Tensor
    region_context: Tensor
    over_words: Tensor
    over_regions: Tensor


def cross_attention(
    words: Tensor,
    regions: Tensor,
    mask: Tensor,
    word_temperature: float,
    region_temperature: float,
) -> CrossAttention:
    """Compute dot-product attention in both directions between words and image regions.

    Args:
        words: Features (N, L, H) of length H for the L words of N queries.
        regions: Features (N, R, H) of length H for the R image regions of the queries.
        mask: (N, L), True on words and False on padding. For a query without words, both contexts
            of the result are zero.
        word_temperature: Divisor of the scores before the softmax over words, above 0.
        region_temperature: Divisor of the scores before the softmax over regions, above 0.
    """
    valid = mask.unsqueeze(-1)  # (N, L, 1)
    scores = words @ regions.transpose(1, 2)  # (N, L, R): S
    # The lowest finite number, not minus infinity: a query without words must not yield NaN.
    masked = (scores / word_temperature).masked_fill(~valid, torch.finfo(scores.dtype).min)
    over_words = masked.softmax(dim=1) * valid  # (N, L, R): A_i
    over_regions = (scores / region_temperature).softmax(dim=2) * valid  # (N, L, R): A_t
    return CrossAttention(
        word_context=over_words.transpose(1, 2) @ words,  # (N, R, H): C
        region_context=over_regions @ regions,  # (N, L, H): V
        over_words=over_words,
        over_regions=over_regions,
    )


@dataclass(frozen=True)
class RegionMaps:
    """Cross-attention of N queries between L words and a map of H by W image regions.

    Attributes:
        words_by_region: (N, L, H, W), weights that sum to 1 over the words of each region; 0 on
            padding.
        regions_by_word: (N, L, H, W), weights that sum to 1 over the regions of each word; 0 on
            padding.
        image_gate: (N, H, W) in (0, 1), the factors by which the CNN stream multiplies the
            image's features, averaged over channels. They depend on the image and the text.
    """

    words_by_region: Tensor
    regions_by_word: Tensor
    image_gate: Tensor


class CnnStream(nn.Module):
    """Stream that composes queries from pixels and word ids, and embeds gallery images.

    Letters in shapes: N queries or images, L words, h by w regions, C channels of the feature map,
    H the length of word states and region embeddings, D the length of embeddings.
    """

    def __init__(self, config: CnnStreamConfig, embedding_dim: int, dropout: float):
        super().__init__()
        self.embedding_dim = embedding_dim
        channels, hidden = config.feature_dim, config.hidden_dim
        self.config = config
        is_lite = isinstance(config.resnet_config, EfficientNetLiteConfig)
        backbone: Any = EfficientNetLite if is_lite else ResNetModel
        self.resnet = backbone(config.resnet_config)
        self.project_regions: nn.Conv2d | None = None
        if config.shared_channels:
            both = config.backbone_channels + EfficientNetLiteConfig.feature_dim
            self.project_regions = nn.Conv2d(both, channels, 1)
        self.word_encoder = WordEncoder(config.vocab_size, config.word_embedding_dim, hidden)
        self.embed_regions = Inception2d(channels, hidden)
        self.gate_image = Inception2d(2 * hidden, channels)
        self.add_image = Inception2d(hidden, channels)
        self.gate_text = Inception1d(2 * hidden, hidden)
        self.add_text = Inception1d(hidden, hidden)
        self.pool_image = GeneralizedMean(config.gem_p)
        self.pool_text = GeneralizedMean(config.gem_p)
        self.pool_gallery = GeneralizedMean(config.gem_p)
        self.project_image = nn.Linear(channels, embedding_dim)
        self.project_text = nn.Linear(hidden, embedding_dim)
        self.weigh = mlp(2 * embedding_dim, embedding_dim, 1, dropout)

    def embed(self, pixel_values: Tensor, shared_map: Tensor | None = None) -> Tensor:
        """Embed N gallery images as unit vectors.

        Args:
            pixel_values: Normalized pixels (N, 3, height, width).
            shared_map: Last feature map of CLIP's image tower, of height h and width w,
                (N, 1280, h, w). The map is required if the config's `shared_channels` is above 0,
                and ignored otherwise.

        Returns:
            Unit vectors of length D, (N, D).
        """
        return self.embed_map(self.feature_map(pixel_values, shared_map))

    def embed_map(self, features: Tensor) -> Tensor:
        """Embed N gallery images, given their feature maps (N, C, h, w) from `feature_map`.

        Returns:
            Unit vectors of length D, (N, D).
        """
        return normalize(self.project_image(self.pool_gallery(features.flatten(2))))

    def compose(
        self,
        pixel_values: Tensor | None = None,
        word_ids: Tensor | None = None,
        word_mask: Tensor | None = None,
        shared_map: Tensor | None = None,
    ) -> Composition:
        """Compose N queries from pixels, word ids, or both.

        A query has no words if `word_ids` is None, or if the query's row of `word_mask` is all
        False. The image weight is exactly 1 for queries without words and exactly 0 for queries
        without an image, and the part of the missing modality is zero.

        Args:
            pixel_values: Normalized pixels (N, 3, height, width), or None for no images.
            word_ids: Word ids (N, L), padded to L words, or None for no words.
            word_mask: (N, L) bool, True on words, with padding after them; None for no padding.
            shared_map: Last feature map of CLIP's image tower (N, 1280, h, w); see `embed`.

        Raises:
            QueryError: A query has neither an image nor words.
        """
        features = None
        if pixel_values is not None:
            features = self.feature_map(pixel_values, shared_map)
        return self.compose_map(features, word_ids, word_mask)

    def compose_map(
        self,
        features: Tensor | None = None,
        word_ids: Tensor | None = None,
        word_mask: Tensor | None = None,
    ) -> Composition:
        """Compose N queries from image feature maps, word ids, or both.

        The image weight is exactly 1 for queries without words and exactly 0 for queries without an
        image, and the part of the missing modality is zero.

        Args:
            features: The images' feature maps (N, C, h, w), as `feature_map` returns them; None for
                no images.
            word_ids: Word ids (N, L), padded to L words, or None for no words.
            word_mask: (N, L) bool, True on words, with padding after them; None for no padding.

        Raises:
            QueryError: A query has neither an image nor words.
        """
        text = self._words_and_mask(word_ids, word_mask)
        if features is None:
            return self._compose_words(text)
        regions = self._regions(features)  # (N, H, h, w): E
        if text is None:
            return self._compose_image(features, regions)
        word_ids, mask = text
        words = self.word_encoder(word_ids, mask)  # (N, L, H): T
        attention = self._attend(words, regions, mask)
        image_part = self._edit_image(features, regions, attention.word_context)  # (N, D): i
        text_part = self._edit_text(words, attention.region_context, mask)  # (N, D): t
        parts = torch.cat([image_part, text_part], dim=-1)
        image_weight = torch.sigmoid(self.weigh(parts))  # (N, 1): w
        has_words = mask.any(dim=1, keepdim=True)  # (N, 1)
        image_weight = torch.where(has_words, image_weight, torch.ones_like(image_weight))
        return Composition.mix(image_part, text_part * has_words, image_weight)

    def region_maps(
        self,
        pixel_values: Tensor,
        word_ids: Tensor,
        word_mask: Tensor | None = None,
        shared_map: Tensor | None = None,
    ) -> RegionMaps:
        """Compute the cross-attention between words and image regions, as maps of the image.

        Args:
            pixel_values: Normalized pixels (N, 3, height, width).
            word_ids: Word ids (N, L), padded to L words.
            word_mask: (N, L) bool, True on words, with padding after them; None for no padding.
            shared_map: Last feature map of CLIP's image tower (N, 1280, h, w); see `embed`.

        Raises:
            QueryError: No query has words.
        """
        return self.attend_map(self.feature_map(pixel_values, shared_map), word_ids, word_mask)

    def attend_map(
        self, features: Tensor, word_ids: Tensor, word_mask: Tensor | None = None
    ) -> RegionMaps:
        """Compute the cross-attention between words and image regions, given the feature maps.

        Args:
            features: The images' feature maps (N, C, h, w), as `feature_map` returns them.
            word_ids: Word ids (N, L), padded to L words.
            word_mask: (N, L) bool, True on words, with padding after them; None for no padding.

        Raises:
            QueryError: No query has words.
        """
        text = self._words_and_mask(word_ids, word_mask)
        if text is None:
            raise QueryError("no query has words; without words there is nothing to show.")
        word_ids, mask = text
        grid = features.shape[-2:]
        regions = self._regions(features)
        attention = self._attend(self.word_encoder(word_ids, mask), regions, mask)
        gate = self._image_gate(regions, self._as_map(attention.word_context, grid))  # (N, C, h, w)
        return RegionMaps(
            words_by_region=attention.over_words.unflatten(-1, grid),
            regions_by_word=attention.over_regions.unflatten(-1, grid),
            image_gate=gate.mean(dim=1),
        )

    @staticmethod
    def _words_and_mask(
        word_ids: Tensor | None, word_mask: Tensor | None
    ) -> tuple[Tensor, Tensor] | None:
        """Return the word ids of N texts and the boolean mask of words, each (N, L) for L words.

        The result is None if no text has a word.

        Raises:
            QueryError: The mask and the word ids have different shapes.
        """
        if word_ids is None:
            return None
        mask = torch.ones_like(word_ids, dtype=torch.bool)
        if word_mask is not None:
            mask = word_mask.bool()
        if mask.shape != word_ids.shape:
            raise QueryError(
                f"word_mask has the shape {tuple(mask.shape)} and word_ids "
                f"{tuple(word_ids.shape)}; they must be the same."
            )
        return (word_ids, mask) if bool(mask.any()) else None

    def _compose_words(self, text: tuple[Tensor, Tensor] | None) -> Composition:
        """Compose N queries without an image; their image weight is 0 and their image part zero.

        Args:
            text: Word ids and mask of the texts, each (N, L) for L words; None if no text has a
                word, which is an error here.

        Raises:
            QueryError: A query has no words.
        """
        if text is None or not bool(text[1].any(dim=1).all()):
            raise QueryError(
                "a query has neither a picture nor words that the CNN stream can read; give at "
                "least one."
            )
        word_ids, mask = text
        words = self.word_encoder(word_ids, mask)  # (N, L, H)
        text_part = self._edit_text(words, torch.zeros_like(words), mask)  # (N, D)
        weight = text_part.new_zeros(len(text_part), 1)
        return Composition.mix(torch.zeros_like(text_part), text_part, weight)

    def _compose_image(self, features: Tensor, regions: Tensor) -> Composition:
        """Compose N queries without words; their image weight is 1 and their text part zero.

        Args:
            features: Feature map of h by w regions and C channels, (N, C, h, w).
            regions: Region embeddings of length H, (N, H, h, w).
        """
        context = torch.zeros_like(regions).flatten(2).transpose(1, 2)  # (N, h w, H)
        image_part = self._edit_image(features, regions, context)  # (N, D)
        weight = image_part.new_ones(len(image_part), 1)
        return Composition.mix(image_part, torch.zeros_like(image_part), weight)

    def feature_map(self, pixel_values: Tensor, shared_map: Tensor | None = None) -> Tensor:
        """Return the feature maps (N, C, h, w) of N images, with C channels of h by w regions.

        Args:
            pixel_values: Normalized pixels (N, 3, height, width).
            shared_map: Last feature map of CLIP's image tower (N, 1280, h, w); see `embed`.

        Raises:
            QueryError: The config's `shared_channels` is above 0, and `shared_map` is None.
        """
        if self.project_regions is None:
            return self.resnet(pixel_values).last_hidden_state
        if shared_map is None:
            raise QueryError(
                "this CNN stream shares the map of CLIP's image tower, and none came with the "
                "pictures; call the whole model."
            )
        own = self.resnet(reduced(pixel_values, self.config.resnet_size)).last_hidden_state
        shared = functional.adaptive_avg_pool2d(shared_map, own.shape[-2:])
        both = torch.cat([own, shared.to(own.dtype)], dim=1)  # (N, own channels + 1280, h, w)
        return torch.relu(self.project_regions(both))

    def _regions(self, features: Tensor) -> Tensor:
        """Return embeddings (N, H, h, w) of length H for the h by w regions of N images.

        Args:
            features: Feature map of N images with C channels, (N, C, h, w).
        """
        return torch.relu(self.embed_regions(features))

    def _attend(self, words: Tensor, regions: Tensor, mask: Tensor) -> CrossAttention:
        """Return the cross-attention between L words and h by w image regions of N queries.

        Args:
            words: Word states of length H, (N, L, H).
            regions: Region embeddings of length H, (N, H, h, w).
            mask: (N, L), True on words.
        """
        return cross_attention(
            words,
            regions.flatten(2).transpose(1, 2),  # (N, h w, H)
            mask,
            self.config.word_temperature,
            self.config.region_temperature,
        )

    @staticmethod
    def _as_map(context: Tensor, grid: torch.Size) -> Tensor:
        """Reshape features of length H of all regions from (N, h w, H) to a map (N, H, h, w)."""
        return context.transpose(1, 2).unflatten(-1, grid)

    def _image_gate(self, regions: Tensor, word_context: Tensor) -> Tensor:
        """Return the factors (N, C, h, w) by which the feature maps of N images are multiplied.

        The factors are in (0, 1) and depend on the image and the text. A map has h by w regions and
        C channels.

        Args:
            regions: Region embeddings of length H, (N, H, h, w).
            word_context: For each region, the mean of the word states, weighted by the attention of
                the region to the words, as a map (N, H, h, w).
        """
        return torch.sigmoid(self.gate_image(torch.cat([regions, word_context], dim=1)))

    def _edit_image(self, features: Tensor, regions: Tensor, word_context: Tensor) -> Tensor:
        """Return the image parts (N, D) of the embeddings of N queries.

        The feature maps of the images are changed according to the texts, and then pooled to
        vectors.

        Args:
            features: Feature map of h by w regions and C channels, (N, C, h, w).
            regions: Region embeddings of length H, (N, H, h, w).
            word_context: For each region, the mean of the word states, weighted by the attention of
                the region to the words, (N, h w, H).
        """
        context = self._as_map(word_context, features.shape[-2:])  # (N, H, h, w)
        edited = self._image_gate(regions, context) * features
        edited = edited + torch.relu(self.add_image(context))  # (N, C, h, w): F_i
        return self.project_image(self.pool_image(edited.flatten(2)))

    def _edit_text(self, words: Tensor, region_context: Tensor, mask: Tensor) -> Tensor:
        """Return the text parts (N, D) of the embeddings of N queries.

        The states of the words are changed according to the images, and then pooled to vectors.

        Args:
            words: State of each of L words, (N, L, H).
            region_context: For each word, the mean of the region embeddings, weighted by the
                attention of the word to the regions, (N, L, H).
            mask: (N, L), True on words.
        """
        sequences = PackedSequences(mask)
        states, context = sequences.pack(words), sequences.pack(region_context)  # (M, H)
        gate = torch.sigmoid(self.gate_text(torch.cat([states, context], dim=-1), sequences))
        edited = gate * states + torch.relu(self.add_text(context, sequences))  # (M, H): F_t
        by_sequence = sequences.unpack(edited).transpose(1, 2)  # (N, H, L)
        return self.project_text(self.pool_text(by_sequence, mask))
