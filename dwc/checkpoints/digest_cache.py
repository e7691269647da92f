"""Records of verified files in the download cache of the Hugging Face Hub.

Hashing large weights takes longer than loading them, so a file is hashed only once. For each
verified file, an empty marker file is created in the folder `.dwc-checked` of its repository in the
cache. The marker's name consists of the content hash and the file's state (size, times, inode). Any
write to the file changes its state, so the marker is no longer found.

The same folder stores short texts that were computed from verified files, each under a key.
"""

import logging
import time
from pathlib import Path

_FOLDER = ".dwc-checked"
# Least age of a verified file in nanoseconds. Some file systems have a time resolution of two
# seconds, so a second write within that time could go unnoticed.
_SETTLED_NS = 2_000_000_000

_log = logging.getLogger(__name__)


def was_checked(file: Path, content_hash: str) -> bool:
    """Return whether a file in the cache was verified against a hash and has not changed since."""
    return _marker(file, content_hash).is_file()


def remember_checked(file: Path, content_hash: str) -> None:
    """Record that a file was verified against a hash, unless it was written just now.

    A file that was written in the last two seconds is not recorded.
    """
    state = file.stat()
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < _SETTLED_NS:
        return
    marker = _marker(file, content_hash)
    try:
        marker.parent.mkdir(exist_ok=True)
        for outdated in marker.parent.glob(f"{content_hash}-*"):
            outdated.unlink(missing_ok=True)
        marker.touch()
    except OSError as error:  # a read-only cache is usable too
        _log.debug("%s is hashed again at the next load: %s", file, error)


def load_cached_digest(folder: Path, key: str) -> str | None:
    """Return the text that `save_cached_digest` stored under a key.

    Args:
        folder: A commit's folder in the cache, `REPOSITORY/snapshots/COMMIT`.
        key: The key, which is used as part of a file name.

    Returns:
        The text; None if no complete text is stored.
    """
    try:
        text = _note(folder, key).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return text[:-1] if text.endswith("\n") else None


def save_cached_digest(folder: Path, key: str, text: str) -> None:
    """Store one line of ASCII text under a key.

    Args:
        folder: A commit's folder in the cache, `REPOSITORY/snapshots/COMMIT`.
        key: The key, which is used as part of a file name.
        text: The text, without a line end.
    """
    note = _note(folder, key)
    try:
        note.parent.mkdir(exist_ok=True)
        note.write_text(f"{text}\n", encoding="ascii")
    except OSError as error:  # a read-only cache is usable too
        _log.debug("%s is computed again at the next load: %s", key, error)


def _note(folder: Path, key: str) -> Path:
    return folder.parent.parent / _FOLDER / f"told-{key}"


def _marker(file: Path, content_hash: str) -> Path:
    """Return the path of the marker file for the current state of a file in the cache.

    Args:
        file: The file, `REPOSITORY/snapshots/COMMIT/PATH`.
        content_hash: The hash of the file's content, in hex digits.
    """
    state = file.stat()
    stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    repository = next(parent.parent for parent in file.parents if parent.name == "snapshots")
    return repository / _FOLDER / "-".join([content_hash, *map(str, stamp)])
