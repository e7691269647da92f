"""Read a pickled `.npy` file as plain data, without calling anything that the file names.

A pickle is a program that may call any importable function. This reader allows only the names with
which numpy pickles arrays, types and numbers, and replaces them by inert classes: numpy's own would
trust the lengths and flags in the file. The result consists of dicts, lists, tuples, text, bytes,
numbers and `PickledArray`s.
"""

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy

from dwc.datasets.benchmark_files import describe_folder
from dwc.errors import DatasetError

_PLAIN_KINDS = "biufSU"  # booleans, integers, numbers, bytes, text; "O", objects, is read as a list


class PickledType:
    """A numpy type by its code ("i8") and byte order."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self._code = code
        self._order: Literal["<", ">", "|", "="] = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array's type is not as numpy writes it")
        self._order = state[1]

    @property
    def is_object(self) -> bool:
        """Whether the elements are pickled as objects."""
        return self._code in ("O", "O8", "O4")

    def to_numpy(self) -> np.dtype:
        """The numpy type; `UnpicklingError` for other types than numbers and text."""
        code = self._code
        if not isinstance(code, str) or code[:1] not in _PLAIN_KINDS or not code[1:].isdigit():
            raise pickle.UnpicklingError(f"an array of type {code!r}")
        try:
            dtype = np.dtype(code)
            return dtype if self._order in "|=" else dtype.newbyteorder(self._order)
        except TypeError as error:
            raise pickle.UnpicklingError(f"an array of type {code!r}") from error


class PickledArray:
    """An array of the file, with its elements in a flat list."""

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
    """Replaces the function that makes an empty array, which its state fills afterwards."""

    def __new__(cls, *_: Any) -> Any:
        return PickledArray()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function with a state")


class _Number:
    """Replaces the function that makes a numpy scalar from its type and bytes."""

    def __new__(cls, kind: Any = None, content: Any = b"") -> Any:
        if not isinstance(kind, PickledType):
            raise pickle.UnpicklingError("a number without a type")
        (number,) = _numbers(kind, content)
        return number

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function with a state")


class _Bytes:
    """Replaces `codecs.encode`, with which bytes are pickled for Python 2.

    Also replaces `bytes`, without arguments: empty bytes are pickled so.
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
    """Read the object that `numpy.save` pickled into a file.

    Args:
        path: The file.
        advice: How to get the file, the end of the error if it is missing.

    Raises:
        DatasetError: The file is missing, is no such file, or holds anything but arrays, dicts,
            lists, text and numbers.
    """
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


# What the unpickler raises on an invalid program.
_BROKEN = (
    OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, ImportError,
    MemoryError, OverflowError, RecursionError,
)  # fmt: skip


def _numbers(kind: PickledType, content: Any) -> list[Any]:
    if isinstance(content, str):  # bytes that Python 2 wrote
        content = content.encode("latin1")
    dtype = kind.to_numpy()
    if not isinstance(content, bytes) or not dtype.itemsize or len(content) % dtype.itemsize:
        raise pickle.UnpicklingError("an array whose bytes do not fit its type")
    return np.frombuffer(content, dtype).tolist() if content else []
