"""The errors of this package; catch `DWCError` for all of them.

    DWCError
    ├── QueryError        a query is invalid
    ├── ImageError        an image cannot be read
    ├── CheckpointError   a model cannot be loaded, converted or written
    ├── StoreError        a gallery's vectors are missing, damaged, or made by another model
    ├── BusyError         too many queries are waiting for the model; try again later
    ├── SpaceError        the files of a Hugging Face Space are wrong, or its app does not run
    ├── DatasetError      the files of a benchmark are missing or have another format
    └── TrainingError     a training cannot start or continue

Every error message says what the problem is, what was expected, and what to do.
"""

from collections.abc import Iterable

_LISTED = 12  # maximum number of names in one message
_LONGEST_VALUE = 80  # maximum number of characters of a value that is quoted in a message


class DWCError(Exception):
    """Base class of all errors that this package raises on purpose."""


class QueryError(DWCError):
    """A query is invalid: for example, it is empty or too long, or a parameter is not a number."""


class ImageError(DWCError):
    """An image cannot be read: for example, it is truncated, too large, or not an image at all."""


class CheckpointError(DWCError):
    """A model cannot be loaded, converted or written."""


class StoreError(DWCError):
    """A gallery store (folder with image vectors) is missing, damaged, or made by another model."""


class BusyError(DWCError):
    """Too many queries are waiting for the model; the same query may be sent again later."""


class SpaceError(DWCError):
    """The files of a Hugging Face Space break a rule of the Hub, or the app does not run."""


class DatasetError(DWCError):
    """The files of a benchmark data set are missing or do not have the documented format."""


class TrainingError(DWCError):
    """A training run cannot start or continue with the given settings."""


def list_names(names: Iterable[str]) -> str:
    """Return a text with the first 12 names in sorted order, and the number of the other names.

    Example with a limit of 3 instead of 12 names: `bag, boots, dress and 4 more`.
    """
    ordered = sorted(names)
    rest = len(ordered) - _LISTED
    return ", ".join(ordered[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def quote(value: object) -> str:
    """Return the repr of a value for use in a message, cut after 80 characters."""
    quoted = repr(value)
    return quoted if len(quoted) <= _LONGEST_VALUE else quoted[:_LONGEST_VALUE] + "…"
