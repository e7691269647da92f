"""The errors of this package; catch `DWCError` for all of them.

    DWCError
    ├── QueryError        a query cannot be searched
    ├── ImageError        an image cannot be read
    ├── CheckpointError   a model cannot be loaded, converted or written
    ├── StoreError        a gallery store is missing, broken, or of another model
    ├── DatasetError      a benchmark's files are missing or not as documented
    └── TrainingError     a training cannot start or continue

Every message says what was seen, what was expected, and what to do.
"""

from collections.abc import Iterable

_LISTED = 12  # names in one message


class DWCError(Exception):
    """Base of all errors that this package raises on purpose."""


class QueryError(DWCError):
    """A query cannot be searched: nothing given, too long, not a number."""


class ImageError(DWCError):
    """An image cannot be read: not an image, cut short, too large."""


class CheckpointError(DWCError):
    """A model cannot be loaded, converted or written."""


class StoreError(DWCError):
    """A gallery store is missing, broken, or made by another model."""


class DatasetError(DWCError):
    """A benchmark's files are missing or not as documented."""


class TrainingError(DWCError):
    """A training cannot start or continue with these settings."""


def list_names(names: Iterable[str]) -> str:
    """Return the first 12 sorted names and the count of the rest, for a message."""
    ordered = sorted(names)
    rest = len(ordered) - _LISTED
    return ", ".join(ordered[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
