"""CSS3D, the drawn scenes that TIRG's authors made: "make middle-left small object yellow".

    css_toy_dataset_novel2_small.dup.npy    a pickled dict: split -> objects_img, labels, mods
    images/css_<split>_<number>.png         six digits, in the order of objects_img

A modification (`mods`) has its words (`to_str`) and the numbers of the scenes before (`from`) and
after (`to`). Scenes with the same label are equal; any of them is a hit.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dwc.datasets.benchmark_files import ListedImages, shorten
from dwc.datasets.restricted_pickle import PickledArray, read_pickled_npy
from dwc.datasets.triplets import Benchmark, RetrievalQuery, Triplet
from dwc.errors import DatasetError

FILE = "css_toy_dataset_novel2_small.dup.npy"

_ADVICE = f"expected {FILE} in the data folder. Name the folder that has it"


class _Split:
    """One validated split: the number of scenes, their labels, and (words, before, after)."""

    def __init__(self, root: Path, split: str) -> None:
        path = Path(root) / FILE
        splits = read_pickled_npy(path, _ADVICE)
        if not isinstance(splits, dict) or not isinstance(splits.get(split), dict):
            names = ", ".join(map(str, splits)) if isinstance(splits, dict) else shorten(splits)
            raise DatasetError(f"{path} has no split {split!r}; there is {names}")
        content = splits[split]
        self._label = f"{path}, {split}"
        scenes = content.get("objects_img")
        shape = scenes.shape if isinstance(scenes, PickledArray) else ()
        self.size = shape[0] if shape else len(self._list(content, "objects_img"))
        self.labels = (
            [str(label) for label in self._list(content, "labels")]
            if "labels" in content
            else [str(number) for number in range(self.size)]
        )
        if len(self.labels) != self.size:
            raise DatasetError(
                f"{self._label}: {self.size} scenes have {len(self.labels)} labels; expected one "
                "for each. Fetch the file again"
            )
        self.changes = [
            change
            for modification in self._list(content, "mods")
            for change in self._changes(modification)
        ]

    def _changes(self, modification: Any) -> Iterable[tuple[str, int, int]]:
        if not isinstance(modification, dict) or not isinstance(modification.get("to_str"), str):
            raise DatasetError(
                f"{self._label}: a modification is {shorten(modification)}; expected a dict with "
                "from, to and the text to_str. Fetch the file again"
            )
        before, after = (self._list(modification, key) for key in ("from", "to"))
        for number in (*before, *after):
            if type(number) is not int or not 0 <= number < self.size:
                raise DatasetError(
                    f"{self._label}: a modification names the scene {shorten(number)}; expected a "
                    f"number below {self.size}. Fetch the file again"
                )
        if len(before) != len(after):
            raise DatasetError(
                f"{self._label}: {modification['to_str']!r} leads from {len(before)} scenes to "
                f"{len(after)}; expected as many. Fetch the file again"
            )
        return ((modification["to_str"], *pair) for pair in zip(before, after, strict=True))

    def _list(self, content: dict[Any, Any], key: str) -> list[Any]:
        value = content.get(key)
        if isinstance(value, PickledArray) and len(value.shape) == 1:
            return value.elements
        if isinstance(value, list | tuple):
            return list(value)
        raise DatasetError(
            f"{self._label}: {key} is {shorten(value)}; expected a list. Fetch the file again"
        )


def css3d_triplets(root: Path, split: str) -> list[Triplet]:
    """All pairs of scenes before and after a modification; `DatasetError` as for the benchmark."""
    return [
        Triplet(_name(split, before), (words,), _name(split, after))
        for words, before, after in _Split(root, split).changes
    ]


def css3d_benchmark(root: Path, split: str = "test") -> Benchmark:
    """All modifications of a split as queries over its scenes, without the reference in results.

    Raises:
        DatasetError: The file is missing or not as documented.
    """
    scenes = _Split(root, split)
    alike: dict[str, list[str]] = {}
    for number, label in enumerate(scenes.labels):
        alike.setdefault(label, []).append(_name(split, number))
    hits = {label: frozenset(names) for label, names in alike.items()}
    return Benchmark(
        protocol=f"css3d-{split}",
        gallery=tuple(_name(split, number) for number in range(scenes.size)),
        queries=tuple(
            RetrievalQuery(_name(split, before), (words,), hits[scenes.labels[after]])
            for words, before, after in scenes.changes
        ),
        notes={"hit": "any scene with the target's label; the usual number is recall@1"},
    )


def css3d_images(root: Path, names: Iterable[str]) -> ListedImages:
    """The images of the scenes."""
    bases = [Path(root) / "images", Path(root)]
    return ListedImages(bases, {name: (f"{name}.png",) for name in names}, "CSS3D's")


def _name(split: str, number: int) -> str:
    return f"css_{split}_{number:06d}"
