"""Reader for the benchmark CIRR in its authors' file format.

    captions/cap.rc2.<split>.json        [{"pairid", "reference", "target_hard", "caption",
                                           "img_set": {"members": [six names]}}, …]
    image_splits/split.rc2.<split>.json  {name: path, …}
    dev/…png, test1/…png, train/<n>/…png the images, at these paths or under images/ or img_raw/

The folders captions/ and image_splits/ may be in a folder cirr/ next to the images, as in the
authors' archive. The targets of the split test1 are not published; the authors' test server scores
predictions for this split.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dwc.datasets.annotation_files import ListedImages, read_json, shorten
from dwc.datasets.triplets import (
    Benchmark,
    PublishedSize,
    RetrievalQuery,
    Triplet,
    compare_size,
    log_blank_captions,
)
from dwc.errors import DatasetError

SPLITS = ("train", "val", "test1")
MEMBERS = 6

_PUBLISHED = {"val": PublishedSize(4_181, 2_297), "test1": PublishedSize(4_148, 2_315, 1)}

_ADVICE = (
    "expected CIRR's captions/ and image_splits/ in the data folder or in its folder cirr/. "
    "Name the folder that holds them"
)


@dataclass(frozen=True)
class CirrQuery(RetrievalQuery):
    """A query of CIRR; `hits` (correct results) is empty if the query's target is not published.

    Attributes:
        pair_id: Identifier of the query on the test server.
        others: Names of five images that are similar to the reference. Together with the reference,
            they form an image set of CIRR.
    """

    pair_id: int = -1
    others: tuple[str, ...] = ()


def cirr_queries(root: Path, split: str) -> list[CirrQuery]:
    """Return all queries of a split, in the order of the file.

    Queries with blank captions are included; a warning with their number is logged.

    Raises:
        DatasetError: A file is missing or does not have the documented format.
    """
    path = _file(root, split, "captions", "cap")
    queries = [
        _query(path, index, entry) for index, entry in enumerate(read_json(path, list, _ADVICE))
    ]
    pair_ids = {query.pair_id for query in queries}
    if not queries or len(pair_ids) != len(queries):
        raise DatasetError(
            f"{path}: {len(queries)} queries have {len(pair_ids)} different pairids; expected a "
            "different one for each. Fetch the file again"
        )
    log_blank_captions(path, queries)
    return queries


def cirr_triplets(root: Path, split: str) -> list[Triplet]:
    """Return all triplets of a split.

    Raises:
        DatasetError: A file is missing or does not have the documented format, or the split is
            test1, whose targets are not published.
    """
    queries = cirr_queries(root, split)
    _require_targets(queries, split)
    return [Triplet(query.reference, query.captions, next(iter(query.hits))) for query in queries]


def image_paths(root: Path, split: str) -> dict[str, str]:
    """Return the relative paths of a split's images by image name, in the order of the file.

    Raises:
        DatasetError: The file is missing or does not have the documented format.
    """
    path = _file(root, split, "image_splits", "split")
    paths = read_json(path, dict, _ADVICE)
    for name, relative in paths.items():
        if not isinstance(relative, str) or not PurePosixPath(relative).name:
            raise DatasetError(
                f"{path}: the path of {name} is {shorten(relative)}; expected that of a "
                "file. Fetch the file again"
            )
    return paths


def cirr_benchmark(root: Path, split: str = "val", targets_withheld: bool = False) -> Benchmark:
    """Return a benchmark with all queries of a split and all its images as the gallery.

    The reference image of a query is excluded from its results.

    Args:
        root: The data folder.
        split: Name of the split, one of `SPLITS`.
        targets_withheld: Whether the targets may be unpublished, as in the split test1.

    Returns:
        The benchmark; its queries are of the type `CirrQuery`.

    Raises:
        DatasetError: A file is missing or does not have the documented format, or a query has no
            target although `targets_withheld` is False.
    """
    queries = cirr_queries(root, split)
    if not targets_withheld:
        _require_targets(queries, split)
    gallery = image_paths(root, split)
    used = {name for query in queries for name in (query.reference, *query.hits, *query.others)}
    if unlisted := used.difference(gallery):
        raise DatasetError(
            f"{len(unlisted)} pictures of cap.rc2.{split}.json ({min(unlisted)}, …) are not in "
            f"split.rc2.{split}.json; expected all. Take both files from one release"
        )
    benchmark = Benchmark(
        protocol=f"cirr-{split}",
        gallery=tuple(gallery),
        queries=tuple(queries),
        notes={"subset": "the five other pictures of the reference's set"},
    )
    return compare_size(benchmark, _PUBLISHED.get(split))


def cirr_images(root: Path, split: str) -> ListedImages:
    """Return a lookup of the image files of a split by image name.

    A file may be at the path that CIRR lists, such as "train/7/a.png", or at a shorter path,
    "train/a.png" or "a.png". Paths are relative to the data folder or to its folders images/ and
    img_raw/.
    """
    folders = [Path(root), Path(root).parent] if Path(root).name == "cirr" else [Path(root)]
    bases = [folder / inner for folder in folders for inner in ("", "images", "img_raw")]
    relative: dict[str, tuple[str, ...]] = {}
    for name, listed in image_paths(root, split).items():
        path = PurePosixPath(listed)
        relative[name] = (str(path), f"{path.parts[0]}/{path.name}", path.name)
    return ListedImages(bases, relative, "CIRR's")


def _require_targets(queries: list[CirrQuery], split: str) -> None:
    withheld = [query.pair_id for query in queries if not query.hits]
    if not withheld:
        return
    if split == "test1":
        raise DatasetError(
            f"cap.rc2.{split}.json withholds the targets of {len(withheld)} of {len(queries)} "
            "queries. Use the split val, or have the test server score: --split test1 --submission "
            "FOLDER"
        )
    raise DatasetError(
        f"cap.rc2.{split}.json has no target_hard for {len(withheld)} of {len(queries)} queries, "
        f"the first with pairid {withheld[0]}; expected one for each, since only test1 withholds "
        "them. Fetch the file again"
    )


def _file(root: Path, split: str, folder: str, prefix: str) -> Path:
    if split not in SPLITS:
        raise DatasetError(f"CIRR has no split {split!r}; there are {', '.join(SPLITS)}")
    base = Path(root)
    if not (base / folder).is_dir() and (base / "cirr" / folder).is_dir():
        base = base / "cirr"
    return base / folder / f"{prefix}.rc2.{split}.json"


def _query(path: Path, index: int, entry: Any) -> CirrQuery:
    if isinstance(entry, dict):
        pair_id, reference, caption = (entry.get(k) for k in ("pairid", "reference", "caption"))
        target, image_set = entry.get("target_hard"), entry.get("img_set")
        members = image_set.get("members") if isinstance(image_set, dict) else None
        if (
            type(pair_id) is int
            and isinstance(reference, str)
            and isinstance(caption, str)
            and (target is None or isinstance(target, str))
            and isinstance(members, list)
            and all(isinstance(name, str) for name in members)
            and len(set(members)) == len(members) == MEMBERS
            and {reference, target or reference} <= set(members)
        ):
            return CirrQuery(
                reference,
                (caption,),
                frozenset({target} if target is not None else ()),
                pair_id=pair_id,
                others=tuple(name for name in members if name != reference),
            )
    raise DatasetError(
        f"{path}: entry {index} is {shorten(entry)}; expected an object with pairid, reference, "
        f"caption and img_set.members, {MEMBERS} names that include the reference, and but for "
        "test1 target_hard, one of them. Fetch the file again"
    )
