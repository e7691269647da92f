"""Data of a benchmark: training triplets and their batches, and queries to evaluate.

Triplets and queries whose images are missing are left out and counted. Missing images do not stop a
training run unless too few triplets or queries remain.

The content of a batch (which triplets in which order, and which images are mirrored) depends only
on the seed, the step number and the training process, not on the number of worker processes that
load images. A resumed training run therefore gets the same batches as an uninterrupted one.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from accelerate import Accelerator
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from dwc.datasets import css3d, fashion200k, fashion_iq, shoes
from dwc.datasets.annotation_files import ImageFiles
from dwc.datasets.image_loading import decode
from dwc.datasets.triplets import Benchmark, RetrievalQuery, Triplet, drop_missing, sample_queries
from dwc.errors import DatasetError, ImageError, QueryError
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.processing_dwc import DWCProcessor, fill_template
from dwc.training.data_loading import StepLoader
from dwc.training.dwc.mutual_training import TripletBatch
from dwc.training.dwc.presets import BenchmarkPreset
from dwc.training.feature_cache import ClipFeatureTable, cache_clip_features

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "fashion_iq": fashion_iq.CATEGORIES,
    "shoes": (),
    "fashion200k": (),
    "css3d": (),
}
"""Benchmarks that DWC can be trained on -> their categories; most benchmarks have none."""

PROTOCOL = "P3"  # FashionIQ's evaluation protocol that DWC's authors use
# Benchmark -> values of K for which its authors report recall@K. The epoch with the highest mean of
# these recalls is the best.
SELECTION_KS: Mapping[str, tuple[int, ...]] = {
    "fashion_iq": (10, 50),
    "shoes": (1, 10, 50),
    "fashion200k": (1, 10, 50),
    "css3d": (1,),
}
# Benchmarks whose images are mirrored at random. CSS3D's are not: its texts say left and right.
_MIRRORED = ("fashion_iq", "shoes")
# Maximum number of held-out queries per gallery; more queries would add little precision.
_MOST_QUERIES = 2_000


class TripletSource(Protocol):
    """Interface for access to training triplets by index; parts of a triplet may be random."""

    def __len__(self) -> int:
        """Return the number of triplets in an epoch."""

    def draw(self, index: int, generator: random.Random, /) -> Triplet:
        """Return the triplet with a given index; `generator` is the source of random choices."""

    def names(self) -> Iterable[str]:
        """Return the names of all images that may occur in triplets; names may be repeated."""


@dataclass(frozen=True)
class FixedTriplets:
    """Source of triplets that are the same in every epoch."""

    triplets: Sequence[Triplet]

    def __len__(self) -> int:
        return len(self.triplets)

    def draw(self, index: int, generator: random.Random) -> Triplet:
        """Return the triplet with a given index; `generator` is not used."""
        return self.triplets[index]

    def names(self) -> Iterable[str]:
        """Return the names of the reference and target images, triplet by triplet."""
        return _image_names(self.triplets)


@dataclass(frozen=True)
class BenchmarkData:
    """Data of a benchmark for training, epoch selection and evaluation.

    Attributes:
        learned: The triplets to train on.
        vocabulary: All training captions in order. Captions of missing images are included, so that
            word ids do not depend on which images could be downloaded.
        selection: Galleries with queries; their recall selects the best epoch.
        evaluation: Category name ("" if the benchmark has no categories) -> gallery with the
            queries of the reported metrics.
        paths: Image name -> image file.
        mirrored: Whether training mirrors images at random.
        chosen_by: Values of K. The best epoch has the highest mean of the recalls at these K.
        counts: Numbers of triplets, images and queries for the log and the report, by name, such as
            "triplets_with_pictures".
        answers: Image name -> identity. Images of equal identity count as the same target. An image
            that is not listed counts only as itself.
    """

    learned: TripletSource
    vocabulary: Sequence[str]
    selection: Sequence[Benchmark]
    evaluation: Mapping[str, Benchmark]
    paths: Mapping[str, Path]
    mirrored: bool
    chosen_by: tuple[int, ...]
    counts: Mapping[str, int]
    answers: Mapping[str, str] = field(default_factory=dict)


def read_benchmark(
    dataset: str, root: Path, preset: BenchmarkPreset, categories: Sequence[str] = ()
) -> BenchmarkData:
    """Read a benchmark for training.

    Args:
        dataset: Name of the benchmark, a key of `CATEGORIES`.
        root: The benchmark's folder.
        preset: Hyperparameters. Some of them determine which targets are held out of training, and
            how the benchmark's texts and triplets are formed.
        categories: FashionIQ's categories to read; all if empty. Ignored for other benchmarks.

    Raises:
        DatasetError: files are missing or not in the documented format, or too few images exist.
    """
    readers: Mapping[str, Callable[[], _Parts]] = {
        "fashion_iq": partial(_read_fashion_iq, root, categories or fashion_iq.CATEGORIES),
        "shoes": partial(_read_shoes, root, preset.shoes_listing),
        "fashion200k": partial(_read_fashion200k, root, preset),
        "css3d": partial(_read_css3d, root, preset.same_target),
    }
    parts = readers[dataset]()
    if parts.learned is None:
        parts.hold_out(preset)
    assert parts.learned is not None
    selection = (
        parts.held_out if preset.chooses_on == "held_out" else list(parts.evaluation.values())
    )
    _require(dataset, root, preset, parts, selection)
    missing = parts.missing.union(*(benchmark.missing for benchmark in parts.evaluation.values()))
    parts.counts |= {
        "learned": len(parts.learned),
        "held_out_queries": sum(len(benchmark.queries) for benchmark in parts.held_out),
        "missing_pictures": len(missing),
        "evaluation_queries": sum(len(b.queries) for b in parts.evaluation.values()),
    }
    return BenchmarkData(
        learned=parts.learned,
        vocabulary=parts.vocabulary,
        selection=selection,
        evaluation=parts.evaluation,
        paths=parts.paths,
        mirrored=dataset in _MIRRORED,
        chosen_by=SELECTION_KS[dataset],
        counts=parts.counts,
        answers=parts.answers,
    )


@dataclass
class _Parts:
    """Data of a benchmark, filled in while its files are read; the basis of a `BenchmarkData`.

    Attributes:
        evaluation: Category name ("" if the benchmark has no categories) -> gallery with the
            queries of the reported metrics.
        vocabulary: All training captions in order.
        groups: Lists of training triplets, one list per gallery; FashionIQ has one per category.
        learned: The triplets to train on.
        held_out: Galleries with queries whose targets are held out of training.
        answers: Image name -> identity. Images of equal identity count as the same target.
        paths: Image name -> image file.
        missing: Names of missing images.
        counts: Numbers for the log and the report, by name, such as "triplets_with_pictures".
    """

    evaluation: dict[str, Benchmark]
    vocabulary: list[str]
    groups: list[list[Triplet]] = field(default_factory=list)
    learned: TripletSource | None = None
    held_out: list[Benchmark] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def find(self, files: ImageFiles, names: Iterable[str]) -> None:
        """Add the file of each image to `paths`, or its name to `missing` if there is no file."""
        for name in dict.fromkeys(names):
            path = files.find(name)
            if path is None:
                self.missing.add(name)
            else:
                self.paths[name] = path

    def add_group(self, triplets: Sequence[Triplet]) -> None:
        """Add the training triplets of one gallery to `groups`, without those that lack an image.

        The numbers of triplets before and after this selection are added to `counts`.
        """
        complete = [t for t in triplets if t.reference in self.paths and t.target in self.paths]
        self.groups.append(complete)
        counts = {"triplets": len(triplets), "triplets_with_pictures": len(complete)}
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def hold_out(self, preset: BenchmarkPreset) -> None:
        """Set `learned` to the triplets to train on; hold some out if the preset requests it.

        Triplets with a held-out target are not trained on, but become the queries of `held_out`.
        Triplets with a held-out image as the reference are excluded from training, too.
        """
        learned = [triplet for group in self.groups for triplet in group]
        if preset.chooses_on == "held_out":
            answers = {self._answer(triplet.target) for triplet in learned}
            held_out = {answer for answer in answers if is_held_out(answer, preset)}
            for group in self.groups:
                queries = [t for t in group if self._answer(t.target) in held_out]
                benchmark = _held_out_benchmark(queries, self.answers)
                self.held_out.append(sample_queries(benchmark, _MOST_QUERIES, preset.seed))
            # Triplets with a held-out reference image are also excluded from training.
            learned = [
                t for t in learned if held_out.isdisjoint(map(self._answer, _image_names([t])))
            ]
        self.learned = FixedTriplets(learned)

    def _answer(self, name: str) -> str:
        return self.answers.get(name, name)


def is_held_out(target: str, preset: BenchmarkPreset) -> bool:
    """Return whether a target is held out, that is, used to select the best epoch, not to train.

    The choice is pseudorandom and depends only on the target, the seed and the share.

    Args:
        target: The target's image name; or, if several images count as the same target, their
            common identity in `BenchmarkData.answers`.
        preset: Settings that include the seed and the share (0 to 1) of held-out targets.
    """
    digest = sha256(f"{preset.seed}/{target}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < preset.held_out_share


def _held_out_benchmark(triplets: Sequence[Triplet], answers: Mapping[str, str]) -> Benchmark:
    """Return a benchmark with held-out triplets as queries and all their images as the gallery.

    The hits (correct results) of a query are the gallery images that count as its target.

    Args:
        triplets: The held-out triplets.
        answers: Image name -> identity. Images of equal identity count as the same target.
    """
    gallery = tuple(dict.fromkeys(_image_names(triplets)))
    by_answer: dict[str, set[str]] = {}
    for name in gallery:
        by_answer.setdefault(answers.get(name, name), set()).add(name)
    return Benchmark(
        protocol="held-out targets of the training set",
        gallery=gallery,
        queries=tuple(
            RetrievalQuery(
                t.reference, t.captions, frozenset(by_answer[answers.get(t.target, t.target)])
            )
            for t in triplets
        ),
    )


def _read_fashion_iq(root: Path, categories: Sequence[str]) -> _Parts:
    parts = _Parts({}, [])
    for category in categories:
        images = fashion_iq.FashionIqImages(root, category)
        triplets = fashion_iq.fashion_iq_triplets(root, category, "train")
        benchmark = fashion_iq.fashion_iq_benchmark(root, category, PROTOCOL, "val", images)
        parts.evaluation[category] = benchmark
        parts.find(images, (*_image_names(triplets), *benchmark.gallery))
        parts.add_group(triplets)
        parts.vocabulary += [caption for t in triplets for caption in t.captions]
    return parts


def _read_shoes(root: Path, listing: str) -> _Parts:
    images = shoes.ShoesImages(root)
    triplets = shoes.shoes_triplets(root, "train", listing)
    # Both presets are evaluated as in the released code, so that their metrics are comparable.
    benchmark = shoes.shoes_benchmark(root, "test")
    parts = _Parts({"": drop_missing(benchmark, images.missing(benchmark.gallery))}, [])
    parts.find(images, (*_image_names(triplets), *benchmark.gallery))
    parts.add_group(triplets)
    parts.vocabulary += [caption for t in triplets for caption in t.captions]
    return parts


def _read_css3d(root: Path, same_target: str) -> _Parts:
    triplets = css3d.css3d_triplets(root, "train")
    benchmark = css3d.css3d_benchmark(root)
    files = css3d.css3d_images(root, (*_image_names(triplets), *benchmark.gallery))
    parts = _Parts({"": drop_missing(benchmark, files.missing(benchmark.gallery))}, [])
    parts.find(files, (*_image_names(triplets), *benchmark.gallery))
    if same_target == "answer":
        # The hits of a query are all scenes with the target's label; the alphabetically first of
        # their names serves as the label's identity.
        labeled = css3d.css3d_benchmark(root, "train").queries
        parts.answers |= {name: min(query.hits) for query in labeled for name in query.hits}
    parts.add_group(triplets)
    parts.vocabulary += [caption for t in triplets for caption in t.captions]
    return parts


def _read_fashion200k(root: Path, preset: BenchmarkPreset) -> _Parts:
    listed = fashion200k.labeled_images(root, "train")
    benchmark = fashion200k.fashion200k_benchmark(root, states_answer=preset.states_answer)
    names = [picture.path for picture in listed]
    files = fashion200k.fashion200k_images(root, (*names, *benchmark.gallery))
    parts = _Parts({"": drop_missing(benchmark, files.missing(benchmark.gallery))}, [])
    parts.find(files, (*names, *benchmark.gallery))
    parts.vocabulary += [*(picture.caption for picture in listed), "replace with and get"]
    present = [picture for picture in listed if picture.path in parts.paths]
    parts.counts |= {"pictures": len(listed), "pictures_there": len(present)}
    if preset.same_target == "answer":
        parts.answers |= {picture.path: picture.caption for picture in present}
    if preset.chooses_on == "held_out":
        held = [picture for picture in present if is_held_out(picture.caption, preset)]
        present = [picture for picture in present if not is_held_out(picture.caption, preset)]
        pairs = fashion200k.TrainPairs(held, preset.states_answer)
        rng = random.Random(f"{preset.seed}/held out")
        indices = rng.sample(range(len(pairs)), min(len(pairs), _MOST_QUERIES))
        drawn = [pairs.draw(index, rng) for index in indices]
        captions = {picture.path: picture.caption for picture in held}
        parts.held_out.append(_held_out_benchmark(drawn, captions))
    parts.learned = fashion200k.TrainPairs(present, preset.states_answer)
    return parts


def _image_names(triplets: Iterable[Triplet]) -> list[str]:
    return [name for triplet in triplets for name in (triplet.reference, triplet.target)]


def _require(
    dataset: str,
    root: Path,
    preset: BenchmarkPreset,
    parts: _Parts,
    selection: Sequence[Benchmark],
) -> None:
    """Check that the triplets fill at least one batch, and that every gallery has queries.

    Raises:
        DatasetError: There are too few triplets, or a gallery has no queries.
    """
    count = 0 if parts.learned is None else len(parts.learned)
    if count < preset.batch_size:
        raise DatasetError(
            f"{count} triplets of {dataset} with pictures under {root} are left to train on; a "
            f"batch needs {preset.batch_size}. Put more pictures there, or set a smaller "
            "batch_size"
        )
    for benchmark in (*selection, *parts.evaluation.values()):
        if not benchmark.queries:
            raise DatasetError(
                f"no query of {benchmark.protocol} is left under {root}; put the pictures there"
                + (", or set a larger held_out_share" if benchmark in parts.held_out else "")
            )


def cache_benchmark_features(
    clip: ClipBackbone,
    processor: DWCProcessor,
    template: Mapping[str, str],
    data: BenchmarkData,
    folder: Path,
    accelerator: Accelerator,
    threads: int,
) -> ClipFeatureTable:
    """Return CLIP's features of all training images and texts; compute those not yet in `folder`.

    Texts are omitted if they are chosen at random during training, as for Fashion200k.

    Args:
        clip: The frozen CLIP model.
        processor: Image preprocessor and tokenizer.
        template: Format strings that join the captions of a triplet to one text.
        data: The benchmark's training data.
        folder: Folder of the feature files.
        accelerator: The accelerator with the processes and the precision of the forward passes.
        threads: Number of threads that load images.
    """
    images = {name: data.paths[name] for name in data.learned.names()}
    texts = None
    if isinstance(data.learned, FixedTriplets):
        texts = [fill_template(template, triplet.captions) for triplet in data.learned.triplets]
    return cache_clip_features(
        clip, processor, images, data.mirrored, texts, folder, accelerator, threads
    )


@dataclass(frozen=True)
class BenchmarkBatches:
    """Training batches of a benchmark's triplets for one process, by step number.

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
            step: Index of the step, counted from 0 over all epochs.

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
        """Return CLIP's cached features (B, F) of B images, F features per image."""
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

        Targets have equal labels if they count as the same; see `BenchmarkData.answers`.
        """
        numbers: dict[str, int] = {}
        answers = [self.data.answers.get(t.target, t.target) for t in triplets]
        return torch.tensor([numbers.setdefault(answer, len(numbers)) for answer in answers])


class _View(NamedTuple):
    """An image of a batch.

    Attributes:
        name: Name of the image.
        mirrored: Whether the batch contains the mirrored image instead of the original.
        image: The image, already mirrored if `mirrored` is True; None if no network needs pixels.
    """

    name: str
    mirrored: bool
    image: Image.Image | None = None


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    """Return the triplet indices 0 to `count` - 1, shuffled; equal arguments give equal orders."""
    indices = list(range(count))
    random.Random(f"{seed}/order/{epoch}").shuffle(indices)
    return indices


def _describe(index: int, triplet: Triplet) -> str:
    captions = " / ".join(triplet.captions)
    return f"triplet {index} ({triplet.reference} -> {triplet.target}, {captions!r})"


class _BySteps(Dataset):
    """Data set that returns the batch of step s for the index s.

    If a batch cannot be made, the DatasetError is returned instead of the batch. The error is not
    raised, because an error raised in a worker process reaches the main process with the worker's
    traceback in its message.
    """

    def __init__(self, batches: BenchmarkBatches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> TripletBatch | DatasetError:
        try:
            return self._batches.make(step)
        except DatasetError as error:
            return error


class BatchLoader:
    """Loader that makes batches in advance, in worker processes, and moves them to a device.

    Without worker processes, a batch is made in this process when it is requested.
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
            DatasetError: an image cannot be read or a text cannot be tokenized.
        """
        batch = self._load(step)
        if isinstance(batch, DatasetError):
            self._load.close()
            raise batch
        return batch.to(self._device)
