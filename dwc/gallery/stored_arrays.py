"""A file format for named arrays and texts; both are read from the file only when they are used.

The arrays follow one another in the file. At the end of the file is a table of contents in JSON,
with the names and positions of the arrays. Arrays of numbers are mapped into memory. Texts are read
from the file one by one, since mapped pages count as memory of the process. A million texts in such
a file take no memory; as Python strings in a list, they take 100 MB.
"""

import json
import os
import struct
import threading
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, BinaryIO, Literal, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

_MAGIC = b"DWCARRAY"
_ALIGNMENT = 8  # arrays begin at multiples of this number of bytes
_BOUNDS = struct.Struct("=qq")  # where a text begins and ends, among the texts
_CACHED = 1024  # number of texts, and of positions, that a sequence caches if read one by one
_BLOCK = 4096  # number of items that are encoded, decoded or read together

Positions = NDArray[np.int64]

_T = TypeVar("_T")


class BlockSequence(Sequence[_T]):
    """Base class of sequences for which reading a slice is faster than reading single items.

    Therefore, iteration reads the items in blocks. `==` compares only the items: an object of this
    class may equal a list or any other sequence, but never a string.
    """

    def __iter__(self) -> Iterator[_T]:
        for start in range(0, len(self), _BLOCK):
            yield from self[start : start + _BLOCK]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class ArrayWriter:
    """Writer of named arrays and texts to a file that `StoredArrays` can read."""

    def __init__(self, file: BinaryIO) -> None:
        """Build the writer for a file that is empty and open for writing."""
        self._file = file
        self._size = 0
        self._entries: dict[str, tuple[str, int, list[int]]] = {}

    def add(self, name: str, values: NDArray[Any]) -> None:
        """Write an array under a name; `StoredArrays.array` returns it by this name."""
        self.add_blocks(name, values.shape, values.dtype, [values])

    def add_blocks(
        self, name: str, shape: Sequence[int], dtype: DTypeLike, blocks: Iterable[NDArray[Any]]
    ) -> None:
        """Write an array block by block, so that only one block at a time is needed in memory.

        Args:
            name: The name of the array.
            shape: The shape of the array.
            dtype: The type of the array's numbers; the blocks have the same type.
            blocks: Consecutive parts of the array along its first axis.
        """
        self._align()
        self._entries[name] = np.dtype(dtype).str, self._size, list(shape)
        for block in blocks:
            self._write(np.ascontiguousarray(block).data.cast("B") if block.size else b"")

    def add_texts(self, names: Sequence[str], rows: Iterable[Sequence[str]], count: int) -> None:
        """Write several columns of texts, together with hashes by which texts can be found.

        The texts of a row are adjacent in the file.

        Args:
            names: The names of the columns.
            rows: The rows, each with one text per column.
            count: The number of rows.
        """
        self._align()
        start, width = self._size, len(names)
        lengths = np.empty(width * count, dtype=np.uint32)
        hashes = np.empty((width, count), dtype=np.uint32)
        iterator = iter(rows)
        for first in range(0, count, _BLOCK):
            block = [text.encode() for row in islice(iterator, _BLOCK) for text in row]
            last = first + len(block) // width
            lengths[width * first : width * last] = list(map(len, block))
            block_hashes = np.fromiter(map(zlib.crc32, block), dtype=np.uint32, count=len(block))
            hashes[:, first:last] = block_hashes.reshape(-1, width).T
            self._write(b"".join(block))
        self._entries[_content_of(names)] = "|u1", start, [self._size - start]
        self.add_blocks(_bounds_of(names), (width * count + 1,), np.int64, _add_up(lengths))
        del lengths
        for name, column in zip(names, hashes, strict=True):
            order = np.argsort(column, kind="stable")
            self.add(f"{name}.hashes", column[order])
            self.add(f"{name}.firsts", column[order[::_BLOCK]])
            self.add(f"{name}.order", order.astype(np.uint32))

    def finish(self, description: dict[str, Any]) -> None:
        """Complete the file: write its table of contents and a description after the arrays.

        Nothing can be added afterwards.

        Args:
            description: JSON-compatible values by name; see `StoredArrays.description`.
        """
        self._align()
        directory = json.dumps({"arrays": self._entries, **description}).encode()
        self._write(directory + len(directory).to_bytes(8, "little") + _MAGIC)
        self._file.flush()

    def _align(self) -> None:
        self._write(bytes(-self._size % _ALIGNMENT))

    def _write(self, content: bytes | memoryview) -> None:
        self._file.write(content)
        self._size += len(content)


def _add_up(lengths: NDArray[np.uint32]) -> Iterator[NDArray[np.int64]]:
    """Yield the cumulative sums of n lengths, beginning with 0, in blocks: n + 1 numbers in all.

    For the lengths 3, 1 and 4, the numbers are 0, 3, 4 and 8.
    """
    end = 0
    yield np.zeros(1, dtype=np.int64)
    for start in range(0, len(lengths), _BLOCK):
        sums = end + np.cumsum(lengths[start : start + _BLOCK], dtype=np.int64)
        end = int(sums[-1])
        yield sums


def _content_of(names: Sequence[str]) -> str:
    return f"{','.join(names)}.content"


def _bounds_of(names: Sequence[str]) -> str:
    return f"{','.join(names)}.bounds"


class MemoryContent:
    """The content of a file, held in memory."""

    def __init__(self, content: bytes) -> None:
        """Keep a reference to the bytes of the file."""
        self._content = content
        self.size = len(content)

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes at the offsets `start` to `stop - 1`."""
        return self._content[start:stop]

    def map(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the bytes at the offsets `start` to `stop - 1`, as an array."""
        return np.frombuffer(self._content, dtype=np.uint8, count=stop - start, offset=start)


class FileContent:
    """The content of a file on disk; the file may be deleted while this object exists."""

    def __init__(self, file: BinaryIO) -> None:
        """Build the reader for an open file; the caller may close the file afterwards."""
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._lock = threading.Lock()
        self.size = os.fstat(self._descriptor).st_size
        self._mapped = np.memmap(file, dtype=np.uint8, mode="r").view(np.ndarray)

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes at the offsets `start` to `stop - 1`, without memory mapping."""
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, stop - start, start)
        with self._lock:  # on Windows
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.read(self._descriptor, stop - start)

    def map(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the bytes at the offsets `start` to `stop - 1`, as a memory-mapped array."""
        return self._mapped[start:stop]


Content = MemoryContent | FileContent


class StoredArrays:
    """The arrays in a file that `ArrayWriter` wrote.

    Attributes:
        description: The description that `ArrayWriter.finish` wrote: JSON-compatible values by
            name.
    """

    def __init__(self, content: Content) -> None:
        """Read the table of contents of a file; the arrays themselves are read later.

        Raises:
            ValueError: The file was not written by `ArrayWriter`, or is cut off.
        """
        self._content = content
        end = content.size - 8 - len(_MAGIC)
        if end < 0 or content.read(end + 8, content.size) != _MAGIC:
            raise ValueError("the file has no directory of arrays at its end")
        length = int.from_bytes(content.read(end, end + 8), "little")
        self.description: dict[str, Any] = json.loads(content.read(end - length, end))
        self._entries = self.description.pop("arrays")

    def array(self, name: str) -> NDArray[Any]:
        """Return the array with the given name, as a view of the file's content."""
        dtype, start, shape = self._entries[name]
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        return self._content.map(start, start + size).view(dtype).reshape(shape)

    def texts(self, names: Sequence[str]) -> list["Texts"]:
        """Return columns of texts, in the order of their names.

        Args:
            names: The names of all columns that one call of `ArrayWriter.add_texts` wrote, in the
                same order.
        """
        return [Texts(self._text_column(names, number)) for number in range(len(names))]

    def _text_column(self, names: Sequence[str], number: int) -> "_TextColumn":
        name = names[number]
        _, hashes, (count,) = self._entries[f"{name}.hashes"]
        return _TextColumn(
            self._content,
            count,
            len(names),
            number,
            self._entries[_content_of(names)][1],
            self._entries[_bounds_of(names)][1],
            hashes,
            self._entries[f"{name}.order"][1],
            np.array(self.array(f"{name}.firsts")),
        )


@dataclass(frozen=True)
class _TextColumn:
    """The location of a column of n texts in a file; offsets are bytes from the file's beginning.

    Several columns may be written together. The file then has:

    - the texts of these columns, row by row without separators;
    - an array with the place of each text;
    - for each column, an array with the sorted hashes of the column's texts;
    - for each column, an array with the position of the text that each of these hashes belongs to.

    Attributes:
        content: The content of the file.
        count: The number n of texts in the column.
        width: The number of columns that were written together.
        number: The index of this column among these columns, from 0.
        texts: The offset of the first text.
        bounds: The offset of the int64 array that has the place of each text: the number of bytes
            from the first text to the beginning of this text. The last item is the end of the last
            text.
        hashes: The offset of the uint32 array of the CRC-32 hashes of the n texts, ascending.
        order: The offset of the uint32 array that has, for each item of the array of hashes, the
            position in the column of the text with this hash.
        firsts: A copy of every `_BLOCK`-th item of the array of hashes, beginning with the first
            item. It serves to find the block of the array that contains a hash.
    """

    content: Content
    count: int
    width: int
    number: int
    texts: int
    bounds: int
    hashes: int
    order: int
    firsts: NDArray[np.uint32]

    def encoded(self, position: int) -> bytes:
        """Return the text at a position, in UTF-8."""
        offset = self.bounds + 8 * (position * self.width + self.number)
        start, stop = _BOUNDS.unpack(self.content.read(offset, offset + 16))
        return self.content.read(self.texts + start, self.texts + stop)

    def text(self, position: int) -> str:
        """Return the text at a position."""
        return self.encoded(position).decode()

    def decode(self, start: int, stop: int) -> list[str]:
        """Return the texts from the position `start` to the position before `stop`."""
        if stop <= start:
            return []
        first, last = self.bounds + 8 * start * self.width, self.bounds + 8 * stop * self.width
        bounds = np.frombuffer(self.content.read(first, last + 8), np.int64)
        block = self.content.read(self.texts + int(bounds[0]), self.texts + int(bounds[-1]))
        bounds = bounds - bounds[0]
        starts, ends = bounds[self.number : -1 : self.width], bounds[self.number + 1 :: self.width]
        return [
            block[begin:end].decode()
            for begin, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]

    def candidates(self, encoded: bytes) -> list[int]:
        """Return the positions, ascending, of all texts that may equal the given text.

        These are the texts with the same hash as the given text; a few of them may be other texts.

        Args:
            encoded: The given text, in UTF-8.
        """
        value = np.uint32(zlib.crc32(encoded))
        first, last = self._search(value, "left"), self._search(value, "right")
        stored = self.content.read(self.order + 4 * first, self.order + 4 * last)
        return np.frombuffer(stored, np.uint32).tolist()

    def _search(self, value: np.uint32, side: Literal["left", "right"]) -> int:
        """Find the place of a hash among the column's sorted hashes, as `np.searchsorted` does.

        Only one block of the sorted hashes is read from the file.

        Args:
            value: The hash.
            side: Whether the place is before ("left") or after ("right") all equal hashes.
        """
        block = max(0, int(np.searchsorted(self.firsts, value, side)) - 1) * _BLOCK
        stop = min(block + _BLOCK, self.count)
        hashes = self.content.read(self.hashes + 4 * block, self.hashes + 4 * stop)
        return block + int(np.searchsorted(np.frombuffer(hashes, np.uint32), value, side))


class Texts(BlockSequence[str]):
    """Sequence of n texts, each of which is read from a file when it is accessed."""

    def __init__(self, column: _TextColumn, selected: Positions | None = None) -> None:
        """Build the sequence of all texts of a column, or of some of them.

        Args:
            column: The column with the texts.
            selected: The positions of the selected texts in the column, ascending; None for all
                texts of the column.
        """
        self._column, self._selected = column, selected
        self._text = lru_cache(_CACHED)(column.text)
        self._found = lru_cache(_CACHED)(self._find)

    def select(self, positions: Positions) -> "Texts":
        """Return a sequence of the texts at the given positions, which must be ascending."""
        return Texts(
            self._column, positions if self._selected is None else self._selected[positions]
        )

    def __len__(self) -> int:
        return self._column.count if self._selected is None else len(self._selected)

    @overload
    def __getitem__(self, position: int) -> str: ...

    @overload
    def __getitem__(self, position: slice) -> list[str]: ...

    def __getitem__(self, position: int | slice) -> str | list[str]:
        if isinstance(position, slice):
            start, stop, step = position.indices(len(self))
            if self._selected is None and step == 1:
                return self._column.decode(start, stop)
            return [self[number] for number in range(start, stop, step)]
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(f"there are {len(self)} texts, and none at {position}")
        if self._selected is not None:
            position = int(self._selected[position])
        return self._text(int(position))

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and bool(self.find(text))

    def find(self, text: str) -> list[int]:
        """Return the positions, ascending, of all texts that equal the given text."""
        return list(self._found(text))

    def _find(self, text: str) -> Sequence[int]:
        encoded = text.encode("utf-8", "surrogatepass")
        column = self._column
        found = [n for n in column.candidates(encoded) if column.encoded(n) == encoded]
        if self._selected is None:
            return found
        if len(self._selected) == 0:
            return []
        places = np.searchsorted(self._selected, found).clip(max=len(self._selected) - 1)
        return [
            int(place)
            for place, number in zip(places, found, strict=True)
            if self._selected[place] == number
        ]

    def index(self, text: str, start: int = 0, stop: int | None = None) -> int:
        """Return the first position of a text, from `start` up to but not including `stop`.

        If `stop` is None, the search goes on to the last text.

        Raises:
            ValueError: The text is at none of these positions.
        """
        for position in self.find(text):
            if start <= position and (stop is None or position < stop):
                return position
        raise ValueError(f"{text!r} is not among the {len(self)} texts")
