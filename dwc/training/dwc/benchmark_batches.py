"""Batches of a benchmark's triplets, read from picture files.

A batch is a function of (seed, step): order, drawn triplets, mirrored pictures and all, whatever
the number of processes that read. So a training that goes on after a kill sees what it would have
seen.
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
from dwc.training.dwc.clip_feature_table import ClipFeatureTable
from dwc.training.dwc.mutual_training import TripletBatch


@dataclass(frozen=True)
class BenchmarkBatches:
    """Makes the batches of one process out of `world`; an epoch's last, incomplete one is dropped.

    `size` triplets a process and step. With a `clip_table`, CLIP's features come along, and for a
    model without CNN stream (whose processor has no word tokenizer) no picture is opened. Without
    `masks_padding` every text is as long as the longest of its batch, and what fills it counts as
    words.
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
        """How many steps take every triplet once; DatasetError where not even one does."""
        steps = len(self.data.learned) // (self.size * self.world)
        if steps == 0:
            raise DatasetError(
                f"{len(self.data.learned)} triplets are not enough for {self.world} processes "
                f"with {self.size} each; set a smaller batch_size, or start fewer"
            )
        return steps

    def make(self, step: int) -> TripletBatch:
        """The batch of a step; DatasetError, which names the triplet, where one cannot be read."""
        epoch, number = divmod(step, self.steps_per_epoch)
        start = (number * self.world + self.rank) * self.size
        places = _order(len(self.data.learned), self.seed, epoch)[start : start + self.size]
        triplets: list[Triplet] = []
        references: list[_Seen] = []
        targets: list[_Seen] = []
        for place in places:
            rng = random.Random(f"{self.seed}/{epoch}/{place}")
            triplet = self.data.learned.draw(place, rng)
            triplets.append(triplet)
            references.append(self._open(triplet.reference, place, triplet, rng))
            targets.append(self._open(triplet.target, place, triplet, rng))
        query, labels, pixels = self._read_texts(places, triplets), self._labels(triplets), None
        if self._looks:
            query["pixel_values"] = self._read_pictures(references)
            pixels = self._read_pictures(targets)
        if self.clip_table is None:
            return TripletBatch([query], pixels, labels)
        query["clip_image_features"] = self._known(references)
        texts = self.clip_table.texts(places)
        if texts is not None:
            query["clip_text_features"] = texts
        return TripletBatch([query], pixels, labels, self._known(targets))

    @property
    def _looks(self) -> bool:
        """Whether anything needs the pixels."""
        return self.clip_table is None or self.processor.word_tokenizer is not None

    def _open(self, name: str, place: int, triplet: Triplet, rng: random.Random) -> "_Seen":
        mirrored = self.data.mirrored and rng.random() < 0.5
        if not self._looks:
            return _Seen(name, mirrored)
        try:
            picture = decode(self.data.paths[name])
        except ImageError as error:
            raise DatasetError(f"{_describe(place, triplet)}: {error}") from error
        return _Seen(name, mirrored, ImageOps.mirror(picture) if mirrored else picture)

    def _read_pictures(self, seen: "list[_Seen]") -> Tensor:
        """(B, 3, H, W) in the layout that convolutions are fastest on."""
        pixels = self.processor(images=[one.picture for one in seen if one.picture])["pixel_values"]
        return pixels.contiguous(memory_format=torch.channels_last)

    def _known(self, seen: "list[_Seen]") -> Tensor:
        """CLIP's features (B, F) of these very views."""
        assert self.clip_table is not None
        return self.clip_table.pictures([one.name for one in seen], [one.mirrored for one in seen])

    def _read_texts(self, places: list[int], triplets: list[Triplet]) -> dict[str, Tensor]:
        texts = [fill_template(self.template, triplet.captions) for triplet in triplets]
        try:
            read = dict(self.processor(text=texts))
        except QueryError:
            for place, triplet, text in zip(places, triplets, texts, strict=True):
                self._require_readable(place, triplet, text)
            raise
        if not self.masks_padding and "word_mask" in read:
            read["word_mask"] = torch.ones_like(read["word_mask"])
        return read

    def _require_readable(self, place: int, triplet: Triplet, text: str) -> None:
        try:
            self.processor(text=text)
        except QueryError as error:
            raise DatasetError(f"{_describe(place, triplet)}: {error}") from error

    def _labels(self, triplets: list[Triplet]) -> Tensor:
        """(B,): equal where two targets show the same."""
        numbers: dict[str, int] = {}
        shown = [self.data.answers.get(t.target, t.target) for t in triplets]
        return torch.tensor([numbers.setdefault(one, len(numbers)) for one in shown])


class _Seen(NamedTuple):
    """A picture as a batch has it; None where no one looks at it."""

    name: str
    mirrored: bool
    picture: Image.Image | None = None


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    """The places of an epoch, shuffled."""
    places = list(range(count))
    random.Random(f"{seed}/order/{epoch}").shuffle(places)
    return places


def _describe(place: int, triplet: Triplet) -> str:
    words = " / ".join(triplet.captions)
    return f"triplet {place} ({triplet.reference} -> {triplet.target}, {words!r})"


class _BySteps(Dataset):
    """A mistake is handed over, not raised: a worker's would arrive as a traceback in a text."""

    def __init__(self, batches: BenchmarkBatches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> TripletBatch | DatasetError:
        try:
            return self._batches.make(step)
        except DatasetError as error:
            return error


class BatchLoader:
    """The same batches on a device, read ahead by `workers` processes; 0 reads in this one."""

    def __init__(
        self, batches: BenchmarkBatches, total_steps: int, device: torch.device, workers: int
    ) -> None:
        self._device = device
        self._read: StepLoader[TripletBatch | DatasetError] = StepLoader(
            _BySteps(batches),
            total_steps,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=device.type == "cuda",
        )

    def __call__(self, step: int) -> TripletBatch:
        """The batch of `step`; asked for in order, it is ready already. DatasetError as `make`."""
        batch = self._read(step)
        if isinstance(batch, DatasetError):
            raise batch
        return batch.to(self._device)
