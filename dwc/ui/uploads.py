"""Uploaded pictures: how they are read, when they are deleted, and how many may be stored."""

import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from anyio import create_task_group, sleep, to_thread
from gradio.utils import get_upload_folder

from dwc.errors import ImageError
from dwc.gallery.store import THUMBNAILS

UPLOAD_CHECK_SECONDS = 60
"""Interval between checks for expired uploads, in seconds."""

UPLOAD_LIFETIME_SECONDS = 600
"""Time after which an upload is deleted, in seconds."""

UPLOAD_MINUTES = UPLOAD_LIFETIME_SECONDS // 60

MAX_UPLOADED_BYTES = 2 * 1024**3
"""The total size of all uploads, in bytes, above which the server refuses further uploads."""

MAX_UPLOADED_FILES = 10_000
"""The number of uploaded files above which the server refuses further uploads."""


def is_upload(path: str) -> bool:
    """Return whether a path names an existing file in the upload folder."""
    try:
        return is_in_upload_folder(path) and Path(path).is_file()
    except OSError:  # for example, the path is too long or has a loop of symbolic links
        return False


def read_upload(path: str) -> bytes:
    """Return the content of an uploaded file.

    The path comes from a request. Gradio checks a path only if the request marks it as a file, so
    this function checks it again.

    Raises:
        ImageError: The path is outside the upload folder, or the file no longer exists.
    """
    if not is_in_upload_folder(path):
        raise ImageError(describe_refusal(path))
    try:
        return Path(path).read_bytes()
    except OSError:
        raise ImageError("The picture is no longer here. Choose it again.") from None


_THUMBNAIL = re.compile(rf".*[/\\]{THUMBNAILS}[/\\][0-9a-f]{{2}}[/\\][0-9a-f]+\.webp", re.DOTALL)


def describe_refusal(path: str) -> str:
    """Return the message for a visitor whose picture is neither an upload nor in the gallery.

    Args:
        path: The path that the browser sent. A page that was opened before a restart sends the path
            of a thumbnail of the former gallery.
    """
    if _THUMBNAIL.fullmatch(path):
        return (
            "The picture is of a gallery that the server no longer has: it has another gallery or "
            "another model now, or the picture's file was changed. Load the page again, and choose "
            "a picture."
        )
    return "The picture was not uploaded here. Choose it again."


def is_in_upload_folder(path: str) -> bool:
    """Return whether a path is inside the upload folder; the file need not exist."""
    return is_inside(path, Path(get_upload_folder()))


def is_inside(path: str, folder: Path) -> bool:
    """Return whether a path, with symbolic links and `..` resolved, is inside a folder."""
    try:
        return Path(path).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # for example, it has a null character
        return False


def delete_expired_uploads(folder: Path) -> None:
    """Delete expired files in the upload folder, and old empty subfolders.

    A file expires after `UPLOAD_LIFETIME_SECONDS`.

    Gradio deletes only the uploads that the running process has completed. This function also
    deletes interrupted uploads, and those of an earlier process that was killed.

    Args:
        folder: The upload folder. Files are deleted directly in this folder and in subfolders whose
            names are hashes, since Gradio creates such subfolders. Other subfolders are not
            changed.
    """
    latest = time.time() - UPLOAD_LIFETIME_SECONDS
    for entry in _scan(folder):
        if entry.is_dir(follow_symlinks=False):
            if _UPLOAD_FOLDER_NAME.fullmatch(entry.name):
                is_old = entry.stat(follow_symlinks=False).st_mtime < latest
                for file in _scan(Path(entry.path)):
                    _delete_if_expired(file, latest)
                if is_old:
                    with suppress(OSError):  # it is not empty
                        os.rmdir(entry.path)
        else:
            _delete_if_expired(entry, latest)


_UPLOAD_FOLDER_NAME = re.compile(r"[0-9a-f]{64}")


def _delete_if_expired(file: "os.DirEntry[str]", latest: float) -> None:
    with suppress(OSError):  # for example, Gradio has deleted it meanwhile
        if not file.is_dir(follow_symlinks=False) and _modified(file) < latest:
            os.remove(file.path)


def _modified(file: "os.DirEntry[str]") -> float:
    return file.stat(follow_symlinks=False).st_mtime


def _scan(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def is_full(folder: Path) -> bool:
    """Return whether the upload folder has reached its maximum size or number of files."""
    files = size = 0
    for entry in _scan(folder):
        inner = _scan(Path(entry.path)) if entry.is_dir(follow_symlinks=False) else [entry]
        for file in inner:
            with suppress(OSError):
                size += file.stat(follow_symlinks=False).st_size
            files += 1
            if files >= MAX_UPLOADED_FILES or size >= MAX_UPLOADED_BYTES:
                return True
    return False


@asynccontextmanager
async def expire_uploads(app: Any) -> AsyncIterator[None]:
    """Delete expired uploads at regular intervals while the server runs.

    This is the server's `lifespan`: an async context manager inside which the server runs.

    Args:
        app: Not used; every lifespan function has this parameter.
    """

    async def delete_regularly() -> None:
        while True:
            await to_thread.run_sync(delete_expired_uploads, Path(get_upload_folder()))
            await sleep(UPLOAD_CHECK_SECONDS)

    async with create_task_group() as tasks:
        tasks.start_soon(delete_regularly)
        yield
        tasks.cancel_scope.cancel()
