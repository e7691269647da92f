"""The CNN stream: composed queries and gallery embeddings from pixels and word ids.

`CnnStream` computes features of an image's regions with a ResNet and states of a text's words with
an LSTM, and relates both by cross-attention. Two modules called editors adapt image and text to
each other. One multiplies the features of the image by a gate, and adds a term computed from the
text. The other does the same with image and text exchanged. The editors follow Wen et al. 2021,
"Comprehensive Linguistic-Visual Composition Network for Image Retrieval" (CLVC-Net).

Besides the Inception blocks (`inception.py`), the stream has these layers: `WordEncoder`, the LSTM;
`cross_attention`, which relates words and regions in both directions; and `GeneralizedMean` (GeM),
which pools features of regions or words to one vector.

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

Symbols in comments are those of Huang et al. 2024, "Dynamic Weighted Combiner for Mixed-Modal Image
Retrieval": X is the image's feature map, E are the region embeddings, T the word states, C the
attended words of each region, V the attended regions of each word, i is the image part and t the
text part (the edited image and text).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ResNetModel

from dwc.errors import QueryError
from dwc.modeling.combiners import Composition, mlp, normalize
from dwc.modeling.configuration_dwc import CnnStreamConfig, EfficientNetLiteConfig
from dwc.modeling.efficientnet_lite import EfficientNetLite, reduced
from dwc.modeling.inception import Inception1d, Inception2d
from dwc.modeling.text_batching import MIN_BUCKETED, PackedSequences, length_bucketed

_SMALLEST_INPUT = 1e-6  # of generalized-mean pooling; powers of negative numbers are not real
# Smallest logarithm of a term relative to the greatest term; smaller logarithms are replaced by it.
# Such a term is lost in a float32 sum anyway, and on a CPU the exponential of smaller values takes
# six times as long.
_SMALLEST_LOG = -80.0


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
