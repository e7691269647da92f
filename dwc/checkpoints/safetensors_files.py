"""Read safetensors files by memory mapping, and scan tensors for non-finite numbers.

A paper's model is 700 MB, and copying it takes longer than everything else in loading. So a tensor
of the wanted type stays in the mapped file. The mapping is private: writing to such a tensor
changes memory of the process only, never the file.
"""

import json
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dwc.errors import CheckpointError

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
"""The table of files by tensor, where there are several files."""

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_LENGTH_BYTES = 8  # a file begins with the length of its header, little-endian
_SUMMED_FAST = (torch.float32, torch.float64)
_PIECE = 1 << 25  # numbers of one sum; before each, a thread waits for the interpreter


def is_folder(source: str | os.PathLike[str]) -> bool:
    """Whether this is a local folder, and not a name on the Hub."""
    return os.path.isdir(source)


def read_weights(
    folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Read the tensors of a folder's safetensors files, by name; floating ones as `dtype`.

    Raises:
        CheckpointError: The index names a file elsewhere, or two files have the same tensor.
        OSError, SafetensorError: A file is missing or damaged.
    """
    tensors: dict[str, Tensor] = {}
    for file in _find_files(Path(folder)):
        for name, tensor in map_tensors(file).items():
            if name in tensors:
                raise CheckpointError(
                    f"{folder}: {name} is in {file.name} and in another file of the weights as "
                    "well; a tensor belongs into one file. Fetch or convert the checkpoint again"
                )
            tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return tensors


class Weights:
    """A folder's tensors, with a scan for non-finite numbers that runs in the background.

    The scan occupies cores but not the interpreter, so the caller can read vocabularies and make
    modules meanwhile.

    Attributes:
        tensors: The tensors by name.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        dtype: torch.dtype = torch.float32,
        known_finite: bool = False,
    ) -> None:
        try:
            self.tensors: Mapping[str, Tensor] = read_weights(folder, dtype)
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{folder} cannot be loaded: {error}") from error
        self._scan = _FiniteScan({} if known_finite else self.tensors)

    def not_finite(self) -> list[str]:
        """Return the names of the tensors that contain NaN or infinity."""
        return self._scan.not_finite()


def map_tensors(file: Path) -> dict[str, Tensor]:
    """Map one safetensors file and return its tensors by name, with their stored types."""
    with safe_open(file, framework="pt"):
        pass  # checks the header, and that tensors fill the file without a gap
    with file.open("rb") as stream:
        content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = orjson.loads(content[_LENGTH_BYTES:start])
    header.pop("__metadata__", None)
    by_type: dict[torch.dtype, Tensor] = {}  # views of the file, which hold the mapping open
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in _TYPES:
            raise CheckpointError(
                f"{file}: {name} has numbers of type {entry['dtype']}; those read here are "
                f"{', '.join(_TYPES)}"
            )
        kind = _TYPES[entry["dtype"]]
        first, last = entry["data_offsets"]
        begin, length = start + first, (last - first) // kind.itemsize
        if length and begin % kind.itemsize:  # not aligned for its type
            numbers = torch.frombuffer(bytearray(content[begin : start + last]), dtype=kind)
        else:
            if kind not in by_type:
                count = len(content) // kind.itemsize
                by_type[kind] = torch.frombuffer(content, dtype=kind, count=count)
            numbers = by_type[kind].narrow(0, begin // kind.itemsize, length)
        tensors[name] = numbers.view(entry["shape"])
    return tensors


def find_non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that contain NaN or infinity."""
    return _FiniteScan(tensors).not_finite()


class _FiniteScan:
    """A scan of tensors for non-finite numbers on every core, started at once.

    A sum is NaN or infinite if one of its terms is, so one pass at the speed of memory shows
    whether a closer look is needed. NumPy sums on one core and releases the interpreter, hence one
    thread per core. The pieces to sum are prepared before: a thread that needs the interpreter for
    each tensor would wait for it each time.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._floating = {n: t for n, t in tensors.items() if t.is_floating_point() and t.numel()}
        self._summed = {
            name: tensor
            for name, tensor in self._floating.items()
            if tensor.dtype in _SUMMED_FAST and tensor.is_contiguous()
        }
        runs = _runs(self._summed.values())
        pieces = [piece.numpy() for run in runs for piece in run.split(_PIECE)]
        threads = ThreadPoolExecutor(torch.get_num_threads())
        self._finite_sums = [threads.submit(_has_finite_sum, piece) for piece in pieces]
        threads.shutdown(wait=False)

    def not_finite(self) -> list[str]:
        """Return the names of the tensors that contain NaN or infinity."""
        sound = all(done.result() for done in self._finite_sums)
        return [
            name
            for name, tensor in self._floating.items()
            if not (sound and name in self._summed) and not _is_finite(tensor)
        ]


def _find_files(folder: Path) -> list[Path]:
    """Return the weight files: a single file, or all files that the index names."""
    index = folder / WEIGHTS_INDEX
    if (folder / WEIGHTS).is_file() or not index.is_file():
        return [folder / WEIGHTS]
    table = json.loads(index.read_text(encoding="utf-8"))
    spans = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(spans, dict) or not spans:
        raise CheckpointError(f"{index} has no weight_map; fetch the checkpoint again")
    names = sorted(set(map(str, spans.values())))
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(
                f"{index} names {name!r}, which is not beside it; the weights of a checkpoint lie "
                "in its folder. Fetch it again"
            )
    return [folder / name for name in names]


class _Span(NamedTuple):
    """A contiguous tensor's location: its storage's address, offset and length in numbers."""

    storage: int
    first: int
    length: int
    tensor: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> "_Span":
        storage = tensor.untyped_storage().data_ptr()
        return cls(storage, int(tensor.storage_offset()), tensor.numel(), tensor.detach())

    def is_followed_by(self, other: "_Span") -> bool:
        return (
            self.storage == other.storage
            and self.first + self.length == other.first
            and self.tensor.dtype == other.tensor.dtype
        )


def _runs(tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    """Join neighboring tensors of one storage into flat tensors.

    A model has a thousand tensors, most of them small, and a call for each takes longer than the
    sums.
    """
    spans = sorted(map(_Span.of, tensors), key=lambda span: span[:3])
    start = 0
    for end in range(1, len(spans) + 1):
        if end == len(spans) or not spans[end - 1].is_followed_by(spans[end]):
            first = spans[start]
            length = sum(span.length for span in spans[start:end])
            yield first.tensor.as_strided((length,), (1,), first.first)
            start = end


def _has_finite_sum(numbers: NDArray[np.floating]) -> bool:
    """Whether the sum is finite; not if any number is NaN or infinite, or the sum overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(numbers.sum()))


def _is_finite(tensor: Tensor) -> bool:
    """Whether every number is finite, in one pass and without a temporary of the same size.

    Minimum and maximum are NaN if any number is.
    """
    if not tensor.numel():
        return True
    return bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all())
