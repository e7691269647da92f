"""Handling of files: atomic writes, hashes, Git LFS pointers, and paths of bundled assets.

An atomic write creates a temporary file in the same folder and renames it at the end. So other
processes see either the old or the new content, and an interrupted write leaves the old content.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from dwc.errors import DWCError

_BLOCK_BYTES = 1 << 20
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def asset_path(*parts: str) -> Path:
    """Return the path of an asset: a file or folder that is distributed with this package.

    The function works in an installed package and in a source checkout.

    Args:
        *parts: The components of the path below `assets/`, such as "checkpoints", "dwc-catalogue".

    Returns:
        The path. The function does not check that it exists: an installed package has only the
        assets that `setup.py` lists.
    """
    package = Path(__file__).resolve().parent
    installed = package / "_assets"
    return (installed if installed.is_dir() else package.parent / "assets").joinpath(*parts)


class Digest(Protocol):
    """Interface of the hash objects of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Add bytes to the hashed data."""

    def hexdigest(self) -> str:
        """Return the hash of the data so far, in hex digits."""


@contextmanager
def atomic_path(path: str | Path, *, fsync: bool = False, unique: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block succeeds.

    An exception in the block removes the temporary file and leaves `path` unchanged. The temporary
    name has the suffix of `path`, since functions such as `numpy.save` append a missing suffix.

    Args:
        path: The file to write or replace. Missing parent folders are created.
        fsync: Whether the content and the rename are flushed to the disk at the end of the block,
            so that they survive a power failure.
        unique: Whether the temporary name contains the ids of this process and thread, so that
            several processes or threads may write the same file at once. If False, the temporary
            name is always the same. The next write then overwrites the temporary file of a killed
            process, which saves disk space if the files have several gigabytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f".{os.getpid()}-{threading.get_ident()}" if unique else ""
    partial = path.with_name(f".{path.stem}{writer}.partial{path.suffix}")
    try:
        yield partial
        if fsync:
            _sync(partial)
        os.replace(partial, path)
        if fsync:
            sync_folder(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; rename it to `folder` when the block succeeds.

    If `folder` exists, all of its content is replaced. An exception in the block leaves `folder`
    unchanged. The replacement takes two renames. If the process is killed between them, the old
    content is in `.NAME.outdated` and the new content in `.NAME.partial`, where NAME is the
    folder's name. At any other time `folder` is complete.

    Args:
        folder: The folder to write or replace. Missing parent folders are created.
    """
    folder = Path(folder)
    partial, outdated = partial_folder(folder), outdated_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(outdated, ignore_errors=True)
    if folder.exists():
        folder.rename(outdated)
    partial.rename(folder)
    shutil.rmtree(outdated, ignore_errors=True)


def partial_folder(folder: Path) -> Path:
    """Return the temporary folder in which `atomic_folder` collects the new content of `folder`."""
    return folder.with_name(f".{folder.name}.partial")


def outdated_folder(folder: Path) -> Path:
    """Return the folder to which `atomic_folder` moves the old content of `folder`.

    It is deleted as soon as the new content is in its place.
    """
    return folder.with_name(f".{folder.name}.outdated")


def write_bytes(path: str | Path, content: bytes, *, fsync: bool = False) -> None:
    """Write a file atomically, that is, in full or not at all.

    With `fsync`, the content is flushed to the disk, so that it survives a power failure.
    """
    with atomic_path(path, fsync=fsync) as partial:
        partial.write_bytes(content)


def write_text(path: str | Path, text: str, *, fsync: bool = False) -> None:
    """Write a text file atomically, in UTF-8 with Unix line ends.

    With `fsync`, the content is flushed to the disk, so that it survives a power failure.
    """
    write_bytes(path, text.encode(), fsync=fsync)


def write_json(
    path: str | Path, content: Any, *, indent: int | None = 2, fsync: bool = False
) -> None:
    """Write a value as JSON, followed by a line end, atomically.

    With `fsync`, the content is flushed to the disk, so that it survives a power failure.
    """
    write_text(path, json.dumps(content, indent=indent) + "\n", fsync=fsync)


def parse_json(content: str | bytes, **options: Any) -> Any:
    """Return the value of a JSON text.

    Args:
        content: The text.
        **options: Further options of `json.loads`.

    Raises:
        ValueError: The text is not JSON, or an object in it has a name twice. `json.loads` would
            drop the first value silently.
    """
    return json.loads(content, object_pairs_hook=_unique_names, **options)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Convert the name-value pairs of a JSON object to a dict.

    Raises:
        ValueError: A name occurs twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!r} is given twice")
    return values


def sync_folder(folder: str | Path) -> None:
    """Flush a folder's entries (new, renamed and removed files) to the disk.

    The function does nothing on systems that cannot open a folder (Windows) or cannot flush it
    (some network drives).
    """
    with suppress(OSError):
        _sync(Path(folder))


def file_digest(path: str | Path, digest: Digest | None = None) -> str:
    """Return the hash of a file's content.

    The file is read in blocks, so it may be larger than memory.

    Args:
        path: The file.
        digest: The hash object to update; None for a new SHA-256 object. A given object may already
            have hashed other bytes, such as the prefix that git adds to the content of a file.

    Returns:
        The hash in hex digits.
    """
    digest = hashlib.sha256() if digest is None else digest
    with Path(path).open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def is_lfs_pointer(path: str | Path) -> bool:
    """Return whether a file is a Git LFS pointer: a short text that replaces a large file.

    A repository that was cloned without Git LFS contains such texts instead of the large files.
    """
    try:
        with Path(path).open("rb") as stream:
            return starts_as_lfs_pointer(stream.read(len(_LFS_POINTER)))
    except OSError:
        return False


def starts_as_lfs_pointer(start: bytes) -> bool:
    """Return whether the content of a file begins like a Git LFS pointer.

    Args:
        start: The first bytes of the file, at least 40.
    """
    return start.startswith(_LFS_POINTER)


LFS_CURE = "Run `git lfs pull` in the repository that it came with, or download the file"
"""The advice in error messages about a Git LFS pointer."""


def refuse_lfs_pointer(path: str | Path, kind: type[DWCError]) -> None:
    """Raise an error if a file is a Git LFS pointer.

    Args:
        path: The file. If it does not exist, no error is raised.
        kind: The class of the error.
    """
    if is_lfs_pointer(path):
        raise kind(
            f"{path} is a Git LFS pointer ({Path(path).stat().st_size} bytes of text), not the "
            f"file itself. {LFS_CURE}"
        )


def description_digest(description: Any, digits: int = 12) -> str:
    """Return a hash of a JSON-compatible value, such as the settings that a cached file depends on.

    Args:
        description: The value, made of dicts with string keys, lists, strings, numbers, booleans
            and None.
        digits: The number of hex digits to return.

    Returns:
        The first hex digits of the SHA-256 hash of the value as JSON. The order of the keys in a
        dict does not change the hash.
    """
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
