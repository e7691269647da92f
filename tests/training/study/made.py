"""Synthetic features for a study: images of a kind and color, texts that ask for a color."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.catalogue.eval_set import CachedEvalSet
from dwc.training.feature_cache import CachedImages, CachedPool, CachedTexts
from dwc.training.study.models import StudyFeatures, StudySettings
from tests.training.tiny import tiny_model, tiny_processor

KINDS = COLOURS = 4
FEATURES = 48  # the tiny model's
MAP = (32, 2, 2)

TINY = StudySettings(
    seeds=(0, 1),
    pool=PoolSettings(items=60, styles=("gallery",)),
    views=2,
    triplets=80,
    gallery=30,
    queries=12,
    steps=3,
    fashion_steps=2,
    batch=16,
    warmup_steps=1,
    temperature=0.07,
    alpha=0.2,
    cnn_hidden_dim=16,
    mixed_precision="no",
    wrong_texts=(0.0, 0.4),
)
LEARNING = replace(TINY, steps=80, fashion_steps=40, batch=32)


def made_features() -> StudyFeatures:
    torch.manual_seed(0)
    places = torch.arange(KINDS * COLOURS)
    generator = torch.Generator().manual_seed(0)
    references = torch.randint(0, len(places), (200,), generator=generator)
    wished = torch.randint(0, COLOURS, (200,), generator=generator)
    return StudyFeatures(
        config=tiny_model(tiny_processor()).config,
        pool=CachedPool(
            CachedImages(torch.stack([_rows(generator), _rows(generator)]), MAP),
            references=references,
            targets=references // COLOURS * COLOURS + wished,
            modifications=_texts(wished),
            descriptions=_texts(places % COLOURS),
        ),
        noise=torch.rand(200, generator=generator, dtype=torch.float64),
        test=_questions(generator),
        val=_questions(generator),
    )


def _rows(generator: torch.Generator) -> Tensor:
    """One view of every picture: CLIP's features and the map hold kind and colour, one-hot."""
    places = torch.arange(KINDS * COLOURS)
    kind = functional.one_hot(places // COLOURS, KINDS)
    told = torch.cat([kind, functional.one_hot(places % COLOURS, COLOURS)], dim=1).float()
    told = told + 0.05 * torch.randn(told.shape, generator=generator)
    features = functional.pad(told, (0, FEATURES - told.shape[1]))
    maps = functional.pad(told, (0, MAP[0] - told.shape[1]))[..., None, None].expand(-1, *MAP)
    return torch.cat([features, maps.flatten(1)], dim=1).half()


def _texts(colours: Tensor) -> CachedTexts:
    """CLIP's features of a colour's name lie where no picture's do."""
    features = functional.one_hot(colours + KINDS + COLOURS, FEATURES).float()
    words = torch.stack([colours + 4, torch.zeros_like(colours)], dim=1).int()
    return CachedTexts(features, words, torch.ones(len(colours), dtype=torch.long))


def _questions(generator: torch.Generator) -> CachedEvalSet:
    """Every picture, wished for in another colour."""
    places = torch.arange(KINDS * COLOURS)
    wished = (places + 1) % COLOURS
    hits = functional.one_hot(places // COLOURS * COLOURS + wished, len(places)).bool()
    shares = torch.linspace(0, 1, len(places))
    return CachedEvalSet(_rows(generator), _texts(wished), places, hits, shares)
