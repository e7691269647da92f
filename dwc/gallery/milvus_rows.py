"""Rows of a gallery in Milvus: their keys, contents and fingerprints, and filters on them.

A row has these fields:

    key        a hash of the picture's id, as an integer from 0 to 2**63 - 1
    vector     the picture's vector
    stamp      a hash of the vector's checksum and of the metadata in the row
    c0, c1, …  the metadata, one field for each column of the gallery, in order

No field may be null: in Milvus, it depends on the operator whether a negated condition fits null.
A text is stored as `=` and the text in lower case, a missing text as the empty text; a truth value
as 1, 0, or -1 if it is missing. A number has a second field, `c0_known`, that is false if it is
missing; the number then is 0. So a condition and its negation fit exactly the pictures that they
fit in `dwc.gallery.filters`.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dwc.errors import StoreError
from dwc.files import description_digest
from dwc.gallery.filters import AllOf, AnyOf, Comparison, Filter, Membership, Missing, Not
from dwc.gallery.metadata import Column, ColumnType, Metadata, Value, fold_text
from dwc.gallery.store import Store

KEY = "key"
VECTOR = "vector"
STAMP = "stamp"
LAST_KEY = 2**63 - 1

TEXT_BYTES = 512
"""The most bytes of a text field. A server of Milvus counts bytes, Milvus Lite characters."""

_FORMAT = 1
_METADATA_FIELDS = 60  # a server of Milvus allows 64 fields
_NO_NUMBER = 0x7FF8_0000_0000_0000  # the bits of NaN

Integers = NDArray[np.int64]
_Hashes = NDArray[np.uint64]


class Field(NamedTuple):
    """The field of a metadata column.

    Attributes:
        name: The name of the field in Milvus, such as `c0`.
        type: The type of the column.
    """

    name: str
    type: ColumnType

    @property
    def known(self) -> str:
        """The name of the field that says whether a picture has a number."""
        return f"{self.name}_known"


class GalleryRows:
    """The rows that a gallery has in Milvus.

    Attributes:
        keys: The key of each of the n pictures (n,).
        stamps: The stamp of each of the n pictures (n,).
        fields: The fields of the metadata columns, by the name of the column. The last columns are
            left out if there are too many.
        layout: A hash of all that two collections must have in common to have equal rows for equal
            pictures: the fields, the length of a vector, and the model.
        digest: A hash of the layout and of all keys and stamps.
    """

    def __init__(self, store: Store) -> None:
        """Compute keys and stamps of a store's pictures.

        Raises:
            StoreError: The ids of two pictures have the same hash, or the metadata cannot be read.
        """
        self._store = store
        self.keys = np.array([hash_id(row.id) for row in store.rows], dtype=np.int64)
        self._order = np.argsort(self.keys)
        self._sorted_keys = self.keys[self._order]
        self._refuse_collisions()
        self.fields = _assign_fields(store.metadata)
        self._texts = {
            field.name: [_encode_text(text) for text in store.metadata.columns[name].texts]
            for name, field in self.fields.items()
        }
        self.stamps = self._compute_stamps()
        columns = [[name, *field] for name, field in self.fields.items()]
        model = store.manifest.model
        self.layout = description_digest([_FORMAT, model.fingerprint, model.dimension, columns])
        digest = blake2b(self.layout.encode(), digest_size=16)
        digest.update(self._sorted_keys.astype("<i8").tobytes())
        digest.update(self.stamps[self._order].astype("<i8").tobytes())
        self.digest = digest.hexdigest()

    def positions(self, keys: Sequence[int]) -> Integers:
        """Return the positions in the gallery of rows, by their keys; -1 for an unknown key."""
        wanted = np.array(keys, dtype=np.int64)
        places = np.searchsorted(self._sorted_keys, wanted)
        places = np.minimum(places, len(self.keys) - 1)
        return np.where(self._sorted_keys[places] == wanted, self._order[places], -1)

    def compare(self, keys: Integers, stamps: Integers) -> tuple[Integers, Integers]:
        """Compare the rows in Milvus with those that the gallery should have there.

        Args:
            keys: The keys (m,) of all rows in Milvus.
            stamps: The stamps (m,) of the same rows.

        Returns:
            The keys of the rows to delete, and the positions in the gallery of those to write.
        """
        positions = self.positions(keys.tolist())
        is_known = positions >= 0
        is_current = np.zeros(len(self.keys), dtype=bool)
        found = positions[is_known]
        is_current[found] = self.stamps[found] == stamps[is_known]
        return keys[~is_known], np.flatnonzero(~is_current)

    def encode(self, positions: Iterable[int]) -> list[dict[str, Any]]:
        """Return the rows of pictures as `MilvusClient.upsert` takes them.

        Args:
            positions: The positions of the pictures in the gallery.
        """
        vectors = self._store.vectors.view(np.ndarray)
        columns = self._store.metadata.columns
        rows = []
        for position in positions:
            row: dict[str, Any] = {
                KEY: int(self.keys[position]),
                VECTOR: np.ascontiguousarray(vectors[position], dtype=np.float32),
                STAMP: int(self.stamps[position]),
            }
            for name, field in self.fields.items():
                value = columns[name].values[position]
                if field.type == "text":
                    row[field.name] = self._texts[field.name][value] if value >= 0 else ""
                elif field.type == "boolean":
                    row[field.name] = int(value)
                else:
                    row[field.known] = not np.isnan(value)
                    row[field.name] = float(_normalize(value)) if row[field.known] else 0.0
            rows.append(row)
        return rows

    def expression(self, filter: Filter) -> str | None:
        """Return a filter as an expression of Milvus; None if a column has no field there."""
        if isinstance(filter, AllOf | AnyOf):
            parts = [self.expression(part) for part in filter.parts]
            word = " and " if isinstance(filter, AllOf) else " or "
            return None if None in parts else f"({word.join(str(part) for part in parts)})"
        if isinstance(filter, Not):
            inner = self.expression(filter.part)
            return None if inner is None else f"not ({inner})"
        field = self.fields.get(filter.column)
        return None if field is None else _condition(filter, field)

    def _refuse_collisions(self) -> None:
        equal = np.flatnonzero(self._sorted_keys[1:] == self._sorted_keys[:-1])
        if len(equal):
            one, other = (self._store.ids[n] for n in self._order[equal[0] : equal[0] + 2])
            raise StoreError(
                f"{self._store.path}: {one!r} and {other!r} have the same key in Milvus. Rename "
                "one of the two pictures and index again, or search with another --index."
            )

    def _compute_stamps(self) -> Integers:
        checksums = [row.checksum for row in self._store.rows]
        stamps = _mix(np.array(checksums, dtype=np.uint64))
        for name, field in self.fields.items():
            values = _hash_values(self._store.metadata.columns[name], self._texts[field.name])
            stamps = _mix(stamps * np.uint64(3) + values)
        return stamps.view(np.int64)


def hash_id(id: str) -> int:
    """Return the key of the picture with an id, from 0 to `LAST_KEY`."""
    digest = blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & LAST_KEY


def _assign_fields(metadata: Metadata) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    count = 0
    for name, column in metadata.columns.items():
        count += 2 if column.type == "number" else 1
        if count > _METADATA_FIELDS:
            break
        fields[name] = Field(f"c{len(fields)}", column.type)
    return fields


def _encode_text(text: str) -> str:
    """Return the content of the field for a text: `=` and the text, or `#` and a hash of it.

    The hash replaces texts that are long or have characters that Milvus may not read back.
    """
    folded = fold_text(text)
    encoded = folded.encode("utf-8", "surrogatepass")
    if folded.isprintable() and len(encoded) < TEXT_BYTES:
        return f"={folded}"
    return f"#{blake2b(encoded, digest_size=16).hexdigest()}"


def _hash_values(column: Column, texts: Sequence[str]) -> _Hashes:
    """Return a hash of each of the n values in a column (n,)."""
    if column.type == "number":
        bits = _normalize(np.where(column.is_missing, 0.0, column.values)).view(np.uint64)
        return _mix(np.where(column.is_missing, np.uint64(_NO_NUMBER), bits))
    if column.type == "boolean":
        return _mix((column.values.astype(np.int64) + 1).astype(np.uint64))
    # The last entry is that of the position -1, which stands for a missing text.
    hashes = [int.from_bytes(blake2b(t.encode(), digest_size=8).digest(), "big") for t in texts]
    return np.array([*hashes, 0], dtype=np.uint64)[column.values]


def _mix(hashes: _Hashes) -> _Hashes:
    """Spread the bits of integers over all 64 bits; this is the last step of SplitMix64."""
    hashes = hashes + np.uint64(0x9E37_79B9_7F4A_7C15)
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return hashes ^ (hashes >> np.uint64(31))


def _condition(condition: Membership | Comparison | Missing, field: Field) -> str:
    if isinstance(condition, Missing):
        if field.type == "number":
            return f"{field.known} == false"
        return f'{field.name} == ""' if field.type == "text" else f"{field.name} == -1"
    if isinstance(condition, Comparison):
        limit = _format_number(condition.limit)
        return f"({field.known} == true and {field.name} {condition.operator} {limit})"
    values = ", ".join(dict.fromkeys(_literal(value, field) for value in condition.values))
    if field.type == "number":
        return f"({field.known} == true and {field.name} in [{values}])"
    return f"{field.name} in [{values}]"


def _literal(value: Value, field: Field) -> str:
    if field.type == "text":
        text = _encode_text(str(value)).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    return _format_number(float(value)) if field.type == "number" else str(int(value))


def _format_number(number: float) -> str:
    return repr(float(_normalize(number)))


def _normalize(number: Any) -> Any:
    """Replace -0.0 by 0.0, in a number or in an array; `in` of Milvus Lite distinguishes them."""
    return number + 0.0
