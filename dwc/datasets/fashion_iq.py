"""FashionIQ as its authors distribute it, and whatever else is written in its format.

    captions/cap.<category>.<split>.json        [{"target", "candidate", "captions": [a, b]}, …]
    image_splits/split.<category>.<split>.json  [id, …]
    images/<id>.png|jpg                         or in another of the folders of `TREES`

Many of the pictures' links are dead, so that pictures may be missing: they are left out and named,
never fatal. Numbers of different protocols (`PROTOCOLS`) do not compare.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwc.datasets.benchmark_files import NamedImages, read_json, shorten
from dwc.datasets.triplets import Benchmark, RetrievalQuery, Triplet, drop_missing
from dwc.errors import DatasetError

logger = logging.getLogger(__name__)

CATEGORIES = ("dress", "shirt", "toptee")

# Where people keep the pictures; the first that has one wins.
TREES = (
    "images", "all_imgs", "resized_image/{category}", "image_data/{category}",
    "images/{category}", "{category}",
)  # fmt: skip

_ADVICE = (
    "expected FashionIQ's captions/ and image_splits/ in the data folder. "
    "Name the folder that holds both"
)


@dataclass(frozen=True)
class Protocol:
    """How a split is asked: over which gallery, with or without the reference, in which words."""

    full_gallery: bool  # the whole split; otherwise the references and targets of its triplets
    reference_removed: bool
    captions_joined: bool  # both captions in one query; otherwise each its own
    used_by: str


PROTOCOLS: Mapping[str, Protocol] = {
    "P1": Protocol(True, False, True, "CLIP4Cir, SPRC, BLIP4CIR+Bi"),
    "P2": Protocol(True, True, True, 'DCNet, DQU-CIR "original"'),
    "P3": Protocol(False, True, True, 'DWC, CLVC-Net, TG-CIR, PL "VAL split"'),
    "P4": Protocol(False, True, False, "VAL"),
}


def fashion_iq_triplets(root: Path, category: str, split: str) -> list[Triplet]:
    """Every triplet of a category and split, in the order of the file.

    DatasetError where the file is missing, is not as documented, or withholds the targets (as
    FashionIQ's test split does).
    """
    path = Path(root) / "captions" / f"cap.{category}.{split}.json"
    entries = read_json(path, list, _ADVICE)
    return [_triplet(path, place, entry) for place, entry in enumerate(entries)]


def split_ids(root: Path, category: str, split: str) -> list[str]:
    """The picture ids of a category and split, in the order of the file; DatasetError as above."""
    path = Path(root) / "image_splits" / f"split.{category}.{split}.json"
    ids = read_json(path, list, _ADVICE)
    for place, name in enumerate(ids):
        if not isinstance(name, str) or not name:
            raise DatasetError(
                f"{path}: entry {place} is {shorten(name)}; expected a picture id. "
                "Fetch the file again"
            )
    if len(set(ids)) != len(ids):
        raise DatasetError(
            f"{path}: lists {len(ids)} ids of which {len(set(ids))} are different; expected each "
            "once. Fetch the file again"
        )
    return ids


class FashionIqImages(NamedImages):
    """Finds pictures by id in the trees in which FashionIQ is commonly kept."""

    def __init__(self, root: Path, category: str) -> None:
        folders = [Path(root) / tree.format(category=category) for tree in TREES]
        super().__init__(folders, "FashionIQ's")


def with_pictures(found: Iterable[Triplet], pictures: FashionIqImages) -> list[Triplet]:
    """The triplets whose two pictures are there; how many are left is logged."""
    every = list(found)
    gone = set(pictures.missing(name for t in every for name in (t.reference, t.target)))
    kept = [t for t in every if t.reference not in gone and t.target not in gone]
    if gone:
        logger.warning(
            "%d pictures are missing; %d of %d triplets are left", len(gone), len(kept), len(every)
        )
    return kept


def fashion_iq_benchmark(
    root: Path,
    category: str,
    protocol: str = "P3",
    split: str = "val",
    pictures: FashionIqImages | None = None,
) -> Benchmark:
    """A category's split, asked by one of `PROTOCOLS`.

    With `pictures`, what has no picture leaves the gallery and is listed in `missing`, and queries
    without reference or target picture are dropped. Without, nothing is looked up. DatasetError for
    unknown protocols and for files not as documented.
    """
    if protocol not in PROTOCOLS:
        raise DatasetError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    rules = PROTOCOLS[protocol]
    every = fashion_iq_triplets(root, category, split)
    ids = split_ids(root, category, split)
    used = {name for t in every for name in (t.reference, t.target)}
    if strange := used.difference(ids):
        raise DatasetError(
            f"{len(strange)} pictures of cap.{category}.{split}.json ({min(strange)}, …) are not "
            f"in split.{category}.{split}.json; expected all. Take both files from one release"
        )
    whole = Benchmark(
        protocol=f"fashion_iq-{category}-{split}-{protocol}",
        gallery=tuple(ids if rules.full_gallery else [name for name in ids if name in used]),
        queries=tuple(query for t in every for query in _queries(t, rules)),
        reference_removed=rules.reference_removed,
        notes={"used by": rules.used_by, "triplets": str(len(every))},
    )
    return drop_missing(whole, pictures.missing(whole.gallery)) if pictures else whole


def _queries(triplet: Triplet, rules: Protocol) -> list[RetrievalQuery]:
    hits = frozenset({triplet.target})
    asked = [triplet.captions] if rules.captions_joined else [(c,) for c in triplet.captions]
    return [RetrievalQuery(triplet.reference, captions, hits) for captions in asked]


def _triplet(path: Path, place: int, entry: Any) -> Triplet:
    if not isinstance(entry, dict):
        raise DatasetError(
            f"{path}: entry {place} is {shorten(entry)}; expected an object with target, candidate "
            "and captions. Fetch the file again"
        )
    if "target" not in entry and {"candidate", "captions"} <= entry.keys():
        raise DatasetError(
            f"{path}: entry {place} has no target; FashionIQ withholds the targets of its test "
            "split. Use the split val"
        )
    reference, captions, target = (entry.get(k) for k in ("candidate", "captions", "target"))
    if (
        isinstance(reference, str)
        and isinstance(target, str)
        and isinstance(captions, list)
        and captions
        and all(isinstance(caption, str) for caption in captions)
    ):
        return Triplet(reference, tuple(captions), target)
    raise DatasetError(
        f"{path}: entry {place} is {shorten(entry)}; expected the strings target and candidate "
        "and a list of captions. Fetch the file again"
    )
