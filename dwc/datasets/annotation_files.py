"""Reading a benchmark's text files, with errors that say what was seen and what to do."""

import json
from pathlib import Path
from typing import Any

from dwc.errors import DatasetError

_SEEN = 9  # names in an error


def read_json(path: Path, kind: type[list] | type[dict], advice: str) -> Any:
    """The list or dict of a JSON file; DatasetError, which ends in `advice` if it is missing."""
    try:
        content = json.loads(read_text(path, advice))
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} cannot be read as JSON: {error}. Fetch the file again"
        ) from error
    except RecursionError:
        raise DatasetError(f"{path} is nested too deeply. Fetch the file again") from None
    if not isinstance(content, kind):
        expected = "a list" if kind is list else "an object"
        raise DatasetError(
            f"{path} holds {shorten(content)}; expected {expected}. Fetch the file again"
        )
    return content


def read_lines(path: Path, advice: str) -> list[str]:
    """The lines of a text file without their ends, empty ones too; DatasetError as above."""
    lines = read_text(path, advice).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_text(path: Path, advice: str) -> str:
    """The text of a UTF-8 file, line ends as newlines; DatasetError as above."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing{_beside(path)}; {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}. Fetch the file again") from error


def shorten(value: object, limit: int = 80) -> str:
    """A value as it would print, cut short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def describe_folder(folder: Path) -> str:
    """What is in a folder, in a few words; of one that is not there, in the nearest that is."""
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    if there is None:
        return f"{folder} is not there"
    names = sorted(path.name for path in there.iterdir())
    more = f" and {len(names) - _SEEN} more" if len(names) > _SEEN else ""
    return f"{there} holds {', '.join(names[:_SEEN]) or 'nothing'}{more}"


def _beside(path: Path) -> str:
    """What is there instead of a missing file, to show a misspelt name or split."""
    start, end = path.name.split(".")[0], path.suffix
    names = sorted(other.name for other in path.parent.glob(f"{start}*{end}"))
    return (
        f" (there are {', '.join(names[:_SEEN])})"
        if names
        else f" ({describe_folder(path.parent)})"
    )
