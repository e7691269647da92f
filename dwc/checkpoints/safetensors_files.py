"""Weights in safetensors files -> tensors: mapped, not copied, and looked through for NaN.

A paper's model is 700 MB, and a copy of it costs more than everything else that loading does. So a
tensor that has the wanted type on disk stays where it lies: the file is mapped, privately, which
means that whoever writes to such a tensor writes to memory of his own and never to the file.
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
"""The table of which file holds which tensor, where there are several."""

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_LENGTH_BYTES = 8  # a file begins with the length of its header, little-endian
_SUMMED_FAST = (torch.float32, torch.float64)
_PIECE = 1 << 25  # numbers summed in one go; before each, a thread waits for the interpreter


def is_folder(source: str | os.PathLike[str]) -> bool:
    """Whether this is a folder here, and no name on the Hub."""
    return os.path.isdir(source)


def read_weights(
    folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """The tensors in a folder's safetensors files, by name; floating ones as `dtype`.

    Raises CheckpointError where a file of the index lies elsewhere, or two hold one tensor, and
    OSError or SafetensorError where a file is absent or damaged.
    """
    tensors: dict[str, Tensor] = {}
    for file in _find_files(Path(folder)):
        for name, tensor in map_tensors(file).items():
            if name in tensors:
                raise CheckpointError(
                    f"{folder}: {name} is in {file.name} and in another file of the weights as "
                    "well; a tensor belongs into one. Fetch or convert the checkpoint again"
                )
            tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return tensors


class Weights:
    """A folder's tensors, as `dtype`, and a look through them that has begun.

    The look takes cores and not the interpreter. So whoever makes this first has vocabularies read
    and modules made in the meantime. `known_finite` leaves it out: these very files were looked
    through before.

    Raises CheckpointError where `read_weights` raises anything.
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
        self._look = _Look({} if known_finite else self.tensors)

    def not_finite(self) -> list[str]:
        """The names of the tensors that hold a NaN or an infinity."""
        return self._look.not_finite()


def map_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file, by name, as they lie in it."""
    with safe_open(file, framework="pt"):
        pass  # It checks that the header is sound, and that tensors fill the file without a gap.
    with file.open("rb") as stream:
        content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = orjson.loads(content[_LENGTH_BYTES:start])
    header.pop("__metadata__", None)
    by_type: dict[torch.dtype, Tensor] = {}  # the whole file; each holds the mapping open
    tensors = {}
    for name, told in header.items():
        if told["dtype"] not in _TYPES:
            raise CheckpointError(
                f"{file}: {name} has numbers of type {told['dtype']}; those read here are "
                f"{', '.join(_TYPES)}"
            )
        kind = _TYPES[told["dtype"]]
        first, last = told["data_offsets"]
        begin, length = start + first, (last - first) // kind.itemsize
        if length and begin % kind.itemsize:  # it has to begin where a number of its width can
            numbers = torch.frombuffer(bytearray(content[begin : start + last]), dtype=kind)
        else:
            if kind not in by_type:
                whole = len(content) // kind.itemsize
                by_type[kind] = torch.frombuffer(content, dtype=kind, count=whole)
            numbers = by_type[kind].narrow(0, begin // kind.itemsize, length)
        tensors[name] = numbers.view(told["shape"])
    return tensors


def find_non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors that hold a NaN or an infinity."""
    return _Look(tensors).not_finite()


class _Look:
    """Tensors looked through for what is not finite, on every core, from the start.

    A sum is NaN or infinite where one of its terms is, so one pass over everything, at the speed of
    memory, tells whether there is anything to look for. NumPy sums on one core and lets go of the
    interpreter meanwhile; so there is a thread for each core. What is to be summed is found out
    before: a thread that asks for the interpreter at every tensor waits for it at every tensor.
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
        """The names of the tensors that hold a NaN or an infinity."""
        sound = all(done.result() for done in self._finite_sums)
        return [
            name
            for name, tensor in self._floating.items()
            if not (sound and name in self._summed) and not _is_finite(tensor)
        ]


def _find_files(folder: Path) -> list[Path]:
    """The files of the weights: one, or those that the index names."""
    index = folder / WEIGHTS_INDEX
    if (folder / WEIGHTS).is_file() or not index.is_file():
        return [folder / WEIGHTS]
    table = json.loads(index.read_text(encoding="utf-8"))
    places = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index} has no weight_map; fetch the checkpoint again")
    names = sorted(set(map(str, places.values())))
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(
                f"{index} names {name!r}, which is not beside it; the weights of a checkpoint lie "
                "in its folder. Fetch it again"
            )
    return [folder / name for name in names]


class _Place(NamedTuple):
    """Where a contiguous tensor lies: its storage's address, and numbers from the start of that."""

    storage: int
    first: int
    length: int
    tensor: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> "_Place":
        storage = tensor.untyped_storage().data_ptr()
        return cls(storage, int(tensor.storage_offset()), tensor.numel(), tensor.detach())

    def is_followed_by(self, other: "_Place") -> bool:
        return (
            self.storage == other.storage
            and self.first + self.length == other.first
            and self.tensor.dtype == other.tensor.dtype
        )


def _runs(tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    """What lies one behind the other in one storage, as one flat tensor.

    A model has a thousand tensors, most of them small: a call for each takes longer than the sums.
    """
    places = sorted(map(_Place.of, tensors), key=lambda place: place[:3])
    start = 0
    for end in range(1, len(places) + 1):
        if end == len(places) or not places[end - 1].is_followed_by(places[end]):
            first = places[start]
            length = sum(place.length for place in places[start:end])
            yield first.tensor.as_strided((length,), (1,), first.first)
            start = end


def _has_finite_sum(numbers: NDArray[np.floating]) -> bool:
    """Whether numbers add up to one; no where any is NaN or infinite, or the sum outgrows it."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(numbers.sum()))


def _is_finite(tensor: Tensor) -> bool:
    """Whether every number is finite, in one pass and without a tensor as large beside it.

    The least and the greatest are NaN where any number is.
    """
    if not tensor.numel():
        return True
    return bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all())
