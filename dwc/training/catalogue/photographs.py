"""Training data from photographs of clothes: pixels, recolored copies, texts and triplets."""

import logging
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from dwc.catalogue.language.exclusions import say_exclusion
from dwc.catalogue.schema import COLORS, PATTERNS, SHADES, UNSHADED
from dwc.datasets.image_loading import decode
from dwc.datasets.wardrobe import (
    CHANGEABLE,
    Photograph,
    changes_between,
    image_path,
    image_share,
    phrase_changes,
    read_wardrobe,
    rows_by_category,
)
from dwc.errors import TrainingError
from dwc.files import atomic_path
from dwc.progress import track
from dwc.training.catalogue.augmentation import find_garment, recolor
from dwc.training.losses import NOT_APPLICABLE

logger = logging.getLogger(__name__)

TRAIN_SPLIT = "train"
_SIZE_PX = 192
_MASK_PX = 96
_CHUNK = 20  # photographs per task of a worker process
_RECOLORINGS = 2  # recolored copies of each photograph in which the garment is detected

# Category of photographs -> common nouns. A text may instead use the noun of the photograph's class
# in the data set; see `_LABEL_NOUNS`.
_NOUNS = {
    "t_shirt": ("t-shirt", "tee"),
    "tank_top": ("tank top", "vest top"),
    "polo": ("polo shirt", "polo"),
    "shirt": ("shirt", "button-up shirt"),
    "blouse": ("blouse", "top"),
    "bodysuit": ("bodysuit", "baby bodysuit"),
    "jumper": ("jumper", "sweater", "pullover"),
    "hoodie": ("hoodie", "hooded sweatshirt"),
    "blazer": ("blazer", "suit jacket"),
    "waistcoat": ("waistcoat", "vest"),
    "trousers": ("trousers", "pants"),
    "jeans": ("jeans", "pants"),
    "leggings": ("leggings", "pants"),
    "flats": ("flats", "shoes"),
    "sandals": ("sandals", "shoes"),
    "trainers": ("trainers", "sneakers", "shoes"),
    "boots": ("boots", "shoes"),
    "heels": ("heels", "shoes"),
    "hat": ("hat", "cap"),
    "other": ("something",),
}
_LABEL_NOUNS = {
    "Longsleeve": "longsleeve",
    "T-Shirt": "t-shirt",
    "Pants": "pants",
    "Shoes": "shoes",
    "Undershirt": "undershirt",
    "Body": "bodysuit",
    "Outwear": "outerwear",
    "Top": "top",
}
_PATTERN_WORDS = {"leopard": "leopard print", "colour_block": "colour block", "graphic": "printed"}
_EXCLUSION_SHARE = 0.15  # share of short texts that also exclude a color or a pattern
_NEEDLESS_SHARE = 0.6  # share of exclusions of a value that the reference does not have
_NOUNLESS_SHARE = 0.25  # share of text-only exclusions without a noun
_SAME_IN_COLOR = (
    "in {}", "the same in {}", "same but in {}", "make it {}", "but {}", "{} instead",
    "in {} please", "this in {}", "the same one in {}", "change the colour to {}", "{}",
)  # fmt: skip

# Attributes that linear heads classify from a photograph's features -> classes of each head.
HEADS: dict[str, tuple[str, ...]] = {
    "category": (*(name for name in _NOUNS if name != "other"), "cardigan", "sweatshirt", "jacket",
                 "coat", "dress", "skirt", "shorts"),
    "colour": COLORS,
    "shade": SHADES,
    "pattern": (*PATTERNS, "other"),
    "second": ("-", *COLORS),
    "sleeve": ("sleeveless", "short", "elbow", "long"),
    "neckline": (
        "round", "v", "square", "collar", "hood", "stand", "lapel", "roll", "off_shoulder",
    ),
    "length": ("cropped", "short", "medium", "long"),
    "fastening": ("none", "buttons", "zip", "strap", "laces", "buckle"),
}  # fmt: skip
QUERY_ATTRIBUTES = ("category", *CHANGEABLE)
"""Attributes of a photograph that a composed query changes or keeps."""

_EXCLUDED_PATTERNS = tuple(pattern for pattern in PATTERNS if pattern != "plain")


@dataclass(frozen=True)
class Recoloring:
    """A recolored copy of a photograph.

    Attributes:
        source: Index of the photograph.
        colour: New color of the garment.
        shade: Shade of the new color.
    """

    source: int
    colour: str
    shade: str


@dataclass(frozen=True)
class PhotographTriplet:
    """A triplet of a reference image, a target image and a modification text.

    Attributes:
        reference: Index of the reference image in `PhotographPool.pixels`.
        target: Index of the target image in `PhotographPool.pixels`.
        words: The modification text.
        image_share: The true image weight of the query, in [0, 1]: the fraction of the target's
            attributes that come from the reference image and not from the text.
        label: Identity of the target; equal for targets that count as the same.
    """

    reference: int
    target: int
    words: str
    image_share: float
    label: tuple[object, ...]


@dataclass(frozen=True)
class PhotographPool:
    """The training split of a data set of photographs of clothes, with recolored copies.

    Attributes:
        photographs: Records of the photographs.
        recolorings: Records of the recolored copies.
        pixels: Pixels of the N images (N, 3, H, W) of height H and width W, uint8. The photographs
            come first, then the recolored copies.
    """

    photographs: list[Photograph]
    recolorings: list[Recoloring]
    pixels: Tensor

    @property
    def images(self) -> int:
        """Number of images, recolored copies included."""
        return len(self.pixels)

    def take(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return N images of the pool, (N, 3, H, W), uint8.

        Args:
            indices: Indices (N,) of the images.
            generator: Not used; `DrawnPool.take`, which draws random styles, has the same
                arguments.
        """
        return self.pixels[indices]

    def with_recolorings(self, most: int) -> "PhotographPool":
        """Return a pool that has at most `most` of the recolored copies of each photograph."""
        seen: Counter[int] = Counter()
        chosen = []
        for number, new in enumerate(self.recolorings):
            if seen[new.source] < most:
                chosen.append(number)
            seen[new.source] += 1
        count = len(self.photographs)
        rows = [*range(count), *(count + number for number in chosen)]
        recolorings = [self.recolorings[number] for number in chosen]
        return PhotographPool(self.photographs, recolorings, self.pixels[rows])

    def photograph_of(self, image: int) -> Photograph:
        """Return the record of the image with a given index in `pixels`.

        The record of a recolored copy is its photograph's record with the new color and shade.
        """
        count = len(self.photographs)
        if image < count:
            return self.photographs[image]
        new = self.recolorings[image - count]
        old = self.photographs[new.source]
        changed = {**old.attributes, "colour": new.colour, "shade": new.shade}
        return Photograph(old.file, old.split, old.label, old.category, changed, old.caption)


def load_photographs(folder: Path, work: Path, seed: int, workers: int) -> PhotographPool:
    """Load the training photographs of clothes from a folder and add recolored copies.

    The pixels of photographs and copies are saved in a file in `work`. A later call with the same
    seed and number of photographs loads this file instead of making the copies again.

    Args:
        folder: Folder of the photographs, in the format of `dwc.datasets.wardrobe`.
        work: Folder of the cache file.
        seed: Seed of the new colors.
        workers: Number of worker processes.

    Raises:
        TrainingError: The folder has fewer than two training photographs.
    """
    photographs = read_wardrobe(folder, TRAIN_SPLIT)
    if len(photographs) < 2:
        raise TrainingError(f"{folder} has {len(photographs)} photographs to train on; give more")
    path = work / f"photographs-{seed}-{len(photographs)}.npz"
    if not path.exists():
        read = partial(_read_photograph, folder, seed)
        # Workers are not forked: k-means starts OpenMP threads, which hang in the fork of a process
        # that has started its own.
        with ProcessPoolExecutor(workers, get_context("spawn"), threadpool_limits, (1,)) as pool:
            jobs = pool.map(read, photographs, chunksize=_CHUNK)
            parts = list(track(jobs, "recoloring", logger, len(photographs)))
        made = [
            (row, COLORS.index(new.colour), SHADES.index(new.shade))
            for row, part in enumerate(parts)
            for new in part.recolored
        ]
        stack = [part.pixels for part in parts]
        stack += [new.pixels for part in parts for new in part.recolored]
        with atomic_path(path) as partial_path:
            np.savez(partial_path, pixels=np.stack(stack), made=np.array(made).reshape(-1, 3))
        logger.info("%d photographs, %d recolored", len(photographs), len(made))
    stored = np.load(path)
    recolorings = [Recoloring(r, COLORS[c], SHADES[s]) for r, c, s in stored["made"].tolist()]
    pixels = torch.from_numpy(stored["pixels"]).permute(0, 3, 1, 2)
    return PhotographPool(photographs, recolorings, pixels)


@dataclass(frozen=True)
class _Recolored:
    colour: str
    shade: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class _ReadPhotograph:
    pixels: NDArray[np.uint8]
    recolored: list[_Recolored]


def _read_photograph(folder: Path, seed: int, photograph: Photograph) -> _ReadPhotograph:
    image = decode(image_path(folder, photograph.file)).resize((_SIZE_PX, _SIZE_PX))
    pixels = np.asarray(image)
    garment = find_garment(np.asarray(image.resize((_MASK_PX, _MASK_PX))) / 255.0)
    if garment is None:
        return _ReadPhotograph(pixels, [])
    rng = random.Random(f"{seed}/{photograph.file}")
    own = (photograph.attributes["colour"], photograph.attributes["second"])
    recolored = []
    for colour in rng.sample([name for name in COLORS if name not in own], _RECOLORINGS):
        shade = "mid" if colour in UNSHADED else rng.choice(SHADES)
        new = recolor(pixels / 255.0, garment, colour, shade)
        recolored.append(_Recolored(colour, shade, (new * 255).round().astype(np.uint8)))
    return _ReadPhotograph(pixels, recolored)


def encode_photographs(photographs: Sequence[Photograph]) -> Tensor:
    """Return the class labels of N photographs for each attribute in `HEADS`.

    Returns:
        Labels (N, attributes), int64. The label of a value is its index in the attribute's entry of
        `HEADS`, or `NOT_APPLICABLE` for a value that the entry does not list.
    """
    rows = []
    for photograph in photographs:
        values = {"category": photograph.category, **photograph.attributes}
        rows.append(
            [
                options.index(values[name]) if values[name] in options else NOT_APPLICABLE
                for name, options in HEADS.items()
            ]
        )
    return torch.tensor(rows)


def query_attribute_labels(photographs: Sequence[Photograph], names: Sequence[str]) -> Tensor:
    """Return the class labels of N photographs for attributes of `QUERY_ATTRIBUTES`.

    Args:
        photographs: The photographs.
        names: Names of the attributes.

    Returns:
        Labels (N, len(names)), int64, as `encode_photographs` returns them, with `NOT_APPLICABLE`
        for unknown values.
    """
    columns = [list(HEADS).index(name) for name in names]
    unknown = [
        [name != "category" and photograph.known(name) is None for name in names]
        for photograph in photographs
    ]
    labels = encode_photographs(photographs)[:, columns]
    return labels.masked_fill(torch.tensor(unknown), NOT_APPLICABLE)


def describe_photograph(photograph: Photograph, rng: random.Random) -> str:
    """Return a short text about a photograph, such as "dress", "red dress" or "striped red dress".

    The noun, and whether color and pattern are mentioned, are chosen at random. Some texts also
    exclude a color or pattern that the garment does not have: "dress, not red".
    """
    text = _name_photograph(photograph, rng)
    pattern = photograph.known("pattern")
    if pattern is None or rng.random() >= _EXCLUSION_SHARE:
        return text
    own = {photograph.attributes["colour"], photograph.attributes["second"], pattern}
    attribute = rng.choice(("colour", "pattern"))
    options = COLORS if attribute == "colour" else _EXCLUDED_PATTERNS
    value = rng.choice([value for value in options if value not in own])
    return f"{text}, {_exclude(attribute, value, rng)}"


def _exclude(attribute: str, value: str, rng: random.Random) -> str:
    """Return a random phrase that excludes a color or pattern, such as "without stripes"."""
    return say_exclusion(rng, "t_shirt", attribute, value).text


def photograph_noun(photograph: Photograph, rng: random.Random) -> str:
    """Return a random noun for the garment of a photograph, such as "tee" for a T-shirt."""
    category = photograph.category
    noun = rng.choice(_NOUNS.get(category, (category,)))
    if photograph.label in _LABEL_NOUNS and rng.random() < 0.35:
        noun = _LABEL_NOUNS[photograph.label]
    return noun


def _name_photograph(photograph: Photograph, rng: random.Random) -> str:
    noun = photograph_noun(photograph, rng)
    detail = rng.random()
    if detail < 0.25:
        return noun
    words = [photograph.attributes["colour"]]
    pattern = photograph.known("pattern")
    if detail > 0.75 and pattern is not None:
        words.insert(rng.randint(0, 1), _PATTERN_WORDS.get(pattern, pattern))
    return " ".join([*words, noun])


def attribute_triplets(
    pool: PhotographPool, per_reference: int, seed: int
) -> list[PhotographTriplet]:
    """Return triplets of two photographs of one category that differ in one or two attributes.

    Args:
        pool: The photographs; recolored copies are not used.
        per_reference: Number of triplets for each reference photograph. A photograph is not
            used as a reference if no other photograph differs from it in one or two attributes.
        seed: Seed of all random choices.
    """
    rng = random.Random(f"{seed}/attributes")
    by_category = rows_by_category(pool.photographs)
    by_category.pop("other", None)
    triplets = []
    for row, reference in enumerate(pool.photographs):
        options = [
            (other, changes)
            for other in by_category.get(reference.category, [])
            if other != row and (changes := changes_between(reference, pool.photographs[other]))
        ]
        singles = [option for option in options if len(option[1]) == 1]
        doubles = [option for option in options if len(option[1]) == 2]
        for _ in range(per_reference if options else 0):
            source = singles if singles and (rng.random() < 0.55 or not doubles) else doubles
            other, changes = rng.choice(source)
            target = pool.photographs[other]
            words = phrase_changes(changes, target.attributes["shade"], rng)
            look = tuple(target.attributes[n] for n in ("colour", "pattern", "sleeve", "length"))
            label = ("look", target.category, *look)
            share = image_share(reference, changes)
            triplets.append(PhotographTriplet(row, other, words, share, label))
    return triplets


def recoloring_triplets(pool: PhotographPool, seed: int) -> list[PhotographTriplet]:
    """Return triplets whose target is the garment of the reference image in another color.

    Reference and target are two of the following images: a photograph and its recolored copies.
    Each of these images is the reference of exactly one triplet. Photographs without recolored
    copies are not used.

    Args:
        pool: The photographs with their recolored copies.
        seed: Seed of all random choices.
    """
    rng = random.Random(f"{seed}/recolorings")
    count = len(pool.photographs)
    of_source: dict[int, list[int]] = {}
    for number, new in enumerate(pool.recolorings):
        of_source.setdefault(new.source, []).append(count + number)
    triplets = []
    for source, images in of_source.items():
        share = image_share(pool.photographs[source], {"colour": ""})
        family = [source, *images]
        for reference in family:
            target = rng.choice([image for image in family if image != reference])
            color = pool.photograph_of(target).attributes["colour"]
            words = rng.choice(_SAME_IN_COLOR).format(color)
            triplets.append(PhotographTriplet(reference, target, words, share, ("image", target)))
    return triplets


def exclusion_pairs(
    pool: PhotographPool, seed: int
) -> list[tuple[PhotographTriplet, PhotographTriplet]]:
    """Return pairs of triplets: one asks for a color or pattern, and the other excludes it.

    The two targets of a pair are images that differ only in this attribute. The target of "in red"
    is the red image, and the target of "not red" is the other image. Each target is therefore a
    hard negative of the other triplet.

    Args:
        pool: The photographs with their recolored copies.
        seed: Seed of all random choices.
    """
    rng = random.Random(f"{seed}/exclusions")
    count = len(pool.photographs)
    pairs = [
        _exclusion_pair(pool, new.source, count + number, "colour", rng)
        for number, new in enumerate(pool.recolorings)
    ]
    by_category = rows_by_category(pool.photographs)
    for row, reference in enumerate(pool.photographs):
        options = [
            other
            for other in by_category[reference.category]
            if pool.photographs[other].known("pattern") in _EXCLUDED_PATTERNS
            and list(changes_between(reference, pool.photographs[other])) == ["pattern"]
        ]
        if options:
            pairs.append(_exclusion_pair(pool, row, rng.choice(options), "pattern", rng))
    return pairs


def _exclusion_pair(
    pool: PhotographPool, without: int, having: int, attribute: str, rng: random.Random
) -> tuple[PhotographTriplet, PhotographTriplet]:
    """Return a triplet that asks for an attribute's value and a triplet that excludes this value.

    Args:
        pool: The photographs with their recolored copies.
        without: Index of an image without the value.
        having: Index of an otherwise similar image with the value.
        attribute: "colour" or "pattern".
        rng: Source of random choices.
    """
    record = pool.photograph_of(without)
    value = pool.photograph_of(having).attributes[attribute]
    share = image_share(record, {attribute: value})
    wish = phrase_changes({attribute: value}, "mid", rng)
    excluding = _exclude(attribute, value, rng)
    has_value = rng.random() >= _NEEDLESS_SHARE
    return (
        PhotographTriplet(without, having, wish, share, ("image", having)),
        PhotographTriplet(
            having if has_value else without,
            without,
            excluding,
            share if has_value else image_share(record, {}),
            ("image", without),
        ),
    )


def text_exclusions(
    pool: PhotographPool,
    pairs: Sequence[tuple[PhotographTriplet, PhotographTriplet]],
    seed: int,
) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    """Return two text-only queries for each pair of triplets.

    The first query asks for a color or pattern, and the second excludes it. A query consists of a
    text and the index of its target image. Most texts are a noun followed by a triplet's text, such
    as "dress, in red" and "dress, not red". The others have no noun.

    Args:
        pool: The photographs with their recolored copies.
        pairs: Pairs of triplets, from `exclusion_pairs`.
        seed: Seed of all random choices.
    """
    rng = random.Random(f"{seed}/text exclusions")
    queries = []
    for wish, exclusion in pairs:
        category = pool.photograph_of(wish.target).category
        noun = rng.choice(_NOUNS.get(category, (category,)))
        has_noun = rng.random() >= _NOUNLESS_SHARE
        start = noun + rng.choice((", ", " ", " but ")) if has_noun else ""
        asking = start.replace(" but ", " ") + wish.words
        queries.append(((asking, wish.target), (start + exclusion.words, exclusion.target)))
    return queries
