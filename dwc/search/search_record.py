"""A record of the searches that a block of code makes: what was searched, and how long it took.

The caller of `Searcher` decides whether there is a record; the record never changes a result. It
belongs to the thread (or task) that creates it, so that concurrent searches do not mix.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class SearchRecord:
    """The searches within a block.

    Attributes:
        stages_ms: The time that each stage took in milliseconds, by its name: "encode" (the model
            encodes the query) and "search" (the gallery is ranked). If there are several searches,
            their times are added up. Empty if there was no search.
        words: The modification text of the last search; None if there was no search.
        reference_id: The id of the last search's reference in the gallery; None if it has none.
    """

    stages_ms: dict[str, float] = field(default_factory=dict)
    words: str | None = None
    reference_id: str | None = None


_current: ContextVar[SearchRecord | None] = ContextVar("search_record", default=None)


@contextmanager
def record_searches() -> Iterator[SearchRecord]:
    """Yield a record of the searches that are made within the block, in this thread."""
    record = SearchRecord()
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


def add_stage(name: str, milliseconds: float) -> None:
    """Add the time of a stage to the record, if there is one."""
    record = _current.get()
    if record is not None:
        record.stages_ms[name] = record.stages_ms.get(name, 0.0) + milliseconds


def add_query(words: str, reference_id: str | None) -> None:
    """Set the query of the record, if there is a record.

    Args:
        words: The modification text; may be empty.
        reference_id: The id of the reference in the gallery; None if it has none.
    """
    record = _current.get()
    if record is not None:
        record.words, record.reference_id = words, reference_id
