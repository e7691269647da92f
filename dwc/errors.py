"""What can go wrong, as a tree: catch `DWCError` for all of it.

    DWCError
    ├── QueryError        what a person asked cannot be searched
    ├── ImageError      a picture cannot be read
    ├── CheckpointError   a model cannot be loaded, converted or written
    ├── StoreError        a gallery store is missing, broken, or of another model
    ├── DatasetError      a benchmark's files are missing or not as documented
    └── TrainingError     a training cannot start, or go on, as asked

Every message says what was seen, what was expected, and what to do.
"""

from collections.abc import Iterable

_LISTED = 12  # names in one message; the rest are counted


class DWCError(Exception):
    """Base of every error that this package raises on purpose."""


class QueryError(DWCError):
    """What a person asked cannot be searched: nothing given, too long, not a number."""


class ImageError(DWCError):
    """A picture cannot be read: not a picture, cut short, too large."""


class CheckpointError(DWCError):
    """A model cannot be loaded, converted or written."""


class StoreError(DWCError):
    """A gallery store is missing, broken, or made by another model."""


class DatasetError(DWCError):
    """A benchmark's files are missing or not as documented."""


class TrainingError(DWCError):
    """A training cannot start, or go on, as asked."""


def list_names(names: Iterable[str]) -> str:
    """The first names in order, and the count of the others, for a message."""
    ordered = sorted(names)
    rest = len(ordered) - _LISTED
    return ", ".join(ordered[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
