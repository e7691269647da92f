"""Shoes, Fashion200k and CSS3D with a handful of triplets and blank pictures; triplets alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dwc.datasets import css3d
from dwc.datasets.triplets import Triplet
from dwc.training.dwc.benchmark_data import BenchmarkData, FixedTriplets
from tests.datasets.test_restricted_pickle import save


def write_pictures(root: Path, names: Iterable[str]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)


def write_noise(folder: Path, count: int) -> dict[str, Path]:
    """Pictures p0, p1 and on, no two alike, by name."""
    rng = np.random.default_rng(0)
    paths = {f"p{n}": folder / f"p{n}.png" for n in range(count)}
    for path in paths.values():
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    return paths


def data_of(
    triplets: Sequence[Triplet], paths: Mapping[str, Path], vocabulary: Sequence[str] = ()
) -> BenchmarkData:
    """What is learned from, and nothing to measure by."""
    return BenchmarkData(
        learned=FixedTriplets(triplets),
        vocabulary=vocabulary,
        selection=[],
        evaluation={},
        paths=paths,
        mirrored=True,
        chosen_by=(1,),
        counts={},
    )


def write_shoes(root: Path) -> None:
    """Ten pairs to learn from, one to be asked."""
    names = [f"img_womens_boots_{n}.jpg" for n in range(23)]
    (root / "train_im_names.txt").write_text("\n".join(names[:20]))
    (root / "eval_im_names.txt").write_text("\n".join(names[20:]))
    pairs = [*((n, n + 10) for n in range(10)), (20, 21)]
    rows = ",".join(
        f'{{"ImageName": "{names[b]}", "ReferenceImageName": "{names[a]}", '
        f'"RelativeCaption": "is {b}"}}'
        for a, b in pairs
    )
    (root / "relative_captions_shoes.json").write_text(f"[{rows}]")
    write_pictures(root, (f"womens_boots/0/{name}" for name in names))


def write_css3d(root: Path) -> None:
    """Two scenes a label."""

    def split(size: int) -> dict:
        labels = [n // 2 for n in range(size)]
        mods = [
            {"from": [n], "to": [(n + 3) % size], "to_str": f"make {n} blue"} for n in range(size)
        ]
        return {"objects_img": [[]] * size, "labels": np.array(labels), "mods": mods}

    save(root / css3d.FILE, {"train": split(24), "test": split(6)})
    write_pictures(root, (f"images/css_train_{n:06d}.png" for n in range(24)))
    write_pictures(root, (f"images/css_test_{n:06d}.png" for n in range(6)))


def write_fashion200k(root: Path) -> None:
    """Twenty captions, each a word apart from seven others."""
    colours, kinds = ("red", "blue", "black", "green", "white"), ("dress", "coat", "skirt", "top")
    captions = [f"{colour} lace {kind}" for colour in colours for kind in kinds]
    for split in ("train", "test"):
        rows = [f"women/{split}/{n}.jpeg\t0.9\t{caption}" for n, caption in enumerate(captions)]
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"dress_{split}_detect_all.txt").write_text("\n".join(rows))
        write_pictures(root, (f"women/{split}/{n}.jpeg" for n in range(len(captions))))
    (root / "test_queries.txt").write_text("women/test/0.jpeg women/test/1.jpeg")
