"""Batches of a benchmark's triplets, made from image files.

The content of a batch (which triplets in which order, and which images are mirrored) depends only
on the seed, the step number and the training process, not on the number of worker processes that
load images. A resumed training run therefore gets the same batches as an uninterrupted one.
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
    """Training batches of one process, by step number.

    If the triplets of an epoch do not fill its last batch, that batch is dropped.

    Attributes:
        data: Data of the benchmark.
        processor: Image preprocessor and tokenizers.
        template: Format strings that join the captions of a triplet to one text, such as
            `{"single": "{0}", "pair": "{0} and {1}"}`.
        size: Number of triplets in a batch of one process.
        seed: Seed of all random choices.
        masks_padding: Whether the CNN stream ignores the padding of texts. If False, the padding of
            a text, up to the longest text of its batch, counts as words.
        rank: Index of this process, from 0.
        world: Number of training processes.
        clip_table: Cached CLIP features; None to compute them in each step. With cached features,
            images are opened only if the model has a CNN stream, that is, if the processor has a
            word tokenizer.
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
        """Number of complete steps in an epoch.

        Raises:
            DatasetError: there are too few triplets for one step.
        """
        steps = len(self.data.learned) // (self.size * self.world)
        if steps == 0:
            raise DatasetError(
                f"{len(self.data.learned)} triplets are not enough for {self.world} processes "
                f"with {self.size} each; set a smaller batch_size, or start fewer"
            )
        return steps

    def make(self, step: int) -> TripletBatch:
        """Return the batch of a step for this process, on the CPU.

        Args:
            step: Number of the step, counted from 0 over all epochs.

        Raises:
            DatasetError: an image cannot be read or a text cannot be tokenized; the message names
                the triplet.
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
        """Return the normalized pixels of B images, (B, 3, height, width).

        The memory layout is channels-last, the fastest for convolutions.
        """
        pixels = self.processor(images=[view.image for view in views if view.image])["pixel_values"]
        return pixels.contiguous(memory_format=torch.channels_last)

    def _cached_features(self, views: "list[_View]") -> Tensor:
        """Return CLIP's cached features of B images, of size F, (B, F)."""
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
        """Return an integer label for the target of each of B triplets, (B,).

        Targets that count as the same, as defined by `BenchmarkData.answers`, have equal labels.
        """
        numbers: dict[str, int] = {}
        answers = [self.data.answers.get(t.target, t.target) for t in triplets]
        return torch.tensor([numbers.setdefault(answer, len(numbers)) for answer in answers])


class _View(NamedTuple):
    """An image of a batch, with its name and whether it is mirrored.

    `image`, already mirrored if `mirrored` is True, is None if no network needs its pixels.
    """

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
    """Data set that returns the batch of step s for the index s.

    If a batch cannot be made, the DatasetError is returned in its place. The error is not raised,
    because an error raised in a worker process reaches the main process with the worker's traceback
    in its message.
    """

    def __init__(self, batches: BenchmarkBatches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> TripletBatch | DatasetError:
        try:
            return self._batches.make(step)
        except DatasetError as error:
            return error


class BatchLoader:
    """Loader that makes batches ahead of time in worker processes and moves them to a device.

    If the number of workers is 0, batches are made in this process, when they are requested.
    """

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
        """Return the batch of a step; consecutive steps are prefetched.

        Raises:
            DatasetError: as in `BenchmarkBatches.make`.
        """
        batch = self._load(step)
        if isinstance(batch, DatasetError):
            self._load.close()
            raise batch
        return batch.to(self._device)
