"""Loading of safetensors files by memory mapping, and a scan of tensors for NaN and infinity.

The paper's model takes 700 MB, and a copy would take longer than all other steps of loading. So a
tensor that already has the requested type is a view of the mapped file. Writing to such a tensor
changes only the memory of the process, never the file.
"""

import json
import logging
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dwc.errors import CheckpointError
from dwc.files import refuse_lfs_pointer

logger = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
"""JSON file that gives each tensor's file, if the weights are split into several files."""

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_LENGTH_BYTES = 8  # a file begins with the length of its header, little-endian
_SUMMED_FAST = (torch.float32, torch.float64)  # types that NumPy sums quickly
_ZERO_TAIL = 1 << 16  # shortest run of zeros, in bytes, at the end of an incomplete file
# How many numbers are added up at a time. Small pieces would be slow, because a thread waits for
# the Python interpreter before each sum.
_PIECE = 1 << 25


def is_folder(source: str | os.PathLike[str]) -> bool:
    """Return whether `source`, a path or a name on the Hub, is an existing local folder."""
    return os.path.isdir(source)


def read_weights(
    folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Return the tensors of a folder's safetensors files by name.

    Floating-point tensors are converted to `dtype`; others keep their type.

    Raises:
        CheckpointError: Two files have a tensor of the same name; or the index
            (`model.safetensors.index.json`) is invalid or names a file outside the folder.
        OSError, SafetensorError: A file is missing or damaged.
    """
    tensors: dict[str, Tensor] = {}
    folder = Path(folder)
    if (folder / WEIGHTS).is_file() and (folder / WEIGHTS_INDEX).is_file():
        logger.warning(
            "%s has both %s and %s: the weights are read from %s, and the files that the index "
            "names are not used. Delete whichever is outdated",
            folder,
            WEIGHTS,
            WEIGHTS_INDEX,
            WEIGHTS,
        )
    for file in weight_files(folder):
        for name, tensor in map_tensors(file).items():
            if name in tensors:
                raise CheckpointError(
                    f"{folder}: {name} is in {file.name} and in another file of the weights as "
                    "well; a tensor belongs into one file. Fetch or convert the checkpoint again"
                )
            tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return tensors


class Weights:
    """The tensors of a folder's safetensors files, and a background scan for NaN and infinity.

    While the scan runs in other threads, the caller can load vocabularies and construct modules.

    The class is a context manager. The end of the `with` block stops the scan, so that no thread
    reads the files after an error: reading a file that was shortened meanwhile would end the
    process.

    Args:
        folder: The folder with safetensors files.
        dtype: The type of the floating-point tensors in memory.
        known_finite: Whether to omit the scan, because an earlier scan found neither NaN
            nor infinity.

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

    def __enter__(self) -> "Weights":
        return self

    def __exit__(self, *error: object) -> None:
        self._scan.stop()

    def not_finite(self) -> list[str]:
        """Wait for the scan, and return the names of the tensors that contain NaN or infinity."""
        return self._scan.not_finite()


def map_tensors(file: Path) -> dict[str, Tensor]:
    """Map a safetensors file into memory; return its tensors by name, with their stored types."""
    refuse_lfs_pointer(file, CheckpointError)
    with safe_open(file, framework="pt"):
        pass  # opening validates the header and that tensors fill the file without a gap
    with file.open("rb") as stream:
        content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = orjson.loads(content[_LENGTH_BYTES:start])
    header.pop("__metadata__", None)
    _refuse_zero_tail(file, content, start, header)
    by_type: dict[torch.dtype, Tensor] = {}  # views of the whole file, which keep the mapping open
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


def _refuse_zero_tail(
    file: Path, content: mmap.mmap, start: int, header: Mapping[str, dict[str, Any]]
) -> None:
    """Raise an error if a safetensors file ends in zeros, as an interrupted download leaves it.

    Some programs create a file of full size, filled with zeros, before they write its content. A
    file is refused if it ends in 64 KiB of zeros or more, and these include a whole matrix: a
    trained model hardly has such a matrix at its end. If the zeros begin within the last matrix,
    the file is accepted.

    Args:
        file: The path of the file, for the message.
        content: The content of the file.
        start: The offset of the tensors in the content, in bytes.
        header: The entry of each tensor, by its name: its shape, and its offsets after `start`.

    Raises:
        CheckpointError: The file is refused.
    """
    end = len(content)
    while end > start and not content[max(start, end - _ZERO_TAIL) : end].strip(b"\0"):
        end = max(start, end - _ZERO_TAIL)
    first = max(start, end - _ZERO_TAIL)
    end = first + len(content[first:end].rstrip(b"\0"))
    if len(content) - end < _ZERO_TAIL:
        return
    empty = [
        name
        for name, entry in header.items()
        if start + entry["data_offsets"][0] >= end and sum(side > 1 for side in entry["shape"]) > 1
    ]
    if empty:
        raise CheckpointError(
            f"{file}: its last {len(content) - end:,} of {len(content):,} bytes are zeros, and so "
            f"are tensors such as {empty[0]}; an interrupted download or copy leaves a file so. "
            "Fetch or copy it again; if the zeros are meant, leave these tensors out of the model"
        )


def find_non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that contain NaN or infinity."""
    return _FiniteScan(tensors).not_finite()


class _FiniteScan:
    """A scan of tensors for NaN and infinity; it starts at construction and uses all cores.

    A sum is NaN or infinite if one of its terms is. So the scan first sums many numbers at a time,
    which is fast. It checks the tensors one by one only if a sum is not finite. NumPy computes a
    sum on one core and releases Python's interpreter lock meanwhile, so there is one thread per
    core. The tensors are split into pieces before the threads start, because splitting needs the
    interpreter lock.
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
        self._threads = ThreadPoolExecutor(torch.get_num_threads())
        self._finite_sums = [self._threads.submit(_has_finite_sum, piece) for piece in pieces]
        self._threads.shutdown(wait=False)

    def stop(self) -> None:
        """Stop the scan: cancel the checks that have not begun, and wait for those in progress."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def not_finite(self) -> list[str]:
        """Wait for the scan, and return the names of the tensors that contain NaN or infinity."""
        sound = all(done.result() for done in self._finite_sums)
        return [
            name
            for name, tensor in self._floating.items()
            if not (sound and name in self._summed) and not _is_finite(tensor)
        ]


def weight_files(folder: Path) -> list[Path]:
    """Return a folder's weight files: `model.safetensors`, or else all files that the index names.

    If a folder has both `model.safetensors` and an index, the index is ignored, as in transformers.
    Other `model*.safetensors` files, such as those of an earlier download, are not used either.

    Raises:
        CheckpointError: The index cannot be read, or names a file outside the folder.
    """
    index = folder / WEIGHTS_INDEX
    if (folder / WEIGHTS).is_file() or not index.is_file():
        return [folder / WEIGHTS]
    refuse_lfs_pointer(index, CheckpointError)
    try:
        table = json.loads(index.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot read {index} ({error}); fetch the checkpoint again"
        ) from error
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
    """A contiguous tensor and its location in memory.

    Attributes:
        storage: Memory address of the tensor's storage, which several tensors can share.
        first: Index of the tensor's first number in the storage.
        length: How many numbers the tensor has.
        tensor: The tensor.
    """

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
    """Join tensors that are adjacent in memory, and yield the results as flat tensors.

    Nothing is copied. The aim is to sum all numbers of a model fast: a model has about a thousand
    tensors, most of them small, and a call for each would take longer than the additions.
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
    """Return whether the sum of the numbers is finite.

    If the sum is finite, no number is NaN or infinite. If the sum is not finite, either a number is
    NaN or infinite, or the sum has overflowed.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(numbers.sum()))


def _is_finite(tensor: Tensor) -> bool:
    """Return whether no number of a tensor is NaN or infinite.

    It suffices to check the minimum and the maximum, which are NaN if any number is NaN. They are
    computed without a temporary copy of the tensor.
    """
    if not tensor.numel():
        return True
    return bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all())
