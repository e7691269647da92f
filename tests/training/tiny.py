"""A world small enough to learn in seconds: images with a top and a bottom color."""

import random
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import torch
from transformers import CLIPTextConfig, ResNetConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    CnnStreamConfig,
    DWCConfig,
    ModifiedResNetConfig,
)
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, build_word_tokenizer
from dwc.training.catalogue.pretraining import PairBatch
from dwc.training.catalogue.recipe import train_clip_tokenizer
from dwc.training.dwc.mutual_training import TripletBatch

COLOURS = {
    "red": (1.0, 0.1, 0.1),
    "green": (0.1, 0.9, 0.1),
    "blue": (0.1, 0.2, 1.0),
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
}
THINGS = list(product(COLOURS, COLOURS))  # (top, bottom)
TEXTS = [f"{part} {colour}" for part in ("top", "bottom") for colour in COLOURS]
PX = 32


def picture(thing: tuple[str, str], generator: torch.Generator) -> torch.Tensor:
    """(3, PX, PX): a top and a bottom half with some noise."""
    top, bottom = (torch.tensor(COLOURS[name]).view(3, 1, 1) for name in thing)
    halves = [top.expand(3, PX // 2, PX), bottom.expand(3, PX // 2, PX)]
    return torch.cat(halves, dim=1) * 2 - 1 + 0.1 * torch.randn(3, PX, PX, generator=generator)


def tiny_processor(max_tokens: int = 16) -> DWCProcessor:
    return DWCProcessor(
        CLIPImageProcessorPil(size={"height": PX, "width": PX}, do_center_crop=False),
        train_clip_tokenizer(TEXTS, 600, max_tokens),
        build_word_tokenizer(TEXTS),
    )


def tiny_model(processor: DWCProcessor, seed: int = 0) -> DWCModel:
    torch.manual_seed(seed)
    tokens, end = len(processor.clip_tokenizer), processor.clip_tokenizer.eos_token_id
    text = CLIPTextConfig(
        vocab_size=tokens,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=processor.clip_tokenizer.model_max_length,
        projection_dim=48,
        bos_token_id=end - 1,
        eos_token_id=end,
    )
    vision = ModifiedResNetConfig(
        layers=(1, 1), width=8, image_size=PX, num_attention_heads=2, projection_dim=48
    )
    return DWCModel(
        DWCConfig(
            clip_config=ClipBackboneConfig(
                text_config=text, vision_config=vision, projection_dim=48
            ),
            cnn_config=CnnStreamConfig(
                resnet_config=ResNetConfig(
                    embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic"
                ),
                vocab_size=len(processor.word_tokenizer),
                word_embedding_dim=16,
                hidden_dim=32,
            ),
            clip_embedding_dim=48,
            cnn_embedding_dim=32,
            dropout=0.0,
        )
    )


@dataclass(frozen=True)
class TinyBatches:
    """Triplets: one half of the reference takes the colour that the words say."""

    processor: DWCProcessor
    size: int = 32
    text_only: int = 0

    def __call__(self, step: int) -> TripletBatch:
        rng = random.Random(step)
        generator = torch.Generator().manual_seed(step)
        references, texts, targets = [], [], []
        for _ in range(self.size):
            top, bottom = rng.choice(THINGS)
            colour, change_top = rng.choice(list(COLOURS)), rng.random() < 0.5
            references.append((top, bottom))
            texts.append(f"{'top' if change_top else 'bottom'} {colour}")
            targets.append((colour, bottom) if change_top else (top, colour))
        composed = dict(self.processor(text=texts))
        composed["pixel_values"] = torch.stack([picture(t, generator) for t in references])
        queries = [composed]
        if self.text_only:
            things = rng.choices(THINGS, k=self.text_only)
            words = [f"top {top} bottom {bottom}" for top, bottom in things]
            queries.append(dict(self.processor(text=words)))
            targets += things
        pixels = torch.stack([picture(target, generator) for target in targets])
        labels = torch.tensor([THINGS.index(target) for target in targets])
        return TripletBatch(queries, pixels, labels)


@dataclass(frozen=True)
class TinyPairs:
    """Pictures and what they show, all things distinct."""

    processor: DWCProcessor
    size: ClassVar[int] = 25

    def __call__(self, step: int) -> PairBatch:
        generator = torch.Generator().manual_seed(step)
        inputs = self.processor(text=[f"top {top} bottom {bottom}" for top, bottom in THINGS])
        pixels = torch.stack([picture(thing, generator) for thing in THINGS])
        return PairBatch(pixels, inputs["clip_input_ids"], inputs["clip_attention_mask"])
