"""A benchmark as training sees it: what is learned from, what an epoch is chosen by, what counts.

Pictures that are missing are counted and left out everywhere; they never stop a training.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from dwc.datasets import css3d, fashion200k, fashion_iq, shoes
from dwc.datasets.benchmark_files import ImageFiles
from dwc.datasets.triplets import Benchmark, RetrievalQuery, Triplet, drop_missing, sample_queries
from dwc.errors import DatasetError
from dwc.training.dwc.presets import BenchmarkPreset

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "fashion_iq": fashion_iq.CATEGORIES,
    "shoes": (),
    "fashion200k": (),
    "css3d": (),
}
"""The benchmarks that DWC is trained on, each with its categories, if it has any."""

PROTOCOL = "P3"  # of FashionIQ: the authors'
# What an epoch is chosen by: the mean of these recalls, which each benchmark's authors report.
CHOSEN_BY: Mapping[str, tuple[int, ...]] = {
    "fashion_iq": (10, 50),
    "shoes": (1, 10, 50),
    "fashion200k": (1, 10, 50),
    "css3d": (1,),
}
_MIRRORED = ("fashion_iq", "shoes")  # CSS3D's words say left and right
_MOST_ASKED = 2_000  # held-out queries: more would cost time and tell little more


class TripletSource(Protocol):
    """Triplets by place; what is not fixed is drawn."""

    def __len__(self) -> int:
        """How many places there are: an epoch."""

    def draw(self, place: int, generator: random.Random) -> Triplet:
        """The triplet of a place, the same for the same state of the generator."""

    def names(self) -> Iterable[str]:
        """Every picture that may be drawn, at least once each."""


@dataclass(frozen=True)
class FixedTriplets:
    """Triplets that annotators wrote."""

    triplets: Sequence[Triplet]

    def __len__(self) -> int:
        return len(self.triplets)

    def draw(self, place: int, generator: random.Random) -> Triplet:
        """The triplet of a place."""
        return self.triplets[place]

    def names(self) -> Iterable[str]:
        """References and targets, triplet by triplet."""
        return _pictures_of(self.triplets)


@dataclass(frozen=True)
class BenchmarkData:
    """A benchmark, read.

    `answers` says what a target shows where the benchmark counts more than that very picture as
    found. `vocabulary` are the training captions, in order, those without pictures too, so that
    dead links do not renumber words. `selection` is asked to choose an epoch, `evaluation`, by
    category, for the numbers to report. `counts` are for the report.
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
    """Read a benchmark for training; `categories` are those of FashionIQ that one model learns.

    DatasetError where files are not as documented, or too few pictures are there to train.
    """
    readers: Mapping[str, Callable[[], _Parts]] = {
        "fashion_iq": partial(_read_fashion_iq, root, categories or fashion_iq.CATEGORIES),
        "shoes": partial(_read_shoes, root, preset.shoes_listing),
        "fashion200k": partial(_read_fashion200k, root, preset),
        "css3d": partial(_read_css3d, root, preset.same_target),
    }
    parts = readers[dataset]()
    if parts.learned is None:
        parts.divide(preset)
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
        chosen_by=CHOSEN_BY[dataset],
        counts=parts.counts,
        answers=parts.answers,
    )


@dataclass
class _Parts:
    """What the readers gather. `groups` are triplets by gallery: FashionIQ's categories."""

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
        """Look pictures up, and remember those that are missing."""
        for name in dict.fromkeys(names):
            path = files.find(name)
            if path is None:
                self.missing.add(name)
            else:
                self.paths[name] = path

    def keep(self, triplets: Sequence[Triplet]) -> None:
        """Take those triplets as a group whose two pictures are there."""
        kept = [t for t in triplets if t.reference in self.paths and t.target in self.paths]
        self.groups.append(kept)
        counts = {"triplets": len(triplets), "triplets_with_pictures": len(kept)}
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def divide(self, preset: BenchmarkPreset) -> None:
        """Hold out what the preset says, group by group."""
        learned = [triplet for group in self.groups for triplet in group]
        if preset.chooses_on == "held_out":
            targets = {self._shown(triplet.target) for triplet in learned}
            held = {shown for shown in targets if is_held_out(shown, preset)}
            for group in self.groups:
                asked = [t for t in group if self._shown(t.target) in held]
                whole = _held_out_benchmark(asked, self.answers)
                self.held_out.append(sample_queries(whole, _MOST_ASKED, preset.seed))
            # What is asked for is not learned from as a reference either.
            learned = [t for t in learned if held.isdisjoint(map(self._shown, _pictures_of([t])))]
        self.learned = FixedTriplets(learned)

    def _shown(self, name: str) -> str:
        return self.answers.get(name, name)


def is_held_out(shown: str, preset: BenchmarkPreset) -> bool:
    """Whether what a target shows is held out of training, by that and the preset's seed alone."""
    digest = sha256(f"{preset.seed}/{shown}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < preset.held_out_share


def _held_out_benchmark(asked: Sequence[Triplet], answers: Mapping[str, str]) -> Benchmark:
    """Triplets asked over their references and targets, as FashionIQ's P3 asks its own."""
    gallery = tuple(dict.fromkeys(name for t in asked for name in (t.reference, t.target)))
    alike: dict[str, set[str]] = {}
    for name in gallery:
        alike.setdefault(answers.get(name, name), set()).add(name)
    return Benchmark(
        protocol="held-out targets of the training set",
        gallery=gallery,
        queries=tuple(
            RetrievalQuery(
                t.reference, t.captions, frozenset(alike[answers.get(t.target, t.target)])
            )
            for t in asked
        ),
    )


def _read_fashion_iq(root: Path, categories: Sequence[str]) -> _Parts:
    parts = _Parts({}, [])
    for category in categories:
        pictures = fashion_iq.FashionIqImages(root, category)
        triplets = fashion_iq.fashion_iq_triplets(root, category, "train")
        asked = fashion_iq.fashion_iq_benchmark(root, category, PROTOCOL, "val", pictures)
        parts.evaluation[category] = asked
        parts.find(pictures, (*_pictures_of(triplets), *asked.gallery))
        parts.keep(triplets)
        parts.vocabulary += [caption for t in triplets for caption in t.captions]
    return parts


def _read_shoes(root: Path, listing: str) -> _Parts:
    pictures = shoes.ShoesImages(root)
    triplets = shoes.shoes_triplets(root, "train", listing)
    # Both presets are asked as the released code asks, or their numbers would not compare.
    asked = shoes.shoes_benchmark(root, "test")
    parts = _Parts({"": drop_missing(asked, pictures.missing(asked.gallery))}, [])
    parts.find(pictures, (*_pictures_of(triplets), *asked.gallery))
    parts.keep(triplets)
    parts.vocabulary += [caption for t in triplets for caption in t.captions]
    return parts


def _read_css3d(root: Path, same_target: str) -> _Parts:
    triplets = css3d.css3d_triplets(root, "train")
    asked = css3d.css3d_benchmark(root)
    files = css3d.css3d_images(root, (*_pictures_of(triplets), *asked.gallery))
    parts = _Parts({"": drop_missing(asked, files.missing(asked.gallery))}, [])
    parts.find(files, (*_pictures_of(triplets), *asked.gallery))
    if same_target == "answer":
        # Its hits are all scenes with the target's label: the first of them stands for the label.
        labelled = css3d.css3d_benchmark(root, "train").queries
        parts.answers |= {name: min(query.hits) for query in labelled for name in query.hits}
    parts.keep(triplets)
    parts.vocabulary += [caption for t in triplets for caption in t.captions]
    return parts


def _read_fashion200k(root: Path, preset: BenchmarkPreset) -> _Parts:
    listed = fashion200k.labeled_images(root, "train")
    asked = fashion200k.fashion200k_benchmark(root, states_answer=preset.states_answer)
    names = [picture.path for picture in listed]
    files = fashion200k.fashion200k_images(root, (*names, *asked.gallery))
    parts = _Parts({"": drop_missing(asked, files.missing(asked.gallery))}, [])
    parts.find(files, (*names, *asked.gallery))
    parts.vocabulary += [*(picture.caption for picture in listed), "replace with and get"]
    there = [picture for picture in listed if picture.path in parts.paths]
    parts.counts |= {"pictures": len(listed), "pictures_there": len(there)}
    if preset.same_target == "answer":
        parts.answers |= {picture.path: picture.caption for picture in there}
    if preset.chooses_on == "held_out":
        held = [picture for picture in there if is_held_out(picture.caption, preset)]
        there = [picture for picture in there if not is_held_out(picture.caption, preset)]
        pairs = fashion200k.TrainPairs(held, preset.states_answer)
        rng = random.Random(f"{preset.seed}/held out")
        places = rng.sample(range(len(pairs)), min(len(pairs), _MOST_ASKED))
        drawn = [pairs.draw(place, rng) for place in places]
        captions = {picture.path: picture.caption for picture in held}
        parts.held_out.append(_held_out_benchmark(drawn, captions))
    parts.learned = fashion200k.TrainPairs(there, preset.states_answer)
    return parts


def _pictures_of(triplets: Iterable[Triplet]) -> list[str]:
    return [name for triplet in triplets for name in (triplet.reference, triplet.target)]


def _require(
    dataset: str,
    root: Path,
    preset: BenchmarkPreset,
    parts: _Parts,
    selection: Sequence[Benchmark],
) -> None:
    """Raise DatasetError where too little is there to train, to choose, or to measure."""
    count = 0 if parts.learned is None else len(parts.learned)
    if count < preset.batch_size:
        raise DatasetError(
            f"{count} triplets of {dataset} are left to learn from, of those with pictures under "
            f"{root}; a batch needs {preset.batch_size}. Put more pictures there, or set a smaller "
            "batch_size"
        )
    for benchmark in (*selection, *parts.evaluation.values()):
        if not benchmark.queries:
            raise DatasetError(
                f"no query of {benchmark.protocol} is left under {root}; put the pictures there"
                + (", or set a larger held_out_share" if benchmark in parts.held_out else "")
            )
