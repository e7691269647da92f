"""Reader for the benchmark FashionIQ, and for other data in the file format of its authors.

    captions/cap.<category>.<split>.json        [{"target", "candidate", "captions": [a, b]}, …]
    image_splits/split.<category>.<split>.json  [id, …]
    images/<id>.png|jpg|webp|gif                or in another usual folder (`TREES` lists them)

Many of the published image links are dead, so missing images do not cause an error. They are left
out of the benchmark, and `Benchmark.missing` lists their names. Metrics of different evaluation
protocols (`PROTOCOLS`) are not comparable.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwc.datasets.annotation_files import NamedImages, read_json, shorten
from dwc.datasets.triplets import (
    Benchmark,
    PublishedSize,
    RetrievalQuery,
    Triplet,
    compare_size,
    drop_missing,
    log_blank_captions,
)
from dwc.errors import DatasetError

logger = logging.getLogger(__name__)

CATEGORIES = ("dress", "shirt", "toptee")

CAPTIONS_PER_TRIPLET = 2

# Number of triplets, of images in the split, of images in its triplets, and of blank captions, by
# category and split.
_PUBLISHED: Mapping[tuple[str, str], tuple[int, int, int, int]] = {
    ("dress", "val"): (2_017, 3_817, 2_628, 0),
    ("shirt", "val"): (2_038, 6_346, 3_089, 1),
    ("toptee", "val"): (1_961, 5_373, 2_902, 2),
}

# Common folders of the images; if several contain an image, the first has precedence.
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
    """Evaluation protocol: how the gallery and the queries of a split are formed.

    Attributes:
        full_gallery: If True, the gallery is all images of the split; if False, only the reference
            and target images of its triplets.
        reference_removed: Whether the reference image of a query is excluded from its results.
        captions_joined: If True, the two captions of a triplet form one query; if False, each
            caption forms a separate query.
        used_by: Names of methods whose papers use the protocol.
    """

    full_gallery: bool
    reference_removed: bool
    captions_joined: bool
    used_by: str


PROTOCOLS: Mapping[str, Protocol] = {
    "P1": Protocol(True, False, True, "CLIP4Cir, SPRC, BLIP4CIR+Bi"),
    "P2": Protocol(True, True, True, 'DCNet, DQU-CIR "original"'),
    "P3": Protocol(False, True, True, 'DWC, CLVC-Net, TG-CIR, PL "VAL split"'),
    "P4": Protocol(False, True, False, "VAL"),
}


def fashion_iq_triplets(root: Path, category: str, split: str) -> list[Triplet]:
    """Return all triplets of a category and split, in the order of the file.

    Triplets with blank captions, or with more or fewer than two captions, are included. A warning
    is logged for each of these two cases.

    Raises:
        DatasetError: The file is missing, does not have the documented format, or has no targets
            (FashionIQ's test split).
    """
    path = Path(root) / "captions" / f"cap.{category}.{split}.json"
    entries = read_json(path, list, _ADVICE)
    triplets = [_triplet(path, index, entry) for index, entry in enumerate(entries)]
    log_blank_captions(path, triplets)
    if odd := sum(len(triplet.captions) != CAPTIONS_PER_TRIPLET for triplet in triplets):
        logger.warning(
            "%s: %d of %d entries have another number of captions than %d, as FashionIQ has",
            path, odd, len(triplets), CAPTIONS_PER_TRIPLET,
        )  # fmt: skip
    return triplets


def split_ids(root: Path, category: str, split: str) -> list[str]:
    """Return the image ids of a category and split, in the order of the file.

    Raises:
        DatasetError: The file is missing or does not have the documented format.
    """
    path = Path(root) / "image_splits" / f"split.{category}.{split}.json"
    ids = read_json(path, list, _ADVICE)
    for index, name in enumerate(ids):
        if not isinstance(name, str) or not name:
            raise DatasetError(
                f"{path}: entry {index} is {shorten(name)}; expected a picture id. "
                "Fetch the file again"
            )
    if len(set(ids)) != len(ids):
        raise DatasetError(
            f"{path}: lists {len(ids)} ids of which {len(set(ids))} are different; expected each "
            "once. Fetch the file again"
        )
    return ids


class FashionIqImages(NamedImages):
    """Lookup of a category's images by id, in the folders where FashionIQ's images usually are.

    The list of these folders is `TREES`.
    """

    def __init__(self, root: Path, category: str) -> None:
        folders = [Path(root) / tree.format(category=category) for tree in TREES]
        super().__init__(folders, "FashionIQ's")


def fashion_iq_benchmark(
    root: Path,
    category: str,
    protocol: str = "P3",
    split: str = "val",
    pictures: FashionIqImages | None = None,
) -> Benchmark:
    """Return the benchmark of a category and split, following an evaluation protocol.

    Args:
        root: The data folder.
        category: Name of the category, such as "dress".
        protocol: Key of the evaluation protocol in `PROTOCOLS`.
        split: Name of the split, such as "val".
        pictures: Lookup of the image files, used to remove missing images from the benchmark (see
            `drop_missing`). If None, all images are assumed to exist.

    Raises:
        DatasetError: The protocol is unknown, or files do not have the documented format.
    """
    if protocol not in PROTOCOLS:
        raise DatasetError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    rules = PROTOCOLS[protocol]
    triplets = fashion_iq_triplets(root, category, split)
    ids = split_ids(root, category, split)
    used = {name for t in triplets for name in (t.reference, t.target)}
    if unlisted := used.difference(ids):
        raise DatasetError(
            f"{len(unlisted)} pictures of cap.{category}.{split}.json ({min(unlisted)}, …) are not "
            f"in split.{category}.{split}.json; expected all. Take both files from one release"
        )
    benchmark = Benchmark(
        protocol=f"fashion_iq-{category}-{split}-{protocol}",
        gallery=tuple(ids if rules.full_gallery else [name for name in ids if name in used]),
        queries=tuple(query for t in triplets for query in _queries(t, rules)),
        reference_removed=rules.reference_removed,
        notes=_notes(triplets, rules),
        deviations=_caption_deviations(triplets, f"fashion_iq-{category}-{split}-{protocol}"),
    )
    benchmark = compare_size(benchmark, _published_size(category, split, rules))
    return drop_missing(benchmark, pictures.missing(benchmark.gallery)) if pictures else benchmark


def _published_size(category: str, split: str, rules: Protocol) -> PublishedSize | None:
    if (category, split) not in _PUBLISHED:
        return None
    triplets, in_split, in_triplets, blank = _PUBLISHED[category, split]
    return PublishedSize(
        triplets if rules.captions_joined else triplets * CAPTIONS_PER_TRIPLET,
        in_split if rules.full_gallery else in_triplets,
        blank,
    )


def _caption_deviations(triplets: Sequence[Triplet], protocol: str) -> tuple[str, ...]:
    """Return a message on the triplets that do not have exactly two captions.

    In the published data, every triplet has two. If this is also the case here, the result is
    empty.
    """
    counts = Counter(len(triplet.captions) for triplet in triplets)
    others = ", ".join(
        f"{triplets_with:,} of {len(triplets):,} triplets have {count}"
        for count, triplets_with in sorted(counts.items())
        if count != CAPTIONS_PER_TRIPLET
    )
    if not others:
        return ()
    return (
        f"{protocol}: captions per triplet: {others}; in the published split all have "
        f"{CAPTIONS_PER_TRIPLET}",
    )


def _notes(triplets: Sequence[Triplet], rules: Protocol) -> dict[str, str]:
    notes = {"used by": rules.used_by, "triplets": str(len(triplets))}
    same = list(dict.fromkeys(t.target for t in triplets if t.target == t.reference))
    if same and rules.reference_removed:
        notes["never found, since reference and target are one picture"] = ", ".join(same)
    return notes


def _queries(triplet: Triplet, rules: Protocol) -> list[RetrievalQuery]:
    hits = frozenset({triplet.target})
    texts = [triplet.captions] if rules.captions_joined else [(c,) for c in triplet.captions]
    return [RetrievalQuery(triplet.reference, captions, hits) for captions in texts]


def _triplet(path: Path, index: int, entry: Any) -> Triplet:
    if not isinstance(entry, dict):
        raise DatasetError(
            f"{path}: entry {index} is {shorten(entry)}; expected an object with target, candidate "
            "and captions. Fetch the file again"
        )
    if "target" not in entry and {"candidate", "captions"} <= entry.keys():
        raise DatasetError(
            f"{path}: entry {index} has no target; FashionIQ withholds the targets of its test "
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
        f"{path}: entry {index} is {shorten(entry)}; expected the strings target and candidate "
        "and a list of captions. Fetch the file again"
    )
