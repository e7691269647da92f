"""Which files of the cache were compared with their hash, and have not been touched since.

Hashing a paper's weights takes longer than reading them. So beside the cache's other folders of a
repository stands one more, with an empty file for each content that was compared: its name is the
hash, and what the file system tells of the content, which any write changes. There is room as well
for short texts that follow from such content, under a key that names it.
"""

import logging
import time
from pathlib import Path

_FOLDER = ".dwc-checked"
_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system; a write within it may not show

_log = logging.getLogger(__name__)


def was_checked(file: Path, content_hash: str) -> bool:
    """Whether this file was compared with this hash, and is as it was then."""
    return _mark(file, content_hash).is_file()


def remember_checked(file: Path, content_hash: str) -> None:
    """Note that this file has this hash; not of one that was written just now."""
    state = file.stat()
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < _SETTLED_NS:
        return
    mark = _mark(file, content_hash)
    try:
        mark.parent.mkdir(exist_ok=True)
        for outdated in mark.parent.glob(f"{content_hash}-*"):
            outdated.unlink(missing_ok=True)
        mark.touch()
    except OSError as error:  # a cache that may only be read serves as well
        _log.debug("%s is hashed again at the next load: %s", file, error)


def load_cached_digest(folder: Path, key: str) -> str | None:
    """The text that was remembered under this key; None where there is none, or no whole one.

    `folder` is a commit's in the cache, `REPOSITORY/snapshots/COMMIT`; `key` a plain name.
    """
    try:
        text = _note(folder, key).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return text[:-1] if text.endswith("\n") else None


def save_cached_digest(folder: Path, key: str, text: str) -> None:
    """Keep a line of ASCII under a key."""
    note = _note(folder, key)
    try:
        note.parent.mkdir(exist_ok=True)
        note.write_text(f"{text}\n", encoding="ascii")
    except OSError as error:  # a cache that may only be read serves as well
        _log.debug("%s is computed again at the next load: %s", key, error)


def _note(folder: Path, key: str) -> Path:
    return folder.parent.parent / _FOLDER / f"told-{key}"


def _mark(file: Path, content_hash: str) -> Path:
    """The note on a file in this very state; `file` is `REPOSITORY/snapshots/COMMIT/PATH`."""
    state = file.stat()
    told = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    repository = next(one.parent for one in file.parents if one.name == "snapshots")
    return repository / _FOLDER / "-".join([content_hash, *map(str, told)])
