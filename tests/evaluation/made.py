"""Pictures whose colour follows from their name, a model that sees nothing else, a naive ranker.

All scores are small whole numbers, exact in float32: they tie often, and the ties are exact.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import torch
from PIL import Image

from dwc.errors import QueryError
from dwc.modeling.combiners import ComposedQuery, Composition

LEVELS = 6  # of red, green and blue
STEP = 40  # between two levels
MOST_WORDS = 40
TEMPLATE = {"single": "{0}", "pair": "{0} + {1}"}


class Asked(NamedTuple):
    """A query as a test reads it from the annotations."""

    reference: str
    text: str
    hits: Collection[str]


def colour(name: str) -> tuple[int, int, int]:
    number = crc32(name.encode())
    return number % LEVELS, number // LEVELS % LEVELS, number // LEVELS**2 % LEVELS


def word_number(text: str) -> int:
    return len(text) % 7 - 3


def write_pictures(root: Path, places: Mapping[str, str]) -> None:
    """Write the picture of each name at its place; equal ones share a file's content."""
    originals = root / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    for name, place in places.items():
        red, green, blue = colour(name)
        original = originals / f"{red}{green}{blue}.png"
        if not original.exists():
            Image.new("RGB", (8, 8), (red * STEP, green * STEP, blue * STEP)).save(original)
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(original, path)


class ColourProcessor:
    """Reads a picture's levels, and a text's number; refuses a long text as CLIP's does."""

    def __call__(
        self,
        images: Sequence[Image.Image] | None = None,
        text: Sequence[str] | None = None,
        return_tensors: str = "pt",
    ) -> dict[str, torch.Tensor]:
        inputs = {}
        if images is not None:
            levels = [[level // STEP for level in image.getpixel((0, 0))] for image in images]
            inputs["pixel_values"] = torch.tensor(levels, dtype=torch.float32)  # (N, 3)
        if text is not None:
            if any(len(one.split()) > MOST_WORDS for one in text):
                raise QueryError("too long")
            inputs["words"] = torch.tensor([word_number(one) for one in text])
        return inputs


class ColourModel:
    """Two streams: red, green and blue with the words' number added to two; and in reverse."""

    device = torch.device("cpu")
    config = SimpleNamespace(caption_template=TEMPLATE)

    def embed_images(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return torch.cat([pixel_values, pixel_values.flip(-1)], dim=-1)  # (N, 6)

    def compose(self, pixel_values: torch.Tensor, words: torch.Tensor) -> ComposedQuery:
        number = words[:, None].float()
        clip = pixel_values + number * torch.tensor([1.0, 0.0, -1.0])
        cnn = pixel_values.flip(-1) + number * torch.tensor([0.0, 1.0, 0.0])
        weight = torch.full((len(words), 1), 0.5)
        return ComposedQuery(
            clip=Composition(clip, clip, clip, weight), cnn=Composition(cnn, cnn, cnn, weight)
        )


WORLD: Any = (ColourModel(), ColourProcessor())


@cache
def levels_of(names: tuple[str, ...]) -> np.ndarray:
    return np.array([colour(name) for name in names])  # (M, 3)


@cache
def numbers_of(names: tuple[str, ...]) -> dict[str, int]:
    assert len(set(names)) == len(names)
    return {name: number for number, name in enumerate(names)}


def scores_of(asked: Asked, names: Sequence[str], stream: str = "together") -> np.ndarray:
    """The score of every name, from the definitions above."""
    levels = levels_of(tuple(names))
    red, green, blue = colour(asked.reference)
    number = word_number(asked.text)
    streams = {
        "clip": levels @ [red + number, green, blue - number],
        "cnn": levels[:, ::-1] @ [blue, green + number, red],
    }
    return streams[stream] if stream in streams else streams["clip"] + streams["cnn"]


def naive_rank(
    asked: Asked, gallery: Sequence[str], removed: bool = True, stream: str = "together"
) -> float:
    """1 for the best hit, and 1 more for each miss that scores no less."""
    numbers = numbers_of(tuple(gallery))
    scores = scores_of(asked, gallery, stream)
    removed_names = {asked.reference} if removed else set()
    hits = [numbers[name] for name in set(asked.hits) - removed_names if name in numbers]
    if not hits:
        return float("inf")
    not_worse = scores >= scores[hits].max()
    not_worse[hits + [numbers[name] for name in removed_names if name in numbers]] = False
    return 1 + int(not_worse.sum())


def naive_recall(ranks: Iterable[float], k: int) -> float:
    found = [rank <= k for rank in ranks]
    return sum(found) / len(found)


def check_recalls(
    report: Mapping[str, Any],
    asked: Sequence[Asked],
    gallery: Sequence[str],
    ks: Sequence[int] = (1, 10, 50),
    removed: bool = True,
    streams: Sequence[str] = ("together", "clip", "cnn"),
) -> None:
    """Every recall of a report is the naive ranker's, together and by stream."""
    assert (report["queries"], report["gallery"]) == (len(asked), len(gallery))
    for stream in streams:
        numbers = report if stream == "together" else report["streams"][stream]
        ranks = [naive_rank(one, gallery, removed, stream) for one in asked]
        for k in ks:
            assert abs(numbers[f"recall@{k}"] - naive_recall(ranks, k)) < 1e-12, (stream, k)
