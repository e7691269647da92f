"""The CNN stream: a ResNet over regions, an LSTM over words, each edited by the other.

The symbols beside the names are those of Huang et al. 2024, "Dynamic Weighted Combiner for
Mixed-Modal Image Retrieval"; the editors follow Wen et al. 2021, "Comprehensive Linguistic-Visual
Composition Network for Image Retrieval" (CLVC-Net).

Parameter names:

    resnet.*                        transformers' ResNetModel
    word_encoder.*                  embedding and LSTM
    embed_regions.*                 Inc2d that makes E of X
    gate_image.*, add_image.*       Inc2d of [E; C] and of C, in the image editor
    gate_text.*, add_text.*         Inc1d of [T; V] and of V, in the text editor
    pool_image.p, pool_text.p       GeM_i and GeM_t, of the edited features
    pool_gallery.p                  GeM_img, of a gallery picture's
    project_image, project_text     W_img and W_txt, each .weight and .bias
    weigh.{0,3}.{weight,bias}       MLP_w
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import ResNetModel

from dwc.errors import QueryError
from dwc.modeling.combiners.base import mlp
from dwc.modeling.composition import Composition, normalize
from dwc.modeling.configuration_dwc import CnnStreamConfig
from dwc.modeling.cross_attention import CrossAttention, cross_attention
from dwc.modeling.inception import Inception1d, Inception2d
from dwc.modeling.packed_sequences import PackedSequences
from dwc.modeling.pooling import GeneralizedMean
from dwc.modeling.word_encoder import WordEncoder


@dataclass(frozen=True)
class RegionMaps:
    """Where a query's words and its picture's regions met, for N queries, L words, H by W regions.

    `words_by_region` (N, L, H, W) sums to 1 over the words of each region, `regions_by_word`
    (N, L, H, W) over the regions of each word; both are 0 on padding. `image_gate` (N, H, W), in
    (0, 1), is the share of the picture's own features that the image editor let pass, the mean of
    the channels.
    """

    words_by_region: Tensor
    regions_by_word: Tensor
    image_gate: Tensor


class CnnStream(nn.Module):
    """Composes queries and embeds gallery pictures from pixels and words.

    Below, N queries of L words, regions in a map of h by w, channels C of the ResNet's last stage,
    states of length H, embeddings of length D.
    """

    def __init__(self, config: CnnStreamConfig, embedding_dim: int, dropout: float):
        super().__init__()
        channels, hidden = config.feature_dim, config.hidden_dim
        self.config = config
        self.resnet = ResNetModel(config.resnet_config)
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

    def embed(self, pixel_values: Tensor) -> Tensor:
        """Pictures (N, 3, height, width), normalised, -> gallery embeddings (N, D), unit length."""
        features = self._feature_map(pixel_values).flatten(2)  # (N, C, h w)
        return normalize(self.project_image(self.pool_gallery(features)))

    def compose(
        self,
        pixel_values: Tensor | None = None,
        word_ids: Tensor | None = None,
        word_mask: Tensor | None = None,
    ) -> Composition:
        """Pictures (N, 3, height, width) and word ids (N, L) -> N queries.

        `word_mask` (N, L) is True on words, which padding follows; without a mask there is none. A
        query without words (ids None, or a row of the mask all False) has image weight exactly 1,
        one without picture exactly 0, and the absent part is zero. Raises QueryError for a query
        that has neither.
        """
        text = self._read(word_ids, word_mask)
        if pixel_values is None:
            return self._compose_words(text)
        features = self._feature_map(pixel_values)  # (N, C, h, w): X
        regions = self._regions(features)  # (N, H, h, w): E
        if text is None:
            return self._compose_picture(features, regions)
        word_ids, mask = text
        words = self.word_encoder(word_ids, mask)  # (N, L, H): T
        attention = self._relate(words, regions, mask)
        image_part = self._edit_image(features, regions, attention.word_context)  # (N, D): i
        text_part = self._edit_text(words, attention.region_context, mask)  # (N, D): t
        parts = torch.cat([image_part, text_part], dim=-1)
        image_weight = torch.sigmoid(self.weigh(parts))  # (N, 1): w
        has_words = mask.any(dim=1, keepdim=True)  # (N, 1)
        image_weight = torch.where(has_words, image_weight, torch.ones_like(image_weight))
        return Composition.mix(image_part, text_part * has_words, image_weight)

    def region_maps(
        self, pixel_values: Tensor, word_ids: Tensor, word_mask: Tensor | None = None
    ) -> RegionMaps:
        """Show where words and regions met, for the arguments of `compose`; both are needed."""
        text = self._read(word_ids, word_mask)
        if text is None:
            raise QueryError("no query has words; without words there is nothing to show.")
        word_ids, mask = text
        features = self._feature_map(pixel_values)
        grid = features.shape[-2:]
        regions = self._regions(features)
        attention = self._relate(self.word_encoder(word_ids, mask), regions, mask)
        gate = self._image_gate(regions, self._as_map(attention.word_context, grid))  # (N, C, h, w)
        return RegionMaps(
            words_by_region=attention.over_words.unflatten(-1, grid),
            regions_by_word=attention.over_regions.unflatten(-1, grid),
            image_gate=gate.mean(dim=1),
        )

    @staticmethod
    def _read(word_ids: Tensor | None, word_mask: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """The word ids (N, L) and their boolean mask (N, L), or None where no row has a word."""
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
        """Queries without a picture: a region context of zero, image weight 0."""
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

    def _compose_picture(self, features: Tensor, regions: Tensor) -> Composition:
        """Queries without words: a word context of zero, image weight 1."""
        context = torch.zeros_like(regions).flatten(2).transpose(1, 2)  # (N, h w, H)
        image_part = self._edit_image(features, regions, context)  # (N, D)
        weight = image_part.new_ones(len(image_part), 1)
        return Composition.mix(image_part, torch.zeros_like(image_part), weight)

    def _feature_map(self, pixel_values: Tensor) -> Tensor:
        """Pictures (N, 3, height, width) -> the last stage's map (N, C, h, w): X."""
        return self.resnet(pixel_values).last_hidden_state

    def _regions(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, H, h, w): E."""
        return torch.relu(self.embed_regions(features))

    def _relate(self, words: Tensor, regions: Tensor, mask: Tensor) -> CrossAttention:
        """Words (N, L, H) and regions (N, H, h, w) -> their attention and contexts."""
        return cross_attention(
            words,
            regions.flatten(2).transpose(1, 2),  # (N, h w, H)
            mask,
            self.config.word_temperature,
            self.config.region_temperature,
        )

    @staticmethod
    def _as_map(context: Tensor, grid: torch.Size) -> Tensor:
        """(N, h w, H) -> (N, H, h, w)."""
        return context.transpose(1, 2).unflatten(-1, grid)

    def _image_gate(self, regions: Tensor, word_context: Tensor) -> Tensor:
        """(N, H, h, w) twice -> (N, C, h, w), in (0, 1)."""
        return torch.sigmoid(self.gate_image(torch.cat([regions, word_context], dim=1)))

    def _edit_image(self, features: Tensor, regions: Tensor, word_context: Tensor) -> Tensor:
        """X (N, C, h, w), E (N, H, h, w), C (N, h w, H) -> the image part (N, D)."""
        context = self._as_map(word_context, features.shape[-2:])  # (N, H, h, w)
        edited = self._image_gate(regions, context) * features
        edited = edited + torch.relu(self.add_image(context))  # (N, C, h, w): F_i
        return self.project_image(self.pool_image(edited.flatten(2)))

    def _edit_text(self, words: Tensor, region_context: Tensor, mask: Tensor) -> Tensor:
        """T (N, L, H), V (N, L, H) and the mask (N, L) -> the text part (N, D)."""
        sentences = PackedSequences(mask)
        states, context = sentences.pack(words), sentences.pack(region_context)  # (M, H)
        gate = torch.sigmoid(self.gate_text(torch.cat([states, context], dim=-1), sentences))
        edited = gate * states + torch.relu(self.add_text(context, sentences))  # (M, H): F_t
        by_sentence = sentences.unpack(edited).transpose(1, 2)  # (N, H, L)
        return self.project_text(self.pool_text(by_sentence, mask))
