"""Reader for the benchmark Shoes (with relative captions) in the format of its authors.

    relative_captions_shoes.json    [{"ImageName": target, "ReferenceImageName", "RelativeCaption"}]
    train_im_names.txt, eval_im_names.txt                       one image file name per line
    womens_<kind>/<n>/img_womens_<kind>_<id>.jpg                or under images/ or attributedata/

A pair of a reference and a target image belongs to the split that lists both images. DWC's released
code iterates over the images of a split and adds all pairs of each image. A pair is thus added
twice, for its target and for its reference, unless both are the same image: 1,761 pairs become
3,521 queries. Set the argument `listing` to "twice" to reproduce this, or to "once" to add each
pair only once.

If the reference and the target of a pair are the same image, the target is never in the results,
since the reference is excluded from the results. `self_pairs` returns such images.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dwc.datasets.annotation_files import (
    ImageFiles,
    describe_folder,
    read_json,
    read_lines,
    shorten,
)
from dwc.datasets.triplets import (
    Benchmark,
    PublishedSize,
    RetrievalQuery,
    Triplet,
    compare_size,
    log_blank_captions,
)
from dwc.errors import DatasetError

SPLITS = {"train": "train_im_names.txt", "test": "eval_im_names.txt"}
LISTINGS = ("twice", "once")

_PUBLISHED = {
    ("test", "twice"): PublishedSize(3_521, 4_658),
    ("test", "once"): PublishedSize(1_761, 4_658),
}

_CAPTIONS = "relative_captions_shoes.json"
_ADVICE = (
    f"expected {_CAPTIONS}, train_im_names.txt and eval_im_names.txt. Name the folder that has them"
)
_KEYS = ("ReferenceImageName", "RelativeCaption", "ImageName")


def split_names(root: Path, split: str) -> list[str]:
    """Return the image names of a split ("train" or "test"), in the order of the file.

    Raises:
        DatasetError: The split is unknown, or the file is missing or lists a name twice.
    """
    if split not in SPLITS:
        raise DatasetError(f"Shoes has no split {split!r}; there are {', '.join(SPLITS)}")
    path = Path(root) / SPLITS[split]
    names = [line.strip() for line in read_lines(path, _ADVICE) if line.strip()]
    if not names or len(set(names)) != len(names):
        raise DatasetError(
            f"{path}: lists {len(names)} pictures of which {len(set(names))} are different; "
            "expected each once. Fetch the file again"
        )
    return names


def shoes_triplets(root: Path, split: str, listing: str = "twice") -> list[Triplet]:
    """Return the annotated image pairs of a split as triplets with one caption each.

    Pairs with blank captions are included; a warning with their number is logged.

    Args:
        root: The data folder.
        split: Name of the split, "train" or "test".
        listing: With "once", each pair is returned once, in the order of the file. With "twice",
            as in DWC's released code, the images of the split are visited in order, and for each
            image all pairs that contain it are returned. So a pair of two different images occurs
            twice.

    Raises:
        DatasetError: Files are missing or do not have the documented format.
    """
    if listing not in LISTINGS:
        raise DatasetError(f"no listing {listing!r} of Shoes; there are {', '.join(LISTINGS)}")
    names = split_names(root, split)
    pairs = _list_pairs(root, split, names)
    log_blank_captions(f"{Path(root) / _CAPTIONS}, {split}", pairs)
    return _repeat_pairs(pairs, names, listing)


def shoes_benchmark(root: Path, split: str = "test", listing: str = "twice") -> Benchmark:
    """Return a benchmark with the pairs of a split as queries and the split's images as gallery.

    Args:
        root: The data folder.
        split: Name of the split, "train" or "test".
        listing: "once" if each pair is one query. "twice" if each pair is a query for each of its
            two images, as in DWC's released code; see `shoes_triplets`.

    Raises:
        DatasetError: Files are missing or do not have the documented format.
    """
    names = split_names(root, split)
    triplets = shoes_triplets(root, split, listing)
    pairs = _list_pairs(root, split, names)
    same = self_pairs(pairs)
    benchmark = Benchmark(
        protocol=f"shoes-{split}-{listing}",
        gallery=tuple(names),
        queries=tuple(_query(triplet) for triplet in triplets),
        notes={
            "pairs": str(len(pairs)),
            "never found, since reference and target are one picture": ", ".join(same) or "none",
        },
    )
    return compare_size(benchmark, _PUBLISHED.get((split, listing)))


def pair_queries(root: Path, split: str) -> list[RetrievalQuery]:
    """Return the pairs of a split as queries, each pair once and in the order of the file.

    Raises:
        DatasetError: Files are missing or do not have the documented format.
    """
    return [_query(pair) for pair in _list_pairs(root, split, split_names(root, split))]


def self_pairs(pairs: Iterable[Triplet]) -> list[str]:
    """Return the names of images that are both reference and target of a pair, each name once."""
    return list(dict.fromkeys(t.target for t in pairs if t.target == t.reference))


class ShoesImages(ImageFiles):
    """Lookup of images by file name, in one folder per kind of shoe or in one common folder."""

    def __init__(self, root: Path) -> None:
        self._bases = [Path(root) / name for name in ("", "images", "attributedata")]

    def _list(self) -> dict[str, Path]:
        paths: dict[str, Path] = {}
        for base in self._bases:
            for pattern in ("womens_*/*/img_womens_*", "womens_*/img_womens_*", "img_womens_*"):
                for path in sorted(base.glob(pattern)):
                    paths.setdefault(path.name, path)
        return paths

    def _advice(self) -> str:
        bases = ", ".join(str(base) for base in self._bases)
        return (
            f"such as womens_boots/0/img_womens_boots_1.jpg in {bases} "
            f"({describe_folder(self._bases[0])}); put Shoes' folders womens_* into one of them"
        )


def _query(triplet: Triplet) -> RetrievalQuery:
    return RetrievalQuery(triplet.reference, triplet.captions, frozenset({triplet.target}))


def _list_pairs(root: Path, split: str, names: Sequence[str]) -> list[Triplet]:
    path = Path(root) / _CAPTIONS
    listed = set(names)
    pairs: list[Triplet] = []
    split_pairs = 0
    for index, entry in enumerate(read_json(path, list, _ADVICE)):
        triplet = _triplet(path, index, entry)
        inside = (triplet.reference in listed) + (triplet.target in listed)
        split_pairs += inside == 1
        if inside == 2:
            pairs.append(triplet)
    if split_pairs:
        raise DatasetError(
            f"{split_pairs} pairs of {path} have one picture in {SPLITS[split]} ({len(names)} "
            "names) and one that is not; expected both or neither. Other lists are in circulation: "
            "take the one with 10,000 names for training, 4,658 for evaluation"
        )
    return pairs


def _repeat_pairs(pairs: list[Triplet], names: Sequence[str], listing: str) -> list[Triplet]:
    if listing == "once":
        return pairs
    by_name: dict[str, list[Triplet]] = {name: [] for name in names}
    for triplet in pairs:
        for name in {triplet.reference, triplet.target}:
            by_name[name].append(triplet)
    return [triplet for name in names for triplet in by_name[name]]


def _triplet(path: Path, index: int, entry: Any) -> Triplet:
    if isinstance(entry, dict):
        reference, caption, target = (entry.get(key) for key in _KEYS)
        if isinstance(reference, str) and isinstance(caption, str) and isinstance(target, str):
            return Triplet(reference, (caption.strip(),), target)
    raise DatasetError(
        f"{path}: entry {index} is {shorten(entry)}; expected an object with the strings "
        f"{', '.join(_KEYS)}. Fetch the file again"
    )
