"""Atomic writes, content digests, and paths of bundled assets; uses only the standard library.

An atomic write goes to a temporary name beside its target and is renamed at the end: a reader sees
the old content or the new, and an interrupted write leaves the old.
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

_BLOCK_BYTES = 1 << 20


def asset_path(*parts: str) -> Path:
    """Path of a bundled asset, in an installed package or in a checkout.

    Args:
        *parts: The path below `assets/`, such as "checkpoints", "dwc-catalogue".

    Returns:
        The path, which may not exist: a wheel holds the assets of `setup.py` only.
    """
    package = Path(__file__).resolve().parent
    installed = package / "_assets"
    return (installed if installed.is_dir() else package.parent / "assets").joinpath(*parts)


class Digest(Protocol):
    """A hash object of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """The digest so far, in hex digits."""


@contextmanager
def atomic_path(path: str | Path, *, fsync: bool = False, unique: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    An exception in the block removes the temporary file and leaves `path` as it was. The temporary
    name ends in the suffix of `path`, since some writers (`numpy.save`) append one otherwise.

    Args:
        path: The file to write or replace. Missing parent folders are made.
        fsync: Force content and rename to the disk before returning, so that they survive a power
            failure.
        unique: Use a temporary name of this process and thread, so that several may write the same
            file. With False the name is fixed: the next write reuses what a killed one left behind,
            which matters for files of gigabytes.
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
    """Yield an empty folder beside `folder`; move it there when the block succeeds.

    A folder that exists is replaced as a whole. An exception in the block leaves it as it was. A
    kill between the two renames leaves the old content in `.NAME.outdated`, beside the new content
    in `.NAME.partial`; at any other instant `folder` is complete.

    Args:
        folder: The folder to write or replace. Missing parent folders are made.
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
    """Return where `atomic_folder` collects new content before it moves it to `folder`."""
    return folder.with_name(f".{folder.name}.partial")


def outdated_folder(folder: Path) -> Path:
    """Return where `atomic_folder` puts old content while it moves the new to `folder`."""
    return folder.with_name(f".{folder.name}.outdated")


def write_bytes(path: str | Path, content: bytes, *, fsync: bool = False) -> None:
    """Write a file atomically; see `atomic_path` for `fsync`."""
    with atomic_path(path, fsync=fsync) as partial:
        partial.write_bytes(content)


def write_text(path: str | Path, text: str, *, fsync: bool = False) -> None:
    """Write a text file atomically, in UTF-8 with Unix line ends; see `atomic_path` for `fsync`."""
    write_bytes(path, text.encode(), fsync=fsync)


def write_json(
    path: str | Path, content: Any, *, indent: int | None = 2, fsync: bool = False
) -> None:
    """Write JSON and a line end atomically; see `atomic_path` for `fsync`."""
    write_text(path, json.dumps(content, indent=indent) + "\n", fsync=fsync)


def sync_folder(folder: str | Path) -> None:
    """Force a folder's entries (new, renamed and removed files) to the disk.

    Does nothing where folders cannot be opened (Windows) or synchronized (some network drives).
    """
    with suppress(OSError):
        _sync(Path(folder))


def file_digest(path: str | Path, digest: Digest | None = None) -> str:
    """Hash a file in blocks, so that its size does not matter.

    Args:
        path: The file.
        digest: The hash object to feed, with a prefix in it where a format asks for one; a new
            SHA-256 if None.

    Returns:
        The digest in hex digits.
    """
    digest = hashlib.sha256() if digest is None else digest
    with Path(path).open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def description_digest(description: Any, digits: int = 12) -> str:
    """Hash a JSON-able description, such as the settings that a cached file depends on.

    Args:
        description: Dicts with string keys in any order, lists, strings, numbers, booleans, None.
        digits: The length of the result.

    Returns:
        The first hex digits of the SHA-256 of its JSON: equal for equal descriptions.
    """
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
