"""Reader for the benchmark CSS3D, with a safe unpickler for the annotations' `.npy` file.

CSS3D consists of rendered scenes of simple objects, with modification texts such as "make
middle-left small object yellow". It was made by the authors of TIRG and has these files:

    css_toy_dataset_novel2_small.dup.npy    a pickled dict: split -> objects_img, labels, mods
    images/css_<split>_<number>.png         six digits, in the order of objects_img

A modification (an element of `mods`) has a text (`to_str`), the numbers of the scenes before the
modification (`from`) and the numbers of the scenes after it (`to`). A scene's number is its index
in `objects_img`, from 0. Scenes with the same label have the same content, so all scenes with the
target's label are correct results (hits) of a query.

A pickle is a program that may call any importable function. The unpickler in this module allows
only the functions and classes with which numpy pickles arrays, types and numbers. It replaces them
with classes of this module, because numpy's functions do not check the lengths and flags in the
file. The result consists of dicts, lists, tuples, text, bytes, numbers and objects of the class
`PickledArray`.
"""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy

from dwc.datasets.annotation_files import ListedImages, describe_folder, shorten
from dwc.datasets.triplets import Benchmark, RetrievalQuery, Triplet, log_blank_captions
from dwc.errors import DatasetError
from dwc.files import refuse_lfs_pointer

# Codes of allowed numpy types: booleans, signed and unsigned integers, floating-point numbers,
# bytes and text. Elements of type "O" (objects) are read as a list.
_PLAIN_KINDS = "biufSU"


class PickledType:
    """Stand-in for a numpy type when a pickle is read without calling numpy's own classes.

    It has the type's code, such as "i8", and its byte order.
    """

    def __init__(self, code: Any = None, *_: Any) -> None:
        self._code = code
        self._order: Literal["<", ">", "|", "="] = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array's type is not as numpy writes it")
        self._order = state[1]

    @property
    def is_object(self) -> bool:
        """Whether the elements of an array of this type are Python objects, pickled one by one."""
        return self._code in ("O", "O8", "O4")

    def to_numpy(self) -> np.dtype:
        """Return the numpy type; raise `UnpicklingError` for types other than numbers and text."""
        code = self._code
        if not isinstance(code, str) or code[:1] not in _PLAIN_KINDS or not code[1:].isdigit():
            raise pickle.UnpicklingError(f"an array of type {code!r}")
        try:
            dtype = np.dtype(code)
            return dtype if self._order in "|=" else dtype.newbyteorder(self._order)
        except TypeError as error:
            raise pickle.UnpicklingError(f"an array of type {code!r}") from error


class PickledArray:
    """Stand-in for a numpy array when a pickle is read without calling numpy's own classes.

    It has the array's shape and a flat list of its elements.
    """

    def __init__(self, *_: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self.elements: list[Any] = []

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[1], tuple):
            raise pickle.UnpicklingError("an array is not as numpy writes it")
        _, shape, kind, fortran_order, content = state
        if not isinstance(kind, PickledType) or not all(type(n) is int and n >= 0 for n in shape):
            raise pickle.UnpicklingError("an array is not as numpy writes it")
        count = 1
        for length in shape:
            count *= length
        if kind.is_object:
            if not isinstance(content, list):
                raise pickle.UnpicklingError("an array of objects without a list of them")
            elements = content
        else:
            elements = _numbers(kind, content)
        if len(elements) != count or (fortran_order and len(shape) > 1):
            raise pickle.UnpicklingError(f"an array of shape {shape} with {len(elements)} elements")
        self.shape, self.elements = shape, elements


class _EmptyArray:
    """Safe substitute for the numpy function that a pickle calls to create an empty array.

    The call returns a `PickledArray`, into which the unpickler then loads the data.
    """

    def __new__(cls, *_: Any) -> Any:
        return PickledArray()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function with a state")


class _Number:
    """Safe substitute for the numpy function that a pickle calls to create a single number.

    The call returns the number with the given type and bytes.
    """

    def __new__(cls, kind: Any = None, content: Any = b"") -> Any:
        if not isinstance(kind, PickledType):
            raise pickle.UnpicklingError("a number without a type")
        (number,) = _numbers(kind, content)
        return number

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function with a state")


class _Bytes:
    """Safe substitute for the functions `codecs.encode` and `bytes` when a pickle is read.

    Pickles that Python 2 can read have no bytes literals. Instead, they call `codecs.encode` with a
    text and "latin1", or `bytes` without arguments for empty bytes.
    """

    def __new__(cls, text: Any = "", encoding: Any = "latin1") -> Any:
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("bytes that are not written as latin1")
        return text.encode("latin1")

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function with a state")


_REPLACEMENTS: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): PickledType,
    ("_codecs", "encode"): _Bytes,
    ("__builtin__", "bytes"): _Bytes,
    **{
        (f"numpy.{core}.multiarray", name): replacement
        for core in ("core", "_core")
        for name, replacement in (("_reconstruct", _EmptyArray), ("scalar", _Number))
    },
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _REPLACEMENTS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _REPLACEMENTS[module, name]


def read_pickled_npy(path: Path, advice: str) -> Any:
    """Return the object that `numpy.save` pickled into a file, as plain data.

    Args:
        path: The file.
        advice: How to obtain the file; the error message ends with it if the file is missing.

    Raises:
        DatasetError: The file is missing, has another format, or contains anything but arrays,
            dicts, lists, text and numbers.
    """
    refuse_lfs_pointer(path, DatasetError)
    try:
        with path.open("rb") as file:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, kind = header(file)
            if shape != () or kind != np.dtype(object):
                raise DatasetError(
                    f"{path} holds an array of shape {shape} and type {kind}; expected one pickled "
                    "object. Fetch the file again"
                )
            # latin1 preserves Python 2's text and numpy's bytes.
            content = _PlainUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise DatasetError(
            f"{path} is missing ({describe_folder(path.parent)}); {advice}"
        ) from None
    except pickle.UnpicklingError as error:
        raise DatasetError(
            f"{path} is not plain data: {error}; expected arrays, dicts, lists, text and numbers "
            "only. Do not trust the file; fetch it again from its authors"
        ) from error
    except _BROKEN as error:
        raise DatasetError(f"{path} cannot be read: {error}. Fetch the file again") from error
    if not isinstance(content, PickledArray) or len(content.elements) != 1:
        raise DatasetError(f"{path} holds no array of one object. Fetch the file again")
    return content.elements[0]


# Exceptions that the unpickler raises on an invalid pickle.
_BROKEN = (
    OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, ImportError,
    MemoryError, OverflowError, RecursionError,
)  # fmt: skip


def _numbers(kind: PickledType, content: Any) -> list[Any]:
    if isinstance(content, str):  # bytes pickled by Python 2
        content = content.encode("latin1")
    dtype = kind.to_numpy()
    if not isinstance(content, bytes) or not dtype.itemsize or len(content) % dtype.itemsize:
        raise pickle.UnpicklingError("an array whose bytes do not fit its type")
    return np.frombuffer(content, dtype).tolist() if content else []


FILE = "css_toy_dataset_novel2_small.dup.npy"

_ADVICE = f"expected {FILE} in the data folder. Name the folder that has it"


class _Split:
    """The annotations of a split, read from the annotation file and checked on construction.

    Attributes:
        size: Number of scenes.
        labels: Label of each scene; scenes with the same label have the same content.
        changes: Modifications as tuples (text, reference, target). Reference and target are indices
            of scenes in `labels`.
    """

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
    """Return the modifications of a split as triplets.

    The reference is the scene before the modification, the target the scene after it. Triplets with
    blank texts are included; a warning with their number is logged.

    Raises:
        DatasetError: The file is missing or does not have the documented format.
    """
    triplets = [
        Triplet(_name(split, before), (words,), _name(split, after))
        for words, before, after in _Split(root, split).changes
    ]
    log_blank_captions(f"{Path(root) / FILE}, {split}", triplets)
    return triplets


def css3d_benchmark(root: Path, split: str = "test") -> Benchmark:
    """Return a benchmark with the modifications of a split as queries and its scenes as gallery.

    The hits (correct results) of a query are all scenes with the target's label. The reference
    image of a query is excluded from its results.

    Raises:
        DatasetError: The file is missing or does not have the documented format.
    """
    scenes = _Split(root, split)
    alike: dict[str, list[str]] = {}
    for number, label in enumerate(scenes.labels):
        alike.setdefault(label, []).append(_name(split, number))
    hits = {label: frozenset(names) for label, names in alike.items()}
    queries = tuple(
        RetrievalQuery(_name(split, before), (words,), hits[scenes.labels[after]])
        for words, before, after in scenes.changes
    )
    log_blank_captions(f"{Path(root) / FILE}, {split}", queries)
    return Benchmark(
        protocol=f"css3d-{split}",
        gallery=tuple(_name(split, number) for number in range(scenes.size)),
        queries=queries,
        notes={"hit": "any scene with the target's label; the usual number is recall@1"},
    )


def css3d_images(root: Path, names: Iterable[str]) -> ListedImages:
    """Return a lookup of the image files of the scenes with the given names."""
    bases = [Path(root) / "images", Path(root)]
    return ListedImages(bases, {name: (f"{name}.png",) for name in names}, "CSS3D's")


def _name(split: str, number: int) -> str:
    return f"css_{split}_{number:06d}"
