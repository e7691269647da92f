"""Batches of a benchmark's triplets, read from image files.

A batch is a function of (seed, step), with its order, drawn triplets and mirrored images, for any
number of worker processes: a resumed training gets the batches of an uninterrupted one.
"""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from dwc.datasets.image_loading import decode
from dwc.datasets.triplets import Triplet
from dwc.errors import DatasetError, ImageError, QueryError
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.training.data_loading import StepLoader
from dwc.training.dwc.benchmark_data import BenchmarkData
from dwc.training.dwc.mutual_training import TripletBatch
from dwc.training.feature_cache import ClipFeatureTable


@dataclass(frozen=True)
class BenchmarkBatches:
    """Makes one process's batches; the last, incomplete batch of an epoch is dropped.

    Attributes:
        data: The benchmark.
        processor: Preprocesses and tokenizes.
        template: The caption template.
        size: Triplets of one process and step.
        seed: Decides every random number.
        masks_padding: False pads every text to the longest of its batch and counts padding as
            words.
        rank: This process's number.
        world: The number of processes.
        clip_table: CLIP's features; with them, no image is opened for a model without CNN stream
            (its processor has no word tokenizer).
    """

    data: BenchmarkData
    processor: DWCProcessor
    template: dict[str, str]
    size: int
    seed: int
    masks_padding: bool = True
    rank: int = 0
    world: int = 1
    clip_table: ClipFeatureTable | None = None

    @property
    def steps_per_epoch(self) -> int:
        """How many steps take every triplet once; DatasetError if not even one."""
        steps = len(self.data.learned) // (self.size * self.world)
        if steps == 0:
            raise DatasetError(
                f"{len(self.data.learned)} triplets are not enough for {self.world} processes "
                f"with {self.size} each; set a smaller batch_size, or start fewer"
            )
        return steps

    def make(self, step: int) -> TripletBatch:
        """Return the batch of a step.

        Raises:
            DatasetError: an image or a text cannot be read; the message names the triplet.
        """
        epoch, number = divmod(step, self.steps_per_epoch)
        start = (number * self.world + self.rank) * self.size
        indices = _order(len(self.data.learned), self.seed, epoch)[start : start + self.size]
        triplets: list[Triplet] = []
        references: list[_View] = []
        targets: list[_View] = []
        for index in indices:
            rng = random.Random(f"{self.seed}/{epoch}/{index}")
            triplet = self.data.learned.draw(index, rng)
            triplets.append(triplet)
            references.append(self._open(triplet.reference, index, triplet, rng))
            targets.append(self._open(triplet.target, index, triplet, rng))
        query, labels, pixels = self._tokenize(indices, triplets), self._labels(triplets), None
        if self._needs_pixels:
            query["pixel_values"] = self._preprocess(references)
            pixels = self._preprocess(targets)
        if self.clip_table is None:
            return TripletBatch([query], pixels, labels)
        query["clip_image_features"] = self._cached_features(references)
        texts = self.clip_table.texts(indices)
        if texts is not None:
            query["clip_text_features"] = texts
        return TripletBatch([query], pixels, labels, self._cached_features(targets))

    @property
    def _needs_pixels(self) -> bool:
        return self.clip_table is None or self.processor.word_tokenizer is not None

    def _open(self, name: str, index: int, triplet: Triplet, rng: random.Random) -> "_View":
        mirrored = self.data.mirrored and rng.random() < 0.5
        if not self._needs_pixels:
            return _View(name, mirrored)
        try:
            image = decode(self.data.paths[name])
        except ImageError as error:
            raise DatasetError(f"{_describe(index, triplet)}: {error}") from error
        return _View(name, mirrored, ImageOps.mirror(image) if mirrored else image)

    def _preprocess(self, views: "list[_View]") -> Tensor:
        """Return pixels (B, 3, H, W) in the layout that convolutions are fastest on."""
        pixels = self.processor(images=[view.image for view in views if view.image])["pixel_values"]
        return pixels.contiguous(memory_format=torch.channels_last)

    def _cached_features(self, views: "list[_View]") -> Tensor:
        """Return CLIP's features (B, F) of these views."""
        assert self.clip_table is not None
        return self.clip_table.images(
            [view.name for view in views], [view.mirrored for view in views]
        )

    def _tokenize(self, indices: list[int], triplets: list[Triplet]) -> dict[str, Tensor]:
        texts = [fill_template(self.template, triplet.captions) for triplet in triplets]
        try:
            inputs = dict(self.processor(text=texts))
        except QueryError:
            for index, triplet, text in zip(indices, triplets, texts, strict=True):
                self._require_tokenizable(index, triplet, text)
            raise
        if not self.masks_padding and "word_mask" in inputs:
            inputs["word_mask"] = torch.ones_like(inputs["word_mask"])
        return inputs

    def _require_tokenizable(self, index: int, triplet: Triplet, text: str) -> None:
        try:
            self.processor(text=text)
        except QueryError as error:
            raise DatasetError(f"{_describe(index, triplet)}: {error}") from error

    def _labels(self, triplets: list[Triplet]) -> Tensor:
        """Return labels (B,), equal where two targets count as the same."""
        numbers: dict[str, int] = {}
        answers = [self.data.answers.get(t.target, t.target) for t in triplets]
        return torch.tensor([numbers.setdefault(answer, len(numbers)) for answer in answers])


class _View(NamedTuple):
    """An image in a batch; `image` is None if no tower needs pixels."""

    name: str
    mirrored: bool
    image: Image.Image | None = None


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    """Return the shuffled triplet indices of an epoch."""
    indices = list(range(count))
    random.Random(f"{seed}/order/{epoch}").shuffle(indices)
    return indices


def _describe(index: int, triplet: Triplet) -> str:
    captions = " / ".join(triplet.captions)
    return f"triplet {index} ({triplet.reference} -> {triplet.target}, {captions!r})"


class _BySteps(Dataset):
    """Returns errors instead of raising them: a worker's would arrive as text with a traceback."""

    def __init__(self, batches: BenchmarkBatches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> TripletBatch | DatasetError:
        try:
            return self._batches.make(step)
        except DatasetError as error:
            return error


class BatchLoader:
    """Loads batches onto a device, prefetched by `workers` processes; 0 loads in this process."""

    def __init__(
        self, batches: BenchmarkBatches, total_steps: int, device: torch.device, workers: int
    ) -> None:
        self._device = device
        self._load: StepLoader[TripletBatch | DatasetError] = StepLoader(
            _BySteps(batches),
            total_steps,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=device.type == "cuda",
        )

    def __call__(self, step: int) -> TripletBatch:
        """Return the batch of a step; steps in order are prefetched. Raises as `make` does."""
        batch = self._load(step)
        if isinstance(batch, DatasetError):
            self._load.close()
            raise batch
        return batch.to(self._device)
