"""Search in Milvus: either in Milvus Lite, which runs in this process, or on a shared server.

Milvus has the vectors and the metadata of a gallery's pictures, not the pictures. Each gallery has
one collection for each model. Milvus compares a query with all vectors (index type FLAT), so that
no image can be missing from its candidates; the caller computes their scores again, by the same
code as without an index.

A row of such a collection belongs to one picture, and has these fields:

    key        a hash of the picture's id, as an integer from 0 to 2**63 - 1
    vector     the picture's vector
    stamp      a hash of the vector's checksum and of the metadata in the row
    c0, c1, …  the metadata, one field for each column of the gallery, in order

No field may be null, since operators of Milvus differ in whether a negated condition fits null. The
text "Red" is stored as "=red", in lower case after an equals sign, and a missing text as the empty
text. A Boolean value is stored as 1, 0, or -1 if it is missing. A column of numbers has a second
field, such as `c0_known`, which is false if the number is missing; the number is then stored as 0.
So a condition and its negation fit exactly the pictures that they fit in `dwc.gallery.filters`.

The collection `dwc_galleries` has one row for each collection of a gallery: its layout, a digest
(hash) of all its rows, and whether an update was finished. An update first marks the collection as
unfinished, then deletes and writes the rows that differ, and finally writes the new digest. If the
digest of a collection is not that of the store, the collection is not used: the caller then
searches exactly.
"""

import logging
import shlex
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dwc.errors import StoreError
from dwc.files import description_digest
from dwc.gallery.filters import AllOf, AnyOf, Comparison, Filter, Membership, Missing, Not
from dwc.gallery.metadata import Column, ColumnType, Metadata, Value, fold_text
from dwc.gallery.milvus_connection import TIMEOUT_S, MilvusConnection, is_missing
from dwc.gallery.store import Store, checksum
from dwc.progress import track

logger = logging.getLogger(__name__)

KEY = "key"
VECTOR = "vector"
STAMP = "stamp"
LAST_KEY = 2**63 - 1

TEXT_BYTES = 512
"""The greatest size of a text field in bytes. A server of Milvus counts bytes; Milvus Lite counts
characters.
"""

_FORMAT = 1
_METADATA_FIELDS = 60  # a server of Milvus allows 64 fields
_NO_NUMBER = 0x7FF8_0000_0000_0000  # the bits of NaN

GALLERIES = "dwc_galleries"

MAX_RESULTS = 16_384
"""The greatest number of rows that one request to a server of Milvus may return."""

_COMPLETE = "complete"
_UPDATING = "updating"
_STRONG = "Strong"  # consistency level: results include everything written before the request

_LOAD_S = 600.0  # how long a server may take to load a collection
_BATCH_BYTES = 8 << 20  # vectors written or read at a time; a message may have 64 MB
_DELETED = 10_000  # rows deleted at a time
_SPARE = 64  # additional candidates, so that images with equal scores are seldom cut off
_ROUNDING = 1e-4  # scores of Milvus and of this package differ by less than this

_NONE: NDArray[np.int64] = np.empty(0, dtype=np.int64)

Integers = NDArray[np.int64]
_Hashes = NDArray[np.uint64]


class OutdatedIndexError(StoreError):
    """The rows in Milvus are missing, differ from the store, or belong to an unfinished update."""


class _State(NamedTuple):
    """The record in Milvus about the rows of one gallery, such as whether they are complete.

    The collection `dwc_galleries` has the records of all galleries, one per row.

    Attributes:
        layout: A hash of the rows' fields, the length of a vector, and the model.
        digest: A hash of all rows; empty while they are updated.
        state: "complete" or "updating".
        writer: A random identifier of the update that wrote this record.
    """

    layout: str
    digest: str
    state: str
    writer: str


class MilvusIndex:
    """The rows of one gallery in Milvus; implements `CandidateIndex`.

    Attributes:
        name: The name of the index, "milvus".
        recall: Always None. It is not measured, since Milvus compares all vectors.
        collection: The name of the collection in Milvus.
        written: The number of rows that `update` wrote; 0 after `open`.
        removed: The number of rows that `update` removed; 0 after `open`.
    """

    name = "milvus"
    recall = None

    def __init__(self, location: str, store: Store) -> None:
        """Connect to Milvus. Callers use `open` or `update` instead."""
        self.collection = collection_name(store)
        self.written = self.removed = 0
        self._rows = GalleryRows(store)
        self._store = store
        self._dimension = store.manifest.model.dimension
        self._is_outdated = False
        self._lock = threading.Lock()
        self._connection = MilvusConnection(location, self._load)

    @classmethod
    def open(cls, location: str, store: Store) -> "MilvusIndex":
        """Connect to Milvus, and check that it has exactly the rows of a store.

        Args:
            location: a path that ends in `.db` for Milvus Lite, or an address such as
                `http://host:19530` for a server.
            store: the store.

        Raises:
            DWCError: The packages for Milvus are not installed, or the location is invalid.
            OutdatedIndexError: The rows in Milvus are not those of the store.
            StoreError: Milvus cannot be opened.
        """
        if is_missing(location):
            raise OutdatedIndexError(
                f"{location}: does not exist. {_update_advice(location, store)}"
            )
        index = cls(location, store)
        try:
            index._connection.call(index._require_current)
        except BaseException:
            index.close()
            raise
        return index

    @classmethod
    def update(cls, location: str, store: Store) -> "MilvusIndex":
        """Update the rows in Milvus to those of a store, and return the index.

        Only rows that differ are written or removed. An interrupted update is continued.

        Args:
            location: a path that ends in `.db` for Milvus Lite, or an address such as
                `http://host:19530` for a server.
            store: the store.

        Raises:
            DWCError: The packages for Milvus are not installed, or the location is invalid.
            StoreError: Milvus cannot be opened or written, or another process is updating the same
                rows.
        """
        index = cls(location, store)
        try:
            index._update()
        except BaseException:
            index.close()
            raise
        return index

    def candidates(
        self,
        query: NDArray[np.float32],
        k: int,
        selected: NDArray[np.bool_] | None = None,
        condition: Filter | None = None,
    ) -> NDArray[np.int64]:
        """Return the gallery positions of images that include the `k` best for a query.

        The result is empty in three cases, in which the caller searches exactly: the rows in Milvus
        are outdated, the filter needs a column that Milvus does not have, or one request cannot
        return all images that may be among the best.

        Args:
            query: the query vector (D,).
            k: the number of best images that are needed, 1 or more.
            selected: whether each of the n images may be returned (n,); None if all may.
            condition: the filter from which `selected` was computed; None without a filter.

        Raises:
            StoreError: Milvus does not answer. The message does not contain the location or the
                reason, which are logged.
        """
        expression: str | None = ""
        if selected is not None:
            expression = None if condition is None else self._rows.expression(condition)
        if expression is None or k > MAX_RESULTS:
            return _NONE
        try:
            if self._is_outdated:  # another process may have finished an update
                self._connection.call(self._require_current)
            keys = self._connection.call(self._search, query, k, expression)
        except OutdatedIndexError as error:
            self._note_outdated(error)
            return _NONE
        except StoreError as error:
            # Visitors of the page read the error, and must not learn where the database is.
            logger.warning("%s", error)
            raise StoreError(
                "the gallery cannot be searched now, since Milvus does not answer; the program's "
                "log says why. Try again later, or start the program with --index exact."
            ) from error
        self._is_outdated = False
        positions = self._rows.positions(keys)
        if selected is not None and len(positions) and not selected[positions].all():
            logger.warning(
                "%s: Milvus selects other pictures than the filter %s. All pictures are compared.",
                self._connection.location,
                expression,
            )
            return _NONE
        return positions

    def summary(self) -> str:
        """Return a text for the user: the name, and how many rows `update` wrote and removed."""
        return f"{self.name}, {self.written:,} rows written, {self.removed:,} removed"

    def verify(self) -> None:
        """Compare all rows in Milvus, and their vectors, with the store.

        Raises:
            StoreError: A row is missing, differs from the store's row, or belongs to no picture.
        """
        self._connection.call(self._require_current)
        size = self._rows_per_batch()
        seen = []
        for rows in self._scan([KEY, STAMP, VECTOR], size):
            for row in rows:
                position = int(self._rows.positions([row[KEY]])[0])
                vector = np.asarray(row.pop(VECTOR), dtype=np.float32)
                if position >= 0 and checksum(vector) != self._store.rows.checksums[position]:
                    raise StoreError(
                        f"{self._connection.location}: the vector of "
                        f"{self._store.ids[position]!r} is not the store's. {self._drop_advice()}"
                    )
                seen.append(row)
        surplus, missing = self._compare(seen)
        if len(surplus) or len(missing):
            raise StoreError(
                f"{self._connection.location}: {len(missing):,} rows are missing or differ from "
                f"the store, and {len(surplus):,} do not belong there. {self._drop_advice()}"
            )

    def close(self) -> None:
        """Close the connection; the index cannot be used afterwards."""
        self._connection.close()

    def _search(
        self, client: Any, query: NDArray[np.float32], k: int, expression: str
    ) -> list[int]:
        """Return the keys of the `k` best rows and of all rows with nearly the k-th best score.

        Scores count as nearly equal if they differ by at most 1e-4 (`_ROUNDING`). The result has
        fewer than `k` keys if fewer rows fit the filter. It is empty if one request cannot return
        all these rows.

        Args:
            client: The `pymilvus.MilvusClient`.
            query: The query vector (D,).
            k: Number of rows, 1 or more.
            expression: The filter as an expression of Milvus; empty if there is no filter.
        """
        limit = min(k + _SPARE, MAX_RESULTS)
        while True:
            try:
                (hits,) = client.search(
                    self.collection,
                    data=[np.ascontiguousarray(query, dtype=np.float32)],
                    anns_field=VECTOR,
                    limit=limit,
                    filter=expression,
                    search_params={"metric_type": "IP"},
                    consistency_level=_STRONG,
                    timeout=TIMEOUT_S,
                )
            except Exception:  # the collection may have been dropped
                self._require_current(client)
                raise
            scores = [hit["distance"] for hit in hits]
            if len(hits) < limit or scores[k - 1] - scores[-1] > _ROUNDING:
                break
            if limit == MAX_RESULTS:
                return []
            limit = min(2 * limit, MAX_RESULTS)
        # An update marks the collection before it changes a row. So if there is no mark after the
        # search, the search used the rows that belong to the digest.
        self._require_state(_read_state(client, self.collection))
        return [hit[KEY] for hit in hits]

    def _note_outdated(self, error: OutdatedIndexError) -> None:
        with self._lock:
            is_new, self._is_outdated = not self._is_outdated, True
        if is_new:
            logger.warning("%s All pictures are compared until then.", error)

    def _load(self, client: Any) -> None:
        """Let Milvus load two collections into its memory, since it reads only loaded collections.

        These are `dwc_galleries`, with one record per gallery, and the collection with the rows of
        this gallery. A collection that does not exist is omitted.
        """
        for name in (GALLERIES, self.collection):
            if client.has_collection(name, timeout=TIMEOUT_S):
                client.load_collection(name, timeout=_LOAD_S)

    def _require_current(self, client: Any) -> None:
        """Raise `OutdatedIndexError` unless the rows in Milvus are those of the store."""
        exists = client.has_collection(GALLERIES, timeout=TIMEOUT_S)
        self._require_state(_read_state(client, self.collection) if exists else None)
        if not self._exists(client):
            raise self._outdated("has lost the rows of this gallery")

    def _require_state(self, state: _State | None) -> None:
        """Raise `OutdatedIndexError` if the gallery's record in Milvus does not match the store.

        Args:
            state: The record in Milvus about the rows of this gallery; None if there is none.
        """
        if state is None:
            reason = "has no rows of this gallery and model"
        elif state.state != _COMPLETE:
            reason = "is being updated, or an update was interrupted"
        elif state.digest != self._rows.digest:
            reason = "has other rows than the store"
        else:
            return
        raise self._outdated(reason)

    def _outdated(self, reason: str) -> OutdatedIndexError:
        location = self._connection.location
        return OutdatedIndexError(f"{location}: {reason}. {_update_advice(location, self._store)}")

    def _drop_advice(self) -> str:
        advice = _update_advice(self._connection.location, self._store)
        return f"Drop the collection {self.collection}. {advice}"

    def _write_state(self, client: Any, state: _State) -> None:
        # Every collection of Milvus needs a vector.
        row = {"name": self.collection, "vector": [0.0, 0.0], **state._asdict()}
        client.upsert(GALLERIES, [row], timeout=TIMEOUT_S)

    def _update(self) -> None:
        call = self._connection.call
        call(_create_galleries)
        state = call(_read_state, self.collection)
        if state is not None and not (state.layout == self._rows.layout and call(self._exists)):
            state = None
        if state is not None and (state.digest, state.state) == (self._rows.digest, _COMPLETE):
            return
        mark = _State(self._rows.layout, "", _UPDATING, uuid.uuid4().hex)
        if state is None:
            # Until the collection has been created, the mark has no layout, so that an update that
            # continues this one creates the collection again.
            call(self._write_state, mark._replace(layout=""))
            call(self._create)
        call(self._write_state, mark)
        surplus, missing = _NONE, np.arange(len(self._store))
        if state is not None:
            rows = [row for part in self._scan([KEY, STAMP], MAX_RESULTS) for row in part]
            surplus, missing = self._compare(rows)
        self._remove(surplus.tolist(), mark)
        self._write(missing, mark)
        call(self._flush)
        count = call(self._count)
        if count != len(self._store):
            raise StoreError(
                f"{self._connection.location}: has {count:,} rows after the update; the store has "
                f"{len(self._store):,} pictures. {self._drop_advice()}"
            )
        call(self._require_writer, mark)
        done = mark._replace(digest=self._rows.digest, state=_COMPLETE)
        call(self._write_state, done)
        self.written, self.removed = len(missing), len(surplus)

    def _compare(self, rows: list[dict[str, Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the differences between all rows in Milvus and the store.

        Args:
            rows: All rows in Milvus, as dicts with at least the fields `key` (a hash of the
                picture's id) and `stamp` (a hash of the row's other content).

        Returns:
            The keys of the rows to delete from Milvus, and the gallery positions of the pictures
            whose rows in Milvus are missing or differ.
        """
        keys = np.array([row[KEY] for row in rows], dtype=np.int64)
        return self._rows.compare(keys, np.array([row[STAMP] for row in rows], dtype=np.int64))

    def _remove(self, keys: list[int], mark: _State) -> None:
        for start in range(0, len(keys), _DELETED):
            self._connection.call(self._require_writer, mark)
            self._connection.call(self._delete, keys[start : start + _DELETED])

    def _write(self, positions: NDArray[np.int64], mark: _State) -> None:
        size = self._rows_per_batch()
        starts = range(0, len(positions), size)
        for start in track(starts, "index: batches written to Milvus", logger):
            rows = self._rows.encode(positions[start : start + size].tolist())
            self._connection.call(self._require_writer, mark)
            self._connection.call(self._upsert, rows)

    def _require_writer(self, client: Any, mark: _State) -> None:
        """Raise `StoreError` if another update has begun since this update wrote `mark`.

        Args:
            client: The `pymilvus.MilvusClient`.
            mark: The record of this update in the collection `dwc_galleries`.
        """
        state = _read_state(client, self.collection)
        if state is None or state.writer != mark.writer:
            raise StoreError(
                f"{self._connection.location}: another process is updating the same gallery. Run "
                "the command again when that is done."
            )

    def _create(self, client: Any) -> None:
        """Create an empty collection for the gallery's rows; drop an existing one first."""
        from pymilvus import DataType

        if client.has_collection(self.collection, timeout=TIMEOUT_S):
            client.drop_collection(self.collection, timeout=TIMEOUT_S)
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(KEY, DataType.INT64, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=self._dimension)
        schema.add_field(STAMP, DataType.INT64)
        for field in self._rows.fields.values():
            if field.type == "text":
                schema.add_field(field.name, DataType.VARCHAR, max_length=TEXT_BYTES)
            elif field.type == "boolean":
                schema.add_field(field.name, DataType.INT8)
            else:
                schema.add_field(field.name, DataType.DOUBLE)
                schema.add_field(field.known, DataType.BOOL)
        _create_collection(client, self.collection, schema)

    def _count(self, client: Any) -> int:
        (row,) = client.query(
            self.collection,
            filter="",
            output_fields=["count(*)"],
            consistency_level=_STRONG,
            timeout=TIMEOUT_S,
        )
        return int(row["count(*)"])

    def _read_range(
        self, client: Any, fields: list[str], first: int, last: int, limit: int
    ) -> list[dict[str, Any]]:
        return client.query(
            self.collection,
            filter=f"{KEY} >= {first} and {KEY} <= {last}",
            output_fields=fields,
            limit=limit,
            consistency_level=_STRONG,
            timeout=TIMEOUT_S,
        )

    def _exists(self, client: Any) -> bool:
        return client.has_collection(self.collection, timeout=TIMEOUT_S)

    def _delete(self, client: Any, keys: list[int]) -> None:
        client.delete(self.collection, ids=keys, timeout=TIMEOUT_S)

    def _upsert(self, client: Any, rows: list[dict[str, Any]]) -> None:
        client.upsert(self.collection, rows, timeout=TIMEOUT_S)

    def _flush(self, client: Any) -> None:
        client.flush(self.collection, timeout=_LOAD_S)

    def _rows_per_batch(self) -> int:
        return max(1, min(_BATCH_BYTES // (4 * self._dimension), MAX_RESULTS))

    def _scan(self, fields: list[str], limit: int) -> Iterator[list[dict[str, Any]]]:
        """Yield all rows in Milvus, in lists of fewer than `limit` rows.

        The rows are read by ranges of keys. Since the keys are hashes, ranges of equal length have
        about the same number of rows. A range with `limit` rows or more is divided.

        Args:
            fields: The fields to read.
            limit: The number of rows that one request may return.
        """
        count = self._connection.call(self._count)
        parts = 2 * count // limit + 1
        edges = [part * (LAST_KEY + 1) // parts for part in range(parts + 1)]
        ranges = [(edges[n], edges[n + 1] - 1) for n in reversed(range(parts))]
        while ranges:
            first, last = ranges.pop()
            rows = self._connection.call(self._read_range, fields, first, last, limit)
            if len(rows) < limit or first == last:
                yield rows
            else:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]


def _update_advice(location: str, store: Store) -> str:
    manifest = store.manifest
    patterns = manifest.source.get("exclude", ())
    command = [
        *("python", "-m", "dwc", "index", manifest.argument, "--model", manifest.model.name),
        *(word for pattern in patterns for word in ("--exclude", pattern)),
        *("--out", str(store.path), "--index", location),
    ]
    return f"Update it: {shlex.join(command)}"


_SAME_GALLERY = ("kind", "folder", "repo_id", "location", "column", "split")


def collection_name(store: Store) -> str:
    """Return the name of the Milvus collection with the rows of a store's gallery and model.

    The name does not change when pictures are added or removed.
    """
    source = store.manifest.source
    gallery = description_digest([source.get(name) for name in _SAME_GALLERY])
    return f"dwc_{gallery}_{store.manifest.model.fingerprint}"


def _read_state(client: Any, collection: str) -> _State | None:
    """Return the record in Milvus about a gallery's rows; None if there is none.

    The record, a row of the collection `dwc_galleries`, tells whether the gallery's rows are
    complete. That collection must exist.

    Args:
        client: The `pymilvus.MilvusClient`.
        collection: The name of the collection with the gallery's rows.
    """
    rows = client.get(
        GALLERIES,
        ids=[collection],
        output_fields=list(_State._fields),
        consistency_level=_STRONG,
        timeout=TIMEOUT_S,
    )
    return _State(*(rows[0][name] for name in _State._fields)) if rows else None


def _create_galleries(client: Any) -> None:
    """Create the collection `dwc_galleries`, for one record per gallery, unless it exists."""
    from pymilvus import DataType

    if client.has_collection(GALLERIES, timeout=TIMEOUT_S):
        return
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("name", DataType.VARCHAR, is_primary=True, max_length=255)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    for field in _State._fields:
        schema.add_field(field, DataType.VARCHAR, max_length=64)
    _create_collection(client, GALLERIES, schema)


def _create_collection(client: Any, name: str, schema: Any) -> None:
    index = client.prepare_index_params()
    index.add_index(VECTOR, index_type="FLAT", metric_type="IP")
    client.create_collection(
        name, schema=schema, index_params=index, consistency_level=_STRONG, timeout=_LOAD_S
    )


class Field(NamedTuple):
    """The field in which Milvus stores the values of a metadata column.

    Attributes:
        name: The name of the field in Milvus, such as `c0`.
        type: The type of the column.
    """

    name: str
    type: ColumnType

    @property
    def known(self) -> str:
        """The name of the second field in Milvus for a column of numbers, such as `c0_known`.

        This Boolean field is true if the picture has a number in the column, and false if not.
        Columns of other types have no second field.
        """
        return f"{self.name}_known"


class GalleryRows:
    """The rows that a gallery should have in Milvus, one for each of its n pictures.

    Attributes:
        keys: The key of each picture (n,), int64: a hash of its id.
        stamps: The stamp of each picture (n,), int64: a hash of the vector's checksum and of the
            metadata in the row.
        fields: The fields of the metadata columns, by the name of the column. If there are more
            columns than Milvus allows fields, the last columns have no field.
        layout: A hash of the fields, the length of a vector, and the model. In collections with
            equal layouts, equal pictures have equal rows.
        digest: A hash of the layout and of all keys and stamps.
    """

    def __init__(self, store: Store) -> None:
        """Compute the keys (hashes of ids) and stamps (hashes of content) of a store's pictures.

        Raises:
            StoreError: The ids of two pictures have the same hash, or the metadata cannot be read.
        """
        self._store = store
        self.keys = np.fromiter(map(hash_id, store.ids), dtype=np.int64, count=len(store))
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
        """Return the gallery positions (m,) of the pictures with the given m keys.

        A key is the hash of a picture's id. The position is -1 if no picture has the key.
        """
        requested = np.array(keys, dtype=np.int64)
        indices = np.searchsorted(self._sorted_keys, requested)
        indices = np.minimum(indices, len(self.keys) - 1)
        return np.where(self._sorted_keys[indices] == requested, self._order[indices], -1)

    def compare(self, keys: Integers, stamps: Integers) -> tuple[Integers, Integers]:
        """Find the differences between the m rows in Milvus and the rows that should be there.

        Args:
            keys: The keys (m,) of all rows in Milvus: hashes of the pictures' ids.
            stamps: The stamps (m,) of the same rows: hashes of the other content of the rows.

        Returns:
            The keys of the rows to delete from Milvus, and the gallery positions of the pictures
            whose rows in Milvus are missing or differ.
        """
        positions = self.positions(keys.tolist())
        is_known = positions >= 0
        is_current = np.zeros(len(self.keys), dtype=bool)
        known_positions = positions[is_known]
        is_current[known_positions] = self.stamps[known_positions] == stamps[is_known]
        return keys[~is_known], np.flatnonzero(~is_current)

    def encode(self, positions: Iterable[int]) -> list[dict[str, Any]]:
        """Return the rows of pictures as dicts, the input of `MilvusClient.upsert`.

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
        """Translate a filter to an expression in the filter language of Milvus.

        The result is None if Milvus has no field for one of the filter's columns.
        """
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
            first, other = (self._store.ids[n] for n in self._order[equal[0] : equal[0] + 2])
            raise StoreError(
                f"{self._store.path}: {first!r} and {other!r} have the same key in Milvus. Rename "
                "one of the two pictures and index again, or search with another --index."
            )

    def _compute_stamps(self) -> Integers:
        stamps = _mix(self._store.rows.checksums.astype(np.uint64))
        for name, field in self.fields.items():
            values = _hash_values(self._store.metadata.columns[name], self._texts[field.name])
            stamps = _mix(stamps * np.uint64(3) + values)
        return stamps.view(np.int64)


def hash_id(id: str) -> int:
    """Return the key of a picture in Milvus: a hash of the picture's id, from 0 to `LAST_KEY`."""
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
    """Return a text as stored in Milvus: `=` and the text in lower case, or `#` and its hash.

    The hash replaces a text that Milvus may not return unchanged: one that is too long or has
    non-printable characters.
    """
    folded = fold_text(text)
    encoded = folded.encode("utf-8", "surrogatepass")
    if folded.isprintable() and len(encoded) < TEXT_BYTES:
        return f"={folded}"
    return f"#{blake2b(encoded, digest_size=16).hexdigest()}"


def _hash_values(column: Column, texts: Sequence[str]) -> _Hashes:
    """Return hashes (n,) of the n values in a column.

    Args:
        column: The column.
        texts: For a column of texts, the results of `_encode_text` for `column.texts`, in order;
            not used for other columns.
    """
    if column.type == "number":
        bits = _normalize(np.where(column.is_missing, 0.0, column.values)).view(np.uint64)
        return _mix(np.where(column.is_missing, np.uint64(_NO_NUMBER), bits))
    if column.type == "boolean":
        return _mix((column.values.astype(np.int64) + 1).astype(np.uint64))
    # The last entry is that of the position -1, which stands for a missing text.
    hashes = [int.from_bytes(blake2b(t.encode(), digest_size=8).digest(), "big") for t in texts]
    return np.array([*hashes, 0], dtype=np.uint64)[column.values]


def _mix(hashes: _Hashes) -> _Hashes:
    """Scramble the bits of n 64-bit integers (n,); this is the last step of SplitMix64."""
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
    """Replace -0.0 by 0.0 in a number or an array, since Milvus Lite's `in` distinguishes them."""
    return number + 0.0
