"""FashionIQ as its authors distribute it, and whatever else is written in its format.

    captions/cap.<category>.<split>.json        [{"target", "candidate", "captions": [a, b]}, …]
    image_splits/split.<category>.<split>.json  [id, …]
    images/<id>.png|jpg                         or all_imgs/, or resized_image/<category>/

Many of the pictures' links are dead, so that pictures may be missing: they are left out and named,
never fatal. Numbers of different protocols (`PROTOCOLS`) do not compare.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dwc.datasets.triplets import Benchmark, RetrievalQuery, Triplet
from dwc.errors import DatasetError

logger = logging.getLogger(__name__)

CATEGORIES = ("dress", "shirt", "toptee")
SUFFIXES = (".png", ".jpg", ".jpeg")


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


def triplets(root: Path, category: str, split: str) -> list[Triplet]:
    """Every triplet of a category and split, in the order of the file.

    DatasetError where the file is missing, is not as documented, or withholds the targets (as
    FashionIQ's test split does).
    """
    path = Path(root) / "captions" / f"cap.{category}.{split}.json"
    entries = _read_list(path)
    return [_triplet(path, place, entry) for place, entry in enumerate(entries)]


def split_ids(root: Path, category: str, split: str) -> list[str]:
    """The picture ids of a category and split, in the order of the file; DatasetError as above."""
    path = Path(root) / "image_splits" / f"split.{category}.{split}.json"
    ids = _read_list(path)
    for place, name in enumerate(ids):
        if not isinstance(name, str) or not name:
            raise DatasetError(
                f"{path}: entry {place} is {_shown(name)}; expected a picture id. "
                "Fetch the file again"
            )
    if len(set(ids)) != len(ids):
        raise DatasetError(
            f"{path}: lists {len(ids)} ids of which {len(set(ids))} are different; expected each "
            "once. Fetch the file again"
        )
    return ids


class Pictures:
    """Finds pictures by id in the trees in which FashionIQ is commonly kept."""

    def __init__(self, root: Path, category: str) -> None:
        self._folders = (
            Path(root) / "images",
            Path(root) / "all_imgs",
            Path(root) / "resized_image" / category,
        )

    @cached_property
    def _paths(self) -> dict[str, Path]:
        """Id to path over all trees, read once; the first tree, and .png, win."""
        found: dict[str, Path] = {}
        for folder in self._folders:
            if folder.is_dir():
                here = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
                here.sort(key=lambda path: (SUFFIXES.index(path.suffix.lower()), path.name))
                for path in here:
                    found.setdefault(path.stem, path)
        if not found:
            folders = ", ".join(str(folder) for folder in self._folders)
            raise DatasetError(
                f"no pictures ({', '.join(SUFFIXES)}) in {folders}; put FashionIQ's pictures, "
                "named by their ids, into one of them"
            )
        return found

    def find(self, name: str) -> Path | None:
        """The picture of an id, or None where it is missing."""
        return self._paths.get(name)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that have no picture, each once, in their order."""
        return [name for name in dict.fromkeys(names) if name not in self._paths]


def with_pictures(found: Iterable[Triplet], pictures: Pictures) -> list[Triplet]:
    """The triplets whose two pictures are there; how many are left is logged."""
    every = list(found)
    gone = set(pictures.missing(name for t in every for name in (t.reference, t.target)))
    kept = [t for t in every if t.reference not in gone and t.target not in gone]
    if gone:
        logger.warning(
            "%d pictures are missing; %d of %d triplets are left", len(gone), len(kept), len(every)
        )
    return kept


def benchmark(
    root: Path,
    category: str,
    protocol: str = "P3",
    split: str = "val",
    pictures: Pictures | None = None,
) -> Benchmark:
    """A category's split, asked by one of `PROTOCOLS`.

    With `pictures`, what has no picture leaves the gallery and is listed in `missing`, and queries
    without reference or target picture are dropped; the notes count both. Without, nothing is
    looked up. DatasetError for unknown protocols and for files not as documented.
    """
    if protocol not in PROTOCOLS:
        raise DatasetError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    rules = PROTOCOLS[protocol]
    every = triplets(root, category, split)
    ids = split_ids(root, category, split)
    used = {name for t in every for name in (t.reference, t.target)}
    if strange := used.difference(ids):
        raise DatasetError(
            f"{len(strange)} pictures of cap.{category}.{split}.json ({min(strange)}, …) are not "
            f"in split.{category}.{split}.json; expected all. Take both files from one release"
        )
    gallery = ids if rules.full_gallery else [name for name in ids if name in used]
    missing = pictures.missing(gallery) if pictures else []
    there = set(gallery).difference(missing)
    kept = [t for t in every if t.reference in there and t.target in there]
    if missing:
        logger.warning(
            "%s %s: %d of %d gallery pictures are missing; %d of %d triplets are left",
            category, split, len(missing), len(gallery), len(kept), len(every),
        )  # fmt: skip
    return Benchmark(
        protocol=f"fashion_iq-{category}-{split}-{protocol}",
        gallery=tuple(name for name in gallery if name in there),
        queries=tuple(query for t in kept for query in _queries(t, rules)),
        reference_removed=rules.reference_removed,
        missing=tuple(missing),
        notes={
            "used by": rules.used_by,
            "triplets": f"{len(kept)} of {len(every)}",
            "gallery": f"{len(there)} of {len(gallery)}",
        },
    )


def _queries(triplet: Triplet, rules: Protocol) -> list[RetrievalQuery]:
    hits = frozenset({triplet.target})
    asked = [triplet.captions] if rules.captions_joined else [(c,) for c in triplet.captions]
    return [RetrievalQuery(triplet.reference, captions, hits) for captions in asked]


def _read_list(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{path} is missing{_beside(path)}; expected FashionIQ's captions/ and image_splits/ "
            "in the data folder. Name the folder that holds both"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(
            f"{path} cannot be read as JSON: {error}. Fetch the file again"
        ) from error
    if not isinstance(content, list):
        raise DatasetError(f"{path} holds {_shown(content)}; expected a list. Fetch the file again")
    return content


def _beside(path: Path) -> str:
    """What is there instead of a missing file, to show a misspelt category or split."""
    prefix = path.name.split(".")[0]
    names = sorted(other.name for other in path.parent.glob(f"{prefix}.*.json"))
    return f" (there are {', '.join(names[:9])})" if names else ""


def _triplet(path: Path, place: int, entry: Any) -> Triplet:
    if not isinstance(entry, dict):
        raise DatasetError(
            f"{path}: entry {place} is {_shown(entry)}; expected an object with target, candidate "
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
        f"{path}: entry {place} is {_shown(entry)}; expected the strings target and candidate "
        "and a list of captions. Fetch the file again"
    )


def _shown(value: object, limit: int = 80) -> str:
    """A value as it would print, cut short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
