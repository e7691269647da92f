"""Cache of verified content hashes of files in the Hub's download cache.

Hashing a paper's weights takes longer than reading them. So a folder beside the cache's other
folders of a repository has one empty file per verified content, named by the hash and the file's
state (size, times, inode), which any write changes. It also stores short texts that derive from
such content, under a key.
"""

import logging
import time
from pathlib import Path

_FOLDER = ".dwc-checked"
_SETTLED_NS = 2_000_000_000  # coarsest clock of file systems, which may miss a write

_log = logging.getLogger(__name__)


def was_checked(file: Path, content_hash: str) -> bool:
    """Return whether this file was verified against this hash and has not changed since."""
    return _marker(file, content_hash).is_file()


def remember_checked(file: Path, content_hash: str) -> None:
    """Record that this file has this hash, unless it was written in the last two seconds."""
    state = file.stat()
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < _SETTLED_NS:
        return
    marker = _marker(file, content_hash)
    try:
        marker.parent.mkdir(exist_ok=True)
        for outdated in marker.parent.glob(f"{content_hash}-*"):
            outdated.unlink(missing_ok=True)
        marker.touch()
    except OSError as error:  # a read-only cache works as well
        _log.debug("%s is hashed again at the next load: %s", file, error)


def load_cached_digest(folder: Path, key: str) -> str | None:
    """Return the text stored under a key; None if there is no complete text.

    Args:
        folder: A commit's folder in the cache, `REPOSITORY/snapshots/COMMIT`.
        key: A plain name.
    """
    try:
        text = _note(folder, key).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return text[:-1] if text.endswith("\n") else None


def save_cached_digest(folder: Path, key: str, text: str) -> None:
    """Store a line of ASCII under a key."""
    note = _note(folder, key)
    try:
        note.parent.mkdir(exist_ok=True)
        note.write_text(f"{text}\n", encoding="ascii")
    except OSError as error:  # a read-only cache works as well
        _log.debug("%s is computed again at the next load: %s", key, error)


def _note(folder: Path, key: str) -> Path:
    return folder.parent.parent / _FOLDER / f"told-{key}"


def _marker(file: Path, content_hash: str) -> Path:
    """Return the marker of the present state of `REPOSITORY/snapshots/COMMIT/PATH`."""
    state = file.stat()
    stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    repository = next(parent.parent for parent in file.parents if parent.name == "snapshots")
    return repository / _FOLDER / "-".join([content_hash, *map(str, stamp)])
